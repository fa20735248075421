# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian noise: of one level, of a level for each band, or of a smooth curve."""

import math

import torch
from torch import Tensor

from ...errors import BandMismatchError, UnitError
from .draw import Source, as_real, like_given, normal, per_band

#: Standard deviations are quoted on the scale of 8-bit images, whatever the data are.
SIGMA_SCALE = 255.0


def add_gaussian(
    cube: Tensor, sigma: Tensor | float, peak: float = 1.0, generator: Source = None
) -> Tensor:
    """Add Gaussian noise that is independent in each pixel and band.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        sigma: Standard deviation as in the literature, on a scale from 0 to 255: 30
            stands for 30 / 255 of *peak*. A number, or one for each band, of shape
            ``(C,)`` or ``(..., C)``.
        peak: Value of the cube that counts as full scale.
        generator: Source of randomness; torch's own by default.

    Returns:
        The noisy cubes, not clipped.

    Raises:
        BandMismatchError: If *sigma* does not fit the bands.
        UnitError: If *sigma* is negative.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise = add_gaussian(torch.zeros(31, 64, 64), 30, generator=seed)
        >>> round(noise.std().item() * 255, 1)
        30.0
    """
    clean = as_real(cube)
    spread = per_band(sigma, clean)
    if spread.ndim and spread.shape[-3] not in (1, cube.shape[-3]):
        raise BandMismatchError(
            f'Expected sigma for the {cube.shape[-3]} bands of the cube, got '
            f'{spread.shape[-3]}.'
        )
    # what is NaN is not at least 0, either
    if not bool((spread >= 0).all()):
        raise UnitError(f'Expected a sigma of at least 0, got {float(spread.min())}.')
    noise = normal(clean.shape, clean, generator)
    return like_given(noise.mul_(spread * (peak / SIGMA_SCALE)).add_(clean), cube)


def correlated_sigma(bands: int, beta: float = 23.08, eta: float = 0.157) -> Tensor:
    r"""Compute levels that are highest in the middle of the spectrum.

    The "correlated" noise of T3SC (Bodrito et al. 2021,
    https://arxiv.org/abs/2111.09708): band *b* of *C*, counted from 0, has
    :math:`\beta \exp(-(b / C - 1/2)^2 / (4 \eta^2))`.

    Args:
        bands: Number of bands.
        beta: Highest level, on a scale from 0 to 255.
        eta: Width of the curve, as a share of the bands.

    Returns:
        Standard deviations of shape ``(C,)``, on a scale from 0 to 255.

    Raises:
        UnitError: If *beta* is negative, *eta* not positive, or one of them not finite.

    Example:
        >>> correlated_sigma(4)
        tensor([ 1.8283, 12.2444, 23.0800, 12.2444])
    """
    if not (0 <= beta < math.inf and 0 < eta < math.inf):
        raise UnitError(
            'Expected a finite beta of at least 0 and eta above 0, got '
            f'{beta} and {eta}.'
        )
    place = torch.arange(bands) / bands - 0.5
    return beta * torch.exp(-(place**2) / (4 * eta**2))
