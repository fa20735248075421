# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectral angle and continuum."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import continuum_removal, get_sensor, spectral_angle


def exact_angle(a: Tensor, b: Tensor) -> float:
    """Compute the angle from exact fractions: only the last step rounds."""
    x = [Fraction(v) for v in a.tolist()]
    y = [Fraction(v) for v in b.tolist()]
    dot = sum(p * q for p, q in zip(x, y, strict=True))
    gram = sum(p * p for p in x) * sum(q * q for q in y) - dot**2
    # scale before rounding, because the difference may underflow
    scale = Fraction(10) ** 40
    root = Fraction(math.isqrt(int(gram * scale)), 10**20)
    return math.atan2(float(root), float(dot))


def rotated(angle: float, bands: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return two positive spectra that enclose about the given angle."""
    rng = np.random.default_rng(7)
    u = rng.uniform(0.1, 0.6, bands)
    v = rng.normal(size=bands)
    v -= u * (u @ v) / (u @ u)
    v *= np.linalg.norm(u) / np.linalg.norm(v)
    other = math.cos(angle) * u + math.sin(angle) * v
    return torch.tensor(u, dtype=dtype), torch.tensor(3 * other, dtype=dtype)


@pytest.mark.parametrize('angle', [0.0, 1e-6, 1e-4, 0.01, 1.0, 2.5, math.pi - 1e-4])
@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 3e-7), (torch.float64, 1e-15)]
)
def test_angle(angle: float, dtype: torch.dtype, tolerance: float) -> None:
    a, b = rotated(angle, 202, dtype)
    got = spectral_angle(a, b, dim=0).item()
    assert got == pytest.approx(exact_angle(a, b), abs=tolerance)
    assert got == pytest.approx(angle, abs=1e-6)


def test_the_arc_cosine_would_fail() -> None:
    # why the usual formula is not used
    a, b = rotated(1e-4, 202, torch.float32)
    cosine = torch.cosine_similarity(a, b, dim=0).clamp(-1, 1)
    assert abs(torch.acos(cosine).item() - 1e-4) > 3e-5
    assert spectral_angle(a, b, dim=0).item() == pytest.approx(1e-4, rel=0.01)


def test_angle_ignores_brightness_and_runs_along_any_dimension() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 9, 3, 4, generator=generator, dtype=torch.float64)
    b = torch.rand(2, 9, 3, 4, generator=generator, dtype=torch.float64)
    angle = spectral_angle(a, b)
    assert angle.shape == (2, 3, 4)
    assert torch.allclose(angle, spectral_angle(4000 * a, 0.1 * b))
    assert torch.allclose(angle, spectral_angle(b, a))
    moved = spectral_angle(a.movedim(1, -1), b.movedim(1, -1), dim=-1)
    assert torch.allclose(angle, moved)
    reference = b[:1, :, :1, :1]
    assert torch.allclose(
        spectral_angle(a, reference), spectral_angle(a, reference.expand_as(a))
    )


def test_angle_of_zero_spectra() -> None:
    a = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]], requires_grad=True)
    b = torch.tensor([[0.0, 3.0, 1.0], [0.0, 4.0, 2.0]], requires_grad=True)
    angle = spectral_angle(a, b, dim=0)
    assert angle.tolist() == pytest.approx([0, math.pi / 2, 0], abs=1e-7)
    angle.sum().backward()
    for x in (a, b):
        assert x.grad is not None
        assert torch.equal(x.grad, torch.zeros_like(x))


def test_eps_decides_what_is_zero() -> None:
    a, b = torch.tensor([[1e-6, 0.0], [0.0, 1.0]])
    assert spectral_angle(a, b, dim=0).item() == pytest.approx(math.pi / 2)
    c = torch.tensor([1e-6, 1e-6])
    assert spectral_angle(a, c, dim=0).item() == pytest.approx(math.pi / 4)
    assert spectral_angle(a, c, dim=0, eps=1e-5).item() == 0


def test_angle_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    a = torch.rand(5, 2, 2, generator=generator, dtype=torch.float64)
    b = torch.rand(5, 2, 2, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        spectral_angle, (a.requires_grad_(), b.requires_grad_())
    )


def test_half_precision_does_not_overflow() -> None:
    # the square of reflectance x 10 000 is beyond float16
    a, b = rotated(0.3, 202, torch.float32)
    a, b = a * 1e4, b * 1e3
    got = spectral_angle(a.half(), b.half(), dim=0)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(0.3, abs=1e-3)
    whole = spectral_angle(a.to(torch.int16), b.to(torch.int16), dim=0)
    assert whole.item() == pytest.approx(0.3, abs=1e-3)


def test_angle_wants_the_same_bands() -> None:
    with pytest.raises(BandMismatchError, match='got 3 and 4'):
        spectral_angle(torch.ones(3, 1, 1), torch.ones(4, 1, 1))


def reference_removal(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Divide by the upper hull as Qhull finds it."""
    order = np.argsort(x)
    px, py = x[order], y[order]
    # two points far below close the hull, so the rest of it is the upper one
    low = py.min() - 10 * (np.ptp(py) + 1)
    corners = [[px[0], low], [px[-1], low]]
    hull = ConvexHull(np.vstack([np.column_stack([px, py]), corners]))
    vertex = np.sort(hull.vertices[hull.vertices < len(px)])
    removed = py / np.interp(px, px[vertex], py[vertex])
    return removed[np.argsort(order)]


@pytest.mark.parametrize('bands', [2, 3, 17, 60])
def test_continuum_against_qhull(bands: int) -> None:
    rng = np.random.default_rng(bands)
    x = rng.permutation(np.cumsum(rng.uniform(0.004, 0.03, bands)) + 0.4)
    y = rng.uniform(0.05, 0.6, (40, bands))
    expected = np.stack([reference_removal(x, row) for row in y])
    got = continuum_removal(torch.tensor(y), x, dim=1)
    assert got.numpy() == pytest.approx(expected, abs=1e-12)


def test_continuum_of_a_cube_in_detector_order() -> None:
    bands = get_sensor('enmap_detector').bands
    rng = np.random.default_rng(3)
    curve = 0.3 + 0.1 * np.sin(7 * bands.wavelength) + 0.02 * rng.normal(size=(6, 224))
    cube = torch.tensor(curve.reshape(2, 3, 224, 1)).movedim(2, 1)
    got = continuum_removal(cube, bands.wavelength)
    assert got.shape == (2, 224, 3, 1)
    expected = np.stack([reference_removal(bands.wavelength, row) for row in curve])
    flat = got.movedim(1, 2).reshape(6, 224).numpy()
    assert flat == pytest.approx(expected, abs=1e-12)
    assert flat.max() == 1


def test_continuum_of_simple_shapes() -> None:
    x = np.array([0.5, 0.6, 0.7, 0.8])
    straight = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    assert continuum_removal(straight, x, dim=0).numpy() == pytest.approx(1)
    assert torch.equal(
        continuum_removal(torch.full((4,), 0.3), x, dim=0), torch.ones(4)
    )
    dip = torch.tensor([0.4, 0.1, 0.2, 0.4])
    assert continuum_removal(dip, x, dim=0).tolist() == pytest.approx([1, 0.25, 0.5, 1])


def test_continuum_that_is_not_positive() -> None:
    x = np.array([0.5, 0.6, 0.7])
    spectra = torch.tensor([[0.0, 0.0, 0.0], [-0.1, -0.3, -0.1], [0.2, 0.1, 0.2]])
    got = continuum_removal(spectra, x, dim=1)
    assert got[:2].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert got[2].tolist() == pytest.approx([1, 0.5, 1])


def test_nan_stays_in_its_spectrum() -> None:
    x = np.array([0.5, 0.6, 0.7, 0.8])
    spectra = torch.tensor([[0.4, 0.1, 0.2, 0.4]] * 5)
    for i in range(4):
        spectra[i, i] = math.nan
    got = continuum_removal(spectra, x, dim=1)
    assert got[:4].isnan().all()
    assert got[4].tolist() == pytest.approx([1, 0.25, 0.5, 1])


def test_continuum_gradient() -> None:
    generator = torch.Generator().manual_seed(5)
    spectra = torch.rand(3, 8, generator=generator, dtype=torch.float64) + 0.1
    x = np.linspace(0.5, 1.2, 8)
    assert torch.autograd.gradcheck(
        lambda s: continuum_removal(s, x, dim=1), (spectra.requires_grad_(),)
    )


def test_continuum_refuses() -> None:
    with pytest.raises(BandMismatchError, match='Expected 3 values'):
        continuum_removal(torch.ones(3, 1, 1), [0.5, 0.6])
    with pytest.raises(BandMismatchError, match='different centres'):
        continuum_removal(torch.ones(3, 1, 1), [0.5, 0.6, 0.5])
    with pytest.raises(UnitError, match='nanometres'):
        continuum_removal(torch.ones(2, 1, 1), [500, 600])
