# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Restore scenes of any size with any restoration network or method."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from torch import Tensor, nn

from .._typing import BoolArray, PathLike
from ..errors import BandMismatchError, OutputError
from ..io import CubeReader, open_cube
from ..io._gdal import gdal_cache
from ..io._tiles import Span, tile_spans, tile_weights
from ..physics.subspace import band_noise, correlation_matrix
from ._scene_numbers import Scaling, SceneNumbers, check_dtype, check_scaling
from ._scene_output import check_output, check_space, open_output
from ._scene_strip import Strip

#: Tiles start at multiples of this: the coarsest step of our networks.
_STEP = 8

#: Bound of GDAL's cache: neighboring tiles share blocks of the file.
_CACHE_MB = 256


def restore_scene(
    model: nn.Module,
    source: PathLike,
    output: PathLike,
    *,
    scaling: Scaling = 'percentile',
    sigma: float | None = None,
    tile: int = 128,
    overlap: int = 32,
    passes: int = 1,
    device: str | torch.device | None = None,
    compress: str = 'deflate',
    overwrite: bool = False,
    reader_options: Mapping[str, Any] | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Path:
    """Restore a scene of any size, tile by tile.

    Memory holds a few tiles, never the scene. Tiles fade into each other in the middle
    of their overlap. Networks and methods that look at the whole scene
    (:class:`~torchgeo_hsi.layers.SceneModel` with ``needs_scene``) see it once more
    before, so all tiles share the same statistics.

    What comes out is like what went in: data type, scale, nodata, mask, coordinates,
    wavelengths, band names and other tags stay. Pixels without data are not touched,
    nor are bands that hold none, hold one and the same number, or are marked as bad.
    The output appears under its name when it is complete, not before.

    Args:
        model: Network or method that takes and returns images of shape
            ``(B, C, H, W)``; it is put into evaluation mode.
        source: Whatever :func:`~torchgeo_hsi.io.open_cube` opens.
        output: File to write (``.tif``), a Cloud Optimized GeoTIFF. For an EnMAP
            product also a folder: the product is copied there, with its metadata and
            quality layers, and the image replaced.
        scaling: What becomes 0 and 1 for the network: lowest and highest number of the
            scene (``'min_max'``, as published), their 0.1 % and 99.9 % quantiles
            (``'percentile'``), reflectance of 0 and 1 (``'reflectance'``), or 0 and a
            number.
        sigma: Standard deviation of the noise, as 255 times the one of numbers in
            [0, 1], for networks with a noise map and methods that take it. By default,
            that of each band is estimated from the scene
            (:func:`~torchgeo_hsi.physics.band_noise`).
        tile: Largest number of rows and columns of a tile, a multiple of 8.
        overlap: Rows and columns that two tiles share at least, a multiple of 8.
        passes: How often a network with ``needs_scene`` sees the scene before; see
            :meth:`~torchgeo_hsi.layers.SceneModel.observe`.
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
        ValueError: If an option is not understood.

    Example:
        .. code-block:: python

            model = get_model('pretrained_subspace')
            restore_scene(model, 'scene.tif', 'denoised.tif')
    """
    scaling = check_scaling(scaling)
    tile_spans(1, tile, overlap, _STEP)
    _check_options(model, sigma, passes)
    tell, method = progress or _silent, name or type(model).__name__
    # a device that does not exist is found before the scene is read
    model = model if device is None else model.to(device)
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(_CACHE_MB))
        reader = stack.enter_context(_open(source, reader_options or {}))
        check_dtype(reader)
        check_output(reader, source, output, overwrite)
        check_space(reader, output, tile)
        options = {'scaling': scaling, 'sigma': sigma, 'tile': tile, 'overlap': overlap}
        document = {'method': method, 'source': os.path.basename(reader.info.path)}
        writer = open_output(
            reader, output, document | options, compress=compress, overwrite=overwrite
        )
        try:
            numbers = SceneNumbers.of_scene(reader, scaling, partial(tell, 'Reading'))
            spans = [tile_spans(n, tile, overlap, _STEP) for n in reader.info.shape[1:]]
            with _Runner(model, reader, numbers, sigma, device) as runner:
                runner.observe(spans, passes, tell)
                folder = Path(output).absolute().parent
                for window, change in runner.restore(spans, overlap, folder, tell):
                    writer.write(window, *numbers.write(reader, window, change, method))
        except BaseException:
            writer.abort()
            raise
        tell('Writing', 0.0)
        writer.close()
        tell('Writing', 1.0)
    return Path(output)


