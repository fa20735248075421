# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Restore scenes of any size with any restoration network or method."""

import math
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .._typing import PathLike
from ..errors import BandMismatchError
from ..io import CubeReader
from ..io._gdal import gdal_cache
from ..io._tiles import Span, tile_spans
from ..physics.subspace import band_noise, correlation_matrix
from ._numbers import Scaling, SceneNumbers, check_dtype, check_scaling
from ._output import check_output, check_space, completed, open_output
from ._runner import CACHE_MB, SceneRunner, Tell, blend_tiles, silent
from ._source import open_scene

#: Tiles start at multiples of this: the coarsest step of our networks.
_STEP = 8


def restore_scene(
    model: nn.Module,
    source: PathLike,
    output: PathLike,
    *,
    scaling: Scaling = 'percentile',
    sigma: float | None = None,
    tile_size: int = 128,
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
        tile_size: Largest number of rows and columns of a tile, a multiple of 8.
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
    tile_spans(1, tile_size, overlap, _STEP)
    _check_options(model, sigma, passes)
    tell, method = progress or silent, name or type(model).__name__
    # a device that does not exist is found before the scene is read
    model = model if device is None else model.to(device)
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(CACHE_MB))
        scene = open_scene(source, reader_options, 'restore_scene')
        reader = stack.enter_context(scene)
        check_dtype(reader)
        check_output(reader, source, output, overwrite)
        check_space(reader, output, tile_size)
        document: dict[str, Any] = {'method': method}
        document |= {'source': os.path.basename(reader.info.path)}
        document |= {'scaling': scaling, 'sigma': sigma}
        document |= {'tile_size': tile_size, 'overlap': overlap}
        writer = open_output(
            reader, output, document, compress=compress, overwrite=overwrite
        )
        with completed(writer, tell):
            numbers = SceneNumbers.of_scene(reader, scaling, partial(tell, 'Reading'))
            spans = [
                tile_spans(n, tile_size, overlap, _STEP) for n in reader.info.shape[1:]
            ]
            with _Runner(model, reader, numbers, sigma, device) as runner:
                runner.observe(spans, passes, tell)
                layout = spans, overlap, overlap // 4, len(numbers.bands), output, tell
                for window, change in blend_tiles(runner.change, *layout):
                    writer.write(window, *numbers.write(reader, window, change, method))
    return Path(output)


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


class _Runner(SceneRunner):
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
        super().__init__(model, reader, numbers, device)
        self._takes_valid = 'valid' in signature(model.forward).parameters
        if sigma is not None:
            level = torch.full((1, len(numbers.bands)), float(sigma))
            self.inputs['sigma'] = level.to(self.device, self.dtype)

    def observe(self, spans: list[list[Span]], passes: int, tell: Tell) -> None:
        """Show the scene to a network that looks at all of it, and measure the noise.

        Args:
            spans: Rows and columns of the tiles.
            passes: How often.
            tell: Is told how far the work is.
        """
        if getattr(self.model, 'noise_map', False) and 'sigma' not in self.inputs:
            self.inputs['sigma'] = self._noise(spans, tell)
        super().observe(spans, passes, tell)

    def _noise(self, spans: list[list[Span]], tell: Tell) -> Tensor:
        """Estimate the noise of each band, shape ``(1, C)``, 0 to 255."""
        bands = len(self.numbers.bands)
        total = torch.zeros(1, bands, bands, dtype=torch.float64)
        pixels = torch.zeros(1, dtype=torch.int64)
        for image, mask, share in self.new_pixels(spans):
            matrix, count = correlation_matrix(image, mask)
            total += (matrix * count[:, None, None]).cpu()
            pixels += count.cpu()
            tell('Measuring noise', share)
        noise = band_noise(total / pixels.clamp_min(1)[:, None, None], pixels)
        return (255 * noise).to(self.device, self.dtype)

    def change(self, rows: Span, cols: Span) -> NDArray[np.float32] | None:
        """Restore a tile.

        Args:
            rows: Its rows.
            cols: Its columns.

        Returns:
            What is to be added to its numbers, shape ``(C, h, w)``; None without data.

        Raises:
            BandMismatchError: If the network is made for other bands.
        """
        image, valid = self.read(rows, cols)
        if not valid.any():
            return None
        inputs = dict(self.inputs)
        if self._takes_valid:
            inputs['valid'] = torch.from_numpy(valid)[None].to(self.device)
        with torch.inference_mode():
            # a copy: the network may work in place
            restored: Tensor = self.model(image.to(self.dtype, copy=True), **inputs)
        if restored.shape != image.shape:
            raise BandMismatchError(
                f'Expected a network that returns {tuple(image.shape)}, as it gets, '
                f'got {tuple(restored.shape)}. Use a denoiser made for '
                f'{image.shape[1]} bands.'
            )
        change: NDArray[np.float32] = (restored - image).float()[0].cpu().numpy()
        return change
