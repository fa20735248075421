# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectral response functions: from the bands of one sensor to those of another.

A cube holds the spectrum as its sensor saw it, already smoothed by the width of each
band. To see it through a wider band, only the difference is smoothed: a Gaussian of
variance target minus source. Nothing is sharpened: where the target is narrower than the
source, the result is interpolated and keeps the width of the source.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .._typing import FloatArray
from ..errors import BandMismatchError, EmptyDataError, MetadataError, UnitError
from ._kernels import (
    UNIT_VARIANCE,
    SourceGrid,
    gaussian_weights,
    interpolate,
    narrow,
    normal_cdf,
    table_integral,
    table_moments,
    table_weights,
    usable_bands,
)
from .bands import BandSet
from .units import check_fwhm, check_micrometres


def gaussian_srf(grid: ArrayLike, centre: ArrayLike, fwhm: ArrayLike) -> Tensor:
    """Return the response curves of Gaussian bands.

    Args:
        grid: Wavelengths in micrometres at which to evaluate, shape ``(N,)``.
        centre: Band centres in micrometres, shape ``(M,)``.
        fwhm: Full widths at half maximum in micrometres, shape ``(M,)``.

    Returns:
        Responses between 0 and 1 (at the centre), float64 of shape ``(M, N)``.

    Raises:
        UnitError: If a quantity looks like nanometres.
        BandMismatchError: If there is not one width for each centre.

    Example:
        >>> gaussian_srf([0.55, 0.56, 0.57], [0.56], [0.02])
        tensor([[0.5000, 1.0000, 0.5000]], dtype=torch.float64)
    """
    x = torch.tensor(check_micrometres(grid, name='grid'))
    middle = torch.tensor(check_micrometres(centre, name='centre'))[:, None]
    width = torch.tensor(check_fwhm(fwhm, len(middle)))[:, None]
    return torch.exp(-((x - middle) ** 2) / (2 * UNIT_VARIANCE * width**2))


def srf_matrix(
    source: BandSet,
    target: BandSet,
    *,
    use_good_only: bool = True,
    min_coverage: float = 0.8,
) -> Tensor:
    """Return the linear map from the bands of one sensor to those of another.

    Responses are Gaussian. The source is interpolated linearly between its centres, in
    whatever order its bands are, and integrated with the target's response narrowed by
    the width of the source's own bands and by that of the interpolation; see
    :mod:`torchgeo_hsi.physics.srf`. So:

    * rows sum to 1 and no weight is negative: a constant spectrum stays constant,
    * linear spectra, and where the target is wide enough quadratic ones, are exact,
    * a target band that is a band of the source (same centre and FWHM) is taken over.

    Args:
        source: Bands of the cube. Without FWHM they count as infinitely narrow.
        target: Bands to make.
        use_good_only: Give no weight to bands that *source* marks as bad.
        min_coverage: Share of a target's response that has to lie where the source has
            bands (between two neighbours less than 1.5 FWHM apart, or half a FWHM
            beyond the last one). What lies in a gap is interpolated.

    Returns:
        Matrix of shape ``(M, C)``, float64, for :func:`project`.

    Raises:
        BandMismatchError: If a target band is not covered by the source.
        MetadataError: If *target* has no FWHM.
        EmptyDataError: If no band of the source is usable.

    Example:
        >>> source = BandSet([0.5, 0.51, 0.52, 0.53], [0.01] * 4)
        >>> srf_matrix(source, BandSet([0.515], [0.01])).numpy().round(3)
        array([[0. , 0.5, 0.5, 0. ]])
    """
    usable = usable_bands(source, use_good_only)
    same = _same_bands(source, target, usable)
    matrix = torch.zeros(len(target), len(source), dtype=torch.float64)
    for row, column in same.items():
        matrix[row, column] = 1
    rest = [row for row in range(len(target)) if row not in same]
    if not rest:
        return matrix
    if target.fwhm is None:
        raise MetadataError(
            'Expected target bands with FWHM: without widths nobody knows how much of '
            'the spectrum they see. Pass BandSet(wavelength, fwhm=...).'
        )
    grid = SourceGrid.of(source, usable)
    centre = torch.tensor(target.wavelength)[rest]
    variance = torch.tensor(target.fwhm)[rest] ** 2 * UNIT_VARIANCE
    sigma = variance.sqrt()[:, None]
    coverage = normal_cdf((grid.high - centre[:, None]) / sigma) - normal_cdf(
        (grid.low - centre[:, None]) / sigma
    )
    names = [f'{target.names[i]} ({target.wavelength[i]:.4g} µm)' for i in rest]
    grid.check_coverage(coverage.sum(dim=1), min_coverage, names)
    wanted = variance - interpolate(grid.nodes, centre) @ grid.variance

    def build(kernel: Tensor) -> Tensor:
        return gaussian_weights(grid.nodes, centre, kernel)

    matrix[rest] = grid.to_bands(narrow(build, grid.nodes, centre, wanted.clamp(min=0)))
    return matrix


