# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Keep the report of a classification: scores, split and confusion matrix."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from lightning.pytorch import Callback, LightningModule, Trainer

from ..errors import MetadataError
from ..io._whole import write_json
from ..metrics.classification_report import ClassificationReport
from ._figure_file import save_figure
from ._report import report
from .score_file import read_scores


class ScoreReport(Callback):
    """Write the report of ``validate`` and ``test`` to a JSON file, and draw it.

    The file holds what :class:`ScoreFile` has no room for: the confusion matrix, the
    kind of the split, and the share of test windows that touch training. Later stages
    add to it: ``{"validate": {...}, "test": {...}}``. The picture is that of the last
    one. For tasks with a ``report``, such as
    :class:`~torchgeo_hsi.tasks.HSIPixelClassification`.

    Example:
        >>> from torchgeo_hsi.callbacks import ScoreReport
        >>> callback = ScoreReport('output/report.json', figure='output/report.png')
    """

    def __init__(
        self,
        path: str | Path = 'output/report.json',
        figure: str | Path | None = None,
        split_figure: str | Path | None = None,
    ) -> None:
        """Initialize a new ScoreReport instance.

        Args:
            path: File to write; folders are created.
            figure: Picture of confusion matrix and F1 scores.
            split_figure: Map of the split, and what each class has in it.
        """
        self.path = Path(path)
        self.figure = None if figure is None else Path(figure)
        self.split_figure = None if split_figure is None else Path(split_figure)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the task makes reports.

        Raises:
            MetadataError: If it makes none.
        """
        if not hasattr(pl_module, 'report'):
            raise MetadataError(
                f'{type(pl_module).__name__} makes no report. Use ScoreReport with '
                'HSIPixelClassification, and ScoreFile with other tasks.'
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report of ``validate``."""
        if trainer.state.fn == 'validate':
            self._write(trainer, pl_module, 'validate')

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report of ``test``."""
        self._write(trainer, pl_module, 'test')

    def _write(self, trainer: Trainer, task: Any, stage: str) -> None:
        found = task.report
        if not trainer.is_global_zero or getattr(trainer, 'fast_dev_run', False):
            return
        if not isinstance(found, ClassificationReport):
            return
        content: dict[str, Any] = dict(read_scores(self.path))
        content[stage] = found.to_dict()
        write_json(self.path, content, 'choose another path for ScoreReport')
        report('Report of %s written to %s', stage, self.path)
        self._draw(found, getattr(trainer, 'datamodule', None))

    def _draw(self, found: ClassificationReport, datamodule: Any) -> None:
        """Draw what was asked for."""
        drawn = {}
        if self.figure is not None:
            colors = getattr(datamodule, 'class_colors', None)
            drawn[self.figure] = found.plot(colors)
        leaks = getattr(datamodule, 'leaks', None)
        if self.split_figure is not None and leaks is not None:
            drawn[self.split_figure] = leaks.plot(found.class_names, found.split_line())
        for path, figure in drawn.items():
            try:
                save_figure(figure, path, 'ScoreReport')
            finally:
                plt.close(figure)
