# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Figures of what a masked autoencoder makes of what it cannot see."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from .._typing import BoolArray
from ..datasets._spectrum import to_array, usable
from ..datasets.plotting import CLASS_COLORS
from ..physics import check_micrometres
from ..transforms.normalize import denormalize
from ._cube_figure import (
    Cube,
    CubeFigures,
    band_axis,
    choose_bands,
    choose_pixels,
    color_views,
    label_spectra,
    show_error,
    show_view,
)

#: Where nothing is seen.
_HIDDEN_GRAY = '#e6e6e6'


class ReconstructionFigures(CubeFigures):
    """Draw image, what is seen of it, reconstruction, error, and spectra.

    For tasks that have a method ``reconstruct``, as
    :class:`~torchgeo_hsi.tasks.HSIMAE`. The figures of the first samples of validation,
    or of each epoch's first batch of training where there is no validation, go to the
    logger, if it takes figures (as that of TensorBoard does), and to a folder, if one
    is named. Training goes on as if nothing had been drawn.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.ReconstructionFigures
                  init_args: {folder: output/figures}
    """

    _kind = 'reconstruction'

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the task can reconstruct.

        Args:
            trainer: The trainer.
            pl_module: The task.
            stage: Its stage.

        Raises:
            TypeError: If it cannot.
        """
        if not callable(getattr(pl_module, 'reconstruct', None)):
            raise TypeError(
                'ReconstructionFigures needs a task that reconstructs images, such as '
                f'torchgeo_hsi.tasks.HSIMAE, got {type(pl_module).__name__}. Take the '
                'callback out.'
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Draw samples of the first batch, where there is no validation."""
        if batch_idx == 0 and not any(trainer.num_val_batches):
            self._draw(trainer, pl_module, batch, 'train')

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw samples of the first batch."""
        if batch_idx == dataloader_idx == 0 and not trainer.sanity_checking:
            self._draw(trainer, pl_module, batch, 'val')

    def _draw(
        self, trainer: Trainer, module: LightningModule, batch: Any, stage: str
    ) -> None:
        if not trainer.is_global_zero or not self._is_due(trainer):
            return
        size = len(batch['image'])
        part = {
            # bands may be told once for all images
            key: value.expand(size, -1)[: self.count]
            if key in ('wavelength', 'fwhm')
            else value[: self.count]
            for key, value in batch.items()
            if isinstance(value, Tensor) and value.ndim
        }
        reconstruct: Any = module.reconstruct
        with _watching(module), torch.no_grad():
            sample, found, hidden = reconstruct(part)
        for index in range(len(found)):
            one = {key: value[index].cpu() for key, value in sample.items()}
            one['image'], full = (
                _denormalize(trainer, cube[index].cpu().float())
                for cube in (sample['image'], found)
            )
            figure = draw_reconstruction(
                one, full, hidden[index].cpu(), self.num_spectra
            )
            self._publish(trainer, figure, stage, index)


def draw_reconstruction(
    sample: Mapping[str, Tensor], found: Tensor, hidden: Tensor, num_spectra: int = 3
) -> Figure:
    """Draw an image, what is seen of it, its reconstruction, the error, and spectra.

    All images have the colors of the same stretch, that of the true image. Pixels that
    are not valid are gray.

    Args:
        sample: Sample with ``image`` of shape ``(C, H, W)``; used if present are
            ``valid`` and ``wavelength``.
        found: The image with predictions where something was hidden, same shape.
        hidden: True for values that were hidden, same shape.
        num_spectra: Number of pixels whose spectra are drawn: dark, bright, and between.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        UnitError: If the wavelengths look like nanometres.
        BandMismatchError: If there is not one wavelength for each band.
    """
    cubes = {'Image': to_array(sample['image']), 'Reconstruction': to_array(found)}
    truth, unseen = cubes['Image'], to_array(hidden).astype(bool)
    valid = usable(truth, sample.get('valid'))
    wavelength = None
    if 'wavelength' in sample:
        wavelength = check_micrometres(to_array(sample['wavelength']), len(truth))
    figure = plt.figure(figsize=(12.8, 6.2), layout='constrained')
    grid = figure.add_gridspec(2, 4, height_ratios=(3.2, 3))
    views = color_views(cubes, truth, valid, wavelength)
    seen = views['Image'].copy()
    dark = unseen[choose_bands(len(truth), wavelength)].any(axis=0) & valid
    seen[dark] = to_rgb(_HIDDEN_GRAY)
    # the spectra of pixels that are seen say nothing
    places = valid & unseen.any(axis=0)
    pixels = choose_pixels(truth, places, num_spectra)
    shown = {'Image': views['Image'], 'What is seen': seen, **views}
    for column, (name, view) in enumerate(shown.items()):
        ax = figure.add_subplot(grid[0, column])
        show_view(ax, view, name, pixels)
    _show_error(figure, figure.add_subplot(grid[0, -1]), cubes, unseen, places)
    _show_spectra(figure.add_subplot(grid[1, :]), cubes, unseen, pixels, wavelength)
    return figure


def _show_error(
    figure: Figure,
    ax: Axes,
    cubes: Mapping[str, Cube],
    hidden: BoolArray,
    places: BoolArray,
) -> None:
    """Show the error of what was hidden."""
    square = np.where(hidden, cubes['Reconstruction'] - cubes['Image'], 0) ** 2
    error = np.sqrt(square.sum(0) / hidden.sum(0).clip(1))
    show_error(figure, ax, error, places, 'Error\n(RMS over hidden bands)')


def _show_spectra(
    ax: Axes,
    cubes: Mapping[str, Cube],
    hidden: BoolArray,
    pixels: list[tuple[int, int]],
    wavelength: NDArray[Any] | None,
) -> None:
    """Show the spectra of a few pixels; what was seen of them is a thick line."""
    x, order = band_axis(len(cubes['Image']), wavelength)
    for number, (color, (row, col)) in enumerate(
        zip(CLASS_COLORS, pixels, strict=False)
    ):
        truth, found = (cube[order, row, col] for cube in cubes.values())
        dark = hidden[order, row, col]
        lines: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
            'True': (truth, {'lw': 1.0, 'ls': '--'}),
            'Predicted': (np.where(dark, found, np.nan), {'lw': 1.6}),
        }
        if not dark.all():
            seen = np.where(dark, np.nan, truth)
            lines['Seen'] = (seen, {'lw': 4.0, 'alpha': 0.4})
        for name, (values, style) in lines.items():
            label = name if number == 0 else None
            ax.plot(x[order], values, color=color, label=label, **style)
    label_spectra(ax, wavelength, not pixels)


@contextmanager
def _watching(module: nn.Module) -> Iterator[None]:
    """Run a network in evaluation, and leave it as it was."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        # one by one: parts of it may be frozen
        for part, mode in modes.items():
            part.training = mode


def _denormalize(trainer: Trainer, image: Tensor) -> Tensor:
    """Undo the normalization of the data module, if it has one for each band."""
    data = getattr(trainer, 'datamodule', None)
    mean, std = (getattr(data, name, None) for name in ('mean', 'std'))
    for values in (mean, std):
        if not isinstance(values, Tensor) or values.shape != image.shape[:1]:
            return image
    assert mean is not None
    assert std is not None
    return denormalize(image, mean.cpu(), std.cpu())
