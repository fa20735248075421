# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What methods share that replace an intensity by the panchromatic image."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from .._regression import spread
from ..base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from ..pair import Pair


def match_intensity(
    mean: Tensor, deviation: Tensor, pan_mean: Tensor, pan_deviation: Tensor
) -> Numbers:
    """Find how to give the PAN mean and contrast of an intensity.

    Args:
        mean: Means of the intensity, shape ``(B, 1)``.
        deviation: Its standard deviations, shape ``(B, 1)``.
        pan_mean: Means of the PAN.
        pan_deviation: Its standard deviations.

    Returns:
        ``scale`` and ``offset`` of the PAN, and ``share``: 0 where the PAN has a single
        value and nothing to inject, else 1.
    """
    scale = divide(deviation, pan_deviation)
    share = (pan_deviation > 0).to(scale)
    return {'scale': scale, 'offset': mean - scale * pan_mean, 'share': share}


def new_details(pan: Tensor, intensity: Tensor, found: Numbers) -> Tensor:
    """Return what the PAN shows and the intensity does not.

    Args:
        pan: PANs of shape ``(B, 1, H, W)``.
        intensity: Intensities of shape ``(B, 1, H, W)``.
        found: What :func:`match_intensity` found.

    Returns:
        Details of shape ``(B, 1, H, W)``.
    """
    scale, offset, share = (
        per_band(found[x], pan) for x in ('scale', 'offset', 'share')
    )
    return share * (scale * pan + offset - intensity)


class MeanIntensity(MeasuringPansharpener):
    """A method whose intensity is the mean of the bands.

    Example:
        >>> class AddDetails(MeanIntensity):
        ...     def inject(self, pair, found):
        ...         intensity = pair.up.mean(1, keepdim=True)
        ...         return pair.up + new_details(pair.pan, intensity, found)
        >>> AddDetails()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure bands, intensity and PAN.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        images = torch.cat([pair.pan, pair.up.mean(1, keepdim=True)], 1)
        return {'fine': PixelMoments.of(pair.up, images, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Equalize the PAN, and fit each band to the intensity.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            What :func:`match_intensity` finds, and ``gains`` of the bands.
        """
        fine = moments['fine']
        mean, deviation = fine.mean, spread(fine)
        gains = divide(fine.covariance[:, :-2, -1], deviation[:, -1:].square())
        matched = match_intensity(
            mean[:, -1:], deviation[:, -1:], mean[:, -2:-1], deviation[:, -2:-1]
        )
        return {'gains': gains, **matched}
