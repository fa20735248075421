# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The loss of residuals against quadrature of the functions."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.losses import SpectralResidualLoss
from torchgeo_hsi.physics.equations import PeriodicPoisson
from torchgeo_hsi.physics.series import get_series


def draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def quadrature(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points in [0, 1], and weights that integrate with the weight of the series."""
    if name == 'fourier':
        return np.arange(64) / 64, np.full(64, 1 / 64)
    if name == 'legendre':
        x, w = np.polynomial.legendre.leggauss(40)
        return (x + 1) / 2, w / 2
    # in the angle, the weight of Chebyshev series is gone
    angle = math.pi * (np.arange(64) + 0.5) / 64
    return (np.cos(angle) + 1) / 2, np.full(64, math.pi / 2 / 64)


@pytest.mark.parametrize(
    'axes',
    [('fourier',), ('chebyshev', 'fourier'), ('legendre', 'chebyshev', 'fourier')],
)
def test_parseval_is_integral_of_square(axes: tuple[str, ...]) -> None:
    coefficients = draw(3, *(7, 6, 5)[: len(axes)])
    values, weights = coefficients, np.ones(1)
    for dim, name in enumerate(axes, start=1):
        x, w = quadrature(name)
        values = get_series(name).evaluate(values, torch.from_numpy(x), dim)
        weights = np.multiply.outer(weights, w)
    expected = (values.numpy() ** 2 * weights[0]).sum() / 3
    found = SpectralResidualLoss(axes, 'parseval')(coefficients)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_unit_is_plain_sum() -> None:
    coefficients = draw(4, 5, 6)
    expected = np.mean(
        [sum(v**2 for v in row.flatten().tolist()) for row in coefficients]
    )
    found = SpectralResidualLoss(['chebyshev', 'fourier'])(coefficients)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_dual_is_norm_of_inverse() -> None:
    # the integral of R (1 - damping Lap)^-1 R, inverted on a grid by numpy
    coefficients, damping = draw(3, 7, 5), 0.02
    grid = np.arange(16) / 16
    values = coefficients
    for dim in (1, 2):
        values = get_series('fourier').evaluate(values, torch.from_numpy(grid), dim)
    field = values.numpy()
    k = 2 * math.pi * np.fft.fftfreq(16, 1 / 16)
    symbol = 1 + damping * (k[:, None] ** 2 + k**2)
    inverse = np.fft.ifft2(np.fft.fft2(field) / symbol).real
    loss = SpectralResidualLoss(['fourier', 'fourier'], 'dual', damping)
    assert float(loss(coefficients)) == pytest.approx((field * inverse).mean(), 1e-12)


def test_dual_leaves_time_alone() -> None:
    coefficients = draw(2, 4, 1)
    axes = ['chebyshev', 'fourier']
    plain = SpectralResidualLoss(axes, 'parseval')(coefficients)
    assert torch.equal(SpectralResidualLoss(axes, 'dual', 9.0)(coefficients), plain)


@pytest.mark.parametrize(
    ('axes', 'damping'),
    [
        (['fourier'], 0.0),
        (['chebyshev', 'legendre'], 1.0),
        (['fourier'], float('inf')),
        (['fourier'], float('nan')),
    ],
)
def test_dual_needs_damping(axes: list[str], damping: float) -> None:
    with pytest.raises(ValueError, match="Use 'parseval'"):
        SpectralResidualLoss(axes, 'dual', damping)


def test_dual_is_as_large_as_the_gradient_of_the_error() -> None:
    """For Poisson's equation, of errors slow and fast."""
    equation = PeriodicPoisson((15, 15))
    loss = SpectralResidualLoss(['fourier', 'fourier'], 'dual', equation.damping)
    nothing = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    k = 2 * math.pi * np.fft.fftfreq(32, 1 / 32)
    for wave in (1, 7):
        error = torch.zeros(1, 15, 15, dtype=torch.float64)
        error[0, :2, wave] = 1.0
        found = float(loss(equation.residual(nothing, error)))
        waves = np.fft.fft2(equation.evaluate(error, equation.grid(32))[0].numpy())
        slopes = [np.fft.ifft2(1j * axis * waves).real for axis in (k[:, None], k)]
        energy = sum((slope**2).mean() for slope in slopes)
        assert 0.97 * energy < found < energy


@pytest.mark.parametrize('weights', ['unit', 'parseval', 'dual'])
def test_gradient(weights: Any) -> None:
    coefficients = draw(2, 4, 5).requires_grad_()
    loss = SpectralResidualLoss(['chebyshev', 'fourier'], weights, 0.1)
    assert torch.autograd.gradcheck(loss, (coefficients,))


def test_errors() -> None:
    with pytest.raises(ValueError, match="'unit', 'parseval' or 'dual'"):
        SpectralResidualLoss(['fourier'], 'none')  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match='fourier'):
        SpectralResidualLoss(['fouriers'])
    with pytest.raises(BandMismatchError, match='2 variables'):
        SpectralResidualLoss(['fourier', 'fourier'])(torch.zeros(3, 5))


def test_says_its_weights() -> None:
    found = repr(SpectralResidualLoss(['fourier', 'chebyshev'], 'dual', 2.5))
    assert (
        found == 'SpectralResidualLoss(fourier, chebyshev, weights=dual, damping=2.5)'
    )
    assert 'damping' not in repr(SpectralResidualLoss(['fourier'], 'parseval'))
