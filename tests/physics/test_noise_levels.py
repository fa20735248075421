# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise that is known: what a number beside an image means."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics.noise import noise_levels
from torchgeo_hsi.physics.noise.levels import band_power

IMAGE, BATCH = torch.zeros(3, 4, 5), torch.zeros(2, 3, 4, 5)
VALUES = torch.arange(120.0).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    ('sigma', 'image', 'expected'),
    [
        (7, IMAGE, torch.full((1, 3), 7.0)),
        (torch.tensor([7.0]), IMAGE, torch.full((1, 3), 7.0)),
        ([1, 2, 3], IMAGE, torch.tensor([[1.0, 2, 3]])),
        (VALUES[0], IMAGE, VALUES[:1]),
        (VALUES[0, :1], IMAGE, VALUES[:1, :1].expand(1, 3, 4, 5)),
        (7.0, BATCH, torch.full((2, 3), 7.0)),
        (torch.tensor([1, 2]), BATCH, torch.tensor([[1.0, 1, 1], [2, 2, 2]])),
        (torch.tensor([[1.0], [2.0]]), BATCH, torch.tensor([[1.0, 1, 1], [2, 2, 2]])),
        (torch.tensor([[1.0, 2, 3]]), BATCH, torch.tensor([[1.0, 2, 3]] * 2)),
        (VALUES, BATCH, VALUES),
        (VALUES[:, :1], BATCH, VALUES[:, :1].expand_as(BATCH)),
        # as many bands as images
        (
            [1, 2, 3],
            torch.zeros(3, 3, 2, 2),
            torch.tensor([[1.0], [2], [3]]).expand(3, 3),
        ),
        (torch.zeros(0), BATCH[:0], torch.zeros(0, 3)),
        (7.0, BATCH[:0], torch.zeros(0, 3)),
    ],
)
def test_levels(sigma: Any, image: Tensor, expected: Tensor) -> None:
    found = noise_levels(sigma, image)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ('sigma', 'image'),
    [
        (torch.ones(2), IMAGE),
        (torch.ones(4, 5), IMAGE),
        (torch.ones(3, 5, 4), IMAGE),
        (torch.ones(2, 3, 4, 5), IMAGE),
        (torch.ones(3), BATCH),
        (torch.ones(3, 2), BATCH),
        (torch.ones(3, 4, 5), BATCH),
        (torch.ones(2, 3, 5, 4), BATCH),
    ],
)
def test_levels_that_do_not_fit(sigma: Tensor, image: Tensor) -> None:
    with pytest.raises(BandMismatchError, match='Expected sigma of shape'):
        noise_levels(sigma, image)


def test_power_of_bands() -> None:
    level = VALUES.clone()
    valid = torch.ones(2, 4, 5, dtype=torch.bool)
    valid[0, :, 2:] = False
    valid[1] = False
    level[0, :, :, 3] = torch.nan
    # 3 is not valid, and 1 not known
    level[0, 1, 2, 1] = torch.nan
    found = band_power(level, valid)
    for band in range(3):
        kept = [
            VALUES[0, band, row, col].item() ** 2
            for row in range(4)
            for col in range(2)
            if (band, row, col) != (1, 2, 1)
        ]
        assert found[0, band].item() == pytest.approx(sum(kept) / len(kept))
    assert not found[1].any()
    assert torch.equal(band_power(VALUES[:, :, 0, 0]), VALUES[:, :, 0, 0].double() ** 2)
