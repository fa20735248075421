# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Learning rate and noise by epoch, as restoration networks have been trained."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ..errors import MetadataError, UnknownNameError
from ..transforms import get_noise
from ._report import report


def _steps(rates: Mapping[int, float]) -> list[dict[str, Any]]:
    return [{'epoch': epoch, 'lr': lr} for epoch, lr in rates.items()]


def _recipe(*stages: tuple[str, Mapping[int, float]]) -> list[dict[str, Any]]:
    """Build a recipe: stages of one noise; the learning rate rises from the second."""
    steps = []
    for number, (noise, rates) in enumerate(stages):
        own = _steps(rates)
        own[0] |= {'noise': noise, 'warmup': number > 0}
        steps += own
    return steps


#: Stages and last epoch of the recipes, as the authors' code has them.
_RECIPES: dict[str, tuple[list[dict[str, Any]], int]] = {
    'hsdt': (
        _recipe(
            ('gaussian_50', {0: 1e-3, 20: 1e-4}),
            (
                'gaussian_levels',
                {30: 1e-3, 45: 1e-4, 55: 5e-5, 60: 1e-5, 65: 5e-6, 75: 1e-6},
            ),
            ('complex', {80: 1e-3, 90: 5e-4, 95: 1e-4, 100: 5e-5, 105: 1e-5}),
        ),
        120,
    ),
    'man': (
        _recipe(
            ('gaussian_50', {0: 1e-3, 1: 5e-4, 20: 1e-4}),
            (
                'gaussian_levels',
                {30: 5e-4, 45: 1e-4, 55: 5e-5, 60: 1e-5, 65: 5e-6, 75: 1e-6},
            ),
            ('complex', {80: 5e-4, 85: 5e-5, 90: 1e-5, 95: 5e-6, 100: 1e-6}),
        ),
        110,
    ),
}


