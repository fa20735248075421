# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pixels without data: what stands there while a method looks around."""

import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError


def known_pixels(image: Tensor, valid: Tensor | None, word: str = 'valid') -> Tensor:
    """Tell which pixels have finite data in all bands.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        valid: True for pixels with data, shape ``(B, H, W)``; all by default.
        word: Name of *valid*, for a message.

    Returns:
        Mask of shape ``(B, H, W)``.

    Raises:
        BandMismatchError: If *valid* has another shape.
    """
    finite = image.isfinite().all(1)
    if valid is None:
        return finite
    if valid.shape != finite.shape:
        raise BandMismatchError(
            f'Expected {word} of shape {tuple(finite.shape)}, as the image of shape '
            f'{tuple(image.shape)}, got {tuple(valid.shape)}.'
        )
    return finite & valid.to(image.device, torch.bool)


def fill_gaps(image: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Put the nearest valid pixel where there are no data.

    Args:
        image: Images of shape ``(B, C, H, W)``; NaN and infinite numbers are gaps, too.
        valid: True for pixels with data, shape ``(B, H, W)``; all by default.

    Returns:
        Images without gaps, and which pixels had data, shape ``(B, H, W)``, or None if
        all had.

    Raises:
        BandMismatchError: If *valid* has another shape.
        EmptyDataError: If an image has no valid pixel.
    """
    finite = known_pixels(image, valid)
    if bool(finite.all()):
        return image, None
    if not bool(finite.flatten(1).any(1).all()):
        raise EmptyDataError(
            'An image has no valid pixel, so there is nothing to fill its gaps from. '
            'Leave out tiles without data.'
        )
    filled = []
    for number, mask in enumerate(finite.cpu().numpy()):
        rows, cols = distance_transform_edt(
            ~mask, return_distances=False, return_indices=True
        )
        place = [torch.from_numpy(x).long().to(image.device) for x in (rows, cols)]
        filled.append(image[number][:, place[0], place[1]])
    return torch.stack(filled), finite
