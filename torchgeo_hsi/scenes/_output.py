# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where a restored scene goes: a GeoTIFF, or a product like the one it came from."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.control import GroundControlPoint

from .. import __version__
from .._typing import PathLike
from ..errors import OutputError
from ..io import CubeReader, CubeWriter, EnMAPL2AReader
from ..io._enmap_copy import EnMAPProductCopy
from ..io._raster_extras import RasterExtras
from ..io.base import stored_nodata
from ._overlay import Overlay

_TIFF = ('.tif', '.tiff')


def is_product(output: PathLike) -> bool:
    """Tell whether an output is a folder.

    Args:
        output: Name of the output.

    Returns:
        False for GeoTIFF.
    """
    return Path(output).suffix.lower() not in _TIFF


def check_output(
    reader: CubeReader, source: PathLike, output: PathLike, overwrite: bool
) -> None:
    """Check that a scene can be written, before hours are spent on it.

    Args:
        reader: The open scene.
        source: What was opened.
        output: File or folder to write.
        overwrite: Whether something there may be replaced.

    Raises:
        OutputError: If it cannot.
    """
    path = Path(output)
    folder = Path(source).resolve()
    if folder.is_dir() and folder in path.resolve().parents:
        raise OutputError(
            f'{path} lies in {source}, which is the scene itself. Name a path elsewhere.'
        )
    if is_product(path):
        if not (isinstance(reader, EnMAPL2AReader) and reader.product.metadata):
            raise OutputError(
                f'{path} is no .tif file, and only EnMAP products with their METADATA.XML '
                f'become folders; got {reader.info.path}. Name a .tif file.'
            )
        return
    if path.is_dir():
        raise OutputError(f'{path} is a folder. Name a file in it.')
    if path.exists() and path.resolve() == Path(reader.info.path).resolve():
        raise OutputError(f'{path} is the scene itself. Name another file.')
    if path.exists() and not overwrite:
        raise OutputError(
            f'{path} exists already. Choose another path, or pass overwrite=True.'
        )


def check_space(
    reader: CubeReader,
    output: PathLike,
    tile_size: int,
    pixels: int | None = None,
    scale: int = 1,
) -> None:
    """Check that the disk holds what is written on the way to a scene.

    That is the image without compression, and a row of tiles. The compressed result
    comes on top, but nobody knows how large it will be.

    Args:
        reader: The open scene.
        output: File or folder to write.
        tile_size: Rows of a tile.
        pixels: Pixels of the output; those of the scene by default.
        scale: Rows and columns of a tile that come out for one.

    Raises:
        OutputError: If there is less space.
    """
    folder = Path(output).absolute().parent
    while not folder.exists():
        folder = folder.parent
    count, height, width = reader.info.shape
    pixels = pixels or height * width
    image = count * pixels * np.dtype(reader.info.dtype).itemsize
    strip = (
        count
        * min(tile_size, height)
        * width
        * np.dtype(np.float32).itemsize
        * scale**2
    )
    free = shutil.disk_usage(folder).free
    if free < image + strip:
        raise OutputError(
            f'{output} needs {_size(image + strip)} while it is made, and {_size(free)} '
            f'are free in {folder}. Free some space, or write to another folder.'
        )


def _size(number: int) -> str:
    return (
        f'{number / 2**30:.1f} GiB' if number >= 2**30 else f'{number / 2**20:.1f} MiB'
    )


def open_output(
    reader: CubeReader,
    output: PathLike,
    document: Mapping[str, Any],
    *,
    compress: str,
    overwrite: bool,
    grid: Overlay | None = None,
) -> CubeWriter | EnMAPProductCopy:
    """Open a raster that is like a scene.

    Args:
        reader: The open scene.
        output: File or folder to write, checked by :func:`check_output`.
        document: What is done to the scene.
        compress: Compression.
        overwrite: Whether something there may be replaced.
        grid: Finer grid of the raster; that of the scene by default.

    Returns:
        The open writer.

    Raises:
        OutputError: If the output cannot be created.
    """
    info = reader.info
    tags = {'TIFFTAG_SOFTWARE': f'torchgeo-hsi {__version__}'}
    tags['restoration'] = ', '.join(f'{k}={v}' for k, v in document.items())
    if info.start is not None:
        tags['start_time'] = info.start
    options: dict[str, Any] = {
        'crs': info.crs,
        'transform': info.transform,
        'nodata': _nodata(reader),
        'bands': info.bands,
        'tags': tags,
        'compress': compress,
        'overwrite': overwrite,
        'extras': reader._extras(),
    }
    if is_product(output):
        # the metadata file holds the scale, as before
        assert isinstance(reader, EnMAPL2AReader)
        return EnMAPProductCopy(
            output, reader.product, info.shape, info.dtype, document=document, **options
        )
    shape = info.shape
    if grid is not None:
        height, width = grid.ratio * grid.height, grid.ratio * grid.width
        shape = shape[0], height, width
        options |= {'crs': grid.crs, 'transform': grid.transform}
        options['extras'] = _moved_points(options['extras'], grid)
    return CubeWriter(output, shape, info.dtype, **_scale(reader), **options)


@contextmanager
def completed(
    writer: CubeWriter | EnMAPProductCopy, tell: Callable[[str, float], None]
) -> Iterator[None]:
    """Close a raster when all of it has been written, and leave nothing after an error.

    Args:
        writer: What :func:`open_output` returned.
        tell: Is told when it is being closed.

    Yields:
        Nothing.
    """
    try:
        yield
    except BaseException:
        writer.abort()
        raise
    tell('Writing', 0.0)
    writer.close()
    tell('Writing', 1.0)


def _moved_points(extras: RasterExtras | None, grid: Overlay) -> RasterExtras | None:
    """Bring what counts in pixels of the scene to a finer grid."""
    if extras is None:
        return None
    # the corner of the scene is 0 for points, and half a pixel for polynomials
    points = [
        GroundControlPoint(
            grid.ratio * (point.row - grid.row),
            grid.ratio * (point.col - grid.col),
            *(point.x, point.y, point.z, point.id, point.info),
        )
        for point in extras.gcps
    ]
    rpcs = copy(extras.rpcs)
    if rpcs is not None:
        rpcs.line_off = grid.ratio * (rpcs.line_off + 0.5 - grid.row) - 0.5
        rpcs.samp_off = grid.ratio * (rpcs.samp_off + 0.5 - grid.col) - 0.5
        rpcs.line_scale *= grid.ratio
        rpcs.samp_scale *= grid.ratio
    return replace(extras, gcps=tuple(points), rpcs=rpcs)


def _nodata(reader: CubeReader) -> float | None:
    """Return the value of pixels without data, if the data type has it at all."""
    info = reader.info
    dtype = np.dtype(info.dtype)
    if info.nodata is None or (dtype.kind == 'f' and not np.isfinite(info.nodata)):
        return info.nodata
    marker = stored_nodata(dtype, info.nodata)
    return info.nodata if marker is not None and np.isfinite(marker) else None


def _scale(reader: CubeReader) -> dict[str, Any]:
    """Return the scale of the stored numbers, as GDAL keeps it."""
    info = reader.info
    if info.file_scale is not None:
        return {'scale': info.file_scale, 'offset': info.file_offset or 0.0}
    gain, offset = info.gain or (1.0,), info.offset or (0.0,)
    if info.gain is None and info.offset is None:
        return {}
    return {
        'scale': [factor * 1e-4 for factor in gain],
        'offset': [summand * 1e-4 for summand in offset],
    }
