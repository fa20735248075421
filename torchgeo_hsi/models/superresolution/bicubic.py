# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Interpolation, which every network of super-resolution has to beat."""

from torch import Tensor

from ...physics.resampling import imresize_up
from ..api import register_model
from .base import SuperResolver


class Bicubic(SuperResolver):
    """Cubic convolution, equal to ``imresize`` of MATLAB.

    The first row of all tables of super-resolution. From:

    * https://doi.org/10.1109/TASSP.1981.1163711

    Example:
        >>> import torch
        >>> Bicubic(scale=2)(torch.rand(1, 5, 8, 8)).shape
        torch.Size([1, 5, 16, 16])
    """

    context = 2

    def enlarge(self, image: Tensor) -> Tensor:
        """Interpolate.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.
        """
        return imresize_up(image, self.scale)


@register_model
def bicubic(scale: int = 2) -> Bicubic:
    """Build :class:`Bicubic`.

    Args:
        scale: Factor of rows and columns.

    Returns:
        The method.
    """
    return Bicubic(scale)
