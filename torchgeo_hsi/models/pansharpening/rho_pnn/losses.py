# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The losses of rho-PNN, with all that does not change computed once."""

import math

import torch
from torch import Tensor

from ....physics.local_windows import box_sums, local_correlation
from ....physics.resampling import mtf_decimate
from ....physics.resampling.mtf import valid_margins

#: Smallest sum of squares, as published.
_LEAST = 1e-20

#: Half the window that tells the sign of a band, in pixels of the cube.
_WIDE = 3

#: Pixels of the cube along a side that have to be left to compare.
_ENOUGH = 4


class PanStatistics:
    """What the spatial loss needs of PANs: their details and the energy around each pixel.

    Args:
        pan: PANs of shape ``(N, 1, H, W)``.
        ratio: Pixel size of the cube over that of the PAN; the window has so many rows
            and columns, or one more.

    Example:
        >>> import torch
        >>> statistics = PanStatistics(torch.rand(1, 1, 48, 48), ratio=6)
        >>> statistics.half
        3
    """

    def __init__(self, pan: Tensor, ratio: int) -> None:
        """Initialize a new PanStatistics instance; see the class for the arguments."""
        self.half = math.ceil(ratio / 2)
        self.details = _details(pan, self.half)
        self.energy = (
            box_sums(self.details.square(), self.half).clamp_min(_LEAST).sqrt()
        )

    def correlation(self, image: Tensor) -> Tensor:
        """Correlate images with the PANs around each pixel.

        The same as :func:`torchgeo_hsi.physics.local_correlation.local_correlation`.

        Args:
            image: Images of shape ``(N, 1, H, W)``.

        Returns:
            Correlations of the same shape.
        """
        details = _details(image, self.half)
        product = box_sums(details * self.details, self.half)
        energy = box_sums(details.square(), self.half).clamp_min(_LEAST).sqrt()
        return product / (energy * self.energy + _LEAST)

    def select(self, index: Tensor) -> 'PanStatistics':
        """Take some of the PANs, without computing anything again.

        Args:
            index: Their positions.

        Returns:
            Statistics of them.
        """
        part = object.__new__(PanStatistics)
        part.half = self.half
        part.details, part.energy = self.details[index], self.energy[index]
        return part


def _details(image: Tensor, half: int) -> Tensor:
    return image - box_sums(image, half) / (4 * half * half)


def spatial_losses(
    image: Tensor, statistics: PanStatistics, sign: Tensor | None = None
) -> Tensor:
    """Tell how unlike the PAN images are: one less the size of the correlation.

    Args:
        image: Images of shape ``(N, 1, H, W)``.
        statistics: Those of their PANs.
        sign: 1 or -1 for the sign that correlations have to have, shape ``(N,)``; any
            will do by default.

    Returns:
        Losses of shape ``(N,)``, 0 to 1, or to 2 where a sign is asked for.

    Example:
        >>> import torch
        >>> pan = torch.rand(2, 1, 48, 48)
        >>> spatial_losses(1 - 3 * pan, PanStatistics(pan, ratio=6)).shape
        torch.Size([2])
    """
    rho = statistics.correlation(image).clamp_min(-1)
    if sign is None:
        return 1 - rho.abs().mean((1, 2, 3))
    return 1 - sign * rho.mean((1, 2, 3))


def band_signs(up: Tensor, pan: Tensor, ratio: int, bands: int) -> Tensor:
    """Find out whether bands are brighter where the PAN is, or darker.

    Args:
        up: Interpolated bands of shape ``(N, 1, H, W)``, one band after the other.
        pan: PANs of the same shape.
        ratio: Pixel size of the cube over that of the PAN.
        bands: Number of bands.

    Returns:
        1 or -1 for each image, the same for all of a band, shape ``(N,)``.
    """
    # wide windows: details that a cube can hold
    rho = local_correlation(up, pan, _WIDE * ratio).reshape(bands, -1).mean(1)
    signs = torch.where(rho < 0, -1.0, 1.0).to(up.dtype)
    return signs.repeat_interleave(len(up) // bands)


class SpectralTarget:
    """Bands of the cube, to be compared with a result as their sensor would see it.

    Pixels whose blur would leave the image do not count, as published; but in images that
    would have fewer than four others along a side, all pixels count, and the blur finds
    the outermost pixels again.

    Args:
        cube: Bands of shape ``(N, 1, h, w)``.
        ratio: Pixel size of the cube over that of the PAN.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        kernel: Rows and columns of the blur, odd.

    Example:
        >>> import torch
        >>> target = SpectralTarget(torch.ones(3, 1, 20, 20), 6, 0.3, 61)
        >>> target.losses(torch.ones(3, 1, 120, 120))
        tensor([0.0012, 0.0012, 0.0012])
    """

    def __init__(self, cube: Tensor, ratio: int, gain: float, kernel: int) -> None:
        """Initialize a new SpectralTarget instance; see the class for the arguments."""
        self.ratio, self.gain, self.kernel = ratio, gain, kernel
        (top, bottom), (left, right) = (
            valid_margins(ratio * length, ratio, kernel) for length in cube.shape[-2:]
        )
        height, width = cube.shape[-2:]
        left_over = min(height - top - bottom, width - left - right)
        self.is_valid = left_over >= _ENOUGH
        if self.is_valid:
            cube = cube[..., top : height - bottom, left : width - right]
        self.cube = cube

    def losses(self, image: Tensor) -> Tensor:
        """Compare images with the bands.

        Args:
            image: Images of shape ``(N, 1, H, W)``.

        Returns:
            Mean absolute differences, shape ``(N,)``.
        """
        seen = mtf_decimate(
            image,
            self.gain,
            self.ratio,
            self.kernel,
            padding='valid' if self.is_valid else 'replicate',
        )
        return (seen - self.cube).abs().mean((1, 2, 3))

    def select(self, index: Tensor) -> 'SpectralTarget':
        """Take some of the bands.

        Args:
            index: Their positions.

        Returns:
            A target of them.
        """
        part = object.__new__(SpectralTarget)
        part.ratio, part.gain, part.kernel = self.ratio, self.gain, self.kernel
        part.is_valid, part.cube = self.is_valid, self.cube[index]
        return part
