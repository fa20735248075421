# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of crops: what is cut out is read off ramps of coordinates."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transforms.ramps import WHOLE, by_hand, ramps, seeded

from torchgeo_hsi.transforms import CenterResizedCrop, RandomResizedCrop


def boxes(out: Tensor) -> Tensor:
    """Read top, left, height and width off ramps resized to two by two pixels.

    The middles of the four pixels are at one and three quarters of the box.
    """
    first, last = out[:, :, 0, 0], out[:, :, 1, 1]
    sides = 2 * (last - first)
    return torch.cat([first + 0.5 - sides / 4, sides], dim=1)


class TestBoxes:
    @pytest.mark.parametrize('scale', [(0.2, 1.0), (0.6, 1.0), (0.4, 0.5)])
    @pytest.mark.parametrize('shape', [(96, 96), (101, 67)])
    def test_area_and_shape_are_within_bounds(
        self, scale: tuple[float, float], shape: tuple[int, int]
    ) -> None:
        crop = RandomResizedCrop(2, scale, generator=seeded())
        top, left, height, width = boxes(crop({'image': ramps(*shape, 300)})['image']).T
        for whole, start, side in zip(shape, (top, left), (height, width), strict=True):
            torch.testing.assert_close(side, side.round())
            torch.testing.assert_close(start, start.round())
            assert start.min() > -1e-6
            assert (start + side).max() < whole + 1e-6
        # sides are whole pixels, so at most half a pixel off
        slack = 0.5 / height + 0.5 / width
        share = height * width / math.prod(shape)
        assert (share > scale[0] * (1 - slack) - 1e-3).all()
        assert (share < scale[1] * (1 + slack) + 1e-3).all()
        assert (width / height > 3 / 4 * (1 - slack)).all()
        assert (width / height < 4 / 3 * (1 + slack)).all()

    def test_bounds_are_reached_and_middles_are_uniform(self) -> None:
        crop = RandomResizedCrop(2, (0.2, 0.3), generator=seeded())
        out = boxes(crop({'image': ramps(100, 100, 1500)})['image'])
        top, left, height, width = out.T
        share = height * width / 1e4
        assert share.min() < 0.205
        assert share.max() > 0.295
        # the mean of a uniform share; its standard error is 0.1 / sqrt(12 * 1500)
        assert abs(float(share.mean()) - 0.25) < 0.003
        ratio = (width / height).log()
        assert ratio.min() < math.log(0.77)
        assert ratio.max() > math.log(1.3)
        # as often upright as lying
        assert abs(float(ratio.mean())) < 0.02
        for start, side in ((top, height), (left, width)):
            place = start / (100 - side)
            assert abs(float(place.mean()) - 0.5) < 0.03
            assert abs(float(place.std()) - 1 / math.sqrt(12)) < 0.02

    def test_each_position_is_as_likely(self) -> None:
        crop = RandomResizedCrop(2, (0.25, 0.25), (1.0, 1.0), seeded())
        top = boxes(crop({'image': ramps(4, 4, 3000)})['image'])[:, 0]
        counts = torch.bincount(top.round().long(), minlength=3)
        assert counts.shape == (3,)
        assert (counts - 1000).abs().max() < 5 * math.sqrt(3000 * 2 / 9)

    @pytest.mark.parametrize(
        ('shape', 'ratio', 'box'),
        [
            ((32, 4), (1.0, 1.0), (14, 0, 4, 4)),
            ((4, 32), (1.0, 1.0), (0, 14, 4, 4)),
            ((12, 12), (2.0, 2.0), (3, 0, 6, 12)),
            ((12, 12), (0.5, 0.5), (0, 3, 12, 6)),
        ],
    )
    def test_largest_allowed_shape_where_none_fits(
        self, shape: tuple[int, int], ratio: tuple[float, float], box: tuple[int, ...]
    ) -> None:
        crop = RandomResizedCrop(2, (1.0, 1.0), ratio)
        out = boxes(crop({'image': ramps(*shape)})['image'])
        assert out[0].tolist() == pytest.approx(box)

    def test_images_of_a_batch_get_different_boxes(self) -> None:
        out = RandomResizedCrop(2, generator=seeded())({'image': ramps(64, 64, 8)})
        assert len({tuple(box.tolist()) for box in boxes(out['image'])}) == 8

    def test_generator_decides(self) -> None:
        first, second, third = (
            RandomResizedCrop(8, generator=seeded(seed))({'image': ramps(32, 32, 4)})
            for seed in (5, 5, 6)
        )
        assert torch.equal(first['image'], second['image'])
        assert not torch.equal(first['image'], third['image'])

    def test_own_generator_leaves_the_global_one_alone(self) -> None:
        before = torch.get_rng_state()
        RandomResizedCrop(8, generator=seeded())({'image': ramps(32, 32, 4)})
        assert torch.equal(torch.get_rng_state(), before)
        RandomResizedCrop(8)({'image': ramps(32, 32, 4)})
        assert not torch.equal(torch.get_rng_state(), before)


