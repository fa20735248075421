# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How callbacks look at a network in the midst of a training, and say what they saw."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import (
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
)
from lightning.pytorch.utilities.seed import isolate_rng
from matplotlib.figure import Figure
from torch import nn

from ..errors import MetadataError


def check_whole_network(trainer: Trainer, owner: str) -> None:
    """Refuse strategies in which no process has all weights of the network.

    Args:
        trainer: The trainer.
        owner: Name of the callback, for the message.

    Raises:
        MetadataError: If the weights are spread over processes.
    """
    sharded = (FSDPStrategy, DeepSpeedStrategy, ModelParallelStrategy)
    if isinstance(trainer.strategy, sharded):
        raise MetadataError(
            f'{owner} runs the network beside the training, which '
            f'{type(trainer.strategy).__name__} does not allow: no process has all of '
            'its weights. Train with ddp, or leave the callback out and evaluate the '
            'checkpoints by "torchgeo-hsi probe".'
        )


def _generators(module: nn.Module) -> list[torch.Generator]:
    """Find the generators that the parts of a module draw from."""
    found = {
        id(value): value
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Generator)
    }
    return list(found.values())


@contextmanager
def aside(trainer: Trainer, module: nn.Module) -> Iterator[None]:
    """Look at a network so that its training cannot tell.

    What is run inside gets the precision of the training, and no gradients. Afterwards
    all random numbers, also those of generators that parts of the module have, and the
    mode of each part are what they were.

    Args:
        trainer: The trainer.
        module: The task.

    Yields:
        Nothing.
    """
    modes = [(part, part.training) for part in module.modules()]
    states = [(source, source.get_state()) for source in _generators(module)]
    context = trainer.precision_plugin.forward_context()
    try:
        with isolate_rng(), context, torch.inference_mode():
            yield
    finally:
        for part, training in modes:
            part.training = training
        for source, state in states:
            source.set_state(state)


def log_scores(trainer: Trainer, scores: Mapping[str, float]) -> None:
    """Hand scores to the loggers, and to callbacks that monitor them.

    They stay what they are until they are handed over again, so epochs without new
    scores neither lack them nor draw them twice.

    Args:
        trainer: The trainer.
        scores: Names and values, the same in all processes.
    """
    for name, value in scores.items():
        trainer.callback_metrics[name] = torch.tensor(value)
    epoch = {'epoch': trainer.current_epoch}
    for logger in trainer.loggers:
        logger.log_metrics({**scores, **epoch}, step=trainer.global_step)


def log_figure(trainer: Trainer, name: str, figure: Figure) -> None:
    """Hand a figure to those loggers that take figures, as TensorBoard's does.

    Args:
        trainer: The trainer.
        name: Name of the figure.
        figure: The figure.
    """
    for logger in trainer.loggers:
        add = getattr(getattr(logger, 'experiment', None), 'add_figure', None)
        if add is not None:
            add(name, figure, global_step=trainer.global_step, close=False)
