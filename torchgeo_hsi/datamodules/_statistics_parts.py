# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The parts that a dataset is cut into for its statistics, and the work on each."""

import pickle
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from shapely import Polygon, box
from torchgeo.datasets import GeoDataset

from .._typing import BoolArray, Sample
from ..datasets import HSICube
from ..datasets._cube_blocks import cube_blocks
from ..errors import BandMismatchError, MetadataError
from ..io.base import data_mask
from ..jobs._calls import describe
from ..physics.statistics import RunningStatistics
from ..physics.statistics.summary import SAME_BAND
from ..samplers._grid import PixelGrid, blocks

#: Rows and columns of the windows that scenes are read in.
_WINDOW = 256

#: Fewest windows and other samples of a part.
_WINDOWS, _SAMPLES = 4, 16

#: Most parts: their results are kept until the end, and merged in order, whoever has
#: computed them.
_MOST = 512


@dataclass
class Part:
    """What came out of a part of a dataset.

    Args:
        running: The statistics.
        wavelength: Centres of the bands in micrometres; None if samples have none.
        failures: Name, error and number of attempts of samples that could not be read.
    """

    running: RunningStatistics
    wavelength: NDArray[np.float64] | None = None
    failures: list[tuple[str, str, int]] = field(default_factory=list)

    def merge(self, other: 'Part') -> None:
        """Take another part into account.

        Args:
            other: The next part.

        Raises:
            BandMismatchError: If it has other bands.
        """
        self.running.merge(other.running)
        self.failures += other.failures
        self.check(other.wavelength)

    def check(self, wavelength: NDArray[np.float64] | None) -> None:
        """Check that bands are those of the samples before.

        Args:
            wavelength: Centres of the bands in micrometres, or None.

        Raises:
            BandMismatchError: If they are others.
        """
        if wavelength is None:
            return
        if self.wavelength is None:
            self.wavelength = wavelength
        elif len(wavelength) == len(self.wavelength):
            distance = np.abs(wavelength - self.wavelength)
            worst = int(distance.argmax())
            if distance[worst] > SAME_BAND:
                raise BandMismatchError(
                    f'Band {worst + 1} lies at {wavelength[worst]:.4f} µm in one sample '
                    f'and at {self.wavelength[worst]:.4f} µm in another. Compute the '
                    'statistics of each sensor by themselves.'
                )


class PartStatistics:
    """Band statistics of a part of a dataset; what each process computes.

    Args:
        dataset: The dataset.
        nodata: Value of numbers without data, for samples that have no ``valid``.
        covariance: Whether to compute the covariance of the bands.
        accuracy: Bound of the relative error of quantiles; None for none.
        retries: How often a sample that failed is tried again; None to raise its error.
    """

    def __init__(
        self,
        dataset: Any,
        nodata: float | None,
        covariance: bool,
        accuracy: float | None,
        retries: int | None,
    ) -> None:
        """Initialize a new PartStatistics instance."""
        self.dataset = dataset
        self.nodata = nodata
        self.covariance = covariance
        self.accuracy = accuracy
        self.retries = retries

    def empty(self) -> Part:
        """Return the statistics of nothing."""
        return Part(RunningStatistics(self.covariance, self.accuracy))

    def compute(self, places: Sequence[tuple[str, Any]]) -> Part:
        """Compute the statistics of some samples.

        Args:
            places: Names of samples, and what to index the dataset with.

        Returns:
            The statistics.
        """
        part = self.empty()
        for name, place in places:
            sample = self._read(name, place, part)
            if sample is not None:
                part.check(_wavelength(sample))
                add_sample(part.running, sample, self.nodata)
        return part

    def _read(self, name: str, place: Any, part: Part) -> Sample | None:
        """Read a sample, and note it if that fails."""
        for attempt in range(1, (self.retries or 0) + 2):
            try:
                sample: Sample = self.dataset[place]
                return sample
            # datasets of others fail in any way, and none of them ends the work
            except Exception as error:
                if self.retries is None:
                    raise
                if attempt > self.retries:
                    part.failures.append((name, describe(error), attempt))
        return None

    def __call__(self, places: Sequence[tuple[str, Any]]) -> bytes:
        """Compute the statistics of some samples, in little memory.

        Args:
            places: Names of samples, and what to index the dataset with.

        Returns:
            For :func:`unpack`.
        """
        # most bins of the quantiles are empty
        return zlib.compress(pickle.dumps(self.compute(places)), 1)


