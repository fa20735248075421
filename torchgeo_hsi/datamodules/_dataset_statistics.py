# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band statistics of a whole dataset, of any kind, in one or many processes."""

from collections.abc import Callable, Sequence
from typing import Any

from shapely import Polygon

from ..errors import BandMismatchError, EmptyDataError, MetadataError
from ..jobs import JobFailure, run_jobs
from ..jobs.progress import JobProgress
from ..physics.statistics import BandSummary, RunningStatistics
from ._statistics_parts import Part, PartStatistics, cut, unpack


def dataset_statistics(
    dataset: Any,
    *,
    nodata: float | None = None,
    covariance: bool = True,
    accuracy: float | None = 0.001,
    workers: int | None = 0,
    scheduler: str | None = None,
    retries: int = 2,
    progress: Callable[[JobProgress], None] | None = None,
    source: str = '',
) -> tuple[BandSummary, tuple[JobFailure, ...]]:
    """Compute the band statistics of a dataset.

    Scenes of a :class:`~torchgeo.datasets.GeoDataset`, and cubes of a
    :class:`~torchgeo_hsi.datasets.HSICube`, are read window by window; of any other
    dataset, each sample once. Only pixels where ``valid`` is True count. The result does
    not depend on the number of processes: the same parts are merged in the same order,
    so it is the same to the last digit. Samples that cannot be read are left out, and
    named.

    Args:
        dataset: The dataset; or several, such as splits, in a list.
        nodata: Value of numbers without data, for samples that have no ``valid``. Each
            band may lack others, so counts are by band.
        covariance: Whether to compute the covariance of the bands.
        accuracy: Bound of the relative error of quantiles; None for no quantiles.
        workers: Processes, see :func:`~torchgeo_hsi.jobs.run_jobs`.
        scheduler: Address of a Dask scheduler.
        retries: How often a sample that failed is tried again.
        progress: Called with every step.
        source: What the statistics are of; the class of the dataset by default.

    Returns:
        The statistics, and the samples that were left out.

    Raises:
        EmptyDataError: If there is no sample or no valid pixel.
        BandMismatchError: If samples differ in their bands.
        MetadataError: If samples have no image.

    Example:
        .. code-block:: python

            summary, failures = dataset_statistics(EnMAPL2A('data/scenes'), workers=8)
            write_statistics_file('stats.json', summary)
    """
    datasets = list(dataset) if isinstance(dataset, list | tuple) else [dataset]
    total: Part | None = None
    failures: list[JobFailure] = []
    for each in datasets:
        readable, parts = cut(each)
        work = PartStatistics(readable, nodata, covariance, accuracy, retries)
        total = total or work.empty()
        report = run_jobs(
            work,
            parts,
            workers=workers,
            scheduler=scheduler,
            retries=retries,
            names=[f'{part[0][0]} to {part[-1][0]}' for part in parts],
            progress=progress,
            fatal=(BandMismatchError, MetadataError),
        )
        for packed in report.succeeded:
            total.merge(unpack(packed))
        failures += report.failures
    if total is None or not (failures or total.failures or total.running.pixels):
        raise EmptyDataError('The dataset has no sample to compute statistics of.')
    for name, error, attempts in total.failures:
        failures.append(JobFailure(len(failures), name, error, attempts))
    if not total.running.pixels:
        raise EmptyDataError(f'No sample could be read. The first one: {failures[0]}')
    names, wavelength = band_axis(datasets[0], total.running.num_bands or 0)
    if wavelength is None and total.wavelength is not None:
        wavelength = total.wavelength.tolist()
    label = source or type(datasets[0]).__name__
    return total.running.summary(names, wavelength, label), tuple(failures)


def running_statistics(dataset: Any, roi: Polygon | None = None) -> RunningStatistics:
    """Compute the mean and deviation of the bands of a dataset, in this process.

    They are those of :func:`dataset_statistics`, to the last digit.

    Args:
        dataset: The dataset.
        roi: Region in the CRS of a GeoDataset; all by default.

    Returns:
        The statistics.

    Raises:
        EmptyDataError: If no scene lies in the region.
        BandMismatchError: If samples differ in their bands.
    """
    readable, parts = cut(dataset, roi)
    # errors are raised here: nobody would read a report
    work = PartStatistics(readable, None, False, None, None)
    total = work.empty()
    for part in parts:
        total.merge(work.compute(part))
    return total.running


def band_axis(
    dataset: Any, count: int
) -> tuple[Sequence[str] | None, Sequence[float] | None]:
    """Return the names and wavelengths of the bands of a dataset, if it knows them.

    Args:
        dataset: The dataset.
        count: Number of bands of its samples.

    Returns:
        Names, and centres in micrometres.
    """
    for part in getattr(dataset, 'datasets', ()):
        found = band_axis(part, count)
        if found[0] is not None:
            return found
    bandset = getattr(dataset, 'bandset', None)
    if bandset is not None and len(bandset) == count:
        return bandset.names, bandset.wavelength
    bands = getattr(dataset, 'bands', None)
    if isinstance(bands, list | tuple) and len(bands) == count:
        return [str(band) for band in bands], None
    return None, None
