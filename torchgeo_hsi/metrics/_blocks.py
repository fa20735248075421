# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Square blocks of images, a few of them at a time."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

#: Values of one image that a chunk of blocks may hold; 32 MB in float64.
_VALUES = 2**22


class Blocks(NamedTuple):
    """Some blocks of images of the same size."""

    #: Values of each image, shape (N, C, P) for N blocks of P pixels, float64.
    images: tuple[Tensor, ...]
    #: Which pixels count, shape (N, 1, P).
    valid: Tensor


def check_block(block: int, word: str = 'block') -> None:
    """Check the side of blocks.

    Args:
        block: Pixels along a side.
        word: What the option is called.

    Raises:
        ValueError: If blocks would have fewer than two pixels along a side.
    """
    if block != int(block) or block < 2:
        raise ValueError(
            f'Expected {word} to be 2 pixels or more along a side, got {block}. '
            'Papers take 32.'
        )


def mirrored(size: int, block: int, device: torch.device) -> Tensor:
    """Return the indices that extend an axis to whole blocks.

    Args:
        size: Pixels along the axis.
        block: Pixels along a side of a block.
        device: Where the indices are needed.

    Returns:
        Indices of pixels. Beyond the end, pixels come back in reverse order, the last
        one twice.
    """
    padded = torch.arange(-(-size // block) * block, device=device) % (2 * size)
    return torch.where(padded < size, padded, 2 * size - 1 - padded)


def blocks_of(
    images: tuple[Tensor, ...], valid: Tensor, block: int, each: int = 1
) -> Iterator[Blocks]:
    """Cut images into blocks that do not overlap.

    Args:
        images: Images of shape ``(C, H, W)``, each with its own number of bands.
        valid: Pixels that count, shape ``(1, H, W)``.
        block: Pixels along a side. Images are mirrored at the bottom and the right up
            to a whole number of blocks.
        each: Values that are computed from a block, if more than it has itself.

    Yields:
        Blocks, row by row, as many at a time as fit in a bounded memory.
    """
    height, width = valid.shape[-2:]
    rows = torch.split(mirrored(height, block, valid.device), block)
    values = max(each, *(len(image) * block**2 for image in images))
    step = block * max(1, _VALUES // values)
    columns = torch.split(mirrored(width, block, valid.device), step)
    for row in rows:
        for column in columns:
            cut = partial(_cut, row=row, column=column, block=block)
            yield Blocks(tuple(cut(image).double() for image in images), cut(valid))


def _cut(image: Tensor, row: Tensor, column: Tensor, block: int) -> Tensor:
    """Return blocks of shape (N, C, P) of one row of blocks."""
    part = image[:, row][..., column]
    part = part.reshape(*part.shape[:2], -1, block)
    return torch.movedim(part, 2, 0).flatten(2)
