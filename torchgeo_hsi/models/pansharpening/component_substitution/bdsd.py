# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band-dependent spatial details."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling import imresize_down, mtf_decimate, mtf_filter
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._regression import fewest_equations, solve
from ..base import MeasuringPansharpener, Moments, Numbers
from ..pair import Pair


class BDSD(MeasuringPansharpener):
    """Details as a combination of the panchromatic image and all bands.

    The weights of each band are those that restore it best after one more reduction of
    resolution. https://doi.org/10.1109/TGRS.2007.907604

    With as many weights as there are bands, and fitted on the pixels of the cube only, it
    learns noise by heart: take :class:`BDSDPC` for more than a handful of bands.

    Example:
        >>> BDSD()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    #: Reduced bands are blurred by a kernel of 41 coarse pixels.
    context = MeasuringPansharpener.context + 24

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure the images at reduced resolution.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        whole = pair.whole
        reduced = imresize_down(whole.up, pair.ratio)
        blurred = mtf_filter(reduced, pair.gain, pair.ratio)
        details = pair.crop_low(reduced - blurred)
        pan = mtf_decimate(whole.pan, pair.pan_gain, pair.ratio)
        known = pair.crop_low(torch.cat([pan, blurred], 1))
        return {'reduced': PixelMoments.of(details, known, pair.low_counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Fit PAN and bands to the details of each band.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            Weights of shape ``(B, C, C + 1)``, that of the PAN first.
        """
        reduced = moments['reduced']
        bands = reduced.scatter.shape[2] - 1
        covariance, mean = reduced.covariance, reduced.mean
        equations = fewest_equations(
            covariance[:, bands:],
            covariance[:, :bands].mT,
            mean[:, bands:],
            mean[:, :bands],
        )
        return {'weights': self.fit(*equations).mT}

    def fit(self, matrix: Tensor, right: Tensor) -> Tensor:
        """Solve for the weights.

        Args:
            matrix: Equations for the weights of PAN and bands, shape ``(B, N, C + 1)``.
            right: What they are to come to for each band, shape ``(B, N, C)``.

        Returns:
            Solutions of shape ``(B, C + 1, C)``.
        """
        return solve(matrix, right)

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: The weights.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        weights = found['weights'].to(pair.up)
        details = weights[:, :, 1:] @ pair.up.flatten(2)
        details = details.view_as(pair.up)
        return (pair.up + details).addcmul(weights[:, :, :1, None], pair.pan)


@register_model
def bdsd(
    gain: float = 0.3,
    pan_gain: float = 0.2,
    interpolation: Method = 'ideal',
    boundary: Edge = 'symmetric',
) -> BDSD:
    """Build :class:`BDSD`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        pan_gain: The same of the panchromatic sensor, whose image is reduced, too.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return BDSD(
        gain=gain, pan_gain=pan_gain, interpolation=interpolation, boundary=boundary
    )
