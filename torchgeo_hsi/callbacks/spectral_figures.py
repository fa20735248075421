# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Figures of what a restoration network does, while it learns."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from .._typing import BoolArray
from ..datasets._spectrum import find_gaps, to_array, usable
from ..datasets.plotting import CLASS_COLORS
from ..metrics import mpsnr
from ..physics import check_micrometres
from ._cube_figure import (
    Cube,
    CubeFigures,
    band_axis,
    choose_pixels,
    color_views,
    label_spectra,
    show_error,
    show_view,
)

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


class SpectralFigures(CubeFigures):
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

    _kind = 'restoration'
    _drawn = 0

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
        if not trainer.sanity_checking and self._is_due(trainer):
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
            self._publish(trainer, figure, stage, self._drawn)
            self._drawn += 1


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
    cubes: dict[str, Cube] = {'Noisy': to_array(sample['image'])}
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
    views = color_views(cubes, best, valid, wavelength)
    pixels = choose_pixels(best, valid, num_spectra)
    for column, (name, view) in enumerate(views.items()):
        ax = figure.add_subplot(grid[0, column])
        show_view(ax, view, name + _score(name, cubes, valid), pixels)
    _show_difference(figure, figure.add_subplot(grid[0, -1]), cubes, valid)
    _show_spectra(figure.add_subplot(grid[1, :]), cubes, pixels, wavelength)
    return figure


def _nothing(batch: Any) -> dict[str, Any]:
    return {}


def _score(name: str, cubes: Mapping[str, Cube], valid: BoolArray) -> str:
    """Return the score of an image, if the truth is known."""
    if name == 'Truth' or 'Truth' not in cubes or not valid.any():
        return ''
    image, truth = (torch.from_numpy(np.array(cubes[key])) for key in (name, 'Truth'))
    score = mpsnr(image, truth, torch.from_numpy(np.array(valid)))
    return f'\n{score:.2f} dB'


def _show_difference(
    figure: Figure, ax: Axes, cubes: Mapping[str, Cube], valid: BoolArray
) -> None:
    """Show the error, or what was taken out where nobody knows the truth."""
    other, title = (
        ('Truth', 'Error') if 'Truth' in cubes else ('Noisy', 'What was taken out')
    )
    error = np.sqrt(((cubes['Restored'] - cubes[other]) ** 2).mean(0))
    show_error(figure, ax, error, valid, f'{title}\n(RMS over bands)')


def _show_spectra(
    ax: Axes,
    cubes: Mapping[str, Cube],
    pixels: list[tuple[int, int]],
    wavelength: NDArray[Any] | None,
) -> None:
    """Show the spectra of a few pixels in all images."""
    x, order = band_axis(len(cubes['Noisy']), wavelength)
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
    label_spectra(ax, wavelength, not pixels)
