# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Adaptive Gram-Schmidt."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._regression import combine, regress, spread
from ..base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from ..pair import Pair


class GSA(MeasuringPansharpener):
    """Gram-Schmidt with an intensity that is fitted to the panchromatic image.

    The intensity is the combination of bands that comes closest to the PAN at the
    resolution of the cube. Each band gets the difference of the PAN and the intensity,
    times its regression on the intensity. https://doi.org/10.1109/TGRS.2007.901007

    Example:
        >>> GSA()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    passes = 2

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure the coarse images, then the fine ones.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: The weights of the bands, after the first pass.

        Returns:
            Moments.
        """
        if not found:
            coarse = PixelMoments.of(
                pair.cube, pair.pan_atrous_decimated, pair.low_counting, full=True
            )
            return {'coarse': coarse}
        images = torch.cat([pair.pan, combine(pair.up, found['weights'])], 1)
        return {'fine': PixelMoments.of(pair.up, images, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Fit the bands to the PAN, then each band to the intensity.

        Args:
            moments: What was measured.
            found: What the first pass has found.

        Returns:
            Weights of the bands; or gains, and the means of PAN and intensity.
        """
        if not found:
            return {'weights': regress(moments['coarse'])[0]}
        fine = moments['fine']
        deviation = spread(fine)
        gains = divide(fine.covariance[:, :-2, -1], deviation[:, -1:].square())
        # what was fitted to a PAN of a single value is rounding
        gains = gains * (deviation[:, -2:-1] > 0)
        return {'gains': gains, 'means': fine.mean[:, -2:]}

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the difference of PAN and intensity.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Weights, gains and means.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        means = per_band(found['means'], pair.pan)
        pan = pair.pan - means[:, :1]
        details = pan - (combine(pair.up, found['weights']) - means[:, 1:])
        return pair.up + per_band(found['gains'], pair.pan) * details


@register_model
def gsa(interpolation: Method = 'ideal', boundary: Edge = 'symmetric') -> GSA:
    """Build :class:`GSA`.

    Args:
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return GSA(interpolation=interpolation, boundary=boundary)
