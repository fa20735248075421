# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of nearest neighbours and linear models on features."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, jaccard_score
from tasks.recipes import BANDS, TINY, images
from torch import Tensor

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.tasks.probing import (
    ProbeFeatures,
    choose_penalty,
    collect_features,
    count_classes,
    knn_predict,
    linear_predict,
    score_probe,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def table(labels: Tensor, features: Tensor | None = None) -> ProbeFeatures:
    features = random(len(labels), 6) if features is None else features
    return ProbeFeatures(features, labels, torch.arange(len(labels)))


def tiny() -> Any:
    torch.manual_seed(0)
    return get_model('spec_vit_tiny', in_chans=BANDS, num_classes=0, **TINY)


def test_kinds() -> None:
    classes, several = torch.tensor([0, 4, 1]), torch.ones(3, 7).long()
    assert table(classes).kind == 'multiclass'
    assert table(several).kind == 'multilabel'
    assert table(several.float()).kind == 'regression'
    assert count_classes(table(classes), table(torch.tensor([6]))) == 7
    assert count_classes(table(torch.zeros(3).long())) == 2
    assert count_classes(table(several)) == 7


@pytest.mark.parametrize('k', [3, 50])
def test_neighbours_by_loops(k: int) -> None:
    train = table(
        torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(1))
    )
    features = random(5, 6, seed=2)
    found = knn_predict(train, features, 3, k=k, temperature=0.2, chunk=2)
    for x, got in zip(features, found, strict=True):
        cosine = F.cosine_similarity(x[None], train.features).numpy()
        near = np.argsort(-cosine)[:k]
        votes = np.zeros(3)
        for i in near:
            votes[int(train.labels[i])] += np.exp(cosine[i] / 0.2)
        assert np.allclose(got.numpy(), votes / votes.sum(), atol=1e-5)


def test_one_neighbour_finds_itself() -> None:
    labels = (random(20, 4) > 0).long()
    train = table(labels)
    assert torch.equal(knn_predict(train, train.features, 4, k=1), labels.float())
    numbers = table(random(20, 2))
    found = knn_predict(numbers, numbers.features, 2, k=1)
    assert torch.allclose(found, numbers.labels)
    with pytest.raises(ValueError, match='k=0'):
        knn_predict(train, train.features, 4, k=0)


def standard(x: Tensor) -> np.ndarray:
    return ((x - x.mean(0)) / x.std(0)).numpy()


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    train = table(torch.randint(0, 3, (60,), generator=generator))
    penalty = 0.01
    found = linear_predict(train, train.features, 3, penalty)
    # its penalty is half of the squared weights, beside C times the sum
    model = LogisticRegression(C=1 / (2 * penalty * 60), tol=1e-8, max_iter=1000)
    x = standard(train.features)
    want = model.fit(x, train.labels.numpy()).predict_proba(x)
    assert np.allclose(found.numpy(), want, atol=1e-3)


def test_labels_are_fitted_one_by_one() -> None:
    labels = (random(60, 2, seed=3) > 0).long()
    train = table(labels)
    found = linear_predict(train, train.features, 2, 0.01)
    x = standard(train.features)
    for k in range(2):
        # the mean runs over both labels, the penalty over the weights of one
        model = LogisticRegression(C=1 / (2 * 0.01 * 120), tol=1e-8, max_iter=1000)
        want = model.fit(x, labels[:, k].numpy()).predict_proba(x)[:, 1]
        assert np.allclose(found[:, k].numpy(), want, atol=1e-3)


def test_ridge_is_that_of_scikit_learn() -> None:
    train = table(random(60, 2, seed=3))
    features = random(9, 6, seed=4)
    found = linear_predict(train, features, 2, 0.1)
    mean, std = train.features.mean(0), train.features.std(0)
    model = Ridge(alpha=0.1 * 60)
    model.fit(standard(train.features), train.labels.numpy())
    want = model.predict(((features - mean) / std).numpy())
    assert np.allclose(found.numpy(), want, atol=1e-4)


def test_constant_and_lonely_features() -> None:
    train = table(torch.tensor([0, 1, 1, 0]), torch.ones(4, 3))
    assert torch.allclose(linear_predict(train, torch.ones(2, 3), 2), torch.tensor(0.5))
    lonely = table(torch.tensor([1]), torch.ones(1, 3))
    assert linear_predict(lonely, torch.ones(1, 3), 2)[0, 1] > 0.5


