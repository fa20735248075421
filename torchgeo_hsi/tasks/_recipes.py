# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Optimizers and schedules as papers on learning without labels write them down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from lightly.utils.lars import LARS
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from .._compat import read_loaders_again

OptimizerName = Literal['sgd', 'adamw', 'lars']
ScheduleName = Literal['cosine', 'steps', 'constant']

#: Batch for which papers state the learning rate.
_PAPER_BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """How to step, and how far.

    Args:
        optimizer: ``'sgd'`` (momentum 0.9), ``'adamw'`` or ``'lars'``.
        lr: Learning rate for 256 images in all processes together.
        weight_decay: Weight decay; not for biases and normalizations unless
            *decay_all*.
        schedule: ``'cosine'`` falls to *lr_end*, ``'steps'`` by ten at *milestones*,
            ``'exponential'`` to *lr_end* by the same factor in each step.
        warmup_epochs: Epochs in which the rate rises linearly.
        milestones: Epochs at which ``'steps'`` falls.
        lr_end: Share of the rate that is left at the end of ``'cosine'`` and
            ``'exponential'``.
        scale_lr: Whether the rate grows with the number of images.
        betas: Of AdamW.
        decay_all: Whether biases and normalizations decay, too.
    """

    optimizer: OptimizerName
    lr: float
    weight_decay: float
    schedule: ScheduleName | Literal['exponential'] = 'cosine'
    warmup_epochs: float = 0.0
    milestones: Sequence[int] = ()
    lr_end: float = 0.0
    scale_lr: bool = True
    betas: tuple[float, float] = (0.9, 0.999)
    decay_all: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        checks: list[tuple[str, str, tuple[str, ...]]] = [
            ('optimizer', self.optimizer, ('sgd', 'adamw', 'lars'))
        ]
        # one task always has it, the others do not offer it
        if self.schedule != 'exponential':
            checks.append(('schedule', self.schedule, ('cosine', 'steps', 'constant')))
        for name, value, known in checks:
            if value not in known:
                raise ValueError(
                    f'Expected the {name} {", ".join(known)}, got {value!r}.'
                )
        if self.schedule == 'exponential' and not 0 < self.lr_end <= 1:
            raise ValueError(
                'Expected an lr_end above 0 and up to 1, a share of lr, got '
                f'{self.lr_end}.'
            )
        if not self.lr > 0 or self.weight_decay < 0 or self.warmup_epochs < 0:
            raise ValueError(
                'Expected a positive lr, and a weight_decay and warmup_epochs of 0 or '
                f'more, got {self.lr}, {self.weight_decay} and {self.warmup_epochs}.'
            )


def global_batch_size(trainer: Trainer) -> int | None:
    """Return the number of images of one step of the optimizer.

    Args:
        trainer: The trainer, with its data.

    Returns:
        Images in all processes and all batches whose gradients add up; None if the
        loader does not say how large its batches are.
    """
    loader: Any = trainer.train_dataloader
    # batches are made by the loader, its sampler, or the data themselves, as by
    # RegionCrops
    makers = (loader, *(getattr(loader, k, None) for k in ('batch_sampler', 'dataset')))
    sizes = [getattr(maker, 'batch_size', None) for maker in makers]
    size = next((size for size in sizes if size is not None), None)
    if size is None:
        return None
    return int(size) * trainer.world_size * trainer.accumulate_grad_batches


def build_optimizer(
    task: LightningModule, recipe: Recipe, batch_size: int | None
) -> Optimizer:
    """Build the optimizer of what learns in a task.

    Args:
        task: The task.
        recipe: What to build.
        batch_size: Images of one step, if known.

    Returns:
        The optimizer.

    Raises:
        ValueError: If the rate has to be scaled by a batch that is not known.
    """
    rate = recipe.lr
    if recipe.scale_lr:
        if batch_size is None:
            raise ValueError(
                'The loader does not say how large its batches are, so the learning '
                'rate cannot be scaled by them. Set scale_lr=False and the rate itself.'
            )
        rate *= batch_size / _PAPER_BATCH
    groups = _groups(task, recipe)
    if recipe.optimizer == 'adamw':
        return AdamW(groups, rate, recipe.betas, weight_decay=recipe.weight_decay)
    if recipe.optimizer == 'lars':
        optimizer: Optimizer = LARS(
            groups, lr=rate, momentum=0.9, weight_decay=recipe.weight_decay
        )
        return optimizer
    return SGD(groups, rate, momentum=0.9, weight_decay=recipe.weight_decay)


