# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What figures of images and their spectra share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from lightning.pytorch import Callback, Trainer
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._typing import BoolArray
from ..datasets.plotting import CLASS_COLORS, NODATA_GRAY, TRUE_COLOR
from ._aside import log_figure
from ._figure_file import save_figure
from ._report import report

type Cube = NDArray[np.float32]

#: Percentiles between which the views are stretched, and errors told apart.
_STRETCH = (2.0, 98.0)

#: Largest distance in micrometres at which a band stands for a color.
_NEAR = 0.05


class CubeFigures(Callback):
    """Base class of figures of a few samples, with their spectra."""

    #: What the figures show, for the logger.
    _kind = 'cube'

    def __init__(
        self,
        folder: str | Path | None = None,
        count: int = 2,
        every_n_epochs: int = 1,
        num_spectra: int = 3,
    ) -> None:
        """Initialize a new instance.

        Args:
            folder: Folder for pictures named after stage, sample and epoch; the logger
                alone by default.
            count: Number of samples, at most those of a batch where only the first one
                is drawn.
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

    def _is_due(self, trainer: Trainer) -> bool:
        """Tell whether this epoch is drawn; outside of a training, each one is."""
        due = trainer.current_epoch % self.every_n_epochs == 0
        return due or trainer.state.fn != 'fit'

    def _publish(
        self, trainer: Trainer, figure: Figure, stage: str, index: int
    ) -> None:
        """Hand a figure to the loggers that take some, save it, and close it."""
        try:
            tag = f'{stage}/{self._kind}_{index}'
            log_figure(trainer, tag, figure)
            if self.folder is not None:
                name = f'{stage}_{index}_epoch_{trainer.current_epoch:04d}.png'
                save_figure(figure, self.folder / name, type(self).__name__)
                report('Figure written to %s', self.folder / name)
        finally:
            plt.close(figure)


def choose_bands(count: int, wavelength: NDArray[Any] | None) -> list[int]:
    """Choose bands for red, green and blue.

    Args:
        count: Number of bands.
        wavelength: Their centres in micrometres, if known.

    Returns:
        Three positions.
    """
    if wavelength is not None:
        distance = np.abs(wavelength - np.array(TRUE_COLOR)[:, None])
        if (distance.min(axis=1) <= _NEAR).all():
            return [int(band) for band in distance.argmin(axis=1)]
    # evenly spaced bands still show where things are
    return [count * part // 4 for part in (3, 2, 1)]


def color_views(
    cubes: Mapping[str, Cube],
    best: Cube,
    valid: BoolArray,
    wavelength: NDArray[Any] | None,
) -> dict[str, Cube]:
    """Make color views with one stretch.

    Args:
        cubes: Images of shape ``(C, H, W)``.
        best: The one whose values the colors are stretched over.
        valid: False for pixels without data, shape ``(H, W)``; they are gray.
        wavelength: Centres of the bands in micrometres, if known.

    Returns:
        Colors of shape ``(H, W, 3)``.
    """
    bands = choose_bands(len(best), wavelength)
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


def choose_pixels(best: Cube, valid: BoolArray, count: int) -> list[tuple[int, int]]:
    """Choose pixels from dark to bright, apart from each other.

    Args:
        best: Image of shape ``(C, H, W)``.
        valid: Which pixels to choose from, shape ``(H, W)``.
        count: How many.

    Returns:
        Their rows and columns.
    """
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


def show_view(
    ax: Axes, view: Cube, title: str, pixels: Sequence[tuple[int, int]]
) -> None:
    """Show a color view, with a square around each pixel whose spectrum is drawn.

    Args:
        ax: Where to draw.
        view: Colors of shape ``(H, W, 3)``.
        title: Title of the view.
        pixels: Rows and columns.
    """
    ax.imshow(view, interpolation='nearest')
    ax.set_title(title, fontsize=11)
    ax.axis('off')
    for color, (row, col) in zip(CLASS_COLORS, pixels, strict=False):
        ax.plot(col, row, 's', mfc='none', mec=color, ms=8, mew=1.6)


def show_error(
    figure: Figure, ax: Axes, error: Cube, valid: BoolArray, title: str
) -> None:
    """Show a map of errors.

    Args:
        figure: The figure.
        ax: Where to draw.
        error: Errors of shape ``(H, W)``.
        valid: Which pixels have one, same shape.
        title: Title of the map.
    """
    top = float(np.percentile(error[valid], _STRETCH[1])) if valid.any() else 1.0
    picture = ax.imshow(
        np.where(valid, error, np.nan), vmin=0, vmax=top or 1.0, cmap='magma'
    )
    ax.set_facecolor(NODATA_GRAY)
    ax.set_title(title, fontsize=11)
    ax.set_xticks([])
    ax.set_yticks([])
    figure.colorbar(picture, ax=ax, shrink=0.8)


def band_axis(
    count: int, wavelength: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return where bands are on the axis of a plot of spectra.

    Args:
        count: Number of bands.
        wavelength: Their centres in micrometres, if known.

    Returns:
        Wavelengths in micrometres or numbers of bands, and their order.
    """
    x = np.arange(1, count + 1) if wavelength is None else wavelength
    return x, np.argsort(x, kind='stable')


def label_spectra(ax: Axes, wavelength: NDArray[Any] | None, is_empty: bool) -> None:
    """Label the axes of a plot of spectra.

    Args:
        ax: The plot.
        wavelength: Centres of the bands in micrometres, if known.
        is_empty: Whether there is no line, and so no legend.
    """
    ax.set_xlabel('Band' if wavelength is None else 'Wavelength (µm)')
    ax.set_ylabel('Value')
    if not is_empty:
        ax.legend(fontsize=9, frameon=False, ncols=3)
