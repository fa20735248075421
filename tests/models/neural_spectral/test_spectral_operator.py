# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The spectral operator: its parts against plain formulas, and that it learns."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.models.neural_spectral import (
    GridActivation,
    SpectralConvolution,
    SpectralOperator,
)
from torchgeo_hsi.physics.equations import PeriodicPoisson
from torchgeo_hsi.physics.series import Chebyshev, Fourier, Series


@pytest.mark.parametrize('axes', [(Fourier(), Fourier()), (Chebyshev(), Fourier())])
def test_activation_acts_on_values(axes: tuple[Series, ...]) -> None:
    x = torch.randn(2, 6, 7, 3)
    found = GridActivation(axes, (6, 7), nn.Tanh())(x)
    values = axes[1].inverse(axes[0].inverse(x, 1), 2).tanh()
    expected = axes[1].transform(axes[0].transform(values, 1), 2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_convolution_has_a_matrix_for_each_coefficient() -> None:
    layer = SpectralConvolution((2, 3), 4)
    x = torch.randn(5, 2, 3, 4)
    found = layer(x)
    weight = layer.weight.view(2, 3, 4, 4)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(found[:, i, j], x[:, i, j] @ weight[i, j])


@pytest.mark.parametrize('count', [6, 7])
def test_coupled_convolution_can_differentiate(count: int) -> None:
    layer = SpectralConvolution((count, 3), 1, coupled=(0,))
    unit = torch.eye(count, dtype=torch.float64)
    slope = Fourier().differentiate(unit, 1, 0).float()
    partner = [(count - k) % count for k in range(count)]
    weight = torch.zeros(count, 3, 2, 1)
    for k in range(count):
        weight[k, :, 1, 0] = slope[k, partner[k]]
    with torch.no_grad():
        layer.weight.copy_(weight.flatten(0, 1))
    x = torch.randn(2, count, 3, 1)
    expected = Fourier().differentiate(x, 1, 1)
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-5)


def test_coupled_operator() -> None:
    axes = ('chebyshev', 'fourier', 'fourier')
    plain = SpectralOperator(axes, (3, 5, 5), width=4, depth=2)
    model = SpectralOperator(axes, (3, 5, 5), width=4, depth=2, coupled=True)
    counts = [sum(p.numel() for p in m.parameters()) for m in (plain, model)]
    assert counts[1] - counts[0] == 2 * 2 * 75 * 16
    assert model(torch.rand(2, 1, 3, 5, 5)).shape == (2, 3, 5, 5)
    # partners follow from the arguments
    assert set(plain.state_dict()) == set(model.state_dict())


def test_parameters() -> None:
    """15 x 15 modes, 32 channels, 4 layers: as counted from the layers of the paper."""
    model = SpectralOperator(('fourier', 'fourier'), (15, 15), width=32, depth=4)
    h, modes = 32, 15 * 15
    dense = [(3, 4 * h), (4 * h, h), *[(h, h)] * 4, (h, h), (h, 4 * h), (4 * h, 1)]
    expected = 4 * modes * h * h + sum(a * b + b for a, b in dense)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_coordinates_are_those_of_the_axes() -> None:
    model = SpectralOperator(('chebyshev', 'chebyshev'), (5, 6), width=4, depth=1)
    x = torch.linspace(0, 1, 7)
    for dim in range(2):
        found: Tensor = model.coordinates[..., dim]
        found = Chebyshev().evaluate(Chebyshev().evaluate(found, x, 0), x, 1)
        grid = x[:, None] if dim == 0 else x[None]
        torch.testing.assert_close(found, grid.expand(7, 7), atol=1e-5, rtol=0)


def test_learns_poisson() -> None:
    """A few seconds bring the error of -Lap u = s below 10 %, without data."""
    torch.manual_seed(0)
    equation = PeriodicPoisson((11, 11))
    model = SpectralOperator(('fourier', 'fourier'), (11, 11), width=32, depth=4)
    source = torch.Generator().manual_seed(1)
    steps = 250
    optimizer = torch.optim.Adam(model.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 1e-2 ** (1 / steps))
    for _ in range(steps):
        parameter = equation.sample(16, source).float()
        solution = equation.constrain(parameter, model(parameter))
        loss = equation.residual(parameter, solution).square().sum((1, 2)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    test = equation.sample(32, torch.Generator().manual_seed(9)).float()
    points = equation.grid(32, torch.float32)
    with torch.no_grad():
        found = equation.evaluate(equation.constrain(test, model(test)), points)
    truth = equation.solve(test, 32)
    error = (found - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    assert error.mean() < 0.1


def test_errors() -> None:
    with pytest.raises(BandMismatchError, match='each of 2 axes'):
        SpectralOperator(('fourier', 'fourier'), (7,))
    with pytest.raises(UnknownNameError, match='fourier'):
        SpectralOperator(('furier',), (7,))
    with pytest.raises(ValueError, match='activation'):
        SpectralOperator(('fourier',), (7,), activation='sine')
    for word in ('fields', 'width', 'depth'):
        options: dict[str, Any] = {word: 0}
        with pytest.raises(ValueError, match=f'whole {word} from 1'):
            SpectralOperator(('fourier',), (7,), **options)
    model = SpectralOperator(('fourier',), (7,), width=4, depth=1)
    with pytest.raises(BandMismatchError, match='Resize'):
        model(torch.ones(2, 1, 9))
