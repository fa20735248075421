# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean and standard deviation of bands, with their source."""

import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import Polygon
from torch import Tensor

from .._torch_file import read_torch_file
from .._typing import PathLike, Sample
from ..errors import BandMismatchError
from ..io import read_statistics_file
from ..physics.statistics import (
    RunningStatistics,
    band_statistics,
    list_band_statistics,
)
from ._dataset_statistics import running_statistics
from ._statistics_parts import add_sample


class Statistics(NamedTuple):
    """Mean and standard deviation of each band.

    Args:
        mean: Means, float32 of shape ``(C,)``.
        std: Standard deviations, float32 of shape ``(C,)``.
    """

    mean: Tensor
    std: Tensor


def spectral_earth_statistics(bands: Sequence[str]) -> Statistics:
    """Return the band statistics of SpectralEarth, for reflectance x 10 000.

    They are those that the published weights were trained with: over 538 974 EnMAP
    patches, for the 202 kept bands.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        bands: Names of EnMAP bands, e.g. those of ``EnMAPL2A.bandset``.

    Returns:
        The statistics of these bands, in this order.

    Raises:
        BandMismatchError: If there are none for a band.
    """
    known = set(band_statistics('enmap_spectral_earth').names)
    missing = [name for name in bands if name not in known]
    if missing:
        raise BandMismatchError(
            f'There are no SpectralEarth statistics for {", ".join(missing)}, which it '
            "leaves out. Use statistics='train', or the 202 default bands."
        )
    found = band_statistics('enmap_spectral_earth', bands)
    return Statistics(torch.from_numpy(found.mean), torch.from_numpy(found.std))


def compute_statistics(samples: Iterable[Sample]) -> Statistics:
    """Compute band statistics over the valid pixels of samples.

    One pass in float64, see :class:`~torchgeo_hsi.physics.RunningStatistics`.

    Args:
        samples: Samples with ``image`` of shape ``(C, H, W)`` and, if there are invalid
            pixels, ``valid`` of shape ``(H, W)``.

    Returns:
        The statistics; the standard deviation is that of the population.

    Raises:
        EmptyDataError: If there is no valid pixel.
    """
    running = RunningStatistics(covariance=False, accuracy=None)
    for sample in samples:
        add_sample(running, sample)
    return _statistics(*running.moments())


def training_statistics(dataset: Any, roi: Polygon | None = None) -> Statistics:
    """Compute the band statistics of a dataset.

    They are those that ``torchgeo-hsi stats`` writes to a file, to the last digit.

    Args:
        dataset: The dataset.
        roi: Region in the CRS of a GeoDataset; all by default.

    Returns:
        The statistics; the standard deviation is that of the population.

    Raises:
        EmptyDataError: If there is no valid pixel.
    """
    return _statistics(*running_statistics(dataset, roi).moments())


def _statistics(mean: NDArray[np.float64], std: NDArray[np.float64]) -> Statistics:
    return Statistics(torch.from_numpy(mean).float(), torch.from_numpy(std).float())


def file_statistics(
    path: PathLike, bands: Sequence[str], wavelength: Sequence[float] | None = None
) -> Statistics:
    """Read the statistics that ``torchgeo-hsi stats`` wrote.

    Args:
        path: The file.
        bands: Names of the bands, in the order of the samples.
        wavelength: Their centres in micrometres, for a file with other names.

    Returns:
        The statistics of these bands.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is damaged or something else.
        BandMismatchError: If it lacks a band, or has no number of one.
    """
    summary = read_statistics_file(path)
    try:
        found = summary.select(bands, wavelength)
    except BandMismatchError as error:
        raise BandMismatchError(f'{path} does not fit the data. {error}') from error
    empty = [name for name, n in zip(found.names, found.count, strict=True) if not n]
    if empty:
        raise BandMismatchError(
            f'{path} has no statistics of {", ".join(empty[:5])} ({len(empty)} bands), '
            'which had no valid pixel. Leave these out by bands=.'
        )
    return _statistics(found.mean, found.std)


def chosen_statistics(
    choice: str, bands: Sequence[str], wavelength: Sequence[float] | None = None
) -> Statistics:
    """Return the statistics of a published table or of a file.

    Args:
        choice: Name of a table of :func:`~torchgeo_hsi.physics.band_statistics`, or a
            file.
        bands: Names of the bands, in the order of the samples.
        wavelength: Their centres in micrometres, for a file with other names.

    Returns:
        The statistics of these bands.

    Raises:
        ValueError: If it is neither.
        CorruptFileError: If the file is damaged or something else.
        BandMismatchError: If there is nothing about a band.
    """
    if choice in list_band_statistics():
        found = band_statistics(choice, bands)
        return Statistics(torch.from_numpy(found.mean), torch.from_numpy(found.std))
    return file_statistics(
        check_choice(choice, list_band_statistics()), bands, wavelength
    )


def check_choice(statistics: str, names: Sequence[str]) -> str:
    """Check where statistics are to come from.

    Args:
        statistics: One of the names, or a file.
        names: What is known by a name.

    Returns:
        The choice.

    Raises:
        ValueError: If it is none of these.
    """
    if statistics in names or Path(statistics).is_file():
        return statistics
    known = ', '.join(map(repr, names))
    raise ValueError(
        f'Expected statistics {known}, or the path of a file made by "torchgeo-hsi '
        f'stats", got {statistics!r}.'
    )


def read_statistics(path: PathLike) -> Statistics | None:
    """Read the band statistics that a data module left in a checkpoint.

    Args:
        path: Checkpoint of Lightning.

    Returns:
        The statistics; None if there are none, or those of several data modules, or if
        nothing can be read without running code from the file.

    Raises:
        CorruptFileError: If the file is damaged.
        FileNotFoundError: If there is no such file.
    """
    try:
        checkpoint = read_torch_file(path)
    except pickle.UnpicklingError:
        return None
    if not isinstance(checkpoint, dict):
        return None
    found = [
        Statistics(*(torch.as_tensor(state[key]) for key in Statistics._fields))
        for state in checkpoint.values()
        if isinstance(state, dict) and set(state) == set(Statistics._fields)
    ]
    return found[0] if len(found) == 1 else None
