# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""High-pass modulation with a regression."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import modulate
from .._regression import spread
from ..base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from ..pair import Pair


class MTFGLPHPMR(MeasuringPansharpener):
    """High-pass modulation by the panchromatic image, equalized by a regression.

    As :class:`MTFGLPHPM`, but the contrast that the PAN gets is that of the part of the
    band which goes with its low-pass version. https://doi.org/10.1109/TGRS.2017.2757508

    Example:
        >>> MTFGLPHPMR()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure how the bands go with the low-pass.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        images = torch.cat([pair.pan, pair.pan_low], 1)
        return {'fine': PixelMoments.of(pair.up, images, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Find the regression of each band.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            Gains and offsets of the bands.
        """
        fine = moments['fine']
        variance = spread(fine)[:, -1:].square()
        gains = divide(fine.covariance[:, :-2, -1], variance)
        return {
            'gains': gains,
            'offset': fine.mean[:, :-2] - gains * fine.mean[:, -2:-1],
        }

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Multiply by PAN over low-pass.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Gains and offsets.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        # the published ratio (P + c) / (P_L + c), times the gain above and below, which
        # may be 0
        gains, offset = (per_band(found[x], pair.pan) for x in ('gains', 'offset'))
        return modulate(
            pair.up, gains * pair.pan + offset, gains * pair.pan_low + offset
        )


@register_model
def mtf_glp_hpm_r(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLPHPMR:
    """Build :class:`MTFGLPHPMR`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLPHPMR(gain=gain, interpolation=interpolation, boundary=boundary)
