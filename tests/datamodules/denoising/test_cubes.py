# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes, crops and windows of the denoising data module."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.datamodules._crops import Crop, CropSampler, CubeCrops, Places
from torchgeo_hsi.datamodules._cube_windows import CubeWindows
from torchgeo_hsi.datamodules._cubes import Cube
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.transforms import get_noise


def numbers(bands: int = 5, height: int = 20, width: int = 12) -> Tensor:
    """Each number names its band, row and column."""
    axes = [torch.arange(n) for n in (bands, height, width)]
    b, r, c = torch.meshgrid(*axes, indexing='ij')
    return (1000 * b + 50 * r + c).to(torch.int16)


def cube(scaling: Any = 1.0, **entries: Any) -> Cube:
    return Cube.of_sample({'image': numbers(), **entries}, scaling, 'a cube')


def hole(row: int = 3, column: int = 4) -> Tensor:
    valid = torch.ones(20, 12, dtype=torch.bool)
    valid[row, column] = False
    return valid


@pytest.mark.parametrize('scaling', ['min_max', 'percentile', 'reflectance', 500.0])
def test_scaling(scaling: Any) -> None:
    image = torch.randn(5, 20, 12) * 100 + 500
    image[2, 3, 4] = 1e9
    sample = Cube.of_sample({'image': image, 'valid': hole()}, scaling, 'a cube').cut()
    known = image[:, hole()].double().numpy()
    low, high = {
        'min_max': (known.min(), known.max()),
        'percentile': np.quantile(known, (0.001, 0.999)),
        'reflectance': (0, 10_000),
        500.0: (0, 500),
    }[scaling]
    want = (known - low) / (high - low)
    assert np.allclose(sample['image'][:, hole()], want, atol=1e-5)
    back = sample['image'] * sample['scale'] + sample['offset']
    assert torch.allclose(back[:, hole()], image[:, hole()], rtol=1e-4)
    # what is no data never shows, and is the mean of its band instead
    filled = sample['image'][:, 3, 4]
    assert np.allclose(filled, want.mean(1), atol=1e-5)
    assert torch.equal(sample['valid'], hole())


def test_stored_numbers_stay_small() -> None:
    held = cube()
    assert held.image.dtype == torch.int16
    assert held.cut()['image'].dtype == torch.float32


def test_pair_of_a_dataset() -> None:
    target = numbers().float()
    noisy = target + torch.randn_like(target) * 1e4
    held = Cube.of_sample(
        {'image': noisy, 'target': target, 'sigma': torch.tensor(10.0)},
        'min_max',
        'a pair',
    )
    sample = held.cut()
    # the range is that of the clean image
    assert (sample['target'].min(), sample['target'].max()) == (0, 1)
    assert sample['image'].max() > 1.5
    assert torch.allclose(sample['sigma'], torch.full((5,), 10 / held.scale))
    alone = held.clean().cut()
    assert set(alone) == {'image', 'valid', 'scale', 'offset'}
    assert torch.equal(alone['image'], sample['target'])


def test_pixels_without_data_of_datasets_that_do_not_say() -> None:
    image = numbers().float() + 1
    image[:, 0, 0] = 0
    image[1, 2, 2] = torch.nan
    valid = Cube.of_sample({'image': image}, 1.0, 'x').valid
    assert (~valid).nonzero().tolist() == [[0, 0], [2, 2]]


@pytest.mark.parametrize(
    ('sample', 'match'),
    [
        ({}, 'got none'),
        ({'image': torch.ones(2, 3, 4, 5)}, r'\(2, 3, 4, 5\)'),
        ({'image': torch.ones(2, 3, 4), 'target': torch.ones(1, 3, 4)}, 'target'),
    ],
)
def test_samples_that_are_no_cubes(sample: Any, match: str) -> None:
    with pytest.raises(BandMismatchError, match=match):
        Cube.of_sample(sample, 1.0, 'x')


def test_cubes_without_anything() -> None:
    image = torch.ones(2, 3, 4)
    with pytest.raises(EmptyDataError, match='x holds no pixel'):
        Cube.of_sample(
            {'image': image, 'valid': torch.zeros(3, 4, dtype=torch.bool)}, 1.0, 'x'
        )
    with pytest.raises(EmptyDataError, match='holds 1 everywhere'):
        Cube.of_sample({'image': image}, 'min_max', 'x')


