# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patches of a hyperspectral sensor with label rasters: what these sets share."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from ..._typing import PathLike, Sample
from ...errors import BandMismatchError, EmptyDataError
from ...io import TIFFInfo, read_tiff, read_tiff_float, tiff_info
from ...physics import BandSet, get_sensor
from ..plotting import plot_sample
from . import _patches as patches
from ._counts import class_counts
from .classes import ClassTable, load_classes
from .download import ACCESS, download_dlr
from .splits import (
    SPLITS,
    get_split,
    label_efficient,
    official_files,
    read_split,
    scene_of,
    scene_splits,
)

#: Where the bands of the patches are described.
_SENSORS = {'enmap': 'enmap', 'desis': 'desis', 'eo1': 'hyperion'}

#: No data in the products of EnMAP and DESIS, for files that do not say.
_NODATA = -32768.0


class SpectralEarthDownstream(NonGeoDataset):
    """Patches with label rasters, one class index for each pixel.

    The base of nine data sets; use one of them.

    Sample:

    * ``image``: float32 of shape ``(C, H, W)``, the numbers of the files (reflectance
      x 10 000 for EnMAP and DESIS), 0 without data
    * ``valid``: False where a selected band has no data; bool of shape ``(H, W)``
    * ``mask``: class indices, long of shape ``(H, W)``; :attr:`ignore_index` where the
      code is no class or the pixel is not valid
    * ``wavelength``, ``fwhm``: micrometres, float32 of shape ``(C,)``; the nominal ones
      of the sensor, unless the images carry their own
    * ``bounds``, ``transform``: as in torchgeo, if the files have a georeference

    Layout: ``<root>/<name>/<sensor>/<patch>/<scene>.tif`` and the same with
    ``<product>`` for the labels. *root* may also be the folder ``<name>`` itself, or a
    folder in which several data sets share ``<sensor>``.

    Splits: the lists of the authors were drawn by patch, so nearly all test patches
    share their scene with training patches. ``split_by='scene'`` makes splits without a
    common scene, see :func:`~torchgeo_hsi.datasets.spectral_earth.splits.scene_splits`.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    """

    #: Folder of the images, and of the labels.
    sensor: ClassVar[str] = 'enmap'
    product: ClassVar[str] = ''
    #: Bands of a patch.
    num_bands: ClassVar[int] = 202
    #: Samples of the official splits.
    split_sizes: ClassVar[dict[str, int]] = {}
    #: Name of each class.
    classes: tuple[str, ...] = ()
    #: Codes in the label rasters, in the order of the classes.
    codes: tuple[int, ...] = ()
    #: Color of each class.
    class_colors: tuple[str, ...] = ()
    #: Index of what is no class, which is the number of classes.
    ignore_index: int = 0

    _table: ClassTable
    #: Number that means a reflectance of 1, if known.
    _scale: ClassVar[float | None] = 1e4

    def __init_subclass__(
        cls,
        product: str | None = None,
        sensor: str = 'enmap',
        table: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Fill the attributes of a data set.

        Args:
            product: Folder of the labels.
            sensor: Folder of the images.
            table: Name of the class table, *product* by default.
            **kwargs: Handed on.
        """
        super().__init_subclass__(**kwargs)
        if product is None:
            return
        cls.sensor, cls.product = sensor, product
        # nobody says what the numbers of the EO-1 patches mean
        cls._scale = None if sensor == 'eo1' else 1e4
        cls.num_bands = len(get_sensor(_SENSORS[sensor]).default_bands)
        known = official_files()
        files = {split: f'{sensor}_{product}/{split}.txt' for split in SPLITS}
        cls.split_sizes = {split: known[file][0] for split, file in files.items()}
        cls._use(cls, load_classes(table or product))

    @staticmethod
    def _use(target: Any, table: ClassTable) -> None:
        """Set the attributes that describe the classes."""
        target._table = table
        target.classes, target.codes = table.names, table.codes
        target.class_colors = table.colors
        target.ignore_index = table.ignore_index

    def __init__(
        self,
        root: PathLike = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        bands: Sequence[str | int | float] | None = None,
        split_by: Literal['official', 'scene'] = 'official',
        fraction: float = 1.0,
        split_dir: PathLike | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        download: bool = False,
    ) -> None:
        """Initialize a new dataset.

        Args:
            root: Folder that holds the folder of the data set, or that folder itself.
            split: One of 'train', 'val' and 'test'.
            bands: Bands in the order wanted: names, positions (from 0), or wavelengths
                in micrometres (the nearest band); all bands of the files by default.
            split_by: ``'official'`` for the lists of the authors, ``'scene'`` for splits
                of about the same sizes that share no scene. The latter counts the
                classes of all label rasters once, and keeps the counts beside them.
            fraction: Share of the training and validation labels to use, by the rule of
                :func:`~torchgeo_hsi.datasets.spectral_earth.splits.label_efficient`; the
                test split stays whole. All labels at 1.
            split_dir: Folder of the lists ``train.txt``, ``val.txt``, ``test.txt``;
                searched in ``<root>/splits`` and beside *root* by default.
            transforms: Function that takes a sample and returns a changed one.
            download: Whether to get what is missing: the images and labels from DLR
                (needs a free account), the lists from the repository of the authors.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no images and labels.
            FileNotFoundError: If there is no list of the split, or listed patches are
                missing.
            ValueError: If an option is not one of those above.
            UnknownNameError: If there is no such band.
            EmptyDataError: If *fraction* leaves nothing, or there are too few scenes.
        """
        if not self.product:
            raise TypeError('Use one of the subclasses, e.g. SpectralEarthCDL.')
        patches.check_options(split, split_by, fraction)
        self.root = root
        self.split = split
        self.split_by = split_by
        self.fraction = fraction
        self.split_dir = split_dir
        self.transforms = transforms
        self.download = download
        every = get_sensor(_SENSORS[self.sensor]).default_bandset
        self._bandset = every if bands is None else every.select(bands)
        self._indexes = None if bands is None else every.indices(self._bandset.names)
        self.folder = self._find_folder()
        self._files = self._select()
        self._check_files()
        # the first image speaks for all, so that samples have the same keys
        first = tiff_info(self._image_path(self._files[0]))
        self._has_place = first.transform is not None
        self._has_bands = patches.own_bands(first) is not None

    @property
    def name(self) -> str:
        """Name of the data set, its archive and its folder, e.g. ``enmap_cdl``."""
        return f'{self.sensor}_{self.product}'

    @property
    def bandset(self) -> BandSet:
        """Selected bands in the order of ``image``."""
        return self._bandset

    @property
    def files(self) -> list[str]:
        """Name ``<patch>/<scene>.tif`` of each sample, in order."""
        return list(self._files)

    @property
    def scenes(self) -> list[str]:
        """Scene of each sample, in order."""
        return [scene_of(file) for file in self._files]

    def _image_path(self, file: str) -> str:
        return os.path.join(self.folder, self.sensor, file)

    def _label_path(self, file: str) -> str:
        return os.path.join(self.folder, self.product, file)

    def _find_folder(self) -> Path:
        """Find the folder that holds images and labels, or download them."""
        root = Path(self.root)

        def look() -> Path | None:
            for folder in (root / self.name, root):
                parts = (folder / self.sensor, folder / self.product)
                if all(part.is_dir() for part in parts):
                    return folder
            return None

        folder = look()
        if folder is None and self.download:
            download_dlr(self.name, root)
            folder = look()
        if folder is None:
            error = DatasetNotFoundError(self)
            error.add_note(
                f'Expected folders {self.sensor} and {self.product} in '
                f'{root / self.name} or in {root}. {ACCESS}'
            )
            raise error
        return folder

    def _select(self) -> list[str]:
        """List the samples of the split."""
        subset = self.fraction < 1 and self.split != 'test'
        wanted = ('train', 'val') if subset else (self.split,)
        if self.split_by == 'scene':
            lists = self._scene_lists()
        else:
            lists = {split: read_split(self._split_file(split)) for split in wanted}
        if subset:
            train, val = lists['train'], lists['val']
            return label_efficient(self.split, train, val, self.fraction)
        return lists[self.split]

    def _split_file(self, split: str) -> Path:
        file = f'{split}.txt'
        return get_split(
            self.folder,
            self.name,
            file,
            self.split_dir,
            self.download,
            'Pass download=True to get the lists of the authors (a few kB, no account), '
            'split_dir= if you have them elsewhere, or split_by="scene" to do without '
            'them.',
        )

    def _scene_lists(self) -> dict[str, list[str]]:
        """Split the patches that there are by scene."""
        labels, images = self.folder / self.product, self.folder / self.sensor
        files = [
            file for file in patches.list_patches(labels) if (images / file).is_file()
        ]
        if not files:
            raise EmptyDataError(
                f'No patch in {images} has labels in {labels}. Extract the archive of '
                f'{self.name} again.'
            )
        path = self.folder / f'class_counts_{self._table.name}.csv'
        counts = class_counts(files, self._read_codes, self._table, path)
        return scene_splits(files, self.split_sizes, self._weigh(counts))

    def _weigh(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Say what of the classes is spread over the splits: here the pixels."""
        return counts

    def _check_files(self) -> None:
        parts = [self.folder / part for part in (self.sensor, self.product)]
        missing = patches.missing_patches(parts, self._files)
        if missing and self.download and patches.is_unfinished(self.root, self.name):
            download_dlr(self.name, self.root)
            missing = patches.missing_patches(parts, self._files)
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(self._files)} patches of the {self.split} '
                f'split of {self.name} lack their image or labels in {self.folder}, '
                f'e.g. {missing[0]}. Extract the archive again, or write a list of the '
                f'patches that you have to a file {self.split}.txt and pass its folder '
                'as split_dir=.'
            )

    def _read_codes(self, file: str) -> NDArray[Any]:
        """Read the codes of a label raster, in the data type of the file."""
        codes: NDArray[Any] = read_tiff(self._label_path(file), [0])[0]
        return codes

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Args:
            index: Number of the sample.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If there is no such sample.
            CorruptFileError: If a file is damaged.
            BandMismatchError: If an image has another number of bands, or the labels
                have another size.
            MetadataError: If the data type of the labels cannot hold the codes.
        """
        file = self._files[index]
        path = self._image_path(file)
        info = tiff_info(path)
        if info.shape[0] != self.num_bands:
            raise BandMismatchError(
                f'Expected the {self.num_bands} bands of {self.name} in {path}, got '
                f'{info.shape[0]}.'
            )
        nodata = _NODATA if info.nodata is None else info.nodata
        image, valid = read_tiff_float(path, self._indexes, nodata=nodata)
        codes = self._read_codes(file)
        if codes.shape != valid.shape:
            raise BandMismatchError(
                f'Expected labels of {valid.shape} rows and columns in '
                f'{self._label_path(file)}, as in the image, got {codes.shape}.'
            )
        sample: Sample = {
            'image': torch.from_numpy(image),
            'valid': torch.from_numpy(valid),
            **self._target(self._table.encode(codes), valid),
            **self._spectral(info),
        }
        if self._has_place:
            sample |= patches.place(info)
        return sample if self.transforms is None else self.transforms(sample)

    def _spectral(self, info: TIFFInfo) -> Sample:
        """Return centers and widths of the selected bands."""
        own = patches.own_bands(info) if self._has_bands else None
        center, width = self._bandset.wavelength, self._bandset.fwhm
        if own is not None:
            every = range(len(own))
            index = list(every if self._indexes is None else self._indexes)
            center = own.wavelength[index]
            width = width if own.fwhm is None else own.fwhm[index]
        sample = {'wavelength': patches.tensor(center)}
        return sample if width is None else {**sample, 'fwhm': patches.tensor(width)}

    def _target(self, mask: NDArray[np.int64], valid: NDArray[np.bool_]) -> Sample:
        """Turn class indices into what is learned."""
        mask[~valid] = self.ignore_index
        return {'mask': torch.from_numpy(mask)}

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false color, classes and the mean spectrum.

        Long names of classes are shortened in the legend.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no selected band is visible.
        """
        return plot_sample(
            sample,
            show_titles=show_titles,
            suptitle=suptitle,
            class_names=patches.short_names(self.classes),
            class_colors=self.class_colors,
            ignore_index=self.ignore_index,
            scale=self._scale,
        )
