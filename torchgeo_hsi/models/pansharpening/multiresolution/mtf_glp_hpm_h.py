# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""High-pass modulation with a correction of haze."""

from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import modulate
from .._regression import regress, spread
from ..base import MeasuringPansharpener, Moments, Numbers, per_band
from ..pair import Pair


class MTFGLPHPMH(MeasuringPansharpener):
    """High-pass modulation of what is above the haze.

    The haze of a band is its minimum. That of the PAN is what the bands' haze makes of
    the combination of bands that comes closest to the PAN, blurred by a Gaussian filter.
    The ratio is kept in 0 to 10. https://doi.org/10.1109/LGRS.2017.2761021

    Example:
        >>> import torch
        >>> MTFGLPHPMH()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
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
        """Find the haze of bands and PAN.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            The haze, and 0 for a PAN of a single value, else 1.
        """
        fine = moments['fine']
        weights, constants = regress(fine)
        haze = fine.minimum[:, :-1]
        pan_haze = (weights * haze).sum(1, keepdim=True) + constants
        share = (spread(fine)[:, -1:] > 0).to(haze)
        return {'haze': haze, 'pan_haze': pan_haze, 'share': share}

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Multiply what is above the haze by PAN over low-pass.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: The haze.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        haze = per_band(found['haze'], pair.up)
        low = pair.pan_low - per_band(found['pan_haze'], pair.pan)
        share = per_band(found['share'], pair.pan)
        pan = low + share * (pair.pan - pair.pan_low)
        return modulate(pair.up - haze, pan, low) + haze


@register_model
def mtf_glp_hpm_h(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLPHPMH:
    """Build :class:`MTFGLPHPMH`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLPHPMH(gain=gain, interpolation=interpolation, boundary=boundary)
