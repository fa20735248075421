# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of crops of images with masks and pixels without data."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from transforms.ramps import WHOLE, by_hand, ramps, seeded

from torchgeo_hsi.transforms import RandomResizedCrop


class TestMask:
    @pytest.mark.parametrize('shape', [(9, 9), (7, 12), (64, 40)])
    @pytest.mark.parametrize('size', [1, 5, 16])
    def test_pixel_under_the_middle(self, shape: tuple[int, int], size: int) -> None:
        height, width = shape
        mask = torch.arange(height * width).view(1, *shape)
        crop = RandomResizedCrop(size, (1.0, 1.0), (width / height,) * 2)
        out = crop({'image': torch.zeros(1, 1, *shape), 'mask': mask})['mask'][0]
        for i in range(size):
            for j in range(size):
                row = (2 * i + 1) * height // (2 * size)
                column = (2 * j + 1) * width // (2 * size)
                assert out[i, j] == mask[0, row, column]

    @pytest.mark.parametrize('dtype', [torch.long, torch.uint8, torch.int32])
    def test_no_new_codes(self, dtype: torch.dtype) -> None:
        codes = torch.tensor([0, 3, 200, 255]).to(dtype)
        mask = codes[torch.randint(0, 4, (50, 13, 17), generator=seeded())]
        crop = RandomResizedCrop(16, generator=seeded())
        out = crop({'image': torch.zeros(50, 1, 13, 17), 'mask': mask})['mask']
        assert out.dtype == dtype
        assert out.shape == (50, 16, 16)
        assert set(out.unique().tolist()) == set(codes.tolist())

    def test_moves_with_the_image(self) -> None:
        # without resizing, image and mask are the same numbers
        image = torch.randint(0, 99, (40, 1, 24, 24), generator=seeded()).double()
        batch = {'image': image, 'target': 2 * image, 'mask': image[:, 0].long()}
        crop = RandomResizedCrop(12, (0.25, 0.25), (1.0, 1.0), seeded())
        out = crop(batch)
        assert torch.equal(out['image'][:, 0], out['mask'].double())
        assert torch.equal(out['target'], 2 * out['image'])

    def test_labels_of_patches_stay(self) -> None:
        label = torch.tensor([[0, 1], [1, 1]])
        batch = {'image': ramps(8, 8, 2), 'label': label, 'target': label}
        out = RandomResizedCrop(4)(batch)
        assert torch.equal(out['label'], label)
        assert torch.equal(out['target'], label)


class TestNodata:
    def holes(self, count: int = 30) -> dict[str, Tensor]:
        image = torch.rand(count, 2, 19, 14, generator=seeded())
        valid = torch.rand(count, 19, 14, generator=seeded(1)) < 0.9
        return {'image': image, 'valid': valid}

    @pytest.mark.parametrize('number', [-32768.0, 1e30, math.nan, math.inf])
    def test_numbers_without_data_change_nothing(self, number: float) -> None:
        batch = self.holes()
        other = {
            **batch,
            'image': batch['image'].masked_fill(~batch['valid'].unsqueeze(1), number),
        }
        first, second = (
            RandomResizedCrop(16, generator=seeded(2))(b) for b in (batch, other)
        )
        assert 0.1 < first['valid'].float().mean() < 0.95
        assert torch.equal(first['valid'], second['valid'])
        assert torch.equal(first['image'], second['image'])

    def test_constant_stays_constant_in_valid_pixels(self) -> None:
        batch = self.holes()
        batch['image'] = torch.where(batch['valid'].unsqueeze(1), 1000.0, -32768.0)
        out = RandomResizedCrop(16, generator=seeded(2))(batch)
        pixels = out['image'].movedim(1, -1)[out['valid']]
        # at most a ten thousandth may come from elsewhere
        torch.testing.assert_close(
            pixels, torch.full_like(pixels, 1000), rtol=1.1e-4, atol=0
        )

    @pytest.mark.parametrize('size', [1, 4, 7, 14, 15, 40])
    def test_invalid_exactly_where_an_invalid_pixel_contributes(
        self, size: int
    ) -> None:
        batch = self.holes(5)
        batch = {key: value[..., :14, :] for key, value in batch.items()}
        out = RandomResizedCrop(size, **WHOLE)(batch)['valid']
        assert out.dtype == torch.bool
        for valid, result in zip(batch['valid'].numpy(), out.numpy(), strict=True):
            lost = by_hand((~valid).astype(float), (0, 0, 14, 14), size)
            np.testing.assert_array_equal(result, lost < 1e-9)

    def test_one_hole_by_hand(self) -> None:
        # new pixels see two old ones in each direction: 2, 3 is under 1, 1 alone
        valid = torch.ones(1, 6, 6, dtype=torch.bool)
        valid[0, 2, 3] = False
        out = RandomResizedCrop(3, **WHOLE)({'image': ramps(6, 6), 'valid': valid})
        assert (~out['valid'][0]).nonzero().tolist() == [[1, 1]]
        # twice as large: each new one sees its own old pixel and the next
        out = RandomResizedCrop(12, **WHOLE)({'image': ramps(6, 6), 'valid': valid})
        assert (~out['valid'][0]).any(1).nonzero().flatten().tolist() == [3, 4, 5, 6]
        assert (~out['valid'][0]).any(0).nonzero().flatten().tolist() == [5, 6, 7, 8]

    def test_nothing_valid(self) -> None:
        batch = {
            'image': torch.full((2, 3, 8, 8), math.nan),
            'valid': torch.zeros(2, 8, 8, dtype=torch.bool),
        }
        out = RandomResizedCrop(4, generator=seeded())(batch)
        assert not out['valid'].any()
        assert (out['image'] == 0).all()