class TestImage:
    @pytest.mark.parametrize('size', [1, 5, 16, 17])
    def test_identity(self, size: int) -> None:
        image = torch.rand(2, 3, size, size, generator=seeded())
        batch = {
            'image': image,
            'valid': image[:, 0] > 0.3,
            'mask': (image[:, 1] * 9).long(),
            'target': image[:, :2],
        }
        for key in ('image', 'target'):
            batch[key] = batch[key] * batch['valid'].unsqueeze(1)
        for crop in (RandomResizedCrop(size, **WHOLE), CenterResizedCrop(size)):
            out = crop(batch)
            assert out.keys() == batch.keys()
            assert all(torch.equal(out[key], batch[key]) for key in batch)

    @pytest.mark.parametrize('shape', [(9, 9), (7, 12), (1, 1), (1, 6), (13, 2)])
    @pytest.mark.parametrize('size', [1, 4, 8, 15])
    def test_same_as_by_hand(self, shape: tuple[int, int], size: int) -> None:
        height, width = shape
        ratio = (width / height,) * 2
        image = torch.rand(2, 3, *shape, generator=seeded(), dtype=torch.float64)
        out = RandomResizedCrop(size, (1.0, 1.0), ratio)({'image': image})['image']
        assert out.shape == (2, 3, size, size)
        want = [
            [by_hand(plane, (0, 0, *shape), size) for plane in planes]
            for planes in image.numpy()
        ]
        np.testing.assert_allclose(out.numpy(), want, atol=1e-12)

    def test_part_same_as_by_hand(self) -> None:
        # the ramps say which box it was
        image = torch.rand(6, 1, 40, 30, generator=seeded(), dtype=torch.float64)
        found = boxes(
            RandomResizedCrop(2, generator=seeded(3))({'image': ramps(40, 30, 6)})[
                'image'
            ]
        )
        out = RandomResizedCrop(9, generator=seeded(3))({'image': image})['image']
        for plane, result, box in zip(image, out, found.round().long(), strict=True):
            want = by_hand(plane[0].numpy(), tuple(box.tolist()), 9)
            np.testing.assert_allclose(result[0].numpy(), want, atol=1e-12)

    def test_ramp_is_reproduced(self) -> None:
        image = 3 * ramps(24, 24)[:, :1] - 2 * ramps(24, 24)[:, 1:]
        out = RandomResizedCrop(8, **WHOLE)({'image': image})['image'][0, 0]
        middles = torch.arange(8).double() * 3 + 1
        torch.testing.assert_close(out, 3 * middles[:, None] - 2 * middles)

    def test_same_as_torch_if_all_is_valid(self) -> None:
        image = torch.rand(2, 5, 20, 20, generator=seeded())
        valid = torch.ones(2, 20, 20, dtype=torch.bool)
        out = CenterResizedCrop(33)({'image': image, 'valid': valid})
        want = functional.interpolate(image, (33, 33), mode='bilinear')
        torch.testing.assert_close(out['image'], want)
        assert out['valid'].all()

    @pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.int16])
    def test_types(self, dtype: torch.dtype) -> None:
        image = ramps(8, 8).to(dtype)
        out = RandomResizedCrop(4, **WHOLE)({'image': image})['image']
        # fractions do not fit into whole numbers
        assert out.dtype == (dtype if dtype.is_floating_point else torch.float32)
        assert out[0, 0, :, 0].tolist() == [0.5, 2.5, 4.5, 6.5]

    @pytest.mark.parametrize('ratio', [(3.0, 3.0), (0.2, 0.3), (3 / 4, 4 / 3)])
    def test_one_pixel(self, ratio: tuple[float, float]) -> None:
        batch = {
            'image': torch.full((1, 2, 1, 1), 7.0),
            'mask': torch.full((1, 1, 1), 3),
            'valid': torch.ones(1, 1, 1, dtype=torch.bool),
        }
        out = RandomResizedCrop(4, ratio=ratio)(batch)
        assert out['image'].unique().tolist() == [7]
        assert out['mask'].shape == (1, 4, 4)
        assert out['mask'].unique().tolist() == [3]
        assert out['valid'].all()


