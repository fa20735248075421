# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HYPERVIEW: soil parameters from airborne images."""

import csv
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from tokenize import TokenError
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from ..._typing import PathLike, Sample
from ...errors import BandMismatchError, CorruptFileError, EmptyDataError
from ...io import to_float
from ...io.store.items import BROKEN
from ...physics import BandSet, Sensor
from ..plotting import plot_sample
from ._patches import check_options, tensor
from .splits import get_split, label_efficient, scene_splits

#: Where the images lie: as the authors of SpectralEarth have it, and as in the challenge.
_FOLDERS = ('images', 'train_data/train_data', 'train_data')


@cache
def _every_band() -> BandSet:
    with as_file(files(__package__) / 'hyperview_bands.csv') as path:
        return Sensor.from_csv(path).bands


class Hyperview(NonGeoDataset):
    """HYPERVIEW: 1732 plots with phosphorus, potassium, magnesium and pH of the soil.

    Airborne images of 150 bands, as the satellite Intuition-1 was to see them. Each file
    is one plot of a field, of its own size; pixels outside of the plot are masked.

    Sample:

    * ``image``: float32 of shape ``(C, H, W)``, the numbers of the files
    * ``valid``: False outside of the plot; bool of shape ``(H, W)``
    * ``label``: P, K, Mg and pH, each z-scored over all plots; float32 of shape ``(4,)``
    * ``wavelength``: micrometres, float32 of shape ``(C,)``; widths are not published

    Patches keep their size, so they cannot be stacked as they are: pass ``size=128``, or
    let the data module resize and crop them.

    Layout: ``<root>/hyperview/images/<index>.npz``, or ``train_data`` as in the
    challenge; *root* may also be that folder itself. There is no official test split.
    All official validation plots are on a field that has training plots, too;
    ``split_by='scene'`` makes two splits that share no field.

    Images and targets: HYPERVIEW challenge of ESA, KP Labs and QZ Solutions, for which
    you have to register at https://platform.ai4eo.eu/seeing-beyond-the-visible-permanent.

    * https://doi.org/10.1109/MGRS.2024.3394040
    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        .. code-block:: python

            dataset = Hyperview('data', split='train', size=128)
            sample = dataset[0]
            dict(zip(dataset.targets, sample['label'].tolist()))
    """

    #: Name of each target.
    targets: ClassVar[tuple[str, ...]] = ('P', 'K', 'Mg', 'pH')
    #: Bands of a patch.
    num_bands: ClassVar[int] = 150
    #: Samples of the official splits.
    split_sizes: ClassVar[dict[str, int]] = {'train': 1385, 'val': 347}
    sensor: ClassVar[str] = 'hyperview'
    name: ClassVar[str] = 'hyperview'

    def __init__(
        self,
        root: PathLike = 'data',
        split: Literal['train', 'val'] = 'train',
        bands: Sequence[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: PathLike | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
        size: int | None = None,
    ) -> None:
        """Initialize a new Hyperview instance.

        Args:
            root: Folder that holds the folder of the data set, or that folder itself.
            split: One of 'train' and 'val'.
            bands: Bands in the order wanted: names, positions (from 0), or wavelengths
                in micrometres (the nearest band); all 150 by default.
            split_by: ``'official'`` for the tables of the authors of SpectralEarth,
                ``'scene'`` for splits of about the same sizes that share no field.
            fraction: Share of the labels to use, by the rule of
                :func:`~torchgeo_hsi.datasets.spectral_earth.splits.label_efficient`.
            split_dir: Folder of the tables ``train.csv`` and ``val.csv``, which hold the
                targets; searched in ``<root>/splits`` and beside *root* by default.
            transforms: Function that takes a sample and returns a changed one.
            download: Whether to get the tables; the images need a registration.
            size: Rows and columns to resize to: the image bicubic with aligned corners,
                as the authors do, ``valid`` to the nearest pixel.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no images.
            FileNotFoundError: If there is no table, or images are missing.
            CorruptFileError: If a table is damaged.
            ValueError: If an option is not one of those above.
        """
        check_options(split, split_by, fraction)
        if split not in self.split_sizes:
            raise ValueError(
                'There is no test split of HYPERVIEW: the targets of its test images '
                'are not public. Use split="val".'
            )
        if size is not None and size < 1:
            raise ValueError(f'Expected a positive size, got {size}.')
        self.root = root
        self.split = split
        self.split_by = split_by
        self.fraction = fraction
        self.split_dir = split_dir
        self.transforms = transforms
        self.download = download
        self.size = size
        every = _every_band()
        self._bandset = every if bands is None else every.select(bands)
        self._indexes = None if bands is None else every.indices(self._bandset.names)
        self.folder, self._images = self._find_folder()
        self._rows = self._select()
        self._check_files()

    @property
    def bandset(self) -> BandSet:
        """Selected bands in the order of ``image``."""
        return self._bandset

    @property
    def files(self) -> list[str]:
        """Name ``<index>.npz`` of each sample, in order."""
        return [_file(row) for row in self._rows]

    @property
    def scenes(self) -> list[str]:
        """Company and field of each sample, in order."""
        return [_field(row) for row in self._rows]

    def _find_folder(self) -> tuple[Path, Path]:
        root = Path(self.root)
        for folder in (root / self.name, root):
            for name in _FOLDERS:
                images = folder / name
                if next(images.glob('*.npz'), None) is not None:
                    return folder, images
        error = DatasetNotFoundError(self)
        error.add_note(
            f'Expected {_FOLDERS[0]}/0.npz, 1.npz and so on in {root / self.name}. Get '
            'the images from https://platform.ai4eo.eu/seeing-beyond-the-visible-permanent'
            ', which needs a registration; download=True gets the tables only.'
        )
        raise error

    def _select(self) -> list[dict[str, str]]:
        """List the samples of the split."""
        lists = {split: self._table(split) for split in self.split_sizes}
        by_file = {_file(row): row for rows in lists.values() for row in rows}
        names = {split: [_file(row) for row in rows] for split, rows in lists.items()}
        if self.split_by == 'scene':
            names = scene_splits(
                sorted(by_file, key=lambda file: int(Path(file).stem)),
                self.split_sizes,
                scene=lambda file: _field(by_file[file]),
            )
        chosen = names[self.split]
        if self.fraction < 1:
            train, val = names['train'], names['val']
            chosen = label_efficient(self.split, train, val, self.fraction)
        return [by_file[file] for file in chosen]

    def _table(self, split: str) -> list[dict[str, str]]:
        file = f'{split}.csv'
        path = get_split(
            self.folder,
            self.name,
            file,
            self.split_dir,
            self.download,
            'Pass download=True to get the tables of the authors (no account needed), or '
            'split_dir= if you have them elsewhere.',
        )
        return _read_table(path, self.targets)

    def _check_files(self) -> None:
        missing = [f for f in self.files if not (self._images / f).is_file()]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(self._rows)} images of the {self.split} split '
                f'are missing in {self._images}, e.g. {missing[0]}. Extract the archive '
                'again, or pass split_dir= with tables of the images that you have.'
            )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Number of the sample.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If a file is damaged.
            BandMismatchError: If an image has not 150 bands.
        """
        row = self._rows[index]
        raw, inside = self._read(self._images / _file(row))
        image, valid = to_float(raw, None)
        # as with quality layers, numbers outside of the plot stay in the image
        valid &= inside
        sample: Sample = {
            'image': torch.from_numpy(image),
            'valid': torch.from_numpy(valid),
            'label': tensor([float(row[name]) for name in self.targets]),
            'wavelength': tensor(self._bandset.wavelength),
        }
        if self.size is not None:
            sample |= _resize(sample['image'], sample['valid'], self.size)
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read the selected bands, and which pixels lie inside of the plot."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                data = arrays['data']
                # True is masked, as in the masked arrays of numpy that these files are
                outside = arrays.get('mask', np.False_)
        except (OSError, *BROKEN, SyntaxError, TokenError) as error:
            raise CorruptFileError(
                f'{path} is no archive with an array "data": {str(error)[:200]}. Copy '
                'it again.'
            ) from error
        if data.ndim != 3 or len(data) != self.num_bands:
            raise BandMismatchError(
                f'Expected {self.num_bands} bands, rows and columns in {path}, got '
                f'shape {data.shape}.'
            )
        masked = np.broadcast_to(outside, data.shape).astype(bool)
        if self._indexes is not None:
            data, masked = data[self._indexes], masked[self._indexes]
        return data, ~masked.any(axis=0)

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false color and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure; the targets by default.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no selected band is visible.
        """
        if suptitle is None and 'label' in sample:
            values = zip(self.targets, sample['label'].tolist(), strict=True)
            suptitle = ', '.join(f'{name} {value:+.2f}' for name, value in values)
        return plot_sample(
            sample, show_titles=show_titles, suptitle=suptitle, scale=None
        )


