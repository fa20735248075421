# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of pansharpening, against loops."""

from typing import Any

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.physics.resampling import interpolate, mtf_kernel
from torchgeo_hsi.transforms.pansharpening import (
    FullResolution,
    RandomPairCrop,
    ReducedResolution,
)

PLACE = torch.tensor([5.0, 0, 1000, 0, -5, 2000, 0, 0, 1])


def seen_by_loops(image: Tensor, gain: float, ratio: int, size: int = 41) -> np.ndarray:
    """Weigh the samples around each coarse pixel, one pixel after the other."""
    kernel = mtf_kernel(gain, ratio, size).numpy()
    half = size // 2
    bands = image.numpy().astype(np.float64)
    padded = np.pad(bands, ((0, 0), (half, half), (half, half)), 'edge')
    shape = tuple(length // ratio for length in image.shape[-2:])
    result = np.zeros((len(bands), *shape))
    for i in range(shape[0]):
        for j in range(shape[1]):
            row, column = ratio * i + ratio // 2, ratio * j + ratio // 2
            part = padded[:, row : row + size, column : column + size]
            result[:, i, j] = (part * kernel).sum((1, 2))
    return result


def make_pair(height: int = 12, width: int = 18, ratio: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        'image': torch.rand(4, height, width, generator=generator),
        'pan': torch.rand(1, ratio * height, ratio * width, generator=generator),
        'wavelength': torch.tensor([0.45, 0.55, 0.65, 0.85]),
    }


def test_reduced_pair_is_what_coarser_sensors_see() -> None:
    sample = make_pair()
    pair = ReducedResolution(gain=0.3, pan_gain=0.15)(sample)
    for key, gain in {'image': 0.3, 'pan': 0.15}.items():
        expected = seen_by_loops(sample[key], gain, 3)
        np.testing.assert_allclose(pair[key].numpy(), expected, atol=2e-6)
    assert torch.equal(pair['target'], sample['image'])
    assert pair['valid'].shape == (4, 6)
    assert pair['pan_valid'].shape == (12, 18)
    assert pair['valid'].all()
    assert pair['pan_valid'].all()
    # and the sample that was given is as it was
    assert set(sample) == {'image', 'pan', 'wavelength'}


def test_the_published_reduction() -> None:
    scene = golden_scene(32)
    cube = torch.from_numpy(scene.gt)
    centers = torch.linspace(0.4, 1, 32)
    pair = ReducedResolution(ratio=6)({'image': cube, 'wavelength': centers})
    # it was computed in single precision, and cut off to whole numbers
    assert scene.lr.sum() == 230885757
    rest = pair['image'].numpy() - scene.lr
    assert rest.min() > -0.03
    assert rest.max() < 1.03
    assert rest.mean() == pytest.approx(0.5, abs=0.02)


def test_batches_are_as_their_samples() -> None:
    samples = [make_pair(), make_pair()]
    samples[1] = {k: v * 2 if k != 'wavelength' else v for k, v in samples[1].items()}
    for sample in samples:
        sample['valid'] = torch.ones(12, 18, dtype=torch.bool)
    samples[1]['valid'][3, 4] = False
    batch = {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
    for transform in (ReducedResolution(), FullResolution()):
        pairs = transform(batch)
        for k, sample in enumerate(samples):
            for key, value in transform(sample).items():
                torch.testing.assert_close(pairs[key][k], value)


def test_a_cube_alone_gets_a_simulated_pan() -> None:
    sample = make_pair()
    cube = {key: sample[key] for key in ('image', 'wavelength')}
    pair = ReducedResolution(ratio=3)(cube)
    assert torch.equal(pair['target'], sample['image'])
    assert pair['pan'].shape == (1, 12, 18)
    # 850 nm lies outside of the band
    weights = torch.linalg.lstsq(
        sample['image'].flatten(1).T, pair['pan'].flatten(1).T
    ).solution[:, 0]
    assert weights[3].abs() < 1e-5
    assert (weights[:3] > 0.05).all()
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    expected = seen_by_loops(sample['image'], 0.3, 3)
    np.testing.assert_allclose(pair['image'].numpy(), expected, atol=2e-6)
    # in a batch, scenes have wavelengths of their own
    centers = torch.stack([cube['wavelength'], cube['wavelength'].flip(0)])
    batch = {'image': torch.stack([cube['image']] * 2), 'wavelength': centers}
    pairs = ReducedResolution(ratio=3)(batch)
    torch.testing.assert_close(pairs['pan'][0], pair['pan'])
    flipped = {'image': cube['image'], 'wavelength': centers[1]}
    torch.testing.assert_close(
        pairs['pan'][1], ReducedResolution(ratio=3)(flipped)['pan']
    )


def test_the_pan_of_a_real_pair_is_reduced_and_its_rest_is_cut() -> None:
    sample = make_pair(13, 20) | {'transform': PLACE, 'up': torch.zeros(4, 39, 60)}
    sample['bounds'] = torch.tensor([1000.0, 1100, 5, 1935, 2000, 5, 0, 1, 1])
    pair = ReducedResolution()(sample)
    assert pair['image'].shape == (4, 4, 6)
    assert pair['pan'].shape == (1, 12, 18)
    assert torch.equal(pair['target'], sample['image'][:, :12, :18])
    # the same corner, and larger pixels of the cube
    assert pair['transform'].tolist() == [15, 0, 1000, 0, -15, 2000, 0, 0, 1]
    assert pair['bounds'].tolist() == [1000, 1090, 15, 1940, 2000, 15, 0, 1, 1]
    assert 'up' not in pair


@pytest.mark.parametrize('ratio', [2, 3, 6])
def test_gaps_reach_as_far_as_the_kernel_and_do_not_leak(ratio: int) -> None:
    height, width = 12 * ratio, 10 * ratio
    sample = make_pair(height, width, ratio)
    sample['valid'] = torch.ones(height, width, dtype=torch.bool)
    sample['valid'][5 * ratio : 5 * ratio + 2, 7] = False
    sample['image'][:, 5 * ratio : 5 * ratio + 2, 7] = float('nan')
    sample['pan'][:, 4, 9] = float('nan')
    pair = ReducedResolution()(sample)
    for value in pair.values():
        assert value.isfinite().all()
    kernel = mtf_kernel(0.3, ratio).numpy()
    near = kernel >= 0.01 * kernel.max()
    first = 20 - ratio // 2
    near[first : first + ratio, first : first + ratio] = True
    expected = np.ones((12, 10), dtype=bool)
    for i in range(12):
        for j in range(10):
            for row in (5 * ratio, 5 * ratio + 1):
                down = row - (ratio * i + ratio // 2) + 20
                right = 7 - (ratio * j + ratio // 2) + 20
                inside = 0 <= down < 41 and 0 <= right < 41
                expected[i, j] &= not (inside and near[down, right])
    np.testing.assert_array_equal(pair['valid'].numpy(), expected)
    assert 0 < (~expected).sum() < 40
    # the truth is not valid in the gap, nor where the panchromatic image has one
    assert not pair['pan_valid'][5 * ratio : 5 * ratio + 2, 7].any()
    assert not pair['pan_valid'][4 // ratio, 9 // ratio]
    # what is put there is the mean of the band
    whole = sample['image'][:, sample['valid']].mean(1)
    torch.testing.assert_close(pair['target'][:, 5 * ratio, 7], whole)
    # other numbers in the gap change nothing
    changed = dict(sample, image=sample['image'].nan_to_num(1e9))
    again = ReducedResolution()(changed)
    torch.testing.assert_close(again['image'], pair['image'])


def test_without_any_valid_pixel() -> None:
    sample = make_pair() | {'valid': torch.zeros(12, 18, dtype=torch.bool)}
    pair = ReducedResolution()(sample)
    assert not pair['valid'].any()
    assert not pair['pan_valid'].any()
    assert not pair['target'].any()
    assert not pair['image'].any()


def test_full_resolution_cuts_what_only_one_image_has() -> None:
    sample = make_pair(10, 12) | {'transform': PLACE}
    pan = sample['pan']
    pair = FullResolution()(sample | {'pan': pan[:, :29], 'up': torch.zeros(4, 30, 36)})
    assert pair['image'].shape == (4, 9, 12)
    assert pair['up'].shape == (4, 27, 36)
    assert torch.equal(pair['pan'], pan[:, :27])
    assert torch.equal(pair['transform'], PLACE)
    wider = torch.cat([pan, pan[..., :2]], -1)
    pair = FullResolution(ratio=3)(sample | {'pan': wider})
    assert torch.equal(pair['pan'], pan)
    assert pair['valid'].all()
    assert pair['pan_valid'].all()


def test_what_makes_no_pair() -> None:
    sample = make_pair()
    cube = {key: sample[key] for key in ('image', 'wavelength')}
    with pytest.raises(MetadataError, match='use ReducedResolution'):
        FullResolution()(cube)
    with pytest.raises(MetadataError, match='Pass ratio='):
        ReducedResolution()(cube)
    with pytest.raises(MetadataError, match='Add wavelength'):
        ReducedResolution(ratio=3)({'image': cube['image']})
    with pytest.raises(BandMismatchError, match='got a cube of 12 x 18 and'):
        FullResolution(ratio=4)(sample)
    with pytest.raises(BandMismatchError, match='at least 2'):
        FullResolution()(sample | {'pan': sample['image'][:1]})
    with pytest.raises(BandMismatchError, match='one band'):
        FullResolution()(sample | {'pan': sample['image']})
    with pytest.raises(BandMismatchError, match='Expected valid of shape'):
        FullResolution()(sample | {'valid': torch.ones(3, 3, dtype=torch.bool)})
    batch = {'image': torch.rand(2, 4, 12, 12), 'wavelength': torch.rand(3, 4) + 0.4}
    with pytest.raises(BandMismatchError, match='Expected wavelengths of shape'):
        ReducedResolution(ratio=3)(batch)
    for transform in (FullResolution(), ReducedResolution()):
        with pytest.raises(MetadataError, match='has a target already'):
            transform(sample | {'target': sample['image']})
    with pytest.raises(EmptyDataError, match='at least 20 x 20'):
        ReducedResolution(ratio=20)(cube)
    tiny = {'image': torch.rand(4, 1, 1), 'pan': torch.rand(1, 2, 2)}
    with pytest.raises(EmptyDataError, match='no pixel in common'):
        FullResolution(ratio=3)(tiny)
    with pytest.raises(ValueError, match='ratio of at least 2'):
        ReducedResolution(ratio=1)
    with pytest.raises(ValueError, match='gains between 0 and 1'):
        ReducedResolution(pan_gain=1.5)


@pytest.mark.parametrize('ratio', [2, 3])
def test_crops_stay_aligned(ratio: int) -> None:
    # both images hold the map coordinates of their pixels
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing='ij')
    fine = torch.meshgrid(
        torch.arange(9.0 * ratio), torch.arange(11.0 * ratio), indexing='ij'
    )
    place = torch.tensor([1.0, 0, 0, 0, -1, 0, 0, 0, 1])
    sample = {
        'image': torch.stack([rows, columns]),
        'valid': rows < 5,
        'pan': fine[0][None],
        'target': torch.stack(fine),
        'transform': place,
        'bounds': torch.tensor([0.0, 11, 1, -9, 0, 1, 0, 1, 1]),
    }
    batch = {key: torch.stack([value] * 3) for key, value in sample.items()}
    crop = RandomPairCrop(4, generator=torch.Generator().manual_seed(1))
    starts = set()
    for part in (crop(sample), crop(sample)):
        row, column = (int(n) for n in part['image'][:, 0, 0])
        assert part['image'].shape == (2, 4, 4)
        assert part['target'].shape == (2, 4 * ratio, 4 * ratio)
        middles = part['target'][:, ratio // 2 :: ratio, ratio // 2 :: ratio]
        assert torch.equal(middles // ratio, part['image'])
        assert torch.equal(part['pan'][0], part['target'][0])
        assert torch.equal(part['valid'], part['image'][0] < 5)
        assert part['transform'][[2, 5]].tolist() == [column, -row]
        edges = part['bounds'][[0, 1, 3, 4]].tolist()
        assert edges == [column, column + 4, -(row + 4), -row]
        starts.add((row, column))
    parts = crop(batch)
    assert parts['pan'].shape == (3, 1, 4 * ratio, 4 * ratio)
    starts |= {(int(p[0, 0, 0]), int(p[1, 0, 0])) for p in parts['image']}
    assert len(starts) > 1


def test_crops_with_enough_valid_pixels() -> None:
    sample = make_pair(30, 30)
    sample['valid'] = torch.zeros(30, 30, dtype=torch.bool)
    sample['valid'][:, 15:] = True
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        part = RandomPairCrop(5, min_valid=0.6, generator=generator)(sample)
        assert part['valid'].float().mean() >= 0.6
    generator = torch.Generator().manual_seed(0)
    shares = [
        float(RandomPairCrop(5, generator=generator)(sample)['valid'].float().mean())
        for _ in range(10)
    ]
    assert min(shares) == 0


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'image': torch.rand(4, 3, 3)}, 'at least 4 x 4'),
        ({'target': torch.rand(4, 12, 12)}, 'Expected target of 36 x 54'),
    ],
)
def test_what_cannot_be_cropped(change: dict[str, Any], match: str) -> None:
    with pytest.raises(BandMismatchError, match=match):
        RandomPairCrop(4)(make_pair() | change)
    with pytest.raises(ValueError, match='positive size'):
        RandomPairCrop(0)


def test_a_flip_breaks_the_alignment_of_even_ratios() -> None:
    """The reason why there are no flips of pairs here."""
    cube = torch.rand(1, 40, 40, dtype=torch.float64)
    for ratio, kept in {2: False, 3: True}.items():
        up = interpolate(cube, ratio)
        flipped = interpolate(cube.flip(-1), ratio).flip(-1)
        middle = (..., slice(60, -60), slice(60, -60)) if ratio == 3 else (...,)
        same = torch.allclose(up[middle], flipped[middle], atol=1e-3)
        assert same == kept


def test_they_say_what_they_were_made_with() -> None:
    assert 'gain=0.3' in repr(ReducedResolution(ratio=4))
    assert 'ratio=4' in repr(FullResolution(ratio=4))
    assert 'size=5' in repr(RandomPairCrop(5))