class TestBatch:
    def test_place_is_dropped(self) -> None:
        batch = {
            'image': ramps(8, 8, 2),
            'bounds': torch.zeros(2, 6),
            'transform': torch.zeros(2, 9),
            'wavelength': torch.tensor([[0.5, 0.6]] * 2),
        }
        for crop in (RandomResizedCrop(4), CenterResizedCrop(4)):
            out = crop(batch)
            assert out.keys() == {'image', 'wavelength'}
            assert out['wavelength'] is batch['wavelength']

    def test_place_is_kept_where_nothing_moves(self) -> None:
        batch = {'image': ramps(8, 8), 'bounds': torch.zeros(1, 6)}
        out = CenterResizedCrop(8)(batch)
        assert out.keys() == batch.keys()
        assert out is not batch

    def test_input_is_left_alone(self) -> None:
        image = ramps(9, 9, 2)
        given = {'image': image, 'valid': image[:, 0] > 2, 'mask': image[:, 1].long()}
        before = {key: value.clone() for key, value in given.items()}
        RandomResizedCrop(5)(given)
        assert given.keys() == before.keys()
        assert all(torch.equal(given[key], before[key]) for key in before)

    @pytest.mark.parametrize(
        ('shape', 'box'),
        [((9, 5), (2, 0, 5, 5)), ((6, 11), (0, 2, 6, 6)), ((8, 8), (0, 0, 8, 8))],
    )
    def test_center(self, shape: tuple[int, int], box: tuple[int, ...]) -> None:
        out = CenterResizedCrop(2)({'image': ramps(*shape, 2)})['image']
        assert boxes(out).tolist() == [pytest.approx(box)] * 2

    def test_center_is_resized(self) -> None:
        out = CenterResizedCrop(10)({'image': torch.rand(1, 1, 7, 5)})['image']
        assert out.shape == (1, 1, 10, 10)


@pytest.mark.parametrize(
    'arguments',
    [
        {'size': 0},
        {'size': -4},
        {'scale': (0.0, 1.0)},
        {'scale': (0.5, 0.4)},
        {'scale': (0.5, 1.1)},
        {'ratio': (0.0, 1.0)},
        {'ratio': (2.0, 1.0)},
        {'scale': (math.nan, 1.0)},
    ],
)
def test_bad_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='Expected a positive size'):
        RandomResizedCrop(**({'size': 8} | arguments))


def test_bad_size_of_the_center() -> None:
    with pytest.raises(ValueError, match='positive size, got 0'):
        CenterResizedCrop(0)


@pytest.mark.parametrize('kind', ['random', 'center'])
def test_panchromatic_image_is_cut_with_the_cube(kind: str) -> None:
    # the mean of the fine pixels is the coarse one, whatever part is cut out
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(120), indexing='ij')
    pan = (rows * 2.0 + columns)[None, None]
    image = torch.nn.functional.avg_pool2d(pan, 6)
    crop = (
        RandomResizedCrop(8, generator=torch.Generator().manual_seed(3))
        if kind == 'random'
        else CenterResizedCrop(8)
    )
    result = crop({'image': image, 'pan': pan})
    assert result['pan'].shape == (1, 1, 48, 48)
    means = torch.nn.functional.avg_pool2d(result['pan'], 6)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(means[inner], result['image'][inner], rtol=0, atol=0.5)
