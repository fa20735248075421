# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gram-Schmidt."""

import torch
from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from ..base import Numbers, per_band
from ..pair import Pair
from ._intensity import MeanIntensity, new_details


class GS(MeanIntensity):
    """Gram-Schmidt with the mean of the bands as the intensity.

    The PAN gets mean and standard deviation of the intensity. Each band gets the
    difference of both, times its regression on the intensity: that is what replacing
    the first component of a Gram-Schmidt transform amounts to. US patent 6,011,875
    (2000); https://doi.org/10.1109/TGRS.2007.901007

    Example:
        >>> GS()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the difference of PAN and intensity.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Gains, and scale and offset of the PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        details = new_details(pair.pan, pair.up.mean(1, keepdim=True), found)
        return torch.addcmul(pair.up, per_band(found['gains'], pair.pan), details)


@register_model
def gs(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> GS:
    """Build :class:`GS`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return GS(interpolation=interpolation, boundary=boundary)
