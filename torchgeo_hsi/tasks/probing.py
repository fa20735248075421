# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Probes: what the features of a frozen backbone know, without training it."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanSquaredError, Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MultilabelF1Score,
)

from .._typing import Sample
from ..errors import EmptyDataError
from ..metrics import HyperviewScore, KnownAveragePrecision
from ..models._features import check_pool, feature_maps, levels_of, pooled_features

Kind = Literal['multiclass', 'multilabel', 'regression']

_AVERAGES: tuple[tuple[str, Literal['micro', 'macro']], ...] = (
    ('Overall', 'micro'),
    ('Average', 'macro'),
)

#: Strengths of the penalty among which a linear probe chooses.
_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


class ProbeFeatures(NamedTuple):
    """Features and labels of images, or of sampled pixels.

    Args:
        features: Features of shape ``(N, F)``.
        labels: Classes of shape ``(N,)``, labels of shape ``(N, K)``, or numbers of
            shape ``(N, K)`` and a floating type.
        images: Which image each belongs to, shape ``(N,)``.
    """

    features: Tensor
    labels: Tensor
    images: Tensor

    @property
    def kind(self) -> Kind:
        """What the labels are."""
        if self.labels.is_floating_point():
            return 'regression'
        return 'multiclass' if self.labels.ndim == 1 else 'multilabel'


def _known_images(labels: Tensor, ignore_index: int | None) -> Tensor:
    """Tell which images have all of their labels."""
    if labels.is_floating_point():
        known = labels.isfinite()
    else:
        known = labels != (-1000 if ignore_index is None else ignore_index)
    return known.flatten(1).all(1) if known.ndim > 1 else known


def _pixel_features(maps: Tensor, size: tuple[int, int], places: Tensor) -> Tensor:
    """Interpolate the feature map of an image at pixels.

    Args:
        maps: Feature map of shape ``(1, F, h, w)``.
        size: Height and width of the image.
        places: Rows and columns of the pixels, shape ``(N, 2)``.

    Returns:
        Features of shape ``(N, F)``.
    """
    sides = torch.tensor(size, device=maps.device)
    # grid_sample counts from -1 to 1, and columns first
    grid = (2 * (places + 0.5) / sides - 1).flip(1)[None, None]
    found = F.grid_sample(
        maps, grid.to(maps.dtype), padding_mode='border', align_corners=False
    )
    return found[0, :, 0].T


def _sample_pixels(
    backbone: nn.Module,
    batch: Sample,
    pixels: int,
    ignore_index: int | None,
    generator: torch.Generator | None,
) -> list[tuple[Tensor, Tensor]]:
    """Compute features and classes of some labelled pixels of each image."""
    mask = batch['mask'].flatten(0, -3)
    known = mask != (-1000 if ignore_index is None else ignore_index)
    if 'valid' in batch:
        known &= batch['valid']
    (maps,), size = feature_maps(backbone, batch['image'], levels_of(backbone, 1))
    found = []
    for i, labelled in enumerate(known):
        places = labelled.nonzero()
        order = torch.randperm(len(places), generator=generator)[:pixels]
        places = places[order.to(places.device)]
        features = _pixel_features(maps[i : i + 1].float(), size, places)
        found.append((features.cpu(), mask[i][places[:, 0], places[:, 1]].cpu()))
    return found


@torch.inference_mode()
def collect_features(
    backbone: nn.Module,
    batches: Iterable[Sample],
    pool: Literal['token', 'avg'] | None = None,
    pixels: int = 100,
    ignore_index: int | None = None,
    generator: torch.Generator | None = None,
) -> ProbeFeatures:
    """Compute the features of data.

    Args:
        backbone: A backbone of timm; it is put into evaluation mode.
        batches: Normalized batches with ``image`` of shape ``(B, C, H, W)`` and
            ``label``, or ``mask`` of shape ``(B, H, W)`` and maybe ``valid``.
        pool: Class token or average of the others, for vision transformers; by default
            what the backbone does. Pixels need no pooling.
        pixels: Labelled pixels to draw from each image with a ``mask``.
        ignore_index: Label that does not count.
        generator: What draws the pixels.

    Returns:
        Features and labels of what has a label, on the CPU.

    Raises:
        EmptyDataError: If nothing has a label.
        ValueError: If the backbone cannot be pooled this way.
    """
    backbone.eval()
    check_pool(backbone, pool)
    rows: list[tuple[Tensor, Tensor]] = []
    for batch in batches:
        if 'label' in batch:
            known = _known_images(batch['label'], ignore_index)
            features = pooled_features(backbone, batch['image'], pool).float()
            table = zip(features.cpu(), batch['label'].cpu(), known, strict=True)
            rows += [(x[None], y[None]) for x, y, here in table if here]
        else:
            rows += _sample_pixels(backbone, batch, pixels, ignore_index, generator)
    if not sum(len(x) for x, _ in rows):
        raise EmptyDataError(
            'Nothing in the data has a label. Check the masks, nodata and ignore_index.'
        )
    counts = torch.tensor([len(x) for x, _ in rows])
    images = torch.arange(len(rows)).repeat_interleave(counts)
    features, labels = (torch.cat(column) for column in zip(*rows, strict=True))
    # normal tensors again, from which gradients may start
    return ProbeFeatures(features.clone(), labels.clone(), images)


def count_classes(*sets: ProbeFeatures) -> int:
    """Count the outputs that probes of these sets need.

    Args:
        *sets: Training and evaluation data.

    Returns:
        The greatest class plus 1, or the number of labels.
    """
    if sets[0].kind == 'multiclass':
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
    scale = like.std(dim=0).nan_to_num(1.0)
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


def choose_penalty(
    train: ProbeFeatures,
    outputs: int,
    penalties: Sequence[float] = _PENALTIES,
    generator: torch.Generator | None = None,
) -> float:
    """Choose the penalty of a linear probe by a fifth of the training images.

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
    drawn = torch.randperm(count, generator=generator)[: count // 5]
    held_out = torch.isin(train.images, drawn)
    if not held_out.any() or held_out.all():
        return sorted(penalties)[len(penalties) // 2]
    rest = ProbeFeatures(*(column[~held_out] for column in train))
    test = ProbeFeatures(*(column[held_out] for column in train))
    targets = _targets(test, outputs)
    losses = {}
    for penalty in penalties:
        found = linear_predict(rest, test.features, outputs, penalty)
        if train.kind == 'multiclass':
            found = found.clamp_min(1e-12).log()
        elif train.kind == 'multilabel':
            found = found.logit(1e-7)
        losses[penalty] = float(_loss(train.kind, found, targets))
    return min(losses, key=losses.__getitem__)


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
    collection.update(prediction, labels)
    return {name: float(value) for name, value in collection.compute().items()}


_MULTICLASS: dict[str, Any] = {
    'Accuracy': MulticlassAccuracy,
    'F1Score': MulticlassF1Score,
    'JaccardIndex': MulticlassJaccardIndex,
}
