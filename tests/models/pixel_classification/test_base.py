# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what all classifiers of pixels have in common."""

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import PixelClassifier, get_model

#: Models by name, with arguments that make them small.
SMALL: dict[str, dict[str, object]] = {
    'hybridsn': {'window': 9, 'components': 8, 'filters': (2, 3, 4), 'maps': 5},
    'spectral_cnn': {'window': 3},
    'spectralformer': {'window': 3, 'layers': 3, 'dim': 16},
    'window_classifier': {'window': 5, 'backbone': 'spec_resnet18'},
}


class Corner(PixelClassifier):
    """Weigh the pixels of a window, each in its own way."""

    def classify(self, x: Tensor) -> Tensor:
        weights = torch.arange(1, 1 + self.window**2, dtype=x.dtype)
        total = (x.flatten(2) * weights).sum((1, 2))
        return torch.stack((total, -total), dim=1)


@pytest.mark.parametrize('chunk', [1, 7, 1024])
def test_dense_is_what_windows_give(chunk: int) -> None:
    model = Corner(in_channels=3, num_classes=2, window=5)
    x = torch.rand(2, 3, 6, 7, dtype=torch.float64)
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    weights = np.arange(1, 26).reshape(5, 5)
    want = np.zeros((2, 6, 7))
    for b in range(2):
        for row in range(6):
            for column in range(7):
                window = padded[b, :, row : row + 5, column : column + 5]
                want[b, row, column] = (window * weights).sum()
    got = model.dense(x, chunk)
    np.testing.assert_allclose(got[:, 0], want)
    np.testing.assert_allclose(got[:, 1], -want)
    window = torch.from_numpy(padded[:, :, 1:6, 2:7].copy())
    torch.testing.assert_close(model(window), got[:, :, 1, 2])


@pytest.mark.parametrize('name', SMALL)
def test_dense_is_what_windows_give_in_networks(name: str) -> None:
    torch.manual_seed(0)
    model = get_model(name, in_channels=80, num_classes=3, **SMALL[name]).eval()
    assert isinstance(model, PixelClassifier)
    assert model.learns_by_gradient
    x = torch.randn(2, 80, 6, 7)
    model.fit_spectra([{'image': torch.randn(2, 80, 20, 20)}])
    assert model.is_fitted
    edge = model.window // 2
    padded = torch.nn.functional.pad(x, (edge,) * 4)
    with torch.no_grad():
        dense = model.dense(x)
        assert dense.shape == (2, 3, 6, 7)
        for row in range(6):
            for column in range(7):
                rows = slice(row, row + model.window)
                columns = slice(column, column + model.window)
                torch.testing.assert_close(
                    dense[:, :, row, column],
                    model(padded[:, :, rows, columns]),
                    atol=1e-5,
                    rtol=0,
                )


@pytest.mark.parametrize('name', SMALL)
def test_everything_learns(name: str) -> None:
    torch.manual_seed(0)
    model = get_model(name, in_channels=80, num_classes=3, **SMALL[name])
    windows = torch.randn(4, 80, model.window, model.window)
    loss = torch.nn.functional.cross_entropy(model(windows), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    grads = [p.grad for p in model.parameters()]
    assert all(grad is not None for grad in grads)
    if name != 'window_classifier':
        # residual blocks of timm begin with a weight of 0
        assert all(grad.abs().sum() > 0 for grad in grads)
    # what a protocol freezes, and what it leaves
    parts = {name.split('.')[0] for name, _ in model.named_parameters()}
    assert parts == {'backbone', 'head'}


def test_components() -> None:
    words = {'in_channels': 12, 'num_classes': 2, 'window': 1, 'components': 4}
    model = Corner(**words, whiten=1)
    assert (model.depth, model.is_fitted) == (4, False)
    pixels = torch.randn(1, 12, 30, 30)
    model.fit_spectra([{'image': pixels}])
    assert model.is_fitted
    reduced = model.reduce(pixels).flatten(2)[0].double()
    # the square of the largest float32 error of a covariance of 1
    torch.testing.assert_close(
        torch.cov(reduced, correction=0), torch.eye(4).double(), atol=1e-4, rtol=0
    )
    before = model.reduction.projection.clone()
    model.fit_spectra([{'image': 2 * pixels}])
    assert torch.equal(model.reduction.projection, before)
    few = Corner(**words)
    with pytest.raises(EmptyDataError, match='components'):
        few.fit_spectra([{'image': torch.randn(4, 12, 1, 1)}])


@pytest.mark.parametrize('whiten', [0, 0.25, 1])
def test_whitening(whiten: float) -> None:
    scale = torch.tensor([8.0, 4.0, 2.0, 1.0])[:, None, None]
    pixels = scale * torch.randn(4, 40, 40)
    model = Corner(4, 2, 1, components=4, whiten=whiten)
    model.fit_spectra([{'image': pixels}])
    found = model.reduce(pixels[None]).flatten(2)[0].std(1, correction=0)
    # by the singular values of the centred pixels
    flat = pixels.flatten(1)
    values = torch.linalg.svdvals(flat - flat.mean(1, keepdim=True)).flip(0)
    expected = (values / values[-1]) ** (1 - whiten)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='whiten from 0 to 1'):
        Corner(4, 2, 1, components=2, whiten=2)
    with pytest.raises(BandMismatchError, match='at least one band'):
        Corner(0, 2, 3)
    with pytest.raises(ValueError, match='two classes'):
        Corner(5, 1, 3)
    for window in (0, 4):
        with pytest.raises(ValueError, match=f'Use {window + 1}'):
            Corner(5, 2, window)
    with pytest.raises(BandMismatchError, match='components'):
        Corner(5, 2, 3, components=6)


def test_wrong_shapes() -> None:
    model = Corner(5, 2, 3)
    for shape in ((1, 4, 3, 3), (1, 5, 5, 5), (5, 3, 3)):
        with pytest.raises(BandMismatchError, match='windows of shape'):
            model(torch.rand(shape))
    for shape in ((1, 4, 9, 9), (5, 9, 9)):
        with pytest.raises(BandMismatchError, match='in_channels'):
            model.dense(torch.rand(shape))


def test_fits_by_gradient_only() -> None:
    with pytest.raises(NotImplementedError, match='HSIPixelClassification'):
        Corner(5, 2, 1).fit_windows(torch.rand(2, 5, 1, 1), torch.tensor([0, 1]))
