# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A picture of what ``predict`` wrote, beside what the sensor saw."""

import json
import math
import os
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rasterio.enums import Resampling
from torch import Tensor
from torchgeo.datasets import RGBBandsMissingError

from ..datasets.plotting import class_map, true_color
from ..errors import MetadataError
from ..io.geotiff import open_raster
from ..transforms.normalize import denormalize
from ._figure_file import check_picture, save_figure
from ._grid import Grid, tile_transforms
from ._report import report
from .cube_writer import GeoTIFFCubeWriter


class _Overview:
    """Every k-th pixel of a few bands of a scene, gathered from its tiles.

    Args:
        grid: Grid of the scene.
        step: Distance of the pixels that are kept.
        bands: Number of bands.
    """

    def __init__(self, grid: Grid, step: int, bands: int) -> None:
        self.grid, self.step = grid, step
        shape = math.ceil(grid.height / step), math.ceil(grid.width / step)
        self.image = torch.zeros(bands, *shape)
        self.valid = torch.zeros(shape, dtype=torch.bool)

    def add(self, tile: Tensor, valid: Tensor, transform: list[float]) -> None:
        """Take in the pixels of a tile that are on the coarse grid and in the scene."""
        row, col = self.grid.locate(transform)
        rows, row0 = self._pick(row, tile.shape[1], self.grid.height)
        cols, col0 = self._pick(col, tile.shape[2], self.grid.width)
        part, seen = tile[:, rows, cols], valid[rows, cols]
        window = (slice(row0, row0 + seen.shape[0]), slice(col0, col0 + seen.shape[1]))
        self.image[:, *window] = torch.where(seen, part, self.image[:, *window])
        self.valid[window] |= seen

    def _pick(self, start: int, length: int, total: int) -> tuple[slice, int]:
        """Return the pixels of a tile to keep, and where the first of them goes."""
        first = max(math.ceil(start / self.step), 0)
        stop = min(start + length, total)
        inside = slice(first * self.step - start, max(stop - start, 0), self.step)
        return inside, first


