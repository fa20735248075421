# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the writers of ``predict`` share: batch by batch, and whole files only."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from ..errors import EmptyDataError, HSIError, OutputError
from ..io._scratch import ScratchFolder
from ..io._whole import not_written
from ._report import report


class BatchWriter(BasePredictionWriter):
    """Take the predictions of one batch after the other.

    Args:
        keep_predictions: Whether Lightning may keep all predictions in memory.
    """

    def __init__(self, keep_predictions: bool) -> None:
        """Initialize a new BatchWriter instance."""
        super().__init__(write_interval='batch')
        self.keep_predictions = keep_predictions
        self._count = 0

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let Lightning forget what has been written."""
        self._count = 0
        if not self.keep_predictions:
            trainer.predict_loop.return_predictions = False

    @abstractmethod
    def write_batch(
        self,
        trainer: Trainer,
        module: LightningModule,
        prediction: Any,
        indices: Any,
        batch: Any,
    ) -> None:
        """Write the predictions of one batch.

        Args:
            trainer: The trainer.
            module: The task.
            prediction: Output of ``predict_step``.
            indices: Numbers of the samples in the dataset, if Lightning knows.
            batch: The batch, as the task got it.
        """

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the predictions of one batch.

        Args:
            trainer: The trainer.
            pl_module: The task.
            prediction: Output of ``predict_step``.
            batch_indices: Numbers of the samples in the dataset, if Lightning knows.
            batch: The batch, as the task got it.
            batch_idx: Not used.
            dataloader_idx: Not used.

        Raises:
            MetadataError: If the prediction is not what is to be written.
            OutputError: If the disk is full.
        """
        self.write_batch(trainer, pl_module, prediction, batch_indices, batch)

    def _numbers(self, trainer: Trainer, indices: Any, count: int) -> list[int]:
        """Return the numbers of samples in the dataset, or count them."""
        start = self._count
        self._count += count
        if isinstance(indices, list) and all(isinstance(i, int) for i in indices):
            return indices
        # every process has every n-th sample
        own = range(start, self._count)
        return [number * trainer.world_size + trainer.global_rank for number in own]


class Part(Protocol):
    """What one process keeps until all parts are put together."""

    def close(self) -> None:
        """Finish the files."""

    def abort(self) -> None:
        """Close the files whatever happens; nobody needs them any more."""


class FileWriter[P: Part](BatchWriter):
    """Keep what each process predicts in a folder, and make one file of it.

    The file appears under its name when it is complete. Whatever goes wrong, the one
    that was there before stays, and the folder is removed; after a kill, the next
    prediction removes it.

    Args:
        output_path: File to write; folders are created.
        overwrite: Whether an existing file may be replaced.
        keep_predictions: Whether Lightning may keep all predictions in memory.
        scratch_dir: Folder for the parts; beside the output by default.
    """

    #: What is written, for the line that says where it is.
    _what = 'Prediction'
    #: What to do on a full disk besides freeing space.
    _remedy = 'choose another output_path'

    def __init__(
        self,
        output_path: str | Path,
        overwrite: bool,
        keep_predictions: bool,
        scratch_dir: str | Path | None = None,
    ) -> None:
        """Initialize a new FileWriter instance; see the class for the arguments."""
        super().__init__(keep_predictions)
        self.output_path = Path(output_path)
        self.overwrite = overwrite
        self.scratch_dir = None if scratch_dir is None else Path(scratch_dir)
        self._scratch: ScratchFolder | None = None
        self._folder: Path | None = None
        self._writer: P | None = None

    @abstractmethod
    def _open(self, trainer: Trainer, folder: Path) -> P:
        """Open the part of this process.

        Args:
            trainer: The trainer.
            folder: Folder that all processes share.

        Returns:
            The part.
        """

    @abstractmethod
    def _finish(self, trainer: Trainer, module: LightningModule, folder: Path) -> None:
        """Put the parts together, in the first process.

        Args:
            trainer: The trainer.
            module: The task.
            folder: Folder with all parts.
        """

    @abstractmethod
    def _complaint(self) -> str:
        """Say why nothing may have come."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the output path.

        Raises:
            OutputError: If it is a folder, or may not be overwritten.
        """
        super().setup(trainer, pl_module, stage)
        if stage != 'predict':
            return
        if self.output_path.is_dir():
            raise OutputError(f'{self.output_path} is a folder. Name a file in it.')
        if self.output_path.exists() and not self.overwrite:
            raise OutputError(
                f'{self.output_path} exists already. Choose another output_path, or '
                'set overwrite to true.'
            )

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open a folder for the part of each process."""
        super().on_predict_start(trainer, pl_module)
        folder = ''
        if trainer.is_global_zero:
            with self._reported():
                self._scratch = ScratchFolder(self.output_path, self.scratch_dir)
            folder = str(self._scratch.path)
        self._folder = Path(trainer.strategy.broadcast(folder))
        if not self._folder.is_dir():
            raise OutputError(
                f'Process {trainer.global_rank} does not see the folder {self._folder} '
                'of the first process. Write to a folder that all nodes share.'
            )
        self._writer = self._open(trainer, self._folder)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the parts together, in the first process, and write the file."""
        assert self._writer is not None
        with self._reported():
            self._writer.close()
        if getattr(trainer, 'fast_dev_run', False):
            # a trial of one batch must not replace what there is
            report('fast_dev_run: %s is not written', self.output_path)
            return
        trainer.strategy.barrier(type(self).__name__)
        failure = 'The first process failed.'
        try:
            if trainer.is_global_zero:
                assert self._folder is not None
                with self._reported():
                    self._finish(trainer, pl_module, self._folder)
            failure = ''
        except Exception as error:
            failure = str(error)
            raise
        finally:
            # the other processes wait for the first one
            failure = trainer.strategy.broadcast(failure)
        if failure:
            raise OutputError(failure)
        if trainer.is_global_zero:
            report('%s written to %s', self._what, self.output_path)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Remove everything that is not finished."""
        self._clean()

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        """Remove what is left.

        Raises:
            EmptyDataError: If Lightning had nothing to predict, so nothing is written.
        """
        started = self._writer is not None
        self._clean()
        if stage == 'predict' and not started and trainer.limit_predict_batches != 0:
            raise EmptyDataError(self._complaint())

    def _clean(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.abort()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None
        self._folder = None

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn errors of the disk into ours."""
        try:
            yield
        except HSIError:
            raise
        except OSError as error:
            raise not_written(self.output_path, error, self._remedy) from error
