# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints that a kill or a full disk cannot spoil."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from ..io._scratch import remove_leftovers
from ..io._whole import not_written, write_whole

_REMEDY = 'set dirpath of WholeCheckpoint to a folder on another disk'


class WholeCheckpointIO(TorchCheckpointIO):
    """Write checkpoints beside their place, and move them when they are whole.

    Lightning writes to the folder for temporary files and moves the file from there.
    Where that folder is on another disk, as ``/tmp`` often is, the move is a copy over
    the checkpoint before: a kill or a full disk in its midst leaves neither of them.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: Its content.
            path: Its file, or an address that Lightning understands.
            storage_options: For Lightning's own way to other addresses.

        Raises:
            OutputError: If it cannot be written; the one before is as it was.
        """
        if '://' in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return

        def write(part: Path) -> None:
            with part.open('wb') as file:
                torch.save(checkpoint, file)

        try:
            write_whole(path, write, _REMEDY)
        except RuntimeError as error:
            # torch wraps some errors of the disk, and loses their number
            cause = error.__context__
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            if cause is None and 'PytorchStreamWriter' not in str(error):
                raise
            raise not_written(path, cause or error, _REMEDY) from error


class WholeCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, from which a run goes on after a kill.

    A checkpoint is written beside its place and moved when it is complete, so there is
    always a whole one, whatever happens. What a kill leaves is removed when the next run
    starts. With ``save_last``, ``last.ckpt`` is written in every
    *every_n_epochs*-th epoch, also with ``save_top_k: 0``, where Lightning itself waits
    for the end of the training.

    Args:
        *args: Arguments of :class:`lightning.pytorch.callbacks.ModelCheckpoint`.
        **kwargs: The same.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.WholeCheckpoint
                  init_args: {dirpath: output/checkpoints, save_last: true}
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the trainer write checkpoints in this way.

        Args:
            trainer: The trainer; one whose strategy or plugins write in a way of their
                own is left as it is.
            pl_module: The task.
            stage: Its stage.
        """
        super().setup(trainer, pl_module, stage)
        if stage == 'fit' and trainer.is_global_zero and self.dirpath is not None:
            remove_leftovers(Path(self.dirpath))
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoints that are due at the end of an epoch.

        Args:
            trainer: The trainer.
            pl_module: The task.
        """
        super().on_train_epoch_end(trainer, pl_module)
        every = self.every_n_epochs or 1
        is_due = self.save_last and self.save_top_k == 0
        if not is_due or (trainer.current_epoch + 1) % every:
            return
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
