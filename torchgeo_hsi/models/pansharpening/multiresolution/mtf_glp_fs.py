# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The generalized Laplacian pyramid with a regression at full scale."""

import torch

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import GainPansharpener
from .._regression import spread
from ..base import Moments, Numbers, divide
from ..pair import Pair


class MTFGLPFS(GainPansharpener):
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
        fine = moments['fine']
        covariance = fine.covariance[..., 0]
        gains = divide(covariance[:, :-2], covariance[:, -2:-1])
        # those of a PAN of a single value are rounding
        return {'gains': gains * (spread(fine)[:, -1:] > 0)}


@register_model
def mtf_glp_fs(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLPFS:
    """Build :class:`MTFGLPFS`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLPFS(gain=gain, interpolation=interpolation, boundary=boundary)
