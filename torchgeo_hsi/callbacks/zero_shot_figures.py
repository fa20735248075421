# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Figures of how a network was tuned to the bands of an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..datasets._spectrum import to_array
from ..errors import EmptyDataError
from ..models.pansharpening.rho_pnn import BandRecord
from ..physics import check_micrometres
from ._figure_file import check_picture, save_figure
from ._report import report

#: Colors: spectral loss, spatial loss, thresholds.
_SPECTRAL, _SPATIAL, _BAND = '#1f5a96', '#c8501e', '#9ecf9a'


class ZeroShotFigures(Callback):
    """Draw how rho-PNN was tuned to each band, after ``predict`` or ``test``.

    For tasks whose ``model`` has ``records``, as
    :class:`~torchgeo_hsi.models.RhoPNN`. Of several images, the
    last one is drawn.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.ZeroShotFigures
                  init_args: {path: output/tuning.png}
    """

    def __init__(
        self, path: str | Path = 'output/tuning.png', band: int | None = None
    ) -> None:
        """Initialize a new ZeroShotFigures instance.

        Args:
            path: Picture to write; the suffix chooses the format.
            band: Band whose course is drawn below; none by default.

        Raises:
            ValueError: If matplotlib cannot write such a file.
        """
        self.path = check_picture(path)
        self.band = band
        self._wavelength: Tensor | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the model keeps records.

        Args:
            trainer: The trainer.
            pl_module: The task.
            stage: Its stage.

        Raises:
            TypeError: If it does not.
        """
        self._wavelength = None
        model = getattr(pl_module, 'model', None)
        if not isinstance(getattr(model, 'records', None), list):
            raise TypeError(
                'ZeroShotFigures needs a task whose model is tuned to each band and '
                f'keeps records, such as rho_pnn, got {type(model).__name__}. Take the '
                'callback out.'
            )

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remember the wavelengths."""
        self._remember(batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Remember the wavelengths."""
        self._remember(batch)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the picture."""
        self._draw(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the picture."""
        self._draw(trainer, pl_module)

    def _remember(self, batch: Any) -> None:
        if isinstance(batch, dict) and isinstance(batch.get('wavelength'), Tensor):
            wavelength = batch['wavelength'].detach().cpu()
            # told once for all images, or for each of them
            self._wavelength = wavelength.reshape(-1, wavelength.shape[-1])[-1]

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        model: Any = module.model
        records: list[BandRecord] = model.records
        if not trainer.is_global_zero or not records:
            return
        wavelength = self._wavelength
        if wavelength is not None and len(wavelength) != len(records):
            wavelength = None
        figure = plot_records(records, wavelength, self.band)
        try:
            save_figure(figure, self.path, 'ZeroShotFigures')
        finally:
            plt.close(figure)
        report('Picture of the tuning written to %s', self.path)


def plot_records(
    records: Sequence[BandRecord],
    wavelength: Tensor | Sequence[float] | None = None,
    band: int | None = None,
) -> Figure:
    """Draw the quality of each band against its thresholds, and one band's course.

    Spectral losses are drawn as fractions of that of the interpolated band: 1 is no
    better than interpolation, and the green stripe lies between both thresholds. Bands
    that have been left interpolated are crosses at 1.

    Args:
        records: One for each band, from
            :attr:`~torchgeo_hsi.models.RhoPNN.records`.
        wavelength: Centers of the bands in micrometers; numbers of the bands by default.
        band: Position of the band whose course is drawn below; none by default.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        EmptyDataError: If there are no records, or none of *band*.
        UnitError: If the wavelengths look like nanometers.
        BandMismatchError: If there is not one wavelength for each band.

    Example:
        >>> record = BandRecord(0, 0.01, 0.00585, 0.0065, final=0.006, final_spatial=0.2)
        >>> figure = plot_records([record])
        >>> [ax.get_xlabel() for ax in figure.axes[:1]]
        ['Band']
        >>> plt.close(figure)
    """
    if not records:
        raise EmptyDataError(
            'There are no records to draw. Sharpen an image first: rho-PNN writes a '
            'record of each band that it is tuned to.'
        )
    chosen = [record for record in records if record.band == band]
    if band is not None and not chosen:
        raise EmptyDataError(
            f'There is no record of band {band}, only of {records[0].band} to '
            f'{records[-1].band}.'
        )
    rows = 2 if chosen else 1
    figure, axes = plt.subplots(
        rows, figsize=(9.6, 3.7 * rows), squeeze=False, layout='constrained'
    )
    _show_bands(axes[0, 0], records, wavelength)
    if chosen:
        _show_course(axes[1, 0], chosen[0])
    return figure


def _show_bands(
    ax: Axes, records: Sequence[BandRecord], wavelength: Any | None
) -> None:
    x = np.array([record.band for record in records], float)
    if wavelength is not None:
        x = check_micrometres(to_array(wavelength), len(records))
    order = np.argsort(x, kind='stable')
    x, records = x[order], [records[index] for index in order]
    tuned = np.array([record.min_spec > 0 for record in records])
    shares, lower, upper = (
        _fractions(records, name) for name in ('final', 'lower', 'upper')
    )
    ax.fill_between(x, lower, upper, color=_BAND, lw=0, label='Between thresholds')
    if len(x) == 1:
        # a stripe of a single band has no width
        ax.axhspan(float(lower[0]), float(upper[0]), color=_BAND, lw=0)
    ax.axhline(1, color='0.5', lw=0.8, ls='--')
    ax.plot(
        x,
        shares,
        'o-',
        ms=3,
        lw=1,
        color=_SPECTRAL,
        label='Spectral loss / interpolated',
    )
    spatial = np.array([record.final_spatial for record in records])
    ax.plot(x, spatial, '.-', ms=3, lw=1, color=_SPATIAL, label='Spatial loss, 1 - |ρ|')
    if not tuned.all():
        ones = np.ones(int((~tuned).sum()))
        ax.plot(x[~tuned], ones, 'x', color='0.3', ls='', label='Left interpolated')
    ax.set_ylim(bottom=0)
    ax.set_xlabel('Band' if wavelength is None else 'Wavelength (µm)')
    ax.set_ylabel('Loss')
    ax.set_title('Result of each band', fontsize=11)
    ax.legend(fontsize=9, frameon=False, ncols=2)


def _fractions(records: Sequence[BandRecord], name: str) -> NDArray[np.float64]:
    """Divide by the loss of the interpolated bands; NaN for bands without any."""
    return np.array(
        [getattr(r, name) / r.min_spec if r.min_spec > 0 else np.nan for r in records]
    )


def _show_course(ax: Axes, record: BandRecord) -> None:
    """Show the losses of one band, and when the spatial one was on."""
    ax.set_title(f'Course of band {record.band}', fontsize=11)
    ax.set_xlabel('Iteration')
    ax.set_ylabel('Loss')
    if not record.min_spec or not record.iterations:
        ax.text(0.5, 0.5, 'Left interpolated', ha='center', transform=ax.transAxes)
        return
    x = np.arange(1, record.iterations + 1)
    shares = np.array(record.spectral) / record.min_spec
    low, high = record.lower / record.min_spec, record.upper / record.min_spec
    ax.axhspan(low, high, color=_BAND, lw=0, label='Between thresholds')
    ax.plot(x, shares, lw=1, color=_SPECTRAL, label='Spectral loss / interpolated')
    ax.plot(x, record.spatial, lw=1, color=_SPATIAL, label='Spatial loss, 1 - |ρ|')
    ax.fill_between(
        x,
        0,
        0.04,
        where=record.on,
        step='mid',
        transform=ax.get_xaxis_transform(),
        color=_SPATIAL,
        alpha=0.5,
        lw=0,
        label='Spatial loss on',
    )
    # the first iterations may be far above what matters
    ax.set_ylim(0, max(1.2, float(np.percentile(shares, 75)) * 1.2))
    ax.legend(fontsize=9, frameon=False, ncols=2)
