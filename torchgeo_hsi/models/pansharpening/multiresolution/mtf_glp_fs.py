# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The generalized Laplacian pyramid with a regression at full scale."""

from typing import Any

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ...api import register_model
from ..base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from ..pair import Pair


class MTFGLPFS(MeasuringPansharpener):
    """Details of the panchromatic image, times a regression at full scale.

    Details are what the sensor of the cube would not see of the PAN. The gain of a band
    is its covariance with the PAN over that of the low-pass with the PAN.
    https://doi.org/10.1109/TIP.2018.2819501

    Example:
        >>> MTFGLPFS()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure how bands and low-pass go with the PAN.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        images = torch.cat([pair.up, pair.pan_low], 1)
        return {'fine': PixelMoments.of(images, pair.pan, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Find the gains.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            Gains of the bands.
        """
        covariance = moments['fine'].covariance[..., 0]
        return {'gains': divide(covariance[:, :-2], covariance[:, -2:-1])}

    def apply(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Gains of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        return torch.addcmul(
            pair.up, per_band(found['gains'], pair.pan), pair.pan - pair.pan_low
        )


@register_model
def mtf_glp_fs(**options: Any) -> MTFGLPFS:
    """Build :class:`MTFGLPFS`.

    Args:
        **options: Arguments of :class:`~torchgeo_hsi.models.Pansharpener`.

    Returns:
        The method.
    """
    return MTFGLPFS(**options)
