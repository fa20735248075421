# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the support vector machine, against scikit-learn."""

import io
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.svm import SVC
from torch import Tensor

from torchgeo_hsi.models import SVM, get_model
from torchgeo_hsi.models.pixel_classification._svm_search import (
    GAMMAS,
    PENALTIES,
    SLOPES,
    couple,
)


def data(classes: int = 4, count: int = 80, bands: int = 12) -> tuple[Tensor, Tensor]:
    """Make pixels of classes that overlap, with bands much alike."""
    source = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    mixing = torch.randn(bands, bands, generator=source) / torch.arange(1, bands + 1)
    centers = 1.5 * torch.randn(classes, bands, generator=source)
    pixels = centers[labels] + torch.randn(count, bands, generator=source)
    return (pixels @ mixing.T)[..., None, None], labels


def reduced(x: np.ndarray, like: np.ndarray, components: int, whiten: float) -> Any:
    """Compute principal components by scikit-learn."""
    pca = PCA(components, svd_solver='full').fit(like)
    scale = pca.transform(like).std(0)
    out = pca.transform(x) * scale**-whiten
    return out / np.sqrt((scale ** (2 - 2 * whiten)).sum())


@pytest.mark.parametrize('classes', [2, 3, 4])
@pytest.mark.parametrize('whiten', [0.0, 0.5, 1.0])
def test_decisions_against_sklearn(classes: int, whiten: float) -> None:
    windows, labels = data(classes)
    model = SVM(12, classes, components=5, whiten=whiten, penalty=20, gamma=0.5)
    model.fit_windows(windows, labels)
    x, y = windows[:, :, 0, 0].double().numpy(), labels.numpy()
    machine = SVC(C=20, gamma=0.5, decision_function_shape='ovo')
    machine.fit(reduced(x, x, 5, whiten), y)
    pixels = torch.randn(200, 12)
    want = machine.decision_function(reduced(pixels.double().numpy(), x, 5, whiten))
    got = model.decide(pixels)
    if classes == 2:
        # scikit-learn decides for the second one
        want = -want[:, np.newaxis]
    np.testing.assert_allclose(got, want, atol=2e-3)


def test_coupling_by_loops() -> None:
    decisions = torch.randn(50, 6, dtype=torch.float64, generator=torch.Generator())
    want = np.ones((50, 4))
    for n in range(50):
        for f, (i, j) in zip(
            decisions[n].tolist(), combinations(range(4), 2), strict=True
        ):
            first = 1 / (1 + np.exp(-f))
            want[n, i] *= first
            want[n, j] *= 1 - first
    want /= want.sum(1, keepdims=True)
    np.testing.assert_allclose(couple(decisions, 4).softmax(1), want, rtol=1e-12)


def test_probabilities() -> None:
    windows, labels = data()
    model = SVM(12, 4)
    model.fit_windows(windows, labels)
    found = model(windows).exp()
    torch.testing.assert_close(found.sum(1), torch.ones(80))
    slope = model.chosen['slope']
    want = couple(slope * model.decide(windows.flatten(1)), 4).softmax(1)
    # 1e-6 of probability is left to each class
    torch.testing.assert_close(found, want, atol=5e-6, rtol=0)


def test_classes_are_those_of_the_votes() -> None:
    windows, labels = data(count=200)
    model = SVM(12, 4, components=5)
    model.fit_windows(windows, labels)
    source = torch.Generator().manual_seed(1)
    pixels = windows[torch.randint(200, (1000,), generator=source)]
    pixels = pixels + 0.3 * torch.randn(pixels.shape, generator=source)
    x = windows[:, :, 0, 0].double().numpy()
    machine = SVC(C=model.chosen['penalty'], gamma=model.chosen['gamma'])
    machine.fit(reduced(x, x, 5, 0.5), labels.numpy())
    votes = machine.predict(reduced(pixels[:, :, 0, 0].double().numpy(), x, 5, 0.5))
    assert (model(pixels).argmax(1).numpy() == votes).mean() > 0.97


def test_options_are_chosen() -> None:
    windows, labels = data(count=200)
    model = SVM(12, 4)
    assert model.chosen == {}
    model.fit_windows(windows, labels)
    found = model.chosen
    assert found['penalty'] in PENALTIES
    assert any(found['gamma'] == pytest.approx(gamma) for gamma in GAMMAS)
    assert any(found['slope'] == pytest.approx(slope) for slope in SLOPES)
    # what is given is not chosen
    given = SVM(12, 4, penalty=3, gamma=0.7)
    given.fit_windows(windows, labels)
    assert given.chosen['penalty'] == 3
    assert given.chosen['gamma'] == pytest.approx(0.7)


