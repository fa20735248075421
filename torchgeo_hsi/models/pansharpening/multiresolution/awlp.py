# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Proportional additive wavelet details."""

import torch
from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EPS, EqualizingPansharpener
from ..base import Numbers, per_band
from ..pair import Pair


class AWLP(EqualizingPansharpener):
    """Wavelet details of the panchromatic image, in proportion to the bands.

    The PAN gets mean and standard deviation of each band; its details on the levels of
    an a-trous wavelet that the cube lacks are added, times the band over the mean of all
    bands. https://doi.org/10.1109/TGRS.2005.856106

    Example:
        >>> AWLP()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def smooth(self, pair: Pair) -> Tensor:
        """Return the PAN made smaller and larger again.

        Args:
            pair: Cube and PAN, or a tile of them.

        Returns:
            Images of shape ``(B, 1, H, W)``.
        """
        return pair.pan_bicubic

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Scale and offset of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        share = pair.up / (pair.up.mean(1, keepdim=True) + EPS)
        details = pair.pan - pair.pan_atrous
        return torch.addcmul(
            pair.up, share * per_band(found['scale'], pair.pan), details
        )


@register_model
def awlp(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> AWLP:
    """Build :class:`AWLP`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return AWLP(interpolation=interpolation, boundary=boundary)
