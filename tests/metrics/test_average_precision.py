# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of average precision over known labels."""

from typing import Any

import pytest
import torch
from sklearn.metrics import average_precision_score

from torchgeo_hsi.metrics import KnownAveragePrecision, average_precision


@pytest.mark.parametrize('levels', [3, 1000])
def test_against_scikit_learn(levels: int) -> None:
    generator = torch.Generator().manual_seed(levels)
    # few levels: many scores are equal
    scores = torch.randint(0, levels, (200,), generator=generator).float()
    labels = torch.randint(0, 2, (200,), generator=generator)
    want = average_precision_score(labels.numpy(), scores.numpy())
    assert float(average_precision(scores, labels)) == pytest.approx(want, rel=1e-5)


def test_by_hand() -> None:
    scores = torch.tensor([4.0, 3.0, 2.0, 1.0])
    labels = torch.tensor([0, 1, 0, 1])
    assert float(average_precision(scores, labels)) == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    assert float(average_precision(scores, torch.ones(4))) == 1
    assert average_precision(scores, torch.zeros(4)).isnan()
    assert average_precision(scores[:0], labels[:0]).isnan()


@pytest.mark.parametrize('average', ['micro', 'macro'])
def test_multilabel(average: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 3, generator=generator)
    labels = torch.randint(0, 2, (20, 3), generator=generator)
    metric = KnownAveragePrecision(3, 'multilabel', average)
    for part in torch.arange(20).split(6):
        metric.update(scores[part], labels[part])
    want = average_precision_score(labels.numpy(), scores.numpy(), average=average)
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)


def test_unknown_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 3, generator=generator)
    labels = torch.randint(0, 2, (20, 3), generator=generator)
    labels[5:, 0] = -1
    labels[:, 2] = -1
    metric = KnownAveragePrecision(3, 'multilabel', 'none', ignore_index=-1)
    metric.update(scores, labels)
    each = metric.compute()
    first, second = each[:2].tolist()
    y, p = labels.numpy(), scores.numpy()
    assert first == pytest.approx(average_precision_score(y[:5, 0], p[:5, 0]))
    assert second == pytest.approx(average_precision_score(y[:, 1], p[:, 1]))
    assert each[2].isnan()
    mean = KnownAveragePrecision(3, 'multilabel', ignore_index=-1)
    mean.update(scores, labels)
    assert float(mean.compute()) == pytest.approx((first + second) / 2)


def test_multiclass() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 3, generator=generator)
    classes = torch.randint(0, 3, (30,), generator=generator)
    classes[:4] = 9
    metric = KnownAveragePrecision(3, 'multiclass', ignore_index=9)
    metric.update(logits, classes)
    p, y = logits[4:].softmax(1).numpy(), classes[4:].numpy()
    want = sum(average_precision_score(y == k, p[:, k]) for k in range(3)) / 3
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize('average', ['micro', 'macro', 'none'])
@pytest.mark.parametrize('task', ['multiclass', 'multilabel'])
def test_nothing_known(task: Any, average: Any) -> None:
    metric = KnownAveragePrecision(3, task, average, ignore_index=-1)
    shape = (4,) if task == 'multiclass' else (4, 3)
    metric.update(torch.randn(4, 3), torch.full(shape, -1))
    assert metric.compute().isnan().all()


def test_several_processes() -> None:
    scores = torch.tensor([[4.0], [3.0], [2.0], [1.0]])
    labels = torch.tensor([[0], [1], [0], [1]])
    first, second, whole = (KnownAveragePrecision(1, 'multilabel') for _ in range(3))
    for part in (slice(0, 1), slice(1, 3)):
        first.update(scores[part], labels[part])
    second.update(scores[3:], labels[3:])
    whole.update(scores, labels)

    def gather(mine: torch.Tensor, group: Any) -> list[torch.Tensor]:
        others = second.found if mine.is_floating_point() else second.truth
        return [mine, others[0]]

    first.dist_sync_fn = gather
    first.distributed_available_fn = lambda: True
    assert first.compute() == whole.compute()
