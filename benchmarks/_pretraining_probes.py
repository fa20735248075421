# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks that learn without labels, and what linear probes make of their features."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from _pretraining_scene import (
    CLASSES,
    IGNORE,
    Scene,
    Split,
    Statistics,
    Windows,
    bands_of,
    pretraining_windows,
    read_scene,
    simulated,
    split_blocks,
)
from _pretraining_tasks import STEPS, features_of, make_task, pretrain, supervise
from torch import Tensor

from torchgeo_hsi.models.probes import (
    ProbeFeatures,
    choose_penalty,
    draw_shots,
    linear_predict,
)

#: Networks that know wavelengths, and that know positions of bands alone.
AWARE, POSITIONAL = 'spec_vit_tiny_wl', 'spec_vit_tiny'


class Job(NamedTuple):
    """What one run needs."""

    seed: int
    steps: float
    scenes: int
    shots: tuple[int, ...]
    draws: int


class Data(NamedTuple):
    """A scene, its split, and what networks learn from."""

    scene: Scene
    split: Split
    windows: Windows
    statistics: Statistics
    image: Tensor


@cache
def read(scenes: int) -> tuple[Scene, list[Tensor]]:
    """Read the scene, and simulate others, once in each process."""
    scene = read_scene()
    return scene, simulated(scene, scenes)


def load(job: Job) -> Data:
    """Read the scene, split it and cut windows."""
    scene, others = read(job.scenes)
    split = split_blocks(scene, job.seed)
    windows, statistics = pretraining_windows(scene, split, others)
    image = statistics.apply(scene.image, scene.valid)
    return Data(scene, split, windows, statistics, image)


def learned(name: str, model: str, data: Data, job: Job, **words: Any) -> Any:
    """Pretrain a network."""
    torch.manual_seed(job.seed)
    task = make_task(name, model, len(data.image), **words)
    pretrain(task, data.windows, data.statistics, max(int(STEPS[name] * job.steps), 1))
    return task.backbone


def pixels(features: Tensor, labels: np.ndarray) -> ProbeFeatures:
    """Take the features of labelled pixels."""
    truth = torch.from_numpy(labels)
    known = truth != IGNORE
    found = features[:, known].T.contiguous().float()
    return ProbeFeatures(found, truth[known], torch.arange(len(found)))


def accuracy(guess: Tensor, truth: Tensor) -> float:
    """Compute the average accuracy of the classes that are there."""
    recalls = [(guess[truth == c] == c).float().mean() for c in truth.unique()]
    return float(torch.stack(recalls).mean())


def fit(train: ProbeFeatures, test: Tensor, seed: int) -> Tensor:
    """Fit a linear probe, and let it say the classes of other features."""
    source = torch.Generator().manual_seed(seed)
    penalty = choose_penalty(train, len(CLASSES), generator=source)
    return linear_predict(train, test, len(CLASSES), penalty).argmax(1)


def score(train: ProbeFeatures, test: ProbeFeatures, job: Job) -> dict[int, float]:
    """Score a linear probe with few labels."""
    found = {}
    for shots in job.shots:
        scores = []
        for seed in range(job.draws):
            few = draw_shots(train, shots, torch.Generator().manual_seed(seed))
            scores.append(accuracy(fit(few, test.features, seed), test.labels))
        found[shots] = float(np.mean(scores))
    return found


def score_features(features: Tensor, split: Split, job: Job) -> dict[int, float]:
    """Score features of all pixels."""
    return score(pixels(features, split.train), pixels(features, split.test), job)


def score_supervised(data: Data, job: Job) -> dict[int, float]:
    """Score the network that learns from the labels alone, of one draw."""
    bands = bands_of(data.scene)
    places = torch.from_numpy(data.split.train != IGNORE).nonzero()
    labels = torch.from_numpy(data.split.train)[places[:, 0], places[:, 1]]
    # what is drawn are the numbers of pixels
    every = ProbeFeatures(
        torch.arange(len(places)).float()[:, None], labels, torch.arange(len(places))
    )
    truth = torch.from_numpy(data.split.test)
    known = truth != IGNORE
    found = {}
    for shots in job.shots:
        few = draw_shots(every, shots, torch.Generator().manual_seed(0))
        chosen = places[few.features[:, 0].long()]
        torch.manual_seed(job.seed)
        task = make_task('moco', AWARE, len(data.image))
        steps = max(int(200 * job.steps), 1)
        head = supervise(task.backbone, data.image, bands, chosen, few.labels, steps)
        features = features_of(task.backbone, data.image, bands)
        guess = head(features[:, known].T).argmax(1)
        found[shots] = accuracy(guess, truth[known])
    return found
