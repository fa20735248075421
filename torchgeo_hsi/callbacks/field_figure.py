# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A picture of solved equations beside numerical solutions."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from lightning.pytorch import Callback, LightningModule, Trainer

from ..errors import MetadataError
from ._figure_file import check_picture, save_figure
from ._report import report


class FieldFigure(Callback):
    """Draw the first functions of ``test`` or ``predict``, and their errors.

    Functions of time and two places are shown at four moments. For
    :class:`~torchgeo_hsi.tasks.NeuralSpectral`, whose ``plot`` it calls.

    Example:
        >>> from torchgeo_hsi.callbacks import FieldFigure
        >>> callback = FieldFigure('output/fields.png', rows=2)
    """

    def __init__(self, path: str | Path = 'output/fields.png', rows: int = 3) -> None:
        """Initialize a new FieldFigure instance.

        Args:
            path: Picture to write; the suffix chooses the format.
            rows: Most functions to draw.

        Raises:
            ValueError: If matplotlib cannot write such a file, or *rows* is not
                positive.
        """
        self.path = check_picture(path)
        if rows < 1:
            raise ValueError(f'Expected 1 or more rows, got {rows}.')
        self.rows = rows

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the task solves equations.

        Raises:
            MetadataError: If it does not.
        """
        if not (hasattr(pl_module, 'equation') and hasattr(pl_module, 'plot')):
            raise MetadataError(
                f'{type(pl_module).__name__} solves no equation. Use FieldFigure with '
                'NeuralSpectral.'
            )

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of ``test``."""
        self._draw(trainer, pl_module, batch, batch_idx)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of ``predict``."""
        self._draw(trainer, pl_module, batch, batch_idx)

    def _draw(self, trainer: Trainer, task: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx or not trainer.is_global_zero:
            return
        if getattr(trainer, 'fast_dev_run', False):
            return
        figure = task.plot(batch, self.rows)
        try:
            save_figure(figure, self.path, 'FieldFigure')
        finally:
            plt.close(figure)
        report('Picture of the solutions written to %s', self.path)