def test_resized_is_the_mean_of_what_is_valid() -> None:
    image = torch.rand(3, 8, 8) + 1
    valid = torch.ones(8, 8, dtype=torch.bool)
    valid[0, 0] = False
    image[:, 0, 0] = 1e6
    held = Cube.of_sample({'image': image, 'valid': valid}, 1.0, 'x')
    half = held.resized(0.5)
    assert half.shape == (3, 4, 4)
    # pixel (0, 0) reaches as far as the triangle of two pixels around its middle
    assert not half.valid[0, 0]
    assert half.valid[2:, 2:].all()
    assert half.image.max() < 2.0001
    flat = Cube.of_sample(
        {'image': torch.full((1, 8, 8), 7.0), 'valid': valid}, 1.0, 'x'
    )
    assert torch.allclose(flat.resized(0.5).image, torch.tensor(7.0))


def test_noise_of_a_smaller_scale_is_not_known() -> None:
    held = cube('min_max', sigma=torch.tensor(10.0))
    assert held.sigma is not None
    assert held.resized(0.5).sigma is None
    crops = CubeCrops([held], 6, scales=(1.0, 0.5))
    keys = {frozenset(crops[Crop(i, 0, 0, 0, False, False)]) for i in range(2)}
    assert keys == {frozenset({'image', 'valid', 'scale', 'offset'})}


def test_known_noise_of_each_pixel_is_averaged() -> None:
    level = torch.full((5, 20, 12), 30.0)
    level[:, :10] = 40
    level[:, 3, 4] = torch.nan
    held = cube(10.0, sigma=level, valid=hole())
    assert held.sigma is not None
    want = ((119 * 40**2 + 120 * 30**2) / 239) ** 0.5 / 10
    assert held.sigma.tolist() == pytest.approx([want] * 5)
    with pytest.raises(BandMismatchError, match='sigma of shape'):
        cube(sigma=torch.ones(4))


def test_padded_does_not_count() -> None:
    small = cube().padded(16)
    assert small.shape == (5, 20, 16)
    assert small.valid.sum() == 20 * 12
    assert torch.equal(small.image[..., 12:], numbers()[..., 8:].flip(-1))


def test_places() -> None:
    valid = hole(0, 0)
    everywhere = Places(valid, 4, 0.0)
    assert everywhere.count == 17 * 9
    whole = Places(valid, 4, 1.0)
    assert whole.count == 17 * 9 - 1
    spots = [whole.at(i / whole.count + 1e-9) for i in range(whole.count)]
    assert (0, 0) not in spots
    assert spots == sorted(set(spots))
    assert whole.at(0.9999999) == (16, 8)
    assert Places(torch.zeros(5, 5, dtype=torch.bool), 4, 0.5).count == 0


@pytest.mark.parametrize('turns', range(4))
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('reverse', [False, True])
def test_crop(turns: int, flip: bool, reverse: bool) -> None:
    axis = torch.linspace(0.4, 0.8, 5)
    valid = hole(5, 6)
    crops = CubeCrops([cube(wavelength=axis, valid=valid)], 4, 3)
    # row 4, column 5 of 17 x 9 places; the second of three first bands
    place = (4 * 9 + 5) / (17 * 9) + 1e-6
    sample = crops[Crop(0, place, 0.5, turns, flip, reverse)]
    want = numbers()[1:4, 4:8, 5:9].float().numpy()
    mask = valid[4:8, 5:9].numpy()
    want[:, ~mask] = crops.cubes[0].fill[1:4, None]
    want, mask = np.rot90(want, turns, (1, 2)), np.rot90(mask, turns)
    if flip:
        want, mask = want[..., ::-1], mask[..., ::-1]
    bands = axis[1:4]
    if reverse:
        want, bands = want[::-1], bands.flip(0)
    assert np.array_equal(sample['image'], want)
    assert np.array_equal(sample['valid'], mask)
    assert torch.equal(sample['wavelength'], bands)


def test_every_pixel_as_often() -> None:
    large = Cube.of_sample({'image': torch.rand(2, 40, 40)}, 1.0, 'large')
    small = Cube.of_sample({'image': torch.rand(2, 20, 20)}, 1.0, 'small')
    crops = CubeCrops([large, small], 8, scales=(1.0, 0.5, 0.25))
    # the quarter of the small one is smaller than a crop
    assert [c.shape[1] for c in crops.cubes] == [40, 20, 10, 20, 10]
    assert crops.cover == round((1600 + 400 + 100 + 400 + 100) / 64)
    sampler = CropSampler(crops, 4000, dihedral=True, reverse=0.25)
    drawn = list(sampler)
    share = np.bincount([crop.entry for crop in drawn]) / len(drawn)
    want = np.array([1600, 400, 100, 400, 100]) / 2600
    assert np.allclose(share, want, atol=0.03)
    moves = np.bincount([2 * crop.turns + crop.flip for crop in drawn]) / len(drawn)
    assert len(moves) == 8
    assert np.allclose(moves, 1 / 8, atol=0.03)
    assert np.mean([crop.reverse for crop in drawn]) == pytest.approx(0.25, abs=0.03)
    assert list(sampler) != drawn
    sampler.set_epoch(0)
    assert list(sampler) == drawn
    still = CropSampler(crops, 100, dihedral=False, reverse=0)
    assert {(c.turns, c.flip, c.reverse) for c in still} == {(0, False, False)}


