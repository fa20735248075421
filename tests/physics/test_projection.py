# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes projected to other bands."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics import (
    BandSet,
    get_sensor,
    project,
    project_adjoint,
    resample,
    srf_matrix,
)


def grid(count: int = 40, step: float = 0.01, fwhm: float = 0.01) -> BandSet:
    return BandSet(0.5 + step * np.arange(count), np.full(count, fwhm))


def random_cube(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.rand(*shape, generator=generator, dtype=dtype)


def test_project_is_the_matrix_product() -> None:
    cube, matrix = random_cube(2, 3, 7, 4, 5), random_cube(6, 7)
    got = project(cube, matrix)
    assert got.shape == (2, 3, 6, 4, 5)
    expected = np.einsum('mc,abchw->abmhw', matrix.numpy(), cube.numpy())
    assert got.numpy() == pytest.approx(expected, abs=1e-12)
    assert torch.allclose(project(cube[0, 0], matrix), got[0, 0])


@pytest.mark.parametrize('shape', [(224, 5, 4), (2, 224, 3, 3)])
def test_adjoint(shape: tuple[int, ...]) -> None:
    matrix = srf_matrix(get_sensor('enmap').bands, get_sensor('sentinel2').bands)
    x = random_cube(*shape)
    y = random_cube(*shape[:-3], 13, *shape[-2:])
    forward = (project(x, matrix) * y).sum()
    backward = (x * project_adjoint(y, matrix)).sum()
    assert abs(forward - backward) < 1e-10
    assert forward.abs() > 1


def test_gradient_is_the_adjoint() -> None:
    matrix = srf_matrix(grid(), BandSet([0.6, 0.7], [0.02, 0.03]))
    x = random_cube(40, 2, 3).requires_grad_()
    y = random_cube(2, 2, 3)
    (project(x, matrix) * y).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, project_adjoint(y, matrix))


def test_bands_without_weight_may_hold_anything() -> None:
    matrix = srf_matrix(grid(), BandSet([0.6], [0.03]))
    cube = random_cube(40, 2, 2)
    expected = project(cube, matrix)
    cube[matrix[0] == 0] = torch.nan
    assert torch.equal(project(cube, matrix), expected)


def test_project_keeps_the_type_of_the_cube() -> None:
    matrix = srf_matrix(grid(), BandSet([0.6], [0.03]))
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert project(torch.ones(40, 2, 2, dtype=dtype), matrix).dtype == dtype
    whole = torch.full((40, 2, 2), 3000, dtype=torch.int16)
    got = project(whole, matrix)
    assert got.dtype == torch.float32
    assert got.numpy() == pytest.approx(3000)


def test_project_refuses() -> None:
    for cube, matrix in (
        (torch.ones(3, 2, 2), torch.ones(2, 4)),
        (torch.ones(4, 2), torch.ones(2, 4)),
        (torch.ones(4, 2, 2), torch.ones(4)),
    ):
        with pytest.raises(BandMismatchError, match='matrix of shape'):
            project(cube, matrix)


def test_resample() -> None:
    source, target = get_sensor('enmap').bands, get_sensor('sentinel2').bands
    constant = torch.full((2, 224, 3, 3), 0.3)
    assert resample(constant, source, target).numpy() == pytest.approx(0.3, abs=1e-6)
    cube = random_cube(224, 3, 3)
    assert torch.equal(resample(cube, source, source), cube)
    assert torch.equal(
        resample(cube, source, target), project(cube, srf_matrix(source, target))
    )


def test_resample_hands_its_options_on() -> None:
    bad = BandSet(grid().wavelength, grid().fwhm, good=np.zeros(40, dtype=bool))
    target = BandSet([0.905], [0.02])
    with pytest.raises(EmptyDataError):
        resample(torch.ones(40, 1, 1), bad, target)
    with pytest.raises(BandMismatchError):
        resample(torch.ones(40, 1, 1), bad, target, use_good_only=False)
    got = resample(
        torch.ones(40, 1, 1), bad, target, use_good_only=False, min_coverage=0.1
    )
    assert got.item() == pytest.approx(1)
