# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The Brovey transform."""

import torch
from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EPS
from ..base import Numbers
from ..pair import Pair
from ._intensity import MeanIntensity, new_details


class Brovey(MeanIntensity):
    """Each pixel, times the panchromatic image over the mean of its bands.

    The PAN first gets mean and standard deviation of that intensity. Ratios of bands stay
    what they are. https://doi.org/10.1016/0034-4257(87)90088-5

    Example:
        >>> Brovey()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Multiply by PAN over intensity.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Scale and offset of the PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        intensity = pair.up.mean(1, keepdim=True)
        details = new_details(pair.pan, intensity, found)
        return torch.addcmul(pair.up, pair.up, details / (intensity + EPS))


@register_model
def brovey(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> Brovey:
    """Build :class:`Brovey`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return Brovey(interpolation=interpolation, boundary=boundary)
