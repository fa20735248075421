# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaps and places of images whose pixels become others."""

import torch
from torch import Tensor

from .._typing import Sample
from ..errors import BandMismatchError


def mask_of(image: Tensor, valid: Tensor | None, name: str) -> Tensor:
    """Return where an image has data.

    Args:
        image: Image of shape ``(..., C, H, W)``.
        valid: What is known, shape ``(..., H, W)``, or None.
        name: What to call it in messages.

    Returns:
        False also where a band is not finite.

    Raises:
        BandMismatchError: If it has another shape.
    """
    finite = image.isfinite().all(-3)
    if valid is None:
        return finite
    if valid.shape != finite.shape:
        raise BandMismatchError(
            f'Expected {name} of shape {tuple(finite.shape)}, as the image of shape '
            f'{tuple(image.shape)}, got {tuple(valid.shape)}.'
        )
    return finite & valid.bool()


def filled(image: Tensor, valid: Tensor) -> Tensor:
    """Put the mean of each band where there is no data.

    Args:
        image: Image of shape ``(..., C, H, W)``.
        valid: Where it has data, shape ``(..., H, W)``.

    Returns:
        The image, at least float32; 0 where a band has no data at all.
    """
    image = image if image.is_floating_point() else image.float()
    if valid.device.type == 'cpu' and bool(valid.all()):
        return image
    inside = valid.unsqueeze(-3)
    # half precision could not hold the sum
    known = image.masked_fill(~inside, 0).double()
    count = inside.sum((-2, -1), keepdim=True).clamp_min(1)
    mean = (known.sum((-2, -1), keepdim=True) / count).to(image.dtype)
    return torch.where(inside, image, mean)


def moved_place(
    sample: Sample, row: Tensor | int, column: Tensor | int, size: tuple[int, int]
) -> Sample:
    """Return the place of a part of an image.

    Args:
        sample: Sample or batch, maybe with ``transform`` and ``bounds``.
        row: First row of the part, one or one for each sample of a batch.
        column: First column.
        size: Rows and columns of the part.

    Returns:
        The entries that change.
    """
    if 'transform' not in sample:
        return {}
    new = sample['transform'].double().clone()
    new[..., 2] += new[..., 0] * column + new[..., 1] * row
    new[..., 5] += new[..., 3] * column + new[..., 4] * row
    return _placed(sample, new, size)


def scaled_place(sample: Sample, factor: float, size: tuple[int, int]) -> Sample:
    """Return the place of an image with other pixels in the same corner.

    Args:
        sample: Sample or batch, maybe with ``transform`` and ``bounds``.
        factor: Size of the new pixels in old ones.
        size: Rows and columns of the image.

    Returns:
        The entries that change.
    """
    if 'transform' not in sample:
        return {}
    new = sample['transform'].double().clone()
    new[..., [0, 1, 3, 4]] *= factor
    return _placed(sample, new, size)


def _placed(sample: Sample, transform: Tensor, size: tuple[int, int]) -> Sample:
    """Return a transform and the bounds that follow from it."""
    placed: Sample = {'transform': transform.to(sample['transform'].dtype)}
    if 'bounds' not in sample:
        return placed
    height, width = size
    a, b, c, d, e, f = transform[..., :6].unbind(-1)
    x = torch.stack([c, c + a * width, c + b * height, c + a * width + b * height])
    y = torch.stack([f, f + d * width, f + e * height, f + d * width + e * height])
    bounds = sample['bounds'].double().clone()
    edges = [x.amin(0), x.amax(0), a.abs(), y.amin(0), y.amax(0), e.abs()]
    bounds[..., :6] = torch.stack(edges, -1)
    placed['bounds'] = bounds.to(sample['bounds'].dtype)
    return placed
