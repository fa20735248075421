# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One function that opens any supported file."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._typing import PathLike
from ..errors import BandMismatchError, EmptyDataError, MetadataError
from ._arrays import listed
from ._desis_xml import is_desis
from ._enmap_xml import find_product
from ._envi_header import DATA_SUFFIXES
from ._files import check_file, siblings
from ._hdf5 import arrays, misleading, open_hdf5
from .base import CubeReader
from .desis import DESISL2AReader
from .emit import EMITL2AReader, is_emit
from .enmap import EnMAPL2AReader
from .envi import ENVIReader
from .geotiff import GeoTIFFReader
from .mat import MatReader, read_mat_array
from .netcdf import NetCDFReader
from .prisma import PRISMAReader, is_prisma
from .store import StoredSceneReader, is_store
from .store._folder import GROUP

_TIFF = ('.tif', '.tiff')
_HDF5 = ('.nc', '.nc4', '.h5', '.hdf5', '.he5')

#: Number of bands from which on a GeoTIFF may be a bare EnMAP image.
_ENMAP_BANDS = 200


def open_cube(path: PathLike, **options: Any) -> CubeReader:
    """Open a hyperspectral file or product folder.

    ==================================== ===================================
    what                                 reader
    ==================================== ===================================
    EnMAP L2A folder, ``*-METADATA.XML`` :class:`EnMAPL2AReader`
    or ``*SPECTRAL_IMAGE*.TIF``
    the same of DESIS L2A                :class:`DESISL2AReader`
    GeoTIFF, COG                         :class:`EnMAPL2AReader` if its bands
                                         are those of EnMAP, else
                                         :class:`GeoTIFFReader`
    ENVI header or binary file           :class:`ENVIReader`
    ``.mat``                             :class:`MatReader`
    ``.nc``, ``.h5``, ``.he5``, ...      :class:`EMITL2AReader` or
                                         :class:`PRISMAReader` if the layout is
                                         that of EMIT L2A or PRISMA and neither
                                         ``variable`` nor ``layout`` is given,
                                         else :class:`NetCDFReader`
    folder of a stored scene, or its     :class:`StoredSceneReader`
    address (``s3://``, ``https://``)
    ==================================== ===================================

    Args:
        path: File or product folder.
        **options: Options of the reader: ``wavelength``, ``wavelength_unit``,
            ``fwhm``, ``nodata`` and ``scale`` of all of them, ``key`` and ``layout``
            of ``.mat``, ``variable`` and ``layout`` of NetCDF.

    Returns:
        The open file. Close it, or use it as a context manager.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If a folder holds no product.
        CorruptFileError: If a file is empty, truncated or damaged.
        MetadataError: If metadata that must not be guessed are missing, the kind of
            file is unknown, or its reader lacks an option.

    Example:
        .. code-block:: python

            with open_cube('scene.hdr', wavelength_unit='nm') as reader:
                values, valid = reader.read(reader.info.bands.indices([0.64, 0.86]))
    """
    name = os.fspath(path)
    reader = _reader_of(name)
    known = _options(reader)
    unknown = [option for option in options if option not in known]
    if unknown:
        described = _DESCRIBED.get(reader, reader)
        raise MetadataError(
            f'{described.__name__}, which opens {name}, has no option '
            f'{", ".join(map(repr, unknown))}. It knows: {", ".join(known)}.'
        )
    return reader(name, **options)


def known_options(path: PathLike) -> tuple[str, ...]:
    """Name the options that :func:`open_cube` takes for a file.

    Args:
        path: File or product folder.

    Returns:
        Names of the arguments of its reader.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If a folder holds no product.
        CorruptFileError: If the file is empty.
        MetadataError: If the kind of file is unknown.
    """
    return _options(_reader_of(os.fspath(path)))


def option_kinds(path: PathLike) -> dict[str, Any]:
    """Tell what the options of a file are.

    Args:
        path: File or product folder.

    Returns:
        Annotations by the names that :func:`known_options` returns.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If a folder holds no product.
        CorruptFileError: If the file is empty.
        MetadataError: If the kind of file is unknown.
    """
    reader = _reader_of(os.fspath(path))
    described = _DESCRIBED.get(reader, reader)
    parameters = inspect.signature(described).parameters
    kinds = {name: word.annotation for name, word in parameters.items()}
    return {name: kinds.get(name, str) for name in _options(reader)}


def _options(reader: Callable[..., CubeReader]) -> tuple[str, ...]:
    described = _DESCRIBED.get(reader, reader)
    names = tuple(inspect.signature(described).parameters)[1:]
    return (*names, 'overlap') if reader is _open_prisma else names