def srf_matrix_from_table(
    source: BandSet,
    wavelength: ArrayLike,
    response: ArrayLike,
    *,
    names: Sequence[str] = (),
    use_good_only: bool = True,
    min_coverage: float = 0.8,
) -> Tensor:
    """Return the linear map from a sensor to bands with measured responses.

    For bands that are far from Gaussian: multispectral or panchromatic ones. As in
    :func:`srf_matrix`, each response is narrowed, here about its centroid and keeping
    its shape, by the width of the source's own bands and of the interpolation.

    Args:
        source: Bands of the cube. Without FWHM they count as infinitely narrow.
        wavelength: Wavelengths of the table in micrometres, increasing, ``(N,)``.
        response: Responses of shape ``(M, N)``, or ``(N,)`` for one band, in any scale.
        names: Names of the bands for messages.
        use_good_only: Give no weight to bands that *source* marks as bad.
        min_coverage: As in :func:`srf_matrix`.

    Returns:
        Matrix of shape ``(M, C)``, float64, rows sum to 1, for :func:`project`.

    Raises:
        UnitError: If *wavelength* looks like nanometres, or a response is negative or
            not finite.
        BandMismatchError: If shapes do not fit, the table does not increase, or a
            response is not covered by the source.
        EmptyDataError: If a response is 0 everywhere, or no band of the source usable.
    """
    grid_points = check_micrometres(wavelength)
    table = torch.tensor(_check_table(grid_points, response))
    x = torch.tensor(grid_points)
    labels = list(names) or [f'band {i + 1}' for i in range(len(table))]
    if len(labels) != len(table):
        raise BandMismatchError(
            f'Expected {len(table)} names, one for each response, got {len(labels)}.'
        )
    grid = SourceGrid.of(source, usable_bands(source, use_good_only))
    inside = table_integral(x, table, grid.high) - table_integral(x, table, grid.low)
    coverage = inside.sum(dim=1) / table_integral(x, table, x[-1:]).squeeze(1)
    grid.check_coverage(coverage, min_coverage, labels)
    rows = [_table_row(grid, x, curve) for curve in table]
    return grid.to_bands(torch.cat(rows))


def project(cube: Tensor, matrix: Tensor) -> Tensor:
    """Apply a spectral map to cubes.

    Bands without weight are left out, so whatever they hold (NaN, nodata) does not
    matter.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        matrix: Map of shape ``(M, C)``, e.g. from :func:`srf_matrix`; it is brought to
            the type and device of *cube*.

    Returns:
        Cubes of shape ``(..., M, H, W)``.

    Raises:
        BandMismatchError: If *cube* has not C bands.
    """
    if cube.ndim < 3 or matrix.ndim != 2 or cube.shape[-3] != matrix.shape[1]:
        raise BandMismatchError(
            f'Expected a cube of shape (..., C, H, W) and a matrix of shape (M, C), '
            f'got {tuple(cube.shape)} and {tuple(matrix.shape)}.'
        )
    if not cube.is_floating_point():
        cube = cube.to(torch.get_default_dtype())
    matrix, pixels = matrix.to(cube), cube.flatten(-2)
    # one product over all pixels; einsum would permute the cube first
    out = matrix @ pixels
    if not out.isfinite().all():
        # 0 * NaN is NaN; selecting bands costs a copy, so only where it has to be
        used = matrix.any(dim=0).nonzero().squeeze(1)
        out = matrix.index_select(1, used) @ pixels.index_select(-2, used)
    return out.reshape(*out.shape[:-1], *cube.shape[-2:])


