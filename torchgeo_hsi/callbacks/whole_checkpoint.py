# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints that a kill or a full disk cannot spoil."""

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from torch import Tensor

from ..io._scratch import remove_leftovers
from ..io._torch_whole import write_torch
from ..io._whole import not_written

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
        else:
            write_torch(path, checkpoint, _REMEDY)


class WholeCheckpoint(ModelCheckpoint):
    """Lightning's ``ModelCheckpoint``, from which a run goes on after a kill.

    A checkpoint is written beside its place and moved when it is complete, so there is
    always a whole one, whatever happens. What a kill leaves is removed when the next run
    starts. With ``save_last``, ``last.ckpt`` is written in every
    *every_n_epochs*-th epoch, also with ``save_top_k: 0``, where Lightning itself waits
    for the end of the training.

    ``last.ckpt`` is that of the newest run, and so is ``best.ckpt`` with ``filename:
    best``. A run that does not go on from such a file keeps it as ``last-v1.ckpt``, the
    next run as ``last-v2.ckpt``; Lightning itself leaves the oldest run its names, so that
    ``--ckpt_path .../last.ckpt`` would take the weights of that one.

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
        self._own: set[str] = set()
        if stage == 'fit' and trainer.is_global_zero and self.dirpath is not None:
            remove_leftovers(Path(self.dirpath))
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeCheckpointIO()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out which files are of the run that goes on.

        Args:
            trainer: The trainer.
            pl_module: The task.
        """
        super().on_train_start(trainer, pl_module)
        names = (self.last_model_path, self.best_model_path, *self.best_k_models)
        self._own = {name for name in names if name}
        start = trainer.ckpt_path
        if start is None or _is_one_of(start, self._own):
            return
        # of an older run: the names that it knows may be those of a newer one by now
        self._own = set()
        self.last_model_path = self.best_model_path = self.kth_best_model_path = ''
        self.best_k_models = {}
        self.best_model_score = self.current_score = None
        self.kth_value = torch.tensor(torch.inf if self.mode == 'min' else -torch.inf)

    def _take_name(self, path: str, trainer: Trainer) -> bool:
        """Give another name to the file of an older run, unless it is elsewhere.

        Returns:
            False if the file is one of this run, or lies on a server.
        """
        if path in self._own or '://' in path:
            return False
        self._own.add(path)
        if trainer.is_global_zero and os.path.lexists(path):
            is_moved = isinstance(trainer.strategy.checkpoint_io, WholeCheckpointIO)
            _keep(Path(path), is_moved)
        return True

    def _get_metric_interpolated_filepath_name(
        self,
        monitor_candidates: dict[str, Tensor],
        trainer: Trainer,
        del_filepath: str | None = None,
    ) -> str:
        """Name a checkpoint as its configuration says, whatever older runs have left."""
        path = self.format_checkpoint_name(monitor_candidates)
        if self._take_name(path, trainer):
            # to Lightning it is a file that may be replaced
            del_filepath = path
        return super()._get_metric_interpolated_filepath_name(
            monitor_candidates, trainer, del_filepath
        )

    def _save_last_checkpoint(
        self, trainer: Trainer, monitor_candidates: dict[str, Tensor]
    ) -> None:
        """Write ``last.ckpt``, whatever older runs have left."""
        if self.save_last:
            name = self.CHECKPOINT_NAME_LAST
            path = self.format_checkpoint_name(monitor_candidates, name)
            if self._take_name(path, trainer):
                self.last_model_path = path
        super()._save_last_checkpoint(trainer, monitor_candidates)

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


def _is_one_of(path: str | Path, others: Iterable[str]) -> bool:
    """Whether a path leads to one of some files."""
    return os.path.realpath(path) in map(os.path.realpath, others)


def _keep(file: Path, is_moved: bool) -> None:
    """Give the checkpoint of an older run another name.

    Args:
        file: The checkpoint.
        is_moved: Whether the new one is moved to its place, and not written there.

    Raises:
        OutputError: If that fails.
    """
    others = (file.with_name(f'{file.stem}-v{k}{file.suffix}') for k in count(1))
    free = next(path for path in others if not os.path.lexists(path))
    try:
        with suppress(OSError):
            if is_moved and not file.is_symlink():
                # until the new one is there, the old one has both names
                os.link(file, free)
                return
        os.replace(file, free)
    except OSError as error:
        raise not_written(file, error, _REMEDY) from error
