# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the convolutional network on spectra."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.models import SpectralCNN, get_model


def by_loops(model: SpectralCNN, spectrum: np.ndarray) -> np.ndarray:
    """Do what the paper says, number by number."""
    state = {k: v.double().numpy() for k, v in model.state_dict().items()}
    kernels, bias = state['backbone.0.weight'][:, 0], state['backbone.0.bias']
    pool = model.backbone[1].kernel_size
    features = []
    for kernel, offset in zip(kernels, bias, strict=True):
        length = len(spectrum) - len(kernel) + 1
        line = [kernel @ spectrum[i : i + len(kernel)] + offset for i in range(length)]
        line = [max(line[i : i + pool]) for i in range(0, length, pool)]
        features += [np.tanh(value) for value in line]
    hidden = np.tanh(
        state['backbone.4.weight'] @ np.array(features) + state['backbone.4.bias']
    )
    return state['head.weight'] @ hidden + state['head.bias']


@pytest.mark.parametrize('bands', [1, 2, 7, 10, 50, 103])
def test_against_loops(bands: int) -> None:
    torch.manual_seed(bands)
    model = SpectralCNN(bands, 3, window=3, filters=4, hidden=6).double().eval()
    windows = torch.randn(2, bands, 3, 3, dtype=torch.float64)
    want = [by_loops(model, window[:, 1, 1].numpy()) for window in windows]
    np.testing.assert_allclose(model(windows).detach(), want, atol=1e-12)


def test_size_of_the_paper() -> None:
    # Indian Pines: 220 bands and 8 classes, kernels of 24 bands, 20 x 40 values
    model = SpectralCNN(220, 8)
    assert model.backbone[0].kernel_size == (24,)
    assert model.backbone[1].kernel_size == 5
    assert model.backbone[4].in_features == 800
    assert sum(p.numel() for p in model.parameters()) == 81_408


def test_sees_the_middle_only() -> None:
    model = get_model('spectral_cnn', in_channels=20, num_classes=2, window=5)
    windows = torch.randn(3, 20, 5, 5)
    other = torch.randn(3, 20, 5, 5)
    other[:, :, 2, 2] = windows[:, :, 2, 2]
    assert torch.equal(model(windows), model(other))
    other[:, :, 2, 2] += 1
    assert not torch.equal(model(windows), model(other))


@pytest.mark.parametrize('chunk', [1, 13, 4096])
def test_chunks(chunk: int) -> None:
    model = SpectralCNN(20, 2, window=3).eval()
    x = torch.randn(2, 20, 6, 5)
    torch.testing.assert_close(model.dense(x, chunk), model.dense(x))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='kernel of 1 to 20'):
        SpectralCNN(20, 2, kernel=21)
    with pytest.raises(ValueError, match='pool of 1 to 16'):
        SpectralCNN(20, 2, kernel=5, pool=17)
    assert SpectralCNN(20, 2, kernel=5, pool=16).backbone[4].in_features == 20
