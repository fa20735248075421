# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fit a classifier of pixels: the task and the data module of a training, in silence."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray

from ..datamodules.pixels import HSIPixelDataModule
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import PixelSplit
from ..models import get_model
from ..models.pixel_classification.base import PixelClassifier
from ..transforms import NormalizeValid
from .fitted import FittedClassifier
from .methods import Recipe

_LOGGERS = ('lightning.pytorch', 'lightning.fabric')

#: A training that leaves nothing behind but its weights.
_TRAINER = {
    'logger': False,
    'enable_checkpointing': False,
    'enable_progress_bar': False,
    'enable_model_summary': False,
    'devices': 1,
    'num_sanity_val_steps': 0,
}


def fit_pixels(
    scene: LabelledScene,
    used: NDArray[np.bool_],
    method: str,
    recipe: Recipe,
    seed: int,
    device: str | None,
) -> FittedClassifier:
    """Fit a classifier of pixels.

    Args:
        scene: The scene.
        used: Labelled pixels to fit to, bool of shape ``(H, W)``.
        method: Name of the method.
        recipe: How it is fitted.
        seed: Seed of weights and training.
        device: Device; a GPU by default, if there is one.

    Returns:
        The fitted classifier.
    """
    place = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    devices = [place.index or 0] if place.type == 'cuda' else []
    # what is drawn outside is not changed
    with torch.random.fork_rng(devices), quiet():
        torch.manual_seed(seed)
        data = _data(scene, used, recipe, seed)
        model = _fit(scene, data, recipe, seed, place)
    normalize = NormalizeValid(*data.normalization())
    names = scene.class_names
    return FittedClassifier(method, names, used, model, normalize, place)


def _fit(
    scene: LabelledScene,
    data: HSIPixelDataModule,
    recipe: Recipe,
    seed: int,
    device: torch.device,
) -> PixelClassifier:
    """Train a network, or fit what is fitted at once."""
    if not recipe.steps:
        words: dict[str, Any] = {'seed': seed, **recipe.kwargs}
        words |= {'in_channels': len(scene.image), 'num_classes': scene.num_classes}
        estimator = get_model(recipe.model, window=recipe.window, **words)
        assert isinstance(estimator, PixelClassifier)
        estimator.fit_windows(*data.training_windows())
        return estimator
    from ..tasks import HSIPixelClassification

    task = HSIPixelClassification(
        model=recipe.model,
        in_channels=len(scene.image),
        num_classes=scene.num_classes,
        window=recipe.window,
        model_kwargs=dict(recipe.kwargs),
        labels=list(scene.class_names),
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
    )
    make_trainer(device, recipe.steps, gradient_clip_val=1.0).fit(task, datamodule=data)
    model = task.model
    assert isinstance(model, PixelClassifier)
    return model


def _data(
    scene: LabelledScene, used: NDArray[np.bool_], recipe: Recipe, seed: int
) -> HSIPixelDataModule:
    """Make training windows of some pixels, and of nothing else."""
    split = PixelSplit(
        ('train',),
        np.where(used, 0, -1).astype(np.int8),
        scene.labels,
        scene.labels != UNLABELLED,
        recipe.window,
        'all',
    )
    return HSIPixelDataModule(
        dataset=scene,
        split=split,
        window=recipe.window,
        batch_size=recipe.batch_size,
        # one epoch, however few labels there are
        length=max(recipe.steps, 1) * recipe.batch_size,
        # there will be no tiles, so any window is small enough
        tile_size=4 * recipe.window,
        seed=seed,
    )


def make_trainer(device: torch.device, steps: int, **options: Any) -> Trainer:
    """Make a trainer that leaves nothing behind but the weights.

    Args:
        device: Where to train.
        steps: Number of steps.
        **options: More options of the trainer.

    Returns:
        The trainer.
    """
    words = {**_TRAINER, **options, 'max_steps': steps, 'max_epochs': -1}
    words['accelerator'] = device.type
    if device.index is not None:
        words['devices'] = [device.index]
    return Trainer(**words)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says about each training."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', module=r'lightning\.')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