def unpack(packed: bytes) -> Part:
    """Undo the packing of :class:`PartStatistics`.

    Args:
        packed: What it returned.

    Returns:
        The statistics.
    """
    part: Part = pickle.loads(zlib.decompress(packed))
    return part


def add_sample(
    running: RunningStatistics, sample: Sample, nodata: float | None = None
) -> None:
    """Take a sample into account.

    Args:
        running: The statistics.
        sample: Sample with ``image`` of shape ``(C, H, W)`` and maybe ``valid`` of shape
            ``(H, W)``; of several dates ``(T * C, H, W)`` or ``(T, C, H, W)``, and
            ``(T, H, W)``.
        nodata: Value of numbers without data, if there is no ``valid``.

    Raises:
        MetadataError: If the sample has no image.
        BandMismatchError: If shapes do not fit.
    """
    if 'image' not in sample:
        raise MetadataError(
            f'Expected samples with an image, got {", ".join(sorted(sample))}.'
        )
    image = torch.as_tensor(sample['image'])
    valid = sample.get('valid')
    dates = 1 if valid is None or valid.ndim == 2 else len(valid)
    if image.ndim == 3 and len(image) % dates == 0:
        image = image.reshape(dates, -1, *image.shape[1:])
    if image.ndim != 4 or (valid is not None and len(image) != dates):
        raise BandMismatchError(
            f'Expected an image of shape (C, H, W), got {tuple(image.shape)}.'
        )
    for number, date in enumerate(image.numpy()):
        mask: BoolArray
        if valid is not None:
            mask = valid.reshape(dates, *valid.shape[-2:])[number].numpy()
        else:
            mask = data_mask(date, nodata)
        running.update(date, mask)


def _wavelength(sample: Sample) -> NDArray[np.float64] | None:
    found = sample.get('wavelength')
    return None if found is None else np.asarray(found, dtype=np.float64)


def cut(
    dataset: Any, roi: Polygon | None = None
) -> tuple[Any, list[list[tuple[str, Any]]]]:
    """Cut a dataset into parts, which depend on nothing but the dataset.

    Args:
        dataset: The dataset.
        roi: Region in the CRS of a GeoDataset; all by default.

    Returns:
        The dataset to read from, and the parts: names and places of samples.
    """
    if isinstance(dataset, HSICube):
        dataset = cube_blocks(dataset, _WINDOW)
    is_scenes = isinstance(dataset, GeoDataset)
    if is_scenes:
        places = list(_windows(dataset, roi))
    else:
        places = [(f'sample {number}', number) for number in range(len(dataset))]
    least = _WINDOWS if is_scenes or isinstance(dataset, HSICube) else _SAMPLES
    length = max(least, -(-len(places) // _MOST))
    parts = [places[i : i + length] for i in range(0, len(places), length)]
    return dataset, parts


def _windows(dataset: GeoDataset, roi: Polygon | None) -> Iterator[tuple[str, Any]]:
    """List the windows of all scenes."""
    grid = PixelGrid(dataset)
    files = dataset.index.get('filepath')
    for scene in grid.scenes(dataset, roi):
        name = f'scene {scene.row}' if files is None else str(files.iloc[scene.row])
        for row, column, height, width in blocks(scene, _WINDOW):
            bottom = scene.bottom + scene.height - row - height
            query = grid.query(scene.left + column, bottom, width, height, scene.time)
            xs, ys, _ = query
            window = box(xs.start, ys.start, xs.stop, ys.stop)
            if scene.area is not None and not (scene.area & window).area > 0:
                continue
            yield f'{name}, row {row}, column {column}', query
