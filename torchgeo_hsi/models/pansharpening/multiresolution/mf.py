# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Morphological half-gradients."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EqualizingPansharpener, modulate
from ..base import Numbers, per_band
from ..pair import Pair


class MF(EqualizingPansharpener):
    """Each band, times the panchromatic image over its morphological low-pass version.

    That is a pyramid: on each level the mean of dilation and erosion by a cross of five
    pixels, and every other pixel of it. The levels halve the size until it is at most
    that of the cube, so for a ratio of 6 the pyramid ends at an eighth. The ratio is kept
    in 0 to 10. https://doi.org/10.1109/TIP.2016.2556944

    Example:
        >>> MF()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    #: The pyramid halves the PAN up to four times, for ratios up to 16.
    alignment = 16

    #: Tiles that begin at multiples of this do so with their margins, too.
    context = 48

    def smooth(self, pair: Pair) -> Tensor:
        """Return the PAN itself.

        Args:
            pair: Cube and PAN, or a tile of them.

        Returns:
            Images of shape ``(B, 1, H, W)``.
        """
        return pair.pan

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Multiply by PAN over low-pass.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Scale and offset of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        low = pair.crop(morphological_lowpass(pair.whole.pan, pair.ratio))
        scale, offset = (per_band(found[x], pair.pan) for x in ('scale', 'offset'))
        # neither maxima nor minima nor means mind a scale that is not negative
        return modulate(pair.up, pair.pan * scale + offset, low * scale + offset)


def morphological_lowpass(image: Tensor, ratio: int) -> Tensor:
    """Go down a pyramid of morphological half-gradients, and up by interpolation.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        ratio: Ratio of pixel sizes; the pyramid has ``ceil(log2(ratio))`` levels.

    Returns:
        Images of the same shape.

    Example:
        >>> bool(morphological_lowpass(torch.ones(1, 1, 48, 48), 6).eq(1).all())
        True
    """
    levels = math.ceil(math.log2(ratio))
    height, width = image.shape[-2:]
    # whole pixels of the last level, so that no level is stretched
    missing = (-width % 2**levels, -height % 2**levels)
    low = F.pad(image, (0, missing[0], 0, missing[1]), mode='replicate')
    for level in range(levels):
        # the first level keeps the second of two pixels, the others the first
        start = int(level == 0)
        low = _half_gradients(low)[..., start::2, start::2]
    for _ in range(levels):
        low = F.interpolate(low, scale_factor=2, mode='bilinear', align_corners=False)
    return low[..., :height, :width]


def _half_gradients(image: Tensor) -> Tensor:
    """Return the mean of dilation and erosion by a cross."""
    padded = F.pad(image, (1, 1, 1, 1), mode='replicate')
    high = low = image
    for part in (
        padded[..., :-2, 1:-1],
        padded[..., 2:, 1:-1],
        padded[..., 1:-1, :-2],
        padded[..., 1:-1, 2:],
    ):
        high, low = torch.maximum(high, part), torch.minimum(low, part)
    return (high + low) / 2


@register_model
def mf(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> MF:
    """Build :class:`MF`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MF(interpolation=interpolation, boundary=boundary)
