# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shifts between a cube and a PAN, and images that are moved."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics.registration import estimate_shift
from torchgeo_hsi.physics.resampling import mtf_decimate
from torchgeo_hsi.physics.shifting import move_image

SHIFTS = [(0.0, 0.0), (1.0, -2.0), (-1.3, 2.4)]


def waves(rows: float, cols: float, size: int = 126, bands: int = 4) -> Tensor:
    """Evaluate a sum of waves, moved down and right."""
    rng = np.random.default_rng(1)
    y, x = np.arange(size)[:, None] - rows, np.arange(size) - cols
    image = np.zeros((bands, size, size))
    for _ in range(60):
        fy, fx = rng.uniform(-0.08, 0.08, 2)
        phase = rng.uniform(0, 2 * np.pi)
        wave = np.cos(2 * np.pi * (fy * y + fx * x) + phase)
        image += rng.standard_normal((bands, 1, 1)) * wave
    return torch.from_numpy(image + 50)


def real_scene(folder: Path) -> Tensor:
    data = scipy.io.loadmat(folder / 'aviris' / 'abu-urban-1.mat')['data']
    cube = torch.from_numpy(data.astype(np.float32)).permute(2, 0, 1)
    return cube[:, :96, :96]


@pytest.mark.parametrize('ratio', [2, 3, 6])
@pytest.mark.parametrize('shift', SHIFTS)
def test_exact_waves(ratio: int, shift: tuple[float, float]) -> None:
    cube = mtf_decimate(waves(0, 0), 0.3, ratio)
    # the PAN is evaluated at other places, so nothing of ours has moved it
    pan = 7 - 0.3 * waves(*shift).mean(0, keepdim=True)
    found = estimate_shift(cube, pan)
    assert found.rows == pytest.approx(shift[0], abs=0.03)
    assert found.cols == pytest.approx(shift[1], abs=0.03)
    assert found.score > 0.999
    weights = torch.full((4,), 0.25, dtype=torch.float64)
    found = estimate_shift(cube, pan, weights=weights)
    assert (found.rows, found.cols) == pytest.approx(shift, abs=0.03)


@pytest.mark.parametrize('ratio', [2, 3, 6])
@pytest.mark.parametrize('shift', SHIFTS)
def test_golden_scene(ratio: int, shift: tuple[float, float]) -> None:
    scene, size = golden_scene(32), 32 * ratio
    cube = mtf_decimate(torch.from_numpy(scene.gt[:, :size, :size]), 0.3, ratio)
    pan = move_image(torch.from_numpy(scene.pan)[None], *shift, method='sinc')
    pan = pan[:, :size, :size]
    found = estimate_shift(cube, pan)
    assert (found.rows, found.cols) == pytest.approx(shift, abs=0.1)


@pytest.mark.realdata
@pytest.mark.parametrize('ratio', [2, 3, 6])
@pytest.mark.parametrize('shift', [(1.0, -2.0), (-1.3, 2.4)])
def test_real_cube(real_data: Path, ratio: int, shift: tuple[float, float]) -> None:
    scene = real_scene(real_data)
    cube = mtf_decimate(scene, 0.3, ratio)
    pan = scene[:30].mean(0, keepdim=True)
    pan = move_image(pan, *shift, method='sinc')
    generator = torch.Generator().manual_seed(0)
    noise = 0.02 * float(pan.std())
    pan = pan + noise * torch.randn(pan.shape, generator=generator)
    found = estimate_shift(cube, pan)
    assert (found.rows, found.cols) == pytest.approx(shift, abs=0.1)


def test_gaps_do_not_pull() -> None:
    cube, pan = mtf_decimate(waves(0, 0), 0.3, 6), waves(2, -1.5)[:1]
    valid = torch.ones(21, 21, dtype=torch.bool)
    valid[3:9, 4:12] = False
    pan_valid = torch.ones(126, 126, dtype=torch.bool)
    pan_valid[70:, 40:60] = False
    cube[:, ~valid] = torch.nan
    pan[:, ~pan_valid] = 1e6
    found = estimate_shift(cube, pan, valid=valid, pan_valid=pan_valid)
    assert (found.rows, found.cols) == pytest.approx((2, -1.5), abs=0.05)
    assert found.pixels < int(valid.sum())
    assert found.score > 0.999


