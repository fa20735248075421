# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Test sets of restoration in MATLAB files."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import NonGeoDataset

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, MetadataError
from ..io import MatReader
from ..io.mat import read_mat_array
from ..physics import check_micrometres
from ._cube_files import find_files
from ._index import DataNotFoundError
from .plotting import plot_sample


class MatPairs(NonGeoDataset):
    """Cubes in MATLAB files: noisy and clean ones side by side, or clean ones alone.

    Test sets of the literature are such files, which differ in the names of their
    arrays and in how images are cut:

    ==========================================  =====================================
    data                                        arguments
    ==========================================  =====================================
    noisy test images of QRNN3D, HSDT, MAN      the defaults
    ICVL, as published, for training            ``noisy_key=None, clean_key='rad',``
                                                ``crop_size=1024``
    ICVL, for tests                             the same with ``crop_size=512``
    unmixing sets (Jasper Ridge, Samson ...),   ``noisy_key=None, clean_key='Y',``
    one column of the array for each pixel      ``shape=(100, 100)``
    cubes of other names                        ``noisy_key=None, clean_key='data'``
    ==========================================  =====================================

    The papers turn the images of ICVL by 90 degrees before they cut out the middle; the
    middle is the same either way, and ``rotate=1`` turns it.

    Sample:

    * ``image``: the noisy cube, or the clean one if there is no other; float32 of shape
      ``(C, H, W)``
    * ``target``: the clean cube, if there are both
    * ``valid``: False where a band of one of them is not finite
    * ``wavelength``: micrometres, if they were passed
    * ``sigma``: noise of each band on the scale of 0 to 255, if the file has it

    Example:
        .. code-block:: python

            pairs = MatPairs('icvl_512_50')
            clean = MatPairs('icvl', noisy_key=None, clean_key='rad', crop_size=512)
    """

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike] = 'data',
        noisy_key: str | None = 'input',
        clean_key: str | None = 'gt',
        sigma_key: str | None = 'sigma',
        layout: str = 'HWC',
        shape: tuple[int, int] | None = None,
        crop_size: int | tuple[int, int] | None = None,
        rotate: int = 0,
        scale: float | None = None,
        wavelength: Sequence[float] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Initialize a new MatPairs instance.

        Args:
            paths: Files, or a folder whose files are all taken.
            noisy_key: Name of the array of the noisy cube, or None.
            clean_key: Name of the array of the clean cube, or None.
            sigma_key: Name of the noise on the scale of 0 to 255, one number or one for
                each band, which files may have.
            layout: Order of the axes, ``'HWC'`` or ``'CHW'``.
            shape: Rows and columns of cubes that are stored as bands x pixels, one
                column of the image after the other, as MATLAB does.
            crop_size: Rows and columns to cut out of the middle; everything by default.
            rotate: Quarter turns against the clock, after the cut.
            scale: Factor from stored numbers to values.
            wavelength: Band centers in micrometres, which such files do not carry: 0.4
                to 0.7 in steps of 0.01 for ICVL.
            transforms: Function that takes a sample and returns a changed one.

        Raises:
            UnitError: If the wavelengths look like nanometres.
            torchgeo.datasets.DatasetNotFoundError: If there are no ``.mat`` files.
            ValueError: If there is neither a noisy nor a clean cube, or a size is not
                positive.
        """
        if noisy_key is None and clean_key is None:
            raise ValueError('Expected noisy_key, clean_key or both, got neither.')
        self.paths = paths
        self.files = _find_mat(paths)
        self.noisy_key = noisy_key
        self.clean_key = clean_key
        self.sigma_key = sigma_key
        self.layout = layout
        self.shape = None if shape is None else (int(shape[0]), int(shape[1]))
        self.crop_size = _pair(crop_size)
        self.rotate = rotate
        self.scale = scale
        self.wavelength = None
        if wavelength is not None:
            self.wavelength = check_micrometres(wavelength)
        self.transforms = transforms

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Read a file.

        Args:
            index: Its number.

        Returns:
            The sample, see the class.

        Raises:
            CorruptFileError: If the file is damaged.
            MetadataError: If it has no such arrays.
            BandMismatchError: If noisy and clean cube differ in shape, the cube is
                smaller than the crop, or there is not one wavelength for each band.
        """
        path = self.files[index]
        keys = [key for key in (self.noisy_key, self.clean_key) if key is not None]
        cubes = [self._read(path, key) for key in keys]
        if cubes[0].shape != cubes[-1].shape:
            raise BandMismatchError(
                f'Expected {keys[0]} and {keys[-1]} of the same shape in {path}, got '
                f'{tuple(cubes[0].shape)} and {tuple(cubes[-1].shape)}.'
            )
        valid = torch.stack([cube.isfinite().all(0) for cube in cubes]).all(0)
        cubes = [cube.masked_fill(~valid, 0) for cube in cubes]
        sample: Sample = {'image': cubes[0], 'valid': valid}
        if len(cubes) > 1:
            sample['target'] = cubes[1]
        if self.wavelength is not None:
            count = len(cubes[0])
            centers = check_micrometres(self.wavelength, count)
            sample['wavelength'] = torch.tensor(centers, dtype=torch.float32)
        sigma = self._sigma(path, len(cubes[0]))
        if sigma is not None:
            sample['sigma'] = sigma
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, path: str, key: str) -> Tensor:
        """Read a cube, cut and turned."""
        values: NDArray[Any]
        if self.shape is None:
            with MatReader(path, key=key, layout=self.layout) as reader:
                part = reader.read_masked()
                values = np.where(part.every, part.values, np.nan)
        else:
            flat = read_mat_array(path, key)
            rows, columns = self.shape
            if flat.ndim != 2 or flat.shape[1] != rows * columns:
                raise BandMismatchError(
                    f'Expected {key} of shape (bands, {rows * columns}) in {path}, for '
                    f'{rows} x {columns} pixels, got {flat.shape}.'
                )
            values = flat.reshape(-1, columns, rows).swapaxes(1, 2)
        cut = _middle(values, self.crop_size, path)
        turned = np.rot90(cut, self.rotate, (1, 2)).astype(np.float32)
        if self.scale is not None:
            turned = turned * np.float32(self.scale)
        return torch.from_numpy(np.ascontiguousarray(turned))

    def _sigma(self, path: str, count: int) -> Tensor | None:
        """Read the noise level, where the file has one."""
        if self.sigma_key is None or self.noisy_key is None:
            return None
        try:
            values = np.ravel(read_mat_array(path, self.sigma_key))
        except MetadataError:
            return None
        if values.size not in (1, count):
            raise BandMismatchError(
                f'Expected 1 or {count} numbers in {self.sigma_key} of {path}, got '
                f'{values.size}. Pass sigma_key=None if they mean something else.'
            )
        return torch.from_numpy(values.astype(np.float32)).expand(count).clone()

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a sample: true and false color and the mean spectrum.

        Args:
            sample: A sample as returned by :meth:`__getitem__`.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no wavelengths were passed, or none is
                visible.
        """
        return plot_sample(
            sample, show_titles=show_titles, suptitle=suptitle, scale=None
        )


def _find_mat(paths: PathLike | Iterable[PathLike]) -> list[str]:
    files = [file for file in find_files(paths) if file.lower().endswith('.mat')]
    if not files:
        raise DataNotFoundError(f'Expected MATLAB files in paths=, got none: {paths}.')
    return files


def _pair(crop: int | Sequence[int] | None) -> tuple[int, int] | None:
    if crop is None:
        return None
    rows, columns = (crop, crop) if isinstance(crop, int) else crop
    if min(rows, columns) < 1:
        raise ValueError(f'Expected a positive crop_size, got {crop}.')
    return int(rows), int(columns)


def _middle(
    values: NDArray[Any], crop: tuple[int, int] | None, path: str
) -> NDArray[Any]:
    if crop is None:
        return values
    tops = [(n - k) // 2 for n, k in zip(values.shape[1:], crop, strict=True)]
    if min(tops) < 0:
        raise BandMismatchError(
            f'Expected at least {crop[0]} x {crop[1]} pixels in {path}, got '
            f'{values.shape[1]} x {values.shape[2]}. Lower crop_size.'
        )
    return values[:, tops[0] : tops[0] + crop[0], tops[1] : tops[1] + crop[1]]
