# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Probes while a network learns."""

from copy import copy
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from .._typing import Sample
from ..errors import MetadataError, OutputError
from ..models.probes import (
    BackboneFeatures,
    FeatureSource,
    ProbeFeatures,
    collect_from,
    run_probes,
)
from ._aside import aside, check_whole_network, log_scores
from ._evaluation import evaluation_batches


class OnlineProbe(Callback):
    """Ask, while a network learns without labels, what it knows about labels.

    At the start and after every n-th epoch, the features of labelled data are computed,
    and probed by nearest neighbours and by a linear model, as ``torchgeo-hsi probe``
    does. The scores, such as ``probe/knn_OverallAccuracy`` and
    ``probe/linear_AverageJaccardIndex``, go to the loggers, and a ``ModelCheckpoint``
    may monitor them; in epochs without a probe it finds the last ones.

    The training is the same to the last bit with this callback and without it. With
    several processes, the first one probes while the others wait.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.OnlineProbe
                  init_args:
                    every_n_epochs: 5
                    datamodule:
                      class_path: torchgeo_hsi.datamodules.SimulatedEnMAPDataModule
                      init_args: {root: data/scene, patch_size: 32}
                - class_path: lightning.pytorch.callbacks.ModelCheckpoint
                  init_args: {monitor: probe/knn_OverallAccuracy, mode: max}
    """

    def __init__(
        self,
        datamodule: LightningDataModule,
        every_n_epochs: int = 1,
        knn: int = 20,
        linear: bool = True,
        shots: int | None = None,
        pool: Literal['token', 'avg'] | None = None,
        pixels: int = 100,
        on: Literal['val', 'test'] = 'val',
        network: str = 'backbone',
        at_start: bool = True,
        seed: int = 0,
        prefix: str = 'probe/',
    ) -> None:
        """Initialize a new OnlineProbe instance.

        Args:
            datamodule: Labelled data: training data to learn from, and others to
                evaluate on. None of it is augmented.
            every_n_epochs: Probe after every n-th epoch, and after the last one.
            knn: Nearest neighbours; 0 for no such probe.
            linear: Whether to fit a linear probe, too.
            shots: Learn from so many labels of each class only; all by default.
            pool: Class token or average of the others, for vision transformers; by
                default what the task predicts as the embedding of an image.
            pixels: Labelled pixels to draw from each image with a mask.
            on: What to evaluate on.
            network: Name of the backbone in the task, e.g. ``'teacher_backbone'``.
            at_start: Whether to probe before the first step, too: what random weights
                know.
            seed: What draws windows, pixels and labels: the same ones every time.
            prefix: What the names of the scores begin with.

        Raises:
            ValueError: If an option is out of its range, or there is nothing to do.
        """
        super().__init__()
        if every_n_epochs < 1 or pixels < 1 or knn < 0:
            raise ValueError(
                'Expected every_n_epochs and pixels of 1 or more, and knn of 0 or '
                f'more, got {every_n_epochs}, {pixels} and {knn}.'
            )
        if not knn and not linear:
            raise ValueError('With knn=0 and linear=False, there is nothing to probe.')
        if on not in ('val', 'test'):
            raise ValueError(f"Expected on='val' or 'test', got {on!r}.")
        self.datamodule = datamodule
        self.every_n_epochs = every_n_epochs
        self.network = network
        self.at_start = at_start
        self.prefix = prefix
        self.on = on
        self._data: dict[str, Any] = {'pixels': pixels}
        self._probes: dict[str, Any] = {'k': knn, 'linear': linear, 'shots': shots}
        self._pool: Literal['token', 'avg'] | None = pool
        self._seed = seed
        self._probed = -1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the network is there, and prepare the data.

        Raises:
            MetadataError: If the task has no such network, or spreads its weights.
        """
        if stage != 'fit':
            return
        check_whole_network(trainer, 'OnlineProbe')
        names = {name for name, _ in pl_module.named_modules()}
        if self.network not in names:
            some = ', '.join(sorted(n for n in names if n and '.' not in n))
            raise MetadataError(
                f'{type(pl_module).__name__} has no part {self.network!r}, only {some}. '
                'Name the backbone by network= of OnlineProbe.'
            )
        with isolate_rng():
            if trainer.is_global_zero:
                self.datamodule.prepare_data()
        trainer.strategy.barrier('OnlineProbe.prepare_data')

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe before the first step; not where a training goes on."""
        self._probed = -1
        if self.at_start and trainer.global_step == 0:
            self._run(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe after every n-th epoch, and after the last one."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs:
            self._run(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe after a training that ended in another way than by its epochs."""
        if self._probed != trainer.global_step:
            self._run(trainer, pl_module)

    def _run(self, trainer: Trainer, task: LightningModule) -> None:
        """Probe in the first process, and tell the others."""
        self._probed = trainer.global_step
        scores: dict[str, float] = {}
        failure = 'The first process failed.'
        trainer.strategy.barrier('OnlineProbe')
        try:
            if trainer.is_global_zero:
                scores = self.probe(trainer, task)
            failure = ''
        except Exception as error:
            failure = f'{type(error).__name__}: {error}'
            raise
        finally:
            # the other processes wait for the first one
            scores, failure = trainer.strategy.broadcast((scores, failure))
        if failure:
            raise OutputError(f'OnlineProbe failed. {failure}')
        log_scores(trainer, scores)

    def probe(self, trainer: Trainer, task: LightningModule) -> dict[str, float]:
        """Probe the network as it is.

        Args:
            trainer: The trainer.
            task: The task.

        Returns:
            The scores, by the names under which they are logged.

        Raises:
            EmptyDataError: If there are no data, or none has a label.
        """
        with aside(trainer, task):
            torch.manual_seed(self._seed)
            source = _TaskFeatures(task, self.network, self._pool)
            generator = torch.Generator().manual_seed(self._seed)
            train, test = (
                self._features(split, source, trainer, task, generator)
                for split in ('train', self.on)
            )
        # what follows is not of the network, and needs gradients
        with isolate_rng(), torch.enable_grad():
            found = run_probes(train, test, **self._probes, seed=self._seed)
        return {
            f'{self.prefix}{probe}_{name}': value
            for probe, values in found.items()
            for name, value in values.items()
        }

    def _labelled(self, trainer: Trainer) -> LightningDataModule:
        """Return the labelled data, apart from those of the training."""
        data: LightningDataModule = self.datamodule
        if data is not getattr(trainer, 'datamodule', None):
            return data
        # else the training would no longer know its trainer, and augment nothing
        alone: LightningDataModule = copy(data)
        return alone

    def _features(
        self,
        split: str,
        source: FeatureSource,
        trainer: Trainer,
        task: LightningModule,
        generator: torch.Generator,
    ) -> ProbeFeatures:
        """Compute the features of a split."""
        convert = trainer.precision_plugin.convert_input
        batches = evaluation_batches(self._labelled(trainer), split, task.device)
        ignored = getattr(self.datamodule, 'ignore_index', None)
        return collect_from(
            {'': source},
            (convert(batch) for batch in batches),
            ignore_index=ignored,
            generator=generator,
            **self._data,
        )['']


class _TaskFeatures(BackboneFeatures):
    """Features as a task computes them."""

    def __init__(
        self, task: Any, network: str, pool: Literal['token', 'avg'] | None
    ) -> None:
        """Initialize a new _TaskFeatures instance."""
        super().__init__(task.get_submodule(network), pool)
        self._encode = getattr(task, 'encode', None)

    def of_images(self, batch: Sample) -> Tensor:
        """Compute features of whole images."""
        if self.pool is not None or self._encode is None:
            return super().of_images(batch)
        found: Tensor = self._encode(self.backbone, batch).float()
        return found