class MapFigure(Callback):
    """Draw the class map of a :class:`GeoTIFFCubeWriter` beside a true-color view.

    The view is made from the batches as they pass, at the resolution of the picture,
    so nothing is read twice and memory does not grow with the scene. Where no band is
    visible, the map stands for itself. List this callback behind the writer.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.GeoTIFFCubeWriter
                  init_args: {output_path: output/map.tif}
                - class_path: torchgeo_hsi.callbacks.MapFigure
                  init_args: {path: output/map.png}
    """

    def __init__(
        self,
        path: str | Path = 'output/map.png',
        title: str | None = None,
        max_size: int = 1024,
    ) -> None:
        """Initialize a new MapFigure instance.

        Args:
            path: Picture to write; the suffix chooses the format.
            title: Title of the figure.
            max_size: Largest number of pixels along a side of each view.

        Raises:
            ValueError: If matplotlib cannot write such a file, or *max_size* is not
                positive.
        """
        self.path = check_picture(path)
        _check_size(max_size)
        self.title = title
        self.max_size = max_size
        self._overview: _Overview | None = None
        self._wavelength: Tensor | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there will be a map to draw."""
        self._overview = None
        # whatever is missing is better known now than after the last tile
        self._find_writer(trainer)

    def _find_writer(self, trainer: Trainer) -> GeoTIFFCubeWriter:
        """Return the callback that has written a class map when this one draws it."""
        # Trainer.callbacks is set by a connector, so its type is not declared
        callbacks: list[Callback] = list(getattr(trainer, 'callbacks', []))
        writers = [cb for cb in callbacks if isinstance(cb, GeoTIFFCubeWriter)]
        if not writers:
            raise MetadataError(
                'MapFigure draws the file of a GeoTIFFCubeWriter, and there is none. '
                'Add it to trainer.callbacks, before MapFigure.'
            )
        writers = [cb for cb in writers if cb.options.kind == 'classes']
        if not writers:
            raise MetadataError(
                'MapFigure draws class maps, and no GeoTIFFCubeWriter writes one. Use '
                "GeoTIFFCubeWriter(output='classes'), or leave MapFigure out."
            )
        if callbacks.index(writers[0]) > callbacks.index(self):
            raise MetadataError(
                'GeoTIFFCubeWriter will not have written its map when MapFigure draws '
                'it. List MapFigure behind it in trainer.callbacks.'
            )
        return writers[0]

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the visible bands of a batch into the view."""
        image, wavelength = batch['image'], batch.get('wavelength')
        if wavelength is None:
            return
        transforms = tile_transforms(outputs, batch, len(image))
        if self._overview is None:
            loader: Any = trainer.predict_dataloaders
            dataset = loader.dataset
            grid = Grid.of_dataset(dataset, transforms[0])
            step = math.ceil(max(grid.height, grid.width) / self.max_size)
            self._overview = _Overview(grid, step, 3)
        bands = _visible(wavelength[0].cpu().numpy())
        self._wavelength = wavelength[0].cpu()[bands]
        visible = _denormalize(trainer, image[:, bands].cpu().float(), bands)
        valid = batch.get('valid', torch.ones(image[:, 0].shape, dtype=torch.bool))
        for tile, seen, transform in zip(visible, valid.cpu(), transforms, strict=True):
            self._overview.add(tile, seen, transform)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the map and the view, and write the picture."""
        view = self._gather(pl_module)
        # a trial run of a few batches writes no map
        if not trainer.is_global_zero or getattr(trainer, 'fast_dev_run', False):
            return
        path = self._find_writer(trainer).paths[-1]
        fig = draw_map(path, view, self.title, self.max_size)
        try:
            save_figure(fig, self.path, 'MapFigure')
        finally:
            plt.close(fig)
        report('Picture of the map written to %s', self.path)

    def _gather(self, module: LightningModule) -> NDArray[np.float32] | None:
        """Join the views of all processes and stretch them."""
        if self._overview is None or self._wavelength is None:
            return None
        image, valid = self._overview.image, self._overview.valid
        if module.trainer.world_size > 1:
            images, seen = (
                torch.as_tensor(module.all_gather(part.to(module.device))).cpu()
                for part in (image, valid)
            )
            first = seen.int().argmax(0)
            image = images.gather(0, first.expand(1, 3, *first.shape))[0]
            valid = seen.any(0)
        try:
            return true_color(image, self._wavelength, valid)
        except RGBBandsMissingError:
            # infrared bands alone make no true color: the map stands for itself
            return None


def draw_map(
    path: str | Path,
    view: NDArray[np.float32] | None = None,
    title: str | None = None,
    max_size: int = 1024,
) -> Figure:
    """Draw a class map with its own colors and names, beside a color view.

    Args:
        path: GeoTIFF with one band of class codes, as :class:`GeoTIFFCubeWriter`
            writes it.
        view: Picture of the same scene, values from 0 to 1, shape ``(H, W, 3)``.
        title: Title of the figure.
        max_size: Largest number of pixels along a side of the map.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        MetadataError: If the file has no colors for classes.
        CorruptFileError: If the file is empty, truncated or damaged.
        ValueError: If *max_size* is not positive.
    """
    _check_size(max_size)
    codes, valid, colors, names = _read_classes(path, max_size)
    shape = codes.shape
    wide = shape[1] > 1.6 * shape[0]
    panels = 1 if view is None else 2
    layout = (panels, 1) if wide else (1, panels)
    fig, axes = plt.subplots(
        *layout,
        figsize=_figure_size(shape, layout),
        squeeze=False,
        layout='constrained',
    )
    if view is not None:
        _show(axes.flat[0], view, 'True color')
    _show(axes.flat[-1], class_map(codes, valid, colors), 'Classes')
    shares = {c: float((codes[valid] == c).mean()) for c in np.unique(codes[valid])}
    handles = [
        Patch(
            facecolor=colors[code],
            edgecolor='0.3',
            label=f'{names.get(str(code), f"class {code}")} ({share:.0%})',
        )
        for code, share in shares.items()
    ]
    _add_legend(fig, handles)
    if title is not None:
        fig.suptitle(title, fontsize=13)
    return fig


def _read_classes(
    path: str | Path, max_size: int
) -> tuple[NDArray[Any], NDArray[np.bool_], dict[int, str], dict[str, str]]:
    """Read a class map with its colors and names, thinned out to the picture."""
    with open_raster(os.fspath(path)) as src:
        step = math.ceil(max(src.height, src.width) / max_size)
        shape = math.ceil(src.height / step), math.ceil(src.width / step)
        # the pixel in the middle of each cell, so that no class is invented
        codes = src.read(1, out_shape=shape, resampling=Resampling.nearest)
        valid = src.read_masks(1, out_shape=shape) > 0
        names = json.loads(src.tags(1).get('class_names', '{}'))
        try:
            table = src.colormap(1)
        except ValueError as error:
            raise MetadataError(
                f'{path} has no color table, so it is no class map. MapFigure needs '
                "GeoTIFFCubeWriter(output='classes')."
            ) from error
    colors = {
        code: '#{:02x}{:02x}{:02x}'.format(*rgba[:3]) for code, rgba in table.items()
    }
    return codes, valid, colors, names


def _figure_size(
    shape: tuple[int, int], layout: tuple[int, int]
) -> tuple[float, float]:
    side = 5.2
    height, width = (side * n / max(shape) for n in shape)
    return max(width * layout[1] + 0.4, 5.0), height * layout[0] + 1.1


def _add_legend(fig: Figure, handles: list[Patch]) -> None:
    """Put a legend below all panels, in as many columns as fit."""
    for columns in (4, 3, 2, 1):
        legend = fig.legend(
            handles=handles,
            loc='outside lower center',
            ncols=columns,
            frameon=False,
            fontsize=9,
        )
        if columns == 1 or legend.get_window_extent().width <= fig.bbox.width:
            break
        legend.remove()
    # its rows, the first of which has its place already, do not make the maps smaller
    rows = math.ceil(len(handles) / columns)
    fig.set_figheight(fig.get_figheight() + 0.2 * max(rows - 1, 0))


def _show(ax: Axes, picture: NDArray[np.float32], title: str) -> None:
    ax.imshow(picture, interpolation='nearest')
    ax.set_title(title, fontsize=11)
    ax.axis('off')


def _check_size(max_size: int) -> None:
    if max_size < 1:
        raise ValueError(f'Expected a max_size of 1 pixel or more, got {max_size}.')


def _visible(wavelength: NDArray[np.float32]) -> list[int]:
    """Return the bands nearest to red, green and blue."""
    targets = np.array([0.640, 0.555, 0.468])
    return [int(band) for band in np.abs(wavelength - targets[:, None]).argmin(1)]


def _denormalize(trainer: Trainer, image: Tensor, bands: list[int]) -> Tensor:
    """Undo the normalization of the datamodule, if it has one for each band."""
    datamodule = getattr(trainer, 'datamodule', None)
    mean, std = (getattr(datamodule, name, None) for name in ('mean', 'std'))
    if mean is None or std is None or mean.ndim != 1 or std.ndim != 1:
        return image
    return denormalize(image, mean[bands].cpu(), std[bands].cpu())
