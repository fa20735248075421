# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The generalized Laplacian pyramid with a regression on its low-pass image."""

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._details import GainPansharpener
from .._regression import spread
from ..base import Moments, Numbers, divide
from ..pair import Pair


class MTFGLPCBD(GainPansharpener):
    """Details of the panchromatic image, times a regression at the cube's scale.

    The gain of a band is its regression on the low-pass version of the PAN: the
    context-based decision (CBD) in its form for the whole scene.
    https://doi.org/10.1109/TGRS.2007.904923

    Example:
        >>> import torch
        >>> MTFGLPCBD()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
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
        return {'fine': PixelMoments.of(pair.up, pair.pan_low, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Find the gains.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            Gains of the bands.
        """
        fine = moments['fine']
        variance = spread(fine)[:, -1:].square()
        return {'gains': divide(fine.covariance[:, :-1, 0], variance)}


@register_model
def mtf_glp_cbd(
    gain: float = 0.3, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> MTFGLPCBD:
    """Build :class:`MTFGLPCBD`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return MTFGLPCBD(gain=gain, interpolation=interpolation, boundary=boundary)
