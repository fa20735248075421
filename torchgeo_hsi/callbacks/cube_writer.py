# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whole-scene output of ``predict``: one georeferenced raster, whatever its size."""

import logging
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from rasterio.crs import CRS
from rasterio.windows import Window

from .. import __version__
from ..errors import EmptyDataError, NodataWarning
from ..io._cog_options import check_cog_options
from ..io._gdal import gdal_cache
from ..io._tiles import blend_weights, check_blend
from ..io.cog import CubeWriter
from ._grid import tile_transforms
from ._mosaic import Mosaic
from ._output import OutputOptions
from ._prediction_writer import FileWriter
from ._scene import Scene, SceneWriter, check_crs, check_not_input, predict_dataset
from ._values import denormalize, prediction_values

logger = logging.getLogger(__name__)


class GeoTIFFCubeWriter(FileWriter[SceneWriter]):
    """Blend the tiles of ``predict`` into one Cloud Optimized GeoTIFF.

    Works with every task whose ``predict_step`` returns a tensor of shape ``(B, K, h,
    w)``, or a dictionary with one, as those of torchgeo do: class maps, probabilities,
    regression, and cubes of any number of bands. Tiles may come in any order and may
    overlap; they are kept on disk, so memory holds one tile or one block, never the
    scene. The disk has to hold all tiles in float32 and the raster uncompressed.

    The raster lies on the pixel grid of the predict dataset (its ``bounds``, ``res``
    and ``crs``) and covers all of it: one mosaic, also of several files. Pixels whose
    ``batch['valid']`` is False, and those that no tile reaches, become nodata. It
    appears under its name when it is complete, not before. With several processes,
    each keeps its tiles in a folder that all of them can see, and the first one
    blends them: the result is the same to the last bit.

    The arguments up to *overwrite* are called as in torchgeo's own writer for class
    maps. [1]_

    .. [1] https://github.com/torchgeo/torchgeo/pull/3666

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.GeoTIFFCubeWriter
                  init_args:
                    output_path: output/map.tif
                    class_names: [water, forest, field]
    """

    _remedy = 'set scratch_dir to a folder on another disk'

    def __init__(
        self,
        output_path: str | Path = 'output/prediction.tif',
        overlap: int | None = None,
        delta: int | None = None,
        blend_method: Literal['cosine', 'linear'] = 'cosine',
        crs: str | None = None,
        dtype: str | None = None,
        nodata: float | None = None,
        compress: str = 'deflate',
        overview_resampling: str | None = None,
        overwrite: bool = True,
        output: Literal['classes', 'probabilities', 'cube', 'regression'] = 'classes',
        key: str | None = None,
        class_values: list[int] | None = None,
        class_names: list[str] | None = None,
        colors: list[str] | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
        denormalize: bool = False,
        keep_predictions: bool = False,
        scratch_dir: str | Path | None = None,
        cache_mb: int = 256,
    ) -> None:
        """Initialize a new GeoTIFFCubeWriter instance.

        Args:
            output_path: File to write; folders are created.
            overlap: Length in pixels of the ramps with which tiles fade into each
                other, at most half a tile; half a tile by default.
            delta: Margin in pixels that is cut off each tile before blending, where
                another tile covers it; by default the ``tile_margin`` of the
                datamodule, else none.
            blend_method: Form of the ramps: raised cosine or linear.
            crs: Coordinate reference system of a predict dataset that has none.
            dtype: Data type on disk: uint8 or uint16 for classes, float32 for the rest
                by default. Integers are rounded and clipped.
            nodata: Value of pixels without a prediction; by default NaN for real
                numbers, the lowest value for signed and the highest for unsigned
                integers, and 0 for classes if no class has that code.
            compress: Compression: ``'deflate'``, ``'lzw'``, ``'zstd'``, ``'lzma'`` or
                ``'none'``.
            overview_resampling: Resampling of the overviews; ``'mode'`` for classes
                and ``'average'`` for the rest by default.
            overwrite: Whether an existing file may be replaced.
            output: What to write: ``'classes'`` (the class of the highest blended
                probability; never the ``ignore_index`` of the task),
                ``'probabilities'`` (one band for each class; integer types use their
                whole range, and carry the scale), ``'cube'`` (one band for each
                channel, with the wavelengths of the batch) or ``'regression'`` (the
                same without wavelengths).
            key: Entry of the prediction to use, if it is a dictionary; by default
                ``'probabilities'``, or its only tensor.
            class_values: Code of each class in the raster; its index by default.
            class_names: Name of each class (for regression, of each band); by default
                the ``labels`` of the task or the ``class_names`` of the datamodule.
            colors: Color of each class, by a name or hex code that matplotlib knows;
                by default the ``class_colors`` of the datamodule, else those of our
                figures.
            scale: Factor from stored numbers to values, as in GDAL: a reflectance of
                0 to 1 with ``scale=1e-4`` is stored as 0 to 10 000.
            offset: Summand after the factor.
            denormalize: Whether to undo the normalization of the datamodule (times
                ``std``, plus ``mean``) on the output: for restoration networks, which
                return normalized cubes.
            keep_predictions: Whether Lightning may keep all predictions in memory to
                return them. Its command line always does, unless told otherwise.
            scratch_dir: Folder for the tiles until they are blended; beside the output
                by default.
            cache_mb: Bound of GDAL's block cache in MiB during the prediction.

        Raises:
            ValueError: If options contradict each other, or are not understood.
        """
        super().__init__(output_path, overwrite, keep_predictions, scratch_dir)
        self.crs = None if crs is None else CRS.from_user_input(crs)
        self.compress, _ = check_cog_options(compress, overview_resampling or 'mode')
        self.key = key
        self.cache_mb = cache_mb
        classes = (class_values, class_names, colors, scale, offset)
        self.options = OutputOptions(
            output, dtype, nodata, *classes, overview_resampling, denormalize
        )
        self.blend = check_blend(overlap, delta or 0, blend_method)
        self.delta = delta
        #: Files that have been written.
        self.paths: list[Path] = []
        self._stack = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output path, and bound GDAL's cache before workers start."""
        super().setup(trainer, pl_module, stage)
        if stage == 'predict':
            self._stack.enter_context(gdal_cache(self.cache_mb))

    def _open(self, trainer: Trainer, folder: Path) -> SceneWriter:
        return SceneWriter(folder, trainer.global_rank, predict_dataset(trainer))

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the dataset, and open a folder for the tiles."""
        dataset = predict_dataset(trainer)
        if self.delta is None:
            margin = getattr(getattr(trainer, 'datamodule', None), 'tile_margin', 0)
            overlap, _, method = self.blend
            self.blend = check_blend(overlap, margin, method)
        check_not_input(self.output_path, dataset)
        check_crs(self.crs, dataset)
        super().on_predict_start(trainer, pl_module)

    def write_batch(
        self,
        trainer: Trainer,
        module: LightningModule,
        prediction: Any,
        indices: Any,
        batch: Any,
    ) -> None:
        """Put the tiles of one batch on disk."""
        assert self._writer is not None
        values = prediction_values(prediction, self.key)
        if self.options.denormalize:
            values = denormalize(values, trainer)
        transforms = tile_transforms(prediction, batch, len(values))
        first = self._writer.scene is None
        if first:
            # whatever does not fit is better known now than after the last tile
            self.options.encoder(values.shape[1], module.hparams)
            for size in values.shape[-2:]:
                blend_weights(size, *self.blend)
        with self._reported():
            self._writer.add(values, transforms, batch)
        if first:
            self._check_space()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Blend all tiles, in the first process, and write the raster."""
        super().on_predict_end(trainer, pl_module)
        if not getattr(trainer, 'fast_dev_run', False):
            self.paths = [self.output_path]

    def _complaint(self) -> str:
        return (
            f'The sampler gave not a single tile, so {self.output_path} is not written. '
            'Use a patch size that is not larger than the scene.'
        )

    def _finish(self, trainer: Trainer, module: LightningModule, folder: Path) -> None:
        assert self._scratch is not None
        dataset = predict_dataset(trainer)
        scene = Scene.load(folder)
        if scene is None:
            raise EmptyDataError('No process has predicted a single tile.')
        grid, hparams = scene.grid, module.hparams
        encoder = self.options.encoder(scene.num_values, hparams)
        mosaic = Mosaic(
            folder,
            (scene.num_values, grid.height, grid.width),
            scene.side,
            np.dtype(scene.dtype),
            *self.blend,
        )
        if scene.lost or not mosaic.num_parts:
            _warn_lost(scene.lost, mosaic.num_parts)
        out = CubeWriter(
            self.output_path,
            (encoder.num_bands(scene.num_values), grid.height, grid.width),
            encoder.dtype,
            self.crs if self.crs is not None else getattr(dataset, 'crs', None),
            grid.transform,
            encoder.nodata,
            compress=self.compress,
            overwrite=self.overwrite,
            tags={'TIFFTAG_SOFTWARE': f'torchgeo-hsi {__version__}'},
            **self.options.describe(
                encoder,
                scene.num_values,
                hparams,
                getattr(trainer, 'datamodule', None),
                scene.bands(dataset),
            ),
        )
        with out:
            for row, col, values in mosaic.blocks():
                stored = encoder.encode(values)
                out.write(Window(col, row, *stored.shape[:0:-1]), stored)
            # the COG needs the space that the tiles take
            self._scratch.remove()
        if encoder.clipped:
            logger.warning(
                '%d values were clipped to the range of %s in %s. Choose another '
                'dtype, scale or offset.',
                encoder.clipped,
                encoder.dtype,
                self.output_path,
            )

    def _check_space(self) -> None:
        assert self._writer is not None
        scene = self._writer.scene
        assert scene is not None
        need = scene.num_values * scene.grid.height * scene.grid.width * 4 / 2**30
        folder = self.scratch_dir or self.output_path.parent
        free = shutil.disk_usage(folder).free / 2**30
        if free < need:
            logger.warning(
                'The tiles need at least %.1f GiB in %s, where %.1f GiB are free.',
                need,
                folder,
                free,
            )

    def _clean(self) -> None:
        super()._clean()
        # GDAL gets its cache back
        self._stack.close()


def _warn_lost(lost: int, parts: int) -> None:
    if lost:
        text = f'{lost} predictions of valid pixels are NaN or infinite'
    else:
        text = 'No tile holds a valid pixel'
    if not parts:
        text += '; the raster holds nothing but nodata'
    warnings.warn(
        f'{text}. They become nodata. Check the weights, the normalization and the '
        'precision of the task.',
        NodataWarning,
        stacklevel=2,
    )
