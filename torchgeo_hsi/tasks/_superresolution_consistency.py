# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What networks of super-resolution learn from cubes without a finer one."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .._precision import full_precision
from ..errors import MetadataError
from ..physics.resampling.decimate import repeat_pixels
from ..physics.rgb import conversion_matrix

#: Share of a color in which a cube needs bands: every third one is enough, because both
#: branches see the same colors.
_COVERAGE = 0.3


def consistency_loss(
    network: Callable[..., Tensor],
    criterion: Callable[..., Tensor],
    image: Tensor,
    matrix: Tensor,
    valid: Tensor | None = None,
) -> Tensor:
    """Compute how much the two branches of a network differ.

    The cube that the network makes of a coarse one is brought to the channels of its RGB
    branch; the RGB branch makes the same of the coarse cube in those channels. Both
    learn. From:

    * https://arxiv.org/abs/2101.07589

    Args:
        network: Takes images of shape ``(B, C, h, w)`` and, with ``modality='rgb'``,
            ``(B, n, h, w)``.
        criterion: Takes input, target and valid fine pixels.
        image: Coarse cubes of shape ``(B, C, h, w)``.
        matrix: From bands to channels, shape ``(B, C, n)``.
        valid: Valid coarse pixels of shape ``(B, h, w)``; all by default.

    Returns:
        The loss.
    """
    inputs = {} if valid is None else {'valid': valid}
    fine = network(image, **inputs)
    other = network(_mix(image, matrix), modality='rgb', **inputs)
    if valid is not None:
        valid = repeat_pixels(valid, fine.shape[-1] // image.shape[-1])
    return criterion(_mix(fine, matrix), other, valid)


def _mix(image: Tensor, matrix: Tensor) -> Tensor:
    with full_precision(image.device):
        return torch.einsum('bchw,bcn->bnhw', image, matrix.to(image))


def batch_matrix(
    batch: Mapping[str, Any], channels: int, visible: Sequence[int] | None = None
) -> Tensor:
    """Return what brings each cube of a batch to the channels of an RGB branch.

    Args:
        batch: Batch with ``image`` and maybe ``wavelength`` and ``fwhm``.
        channels: Their number.
        visible: Bands that stand for red, green and blue; by default, wavelengths tell.

    Returns:
        Weights of shape ``(B, C, channels)``.

    Raises:
        MetadataError: If the batch has no wavelengths.
        BandMismatchError: If a cube has no visible bands.
    """
    image: Tensor = batch['image']
    count, bands = image.shape[:2]
    if visible is not None:
        matrix = _of_positions(bands, tuple(visible), channels)
        return matrix.expand(count, -1, -1)
    if batch.get('wavelength') is None:
        raise MetadataError(
            'The cubes have no wavelengths, so nobody knows what is red, green and blue '
            'in them. Pass visible_bands=[red, green, blue] to the task, as positions '
            'from 0.'
        )
    axes = [_rows(batch.get(key), count) for key in ('wavelength', 'fwhm')]
    return torch.stack([_of_axis(*row, channels) for row in zip(*axes, strict=True)])


def _rows(axis: Tensor | None, count: int) -> list[tuple[float, ...] | None]:
    """Return the spectral axis of each cube of a batch."""
    if axis is None:
        return [None] * count
    rows = axis.reshape(-1, axis.shape[-1]).expand(count, -1)
    # what float32 stands for, and not all of its digits
    return [tuple(round(x, 7) for x in row) for row in rows.cpu().double().tolist()]


@functools.lru_cache(maxsize=256)
def _of_axis(
    wavelength: tuple[float, ...], fwhm: tuple[float, ...] | None, channels: int
) -> Tensor:
    return conversion_matrix(wavelength, fwhm, channels, min_coverage=_COVERAGE)


@functools.lru_cache(maxsize=16)
def _of_positions(count: int, visible: tuple[int, ...], channels: int) -> Tensor:
    return conversion_matrix(num_bands=count, n_groups=channels, bands=visible)
