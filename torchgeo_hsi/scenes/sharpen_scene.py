# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sharpen scenes of any size with any method of pansharpening."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import BoolArray, PathLike
from ..errors import BandMismatchError, MetadataError, OutputError
from ..io import CubeReader, open_cube
from ..io._gdal import gdal_cache
from ..models.pansharpening.base import Pansharpener
from ..physics.registration import estimate_shift
from ._numbers import SceneNumbers, check_dtype
from ._output import check_output, check_space, completed, is_product, open_output
from ._overlay import Overlay, find_overlay
from ._runner import CACHE_MB, silent
from ._sharpen_tiles import SharpenTiles

#: The PAN that the file of the cube brings.
OWN_PAN = '-'


def sharpen_scene(
    model: Pansharpener,
    pan: PathLike,
    cube: PathLike,
    output: PathLike,
    *,
    tile_size: int = 64,
    ratio: int | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
    device: str | torch.device | None = None,
    compress: str = 'deflate',
    overwrite: bool = False,
    cube_options: Mapping[str, Any] | None = None,
    pan_options: Mapping[str, Any] | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Path:
    """Sharpen a cube of any size with a panchromatic image (PAN), tile by tile.

    Memory holds a few tiles, never the scene. Methods with statistics of the whole scene
    (:class:`~torchgeo_hsi.models.MeasuringPansharpener`) see it once or twice before, so
    that the result is the same as in one piece.

    What comes out has the grid of the PAN where both overlap, and is otherwise like the
    cube: data type, scale, nodata, wavelengths, band names and other tags stay. Pixels
    without data in the cube or in the PAN become nodata; bands that hold no data, hold
    one and the same number, or are marked as bad, are only repeated. The output appears
    under its name when it is complete, not before.

    Args:
        model: Method; it is put into evaluation mode.
        pan: Whatever :func:`~torchgeo_hsi.io.open_cube` opens, with one band; ``'-'`` for
            the PAN in the file of the cube (PRISMA).
        cube: Whatever :func:`~torchgeo_hsi.io.open_cube` opens.
        output: GeoTIFF to write (``.tif``), a Cloud Optimized one.
        tile_size: Rows and columns of a tile, in pixels of the cube.
        ratio: What the ratio of pixel sizes has to be; it is found by default.
        shift: How far the PAN lies down and to the right of where it should, in its
            pixels; see :func:`~torchgeo_hsi.physics.estimate_shift`.
        device: Device of the method; where its parameters are by default.
        compress: Compression of the GeoTIFF, see :class:`~torchgeo_hsi.io.CubeWriter`.
        overwrite: Whether an existing output may be replaced.
        cube_options: Options of :func:`~torchgeo_hsi.io.open_cube` for the cube.
        pan_options: The same for the PAN.
        name: Name of the method, noted in the output; the class of *model* by default.
        progress: Is told what is being done and which share of it is done.

    Returns:
        The output.

    Raises:
        BandMismatchError: If the method is made for other bands.
        EmptyDataError: If the scene holds no data.
        MetadataError: If the two grids do not fit.
        NotFiniteError: If the method gives NaN or infinite numbers.
        OutputError: If the output exists, is an input, or cannot be written.
        ValueError: If an option is not understood.

    Example:
        .. code-block:: python

            sharpen_scene(get_model('gsa'), 'pan.tif', 'cube.tif', 'sharp.tif')
    """
    if tile_size < 1:
        raise ValueError(f'Expected tiles of at least one pixel, got {tile_size}.')
    tell, method = progress or silent, name or type(model).__name__
    model = model if device is None else model.to(device)
    with _opened(cube, pan, cube_options, pan_options) as (reader, pan_reader):
        overlay = find_overlay(reader.info, pan_reader.info, ratio)
        _check_output(reader, pan_reader, cube, output, overwrite)
        check_space(reader, output, tile_size, overlay.pixels)
        options: Any = {'compress': compress, 'overwrite': overwrite, 'grid': overlay}
        document = _document(method, reader, pan_reader)
        writer = open_output(reader, output, document, **options)
        with completed(writer, tell):
            numbers = SceneNumbers.of_scene(reader, 1.0, partial(tell, 'Reading'))
            tiles = SharpenTiles(
                reader,
                pan_reader,
                overlay,
                numbers,
                tile_size=-(-tile_size // model.alignment) * model.alignment,
                context=model.context,
                shift=shift,
                device=_device(model, device),
            )
            for window, out, mask in _sharpened(model, tiles, numbers, method, tell):
                writer.write(_fine(window, overlay), out, mask)
    return Path(output)


def scene_shift(
    pan: PathLike,
    cube: PathLike,
    *,
    size: int = 128,
    cube_options: Mapping[str, Any] | None = None,
    pan_options: Mapping[str, Any] | None = None,
) -> tuple[float, float]:
    """Estimate how far a PAN lies beside where it should, from the middle of a scene.

    Args:
        pan: Whatever :func:`~torchgeo_hsi.io.open_cube` opens, with one band; ``'-'`` for
            the PAN in the file of the cube (PRISMA).
        cube: Whatever :func:`~torchgeo_hsi.io.open_cube` opens.
        size: Largest number of rows and columns to look at, in pixels of the cube.
        cube_options: Options of :func:`~torchgeo_hsi.io.open_cube` for the cube.
        pan_options: The same for the PAN.

    Returns:
        Pixels of the PAN down and to the right, for :func:`sharpen_scene`.

    Raises:
        EmptyDataError: If the middle holds no data, or nothing to compare.
        MetadataError: If the two grids do not fit.

    Example:
        .. code-block:: python

            shift = scene_shift('pan.tif', 'cube.tif')
            sharpen_scene(model, 'pan.tif', 'cube.tif', 'sharp.tif', shift=shift)
    """
    with _opened(cube, pan, cube_options, pan_options) as (reader, pan_reader):
        overlay = find_overlay(reader.info, pan_reader.info)
        numbers = SceneNumbers.of_scene(reader, 1.0, lambda share: None)
        tiles = SharpenTiles(
            reader,
            pan_reader,
            overlay,
            numbers,
            tile_size=size,
            context=0,
            device=torch.device('cpu'),
        )
        starts, sizes = [], []
        for length in (overlay.height, overlay.width):
            sizes.append(min(size, length))
            starts.append((length - sizes[-1]) // 2)
        tile = tiles.read(Window(starts[1], starts[0], sizes[1], sizes[0]))
    found = estimate_shift(
        tile.cube[0], tile.pan[0], valid=tile.valid[0], pan_valid=tile.pan_valid[0]
    )
    return found.rows, found.cols


def sharpened_pixels(
    pan: PathLike,
    cube: PathLike,
    ratio: int | None,
    cube_options: Mapping[str, Any] | None,
    pan_options: Mapping[str, Any] | None,
) -> int:
    """Count the pixels that a sharpened cube will have, without reading any.

    Args:
        pan: As for :func:`sharpen_scene`, like all the others.
        cube: The cube.
        ratio: What the ratio of pixel sizes has to be, or None.
        cube_options: Options of :func:`~torchgeo_hsi.io.open_cube` for the cube.
        pan_options: The same for the PAN.

    Returns:
        Their number.

    Raises:
        MetadataError: If the two grids do not fit.
    """
    with _opened(cube, pan, cube_options, pan_options) as (reader, pan_reader):
        return find_overlay(reader.info, pan_reader.info, ratio).pixels


def _document(method: str, *readers: CubeReader) -> dict[str, str]:
    names = (os.path.basename(reader.info.path) for reader in readers)
    return dict(zip(('method', 'source', 'pan'), (method, *names), strict=True))


def _device(model: Pansharpener, wanted: str | torch.device | None) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device(wanted or 'cpu') if first is None else first.device


@contextmanager
def _opened(
    cube: PathLike,
    pan: PathLike,
    cube_options: Mapping[str, Any] | None,
    pan_options: Mapping[str, Any] | None,
) -> Iterator[tuple[CubeReader, CubeReader]]:
    """Open a cube and its PAN."""
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(CACHE_MB))
        reader = stack.enter_context(open_cube(cube, **(cube_options or {})))
        check_dtype(reader)
        yield reader, _open_pan(stack, reader, pan, pan_options or {})


def _open_pan(
    stack: ExitStack, cube: CubeReader, pan: PathLike, options: Mapping[str, Any]
) -> CubeReader:
    if pan != OWN_PAN:
        return stack.enter_context(open_cube(pan, **options))
    own = getattr(cube, 'pan', None)
    if not isinstance(own, CubeReader):
        raise MetadataError(
            f'{cube.info.path} brings no panchromatic image of its own; PRISMA files do. '
            'Name the file of the PAN.'
        )
    return own


def _check_output(
    reader: CubeReader,
    pan: CubeReader,
    source: PathLike,
    output: PathLike,
    overwrite: bool,
) -> None:
    if is_product(output):
        raise OutputError(
            f'{output} is no .tif file, and sharpened cubes are GeoTIFFs. Name a .tif '
            'file.'
        )
    check_output(reader, source, output, overwrite)
    there = Path(output)
    if there.exists() and there.resolve() == Path(pan.info.path).resolve():
        raise OutputError(f'{output} is the PAN itself. Name another file.')


@contextmanager
def _set_up(
    model: Pansharpener, reader: CubeReader, bands: list[int]
) -> Iterator[None]:
    """Set a method to a scene, and back."""
    was_training, own = model.training, model.wavelength
    if own is None and reader.info.bands is not None:
        model.wavelength = [float(reader.info.bands.wavelength[b]) for b in bands]
    model.eval()
    scene_model: Any = model if model.needs_scene else None
    if scene_model is not None:
        scene_model.forget()
    try:
        yield
    finally:
        if scene_model is not None:
            scene_model.forget()
        model.wavelength = own
        model.train(was_training)


def _sharpened(
    model: Pansharpener,
    tiles: SharpenTiles,
    numbers: SceneNumbers,
    method: str,
    tell: Callable[[str, float], None],
) -> Iterator[tuple[Window, NDArray[Any], BoolArray | None]]:
    """Yield windows of the cube, what is to be stored for them, and its mask."""
    with _set_up(model, tiles.reader, numbers.bands):
        _observe(model, tiles, tell)
        for window, values, known in _sharpen(model, tiles, tell):
            yield (
                window,
                *numbers.replace(tiles.reader, window, values, known, method),
            )


def _observe(
    model: Pansharpener, tiles: SharpenTiles, tell: Callable[[str, float], None]
) -> None:
    """Show the scene to a method that needs it."""
    if not model.needs_scene:
        return
    scene_model: Any = model
    for number in range(model.passes):
        for done, tile in enumerate(tiles, start=1):
            if not tile.is_empty:
                with torch.inference_mode():
                    scene_model.observe(
                        tile.cube,
                        tile.pan,
                        valid=tile.valid,
                        pan_valid=tile.pan_valid,
                        margins=tile.margins,
                    )
            tell('Observing', (number + done / len(tiles)) / model.passes)
        scene_model.settle()


def _sharpen(
    model: Pansharpener, tiles: SharpenTiles, tell: Callable[[str, float], None]
) -> Iterator[tuple[Window, NDArray[np.float32], BoolArray]]:
    """Yield windows of the cube, their sharpened values, and where these are known."""
    for done, tile in enumerate(tiles, start=1):
        ratio = tile.pan.shape[-1] // tile.cube.shape[-1]
        rows, cols = ratio * int(tile.window.height), ratio * int(tile.window.width)
        shape = (tile.cube.shape[1], rows, cols)
        known = tile.inner_pan_valid
        if tile.is_empty:
            yield tile.window, np.zeros(shape, np.float32), np.zeros_like(known)
        else:
            with torch.inference_mode():
                result = model(
                    tile.cube,
                    tile.pan,
                    valid=tile.valid,
                    pan_valid=tile.pan_valid,
                    margins=tile.margins,
                )[0]
            if result.shape != shape:
                raise BandMismatchError(
                    f'Expected a method that returns {shape}, got '
                    f'{tuple(result.shape)}. Use one made for {shape[0]} bands.'
                )
            yield tile.window, result.float().cpu().numpy(), known
        tell('Sharpening', done / len(tiles))


def _fine(window: Window, overlay: Overlay) -> Window:
    """Return the place of a window of the cube in the output."""
    row, col = window.row_off - overlay.row, window.col_off - overlay.col
    return Window(*(overlay.ratio * x for x in (col, row, window.width, window.height)))