def _open(source: PathLike, options: Mapping[str, Any]) -> CubeReader:
    with warnings.catch_warnings():
        # the output lies where the scene does, which may be nowhere
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        return open_cube(source, **options)


def _check_options(model: nn.Module, sigma: float | None, passes: int) -> None:
    """Refuse no pass, and a noise level that is none or that nobody asks for."""
    if passes < 1:
        raise ValueError(f'Expected at least 1 pass, got {passes}.')
    if sigma is None:
        return
    if not 0 < sigma < math.inf:
        raise ValueError(
            'Expected a positive sigma, 255 times the standard deviation of the noise, '
            f'got {sigma}. Leave it out to have it estimated.'
        )
    words = signature(model.forward).parameters
    if 'sigma' not in words and all(
        word.kind is not word.VAR_KEYWORD for word in words.values()
    ):
        raise ValueError(
            f'{type(model).__name__} does not ask for the noise level. Leave sigma out.'
        )


class _Runner:
    """A network that is set to one scene.

    Args:
        model: The network.
        reader: The open scene.
        numbers: How its numbers become those of the network.
        sigma: Noise level, or None.
        device: Device of the network, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        reader: CubeReader,
        numbers: SceneNumbers,
        sigma: float | None,
        device: str | torch.device | None,
    ) -> None:
        """Initialize a new _Runner instance; see the class for the arguments."""
        self._model = model
        first = next(model.parameters(), None)
        self._device = torch.device(device or 'cpu') if first is None else first.device
        # the network may have been made for half or double precision
        self._dtype = next(
            (p.dtype for p in model.parameters() if p.is_floating_point()),
            torch.float32,
        )
        self._reader = reader
        self._numbers = numbers
        self._inputs: dict[str, Tensor] = {}
        self._takes_valid = 'valid' in signature(model.forward).parameters
        if sigma is not None:
            level = torch.full((1, len(numbers.bands)), float(sigma))
            self._inputs['sigma'] = level.to(self._device, self._dtype)
        self._was_training = model.training

    @property
    def _needs_scene(self) -> bool:
        return bool(getattr(self._model, 'needs_scene', False))

    def __enter__(self) -> Self:
        self._model.eval()
        if self._needs_scene:
            self._model.forget()  # type: ignore[operator]
        return self

    def __exit__(self, *error: object) -> None:
        if self._needs_scene:
            self._model.forget()  # type: ignore[operator]
        self._model.train(self._was_training)

    def _read(self, rows: Span, cols: Span) -> tuple[Tensor, BoolArray]:
        size = (cols.stop - cols.start, rows.stop - rows.start)
        window = Window(cols.start, rows.start, *size)
        image, valid = self._numbers.read(self._reader, window)
        return torch.from_numpy(image)[None].to(self._device), valid

    def observe(
        self, spans: list[list[Span]], passes: int, tell: Callable[[str, float], None]
    ) -> None:
        """Show the scene to a network that looks at all of it.

        Args:
            spans: Rows and columns of the tiles.
            passes: How often.
            tell: Is told how far the work is.
        """
        model: Any = self._model
        if getattr(model, 'noise_map', False) and 'sigma' not in self._inputs:
            self._inputs['sigma'] = self._noise(spans, tell)
        if not self._needs_scene:
            return
        for number in range(passes):
            for image, mask, share in self._new_pixels(spans):
                with torch.inference_mode():
                    model.observe(image.to(self._dtype), mask, **self._inputs)
                tell('Observing', (number + share) / passes)
            model.settle()

    def _noise(
        self, spans: list[list[Span]], tell: Callable[[str, float], None]
    ) -> Tensor:
        """Estimate the noise of each band, shape ``(1, C)``, 0 to 255."""
        bands = len(self._numbers.bands)
        total = torch.zeros(1, bands, bands, dtype=torch.float64)
        pixels = torch.zeros(1, dtype=torch.int64)
        for image, mask, share in self._new_pixels(spans):
            matrix, count = correlation_matrix(image, mask)
            total += (matrix * count[:, None, None]).cpu()
            pixels += count.cpu()
            tell('Measuring noise', share)
        noise = band_noise(total / pixels.clamp_min(1)[:, None, None], pixels)
        return (255 * noise).to(self._device, self._dtype)

    def _new_pixels(
        self, spans: list[list[Span]]
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield tiles, which pixels no tile before had, and the share that is done."""
        total = len(spans[0]) * len(spans[1])
        for number, (rows, cols) in enumerate(product(*spans), start=1):
            image, valid = self._read(rows, cols)
            valid[: rows.new - rows.start] = False
            valid[:, : cols.new - cols.start] = False
            # the last one says that all is done
            if valid.any() or number == total:
                mask = torch.from_numpy(valid)[None].to(self._device)
                yield image, mask, number / total

    def restore(
        self,
        spans: list[list[Span]],
        overlap: int,
        folder: Path,
        tell: Callable[[str, float], None],
    ) -> Iterator[tuple[Window, NDArray[np.float32]]]:
        """Restore the scene.

        Args:
            spans: Rows and columns of the tiles.
            overlap: Rows and columns that they share at least.
            folder: Folder for a temporary file.
            tell: Is told how far the work is.

        Yields:
            Windows that cover the scene, and what is to be added to their numbers.
        """
        weights = [tile_weights(axis, overlap, overlap // 4) for axis in spans]
        height = max(span.stop - span.start for span in spans[0])
        shape = (len(self._numbers.bands), height, self._reader.info.shape[2])
        with _strip(folder, shape) as strip:
            for i, rows in enumerate(spans[0]):
                for j, cols in enumerate(spans[1]):
                    weight = np.outer(weights[0][i], weights[1][j])
                    image, valid = self._read(rows, cols)
                    if valid.any():
                        change = self._change(image, valid)
                        strip.add(change[0].cpu().numpy() * weight, cols.start)
                    tell('Restoring', (i + (j + 1) / len(spans[1])) / len(spans[0]))
                last = i + 1 == len(spans[0])
                done = (rows.stop if last else spans[0][i + 1].start) - rows.start
                for col, width in strip.columns(done):
                    window = Window(col, rows.start, width, done)
                    yield window, strip.take(done, col, width)

    def _change(self, image: Tensor, valid: BoolArray) -> Tensor:
        inputs = dict(self._inputs)
        if self._takes_valid:
            inputs['valid'] = torch.from_numpy(valid)[None].to(self._device)
        with torch.inference_mode():
            # a copy: the network may work in place
            restored: Tensor = self._model(image.to(self._dtype, copy=True), **inputs)
        if restored.shape != image.shape:
            raise BandMismatchError(
                f'Expected a network that returns {tuple(image.shape)}, as it gets, '
                f'got {tuple(restored.shape)}. Use a denoiser made for '
                f'{image.shape[1]} bands.'
            )
        return (restored - image).float()


def _strip(folder: Path, shape: tuple[int, int, int]) -> Strip:
    try:
        return Strip(folder, shape)
    except OSError as error:
        raise OutputError(
            f'The tiles cannot be kept in {folder}: {error}. Free some space, or write '
            'to another folder.'
        ) from error


def _silent(what: str, share: float) -> None:
    pass