class StagedTraining(Callback):
    """Set learning rate and noise at the beginning of epochs.

    HSDT and MAN have been trained in three stages: one level of Gaussian noise, several
    levels, and stripes, dead columns and impulses on top. The recipes are those of the
    authors' code:

    =========  ============================  ============================
    stage      ``'hsdt'``                    ``'man'``
    =========  ============================  ============================
    1          epochs 0 to 29, 1e-3 to 1e-4  epochs 0 to 29, 1e-3 to 1e-4
    2          to 79, 1e-3 to 1e-6           to 79, 5e-4 to 1e-6
    3          to 119, 1e-3 to 1e-5          to 109, 5e-4 to 1e-6
    =========  ============================  ============================

    An epoch of theirs has 3,300 batches of 16 patches. The weights at the end of the
    second stage are those for Gaussian noise.

    * https://doi.org/10.48550/arXiv.2303.09040
    * https://doi.org/10.48550/arXiv.2301.11525

    Example:
        .. code-block:: yaml

            model:
              class_path: torchgeo_hsi.tasks.HSIDenoising
              init_args: {model: hsdt_s, schedule: constant, warmup: 0}
            trainer:
              max_epochs: 120
              callbacks:
                - class_path: torchgeo_hsi.callbacks.StagedTraining
                  init_args: {stages: hsdt}
    """

    def __init__(
        self, stages: str | list[dict[str, Any]] = 'hsdt', stretch: float = 1.0
    ) -> None:
        """Initialize a new StagedTraining instance.

        Args:
            stages: Name of a recipe, or steps, each with the ``epoch`` at which it
                begins, from 0, and what changes: the learning rate ``lr``, the name of
                the ``noise`` of the training data, see
                :func:`~torchgeo_hsi.transforms.get_noise`, and ``warmup``: whether the
                rate rises from 0 during that epoch.
            stretch: Factor of all epochs: 0.1 for a tenth of a recipe. Of steps that
                come to the same epoch, that with which a stage begins counts, by its
                noise or its warm-up, or else the last one.

        Raises:
            UnknownNameError: If there is no such recipe or noise.
            ValueError: If steps are not in order, or not understood, or two stages
                would begin at the same epoch.
        """
        if isinstance(stages, str):
            if stages not in _RECIPES:
                raise UnknownNameError('recipe', stages, _RECIPES)
            steps, last = _RECIPES[stages]
        else:
            steps, last = stages, 0
        _check(steps, stretch)
        self.steps = _stretched(steps, stretch)
        #: Number of epochs of the recipe; 0 for steps of one's own.
        self.num_epochs = 0
        if last:
            # the last step has an epoch, too
            least = self.steps[-1]['epoch'] + 1
            self.num_epochs = max(_scaled(last, stretch), least)
        self._noise: str | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that nothing else changes the learning rate, and that noise can change.

        Raises:
            MetadataError: If the task has a schedule, or the data module cannot change
                its noise.
        """
        self._noise = None
        if trainer.lr_scheduler_configs:
            raise MetadataError(
                'The task has a schedule of its own, which StagedTraining would '
                'contradict. Pass schedule: constant and warmup: 0 to the task.'
            )
        if any('noise' in step for step in self.steps):
            # now, and not when the first of them begins
            _noise_setter(trainer)

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Set what this epoch changes, and what a resumed run has missed."""
        rate, noise = self._now(trainer.current_epoch, 'lr'), self.noise(trainer)
        if rate is not None:
            _set_rate(trainer, rate)
        if noise is None or noise == self._noise:
            return
        _noise_setter(trainer)(noise)
        self._noise = noise
        report('Epoch %d: noise %s', trainer.current_epoch, noise)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Let the learning rate rise, in epochs with a warm-up."""
        step = self._step(trainer.current_epoch)
        begins = step is not None and step['epoch'] == trainer.current_epoch
        count = trainer.num_training_batches
        if step is None or not begins or not step.get('warmup') or math.isinf(count):
            return
        rate = self._now(trainer.current_epoch, 'lr')
        if rate is not None:
            _set_rate(trainer, rate * (batch_idx + 1) / count)

    def noise(self, trainer: Trainer) -> str | None:
        """Return the name of the noise of the current epoch.

        Args:
            trainer: The trainer.

        Returns:
            The name, or None if no step has named one.
        """
        name: str | None = self._now(trainer.current_epoch, 'noise')
        return name

    def _step(self, epoch: int) -> dict[str, Any] | None:
        """Return the last step that has begun."""
        begun = [step for step in self.steps if step['epoch'] <= epoch]
        return begun[-1] if begun else None

    def _now(self, epoch: int, key: str) -> Any:
        """Return the last value of a key."""
        values = [s[key] for s in self.steps if s['epoch'] <= epoch and key in s]
        return values[-1] if values else None


def _noise_setter(trainer: Trainer) -> Callable[[str], None]:
    setter: Callable[[str], None] | None = getattr(
        getattr(trainer, 'datamodule', None), 'set_train_noise', None
    )
    if setter is None:
        raise MetadataError(
            'StagedTraining changes the noise of the training data, and the data module '
            'has no set_train_noise(). Use '
            'torchgeo_hsi.datamodules.HSIDenoisingDataModule, or stages without noise.'
        )
    return setter


def _set_rate(trainer: Trainer, rate: float) -> None:
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group['lr'] = rate


def _scaled(epoch: int, stretch: float) -> int:
    # halves always upwards: epochs that lie one apart never come together
    return math.floor(epoch * stretch + 0.5)


def _begins(step: Mapping[str, Any]) -> bool:
    """Tell whether a stage begins with a step."""
    return 'noise' in step or bool(step.get('warmup'))


def _stretched(
    steps: Sequence[Mapping[str, Any]], stretch: float
) -> list[dict[str, Any]]:
    """Move steps to other epochs, of which each has one step.

    Raises:
        ValueError: If two stages would begin at the same epoch.
    """
    moved: dict[int, dict[str, Any]] = {}
    for step in steps:
        epoch = _scaled(step['epoch'], stretch)
        before = moved.get(epoch)
        if before is None or not _begins(before):
            moved[epoch] = {**(before or {}), **step, 'epoch': epoch}
        elif _begins(step):
            starts = [s['epoch'] for s in steps if _begins(s)]
            gap = min(b - a for a, b in itertools.pairwise(starts))
            raise ValueError(
                f'With stretch={stretch:g}, two stages begin at epoch {epoch}, and one '
                f'would be lost. Pass a stretch of {math.ceil(1e4 / gap) / 1e4:g} or '
                'more.'
            )
    return list(moved.values())


def _check(steps: Sequence[Mapping[str, Any]], stretch: float) -> None:
    """Check the steps.

    Raises:
        UnknownNameError: If there is no such noise.
        ValueError: If they are not in order, or not understood.
    """
    if not 0 < stretch < math.inf:
        raise ValueError(f'Expected a positive stretch, got {stretch}.')
    epochs = [step.get('epoch', -1) for step in steps]
    whole = all(isinstance(epoch, int) for epoch in epochs)
    if not whole or not epochs or epochs != sorted(set(epochs)) or epochs[0] < 0:
        raise ValueError(
            f'Expected stages with increasing epochs from 0 on, got {epochs}.'
        )
    for step in steps:
        unknown = sorted(set(step) - {'epoch', 'lr', 'noise', 'warmup'})
        rate, noise = step.get('lr', 1.0), step.get('noise', '')
        is_rate = isinstance(rate, int | float) and 0 < rate < math.inf
        if unknown or not is_rate or not isinstance(noise, str):
            raise ValueError(
                'Expected stages with epoch, and a positive lr, the name of a noise or '
                f'warmup, got {dict(step)}.'
            )
        if 'noise' in step:
            # a wrong name is found now, and not after the epochs before it
            get_noise(noise)
