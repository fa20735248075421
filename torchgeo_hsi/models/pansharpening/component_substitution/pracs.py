# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Partial replacement of an adaptive component."""

import torch
from torch import Tensor

from ....physics.pixel_moments import PixelMoments
from ....physics.resampling import imresize_down, imresize_up
from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._regression import solve_normal, spread
from ..base import MeasuringPansharpener, Moments, Numbers, divide, per_band
from ..pair import Pair

#: Range of the local factors, as published.
_LOCAL = 10.0


class PRACS(MeasuringPansharpener):
    """Details of an image between the panchromatic one and each band.

    Bands with mean and contrast of the PAN are mixed with it: the more of the PAN, the
    better the band correlates with an intensity that is fitted to the PAN. What such an
    image has more than its own low-pass version is injected, weighted by the contrast of
    the band and by a local factor. https://doi.org/10.1109/TGRS.2010.2051674

    Example:
        >>> PRACS()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    passes = 2

    def __init__(
        self,
        beta: float = 0.95,
        interpolation: Method = 'ideal',
        boundary: Edge = 'symmetric',
    ) -> None:
        """Initialize a new PRACS instance.

        Args:
            beta: Share of the details that is injected, from 0 on.
            interpolation: ``'ideal'`` or ``'bicubic'``.
            boundary: ``'symmetric'``, or ``'circular'`` as published.
        """
        super().__init__(interpolation=interpolation, boundary=boundary)
        self.beta = beta

    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure bands and PAN, then the bands that look like the PAN.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: Means and contrasts, after the first pass.

        Returns:
            Moments.
        """
        if not found:
            return {'fine': PixelMoments.of(pair.up, pair.pan, pair.counting)}
        whole = pair.whole
        like_pan = _look_like_pan(whole.up, found)
        low = imresize_up(imresize_down(like_pan, pair.ratio), pair.ratio)
        images = torch.cat([pair.up, pair.crop(low), pair.pan_bicubic], 1)
        moments = PixelMoments.of(images, pair.crop(like_pan), pair.counting)
        return {'products': moments}

    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Find means and contrasts, then what is mixed and injected.

        Args:
            moments: What was measured.
            found: What the first pass has found.

        Returns:
            Numbers of all bands, and their combinations.
        """
        if not found:
            fine = moments['fine']
            deviation, mean = spread(fine), fine.mean
            scale = divide(deviation[:, -1:].expand_as(mean), deviation)[:, :-1]
            offset = mean[:, -1:] - scale * mean[:, :-1]
            return {
                'scale': scale,
                'offset': offset,
                'deviation': deviation[:, :-1],
                'pan_mean': mean[:, -1:],
            }
        return _find_mixture(moments['products'], found, self.beta)

    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Add the weighted details.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: What both passes have found.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """
        pan, bands = pair.pan, pair.up
        like_pan = _look_like_pan(bands, found)
        share = per_band(found['share'], pan)
        mixed = share * pan + (1 - share) * like_pan
        low = found['combinations'].to(pan) @ like_pan.flatten(2)
        low = low.view_as(bands) + per_band(found['constants'], pan)
        details = mixed - low - per_band(found['shift'], pan)
        local = per_band(found['similarity'], pan) * divide(bands, low)
        local = (1 - (1 - local).abs()).clamp(-_LOCAL, _LOCAL)
        return torch.addcmul(bands, per_band(found['weights'], pan) * local, details)


def _look_like_pan(bands: Tensor, found: Numbers) -> Tensor:
    """Give bands mean and contrast of the PAN, and nothing below 0."""
    scale, offset = (per_band(found[x], bands) for x in ('scale', 'offset'))
    return (scale * bands + offset).clamp_min(0)


def _find_mixture(moments: PixelMoments, found: Numbers, beta: float) -> Numbers:
    """Solve for the mixture with the PAN and for its fit by the bands.

    The mixture is linear in PAN and bands, and so is its low-pass version and the fit of
    that; so products of the bands with each other are all it takes.
    """
    count = moments.scatter.shape[2]
    sizes = [count, count, 1, count]
    original, low, pan, like_pan = torch.split(moments.covariance, sizes, 1)
    _, low_mean, pan_mean, mean = torch.split(moments.mean, sizes, 1)
    fits = solve_normal(like_pan, torch.cat([low, pan], 1).mT).mT
    intensity = fits[:, -1:]

    def correlate(weights: Tensor, others: Tensor, deviation: Tensor) -> Tensor:
        """Correlate combinations of bands with bands, one each."""
        together = (others * weights).sum(2)
        variance = ((weights @ like_pan) * weights).sum(2)
        return divide(together, variance.clamp_min(0).sqrt() * deviation)

    deviation = found['deviation']
    contrast = spread(moments)[:, -count:]
    share = correlate(intensity, like_pan, contrast)[..., None]
    combinations = share * intensity + (1 - share) * fits[:, :-1]
    share = share[..., 0]
    low_means = share * pan_mean + (1 - share) * low_mean
    constants = low_means - (combinations @ mean[..., None]).squeeze(2)
    mixed_means = share * found['pan_mean'] + (1 - share) * mean
    weights = divide(deviation, deviation.mean(1, keepdim=True))
    return {
        'share': share,
        'combinations': combinations,
        'constants': constants,
        'shift': mixed_means - low_means,
        'weights': beta * weights * correlate(combinations, original, deviation),
        'similarity': correlate(intensity, original, deviation),
    }


@register_model
def pracs(
    beta: float = 0.95, interpolation: Method = 'ideal', boundary: Edge = 'symmetric'
) -> PRACS:
    """Build :class:`PRACS`.

    Args:
        beta: Share of the details that is injected, from 0 on.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return PRACS(beta=beta, interpolation=interpolation, boundary=boundary)
