# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What losses of cubes share: checks, and means over valid pixels."""

import torch
from torch import Tensor

from ..errors import BandMismatchError


def check_cubes(input: Tensor, target: Tensor, valid: Tensor | None) -> Tensor | None:
    """Check the shapes of cubes.

    Args:
        input: Predicted cubes of shape ``(B, C, H, W)``.
        target: True cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)``, or None.

    Returns:
        Valid pixels of shape ``(B, 1, H, W)``, or None if all are.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    if input.shape != target.shape or input.ndim != 4:
        raise BandMismatchError(
            'Expected a prediction and a target of the same shape (B, C, H, W), got '
            f'{tuple(input.shape)} and {tuple(target.shape)}.'
        )
    if valid is None:
        return None
    pixels = (input.shape[0], *input.shape[-2:])
    if valid.shape != pixels:
        raise BandMismatchError(
            f'Expected valid of shape {pixels}, as the cubes of shape '
            f'{tuple(input.shape)}, got {tuple(valid.shape)}.'
        )
    return valid.bool().unsqueeze(1)


def error_of(input: Tensor, target: Tensor, valid: Tensor | None) -> Tensor:
    """Subtract cubes.

    Args:
        input: Predicted cubes of shape ``(B, C, H, W)``.
        target: True cubes of the same shape.
        valid: Valid pixels of shape ``(B, 1, H, W)``, or None.

    Returns:
        The difference, at least float32; 0 where it does not count, whatever is there.
    """
    # half precision would lose what the loss of a good network is made of
    error = input.float() - target if input.itemsize < 4 else input - target
    return error if valid is None else error.masked_fill(~valid, 0)


def real_cubes(cubes: Tensor, valid: Tensor | None) -> Tensor:
    """Prepare cubes for what looks at nothing else.

    Args:
        cubes: Cubes of shape ``(B, C, H, W)``.
        valid: Valid pixels of shape ``(B, 1, H, W)``, or None.

    Returns:
        The cubes, at least float32; 0 where they do not count, whatever is there.
    """
    # half precision would lose small differences between neighbors
    cubes = cubes.float() if cubes.itemsize < 4 else cubes
    return cubes if valid is None else cubes.masked_fill(~valid, 0)


def mean_over(values: Tensor, valid: Tensor | None) -> Tensor:
    """Average over valid pixels of all images.

    Args:
        values: Values of shape ``(B, C, H, W)``.
        valid: Valid pixels of a shape that broadcasts against them, or None.

    Returns:
        The mean; 0, and still part of the graph, if no pixel is valid.
    """
    if values.numel() == 0:
        return values.sum()
    if valid is None:
        return values.mean()
    valid = valid.expand_as(values)
    return torch.where(valid, values, 0).sum() / valid.sum().clamp_min(1)
