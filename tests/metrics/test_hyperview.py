# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the score of the Hyperview challenge."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.metrics import HyperviewScore, hyperview_score


def by_hand(prediction: np.ndarray, target: np.ndarray, baseline: np.ndarray) -> float:
    ratios = []
    for k in range(target.shape[1]):
        error = guess = 0.0
        for i in range(len(target)):
            error += (prediction[i, k] - target[i, k]) ** 2
            guess += (baseline[k] - target[i, k]) ** 2
        ratios.append(error / guess)
    return sum(ratios) / len(ratios)


def test_against_loops() -> None:
    generator = np.random.default_rng(0)
    prediction, target = generator.normal(size=(2, 23, 4))
    baseline = generator.normal(size=4)
    metric = HyperviewScore(4)
    shifted = HyperviewScore(4, torch.tensor(baseline))
    for part in np.array_split(np.arange(23), 5):
        pair = (torch.tensor(prediction[part]), torch.tensor(target[part]))
        metric.update(*pair)
        shifted.update(*pair)
    want = by_hand(prediction, target, np.zeros(4))
    assert float(metric.compute()) == pytest.approx(want, rel=1e-5)
    want = by_hand(prediction, target, baseline)
    assert float(shifted.compute()) == pytest.approx(want, rel=1e-5)
    tensors = [torch.tensor(v) for v in (prediction, target, baseline)]
    assert float(hyperview_score(*tensors)) == pytest.approx(want, rel=1e-5)


def test_the_mean_of_the_scores_of_batches_is_another_number() -> None:
    target = torch.tensor([[1.0], [3.0]])
    prediction = torch.tensor([[0.0], [3.0]])
    metric = HyperviewScore(1)
    pairs = zip(prediction, target, strict=True)
    values = [float(metric(p[None], t[None])) for p, t in pairs]
    assert values == [1.0, 0.0]
    assert float(metric.compute()) == pytest.approx(0.1)


def test_guessing_scores_one() -> None:
    target = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    assert float(hyperview_score(torch.zeros(50, 4), target)) == pytest.approx(1)
    assert float(hyperview_score(target, target)) == 0


def test_what_does_not_count() -> None:
    target = torch.tensor([[1.0, 2.0], [torch.nan, 5.0], [2.0, 2.0]])
    prediction = torch.tensor([[0.0, 2.0], [7.0, 7.0], [2.0, 0.0]])
    # by hand, over the first and the last sample: 1 / 5 and 4 / 8
    assert float(hyperview_score(prediction, target)) == pytest.approx(0.35)
    # a target that is 0 everywhere says nothing
    target[:, 1] = 0
    assert float(hyperview_score(prediction, target)) == pytest.approx(1 / 5)
    metric = HyperviewScore(2)
    metric.update(prediction[1:2], target[1:2])
    assert metric.compute().isnan()
    assert hyperview_score(prediction[1:2], target[1:2]).isnan()


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match='same shape'):
        hyperview_score(torch.zeros(3, 4), torch.zeros(3, 1))
    with pytest.raises(ValueError, match='same shape'):
        HyperviewScore(4).update(torch.zeros(3), torch.zeros(3))