def test_penalty_is_chosen_by_images_that_were_held_out() -> None:
    # noise in many features: the strongest penalty wins; a clear rule: the weakest
    features = random(60, 40)
    noise = table(torch.randint(0, 2, (60,)), features)
    generator = torch.Generator().manual_seed(0)
    assert choose_penalty(noise, 2, (1e-6, 10.0), generator) == 10
    clear = random(300, 2)
    rule = table((clear.sum(1) > 0).long(), clear)
    assert choose_penalty(rule, 2, (1e-6, 10.0), generator) == 1e-6
    few = table(torch.tensor([0, 1, 1]))
    assert choose_penalty(few, 2, (1.0, 3.0, 2.0)) == 2.0
    for labels in (random(60, 2), (random(60, 2) > 0).long()):
        assert choose_penalty(table(labels), 2, (0.1, 1.0), generator) in (0.1, 1.0)


def test_scores_against_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (40,), generator=generator)
    prediction = random(40, 3).softmax(1)
    scores = score_probe(prediction, labels, 'multiclass', 3)
    y, p = labels.numpy(), prediction.argmax(1).numpy()
    assert scores['OverallAccuracy'] == pytest.approx((y == p).mean())
    want = f1_score(y, p, average='macro')
    assert scores['AverageF1Score'] == pytest.approx(want)
    want = jaccard_score(y, p, average='macro')
    assert scores['AverageJaccardIndex'] == pytest.approx(want)
    several = (random(40, 3, seed=5) > 0).long()
    scores = score_probe(prediction, several, 'multilabel', 3)
    assert {'OverallF1Score', 'AverageAveragePrecision'} <= set(scores)
    numbers = random(40, 3, seed=6)
    scores = score_probe(numbers, numbers, 'regression', 3)
    assert scores == {'HyperviewScore': 0, 'RMSE': 0}


def test_features_of_images() -> None:
    backbone = tiny()
    x = images(5)
    labels = torch.tensor([0, 1, 9, 2, 0])
    batches = [
        {'image': x[:3], 'label': labels[:3]},
        {'image': x[3:], 'label': labels[3:]},
    ]
    found = collect_features(backbone, batches, 'avg', ignore_index=9)
    with torch.no_grad():
        want = backbone.forward_features(x)[:, 1:].mean(1)
    known = labels != 9
    assert torch.allclose(found.features, want[known], atol=1e-5)
    assert torch.equal(found.labels, labels[known])
    assert not backbone.training
    numbers = torch.tensor([[1.0, 2.0], [torch.nan, 1.0]])
    found = collect_features(backbone, [{'image': x[:2], 'label': numbers}])
    assert found.kind == 'regression'
    assert found.labels.tolist() == [[1.0, 2.0]]


def test_features_of_pixels_are_those_of_the_resized_map() -> None:
    backbone = tiny()
    x = images(2)
    # a mask that tells each pixel apart
    mask = torch.arange(2 * 16 * 16).reshape(2, 16, 16)
    batch = {'image': x, 'mask': mask}
    generator = torch.Generator().manual_seed(0)
    found = collect_features(backbone, [batch], pixels=30, generator=generator)
    assert len(found.labels.unique()) == 60
    with torch.no_grad():
        maps = backbone.forward_intermediates(
            x, indices=[2], norm=True, intermediates_only=True
        )[0]
        dense = F.interpolate(maps, (16, 16), mode='bilinear').movedim(1, -1)
    want = dense.reshape(-1, dense.shape[-1])[found.labels]
    assert torch.allclose(found.features, want, atol=1e-4)
    assert found.images.tolist() == [0] * 30 + [1] * 30


def test_pixels_without_label_or_data_are_not_drawn() -> None:
    mask = torch.full((2, 16, 16), 255)
    mask[0, 3:5] = 1
    valid = torch.ones(2, 16, 16, dtype=torch.bool)
    valid[0, 3] = False
    batch = {'image': images(2), 'mask': mask, 'valid': valid}
    found = collect_features(tiny(), [batch], ignore_index=255)
    assert found.labels.tolist() == [1] * 16
    assert found.images.tolist() == [0] * 16
    nothing = {'image': images(2), 'mask': torch.full((2, 16, 16), 255)}
    with pytest.raises(EmptyDataError, match='ignore_index'):
        collect_features(tiny(), [nothing], ignore_index=255)
