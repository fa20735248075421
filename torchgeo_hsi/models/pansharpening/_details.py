# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What several methods do with details of a panchromatic image."""

from abc import abstractmethod

import torch
from torch import Tensor

from ...physics.pixel_moments import PixelMoments
from ...physics.resampling import mtf_kernel
from ._regression import spread
from .base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from .pair import Pair

#: Added to denominators, as published.
EPS = torch.finfo(torch.float64).eps

#: Largest factor of a pixel, as published.
_MOST = 10.0


def modulate(image: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """Multiply by a ratio of images, which is kept in 0 to 10.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        numerator: Images with details.
        denominator: The same without.

    Returns:
        Images of shape ``(B, C, H, W)``; unchanged where there are no details, also where
        both are 0.
    """
    ratio = (numerator / (denominator + EPS)).clamp(0.0, _MOST)
    return image * torch.where(numerator == denominator, 1.0, ratio)


def equalize(bands: PixelMoments, pan: Tensor, smooth: Tensor) -> Numbers:
    """Find how to give the PAN mean and contrast of each band.

    Args:
        bands: Moments; those of the bands are the first ones.
        pan: Means of the PAN, shape ``(B, 1)``.
        smooth: Standard deviations that become those of the bands, shape ``(B, 1)``.

    Returns:
        ``scale`` and ``offset``, such that ``scale * pan + offset`` is the result.
    """
    count = bands.mean.shape[1] - bands.scatter.shape[2]
    scale = divide(spread(bands)[:, :count], smooth.expand(-1, count))
    return {'scale': scale, 'offset': bands.mean[:, :count] - scale * pan}


class EqualizingPansharpener(MeasuringPansharpener):
    """A method that first gives the PAN mean and contrast of each band.

    Subclasses say by :meth:`smooth` which version of the PAN is to have the contrast of
    the interpolated band. All filters are linear, so none has to see more than the PAN
    as it is.

    Example:
        >>> class AddDetails(EqualizingPansharpener):
        ...     def smooth(self, pair):
        ...         return pair.pan_low
        ...
        ...     def inject(self, pair, found):
        ...         scale = per_band(found['scale'], pair.pan)
        ...         return pair.up + scale * (pair.pan - pair.pan_low)
        >>> AddDetails()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    @abstractmethod
    def smooth(self, pair: Pair) -> Tensor:
        """Return the PAN whose contrast is made that of the bands.

        Args:
            pair: Cube and PAN, or a tile of them.

        Returns:
            Images of shape ``(B, 1, H, W)``.
        """

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure bands and PAN.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Not used.

        Returns:
            Moments.
        """
        images = torch.cat([pair.pan, self.smooth(pair)], 1)
        return {'fine': PixelMoments.of(pair.up, images, pair.counting)}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Find scale and offset of each band.

        Args:
            moments: What was measured.
            found: Not used.

        Returns:
            ``scale`` and ``offset``, see :func:`equalize`.
        """
        fine = moments['fine']
        return equalize(fine, fine.mean[:, -2:-1], spread(fine)[:, -1:])


def equalized_pair(pair: Pair, found: Numbers) -> tuple[Tensor, Tensor]:
    """Give the PAN and its low-pass mean and contrast of each band.

    Args:
        pair: Cube and PAN.
        found: ``scale`` and ``offset``.

    Returns:
        Equalized PAN, and what the low-pass makes of that, of shape ``(B, C, H, W)``.
    """
    scale, offset = (per_band(found[x], pair.pan) for x in ('scale', 'offset'))
    # the kernel does not sum to 1, so constants come out of it changed; but there is
    # nothing to inject into a band, or from a PAN, of a single value
    gain = float(mtf_kernel(pair.gain, pair.ratio).sum())
    kept = torch.where(scale == 0, 1.0, gain)
    return pair.pan * scale + offset, pair.pan_low * scale + offset * kept


class GainPansharpener(MeasuringPansharpener):
    """A method that adds details of the PAN, times a gain of each band.

    Details are what the sensor of the cube would not see of the PAN. Subclasses find
    ``gains``.

    Example:
        >>> class AddDetails(GainPansharpener):
        ...     def measure(self, pair, found):
        ...         return {'fine': PixelMoments.of(pair.up, pair.pan, pair.counting)}
        ...
        ...     def solve(self, moments, found):
        ...         return {'gains': torch.ones_like(moments['fine'].mean[:, :-1])}
        >>> AddDetails()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: ``gains`` of the bands.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        return torch.addcmul(
            pair.up, per_band(found['gains'], pair.pan), pair.pan - pair.pan_low
        )
