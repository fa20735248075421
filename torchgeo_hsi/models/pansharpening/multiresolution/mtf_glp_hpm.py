# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The generalized Laplacian pyramid with high-pass modulation."""

from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EqualizingPansharpener, equalized_pair, modulate
from ..base import Numbers
from ..pair import Pair


class MTFGLPHPM(EqualizingPansharpener):
    """Each band, times the panchromatic image over its low-pass version.

    The PAN first gets mean and standard deviation of the band. The ratio is kept in 0 to
    10. https://doi.org/10.1109/LGRS.2013.2281996

    Example:
        >>> import torch
        >>> MTFGLPHPM()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
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
        """Multiply by PAN over low-pass.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Scale and offset of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        return modulate(pair.up, *equalized_pair(pair, found))


@register_model
def mtf_glp_hpm(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLPHPM:
    """Build :class:`MTFGLPHPM`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLPHPM(gain=gain, interpolation=interpolation, boundary=boundary)