def project_adjoint(cube: Tensor, matrix: Tensor) -> Tensor:
    """Apply the adjoint of a spectral map: ``<A x, y> = <x, A* y>``.

    Args:
        cube: Cubes of shape ``(..., M, H, W)``.
        matrix: Map of shape ``(M, C)``, as in :func:`project`.

    Returns:
        Cubes of shape ``(..., C, H, W)``.

    Raises:
        BandMismatchError: If *cube* has not M bands.
    """
    return project(cube, matrix.mT)


def resample(
    cube: Tensor,
    source: BandSet,
    target: BandSet,
    *,
    use_good_only: bool = True,
    min_coverage: float = 0.8,
) -> Tensor:
    """Resample cubes from the bands of one sensor to those of another.

    Shorthand for :func:`project` with :func:`srf_matrix`; keep the matrix where many
    cubes go the same way.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        source: Their bands.
        target: Bands to make.
        use_good_only: As in :func:`srf_matrix`.
        min_coverage: As in :func:`srf_matrix`.

    Returns:
        Cubes of shape ``(..., M, H, W)``.

    Raises:
        BandMismatchError: If *cube* does not have the bands of *source*, or a target
            band is not covered by the source.
        MetadataError: If *target* has no FWHM.
        EmptyDataError: If no band of the source is usable.
    """
    matrix = srf_matrix(
        source, target, use_good_only=use_good_only, min_coverage=min_coverage
    )
    return project(cube, matrix)


def _same_bands(
    source: BandSet, target: BandSet, usable: NDArray[np.intp]
) -> dict[int, int]:
    """Find target bands that are bands of the source; the same name goes first."""
    columns: dict[tuple[float, float | None], list[int]] = {}
    keys = _keys(source)
    for column in usable.tolist():
        columns.setdefault(keys[column], []).append(column)
    found = {}
    for row, key in enumerate(_keys(target)):
        same = columns.get(key, [])
        named = [c for c in same if source.names[c] == target.names[row]]
        if same:
            found[row] = (named or same)[0]
    return found


def _keys(bands: BandSet) -> list[tuple[float, float | None]]:
    """Return centre and width of each band."""
    width = [None] * len(bands) if bands.fwhm is None else bands.fwhm.tolist()
    return list(zip(bands.wavelength.tolist(), width, strict=True))


def _check_table(wavelength: FloatArray, response: ArrayLike) -> FloatArray:
    """Return responses of shape ``(M, N)``."""
    table = np.atleast_2d(np.asarray(response, dtype=np.float64))
    if table.ndim != 2 or table.shape[1] != len(wavelength) or len(wavelength) < 2:
        raise BandMismatchError(
            f'Expected responses of shape (M, {len(wavelength)}) at 2 or more '
            f'wavelengths, got {table.shape}.'
        )
    if (np.diff(wavelength) <= 0).any():
        raise BandMismatchError(
            'Expected a table of responses with increasing wavelengths: sort it first.'
        )
    if not np.isfinite(table).all() or table.min() < 0:
        raise UnitError('Expected finite responses of at least 0.')
    if not (table.sum(axis=1) > 0).all():
        raise EmptyDataError('Expected responses that are not 0 everywhere.')
    return table


def _table_row(grid: SourceGrid, x: Tensor, curve: Tensor) -> Tensor:
    """Return the weights of one tabulated response, shape ``(1, K)``."""
    centre, own = table_moments(x, curve)
    wanted = own - interpolate(grid.nodes, centre) @ grid.variance

    def build(kernel: Tensor) -> Tensor:
        factor = (kernel / own).sqrt()
        if not factor > 0:
            return interpolate(grid.nodes, centre)
        return table_weights(grid.nodes, centre + factor * (x - centre), curve)[None]

    return narrow(build, grid.nodes, centre, wanted.clamp(min=0))
