# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Collaborative filtering of a stack of images that show the same place."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Groups that are filtered at a time, which bounds the memory.
_CHUNK = 1024


class CollaborativeFilter(nn.Module):
    """BM3D whose groups of similar blocks are the same in all images of a stack.

    Around each pixel, the blocks that resemble its own are collected, transformed
    together, shrunk and put back: first with a hard threshold, then as a Wiener filter
    with the first result as the model of what is below the noise, more than once. As in
    BM3D for color images, similarity is judged once, here in all images with what they
    hold above the noise. So an image that is mostly noise, as the last ones of a
    subspace are, profits from those that show the same edges clearly, and one search
    serves all of them. From:

    * https://doi.org/10.1109/TIP.2007.901238
    * https://doi.org/10.5201/ipol.2012.l-bm3d

    The noise has to be white, Gaussian and independent between the images. Blocks are
    much smaller than the 8 x 8 of photographs: pixels of 30 m show fields and houses of
    a few pixels.

    Example:
        >>> stack = torch.rand(1, 8, 40, 40)
        >>> noisy = stack + 30 / 255 * torch.randn(stack.shape)
        >>> CollaborativeFilter()(noisy, 30).shape
        torch.Size([1, 8, 40, 40])
    """

    def __init__(
        self,
        block_size: int = 3,
        step: int = 1,
        radius: int = 12,
        group_size: int = 32,
        threshold: float = 3.5,
        wiener_passes: int = 2,
    ) -> None:
        """Initialize a new CollaborativeFilter instance.

        Args:
            block_size: Height and width of a block in pixels.
            step: Pixels from one reference block to the next.
            radius: Pixels from a block to the farthest one that it is compared with.
            group_size: Blocks of a group, a power of two.
            threshold: Threshold of the first pass, in standard deviations.
            wiener_passes: Passes of the Wiener filter.

        Raises:
            ValueError: If a number makes no sense.
        """
        super().__init__()
        if block_size < 1 or radius < 1 or wiener_passes < 0 or threshold <= 0:
            raise ValueError(
                'Expected a positive block_size, radius and threshold, got '
                f'{block_size}, {radius} and {threshold}.'
            )
        if not 1 <= step <= block_size:
            raise ValueError(
                f'Expected a step from 1 to block_size={block_size}, so that blocks '
                f'cover the image, got {step}.'
            )
        if group_size < 1 or group_size & (group_size - 1):
            raise ValueError(
                f'Expected a power of two as group_size, got {group_size}.'
            )
        self.block_size = block_size
        self.step = step
        self.radius = radius
        self.group_size = group_size
        self.threshold = threshold
        self.wiener_passes = wiener_passes

    def forward(self, image: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise a batch.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            sigma: Standard deviation of the noise, times 255: one number, or those of
                all images, shape ``(B, C)``.

        Returns:
            Images of the same shape.
        """
        sigma = torch.as_tensor(sigma, dtype=image.dtype, device=image.device) / 255
        unit = sigma.expand(image.shape[:2])[..., None, None].clamp_min(1e-12)
        stacks = [self.filter_stack(stack) for stack in (image / unit).float()]
        return torch.stack(stacks).to(image.dtype) * unit

    def filter_stack(self, stack: Tensor) -> Tensor:
        """Denoise one stack with noise of standard deviation 1.

        Args:
            stack: Images of shape ``(C, H, W)``.

        Returns:
            Images of the same shape.
        """
        _, height, width = stack.shape
        size = self.block_size
        pad = max(size - width, 0), max(size - height, 0)
        padded = F.pad(stack[None], (0, pad[0], 0, pad[1]), mode='replicate')[0]
        # what an image holds above the noise, as a share of its energy
        share = (1 - 1 / padded.var((1, 2), correction=0).clamp_min(1)).sqrt()
        result = self._pass(padded, padded * share[:, None, None], None)
        for _ in range(self.wiener_passes):
            result = self._pass(padded, result, result)
        return result[:, :height, :width]

    def _pass(self, stack: Tensor, guide: Tensor, model: Tensor | None) -> Tensor:
        """Collect, shrink and put back all groups once."""
        size = self.block_size
        shape = stack.shape[1:]
        groups = self._match(guide)
        blocks, models = _cut(stack, size), None if model is None else _cut(model, size)
        flat = torch.kron(_dct(size), _dct(size)).to(stack)
        deep = _haar(groups.shape[1]).to(stack)
        total, weight = torch.zeros_like(blocks), torch.zeros_like(blocks)
        for chunk in torch.split(groups, _CHUNK):
            values = _transform(blocks[chunk], deep, flat)
            if models is None:
                kept = values.abs() > self.threshold
                values = values * kept
                noise = kept.sum((1, 3)).clamp_min(1).to(stack)
            else:
                power = _transform(models[chunk], deep, flat).square_()
                gain = power / (power + 1)
                values = values * gain
                noise = gain.square().sum((1, 3)).clamp_min(1e-3)
            values = _transform(values, deep.T, flat.T)
            # the less noise is left in a group, the more it counts
            share = (1 / noise)[:, None, :, None].expand_as(values)
            total.index_add_(0, chunk.flatten(), (values * share).flatten(0, 1))
            weight.index_add_(0, chunk.flatten(), share.flatten(0, 1))
        return _paste(total, shape, size) / _paste(weight, shape, size)

    def _match(self, guide: Tensor) -> Tensor:
        """Find the blocks that resemble each reference block: numbers ``(R, K)``."""
        size, radius = self.block_size, self.radius
        _, height, width = guide.shape
        high, wide = height - size + 1, width - size + 1
        rows, columns = (
            _references(n, self.step).to(guide.device) for n in (high, wide)
        )
        number = torch.arange(high * wide, device=guide.device).view(high, wide)
        reach = min(radius, high - 1), min(radius, wide - 1)
        distances, offsets = [], []
        for down in range(-reach[0], reach[0] + 1):
            for right in range(-reach[1], reach[1] + 1):
                distance = _distance(guide, down, right, size)
                distances.append(distance[rows][:, columns].flatten())
                offsets.append(down * wide + right)
        stacked = torch.stack(distances, 1)
        # a block is always in its own group, and the first of it
        stacked[:, len(offsets) // 2] = -1
        # in a corner, a quarter of the blocks is there
        room = (reach[0] + 1) * (reach[1] + 1)
        count = min(self.group_size, 1 << int(math.log2(room)))
        best = stacked.topk(count, largest=False).indices
        shift = torch.tensor(offsets, device=guide.device)
        return number[rows][:, columns].flatten()[:, None] + shift[best]


def _references(count: int, step: int) -> Tensor:
    """Choose positions of reference blocks; the last position is always one."""
    return torch.cat([torch.arange(0, count - 1, step), torch.tensor([count - 1])])


def _distance(guide: Tensor, down: int, right: int, size: int) -> Tensor:
    """Compare each block with the one at an offset; infinite where there is none."""
    _, height, width = guide.shape
    top, bottom = max(0, -down), min(height, height - down)
    start, end = max(0, -right), min(width, width - right)
    here = guide[:, top:bottom, start:end]
    there = guide[:, top + down : bottom + down, start + right : end + right]
    error = (here - there).square_().sum(0)
    error = F.avg_pool2d(error[None, None], (size, 1), 1)
    error = F.avg_pool2d(error, (1, size), 1)[0, 0]
    result = guide.new_full((height - size + 1, width - size + 1), math.inf)
    result[top : bottom - size + 1, start : end - size + 1] = error
    return result


def _cut(stack: Tensor, size: int) -> Tensor:
    """Cut all blocks out: ``(L, C, size * size)``."""
    blocks = F.unfold(stack[None], size)[0].view(len(stack), size * size, -1)
    return blocks.permute(2, 0, 1).contiguous()


def _paste(blocks: Tensor, shape: torch.Size, size: int) -> Tensor:
    """Add all blocks up at their places."""
    flat = blocks.permute(1, 2, 0).reshape(1, -1, len(blocks))
    return F.fold(flat, tuple(shape), size)[0]


def _transform(groups: Tensor, deep: Tensor, flat: Tensor) -> Tensor:
    """Transform groups ``(R, K, C, N)`` along their blocks and inside of these."""
    mixed = torch.matmul(deep, groups.flatten(2)).view(groups.shape)
    return torch.matmul(mixed, flat.T)


def _dct(size: int) -> Tensor:
    """Matrix of the orthonormal cosine transform."""
    steps = torch.arange(size, dtype=torch.float64)
    angle = math.pi * (2 * steps + 1) * steps[:, None] / (2 * size)
    matrix = angle.cos() * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def _haar(size: int) -> Tensor:
    """Matrix of the orthonormal Haar transform; *size* is a power of two."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        means = torch.kron(matrix, torch.tensor([[1.0, 1.0]], dtype=torch.float64))
        eye = torch.eye(len(matrix), dtype=torch.float64)
        steps = torch.kron(eye, torch.tensor([[1.0, -1.0]], dtype=torch.float64))
        matrix = torch.cat([means, steps]) / math.sqrt(2)
    return matrix
