# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the random forest, against scikit-learn."""

import builtins
import io
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import RandomForest, get_model


def data(window: int = 1, classes: int = 3, count: int = 90) -> tuple[Tensor, Tensor]:
    """Make windows of classes that overlap."""
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    centers = torch.randn(classes, 12, 1, 1, generator=source)
    noise = torch.randn(count, 12, window, window, generator=source)
    return centers[labels] + noise, labels


def test_against_sklearn() -> None:
    windows, labels = data()
    model = RandomForest(12, 3, trees=25, seed=3)
    assert not model.is_fitted
    model.fit_windows(windows, labels)
    assert model.is_fitted
    forest = RandomForestClassifier(25, random_state=3)
    forest.fit(windows[:, :, 0, 0].numpy(), labels.numpy())
    image = torch.randn(2, 12, 20, 30)
    pixels = image.movedim(1, -1).reshape(-1, 12).numpy()
    want = forest.predict_proba(pixels).reshape(2, 20, 30, 3)
    got = model.dense(image).exp().movedim(1, -1)
    # 1e-6 of probability is left to each class
    np.testing.assert_allclose(got, want, atol=4e-6)
    np.testing.assert_array_equal(got.argmax(-1), want.argmax(-1))


def test_thresholds_are_exact() -> None:
    """Numbers between two neighbors of float32 are what trees divide by."""
    low = np.float32(100)
    pair = torch.tensor([low, np.nextafter(low, np.float32(200))])
    windows = pair.repeat(20).view(40, 1, 1, 1)
    labels = torch.arange(40) % 2
    model = RandomForest(1, 2, trees=10)
    model.fit_windows(windows, labels)
    assert torch.equal(model(windows).argmax(1), labels)


@pytest.mark.parametrize('spatial', ['pixel', 'mean'])
@pytest.mark.parametrize('window', [1, 3])
def test_dense_is_what_windows_give(spatial: Any, window: int) -> None:
    windows, labels = data(window)
    model = get_model(
        'random_forest',
        in_channels=12,
        num_classes=3,
        window=window,
        spatial=spatial,
        trees=20,
    )
    model.fit_windows(windows, labels)
    x = torch.randn(2, 12, 5, 6)
    edge = window // 2
    padded = torch.nn.functional.pad(x, (edge,) * 4)
    dense = model.dense(x)
    for row in range(5):
        for column in range(6):
            part = padded[:, :, row : row + window, column : column + window]
            torch.testing.assert_close(dense[:, :, row, column], model(part))


def test_features() -> None:
    model = RandomForest(12, 2, window=5, spatial='mean')
    x = torch.randn(2, 12, 7, 6)
    got = model.features(x)
    assert got.shape == (2, model.num_features, 3, 2)
    for row in range(3):
        for column in range(2):
            window = x[:, :, row : row + 5, column : column + 5].numpy()
            center, mean = got[:, :, row, column].split(12, dim=1)
            np.testing.assert_array_equal(center, window[:, :, 2, 2])
            np.testing.assert_allclose(mean, window.mean((2, 3)), atol=1e-6)


def test_checkpoint_predicts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, labels = data()
    model = RandomForest(12, 3, trees=15)
    model.fit_windows(windows, labels)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    # nothing but tensors
    state = torch.load(file, weights_only=True)
    other = RandomForest(12, 3, trees=15)

    def without_sklearn(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith('sklearn')
        return import_module(name, *args, **kwargs)

    import_module = builtins.__import__
    monkeypatch.setattr(builtins, '__import__', without_sklearn)
    other.load_state_dict(state)
    assert other.is_fitted
    x = torch.randn(1, 12, 9, 9)
    assert torch.equal(other.dense(x), model.dense(x))


def test_same_seed_same_trees() -> None:
    windows, labels = data()
    found = []
    for seed in (0, 0, 1):
        model = RandomForest(12, 3, trees=15, seed=seed)
        # the global seed has no say
        torch.manual_seed(len(found))
        np.random.seed(len(found))  # noqa: NPY002
        model.fit_windows(windows, labels)
        found.append(model(windows))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_fits_again() -> None:
    windows, labels = data()
    model = RandomForest(12, 3, trees=15)
    model.fit_windows(windows[:30], labels[:30])
    model.fit_windows(windows, labels)
    fresh = RandomForest(12, 3, trees=15)
    fresh.fit_windows(windows, labels)
    assert torch.equal(model(windows), fresh(windows))


def test_classes_without_labels() -> None:
    windows, labels = data()
    model = RandomForest(12, 5, trees=15)
    model.fit_windows(windows, torch.tensor([1, 3, 4])[labels])
    found = model(windows)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(90))
    assert torch.isfinite(found).all()
    assert set(found.argmax(1).tolist()) == {1, 3, 4}
    assert found.exp()[:, [0, 2]].max() < 2e-6


def test_options() -> None:
    windows, labels = data()
    stump = RandomForest(12, 3, trees=8, max_depth=1)
    stump.fit_windows(windows, labels)
    assert len(stump.roots) == 8
    assert len(stump.threshold) == 8 * 3
    leafy = RandomForest(12, 3, trees=8, min_leaf=30)
    leafy.fit_windows(windows, labels)
    assert len(leafy.threshold) < 8 * 9
    small = RandomForest(12, 3, trees=8, max_pixels=10)
    small.fit_windows(windows, labels)
    assert len(small.threshold) < 8 * 2 * 10
    # as many of the first class as of the others, by weight
    rare = torch.cat((windows[labels == 0][:2], windows[labels > 0]))
    codes = torch.cat((torch.zeros(2).long(), labels[labels > 0]))
    plain, balanced = (
        RandomForest(12, 3, trees=50, max_depth=1, balanced=weigh)
        for weigh in (False, True)
    )
    for model in (plain, balanced):
        model.fit_windows(rare, codes)
    share = [model(windows).exp()[:, 0].mean() for model in (plain, balanced)]
    assert share[0] < 0.1
    assert share[1] > 0.15


def test_refused() -> None:
    windows, labels = data()
    model = RandomForest(12, 3)
    with pytest.raises(RuntimeError, match='fit_windows'):
        model(windows)
    with pytest.raises(BandMismatchError, match='N labels'):
        model.fit_windows(windows, labels[:-1])
    with pytest.raises(BandMismatchError, match='windows of shape'):
        model.fit_windows(windows[:, :-1], labels)
    with pytest.raises(EmptyDataError, match='at least two classes, got 1'):
        model.fit_windows(windows, torch.zeros_like(labels))
    with pytest.raises(EmptyDataError, match='at least two classes, got 0'):
        model.fit_windows(windows[:0], labels[:0])
    with pytest.raises(ValueError, match='from 0 to 2, got -1 to 1'):
        model.fit_windows(windows, labels - 1)
    with pytest.raises(ValueError, match="'pixel' or 'mean'"):
        RandomForest(12, 3, spatial='median')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='positive'):
        RandomForest(12, 3, trees=0)


def test_sklearn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    windows, labels = data()
    monkeypatch.setitem(sys.modules, 'sklearn.ensemble', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[baselines\]'):
        RandomForest(12, 3).fit_windows(windows, labels)
