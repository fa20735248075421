# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes of any size with more and smaller pixels."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from .._typing import BoolArray, PathLike
from ..errors import BandMismatchError, OutputError
from ..io import CubeInfo, CubeReader
from ..io._gdal import gdal_cache
from ..io._tiles import Span, tile_spans
from ..models.superresolution.base import SuperResolver
from ..physics.gaps import fill_gaps
from ._numbers import Scaling, SceneNumbers, check_dtype, check_scaling
from ._output import check_output, check_space, completed, is_product, open_output
from ._overlay import Overlay
from ._runner import CACHE_MB, SceneRunner, Tell, blend_tiles, silent, window_of
from ._source import open_scene

#: Share of the bands without which a pixel counts as one without data.
_ENOUGH = 0.5

#: Pixels at the edge of a tile that interpolation would see in another way.
_EDGE = 2


def superresolve_scene(
    model: SuperResolver,
    source: PathLike,
    output: PathLike,
    *,
    scaling: Scaling = 'percentile',
    tile_size: int = 64,
    overlap: int = 16,
    device: str | torch.device | None = None,
    compress: str = 'deflate',
    overwrite: bool = False,
    reader_options: Mapping[str, Any] | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Path:
    """Give a scene of any size more and smaller pixels, tile by tile.

    Memory holds a few tiles, never the scene. Tiles fade into each other in the middle
    of their overlap. Methods that look at the whole scene (such as
    :class:`~torchgeo_hsi.models.SubspaceSuperResolver`) see it once more before, so all
    tiles share the same statistics.

    What comes out covers the same area: the upper left corner stays, and pixels are
    *scale* times smaller. All else is like what went in: data type, scale, nodata, mask,
    coordinates, wavelengths, band names and other tags. Pixels without data are
    repeated, so gaps keep their outline; so are bands that hold no data, hold one and
    the same number, or are marked as bad. The output appears under its name when it is
    complete, not before.

    Args:
        model: Network or method; it is put into evaluation mode.
        source: Whatever :func:`~torchgeo_hsi.io.open_cube` opens.
        output: GeoTIFF to write (``.tif``), a Cloud Optimized one.
        scaling: What becomes 0 and 1 for the network, see :func:`restore_scene`.
        tile_size: Largest number of rows and columns of a tile, in pixels of the scene.
            Networks with statistics of the tile, such as
            :class:`~torchgeo_hsi.models.ESSAformer`, do best with tiles about as large
            as the images of their training.
        overlap: Rows and columns that two tiles share at least, in pixels of the scene;
            at most half of a tile.
        device: Device of the network; where its parameters are by default.
        compress: Compression of the GeoTIFF, see :class:`~torchgeo_hsi.io.CubeWriter`.
        overwrite: Whether an existing output may be replaced.
        reader_options: Options of :func:`~torchgeo_hsi.io.open_cube`.
        name: Name of the method, noted in the output; the class of *model* by default.
        progress: Is told what is being done and which share of it is done.

    Returns:
        The output.

    Raises:
        BandMismatchError: If the network is made for other bands.
        EmptyDataError: If the scene holds no data.
        MetadataError: If the scene holds other numbers than real ones.
        NotFiniteError: If the network gives NaN or infinite numbers.
        OutputError: If the output exists, lies in the scene, or cannot be written.
        TypeError: If *model* is no such network or method.
        ValueError: If an option is not understood.

    Example:
        .. code-block:: python

            superresolve_scene(get_model('bicubic', scale=2), 'scene.tif', 'fine.tif')
    """
    scaling = check_scaling(scaling)
    tile_spans(1, tile_size, overlap)
    if not isinstance(model, SuperResolver):
        raise TypeError(
            'Expected a network or method of super-resolution, which is a SuperResolver, '
            f'got {type(model).__name__}. Take e.g. get_model("bicubic", scale=2).'
        )
    tell, method = progress or silent, name or type(model).__name__
    # a device that does not exist is found before the scene is read
    model = model if device is None else model.to(device)
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(CACHE_MB))
        scene = open_scene(source, reader_options, 'superresolve_scene')
        reader = stack.enter_context(scene)
        grid = _finer_grid(reader.info, model.scale)
        _check(reader, source, output, overwrite, tile_size, grid)
        options = {'scaling': scaling, 'tile_size': tile_size, 'overlap': overlap}
        document = {'method': method, 'source': os.path.basename(reader.info.path)}
        writer = open_output(
            reader,
            output,
            document | {'scale': model.scale} | options,
            compress=compress,
            overwrite=overwrite,
            grid=grid,
        )
        with completed(writer, tell):
            numbers = SceneNumbers.of_scene(reader, scaling, partial(tell, 'Reading'))
            spans = [tile_spans(n, tile_size, overlap) for n in reader.info.shape[1:]]
            with _Runner(model, reader, numbers, device) as runner:
                runner.observe(spans, 1, tell)
                for part in runner.enlarge(spans, overlap, output, method, tell):
                    writer.write(*part)
    return Path(output)


