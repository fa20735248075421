# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The Brovey transform with a correction of haze."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import EPS
from .._regression import combine, regress, spread
from ..base import MeasuringPansharpener, Moments, Numbers, per_band
from ..pair import Pair
from ._intensity import match_intensity, new_details


class BTH(MeasuringPansharpener):
    """The Brovey transform of what is above the haze.

    The haze of a band is its minimum. The intensity is the combination of bands that
    comes closest to the PAN, blurred by a Gaussian filter. https://doi.org/10.1109/LGRS.2017.2761021

    Where the intensity is almost 0, at the darkest pixel of the scene, the ratio that all
    bands are multiplied by is uncertain: 1 DN of rounding in the interpolated cube
    changes results by a few percent there.

    Example:
        >>> BTH()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure bands and blurred PAN.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        images = PixelMoments.of(pair.up, pair.pan_smooth, pair.counting, full=True)
        return {'fine': images}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Fit the bands to the blurred PAN.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            Weights and haze of the bands, scale and offset of the PAN.
        """
        fine = moments['fine']
        weights, _ = regress(fine, intercept=False)
        haze = fine.minimum[:, :-1]
        mean = (weights * (fine.mean[:, :-1] - haze)).sum(1, keepdim=True)
        bands = fine.covariance[:, :-1, :-1]
        variance = torch.einsum('bi,bij,bj->b', weights, bands, weights)[:, None]
        matched = match_intensity(
            mean, variance.clamp_min(0).sqrt(), fine.mean[:, -1:], spread(fine)[:, -1:]
        )
        return {'weights': weights, 'haze': haze, **matched}

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Multiply what is above the haze by PAN over intensity.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Weights, haze, scale and offset.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        haze = per_band(found['haze'], pair.up)
        above = pair.up - haze
        intensity = combine(above, found['weights'])
        details = new_details(pair.pan, intensity, found)
        above = above.clamp_min(0)
        return torch.addcmul(above, above, details / (intensity + EPS)) + haze


@register_model
def bt_h(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> BTH:
    """Build :class:`BTH`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return BTH(gain=gain, interpolation=interpolation, boundary=boundary)