def _groups(task: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort parameters by whether they decay."""
    learning = [p for p in task.parameters() if p.requires_grad]
    if recipe.decay_all or not recipe.weight_decay:
        return [{'params': learning}]
    flat = [p for p in learning if p.ndim < 2]
    rest = [p for p in learning if p.ndim >= 2]
    found: list[dict[str, Any]] = [
        {'params': rest},
        {'params': flat, 'weight_decay': 0.0},
    ]
    return [group for group in found if group['params']]


def training_steps(trainer: Trainer) -> int:
    """Count the steps of a whole training, while its optimizer is built.

    Args:
        trainer: Lightning's trainer.

    Returns:
        The number of steps, at least 1.

    Raises:
        ValueError: If the training has no end.
    """
    steps = float(trainer.estimated_stepping_batches)
    read_loaders_again(trainer)
    if math.isinf(steps):
        raise ValueError(
            'The schedule needs to know the last step: set trainer.max_epochs or '
            'trainer.max_steps.'
        )
    return max(int(steps), 1)


def training_progress(trainer: Trainer) -> float:
    """Return which share of a training is done, counted in steps.

    Args:
        trainer: Lightning's trainer.

    Returns:
        The share, from 0 to 1.
    """
    steps = float(trainer.estimated_stepping_batches)
    return min(trainer.global_step / max(steps, 1.0), 1.0)


def build_schedule(
    optimizer: Optimizer, recipe: Recipe, steps: int, epochs: float
) -> LambdaLR:
    """Build the schedule of the learning rate.

    Args:
        optimizer: The optimizer.
        recipe: What to build.
        steps: Steps of the whole training.
        epochs: Epochs of the whole training.

    Returns:
        A schedule that steps with the optimizer. Checkpoints do not hold its length, so
        a training that goes on with more epochs gets a longer one.
    """
    per_epoch = steps / epochs
    factor = partial(
        rate_factor,
        steps=steps,
        rising=math.ceil(recipe.warmup_epochs * per_epoch),
        schedule=recipe.schedule,
        falls=tuple(per_epoch * epoch for epoch in recipe.milestones),
        end=recipe.lr_end,
    )
    return LambdaLR(optimizer, factor)


def build_both(task: LightningModule, recipe: Recipe) -> OptimizerLRScheduler:
    """Build optimizer and schedule of a task whose rate is not scaled by its batch.

    Args:
        task: The task, in a trainer with its data.
        recipe: What to build.

    Returns:
        What ``configure_optimizers`` returns; the rate changes with every step.

    Raises:
        ValueError: If the training has no end.
    """
    steps = training_steps(task.trainer)
    task.trainer.fit_loop.setup_data()
    optimizer = build_optimizer(task, recipe, None)
    per_epoch = max(float(task.trainer.num_training_batches), 1.0)
    schedule = build_schedule(optimizer, recipe, steps, steps / per_epoch)
    read_loaders_again(task.trainer)
    scheduler: Any = {'scheduler': schedule, 'interval': 'step'}
    return {'optimizer': optimizer, 'lr_scheduler': scheduler}


def rate_factor(
    step: int,
    steps: int,
    rising: int,
    schedule: str,
    falls: Sequence[float] = (),
    end: float = 0.0,
) -> float:
    """Return the factor of the learning rate at a step.

    Args:
        step: The step, from 0.
        steps: Steps of the training.
        rising: Steps of the warm-up.
        schedule: ``'cosine'``, ``'steps'``, ``'constant'`` or ``'exponential'``.
        falls: Steps at which ``'steps'`` falls by ten.
        end: Factor at the end of ``'cosine'`` and ``'exponential'``.

    Returns:
        A factor of at most 1.
    """
    if step < rising:
        return (step + 1) / (rising + 1)
    if schedule == 'constant':
        return 1.0
    if schedule == 'steps':
        return float(0.1 ** sum(step >= fall for fall in falls))
    share = min((step - rising) / max(steps - rising, 1), 1.0)
    if schedule == 'exponential':
        return float(end**share)
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share))
