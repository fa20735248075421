# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The interpolated cube."""

from torch import Tensor

from ...physics.resampling.interpolate import Edge, Method
from ..api import register_model
from .base import Pansharpener
from .pair import Pair


class EXP(Pansharpener):
    """Interpolation without any look at the panchromatic image.

    The first row of all tables of pansharpening: what a method has to be better than.

    Example:
        >>> EXP()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    knows_margins = True

    def sharpen(self, pair: Pair) -> Tensor:
        """Interpolate.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        return pair.up


@register_model
def exp(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> EXP:
    """Build :class:`EXP`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return EXP(interpolation=interpolation, boundary=boundary)
