# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of PRISMA as the HS-pansharpening toolbox cuts them."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import scipy.io
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchgeo.datasets import NonGeoDataset

from .._typing import FloatArray, PathLike, Sample
from ..errors import (
    BandMismatchError,
    CorruptFileError,
    MetadataError,
    NodataWarning,
    UnitError,
)
from ..io._files import check_file, shorten
from ..io.mat import read_mat_array
from ..physics import format_nm, to_micrometres
from ._index import DataNotFoundError
from ._pair_figure import plot_pair

#: Folders of the toolbox.
SPLITS = {'train': 'Training', 'val': 'Validation', 'test': 'Test'}
RESOLUTIONS = {'reduced': 'Reduced_Resolution', 'full': 'Full_Resolution'}

#: How files of version 7.3 begin, which are HDF5.
_MATLAB_73 = b'MATLAB 7.3'

#: Where the scenes come from; they must not be handed on.
_ORDER = (
    'Register at https://prisma.asi.it (free for research), order the 16 L2D products '
    'that the HS-pansharpening toolbox lists '
    '(https://github.com/matciotola/hyperspectral_pansharpening_toolbox), and run its '
    'elaborate_PRISMA_images.py, which writes the folders'
)


class PRISMAPansharpening(NonGeoDataset):
    """Pairs of PRISMA as the HS-pansharpening toolbox cuts them.

    Cubes of 30 m and panchromatic images of 5 m from 16 scenes, of which four are for
    tests, after the `toolbox
    <https://github.com/matciotola/hyperspectral_pansharpening_toolbox>`__. ASI does not allow to hand products on, so everybody orders them and runs the
    script of the toolbox, which writes files of MATLAB into the folders
    ``Training``, ``Validation`` and ``Test``, each with ``Full_Resolution`` and
    ``Reduced_Resolution``. These are read here.

    Sample:

    * ``image``: stored numbers of the cube, 159 bands, float32 of shape ``(C, h, w)``
    * ``pan``: those of the panchromatic image, float32 of shape ``(1, 6 h, 6 w)``
    * ``target``: the cube before it was reduced, float32 of shape ``(C, 6 h, 6 w)``;
      only at reduced resolution
    * ``up``: the interpolated cube of the toolbox; only with ``interpolated=True``
    * ``valid``, ``pan_valid``: False where all bands, or the panchromatic image or all
      bands of the target, are 0; bool
    * ``wavelength``: micrometres, shape ``(C,)``; not in order: the 57th band (number
      56) lies 16 nm below the one before it

    Numbers are those of the product, from 0 to 65535, and not reflectance. The toolbox
    divides them by 65536.

    In copies of some users a band is 0 everywhere, mostly number 55, and indices such as
    ERGAS become NaN (`issue 4
    <https://github.com/matciotola/hyperspectral_pansharpening_toolbox/issues/4>`__).
    Such a band is named in a warning and stays as it is; leave it out with *bands*.

    The fourth scene for tests, which the toolbox calls Tabasco, seems to be South
    Sardinia: by its list of images, that is what PRISMA took at the time in the name of
    the file, 10:22 UTC on 20 November 2023, when it is night in Mexico.

    If you use this dataset in your research, please cite the following papers:

    * https://arxiv.org/abs/2407.01355
    * https://doi.org/10.1016/j.rse.2021.112499

    Example:
        .. code-block:: python

            pairs = PRISMAPansharpening('data/prisma', split='test', resolution='full')
            pairs[0]['pan'].shape  # (1, 1200, 1200)
    """

    def __init__(
        self,
        root: PathLike = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        resolution: Literal['reduced', 'full'] = 'reduced',
        bands: Sequence[int] | None = None,
        interpolated: bool = False,
        transforms: Callable[[Sample], Sample] | None = None,
    ) -> None:
        """Initialize a new PRISMAPansharpening instance.

        Args:
            root: Folder that the script of the toolbox wrote.
            split: ``'train'``, ``'val'`` or ``'test'``.
            resolution: ``'reduced'`` with a truth, or ``'full'`` without one.
            bands: Positions of the bands wanted, from 0; all by default.
            interpolated: Whether to add the interpolated cube, which takes as much
                memory as the result.
            transforms: Function that takes a sample and returns a changed one.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no files.
            MetadataError: If there is no such split or resolution.
        """
        for name, value, known in (
            ('split', split, SPLITS),
            ('resolution', resolution, RESOLUTIONS),
        ):
            if value not in known:
                raise MetadataError(
                    f'Expected {name} as one of {", ".join(known)}, got {value!r}.'
                )
        self.root = root
        self.split = split
        self.resolution = resolution
        self.bands = None if bands is None else [int(band) for band in bands]
        self.interpolated = interpolated
        self.transforms = transforms
        self.files = _find(root, SPLITS[split], RESOLUTIONS[resolution])
        self._warned: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Read a pair.

        Args:
            index: Its number.

        Returns:
            The sample, see the class.

        Raises:
            CorruptFileError: If the file is damaged.
            MetadataError: If it lacks an array.
            BandMismatchError: If its arrays do not fit each other, or a band does not
                exist.
            UnitError: If its wavelengths are not nanometres.
        """
        path = self.files[index]
        keys = {'image': 'I_MS_LR', 'pan': 'I_PAN'}
        if self.resolution == 'reduced':
            keys['target'] = 'I_GT'
        if self.interpolated:
            keys['up'] = 'I_MS'
        arrays = _read(path, [*keys.values(), 'wavelengths'])
        cubes = {key: _bands_first(arrays[name]) for key, name in keys.items()}
        _check(cubes, path)
        centers = _micrometres(arrays['wavelengths'], len(cubes['image']), path)
        self._check_bands(cubes['image'], centers, path)
        sample = {
            key: torch.from_numpy(self._chosen(values, key, path))
            for key, values in cubes.items()
        }
        sample['valid'] = sample['image'].any(0)
        sample['pan_valid'] = sample['pan'][0] != 0
        if 'target' in sample:
            sample['pan_valid'] &= sample['target'].any(0)
        wavelength = self._chosen(centers.astype(np.float32), 'wavelength', path)
        sample['wavelength'] = torch.from_numpy(wavelength)
        return sample if self.transforms is None else self.transforms(sample)

    def _chosen(self, values: NDArray[Any], key: str, path: str) -> NDArray[Any]:
        """Take the bands that are wanted, as float32."""
        if self.bands is not None and key != 'pan':
            count = len(values)
            if any(not -count <= band < count for band in self.bands):
                raise BandMismatchError(
                    f'Expected bands 0 to {count - 1} of {path}, got {self.bands}.'
                )
            values = values[self.bands]
        return np.ascontiguousarray(values, dtype=np.float32)

    def _check_bands(self, image: NDArray[Any], centers: FloatArray, path: str) -> None:
        """Warn of bands without data, once for each file."""
        wanted = range(len(image)) if self.bands is None else self.bands
        found = [
            band
            for band in wanted
            if -len(image) <= band < len(image) and not image[band].any()
        ]
        new = [band for band in found if (path, band) not in self._warned]
        # a cube without any data has no bands to leave out
        if not new or not image.any():
            return
        self._warned |= {(path, band) for band in new}
        words = ', '.join(
            f'{band} ({format_nm([float(centers[band])])})' for band in new
        )
        warnings.warn(
            f'In {path} the bands {words} are 0 everywhere, so indices that divide by '
            'their mean become NaN or infinite. They stay as they are; leave them out '
            'with bands=, or make the file again from the product.',
            NodataWarning,
            stacklevel=3,
        )

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> Figure:
        """Plot a pair: true color of the cube, panchromatic image and target.

        Args:
            sample: A sample as returned by :meth:`__getitem__`, maybe with a
                ``prediction``.
            show_titles: Whether to show a title above each panel.
            suptitle: Title of the whole figure.

        Returns:
            The figure.

        Raises:
            torchgeo.datasets.RGBBandsMissingError: If no band is visible.
        """
        return plot_pair(sample, show_titles=show_titles, suptitle=suptitle)


def _find(root: PathLike, split: str, resolution: str) -> list[str]:
    folder = os.path.join(os.fspath(root), split, resolution)
    files: list[str] = []
    if os.path.isdir(folder):
        names = sorted(n for n in os.listdir(folder) if n.lower().endswith('.mat'))
        files = [os.path.join(folder, name) for name in names]
    if not files:
        raise DataNotFoundError(
            f'Expected files *.mat in {folder}, got none. {_ORDER} '
            f'{split}/{resolution} and so on into root=.'
        )
    return files


def _read(path: str, keys: list[str]) -> dict[str, NDArray[Any]]:
    """Read some arrays of a file of MATLAB, of any version."""
    check_file(path)
    with open(path, 'rb') as stream:
        is_hdf5 = stream.read(len(_MATLAB_73)) == _MATLAB_73
    if is_hdf5:
        return {key: read_mat_array(path, key) for key in keys}
    try:
        # what is not wanted may be most of the file
        content = scipy.io.loadmat(path, variable_names=keys)
    # scipy raises whatever its parser runs into
    except Exception as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or no MATLAB file ({error}). Make it again '
            'with the toolbox, or copy it again.'
        ) from error
    missing = [key for key in keys if key not in content]
    if missing:
        found = ', '.join(name for name, *_ in scipy.io.whosmat(path)) or 'none'
        raise MetadataError(
            f'There is no {", ".join(missing)} in {path}. Arrays: {shorten(found, 200)}. '
            'Files at full resolution have no I_GT. Make it again with the toolbox, or '
            'copy it again.'
        )
    return {key: np.asarray(content[key]) for key in keys}


def _bands_first(values: NDArray[Any]) -> NDArray[Any]:
    """Bring an array into the shape ``(C, H, W)``."""
    return values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)


def _check(cubes: dict[str, NDArray[Any]], path: str) -> None:
    """Check that the arrays of a file fit each other."""
    count, height, width = cubes['image'].shape
    _, rows, columns = cubes['pan'].shape
    ratio = rows // height
    wanted = {'pan': (1, ratio * height, ratio * width)}
    wanted |= dict.fromkeys(('target', 'up'), (count, rows, columns))
    for key, values in cubes.items():
        if key != 'image' and (values.shape != wanted[key] or ratio < 2):
            raise BandMismatchError(
                f'Expected {key} of shape {wanted[key]} beside a cube of shape '
                f'{(count, height, width)} in {path}, got {values.shape}.'
            )


def _micrometres(values: NDArray[Any], count: int, path: str) -> FloatArray:
    """Return the wavelengths of a file, which are in nanometres."""
    centers = np.asarray(values, dtype=float).ravel()
    if centers.size != count:
        raise BandMismatchError(
            f'Expected {count} wavelengths for the bands of {path}, got {centers.size}.'
        )
    if not centers.min() > 100:
        raise UnitError(
            f'Expected wavelengths of {path} in nanometres, got {centers.min():g} to '
            f'{centers.max():g}. Make the file again with the toolbox.'
        )
    return to_micrometres(centers, 'nm')
