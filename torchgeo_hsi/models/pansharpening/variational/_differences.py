# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Differences of neighboring pixels, and their adjoint."""

import torch
from torch import Tensor


def differences(image: Tensor, *, circular: bool = False) -> tuple[Tensor, Tensor]:
    """Subtract each pixel from the next one.

    Args:
        image: Images of shape ``(..., H, W)``.
        circular: Whether the first row and column follow the last ones; otherwise the
            last differences are 0.

    Returns:
        Differences along the rows and along the columns of the image, each of its shape.
    """
    found = []
    for dim in (-1, -2):
        if circular:
            found.append(image.roll(-1, dim) - image)
            continue
        step = torch.zeros_like(image)
        length = image.shape[dim]
        step.narrow(dim, 0, length - 1).copy_(image.diff(dim=dim))
        found.append(step)
    return found[0], found[1]


def differences_adjoint(
    across: Tensor, down: Tensor, *, circular: bool = False
) -> Tensor:
    """Apply the adjoint of :func:`differences`.

    Args:
        across: First part, shape ``(..., H, W)``.
        down: Second part, same shape.
        circular: Whether the first row and column follow the last ones.

    Returns:
        Images of the same shape.
    """
    if circular:
        return across.roll(1, -1) - across + down.roll(1, -2) - down
    total = torch.zeros_like(across)
    for part, dim in ((across, -1), (down, -2)):
        length = part.shape[dim]
        inner = part.narrow(dim, 0, length - 1)
        total.narrow(dim, 0, length - 1).sub_(inner)
        total.narrow(dim, 1, length - 1).add_(inner)
    return total