def _finer_grid(info: CubeInfo, scale: int) -> Overlay:
    place = info.transform
    return Overlay(
        ratio=scale,
        row=0,
        col=0,
        height=info.shape[1],
        width=info.shape[2],
        pan_row=0,
        pan_col=0,
        transform=None if place is None else place @ Affine.scale(1 / scale),
        crs=info.crs,
    )


def _check(
    reader: CubeReader,
    source: PathLike,
    output: PathLike,
    overwrite: bool,
    tile_size: int,
    grid: Overlay,
) -> None:
    """Refuse what cannot be written, before hours are spent on it."""
    check_dtype(reader)
    if is_product(output):
        raise OutputError(
            f'{output} is no .tif file, and scenes with a finer grid are GeoTIFFs. Name '
            'a .tif file.'
        )
    check_output(reader, source, output, overwrite)
    check_space(reader, output, tile_size, grid.pixels, grid.ratio)


class _Runner(SceneRunner):
    """A network of super-resolution that is set to one scene."""

    model: SuperResolver

    def read(self, rows: Span, cols: Span) -> tuple[Tensor, BoolArray]:
        """Read a tile, whose bands may lack single pixels.

        Args:
            rows: Its rows.
            cols: Its columns.

        Returns:
            The tile of shape ``(1, C, h, w)``, and which of its pixels have data in most
            bands, shape ``(h, w)``.
        """
        window = window_of(rows, cols)
        image, present = self.numbers.read_bands(self.reader, window)
        tile, valid = torch.from_numpy(image), _most(present)
        # single bands may lack data where the others have them
        lacking = (valid & ~present).any((1, 2)) & present.any((1, 2))
        if lacking.any():
            bands = torch.from_numpy(np.flatnonzero(lacking))
            known = torch.from_numpy(present[lacking])
            filled, _ = fill_gaps(tile[bands, None], known)
            tile[bands] = filled[:, 0]
        return tile[None].to(self.device), valid

    def enlarge(
        self,
        spans: list[list[Span]],
        overlap: int,
        output: PathLike,
        method: str,
        tell: Tell,
    ) -> Iterator[tuple[Window, NDArray[Any], BoolArray | None]]:
        """Enlarge the scene.

        Args:
            spans: Rows and columns of the tiles.
            overlap: Rows and columns that they share at least.
            output: What is written; a temporary file lies next to it.
            method: Name of the method, for messages.
            tell: Is told how far the work is.

        Yields:
            Windows of the output, what is to be stored for them, and its mask.
        """
        scale, numbers = self.model.scale, self.numbers
        margin = max(overlap // 4, min(_EDGE, overlap // 2))
        layout = spans, overlap, margin, len(numbers.bands), output, tell, scale
        for window, fine in blend_tiles(self._tile, *layout):
            place = (window.col_off, window.row_off, window.width, window.height)
            coarse = Window(*(number // scale for number in place))
            known = _most(numbers.read_bands(self.reader, coarse)[1])
            known = known.repeat(scale, 0).repeat(scale, 1)
            values = fine.astype(np.float64) * numbers.scale + numbers.offset
            words = (self.reader, coarse, values, known, method)
            yield window, *numbers.replace(*words, keep=True)

    def _tile(self, rows: Span, cols: Span) -> NDArray[np.float32] | None:
        image, valid = self.read(rows, cols)
        if not valid.any():
            return None
        mask = torch.from_numpy(valid)[None].to(self.device)
        with torch.inference_mode():
            # a copy: the network may work in place
            fine = self.model(image.to(self.dtype, copy=True), valid=mask)[0]
        height, width = (self.model.scale * size for size in valid.shape)
        if fine.shape != (image.shape[1], height, width):
            raise BandMismatchError(
                f'Expected a network that returns {(image.shape[1], height, width)} for '
                f'{tuple(image.shape[1:])}, got {tuple(fine.shape)}. Use one made for '
                f'{image.shape[1]} bands.'
            )
        result: NDArray[np.float32] = fine.float().cpu().numpy()
        return result


def _most(present: BoolArray) -> BoolArray:
    """Tell which pixels have data in most bands."""
    found: BoolArray = present.mean(0) >= _ENOUGH
    return found
