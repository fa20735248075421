# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Color images and cubes: what a camera sees, and what a network of bands is shown."""

import operator
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import BandMismatchError
from .bands import BandSet
from .sensors import get_sensor
from .srf import srf_matrix

#: Red, green and blue in eight channels, as published; one number is too large.
_PUBLISHED = (
    (1.0, 0.66, 0.34, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.34, 0.76, 1.0, 0.75, 0.5, 0.25, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0),
)

#: Red, green and blue of Sentinel-2.
_CAMERA = ('sentinel2', ('B04', 'B03', 'B02'))

#: Bands of one color, or one band.
type Color = int | Sequence[int]


def camera_bands() -> BandSet:
    """Return the bands of the camera that color images are made with by default.

    Returns:
        Red, green and blue of Sentinel-2A (B4, B3, B2), as Gaussians.

    Example:
        >>> camera_bands().wavelength
        array([0.6646, 0.5598, 0.4927])
    """
    name, bands = _CAMERA
    return get_sensor(name).bands.select(bands)


def rgb_to_groups(n_groups: int = 8, exact: bool = True) -> Tensor:
    """Return the weights that make a few channels of red, green and blue.

    So that color images can go through a network of groups of bands: the first channel
    is red, the last one blue, green lies at ``(n_groups - 1) // 2``, and between two
    colors channels are mixed of both. For eight channels these are the numbers of
    https://arxiv.org/abs/2101.07589 and its code.

    Args:
        n_groups: Number of channels, 3 or more.
        exact: Let the weights of each channel sum to 1. Those of the published third one
            sum to 1.1, presumably by mistake; False takes them as they are, which is only
            possible for eight channels.

    Returns:
        Weights of shape ``(3, n_groups)``, float64.

    Raises:
        ValueError: If there are fewer than three channels, or not eight of them and
            *exact* is False.

    Example:
        >>> rgb_to_groups(5)
        tensor([[1.0000, 0.5000, 0.0000, 0.0000, 0.0000],
                [0.0000, 0.5000, 1.0000, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000, 0.5000, 1.0000]], dtype=torch.float64)
    """
    if n_groups < 3:
        raise ValueError(
            f'Expected at least 3 channels for red, green and blue, got {n_groups}.'
        )
    if n_groups == len(_PUBLISHED[0]):
        weights = torch.tensor(_PUBLISHED, dtype=torch.float64)
        if exact:
            weights[1] = 1 - weights[0] - weights[2]
        return weights
    if not exact:
        raise ValueError(
            f'Only the weights of 8 channels have been published, got {n_groups}. Leave '
            'exact as it is.'
        )
    places = np.arange(n_groups)
    peaks = (0, (n_groups - 1) // 2, n_groups - 1)
    rows = [np.interp(places, peaks, row) for row in np.eye(3)]
    return torch.from_numpy(np.stack(rows))


def rgb_response(
    wavelength: ArrayLike,
    fwhm: ArrayLike | None = None,
    camera: BandSet | None = None,
    min_coverage: float = 0.8,
) -> Tensor:
    """Return the weights with which the bands of a cube make a color image.

    Args:
        wavelength: Band centers in micrometres, shape ``(C,)``.
        fwhm: Full widths at half maximum in micrometres, shape ``(C,)``; very narrow by
            default.
        camera: Red, green and blue of the camera, with widths; :func:`camera_bands` by
            default.
        min_coverage: Share of each color that has to lie where the cube has bands, see
            :func:`~torchgeo_hsi.physics.srf_matrix`. For bands that are farther apart
            than 1.5 widths, pass less.

    Returns:
        Weights of shape ``(C, 3)``, float64; columns sum to 1.

    Raises:
        BandMismatchError: If a color is not covered by the bands of the cube, or the
            camera has not three bands.
        UnitError: If wavelengths look like nanometres.

    Example:
        >>> weights = rgb_response(torch.arange(0.40, 0.71, 0.01), [0.01] * 31)
        >>> weights.shape, weights.argmax(0)
        (torch.Size([31, 3]), tensor([26, 16,  9]))
    """
    target = camera_bands() if camera is None else camera
    if len(target) != 3:
        raise BandMismatchError(
            f'Expected a camera of three bands (red, green, blue), got {len(target)}.'
        )
    source = BandSet(_decimal(wavelength), None if fwhm is None else _decimal(fwhm))
    try:
        return srf_matrix(source, target, min_coverage=min_coverage).mT.contiguous()
    except BandMismatchError as error:
        colors = '/'.join(f'{center:.2f}' for center in target.wavelength)
        raise BandMismatchError(
            f'Expected bands that see red, green and blue ({colors} µm), got {source}, '
            'which have none there, or such that are farther apart than 1.5 FWHM. Choose '
            'visible bands, name those for red, green and blue with bands=, or lower '
            'min_coverage for bands that are far apart.'
        ) from error


def rgb_from_bands(num_bands: int, bands: Sequence[Color] | None = None) -> Tensor:
    """Return the weights of a color image of a cube without wavelengths.

    Args:
        num_bands: Number of bands of the cube.
        bands: Band of red, of green and of blue, or several of each, which are averaged;
            the last, the middle and the first third of the bands by default, as if they
            were visible and in the order of wavelengths.

    Returns:
        Weights of shape ``(num_bands, 3)``, float64; columns sum to 1.

    Raises:
        BandMismatchError: If there are fewer than three bands, not three colors, or a
            band that does not exist.

    Example:
        >>> rgb_from_bands(4, [3, [1, 2], 0])
        tensor([[0.0000, 0.0000, 1.0000],
                [0.0000, 0.5000, 0.0000],
                [0.0000, 0.5000, 0.0000],
                [1.0000, 0.0000, 0.0000]], dtype=torch.float64)
    """
    if bands is None:
        if num_bands < 3:
            raise BandMismatchError(
                f'Expected at least 3 bands to make a color image of, got {num_bands}.'
            )
        edges = [round(k * num_bands / 3) for k in range(4)]
        bands = [range(a, b) for a, b in pairwise(edges)][::-1]
    weights = torch.zeros(num_bands, 3, dtype=torch.float64)
    for column, places in enumerate(color_positions(bands)):
        if not places or not all(0 <= place < num_bands for place in places):
            raise BandMismatchError(
                f'Expected bands from 0 to {num_bands - 1} for each color, got {places}. '
                'These are positions, not wavelengths.'
            )
        weights[places, column] = 1 / len(places)
    return weights


def color_positions(bands: Sequence[Color]) -> list[list[int]]:
    """Check which bands are red, green and blue.

    Args:
        bands: Band of red, of green and of blue, or several of each.

    Returns:
        Positions of each.

    Raises:
        BandMismatchError: If there are not three colors, or other numbers than whole ones.
    """
    if len(bands) != 3:
        raise BandMismatchError(
            f'Expected bands for red, green and blue, got {len(bands)} entries.'
        )
    try:
        return [[operator.index(p) for p in _as_sequence(color)] for color in bands]
    except TypeError as error:
        raise BandMismatchError(
            'Expected positions of bands from 0, which are whole numbers, for red, green '
            f'and blue, got {list(bands)}. Where wavelengths are known, they tell: leave '
            'the positions out.'
        ) from error


def _as_sequence(color: Color) -> Sequence[int]:
    return color if isinstance(color, Sequence | np.ndarray) else [color]


def conversion_matrix(
    wavelength: ArrayLike | None = None,
    fwhm: ArrayLike | None = None,
    n_groups: int = 8,
    *,
    num_bands: int | None = None,
    bands: Sequence[Color] | None = None,
    camera: BandSet | None = None,
    min_coverage: float = 0.8,
    exact: bool = True,
) -> Tensor:
    """Return the weights that make the channels of a color network of a cube.

    The product of :func:`rgb_response`, or :func:`rgb_from_bands`, and
    :func:`rgb_to_groups`: a map of rank 3, called conversion matrix in
    https://arxiv.org/abs/2101.07589. Apply it as ``project(cube, matrix.mT)``.

    Args:
        wavelength: Band centers in micrometres, shape ``(C,)``; None if unknown.
        fwhm: Full widths at half maximum in micrometres, shape ``(C,)``.
        n_groups: Number of channels.
        num_bands: Number of bands of the cube, where there are no wavelengths.
        bands: Bands of red, green and blue, as of :func:`rgb_from_bands`; they win over
            wavelengths.
        camera: Red, green and blue of the camera, as of :func:`rgb_response`.
        min_coverage: As of :func:`rgb_response`.
        exact: As of :func:`rgb_to_groups`.

    Returns:
        Weights of shape ``(C, n_groups)``, float64; columns sum to 1 if *exact*.

    Raises:
        BandMismatchError: If the number of bands is not known, or the cube has no
            visible ones.
        UnitError: If wavelengths look like nanometres.
        ValueError: As of :func:`rgb_to_groups`.

    Example:
        >>> conversion_matrix(torch.arange(0.40, 0.71, 0.01), [0.01] * 31).shape
        torch.Size([31, 8])
        >>> conversion_matrix(num_bands=128, n_groups=5).shape
        torch.Size([128, 5])
    """
    if wavelength is not None and bands is None:
        colors = rgb_response(wavelength, fwhm, camera, min_coverage)
    else:
        if num_bands is None and wavelength is not None:
            num_bands = np.size(_decimal(wavelength))
        if num_bands is None:
            raise BandMismatchError(
                'Expected wavelengths, or num_bands of a cube without them.'
            )
        colors = rgb_from_bands(num_bands, bands)
    return colors @ rgb_to_groups(n_groups, exact)


def _decimal(numbers: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the decimal numbers that float32 stands for."""
    if isinstance(numbers, Tensor):
        numbers = numbers.detach().cpu().numpy()
    given = np.asarray(numbers)
    if given.dtype != np.float32:
        return given.astype(np.float64)
    return np.char.mod('%.7g', given.astype(np.float64)).astype(np.float64)
