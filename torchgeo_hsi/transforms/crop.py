# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops and resizing that let no pixel without data into its neighbours."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .._typing import Sample
from .dihedral import Move, move

#: Rows, columns, height and width of a crop.
type Box = tuple[int, int, int, int]

#: Keys that no longer fit once pixels have moved.
_PLACE = ('bounds', 'transform')


class RandomResizedCrop(nn.Module):
    """Cut a random part out of each image of a batch and resize it.

    Area and aspect ratio of the part are random, as in the training of Inception.
    Images are interpolated linearly, labels take the nearest pixel, and a pixel to
    which an invalid one contributes is not valid afterwards.

    * https://doi.org/10.1109/CVPR.2015.7298594

    Example:
        >>> import torch
        >>> crop = RandomResizedCrop(8, generator=torch.Generator().manual_seed(0))
        >>> batch = {'image': torch.rand(2, 202, 16, 16), 'mask': torch.ones(2, 16, 16)}
        >>> {key: tuple(value.shape) for key, value in crop(batch).items()}
        {'image': (2, 202, 8, 8), 'mask': (2, 8, 8)}
    """

    def __init__(
        self,
        size: int,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new RandomResizedCrop instance.

        Args:
            size: Rows and columns of the result.
            scale: Smallest and largest share of the area that is cut out.
            ratio: Smallest and largest ratio of width to height.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            ValueError: If *size* is not positive, or the bounds are not in order.
        """
        super().__init__()
        if (
            size < 1
            or not 0 < scale[0] <= scale[1] <= 1
            or not 0 < ratio[0] <= ratio[1]
        ):
            raise ValueError(
                'Expected a positive size, 0 < scale[0] <= scale[1] <= 1 and '
                f'0 < ratio[0] <= ratio[1], got {size}, {scale} and {ratio}.'
            )
        self.size = size
        self.scale = scale
        self.ratio = ratio
        self.generator = generator

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``, and maybe ``valid``,
                ``mask`` and ``target`` with the same last two axes, and ``pan`` with a
                whole number of pixels in each of them.

        Returns:
            A new batch, without ``bounds`` and ``transform``.
        """
        return resize(batch, self.draw(batch), self.size)

    def draw(self, batch: Sample) -> list[Box]:
        """Draw the parts that are cut out.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``.

        Returns:
            For each image, the first row and column, the height and the width.
        """
        height, width = batch['image'].shape[-2:]
        return [self._box(height, width) for _ in batch['image']]

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        ratio = tuple(round(bound, 3) for bound in self.ratio)
        return f'size={self.size}, scale={self.scale}, ratio={ratio}'

    def _uniform(self, low: float, high: float) -> float:
        number = float(torch.rand((), generator=self.generator))
        return low + (high - low) * number

    def _box(self, height: int, width: int) -> Box:
        """Draw a part; the largest one of an allowed shape where none fits."""
        for _ in range(10):
            area = height * width * self._uniform(*self.scale)
            ratio = math.exp(self._uniform(*map(math.log, self.ratio)))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                top = round(self._uniform(-0.499, height - h + 0.499))
                left = round(self._uniform(-0.499, width - w + 0.499))
                return top, left, h, w
        h = min(height, max(1, round(width / self.ratio[0])))
        w = min(width, max(1, round(height * self.ratio[1])))
        return (height - h) // 2, (width - w) // 2, h, w


class CenterResizedCrop(nn.Module):
    """Cut the largest square out of the middle of each image and resize it.

    Images that have the size already are left alone. See :class:`RandomResizedCrop`
    for how pixels are computed.

    Example:
        >>> import torch
        >>> crop = CenterResizedCrop(128)
        >>> crop({'image': torch.rand(1, 3, 100, 120)})['image'].shape
        torch.Size([1, 3, 128, 128])
    """

    def __init__(self, size: int) -> None:
        """Initialize a new CenterResizedCrop instance.

        Args:
            size: Rows and columns of the result.

        Raises:
            ValueError: If *size* is not positive.
        """
        super().__init__()
        if size < 1:
            raise ValueError(f'Expected a positive size, got {size}.')
        self.size = size

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``, and maybe ``valid``,
                ``mask`` and ``target`` with the same last two axes, and ``pan`` with a
                whole number of pixels in each of them.

        Returns:
            A new batch, without ``bounds`` and ``transform`` if pixels moved.
        """
        height, width = batch['image'].shape[-2:]
        if height == width == self.size:
            return dict(batch)
        side = min(height, width)
        box = (height - side) // 2, (width - side) // 2, side, side
        return resize(batch, [box] * len(batch['image']), self.size)


def resize(
    batch: Sample, boxes: list[Box], size: int, moves: list[Move] | None = None
) -> Sample:
    """Cut a box out of each image of a batch, resize it, and maybe turn it.

    Args:
        batch: Batch as of :class:`RandomResizedCrop`.
        boxes: A box for each image.
        size: Rows and columns of the result.
        moves: Flip and rotation of each image, after the crop; none by default.

    Returns:
        A new batch, without ``bounds`` and ``transform``.
    """
    image = batch['image']
    result = {key: value for key, value in batch.items() if key not in _PLACE}
    # what stands in an invalid pixel must not be added to others
    valid = batch.get('valid')
    result['image'] = _linear(image, boxes, size, moves, valid)
    if valid is not None:
        shares = _linear(valid.unsqueeze(-3).float(), boxes, size, moves)
        result['valid'] = shares.squeeze(-3) > 1 - 1e-4
    if 'target' in batch and batch['target'].shape[-2:] == image.shape[-2:]:
        result['target'] = _linear(batch['target'], boxes, size, moves, valid)
    if 'pan' in batch:
        ratio = batch['pan'].shape[-1] // image.shape[-1]
        fine = [(ratio * t, ratio * x, ratio * h, ratio * w) for t, x, h, w in boxes]
        known = valid
        if known is not None:
            known = known.repeat_interleave(ratio, -2).repeat_interleave(ratio, -1)
        result['pan'] = _linear(batch['pan'], fine, ratio * size, moves, known)
    if 'mask' in batch:
        parts = zip(batch['mask'], boxes, moves or [Move()] * len(boxes), strict=True)
        masks = [move(_nearest(mask, box, size), turn) for mask, box, turn in parts]
        result['mask'] = torch.stack(masks)
    return result


def _linear(
    images: Tensor,
    boxes: list[Box],
    size: int,
    moves: list[Move] | None = None,
    valid: Tensor | None = None,
) -> Tensor:
    images = images if images.is_floating_point() else images.float()
    result = images.new_empty((*images.shape[:2], size, size))
    for k, (top, left, height, width) in enumerate(boxes):
        place = slice(top, top + height), slice(left, left + width)
        part = images[k][:, *place]
        if valid is not None and has_holes(valid[k][place]):
            part = part.masked_fill(~valid[k][place], 0)
        if moves is not None:
            # interpolation copies the part anyway, and it is smaller than the result
            part = move(part, moves[k])
        result[k] = functional.interpolate(
            part[None], (size, size), mode='bilinear', align_corners=False
        )[0]
    return result


def has_holes(valid: Tensor) -> bool:
    """Whether there may be pixels without data; to ask a GPU would be to wait for it.

    Args:
        valid: True for pixels with data.

    Returns:
        False if there are none for sure.
    """
    return valid.device.type != 'cpu' or not bool(valid.all())


def _nearest(mask: Tensor, box: Box, size: int) -> Tensor:
    """Take the pixel in whose area the middle of the new one lies."""
    top, left, height, width = box
    steps = (torch.arange(size, device=mask.device) + 0.5) / size
    rows = top + (steps * height).long()
    columns = left + (steps * width).long()
    return mask[rows][:, columns]