def test_tiles_of_a_scene_have_one_shift() -> None:
    scene, pan = waves(0, 0, 132), waves(0.5, 1, 132)[:1]
    cube = mtf_decimate(scene, 0.3, 3)
    tiles = torch.stack([cube[:, :22, :22], cube[:, 22:, 22:]])
    pans = torch.stack([pan[:, :66, :66], pan[:, 66:, 66:]])
    found = estimate_shift(tiles, pans)
    assert (found.rows, found.cols) == pytest.approx((0.5, 1), abs=0.05)


def test_search_decides_about_the_range() -> None:
    cube, pan = mtf_decimate(waves(0, 0), 0.3, 3), waves(7, 0)[:1]
    with pytest.raises(ValueError, match='Pass a larger search'):
        estimate_shift(cube, pan, search=6)
    assert estimate_shift(cube, pan, search=9).rows == pytest.approx(7, abs=0.05)
    still = estimate_shift(cube, waves(0.3, 0)[:1], search=0)
    assert still.rows == pytest.approx(0.3, abs=0.05)


def test_score_tells_noise() -> None:
    cube = mtf_decimate(waves(0, 0), 0.3, 6)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 126, 126, generator=generator, dtype=torch.float64)
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0])
    try:
        assert estimate_shift(cube, noise, weights=weights).score < 0.5
    except ValueError as error:
        assert 'end of the range' in str(error)  # noqa: PT017


def test_what_cannot_be_found_says_why() -> None:
    cube, pan = torch.rand(3, 12, 12), torch.rand(1, 72, 72)
    with pytest.raises(EmptyDataError, match='The PAN has the same value'):
        estimate_shift(cube, torch.full_like(pan, 0.7))
    with pytest.raises(EmptyDataError, match='The cube has the same value'):
        estimate_shift(torch.full_like(cube, 0.1), pan)
    with pytest.raises(EmptyDataError, match='PAN has the same value'):
        estimate_shift(cube, pan, pan_valid=torch.zeros(72, 72, dtype=torch.bool))
    with pytest.raises(EmptyDataError, match='Too few pixels'):
        estimate_shift(cube[:, :3, :3], pan[:, :18, :18])
    with pytest.raises(BandMismatchError, match='whole ratio'):
        estimate_shift(cube, pan[:, :71])
    with pytest.raises(BandMismatchError, match='one weight for each of 3'):
        estimate_shift(cube, pan, weights=torch.ones(4))
    with pytest.raises(BandMismatchError, match='mask of shape'):
        estimate_shift(cube, pan, valid=torch.ones(11, 12, dtype=torch.bool))
    with pytest.raises(ValueError, match='0 or more pixels'):
        estimate_shift(cube, pan, search=-1)


def test_whole_pixels_are_exact() -> None:
    image = torch.rand(2, 5, 6)
    moved = move_image(image, 2, -1)
    assert torch.equal(moved[:, 2:, :-1], image[:, :-2, 1:])
    # what comes in is the outermost pixel again
    assert torch.equal(moved[:, 0, :-1], image[:, 0, 1:])
    assert torch.equal(moved[:, 4, 5], image[:, 2, 5])
    assert torch.equal(move_image(image, 0, 100)[..., 3], image[..., 0])


@pytest.mark.parametrize(('method', 'error'), [('cubic', 0.1), ('sinc', 0.01)])
def test_moved_waves(method: str, error: float) -> None:
    moved = move_image(waves(0, 0), 1.4, -0.7, method=method)
    inner = (..., slice(20, -20), slice(20, -20))
    assert (moved - waves(1.4, -0.7))[inner].abs().max() < error


@pytest.mark.parametrize('method', ['cubic', 'sinc'])
def test_moving_is_differentiable_and_keeps_constants(method: str) -> None:
    image = torch.rand(1, 7, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: move_image(x, 0.3, -1.6, method=method), (image,)
    )
    flat = torch.full((1, 7, 5), 3.0)
    torch.testing.assert_close(move_image(flat, 0.3, -1.6, method=method), flat)


def test_moving_errors() -> None:
    with pytest.raises(ValueError, match='cubic or sinc'):
        move_image(torch.rand(3, 3), 1, 1, method='nearest')
    with pytest.raises(ValueError, match='floating point'):
        move_image(torch.ones(3, 3, dtype=torch.int), 1, 1)
    with pytest.raises(ValueError, match='finite shifts'):
        move_image(torch.ones(3, 3), torch.nan, 1)
