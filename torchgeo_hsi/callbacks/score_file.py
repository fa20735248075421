# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Keep the scores of a run in a file that people and programs can read."""

import json
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from ..io._whole import write_json
from ._report import report

#: Endings of the metrics that are shown; the file holds all.
SHOWN = ('OverallAccuracy', 'AverageJaccardIndex', 'relative_l2', 'loss')


class ScoreFile(Callback):
    """Write the metrics at the end of fit, validate and test to a JSON file.

    Loggers record curves; this file holds the final figures, one object for each
    stage, and later stages add to it: after ``torchgeo fit`` and ``torchgeo test`` it
    reads ``{"fit": {"val_loss": ...}, "test": {"test_loss": ...}}``.

    Example:
        >>> from torchgeo_hsi.callbacks import ScoreFile
        >>> callback = ScoreFile('output/scores.json')
    """

    def __init__(self, path: str | Path = 'output/scores.json') -> None:
        """Initialize a new ScoreFile instance.

        Args:
            path: File to write; folders are created, and the stages of earlier runs
                that are already in the file are kept.
        """
        self.path = Path(path)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the last training and validation metrics."""
        self._write(trainer, 'fit')

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the metrics of ``validate``; those inside ``fit`` come at its end."""
        if trainer.state.fn == 'validate':
            self._write(trainer, 'validate')

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the test metrics."""
        self._write(trainer, 'test')

    def _write(self, trainer: Trainer, stage: str) -> None:
        if not trainer.is_global_zero or getattr(trainer, 'fast_dev_run', False):
            return
        scores = {k: float(v) for k, v in sorted(trainer.callback_metrics.items())}
        scores['epoch'] = float(trainer.current_epoch)
        content = read_scores(self.path) | {stage: scores}
        write_json(self.path, content, 'choose another path for ScoreFile')
        shown = ', '.join(
            f'{name} {scores[name]:.4f}'
            for name in scores
            if name.endswith(SHOWN) and not name.startswith('train_')
        )
        if shown:
            report('Scores of %s: %s (all in %s)', stage, shown, self.path)


def read_scores(path: str | Path) -> dict[str, dict[str, float]]:
    """Read the file that :class:`ScoreFile` writes.

    Args:
        path: File to read.

    Returns:
        Metrics by stage; empty if the file does not exist or is not JSON.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
