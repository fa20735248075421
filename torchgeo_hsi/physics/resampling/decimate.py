# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Decimation with the phase of the protocols of pansharpening."""

from torch import Tensor


def check_ratio(ratio: int) -> int:
    """Check a ratio of pixel sizes.

    Args:
        ratio: Size of a coarse pixel over that of a fine one.

    Returns:
        The ratio.

    Raises:
        ValueError: If it is no whole number from 2 on.
    """
    if isinstance(ratio, bool) or int(ratio) != ratio or ratio < 2:
        raise ValueError(
            f'Expected a ratio of pixel sizes that is a whole number from 2 on, got '
            f'{ratio!r}. Resample one of the images first.'
        )
    return int(ratio)


def check_divides(image: Tensor, ratio: int) -> tuple[int, int]:
    """Check that an image has whole coarse pixels.

    Args:
        image: Image of shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Coarse rows and columns.

    Raises:
        ValueError: If a size is no multiple of the ratio.
    """
    ratio = check_ratio(ratio)
    height, width = image.shape[-2:]
    if height % ratio or width % ratio or not height or not width:
        raise ValueError(
            f'Expected rows and columns that are multiples of the ratio {ratio}, got '
            f'{height} x {width}. Crop the image to {height // ratio * ratio} x '
            f'{width // ratio * ratio}.'
        )
    return height // ratio, width // ratio


def decimate(image: Tensor, ratio: int) -> Tensor:
    """Keep one sample of each coarse pixel, without any filter.

    Args:
        image: Image of shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Every *ratio*-th sample, beginning with number ``ratio // 2``; shape ``(..., H /
        ratio, W / ratio)``, a view.

    Raises:
        ValueError: If a size is no multiple of the ratio.

    Example:
        >>> import torch
        >>> decimate(torch.arange(6.0).repeat(6, 1), 6)
        tensor([[3.]])
    """
    check_divides(image, ratio)
    return image[..., ratio // 2 :: ratio, ratio // 2 :: ratio]


def repeat_pixels(image: Tensor, ratio: int) -> Tensor:
    """Give each fine pixel the value of the coarse one that covers it, such as a mask.

    Args:
        image: Image of shape ``(..., h, w)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Image of shape ``(..., h * ratio, w * ratio)``.

    Example:
        >>> import torch
        >>> repeat_pixels(torch.tensor([[True, False]]), 2)
        tensor([[ True,  True, False, False],
                [ True,  True, False, False]])
    """
    return image.repeat_interleave(ratio, -2).repeat_interleave(ratio, -1)