def test_probabilities_are_calibrated() -> None:
    """Half of the labels are drawn: nothing is certain, and the slope says so."""
    source = torch.Generator().manual_seed(0)
    windows, labels = data(2, 400)
    sure, unsure = SVM(12, 2), SVM(12, 2)
    sure.fit_windows(windows + 8 * labels[:, None, None, None], labels)
    drawn = torch.where(
        torch.rand(400, generator=source) < 0.6,
        torch.randint(2, (400,), generator=source),
        labels,
    )
    unsure.fit_windows(windows, drawn)
    assert sure(windows + 8 * labels[:, None, None, None]).exp().amax(1).mean() > 0.98
    likely = unsure(windows).exp().amax(1).mean()
    # 70 % are right
    assert 0.6 < likely < 0.8


@pytest.mark.parametrize('shots', [1, 2, 4])
def test_few_labels(shots: int) -> None:
    windows, labels = data(4, 4 * shots)
    model = SVM(12, 4)
    model.fit_windows(windows, labels)
    assert model.chosen == {'penalty': 10, 'gamma': 1, 'slope': 2}
    # pixels have one component less than there are of them
    assert model.axes.shape == (12, min(12, 4 * shots - 1))
    assert torch.equal(model(windows).argmax(1), labels)


def test_pixels_that_are_the_same() -> None:
    model = SVM(12, 2)
    model.fit_windows(torch.ones(6, 12, 1, 1), torch.arange(6) % 2)
    assert torch.isfinite(model(torch.rand(3, 12, 1, 1))).all()


def test_checkpoint_predicts_the_same() -> None:
    windows, labels = data()
    model = get_model('svm', in_channels=12, num_classes=6)
    model.fit_windows(windows, labels + 1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = SVM(12, 6)
    # nothing but tensors
    other.load_state_dict(torch.load(file, weights_only=True))
    x = torch.randn(1, 12, 9, 9)
    assert torch.equal(other.dense(x), model.dense(x))
    assert other.chosen == model.chosen
    # and again, with other sizes
    model.fit_windows(windows[:20], labels[:20])
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.dense(x), model.dense(x))


@pytest.mark.parametrize('half', [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_machine(half: torch.dtype) -> None:
    """Rounded support vectors would be other ones; matrices of halves, too."""
    torch.manual_seed(0)
    spectra = torch.randn(60, 12, 1, 1) + 5
    labels = torch.arange(60) % 3
    spectra[:, 0, 0, 0] += 0.3 * labels
    model = SVM(12, 3, penalty=1000.0, gamma=1.0)
    model.fit_windows(spectra, labels)
    # numbers that halves can hold, so that only the machine could change
    spectra = spectra.to(half).float()
    expected = model(spectra)
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(model(spectra), expected)
    moved = model.to(half)
    assert moved.vectors.dtype == torch.float32
    torch.testing.assert_close(
        moved(spectra.to(half)), expected.to(half), atol=0.02, rtol=0.02
    )
    # Lightning builds models in half precision, and loads weights then
    other = SVM(12, 3).to(half)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(spectra), expected)


def test_dense_is_what_windows_give() -> None:
    windows, labels = data()
    model = SVM(12, 4, window=3, spatial='mean')
    wide = windows.expand(-1, -1, 3, 3) + 0.1 * torch.randn(80, 12, 3, 3)
    model.fit_windows(wide, labels)
    x = torch.randn(1, 12, 4, 5)
    padded = torch.nn.functional.pad(x, (1,) * 4)
    dense = model.dense(x)
    for row in range(4):
        for column in range(5):
            part = padded[:, :, row : row + 3, column : column + 3]
            torch.testing.assert_close(
                dense[:, :, row, column], model(part), atol=1e-4, rtol=1e-4
            )


def test_same_seed_same_machine() -> None:
    windows, labels = data(count=300)
    found = []
    for _ in range(2):
        model = SVM(12, 4, seed=5)
        np.random.seed(len(found))  # noqa: NPY002
        model.fit_windows(windows, labels)
        found.append(model(windows))
    assert torch.equal(*found)


def test_balanced() -> None:
    windows, labels = data(2, 200)
    keep = (labels == 1) | (torch.arange(200) < 20)
    found = []
    for balanced in (False, True):
        model = SVM(12, 2, penalty=0.1, gamma=0.1, balanced=balanced)
        model.fit_windows(windows[keep], labels[keep])
        found.append((model.decide(windows.flatten(1)) > 0).float().mean())
    assert found[0] < found[1]


def test_wrong_arguments() -> None:
    for words in ({'components': 0}, {'whiten': 2.0}, {'penalty': 0}, {'gamma': -1}):
        with pytest.raises(ValueError, match='Expected'):
            SVM(12, 3, **words)
