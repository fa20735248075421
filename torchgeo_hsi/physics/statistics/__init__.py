# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics of bands: published tables with their source, and those of any data."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import BandMismatchError, UnknownNameError
from .running import RunningStatistics
from .sketch import QuantileSketch
from .summary import BandSummary

__all__ = (
    'BandStatistics',
    'BandSummary',
    'QuantileSketch',
    'RunningStatistics',
    'band_statistics',
    'list_band_statistics',
)


class BandStatistics(NamedTuple):
    """Mean and standard deviation of the bands of a data set, in its own unit.

    Args:
        names: Names of the bands.
        mean: Means, float32 of shape ``(C,)``.
        std: Standard deviations, float32 of shape ``(C,)``.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


@cache
def _read(table: str) -> dict[str, tuple[float, float]]:
    """Read a table: ``name,mean,std`` after comments that name its source."""
    text = (files(__name__) / f'{table}.csv').read_text(encoding='utf-8')
    rows = csv.DictReader(line for line in text.splitlines() if line[:1] != '#')
    return {row['name']: (float(row['mean']), float(row['std'])) for row in rows}


def list_band_statistics() -> list[str]:
    """List the names of the tables that :func:`band_statistics` knows.

    Returns:
        The names, sorted.
    """
    names = (entry.name for entry in files(__name__).iterdir())
    return sorted(n.removesuffix('.csv') for n in names if n.endswith('.csv'))


def band_statistics(table: str, bands: Sequence[str] | None = None) -> BandStatistics:
    """Return published band statistics.

    ``enmap_spectral_earth`` is that of the 538 974 EnMAP patches that the weights of
    SpectralEarth were trained with, for reflectance x 10 000 and the 202 kept bands.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        table: Name of the table.
        bands: Names of bands; all of the table in its order by default.

    Returns:
        The statistics of these bands, in this order.

    Raises:
        UnknownNameError: If there is no such table.
        BandMismatchError: If the table lacks a band.
    """
    if table not in list_band_statistics():
        raise UnknownNameError('band statistics', table, list_band_statistics())
    rows = _read(table)
    names = tuple(rows if bands is None else bands)
    missing = [name for name in names if name not in rows]
    if missing:
        raise BandMismatchError(
            f'The statistics {table!r} have no band {", ".join(missing)}; they have '
            f'{len(rows)} bands: {", ".join(list(rows)[:3])} ...'
        )
    values = np.array([rows[name] for name in names], np.float32).reshape(-1, 2)
    return BandStatistics(names, values[:, 0].copy(), values[:, 1].copy())