def test_small_cube_among_crops() -> None:
    small = Cube.of_sample({'image': torch.rand(2, 6, 6)}, 1.0, 'small')
    crops = CubeCrops([small], 8, min_valid=0.9, scales=(1, 0.5))
    sample = crops[Crop(0, 0.5, 0, 0, False, False)]
    assert sample['image'].shape == (2, 8, 8)
    assert sample['valid'].sum() == 36
    assert crops.weights == [36.0]


def test_crops_of_nothing() -> None:
    valid = torch.zeros(20, 12, dtype=torch.bool)
    valid[0, 0] = True
    with pytest.raises(EmptyDataError, match='Lower min_valid'):
        CubeCrops([cube(valid=valid)], 8, min_valid=0.5)
    with pytest.raises(EmptyDataError, match='add 1 to scales'):
        CubeCrops([cube()], 16, scales=(0.5,))


def test_bands_that_do_not_fit() -> None:
    other = Cube.of_sample({'image': torch.rand(4, 20, 12)}, 1.0, 'x')
    with pytest.raises(BandMismatchError, match='4, 5 bands'):
        CubeCrops([cube(), other], 8)
    with pytest.raises(BandMismatchError, match='num_bands=5'):
        CubeCrops([cube(), other], 8, 5)
    assert len(CubeCrops([cube(), other], 8, 4).cubes) == 2


def test_keys_that_not_all_cubes_have() -> None:
    axis = torch.linspace(0.4, 0.8, 5)
    crops = CubeCrops([cube(wavelength=axis), cube()], 8)
    keys = {frozenset(crops[Crop(i, 0, 0, 0, False, False)]) for i in range(2)}
    assert keys == {frozenset({'image', 'valid', 'scale', 'offset'})}


def test_windows_cover_everything() -> None:
    windows = CubeWindows([cube()], 8, 2)
    assert len(windows) == 3 * 3 * 2
    seen: set[float] = set()
    for sample in (windows[i] for i in range(len(windows))):
        assert sample['image'].shape == (2, 8, 8)
        seen |= set(sample['image'].flatten().tolist())
    assert seen == set(numbers().flatten().tolist())
    whole = CubeWindows([cube()])
    assert len(whole) == 1
    assert torch.equal(whole[0]['image'], numbers().float())


def test_windows_without_data_are_left_out() -> None:
    valid = torch.zeros(20, 12, dtype=torch.bool)
    valid[0, 0] = True
    assert len(CubeWindows([cube(valid=valid)], 4)) == 1


def test_noise_of_windows_is_fixed() -> None:
    def windows(seed: int) -> CubeWindows:
        return CubeWindows([cube('min_max')], 10, noise=get_noise('complex'), seed=seed)

    first, second = windows(0), windows(0)
    # whatever was drawn before
    second[3], torch.rand(7)
    for key in ('image', 'target', 'sigma'):
        assert torch.equal(first[1][key], second[1][key])
    assert not torch.equal(first[0]['image'], first[1]['image'])
    assert torch.equal(windows(1)[0]['sigma'], windows(0)[1]['sigma'])
    assert not torch.equal(first[0]['image'], first[0]['target'])


def test_windows_that_make_no_batch() -> None:
    other = Cube.of_sample({'image': torch.rand(5, 9, 12)}, 1.0, 'x')
    with pytest.raises(BandMismatchError, match='5 x 9 x 12, 5 x 20 x 12'):
        CubeWindows([cube(), other], stackable=True)
    assert len(CubeWindows([cube(), other], 8, stackable=True)) == 3 * 2 + 2 * 2
    few = Cube.of_sample({'image': torch.rand(4, 20, 12)}, 1.0, 'x')
    with pytest.raises(BandMismatchError, match='eval_num_bands'):
        CubeWindows([cube(), few], 8, stackable=True)
    assert len(CubeWindows([cube(), few])) == 2
