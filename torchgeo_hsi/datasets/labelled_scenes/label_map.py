# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Class codes of pixels, from rasters, arrays and polygons."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ..._typing import BoolArray, PathLike
from ...errors import BandMismatchError, MetadataError
from ...io import CubeInfo, CubeReader
from .scene import UNLABELLED

#: Files of polygons, lines and points.
_VECTOR = (
    '.gpkg',
    '.geojson',
    '.geojsonl',
    '.json',
    '.shp',
    '.gdb',
    '.kml',
    '.gml',
    '.fgb',
    '.parquet',
)


@dataclass(frozen=True)
class LabelMap:
    """Class codes of pixels, and what they mean as far as the file says.

    Args:
        codes: Code of each pixel, int64 of shape ``(H, W)``; 0 where it is not known.
        known: Which pixels have a code, bool of shape ``(H, W)``.
        names: Name of a class by its code.
        colors: Color of a class by its code, as ``'#rrggbb'``.
        crs: Coordinate reference system, or None.
        transform: From (column, row) to map coordinates, or None.
        path: Where the labels come from, for messages.

    Raises:
        BandMismatchError: If shapes do not fit together.

    Example:
        >>> codes = np.array([[1, 1, 7], [0, 7, 7]])
        >>> labels = LabelMap(codes, codes > 0, names={7: 'water'})
        >>> labels.counts(), labels.encode([7]).tolist()
        ({1: 2, 7: 3}, [[-1, -1, 0], [-1, 0, 0]])
    """

    codes: NDArray[np.int64]
    known: BoolArray
    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, str] = field(default_factory=dict)
    crs: Any = None
    transform: Affine | None = None
    path: str = 'labels'

    def __post_init__(self) -> None:
        """Check that everything fits together."""
        if self.codes.ndim != 2 or self.codes.shape != self.known.shape:
            raise BandMismatchError(
                f'Expected one label for each pixel (rows, columns) in {self.path}, '
                f'got shapes {self.codes.shape} and {self.known.shape}.'
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.codes.shape
        return rows, columns

    def counts(self) -> dict[int, int]:
        """Count the pixels of each code.

        Returns:
            Number of pixels by code, sorted by code.
        """
        codes, numbers = np.unique(self.codes[self.known], return_counts=True)
        return dict(zip(codes.tolist(), numbers.tolist(), strict=True))

    def encode(self, classes: Sequence[int]) -> NDArray[np.int64]:
        """Turn codes into class indices.

        Args:
            classes: Code of each class, in the order of the classes.

        Returns:
            Class indices, int64 of shape ``(H, W)``; -1 for everything else.

        Raises:
            BandMismatchError: If *classes* is empty or repeats a code.
        """
        if not len(classes) or len(set(classes)) != len(classes):
            raise BandMismatchError(
                f'Expected different class codes, got {list(classes)}.'
            )
        order = np.argsort(classes)
        wanted = np.asarray(classes, dtype=np.int64)[order]
        position = np.searchsorted(wanted, self.codes).clip(max=len(wanted) - 1)
        hit = self.known & (wanted[position] == self.codes)
        return np.where(hit, order[position], UNLABELLED).astype(np.int64)


def read_label_map(
    path: PathLike | Sequence[PathLike],
    *,
    key: str | None = None,
    column: str | None = None,
    ignore: int | None = 0,
    like: CubeInfo | CubeReader | None = None,
) -> LabelMap:
    """Read class codes from a file of any kind, on the pixels of a scene.

    * **Rasters** (GeoTIFF, ENVI classification files, and whatever else GDAL opens):
      one band of whole numbers. Names of classes come from the tag ``class_names`` (a
      JSON object from code to name, a JSON list, or names between semicolons or commas;
      the first one is that of code 0, or of code 1 if the largest code is the number
      of names), from the categories
      that GDAL keeps in an ``.aux.xml`` file, or from ENVI's ``class names``; colors
      from the color table or ENVI's ``class lookup``. Where the grid is not that of the
      scene, each pixel takes the code of the pixel that its centre lies in, whatever
      the CRS; nothing is interpolated.
    * **Arrays** (``.mat``, NetCDF, HDF5: *key*; ``.npy``): pixel by pixel, so they need
      the rows and columns of the scene.
    * **Vectors** (GeoPackage, GeoJSON, Shapefile, ...): polygons give their class to
      the pixels whose centre lies inside, points to the pixel they lie in, lines to
      the pixels they run along. Any CRS. Later features win where features overlap.
      *column* holds whole numbers, which are codes, or names, which get the codes 1,
      2 ... in sorted order; features without an entry are left out, and those with
      the code *ignore* take labels away.

    Args:
        path: The file; or several files or a folder of rasters, where the first one
            with a code counts.
        key: Name of the array in ``.mat``, NetCDF and HDF5 files; needed if there is
            more than one of two dimensions.
        column: Column of vector files with the class; needed if there is more than
            one.
        ignore: Code of pixels without a label; None if each code is a class.
        like: Scene whose pixels the labels are put on; vector files need it.

    Returns:
        The labels, on the pixels of *like* or else of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If a file is empty, truncated or damaged.
        MetadataError: If a key, column or georeference is missing, codes are no whole
            numbers, or an option is not for this kind of file.
        BandMismatchError: If labels without a place have another size than the scene.
        EmptyDataError: If the labels lie elsewhere; the message says where both lie.

    Example:
        .. code-block:: python

            with open_cube('flight.hdr') as reader:
                labels = read_label_map('fields.gpkg', column='crop', like=reader)
            labels.counts()
    """
    info = like.info if isinstance(like, CubeReader) else like
    files = _files(path)
    if len(files) == 1:
        return _read(files[0], key, column, ignore, info)
    if info is None:
        raise MetadataError(
            f'Expected one file of labels, got {len(files)}. Several ones need the '
            'scene to put them on (like=).'
        )
    return _read_several(files, key, column, ignore, info)


def is_vector(path: PathLike) -> bool:
    """Tell whether a file holds polygons, lines or points, by its suffix.

    Args:
        path: The file.
    """
    return os.path.splitext(path)[1].lower() in _VECTOR


def _files(path: PathLike | Sequence[PathLike]) -> list[str]:
    if not isinstance(path, str | os.PathLike):
        files = [os.fspath(entry) for entry in path]
        if not files:
            raise MetadataError('Expected files of labels, got an empty list.')
        return files
    name = os.fspath(path)
    if not os.path.isdir(name) or is_vector(name):
        return [name]
    files = sorted(
        os.path.join(name, entry)
        for entry in os.listdir(name)
        if entry.lower().endswith(('.tif', '.tiff'))
    )
    if not files:
        raise MetadataError(
            f'The folder {name} holds no GeoTIFF (.tif). Name the file of labels.'
        )
    return files


def _read(
    path: str,
    key: str | None,
    column: str | None,
    ignore: int | None,
    info: CubeInfo | None,
) -> LabelMap:
    """Read one file."""
    # geopandas takes a second, and rasters do not need it
    from . import _label_rasters, _label_vectors
    from ._placing import place_labels

    if is_vector(path):
        _refuse(path, 'key', key, 'arrays of .mat, NetCDF and HDF5 files')
        if info is None:
            raise MetadataError(
                f'{path} holds features and no pixels. Say on which scene to put them '
                '(like=).'
            )
        return _label_vectors.read_features(path, column, ignore, info)
    _refuse(path, 'column', column, 'vector files (GeoPackage, GeoJSON, Shapefile)')
    labels = _label_rasters.read_raster_labels(path, key)
    if info is not None:
        labels = place_labels(labels, info)
    if ignore is None:
        return labels
    known = labels.known & (labels.codes != ignore)
    return replace(labels, known=known, codes=np.where(known, labels.codes, 0))


def _refuse(path: str, option: str, value: str | None, meant: str) -> None:
    if value is not None:
        raise MetadataError(f'{option}={value!r} is for {meant}, which {path} is not.')


def _read_several(
    files: Sequence[str],
    key: str | None,
    column: str | None,
    ignore: int | None,
    info: CubeInfo,
) -> LabelMap:
    """Lay several rasters over each other; the first one with a code counts."""
    from ...errors import EmptyDataError

    vectors = [file for file in files if is_vector(file)]
    if vectors:
        raise MetadataError(
            f'Expected one file of features or several rasters, got {vectors[0]} among '
            f'{len(files)} files. Merge the features into one file.'
        )
    codes = np.zeros(info.shape[1:], dtype=np.int64)
    known = np.zeros(codes.shape, dtype=bool)
    names: dict[int, str] = {}
    colors: dict[int, str] = {}
    outside: EmptyDataError | None = None
    for file in files:
        try:
            labels = _read(file, key, column, ignore, info)
        except EmptyDataError as error:
            outside = error
            continue
        new = labels.known & ~known
        codes[new] = labels.codes[new]
        known |= new
        names = {**labels.names, **names}
        colors = {**labels.colors, **colors}
    if outside is not None and not known.any():
        raise outside
    return LabelMap(
        codes,
        known,
        names,
        colors,
        info.crs,
        info.transform,
        os.path.dirname(files[0]) or files[0],
    )