def _file(row: dict[str, str]) -> str:
    return f'{int(row["sample_index"])}.npz'


def _field(row: dict[str, str]) -> str:
    return f'{row["company"]}/{row["field"]}'


def _read_table(path: Path, targets: Sequence[str]) -> list[dict[str, str]]:
    """Read a table of targets and check what is used of it."""
    try:
        with path.open(encoding='utf-8-sig', newline='') as stream:
            rows = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError(
            f'{path} is no table of text with commas ({error}). Copy or download it '
            'again.'
        ) from error
    if not rows:
        raise EmptyDataError(f'{path} lists no samples. Copy or download it again.')
    wanted = {'sample_index', 'company', 'field', *targets}
    for number, row in enumerate(rows):
        try:
            numbers = [float(row[name]) for name in targets] + [
                int(row['sample_index'])
            ]
            if not (wanted <= row.keys() and np.isfinite(numbers).all()):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFileError(
                f'Expected columns {", ".join(sorted(wanted))} with numbers in {path}, '
                f'row {number + 2} has not. Copy or download it again.'
            ) from error
    return rows


def _resize(image: Tensor, valid: Tensor, size: int) -> Sample:
    shape = (size, size)
    return {
        'image': functional.interpolate(
            image[None], shape, mode='bicubic', align_corners=True
        )[0],
        'valid': functional.interpolate(valid[None, None].float(), shape)[0, 0].bool(),
    }
