# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean over the turns and reflections of an image."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Quarter turns and reflections of a square.
_MOVES = tuple((turns, flip) for turns in range(4) for flip in (False, True))


def self_ensemble(
    network: Callable[..., Tensor], image: Tensor, *others: Tensor
) -> Tensor:
    """Apply a network to an image in its eight positions, and take the mean.

    What a network does to an image should not depend on which way it is turned, but
    does a little. The mean over the eight turns and reflections does not, and is often
    a little better than any of them; it takes eight times as long. From:

    * https://doi.org/10.1109/CVPRW.2017.151

    Args:
        network: Takes images of shape ``(..., h, w)`` and *others*, and returns images
            of shape ``(..., s * h, s * w)`` with any *s*.
        image: Images of shape ``(..., h, w)``.
        *others: What is turned with them, such as a mask of shape ``(B, h, w)``.

    Returns:
        The mean of the eight results, each turned back.

    Example:
        >>> def shear(image):
        ...     return image + image.roll(1, -1)
        >>> image = torch.zeros(1, 3, 3)
        >>> image[0, 1, 1] = 1
        >>> self_ensemble(shear, image)
        tensor([[[0.0000, 0.2500, 0.0000],
                 [0.2500, 1.0000, 0.2500],
                 [0.0000, 0.2500, 0.0000]]])
    """
    total: Tensor | None = None
    for turns, flip in _MOVES:
        result = network(*(_move(part, turns, flip) for part in (image, *others)))
        result = torch.rot90(result.flip(-1) if flip else result, -turns, (-2, -1))
        total = result if total is None else total + result
    assert total is not None
    return total / len(_MOVES)


def _move(image: Tensor, turns: int, flip: bool) -> Tensor:
    moved = torch.rot90(image, turns, (-2, -1))
    return moved.flip(-1) if flip else moved
