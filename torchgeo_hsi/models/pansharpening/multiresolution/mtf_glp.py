# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The generalized Laplacian pyramid."""

from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EqualizingPansharpener, equalized_pair
from ..base import Numbers
from ..pair import Pair


class MTFGLP(EqualizingPansharpener):
    """Details of the panchromatic image as they are, after equalization.

    The PAN gets mean and standard deviation of each band; what the sensor of the cube
    would not see of it is added. https://doi.org/10.14358/PERS.72.5.591

    Example:
        >>> import torch
        >>> MTFGLP()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def smooth(self, pair: Pair) -> Tensor:
        """Return the PAN blurred by a Gaussian filter.

        Args:
            pair: Cube and PAN, or a tile of them.

        Returns:
            Images of shape ``(B, 1, H, W)``.
        """
        return pair.pan_smooth

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Scale and offset of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        pan, low = equalized_pair(pair, found)
        return pair.up + (pan - low)


@register_model
def mtf_glp(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLP:
    """Build :class:`MTFGLP`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLP(gain=gain, interpolation=interpolation, boundary=boundary)
