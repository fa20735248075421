# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Figures of what a restoration network does, while it learns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from .._typing import BoolArray
from ..datasets._spectrum import find_gaps, to_array, usable
from ..datasets.plotting import CLASS_COLORS, NODATA_GRAY, TRUE_COLOR
from ..metrics import mpsnr
from ..physics import check_micrometres
from ._figure_file import save_figure
from ._report import report

type _Cube = NDArray[np.float32]

#: Percentiles between which the views are stretched.
_STRETCH = (2.0, 98.0)

#: Largest distance in micrometres at which a band stands for a color.
_NEAR = 0.05


#: Dots for what was measured, above the line: a network that has learned little changes
#: so little that two lines would be one.
_STYLES: dict[str, dict[str, Any]] = {
    'Noisy': {
        'ls': 'none',
        'marker': 'o',
        'ms': 3.2,
        'mec': '0.15',
        'mew': 0.4,
        'zorder': 3,
    },
    'Truth': {'lw': 1.4, 'ls': '--', 'zorder': 2.5},
    'Restored': {'lw': 1.6},
}


class SpectralFigures(Callback):
    """Draw noisy, restored and true image, the error, and spectra.

    The figures of the first samples of validation and test go to the logger, if it
    takes figures (as that of TensorBoard does), and to a folder, if one is named.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.SpectralFigures
                  init_args: {folder: output/figures}
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        count: int = 2,
        every_n_epochs: int = 1,
        num_spectra: int = 3,
    ) -> None:
        """Initialize a new SpectralFigures instance.

        Args:
            folder: Folder for pictures named after stage, sample and epoch; the logger
                alone by default.
            count: Number of samples.
            every_n_epochs: Draw in every n-th epoch of a training.
            num_spectra: Number of pixels whose spectra are drawn.

        Raises:
            ValueError: If a number is not positive.
        """
        if min(count, every_n_epochs, num_spectra) < 1:
            raise ValueError(
                'Expected count, every_n_epochs and num_spectra of 1 or more, got '
                f'{count}, {every_n_epochs} and {num_spectra}.'
            )
        self.folder = None if folder is None else Path(folder)
        self.count = count
        self.every_n_epochs = every_n_epochs
        self.num_spectra = num_spectra
        self._drawn = 0

    def on_validation_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Begin to count."""
        self._drawn = 0

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._drawn = 0

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first samples."""
        due = trainer.current_epoch % self.every_n_epochs == 0
        if not trainer.sanity_checking and (due or trainer.state.fn != 'fit'):
            self._draw(trainer, pl_module, batch, 'val')

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first samples."""
        self._draw(trainer, pl_module, batch, 'test')

    def _draw(
        self, trainer: Trainer, module: LightningModule, batch: Any, stage: str
    ) -> None:
        todo = min(self.count - self._drawn, len(batch['image']))
        if todo < 1 or not trainer.is_global_zero:
            return
        count = len(batch['image'])
        part = {
            key: value[:todo]
            for key, value in batch.items()
            if isinstance(value, Tensor) and value.shape[:1] == (count,)
        }
        inputs = getattr(module, 'model_inputs', _nothing)(part)
        with torch.no_grad():
            restored = module(part['image'], **inputs)
        for index in range(todo):
            sample = {key: value[index].detach().cpu() for key, value in part.items()}
            figure = draw_restoration(
                sample, restored[index].cpu().float(), self.num_spectra
            )
            try:
                self._publish(trainer, figure, stage)
            finally:
                plt.close(figure)
            self._drawn += 1

    def _publish(self, trainer: Trainer, figure: Figure, stage: str) -> None:
        for logger in trainer.loggers:
            writer = getattr(logger, 'experiment', None)
            add = getattr(writer, 'add_figure', None)
            if add is not None:
                name = f'{stage}/restoration_{self._drawn}'
                add(name, figure, global_step=trainer.global_step, close=False)
        if self.folder is not None:
            name = f'{stage}_{self._drawn}_epoch_{trainer.current_epoch:04d}.png'
            save_figure(figure, self.folder / name, 'SpectralFigures')
            report('Figure written to %s', self.folder / name)