def has_named_arrays(path: PathLike) -> bool:
    """Tell whether a file holds named arrays, of which one may be a class map.

    Args:
        path: The file.

    Returns:
        True for MATLAB, NetCDF and HDF5 files, by their suffix.
    """
    return os.path.splitext(path)[1].lower() in ('.mat', *_HDF5)


def read_array(path: PathLike, key: str) -> NDArray[Any]:
    """Read a whole array from a MATLAB, NetCDF or HDF5 file, such as a class map.

    Args:
        path: The file.
        key: Name of the array.

    Returns:
        The array, with its axes in the order of MATLAB for ``.mat`` files.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is empty, truncated or damaged.
        MetadataError: If there is no such array.
        ImportError: If the file needs h5py, which is not installed.
    """
    name = os.fspath(path)
    if name.lower().endswith('.mat'):
        return read_mat_array(name, key)
    with open_hdf5(name) as file, misleading(name):
        found = arrays(file)
        if key.strip('/') not in found:
            listing = listed(found)
            raise MetadataError(
                f'There is no {key!r} in {name}. Choose one of its arrays: {listing}.'
            )
        return np.asarray(found[key.strip('/')])


def _reader_of(path: str) -> Callable[..., CubeReader]:
    """Choose a reader by what the path looks like."""
    if '://' in path:
        return StoredSceneReader
    if os.path.isdir(path):
        return _reader_of_folder(path)
    check_file(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix in ('.xml', *_TIFF) and is_desis(path):
        return DESISL2AReader
    if suffix == '.xml':
        return EnMAPL2AReader
    if suffix in _TIFF:
        return _open_tiff
    if suffix == '.mat':
        return MatReader
    if suffix in _HDF5:
        return _reader_of_hdf5(path)
    header = f'{os.path.basename(path)}.hdr'.lower()
    if suffix == '.hdr' or suffix in DATA_SUFFIXES or header in siblings(path):
        return ENVIReader
    raise MetadataError(
        f'It is not known how to read {path}. Check its name; supported are products of EnMAP L2A, '
        'PRISMA L1, L2C and L2D, DESIS L2A and EMIT L2A, GeoTIFF (.tif), ENVI (.hdr), MATLAB (.mat) and NetCDF or HDF5 (.nc, .h5).'
    )


def _reader_of_folder(path: str) -> Callable[..., CubeReader]:
    if not os.listdir(path):
        raise EmptyDataError(f'The folder {path} is empty. Check the path.')
    # a damaged store says itself what is wrong with it
    if is_store(path) or os.path.lexists(os.path.join(path, GROUP)):
        return StoredSceneReader
    if is_desis(path):
        return DESISL2AReader
    # says what a product folder has to hold if this is none
    find_product(path)
    return EnMAPL2AReader


def _reader_of_hdf5(path: str) -> Callable[..., CubeReader]:
    """Choose a reader by what the file holds."""
    with open_hdf5(path) as file, misleading(path):
        if is_prisma(file):
            return _open_prisma
        return _open_emit if is_emit(file) else NetCDFReader


def _open_emit(path: str, **options: Any) -> CubeReader:
    """Open a file of EMIT on its map grid, or an array of it as it is stored."""
    if {'variable', 'layout'} & options.keys():
        return NetCDFReader(path, **options)
    return EMITL2AReader(path, **options)


def _open_prisma(path: str, **options: Any) -> CubeReader:
    """Open a file of PRISMA as one cube, or an array of it as it is stored."""
    if not {'variable', 'layout'} & options.keys():
        return PRISMAReader(path, **options)
    if 'overlap' in options:
        raise MetadataError(
            f'overlap= is for the whole cube of {path}, variable= and layout= are for '
            'one of its arrays. Leave one of them out.'
        )
    return NetCDFReader(path, **options)


def _open_tiff(path: str, **options: Any) -> CubeReader:
    """Open a GeoTIFF as what its name and its bands say it is."""
    product = find_product(path)
    if product.metadata is not None or 'SPECTRAL_IMAGE' in path.upper():
        return EnMAPL2AReader(path, **options)
    reader = GeoTIFFReader(path, **options)
    if reader.info.bands is None or len(reader.info.bands) < _ENMAP_BANDS:
        return reader
    try:
        named = EnMAPL2AReader(path, **options)
    except BandMismatchError:
        # some other sensor with many bands
        return reader
    reader.close()
    return named


#: Readers whose options stand for those of a function that chooses.
_DESCRIBED: dict[Callable[..., CubeReader], Callable[..., CubeReader]] = {
    _open_tiff: GeoTIFFReader,
    _open_emit: NetCDFReader,
    _open_prisma: NetCDFReader,
}
