# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the mean over turns and reflections."""

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

from torchgeo_hsi.layers import self_ensemble


def test_mean_over_the_symmetries_of_the_kernel() -> None:
    """For a convolution, it is one with the mean of all positions of its kernel."""
    torch.manual_seed(0)
    kernel = torch.rand(4, 3, 3, 3, dtype=torch.float64)
    image = torch.rand(2, 3, 9, 7, dtype=torch.float64)

    def network(part: Tensor) -> Tensor:
        return F.conv2d(part, kernel, padding=1)

    positions = []
    for rows, columns, swap in itertools.product((1, -1), (1, -1), (False, True)):
        moved = kernel.numpy()[..., ::rows, ::columns]
        moved = moved.swapaxes(2, 3) if swap else moved
        positions.append(torch.from_numpy(moved.copy()))
    mean = torch.stack(positions).mean(0)
    expected = F.conv2d(image, mean, padding=1)
    assert torch.allclose(self_ensemble(network, image), expected, atol=1e-14)


def test_larger_images_and_masks_are_turned_alike() -> None:
    torch.manual_seed(0)
    image, mask = torch.rand(1, 2, 5, 8), torch.rand(1, 5, 8) > 0.5
    seen = []

    def network(part: Tensor, valid: Tensor) -> Tensor:
        # the mask belongs to the pixels that it had before
        assert torch.equal(valid, torch.isin(part[:, 0], image[:, 0][mask]))
        seen.append(part.shape)
        return part.repeat_interleave(3, -1).repeat_interleave(3, -2)

    result = self_ensemble(network, image, mask)
    expected = image.repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.allclose(result, expected)
    assert len(seen) == 8
    assert {tuple(shape[-2:]) for shape in seen} == {(5, 8), (8, 5)}