def draw_restoration(
    sample: Mapping[str, Tensor], restored: Tensor, num_spectra: int = 3
) -> Figure:
    """Draw noisy, restored and true image, the error, and spectra.

    All images have the colors of the same stretch, that of the true image, or of the
    restored one where nobody knows the truth. Pixels that are not valid are gray.

    Args:
        sample: Sample with ``image`` of shape ``(C, H, W)``; used if present are
            ``target``, ``valid`` and ``wavelength``.
        restored: Restored image of shape ``(C, H, W)``.
        num_spectra: Number of pixels whose spectra are drawn: dark, bright, and between,
            where there are some apart from each other.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        UnitError: If the wavelengths look like nanometres.
        BandMismatchError: If there is not one wavelength for each band.
    """
    cubes: dict[str, _Cube] = {'Noisy': to_array(sample['image'])}
    cubes['Restored'] = to_array(restored)
    if 'target' in sample:
        cubes['Truth'] = to_array(sample['target'])
    best = cubes.get('Truth', cubes['Restored'])
    valid = usable(best, sample.get('valid'))
    wavelength = None
    if 'wavelength' in sample:
        wavelength = check_micrometres(to_array(sample['wavelength']), len(best))
    columns = len(cubes) + 1
    figure = plt.figure(figsize=(3.2 * columns, 6.2), layout='constrained')
    grid = figure.add_gridspec(2, columns, height_ratios=(3.2, 3))
    views = _views(cubes, best, valid, wavelength)
    pixels = _pixels(best, valid, num_spectra)
    for column, (name, view) in enumerate(views.items()):
        ax = figure.add_subplot(grid[0, column])
        _show(ax, view, name + _score(name, cubes, valid))
        for color, (row, col) in zip(CLASS_COLORS, pixels, strict=False):
            ax.plot(col, row, 's', mfc='none', mec=color, ms=8, mew=1.6)
    _show_difference(figure, figure.add_subplot(grid[0, -1]), cubes, valid)
    _show_spectra(figure.add_subplot(grid[1, :]), cubes, pixels, wavelength)
    return figure


def _nothing(batch: Any) -> dict[str, Any]:
    return {}


def _score(name: str, cubes: Mapping[str, _Cube], valid: BoolArray) -> str:
    """Return the score of an image, if the truth is known."""
    if name == 'Truth' or 'Truth' not in cubes or not valid.any():
        return ''
    image, truth = (torch.from_numpy(np.array(cubes[key])) for key in (name, 'Truth'))
    score = mpsnr(image, truth, torch.from_numpy(np.array(valid)))
    return f'\n{score:.2f} dB'


