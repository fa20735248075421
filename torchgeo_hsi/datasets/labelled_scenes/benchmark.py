# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the standard benchmarks of pixel classification share."""

import os
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchgeo.datasets import NonGeoDataset

from ..._typing import BoolArray, PathLike, Sample
from ...errors import BandMismatchError, HSIWarning
from ...io import open_cube
from ...physics import BandSet
from .._index import DataNotFoundError
from ..plotting import plot_sample
from ._benchmark_files import ScenePart, check_hash, choose_key, find_part, read_plane
from .scene import UNLABELLED, LabelledScene
from .tables import SceneClasses, load_scene_classes


class BenchmarkScene(NonGeoDataset):
    """A standard benchmark: one scene and the classes of its pixels.

    The files are those that the user has; they are found under the names that are in
    circulation, and checked by their shape, the codes of their classes and the number
    of their pixels. Nothing is downloaded. Use :meth:`scene` for pixel classification,
    or name the class as ``dataset`` of
    :class:`~torchgeo_hsi.datamodules.HSIPixelDataModule`.

    Sample (there is one):

    * ``image``: the numbers of the file, float32 of shape ``(C, H, W)``; 0 without data
    * ``mask``: class indices, long of shape ``(H, W)``; :attr:`ignore_index` where the
      class is not known
    * ``valid``: False where a band is not finite or all are 0, bool of shape ``(H, W)``
    * ``wavelength``, ``fwhm``: micrometres, shape ``(C,)``, as far as they are known;
      :attr:`spectral_source` says how well

    Subclasses say what the scene is.
    """

    #: Name of the scene, for reports.
    title: ClassVar[str]
    #: Name of its table of classes.
    table: ClassVar[str]
    #: Bands, rows and columns.
    shape: ClassVar[tuple[int, int, int]]
    image_part: ClassVar[ScenePart]
    label_part: ClassVar[ScenePart]
    #: Where to get it.
    url: ClassVar[str]
    #: What to cite, as DOIs or addresses.
    citation: ClassVar[tuple[str, ...]]
    #: SHA-256 of well-known files by their name in lower case.
    sha256: ClassVar[Mapping[str, str]] = {}
    #: How the wavelengths are known, one of ``'calibration'`` (of the scene itself),
    #: ``'nominal'`` (another year of the same sensor), ``'even'`` (evenly spaced over
    #: the published range, which is not exact) or ``'none'``. Files that carry their
    #: own wavelengths are believed before all.
    spectral_source: ClassVar[str] = 'none'
    #: Whether to compare the number of pixels of each class with the published one.
    check_pixels: ClassVar[bool] = True
    #: Class of pixels whose class is not known, in ``mask``.
    ignore_index: ClassVar[int] = 255

    def __init__(
        self,
        root: PathLike = 'data',
        transforms: Callable[[Sample], Sample] | None = None,
        checksum: bool = False,
    ) -> None:
        """Initialize a new BenchmarkScene instance.

        Args:
            root: Folder with the files, or one of up to two levels above.
            transforms: Function that takes a sample and returns a changed one.
            checksum: Whether to compare files with the well-known ones, as far as
                these are known.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If a file is missing; the message
                says where to get it.
            CorruptFileError: If *checksum* is True and a file is another one.
            MetadataError: If there are several files of a name.
        """
        self.root = root
        self.transforms = transforms
        self.image_file = self._need(self.image_part)
        self.label_files = self._find_labels()
        if checksum:
            for path in (self.image_file, *self.label_files.values()):
                expected = self.sha256.get(os.path.basename(path).lower())
                if expected is not None:
                    check_hash(path, expected)

    @property
    def classes(self) -> SceneClasses:
        """The classes, with their colors and how many pixels they have."""
        return load_scene_classes(self.table)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.classes.names

    @property
    def class_colors(self) -> tuple[str, ...]:
        """Color of each class."""
        return self.classes.colors

    def bandset(self) -> BandSet | None:
        """Return the bands as published; None if nobody knows their wavelengths."""
        return None

    def __len__(self) -> int:
        """Return the number of samples, which is one."""
        return 1

    def __getitem__(self, index: int) -> Sample:
        """Return the scene as a sample.

        Args:
            index: Number of the sample, 0.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If *index* is not 0.
            CorruptFileError: If a file is damaged.
        """
        if index not in (0, -1):
            raise IndexError(f'{self.title} is one sample, got index {index}.')
        scene = self._scene
        mask = np.where(scene.labels == UNLABELLED, self.ignore_index, scene.labels)
        sample: Sample = {
            # a copy, for transforms may change it in place
            'image': torch.from_numpy(scene.image.astype(np.float32)),
            'mask': torch.from_numpy(mask),
            'valid': torch.from_numpy(scene.valid.copy()),
        }
        if scene.bands is not None:
            sample['wavelength'] = torch.tensor(scene.bands.wavelength).float()
            if scene.bands.fwhm is not None:
                sample['fwhm'] = torch.tensor(scene.bands.fwhm).float()
        return sample if self.transforms is None else self.transforms(sample)

    def scene(self) -> LabelledScene:
        """Return the scene in memory.

        Returns:
            The scene; it is read once.

        Raises:
            CorruptFileError: If a file is damaged.
            MetadataError: If the array is not found in a file.
            BandMismatchError: If a file has another shape or other classes than this
                scene.
        """
        return self._scene

    @cached_property
    def _scene(self) -> LabelledScene:
        image, valid, info = self._read_image()
        codes, masks = self._read_labels()
        known = set(np.unique(codes).tolist()) - {0}
        if not known <= set(self.classes.codes):
            raise BandMismatchError(
                f'Expected codes 0 to {len(self.classes)} as labels of {self.title}, '
                f'got {sorted(known - set(self.classes.codes))[:8]}. Is it the file of '
                'another scene?'
            )
        if self.check_pixels:
            self._compare('labels', codes, self.classes.pixels)
            for name, pixels in self.classes.official.items():
                if name in masks:
                    self._compare(name, np.where(masks[name], codes, 0), pixels)
        return LabelledScene(
            image=image,
            valid=valid,
            # codes are 1 to K
            labels=codes - 1,
            class_names=self.class_names,
            class_colors=self.class_colors,
            bands=info.bands or self.bandset(),
            crs=info.crs,
            transform=info.transform,
            name=self.title,
            official=masks,
        )

    def _read_image(self) -> tuple[NDArray[Any], BoolArray, Any]:
        """Read the cube and check its shape."""
        bands, rows, columns = self.shape
        key = choose_key(self.image_file, self.image_part.keys, (rows, columns, bands))
        with open_cube(self.image_file, **({} if key is None else {'key': key})) as src:
            if src.info.shape != self.shape:
                raise BandMismatchError(
                    f'Expected {bands} bands, {rows} rows and {columns} columns of '
                    f'{self.title} in {self.image_file}, got {src.info.shape}. '
                    f'{self._hint()}'
                )
            cube = src.read_masked(stored=True)
            return cube.values, cube.every & (cube.values != 0).any(axis=0), src.info

    def _hint(self) -> str:
        """Say what a wrong shape may mean."""
        return f'Get the usual file from {self.url}.'

    def _find_labels(self) -> dict[str, str]:
        """Find the label maps, by ``labels`` or the names of official splits."""
        return {'labels': self._need(self.label_part)}

    def _read_labels(self) -> tuple[NDArray[np.int64], dict[str, BoolArray]]:
        """Read class codes, 0 for none, and the masks of the official splits."""
        return self._plane('labels', self.label_part), {}

    def _plane(self, name: str, part: ScenePart) -> NDArray[np.int64]:
        return read_plane(self.label_files[name], part.keys, self.shape[1:])

    def _need(self, part: ScenePart) -> str:
        """Find a file, or say where to get it."""
        path = find_part(self.root, part)
        if path is not None:
            return path
        raise DataNotFoundError(
            f'Found no {part.names[0]}.mat of {self.title} in root={self.root!r}. Get '
            f'it from {self.url}, and keep its name. It may also be called '
            f'{", ".join(part.names[1:]) or "nothing else"}.'
        )

    def _compare(
        self, kind: str, codes: NDArray[np.int64], pixels: tuple[int, ...]
    ) -> None:
        """Warn if the number of pixels is not the published one."""
        count = np.bincount(codes.ravel(), minlength=len(pixels) + 1)[1:]
        other = [k for k, number in enumerate(pixels) if count[k] != number]
        if other:
            k = other[0]
            warnings.warn(
                f'The {kind} of {self.title} have {int(count.sum())} pixels, not the '
                f'{sum(pixels)} that are known (class {self.class_names[k]}: '
                f'{count[k]}, not {pixels[k]}). It is another edition, so scores cannot '
                'be compared with published ones.',
                HSIWarning,
                stacklevel=5,
            )

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: color views, classes and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.
        """
        return plot_sample(
            sample,
            show_titles=show_titles,
            suptitle=suptitle,
            class_names=self.class_names,
            class_colors=self.class_colors,
            ignore_index=self.ignore_index,
            # radiance or digital numbers, not reflectance
            scale=None,
        )
