# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What probes are worth."""

import math
import warnings
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MultilabelF1Score,
)

from ...errors import HSIWarning
from ...metrics import HyperviewScore, KnownAveragePrecision
from .features import Kind, ProbeFeatures
from .predictors import choose_penalty, count_classes, knn_predict, linear_predict
from .subsets import draw_shots

_AVERAGES: tuple[tuple[str, Literal['micro', 'macro']], ...] = (
    ('Overall', 'micro'),
    ('Average', 'macro'),
)

_MULTICLASS: dict[str, Any] = {
    'Accuracy': MulticlassAccuracy,
    'F1Score': MulticlassF1Score,
    'JaccardIndex': MulticlassJaccardIndex,
}


def _alone() -> bool:
    """Say that there are no other processes whose numbers belong to these."""
    return False


def score_probe(
    prediction: Tensor, labels: Tensor, kind: Kind, outputs: int
) -> dict[str, float]:
    """Score what a probe predicted, by the metrics of the tasks.

    Args:
        prediction: Probabilities or targets of shape ``(M, outputs)``.
        labels: The truth, as in :class:`ProbeFeatures`.
        kind: What the labels are.
        outputs: Number of classes, labels or targets.

    Returns:
        Name and value of each metric. Classes that neither the truth nor the prediction
        has are left out of averages.
    """
    metrics: dict[str, Metric | MetricCollection] = {}
    if kind == 'regression':
        metrics['RMSE'] = MeanSquaredError(squared=False)
        metrics['HyperviewScore'] = HyperviewScore(outputs)
    elif kind == 'multiclass':
        for name, metric in _MULTICLASS.items():
            metrics[f'Overall{name}'] = metric(outputs, average='micro')
            metrics[f'Average{name}'] = metric(outputs, average='macro')
    else:
        for name, average in _AVERAGES:
            metrics[f'{name}F1Score'] = MultilabelF1Score(outputs, average=average)
            metrics[f'{name}AveragePrecision'] = KnownAveragePrecision(
                outputs, 'multilabel', average
            )
    collection = MetricCollection(metrics)
    for metric in collection.values():
        # one process may have all the features, and the others not be asking
        metric.distributed_available_fn = _alone
    collection.update(prediction, labels)
    return {name: float(value) for name, value in collection.compute().items()}


def run_probes(
    train: ProbeFeatures,
    test: ProbeFeatures,
    k: int = 20,
    linear: bool = True,
    shots: int | None = None,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Fit probes and score them.

    Args:
        train: What they learn from.
        test: What they are scored on.
        k: Nearest neighbours; 0 for no such probe.
        linear: Whether to fit a linear probe.
        shots: Learn from so many labels of each class only, see :func:`draw_shots`.
        seed: What draws the labels, and the images that choose the penalty.

    Returns:
        Scores of the probes ``'knn'`` and ``'linear'``, see :func:`score_probe`; NaN,
        with a warning, if features are NaN or infinite.

    Raises:
        ValueError: If there are no classes to draw from, a class is negative, or an
            option is not positive.
    """
    sound = all(bool(data.features.isfinite().all()) for data in (train, test))
    if not sound:
        warnings.warn(
            'The features hold NaN or infinite numbers, so nothing can be learned from '
            'them, and the scores are NaN: the training of the network has diverged.',
            HSIWarning,
            stacklevel=2,
        )
        train, test = (
            data._replace(features=torch.zeros_like(data.features))
            for data in (train, test)
        )
    outputs = count_classes(train, test)
    generator = torch.Generator().manual_seed(seed)
    if shots is not None:
        train = draw_shots(train, shots, generator)
    found = {}
    if k:
        found['knn'] = knn_predict(train, test.features, outputs, k)
    if linear:
        penalty = choose_penalty(train, outputs, generator=generator)
        found['linear'] = linear_predict(train, test.features, outputs, penalty)
    scores = {
        name: score_probe(prediction, test.labels, test.kind, outputs)
        for name, prediction in found.items()
    }
    if sound:
        return scores
    return {name: dict.fromkeys(values, math.nan) for name, values in scores.items()}