def _bands(count: int, wavelength: NDArray[Any] | None) -> list[int]:
    """Choose bands for red, green and blue."""
    if wavelength is not None:
        distance = np.abs(wavelength - np.array(TRUE_COLOR)[:, None])
        if (distance.min(axis=1) <= _NEAR).all():
            return [int(band) for band in distance.argmin(axis=1)]
    # evenly spaced bands still show where things are
    return [count * part // 4 for part in (3, 2, 1)]


def _views(
    cubes: Mapping[str, _Cube],
    best: _Cube,
    valid: BoolArray,
    wavelength: NDArray[Any] | None,
) -> dict[str, _Cube]:
    """Make color views with one stretch."""
    bands = _bands(len(best), wavelength)
    views = {}
    for name, cube in cubes.items():
        view = np.empty((*valid.shape, 3), np.float32)
        view[:] = to_rgb(NODATA_GRAY)
        if valid.any():
            low, high = np.percentile(best[bands][:, valid], _STRETCH, axis=1)
            span = np.where(high > low, high - low, 1)
            pixels = cube[bands][:, valid].T
            view[valid] = np.clip((pixels - low) / span, 0, 1)
        views[name] = view
    return views


def _pixels(best: _Cube, valid: BoolArray, count: int) -> list[tuple[int, int]]:
    """Choose pixels from dark to bright, apart from each other."""
    rows, cols = np.nonzero(valid)
    if not len(rows):
        return []
    order = np.argsort(best[:, rows, cols].mean(0), kind='stable')
    places = np.stack((rows, cols), axis=1)[order]
    # as far as so many pixels can be in a row across the image
    apart = np.ptp(places, axis=0).max() / (count + 1)
    ranks = np.linspace(0, len(order) - 1, count + 2).round().astype(int)[1:-1]
    half = len(order) // (2 * count + 2)
    chosen: list[NDArray[np.intp]] = []
    for rank in ranks:
        # the next shade begins half-way to it
        near = np.arange(max(rank - half, 0), min(rank + half + 1, len(order)))
        near = near[np.argsort(abs(near - rank), kind='stable')]
        gaps = [np.hypot(*(places[near] - place).T) for place in chosen]
        distance = np.min([np.full(len(near), np.inf), *gaps], axis=0)
        fits = distance >= apart
        best_one = fits.argmax() if fits.any() else distance.argmax()
        chosen.append(places[near[best_one]])
    return [(int(row), int(col)) for row, col in chosen]


def _show(ax: Axes, view: _Cube, title: str) -> None:
    ax.imshow(view, interpolation='nearest')
    ax.set_title(title, fontsize=11)
    ax.axis('off')


def _show_difference(
    figure: Figure, ax: Axes, cubes: Mapping[str, _Cube], valid: BoolArray
) -> None:
    """Show the error, or what was taken out where nobody knows the truth."""
    other, title = (
        ('Truth', 'Error') if 'Truth' in cubes else ('Noisy', 'What was taken out')
    )
    error = np.sqrt(((cubes['Restored'] - cubes[other]) ** 2).mean(0))
    top = float(np.percentile(error[valid], _STRETCH[1])) if valid.any() else 1.0
    picture = ax.imshow(
        np.where(valid, error, np.nan), vmin=0, vmax=top or 1.0, cmap='magma'
    )
    ax.set_facecolor(NODATA_GRAY)
    ax.set_title(f'{title}\n(RMS over bands)', fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    figure.colorbar(picture, ax=ax, shrink=0.8)


def _show_spectra(
    ax: Axes,
    cubes: Mapping[str, _Cube],
    pixels: list[tuple[int, int]],
    wavelength: NDArray[Any] | None,
) -> None:
    """Show the spectra of a few pixels in all images."""
    count = len(cubes['Noisy'])
    x = np.arange(1, count + 1) if wavelength is None else 1e3 * wavelength
    order = np.argsort(x, kind='stable')
    gaps = find_gaps(x[order]) if wavelength is not None else []
    for start, stop in gaps:
        ax.axvspan(start, stop, color='0.9', linewidth=0)
    # NaN ends a line; what no band has measured is not drawn
    cuts = [int(np.searchsorted(x[order], stop)) for _, stop in gaps]
    axis = np.insert(x[order].astype(float), cuts, np.nan)
    for number, (color, (row, col)) in enumerate(
        zip(CLASS_COLORS, pixels, strict=False)
    ):
        for name, style in _STYLES.items():
            if name in cubes:
                label = name if number == 0 else None
                values = cubes[name][order, row, col].astype(float)
                shade = '0.2' if name == 'Truth' else color
                line = np.insert(values, cuts, np.nan)
                ax.plot(axis, line, color=shade, label=label, **style)
    ax.set_xlabel('Band' if wavelength is None else 'Wavelength (nm)')
    ax.set_ylabel('Value')
    if pixels:
        ax.legend(fontsize=9, frameon=False, ncols=3)
