# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Low-rank adaptation whose strength comes and goes."""

import math
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from ..errors import MetadataError
from ..models.lora import lora_layers, scale_lora


class LoRAScaleCycle(Callback):
    """Let the strength of low-rank adaptation fall in cycles while a task trains.

    A layer gives ``y = W x + b + c(t) (alpha / rank) U D x``. Within each cycle, *c*
    falls from 1 to *minimum* as a cosine; then the next cycle begins at 1, *growth*
    times as long. In validation, testing and prediction, and behind the training, *c*
    is 1: what is saved, and merged, has the full strength.

    Nothing has to be kept in checkpoints: *c* depends on the number of steps or epochs
    alone, which Lightning restores.

    * https://doi.org/10.1016/j.jag.2025.104924 (the idea)
    * https://doi.org/10.48550/arXiv.1608.03983 (cycles that grow)

    Example:
        .. code-block:: yaml

            model:
              class_path: torchgeo_hsi.tasks.HSIPixelClassification
              init_args: {model: lola_specvit, protocol: lora, weights: trunk.ckpt}
            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.LoRAScaleCycle
                  init_args: {length: 10, interval: epoch, growth: 2}
    """

    def __init__(
        self,
        length: int = 10,
        interval: Literal['epoch', 'step'] = 'epoch',
        growth: float = 2.0,
        minimum: float = 0.1,
    ) -> None:
        """Initialize a new LoRAScaleCycle instance.

        Args:
            length: Length of the first cycle.
            interval: What lengths are counted in.
            growth: How many times longer each cycle is than the one before it; lengths
                are rounded.
            minimum: Strength at the end of a cycle, from 0 to 1.

        Raises:
            ValueError: If a number is out of its range, or there is no such interval.
        """
        if interval not in ('epoch', 'step'):
            raise ValueError(
                f"Expected the interval 'epoch' or 'step', got {interval!r}."
            )
        if length < 1 or not 1 <= growth < math.inf:
            raise ValueError(
                f'Expected cycles of at least one {interval} that do not become '
                f'shorter, got a length of {length} and a growth of {growth}.'
            )
        if not 0 <= minimum <= 1:
            raise ValueError(f'Expected a minimum from 0 to 1, got {minimum}.')
        self.length, self.interval = length, interval
        self.growth, self.minimum = growth, minimum

    def strength(self, position: int) -> float:
        """Compute the strength.

        Args:
            position: Number of the epoch or step, from 0.

        Returns:
            The factor *c*, from *minimum* to 1.

        Example:
            >>> cycle = LoRAScaleCycle(length=2, minimum=0)
            >>> [round(cycle.strength(epoch), 2) for epoch in range(7)]
            [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0]
        """
        length = self.length
        while position >= length:
            longer = round(length * self.growth)
            # cycles that stay as long are not counted one by one, at every step
            position = position % length if longer == length else position - length
            length = longer
        fall = (1 + math.cos(math.pi * position / length)) / 2
        return self.minimum + (1 - self.minimum) * fall

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there is something whose strength can change.

        Raises:
            MetadataError: If the task has no low-rank matrices.
        """
        if not lora_layers(pl_module):
            raise MetadataError(
                f'{type(pl_module).__name__} has no low-rank matrices, whose strength '
                'LoRAScaleCycle would change. Pass protocol: lora to the task, or '
                'leave the callback out.'
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the strength of this epoch or step."""
        epoch = self.interval == 'epoch'
        position = trainer.current_epoch if epoch else trainer.global_step
        scale_lora(pl_module, self.strength(position))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Give the full strength to whatever comes between two batches."""
        scale_lora(pl_module, 1)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Give the full strength to what is left of a training that broke off."""
        scale_lora(pl_module, 1)
