# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Panchromatic bands: which bands of a cube they cover, and what they would see."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError, UnknownNameError
from .units import check_micrometres

#: Wavelengths in micrometres that panchromatic bands see, first and last.
PAN_RANGES = {
    'prisma': (0.400, 0.700),
    'sentinel2': (0.4575, 0.6805),
    'worldview3': (0.450, 0.800),
    'aerial': (0.400, 0.700),
}

type PanRange = str | tuple[float, float]


def pan_range(pan: PanRange) -> tuple[float, float]:
    """Return the wavelengths of a panchromatic band.

    Args:
        pan: Name of one, or its first and last wavelength in micrometres.

    Returns:
        First and last wavelength in micrometres.

    Raises:
        UnitError: If they look like nanometres.
        UnknownNameError: If nothing has this name.
        ValueError: If they are not in order.

    Example:
        >>> pan_range('prisma')
        (0.4, 0.7)
    """
    if isinstance(pan, str):
        if pan not in PAN_RANGES:
            raise UnknownNameError('panchromatic band', pan, PAN_RANGES)
        return PAN_RANGES[pan]
    low, high = (float(value) for value in check_micrometres(list(pan)))
    if not low < high:
        raise ValueError(
            f'Expected the first and the last wavelength of a PAN, got {low} and {high}.'
        )
    return low, high


def pan_bands(
    wavelength: Sequence[float] | Tensor, pan: PanRange = (0.4, 0.7)
) -> Tensor:
    """Tell which bands of a cube lie in a panchromatic one.

    Args:
        wavelength: Band centers in micrometres, shape ``(C,)``.
        pan: Name of the panchromatic band, or its first and last wavelength in
            micrometres.

    Returns:
        True for bands whose center the PAN covers, shape ``(C,)``.

    Raises:
        UnitError: If wavelengths look like nanometres.
        UnknownNameError: If nothing has this name.

    Example:
        >>> pan_bands([0.45, 0.55, 0.85])
        tensor([ True,  True, False])
    """
    low, high = pan_range(pan)
    centers = torch.from_numpy(np.array(check_micrometres(_array(wavelength))))
    return (centers >= low) & (centers <= high)


def pan_weights(
    wavelength: Sequence[float] | Tensor,
    fwhm: Sequence[float] | Tensor | None = None,
    pan: PanRange = (0.4, 0.7),
) -> Tensor:
    """Weigh the bands of a cube so that they sum up to a panchromatic one.

    The response of the PAN is taken as uniform over its range. It is projected on the
    cube: each piece of the spectrum is seen by the bands whose responses cover it, which
    share it. Without widths of the bands, each stands for the spectrum up to half way to
    its neighbors.

    Args:
        wavelength: Band centers in micrometres, shape ``(C,)``, in any order.
        fwhm: Full widths at half maximum in micrometres, shape ``(C,)``.
        pan: Name of the panchromatic band, or its first and last wavelength in
            micrometres.

    Returns:
        Weights of shape ``(C,)``, float32, that sum up to 1.

    Raises:
        BandMismatchError: If there is another number of widths.
        EmptyDataError: If no band lies in the range.
        UnitError: If wavelengths look like nanometres.
        UnknownNameError: If nothing has this name.

    Example:
        >>> pan_weights([0.45, 0.55, 0.65, 0.75], pan=(0.4, 0.7))
        tensor([0.3333, 0.3333, 0.3333, 0.0000])
    """
    low, high = pan_range(pan)
    centers = np.array(check_micrometres(_array(wavelength)), np.float64)
    if fwhm is not None:
        weights = _shares(centers, _array(fwhm), low, high)
    else:
        weights = _cells(centers, low, high)
    total = weights.sum()
    if not total > 0:
        raise EmptyDataError(
            f'No band lies between {low} and {high} micrometres, so there is nothing to '
            f'make a PAN of: the bands reach from {centers.min():.3f} to '
            f'{centers.max():.3f} micrometres. Choose another range.'
        )
    return torch.from_numpy((weights / total).astype(np.float32))


def simulate_pan(image: Tensor, weights: Tensor) -> Tensor:
    """Make the panchromatic image of a cube.

    Args:
        image: Cubes of shape ``(..., C, H, W)``.
        weights: Weights of shape ``(C,)``, such as those of :func:`pan_weights`.

    Returns:
        Images of shape ``(..., 1, H, W)``.

    Raises:
        BandMismatchError: If there is another number of weights than of bands.

    Example:
        >>> import torch
        >>> weights = pan_weights([0.45, 0.55, 0.65, 0.75])
        >>> simulate_pan(torch.rand(4, 8, 8), weights).shape
        torch.Size([1, 8, 8])
    """
    if weights.shape != image.shape[-3:-2]:
        raise BandMismatchError(
            f'Expected one weight for each of {image.shape[-3]} bands, got '
            f'{tuple(weights.shape)}.'
        )
    # bands without weight may hold anything
    used = weights.nonzero().flatten().to(image.device)
    chosen = image.index_select(-3, used)
    return torch.einsum('...chw,c->...hw', chosen, weights.to(image)[used]).unsqueeze(
        -3
    )


def _array(values: Sequence[float] | Tensor) -> list[float]:
    return (
        values.detach().cpu().double().tolist()
        if isinstance(values, Tensor)
        else [float(value) for value in values]
    )


def _cells(
    centers: np.ndarray[tuple[int], np.dtype[np.float64]], low: float, high: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return which length of the range lies nearest to each band."""
    order = np.argsort(centers, kind='stable')
    ordered = centers[order]
    if len(ordered) == 1:
        return ((ordered >= low) & (ordered <= high)).astype(np.float64)
    middles = (ordered[1:] + ordered[:-1]) / 2
    first, last = 2 * ordered[0] - middles[0], 2 * ordered[-1] - middles[-1]
    edges = np.clip(np.concatenate([[first], middles, [last]]), low, high)
    weights = np.zeros_like(centers)
    weights[order] = np.diff(edges)
    return weights


def _shares(
    centers: np.ndarray[tuple[int], np.dtype[np.float64]],
    fwhm: list[float],
    low: float,
    high: float,
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return which share of the range each band sees, of those that see it."""
    if len(fwhm) != len(centers):
        raise BandMismatchError(
            f'Expected {len(centers)} widths, one for each band, got {len(fwhm)}.'
        )
    grid = np.linspace(low, high, 601)
    sigma = np.array(fwhm)[:, None] / 2.3548200450309493
    responses = np.exp(-0.5 * ((grid - centers[:, None]) / sigma) ** 2)
    responses[np.abs(grid - centers[:, None]) > 3 * sigma] = 0
    total = responses.sum(0)
    seen = np.divide(responses, total, out=np.zeros_like(responses), where=total > 0)
    shares: np.ndarray[tuple[int], np.dtype[np.float64]] = seen.sum(1)
    return shares
