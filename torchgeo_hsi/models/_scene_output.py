# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where a restored scene goes: a GeoTIFF, or a product like the one it came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from .._typing import PathLike
from ..errors import OutputError
from ..io import CubeReader, CubeWriter, EnMAPL2AReader
from ..io._enmap_copy import EnMAPProductCopy

_TIFF = ('.tif', '.tiff')


def is_product(output: PathLike) -> bool:
    """Tell whether an output is a folder.

    Args:
        output: Name of the output.

    Returns:
        False for GeoTIFF.
    """
    return Path(output).suffix.lower() not in _TIFF


def check_output(reader: CubeReader, output: PathLike, overwrite: bool) -> None:
    """Check that a scene can be written, before hours are spent on it.

    Args:
        reader: The open scene.
        output: File or folder to write.
        overwrite: Whether something there may be replaced.

    Raises:
        OutputError: If it cannot.
    """
    path = Path(output)
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


def open_output(
    reader: CubeReader,
    output: PathLike,
    document: Mapping[str, Any],
    *,
    compress: str,
    overwrite: bool,
) -> CubeWriter | EnMAPProductCopy:
    """Open a raster that is like a scene.

    Args:
        reader: The open scene.
        output: File or folder to write, checked by :func:`check_output`.
        document: What is done to the scene.
        compress: Compression.
        overwrite: Whether something there may be replaced.

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
        'nodata': info.nodata,
        'bands': info.bands,
        'tags': tags,
        'compress': compress,
        'overwrite': overwrite,
    }
    if is_product(output):
        # the metadata file holds the scale, as before
        assert isinstance(reader, EnMAPL2AReader)
        return EnMAPProductCopy(
            output, reader.product, info.shape, info.dtype, document=document, **options
        )
    return CubeWriter(output, info.shape, info.dtype, **_scale(reader), **options)


def _scale(reader: CubeReader) -> dict[str, Any]:
    """Return the scale of the stored numbers, as GDAL keeps it."""
    info = reader.info
    if info.gain is None and info.offset is None:
        return {}
    gains = set(info.gain or (1.0,))
    offsets = set(info.offset or (0.0,))
    if len(gains) > 1 or len(offsets) > 1:
        raise OutputError(
            f'{info.path} has a scale for each band, which a GeoTIFF of ours cannot '
            'hold. For an EnMAP product, name a folder as output.'
        )
    return {'scale': gains.pop() * 1e-4, 'offset': offsets.pop() * 1e-4}
