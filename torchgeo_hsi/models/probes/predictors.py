# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Nearest neighbours and linear models of features."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .features import Kind, ProbeFeatures

#: Strengths of the penalty among which a linear probe chooses.
_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
#: Parts of the images by which it does, and up to how many labels by all of them.
_FOLDS, _FEW = 5, 1000


def count_classes(*sets: ProbeFeatures) -> int:
    """Count the outputs that probes of these sets need.

    Args:
        *sets: Training and evaluation data.

    Returns:
        The greatest class plus 1, or the number of labels.

    Raises:
        ValueError: If a class is negative.
    """
    if sets[0].kind == 'multiclass':
        least = min(int(data.labels.min()) for data in sets)
        if least < 0:
            raise ValueError(
                f'Expected classes from 0, got {least}. If that stands for what is not '
                'known, set ignore_index of the data module.'
            )
        return max(2, *(int(data.labels.max()) + 1 for data in sets))
    return sets[0].labels.shape[1]


def _targets(data: ProbeFeatures, outputs: int) -> Tensor:
    """Write labels as a table of numbers."""
    if data.kind == 'multiclass':
        return F.one_hot(data.labels.long(), outputs).float()
    return data.labels.float()


def knn_predict(
    train: ProbeFeatures,
    features: Tensor,
    outputs: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 1024,
) -> Tensor:
    """Predict by the nearest neighbours in the training data.

    The *k* neighbours with the greatest cosine similarity *s* vote with a weight of
    ``exp(s / temperature)``.

    * https://arxiv.org/abs/1805.01978

    Args:
        train: Features and labels to learn from.
        features: Features of shape ``(M, F)``.
        outputs: Number of classes, labels or targets.
        k: Number of neighbours; all if there are fewer.
        temperature: How much more the nearest of them count.
        chunk: Rows to compare at a time.

    Returns:
        Shares of the votes, or weighted means of the targets, shape ``(M, outputs)``.

    Raises:
        ValueError: If *k* is not positive.
    """
    if k < 1:
        raise ValueError(f'Expected at least one neighbour, got k={k}.')
    targets = _targets(train, outputs)
    known = F.normalize(train.features, dim=1)
    found = []
    for start in range(0, len(features), chunk):
        part = features[start : start + chunk]
        similarity = F.normalize(part, dim=1) @ known.T
        near, index = similarity.topk(min(k, len(known)), dim=1)
        weight = (near / temperature).softmax(dim=1)
        found.append((weight[..., None] * targets[index]).sum(dim=1))
    return torch.cat(found)


def _loss(kind: Kind, logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the loss of a linear probe."""
    if kind == 'multiclass':
        return F.cross_entropy(logits, targets)
    if kind == 'multilabel':
        return F.binary_cross_entropy_with_logits(logits, targets)
    return F.mse_loss(logits, targets)


def _fit_logistic(
    kind: Kind, x: Tensor, targets: Tensor, penalty: float, steps: int
) -> Tensor:
    """Fit weights, the last row of which is the bias."""
    weight = torch.zeros(x.shape[1], targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight], max_iter=steps, line_search_fn='strong_wolfe', history_size=20
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _loss(kind, x @ weight, targets)
        loss = loss + penalty * weight[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach()


def _fit_ridge(x: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """Solve for weights, the last row of which is the bias."""
    wide = x.double()
    weight = torch.full((x.shape[1],), penalty * len(x), dtype=torch.double)
    weight[-1] = 0.0
    gram = wide.T @ wide + weight.diag()
    found: Tensor = torch.linalg.solve(gram, wide.T @ targets.double())
    return found.float()


def _design(features: Tensor, like: Tensor) -> Tensor:
    """Standardize features by others, and add a column of ones."""
    scale = like.std(dim=0, correction=min(len(like) - 1, 1))
    x = (features - like.mean(dim=0)) / scale.where(scale > 1e-6, 1.0)
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)


def linear_predict(
    train: ProbeFeatures,
    features: Tensor,
    outputs: int,
    penalty: float = 1e-3,
    steps: int = 200,
) -> Tensor:
    """Predict by a linear model of the features.

    Logistic regression for classes and labels, ridge regression for numbers, on
    features that are standardized by the training data.

    Args:
        train: Features and labels to learn from.
        features: Features of shape ``(M, F)``.
        outputs: Number of classes, labels or targets.
        penalty: Weight of the squared weights beside the mean loss.
        steps: Most iterations of L-BFGS.

    Returns:
        Probabilities or targets of shape ``(M, outputs)``.
    """
    x, targets = _design(train.features, train.features), _targets(train, outputs)
    if train.kind == 'regression':
        weight = _fit_ridge(x, targets, penalty)
    else:
        weight = _fit_logistic(train.kind, x, targets, penalty, steps)
    logits = _design(features, train.features) @ weight
    if train.kind == 'multiclass':
        return logits.softmax(dim=1)
    return logits.sigmoid() if train.kind == 'multilabel' else logits


def _held_out_loss(
    train: ProbeFeatures, held_out: Tensor, outputs: int, penalty: float
) -> float:
    """Fit a linear probe without some rows, and compute its loss on them."""
    rest = ProbeFeatures(*(column[~held_out] for column in train))
    test = ProbeFeatures(*(column[held_out] for column in train))
    found = linear_predict(rest, test.features, outputs, penalty)
    if train.kind == 'multiclass':
        found = found.clamp_min(1e-12).log()
    elif train.kind == 'multilabel':
        found = found.logit(1e-7)
    return float(_loss(train.kind, found, _targets(test, outputs)))


def choose_penalty(
    train: ProbeFeatures,
    outputs: int,
    penalties: Sequence[float] = _PENALTIES,
    generator: torch.Generator | None = None,
) -> float:
    """Choose the penalty of a linear probe by training images that are held out.

    Each fifth of the images is held out in turn where there are few labels, and one of
    them where there are many.

    Args:
        train: Features and labels to learn from.
        outputs: Number of classes, labels or targets.
        penalties: What to choose from.
        generator: What draws the images.

    Returns:
        The penalty with the smallest loss on the images that were held out; the one in
        the middle if there are fewer than five images.
    """
    count = int(train.images.max()) + 1
    order = torch.randperm(count, generator=generator)
    size = count // _FOLDS
    number = _FOLDS if len(train.labels) <= _FEW else 1
    folds = [
        torch.isin(train.images, order[i * size : (i + 1) * size])
        for i in range(number)
    ]
    folds = [held_out for held_out in folds if held_out.any() and not held_out.all()]
    if not folds:
        return sorted(penalties)[len(penalties) // 2]
    losses = {
        penalty: sum(_held_out_loss(train, fold, outputs, penalty) for fold in folds)
        for penalty in penalties
    }
    return min(losses, key=losses.__getitem__)
