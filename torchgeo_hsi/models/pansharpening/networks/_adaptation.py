# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fit a network to the very image that it sharpens: what R-PNN and PCA-Z-PNN share."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....errors import BandMismatchError, UnitError
from ....physics.local_windows import local_correlation
from ....physics.resampling import mtf_decimate, mtf_filter
from ....physics.resampling.mtf import valid_margins

#: Samples of the blur, by which the result is compared with the cube.
_BLUR = 61

#: Samples of the blur of the PAN, before it is compared with the interpolated cube.
_PAN_BLUR = 41

#: Half the window in which the PAN and the interpolated cube are compared, in coarse
#: pixels; that for the result is half a coarse pixel.
_REACH = 3


def spectral_loss(image: Tensor, cube: Tensor, gain: float, ratio: int) -> Tensor:
    """Compare an image, as the coarse sensor would see it, with the cube.

    Args:
        image: Image of shape ``(B, C, H, W)``.
        cube: Cube of shape ``(B, C, h, w)``.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        ratio: Pixel size of the cube over that of the PAN.

    Returns:
        Mean absolute difference, without the pixels whose blur leaves the image; with
        them where no others would be left.
    """
    margins = [valid_margins(length, ratio, _BLUR) for length in image.shape[-2:]]
    (top, bottom), (left, right) = margins
    height, width = cube.shape[-2:]
    if min(image.shape[-2:]) < _BLUR or top + bottom >= height or left + right >= width:
        return (mtf_decimate(image, gain, ratio, _BLUR) - cube).abs().mean()
    coarse = mtf_decimate(image, gain, ratio, _BLUR, padding='valid')
    inner = cube[..., top : height - bottom, left : width - right]
    return (coarse - inner).abs().mean()


def structure_bound(up: Tensor, pan: Tensor, gain: float, ratio: int) -> Tensor:
    """Tell how unlike the PAN an image may stay at each pixel.

    Args:
        up: Interpolated image of shape ``(B, C, H, W)``.
        pan: PAN of shape ``(B, 1, H, W)``.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        ratio: Pixel size of the cube over that of the PAN.

    Returns:
        One minus the correlation of the blurred PAN with the interpolated image, shape
        ``(B, C, H, W)``.
    """
    margin = _PAN_BLUR // 2
    # mirrored as published; the outermost pixels again where there is too little
    mode = 'reflect' if min(pan.shape[-2:]) > margin else 'replicate'
    padded = F.pad(pan, (margin,) * 4, mode=mode)
    low = mtf_filter(padded, gain, ratio, _PAN_BLUR, padding='valid')
    return 1 - local_correlation(up, low, _REACH * ratio)


def structural_loss(image: Tensor, pan: Tensor, bound: Tensor, ratio: int) -> Tensor:
    """Tell how unlike the PAN an image is, beyond a bound.

    Args:
        image: Image of shape ``(B, C, H, W)``.
        pan: PAN of shape ``(B, 1, H, W)``.
        bound: From :func:`structure_bound`.
        ratio: Pixel size of the cube over that of the PAN.

    Returns:
        Mean of one minus the local correlation, which is 0 where it is negative, over all
        pixels; those within the bound count as 0.
    """
    unlike = 1 - local_correlation(image, pan, ratio / 2).clamp_min(0)
    return (unlike * (unlike > bound)).mean()


class Adaptation:
    """Steps of Adam of which the best result and its weights are kept.

    Args:
        network: Takes an image and the PAN, and refines it; it is changed.
        pan: PAN of shape ``(1, 1, H, W)``.
        rate: Learning rate.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        ratio: Pixel size of the cube over that of the PAN.
    """

    def __init__(
        self, network: nn.Module, pan: Tensor, rate: float, gain: float, ratio: int
    ) -> None:
        """Initialize a new Adaptation instance."""
        self.network = network.requires_grad_(True)
        self.pan, self.gain, self.ratio = pan, gain, ratio
        # one for all bands: its moments are carried over
        self.adam = torch.optim.Adam(network.parameters(), rate)

    def run(self, up: Tensor, cube: Tensor, steps: int, weight: float) -> Tensor:
        """Fit the network to an image, and go back to the best weights.

        Args:
            up: Interpolated image of shape ``(1, C, H, W)``; the first band follows the
                PAN.
            cube: The image before, shape ``(1, C, h, w)``.
            steps: Number of steps.
            weight: Weight of the structure.

        Returns:
            The image with the lowest loss, shape ``(1, C, H, W)``.
        """
        with torch.no_grad():
            bound = structure_bound(up[:, :1], self.pan, self.gain, self.ratio)
            best: Tensor = self.network(up, self.pan)
        lowest, state = float('inf'), {}
        for _ in range(steps):
            self.adam.zero_grad()
            image = self.network(up, self.pan)
            loss = spectral_loss(image, cube, self.gain, self.ratio)
            loss = loss + weight * structural_loss(
                image[:, :1], self.pan, bound, self.ratio
            )
            value = loss.item()
            if value < lowest:
                lowest, best = value, image.detach()
                state = {k: v.clone() for k, v in self.network.state_dict().items()}
            loss.backward()  # type: ignore[no-untyped-call]
            self.adam.step()
        if state:
            self.network.load_state_dict(state)
        return best


def check_wavelength(
    wavelength: Sequence[float] | None, bands: int
) -> tuple[float, ...] | None:
    """Check the wavelengths of the bands.

    Args:
        wavelength: Center of each band in micrometers, or None.
        bands: Number of bands.

    Returns:
        The wavelengths.

    Raises:
        BandMismatchError: If there is another number of them.
        UnitError: If they are no micrometers.
    """
    if wavelength is None:
        return None
    values = tuple(float(value) for value in wavelength)
    if len(values) != bands:
        raise BandMismatchError(
            f'Expected one wavelength for each of {bands} bands, got {len(values)}.'
        )
    if not all(0 < value < 100 for value in values):
        raise UnitError(
            'Expected wavelengths in micrometers, e.g. 0.55, got '
            f'{min(values)} to {max(values)}. Divide nanometers by 1000.'
        )
    return values


def steps_of_bands(
    wavelength: Sequence[float] | None, bands: int, first: int, steps: int, most: int
) -> list[int]:
    """Count the steps for each band: more after a gap between wavelengths.

    Args:
        wavelength: Center of each band in micrometers, or None.
        bands: Number of bands.
        first: Steps of the first band.
        steps: Steps of the others, and once more for each 10 nm to the band before.
        most: Most steps of a band but the first.

    Returns:
        Steps of each band.
    """
    if wavelength is None:
        return [first, *[steps] * (bands - 1)]
    # distances without a sign: where detectors overlap, wavelengths go back
    gaps = [round(1000 * abs(b - a), 6) for a, b in pairwise(wavelength)]
    return [first, *(min((int(gap // 10) + 1) * steps, most) for gap in gaps)]
