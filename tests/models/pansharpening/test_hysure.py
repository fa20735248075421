# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening in a subspace."""

import pytest
import torch
from data.pansharpening_scene.data import ergas, golden_scene, rmse
from models.pansharpening.variational_cases import draw, scene
from torch import Tensor
from torch.nn import functional as F

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnitError
from torchgeo_hsi.models.pansharpening.variational import HySURE
from torchgeo_hsi.models.pansharpening.variational._admm import Solver, Terms
from torchgeo_hsi.models.pansharpening.variational._sensors import (
    Sensors,
    estimate_sensors,
)
from torchgeo_hsi.physics.resampling import interpolate


def test_sensors_are_found() -> None:
    ratio, offset, bands = 3, 1, 5
    coarse = F.avg_pool2d(draw(1, bands, 120, 114, seed=5), 25, 1)
    fine = 10 * coarse[..., :96, :90] + draw(1, bands, 96, 90)
    response = torch.tensor([0.1, 0.3, 0.4, 0.2, 0.0], dtype=torch.float64)
    kernel = draw(6, 6, seed=1) + 0.2
    kernel /= kernel.sum()
    pan = torch.einsum('bchw,c->bhw', fine, response)[:, None]
    padded = F.pad(fine, (3, 2, 3, 2), mode='replicate')
    blurred = F.conv2d(padded, kernel.expand(bands, 1, 6, 6), groups=bands)
    cube = blurred[..., offset::ratio, offset::ratio]
    overlap = torch.tensor([True] * 4 + [False])
    found = estimate_sensors(
        cube,
        pan,
        overlap=overlap,
        size=6,
        offset=offset,
        smooth_response=1e-6,
        smooth_kernel=1e-6,
        half_window=3,
    )
    torch.testing.assert_close(found.response[0], response, atol=0.03, rtol=0)
    assert float(found.response[0, 4]) == 0
    torch.testing.assert_close(found.kernel[0], kernel, atol=0.005, rtol=0)
    assert float(found.kernel.sum()) == pytest.approx(1)


@pytest.mark.parametrize('margin', [0, 1])
def test_solver_minimizes(margin: int) -> None:
    cube, pan = draw(2, 4, 5, 6), draw(2, 1, 10, 12, seed=1)
    kernel = draw(2, 3, 3, seed=2)
    kernel /= kernel.sum((1, 2), keepdim=True)
    response, basis = draw(2, 4, seed=3), draw(2, 4, 2, seed=4)
    terms = Terms(offset=1, margin=margin, weight=0.05, pan_weight=0.7, step=0.3)
    sensors = Sensors(response, kernel)
    solver = Solver.build(cube, pan, sensors, basis, terms)
    best = solver.solve(2500)
    assert best.shape == (2, 2, 10, 12)
    if margin:
        # what lies in the margin is not known here, but what is found settles
        torch.testing.assert_close(best, solver.solve(2000), atol=1e-3, rtol=0)
        return

    def value(x: Tensor) -> float:
        blurred = torch.zeros_like(x)
        for i in range(3):
            for j in range(3):
                moved = x.roll((1 - i, 1 - j), (2, 3))
                blurred = blurred + kernel[:, i, j, None, None, None] * moved
        spectra = torch.einsum('bcp,bphw->bchw', basis, blurred[..., 1::2, 1::2])
        light = torch.einsum('bcp,bphw,bc->bhw', basis, x, response)
        slopes = (x.roll(-1, 2) - x).square() + (x.roll(-1, 3) - x).square()
        total = (cube - spectra).square().sum() / 2
        total += 0.7 * (pan[:, 0] - light).square().sum() / 2
        return float(total + 0.05 * slopes.sum(1).sqrt().sum())

    least = value(best)
    for seed in range(10):
        step = draw(*best.shape, seed=seed) - 0.5
        for size in (3e-3, 3e-2):
            wide = F.avg_pool2d(step, 5, 1, 2)
            assert value(best + size * step) > least
            assert value(best + size * wide) > least


@pytest.mark.parametrize('as_published', [False, True])
def test_hysure_of_golden_scene(as_published: bool) -> None:
    golden = golden_scene(32)
    cube, pan, truth = (golden.batch(x).float() for x in ('lr', 'pan', 'gt'))
    model = HySURE(overlap=range(25), as_published=as_published)
    found = model(cube, pan)
    # extreme spectra are random: 0.24988 and 108.05 for one seed
    assert ergas(found, truth) < 0.25
    assert rmse(found, truth) == pytest.approx(108.0531, rel=0.01)


def test_what_the_pan_overlaps() -> None:
    _, cube, pan = scene(6, 8, 8, 3)
    options = {'iterations': 5, 'endmembers': 3}
    wavelength = [0.45, 0.55, 0.65, 0.9, 1.5, 2.1]
    first = HySURE(wavelength=wavelength, **options)(cube, pan)
    mask = torch.tensor([True] * 3 + [False] * 3)
    for overlap in ([0, 1, 2], mask):
        assert torch.equal(HySURE(overlap=overlap, **options)(cube, pan), first)
    assert not torch.equal(HySURE(**options)(cube, pan), first)
    with pytest.raises(BandMismatchError, match='for 6 bands'):
        HySURE(overlap=[6])(cube, pan)
    with pytest.raises(BandMismatchError, match='for 6 bands'):
        HySURE(wavelength=wavelength[:5])(cube, pan)
    with pytest.raises(EmptyDataError, match='No band of the cube overlaps'):
        HySURE(wavelength=wavelength, pan=(0.3, 0.4))(cube, pan)
    with pytest.raises(UnitError):
        HySURE(wavelength=[450.0, 550.0])


def test_seed_of_hysure() -> None:
    _, cube, pan = scene(6, 8, 8, 3)
    found = [
        HySURE(endmembers=4, iterations=5, restarts=1, seed=seed)(cube, pan)
        for seed in (0, 0, 7)
    ]
    assert torch.equal(found[0], found[1])
    assert found[2].isfinite().all()


def test_orthogonal_subspace() -> None:
    fine, cube, pan = scene(6, 12, 12, 2)
    found = HySURE(endmembers=6, basis='svd', iterations=300)(cube, pan)
    assert rmse(found, fine) < rmse(interpolate(cube, 2), fine)
