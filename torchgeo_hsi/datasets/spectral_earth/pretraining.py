# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The patches that SpectralEarth is for: pretraining without labels."""

import copy
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from ..._typing import PathLike, Sample
from ...errors import EmptyDataError, HSIError, HSIWarning
from ...physics import BandSet, get_sensor
from ._figure import plot_dates
from ._patches import place
from ._reader import Date, PatchReader
from ._views import check_options, random_spot
from .damage import DamagedFile, DamageReport, report_path
from .download import PAGE, download_pretraining
from .manifest import default_path, open_manifest

#: Files in a row that may fail before it is no longer the fault of the files.
_MOST_FAILURES = 100


class SpectralEarth(NonGeoDataset):
    """The pretraining set of `SpectralEarth <https://geoservice.dlr.de/web/datasets/enmap_spectralearth>`__.

    538 974 patches of EnMAP L2A surface reflectance at 415 153 locations, 128 x 128
    pixels of 30 m, 202 bands, no labels. 17.5 % of the locations have several dates.

    Sample:

    * ``image``: reflectance x 10 000, 0 without data, float32 or int16 of shape
      ``(C, H, W)``
    * ``valid``: False where a selected band has no data; bool of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: micrometres, float32 of shape ``(C,)``; the nominal ones
      of EnMAP, unless the files carry their own
    * ``bounds``, ``transform``: as in torchgeo, with ``georeference=True``

    ``timestamps='pair'`` makes two dates one image of shape ``(2 * C, H, W)``, as
    torchgeo's datasets of several seasons do and its tasks ``MoCo``, ``SimCLR`` and
    ``BYOL`` take it; ``valid`` then has shape ``(2, H, W)`` and the wavelengths are
    there twice. Where a location has one date, it is read once and is both views.
    ``timestamps='all'`` stacks the dates: ``(T, C, H, W)`` and ``(T, H, W)``.

    Layout: ``<root>/enmap/<location>/<scene>.tif``; *root* may be that folder
    ``enmap``, or hold several folders of extracted parts (``spectral_earth_part_1``),
    with or without ``enmap`` in them. A location may be spread over parts. File names
    tell the scene and not the date, and whether scenes are numbered in order of time is
    not documented.

    The files are listed once, see
    :func:`~torchgeo_hsi.datasets.spectral_earth.manifest.open_manifest`. A damaged file
    does not stop a run: it is named in a warning once and in :attr:`report`, and
    another date of its location takes its place, or else the next location.

    Random choices follow torch's random numbers, which data loaders seed in each
    worker.

    If you use this dataset in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        .. code-block:: python

            dataset = SpectralEarth('data', timestamps='pair', dtype='int16')
            loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=8)
    """

    #: Bands of a file.
    num_bands: ClassVar[int] = 202

    def __init__(
        self,
        root: PathLike = 'data',
        bands: Sequence[str | int | float] | None = None,
        item: Literal['location', 'patch'] = 'location',
        timestamps: Literal['random', 'first', 'last', 'all', 'pair'] | None = None,
        crop_size: int | None = None,
        dtype: Literal['float32', 'int16'] = 'float32',
        georeference: bool = False,
        seed: int | None = None,
        strict: bool = False,
        manifest: PathLike | None = None,
        rebuild: bool | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        parts: Sequence[int] = range(1, 10),
    ) -> None:
        """Initialize a new SpectralEarth instance.

        Args:
            root: Folder of the tree, see the class.
            bands: Bands in the order wanted: names (``'B48'``, the number on the
                detectors), positions (from 0), or wavelengths in micrometres (the
                nearest band); all 202 by wavelength by default.
            item: Whether a sample is a location or a single file.
            timestamps: Which dates of a location a sample has: a random one (the
                default), the one with the lowest or the highest number of its scene,
                all, or a random pair. Only for locations.
            crop_size: Rows and columns of a random crop, the same for all dates of a
                sample; only these are read and converted. Everything by default.
            dtype: ``'int16'`` keeps the numbers as they are stored, for a conversion on
                the device; half the bytes and a fraction of the time.
            georeference: Whether samples say where they lie.
            seed: With a number, the choice of dates and crop depends on it and on the
                index alone, so it is the same in each epoch and for any number of
                workers. Without one, it is random.
            strict: Whether a damaged file is an error.
            manifest: File that keeps the list of files; inside of *root* by default.
                Damaged files are listed beside it. Do not put it directly into the
                folder that holds the locations, whose time of modification is checked.
            rebuild: None to list the files again if folders have changed, True to do so
                in any case, False to trust the list without a look at the tree.
            transforms: Function that takes a sample and returns a changed one.
            download: Whether to get what is missing from DLR (3.3 TB, and as much again
                for an archive while it is extracted: about 370 GB; a free account is
                needed). An interrupted download goes on.
            parts: Numbers of the archives to download; all nine by default.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no patches.
            AccessError: If there is no account for the download, or it is refused.
            ValueError: If an option is not one of those above.
            UnknownNameError: If there is no such band.
            UnitError: If a wavelength in *bands* looks like nanometres.
            BandMismatchError: If the files do not have 202 bands.
            CorruptFileError: If none of the first files can be read.
            MetadataError: If *dtype* is ``'int16'`` and the files store other numbers.
        """
        check_options(item, timestamps, dtype, crop_size)
        self.root = root
        self.item = item
        self.timestamps = 'first' if item == 'patch' else timestamps or 'random'
        self.crop_size = crop_size
        self.georeference = georeference
        self.seed = seed
        self.strict = strict
        self.transforms = transforms
        self.download = download
        every = get_sensor('enmap').default_bandset
        self._bandset = every if bands is None else every.select(bands)
        if download and download_pretraining(root, parts):
            rebuild = True
        self._manifest = open_manifest(root, manifest, rebuild)
        if not len(self._manifest.files):
            raise self._not_found()
        kept = default_path(root) if manifest is None else manifest
        self._damage = DamageReport(self._manifest, report_path(kept))
        usable = self._damage.flags if strict else ~self._damage.flags
        self._reader = PatchReader(
            self._manifest,
            every,
            self._bandset,
            crop_size,
            dtype,
            range(len(usable)) if strict else map(int, np.flatnonzero(usable)),
        )
        self._use(np.arange(len(self._manifest.locations), dtype=np.int32))

    def _not_found(self) -> DatasetNotFoundError:
        error = DatasetNotFoundError(self)
        error.add_note(
            'Expected <location>/<scene>.tif, with digits as <location>, in '
            f'{self.root}/enmap, in {self.root} itself, or in extracted parts such as '
            f'{self.root}/spectral_earth_part_1. The archives are at {PAGE} and need a '
            'free account.'
        )
        return error

    def _use(self, locations: NDArray[np.int32]) -> None:
        """Restrict the dataset to some locations."""
        self._locations = locations
        if self.item == 'patch':
            starts = self._manifest.starts
            inside = np.zeros(len(self._manifest.locations), dtype=bool)
            inside[locations] = True
            files = np.repeat(inside, np.diff(starts))
            self._patches = np.flatnonzero(files).astype(np.int32)

    @property
    def bandset(self) -> BandSet:
        """Selected bands in the order of ``image``, with the nominal wavelengths."""
        return self._bandset

    @property
    def num_locations(self) -> int:
        """Number of locations."""
        return len(self._locations)

    @property
    def report(self) -> str:
        """File that lists damaged files; it exists as soon as there is one."""
        return str(self._damage.path)

    @property
    def damaged(self) -> list[DamagedFile]:
        """Files that cannot be used, as far as this process knows."""
        return self._damage.files

    def files(self, index: int) -> list[str]:
        """Return the files that a sample is made of or chosen from.

        Args:
            index: Number of the sample.

        Returns:
            The paths, sorted by name.

        Raises:
            IndexError: If there is no such sample.
        """
        index = self._position(index)
        if self.item == 'patch':
            return [self._manifest.path(int(self._patches[index]))]
        patches = self._manifest.patches(int(self._locations[index]))
        return [self._manifest.path(patch) for patch in patches]

    def select(self, locations: ArrayLike) -> Self:
        """Restrict the dataset to some of its locations.

        A damaged file is replaced by one of these locations only, so that parts without
        a common location, such as those for training and validation, stay so.

        Args:
            locations: Numbers of locations of this dataset, from 0.

        Returns:
            A dataset that shares the list of files with this one.

        Raises:
            IndexError: If there is no such location.
            EmptyDataError: If there is none at all.
        """
        wanted = np.asarray(locations, dtype=np.int64)
        if not wanted.size:
            raise EmptyDataError('Expected at least one location, got none.')
        if wanted.min() < 0 or wanted.max() >= len(self._locations):
            raise IndexError(
                f'Expected locations from 0 to {len(self._locations) - 1}, got '
                f'{wanted.min()} to {wanted.max()}.'
            )
        part = copy.copy(self)
        part._use(self._locations[np.unique(wanted)])
        return part

    def check(self, full: bool = False, num_threads: int = 8) -> list[DamagedFile]:
        """Look for damaged files and write the report anew.

        Args:
            full: Whether to read every pixel (3.3 TB), which finds damage inside of
                compressed files; otherwise headers and sizes, which finds files that
                are empty, truncated or something else.
            num_threads: Threads that read.

        Returns:
            The damaged files of the whole tree.

        Raises:
            OutputError: If the report cannot be written.
        """
        self._damage.replace(self._reader.find_damage(full, num_threads))
        return self.damaged

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._patches if self.item == 'patch' else self._locations)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Number of the sample.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If *strict* and a file is damaged, or if so many files in
                a row cannot be read that it is not the fault of the files.
            BandMismatchError: The same for a file with other bands or another size.
            EmptyDataError: If no file is left.
        """
        index = self._position(index)
        generator = None
        if self.seed is not None:
            state = np.random.SeedSequence((self.seed, index)).generate_state(2)
            generator = torch.Generator().manual_seed(
                int(state[0]) << 31 ^ int(state[1])
            )
        spot = random_spot(generator) if self.crop_size else (0.0, 0.0)
        failures: list[Exception] = []
        for patches in self._candidates(index):
            dates = self._read(self._order(patches, generator), spot, failures)
            if dates:
                sample = self._reader.sample(dates, self.timestamps)
                if self.georeference:
                    sample |= place(dates[0].info)
                return sample if self.transforms is None else self.transforms(sample)
        raise EmptyDataError(
            f'No file of {self.root} can be used. See {self.report} for the reasons.'
        )

    def _position(self, index: int) -> int:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f'Sample {index} is out of range for {len(self)} samples.')
        return position % len(self)

    def _candidates(self, index: int) -> Iterator[list[int]]:
        """Yield the files of the location of a sample, then those of the next ones."""
        if self.item == 'patch':
            patch = int(self._patches[index])
            location = self._manifest.location_of(patch)
            here = list(self._manifest.patches(location))
            first = here.index(patch)
            yield here[first:] + here[:first]
            index = int(np.searchsorted(self._locations, location))
        else:
            yield list(self._manifest.patches(int(self._locations[index])))
        for step in range(1, len(self._locations)):
            other = int(self._locations[(index + step) % len(self._locations)])
            yield list(self._manifest.patches(other))

    def _order(
        self, patches: list[int], generator: torch.Generator | None
    ) -> list[int]:
        """Bring files into the order in which they are preferred.

        The order does not depend on what is known to be damaged.
        """
        if len(patches) > 1 and self.timestamps in ('random', 'pair'):
            order = torch.randperm(len(patches), generator=generator)
            return [patches[i] for i in order.tolist()]
        return patches[::-1] if self.timestamps == 'last' else patches

    def _read(
        self, patches: list[int], spot: tuple[float, float], failures: list[Exception]
    ) -> list[Date]:
        """Read as many of the preferred files as a sample needs."""
        wanted = {'pair': 2, 'all': len(patches)}.get(self.timestamps, 1)
        dates: list[Date] = []
        for patch in patches:
            if len(dates) == wanted:
                break
            if self._damage.flags[patch] and not self.strict:
                continue
            try:
                dates.append(self._reader.load(patch, spot))
            except (HSIError, OSError) as error:
                failures.append(error)
                if self.strict or len(failures) >= _MOST_FAILURES:
                    raise
                self._skip(patch, error)
        return dates

    def _skip(self, patch: int, error: Exception) -> None:
        """Leave out a file from now on and say so once."""
        if self._damage.add(patch, error):
            warnings.warn(
                f'{self._manifest.name(patch)} is left out, and another file takes its '
                f'place: {error}',
                HSIWarning,
                stacklevel=4,
            )

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true color and mean spectrum of each date.

        Args:
            sample: A sample as returned by :meth:`__getitem__`.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If there is no visible band.
        """
        return plot_dates(sample, len(self._bandset), show_titles, suptitle)
