# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of HybridSN."""

import sys

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import HybridSN, add_lora, get_model


def by_scipy(model: HybridSN, window: np.ndarray) -> np.ndarray:
    """Do what the paper says: valid convolutions and dense layers."""
    state = {k: v.double().numpy() for k, v in model.state_dict().items()}
    maps = window[np.newaxis]
    for i in (0, 2, 4):
        weight, bias = (state[f'backbone.conv3d.{i}.{k}'] for k in ('weight', 'bias'))
        maps = np.stack(
            [
                correlate(maps, w, 'valid')[0] + b
                for w, b in zip(weight, bias, strict=True)
            ]
        ).clip(0)
    maps = maps.reshape(-1, *maps.shape[2:])
    weight, bias = (state[f'backbone.conv2d.{k}'] for k in ('weight', 'bias'))
    maps = np.stack(
        [correlate(maps, w, 'valid')[0] + b for w, b in zip(weight, bias, strict=True)]
    ).clip(0)
    x = maps.ravel()
    for i in (1, 2):
        weight, bias = (state[f'backbone.dense{i}.{k}'] for k in ('weight', 'bias'))
        x = (weight @ x + bias).clip(0)
    return state['head.weight'] @ x + state['head.bias']


@pytest.mark.parametrize('window', [1, 3, 5, 7, 9, 13])
@pytest.mark.parametrize('depth', [1, 4, 13, 15])
def test_against_scipy(window: int, depth: int) -> None:
    torch.manual_seed(window)
    words = {'filters': (2, 3, 2), 'maps': 4, 'hidden': (6, 5)}
    model = HybridSN(depth, 3, window, components=0, **words).double().eval()
    x = torch.randn(2, depth, window, window, dtype=torch.float64)
    want = [by_scipy(model, one.numpy()) for one in x]
    np.testing.assert_allclose(model(x).detach(), want, atol=1e-12)


def test_layers_of_the_paper() -> None:
    # the table of the paper, for Indian Pines
    model = HybridSN(in_channels=200, num_classes=16)
    counts = {
        'conv3d.0': 512,
        'conv3d.2': 5_776,
        'conv3d.4': 13_856,
        'conv2d': 331_840,
        'dense1': 4_735_232,
        'dense2': 32_896,
    }
    for name, count in counts.items():
        layer = model.backbone.get_submodule(name)
        assert sum(p.numel() for p in layer.parameters()) == count
    assert sum(p.numel() for p in model.parameters()) == 5_122_176


@pytest.mark.parametrize(('window', 'components'), [(25, 30), (15, 15), (7, 5), (1, 3)])
def test_dense_is_what_windows_give(
    window: int, components: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = get_model(
        'hybridsn', in_channels=40, num_classes=4, window=window, components=components
    ).eval()
    model.fit_spectra([{'image': torch.randn(1, 40, 50, 50)}])
    x = torch.randn(2, 40, 9, 11)
    edge = window // 2
    padded = torch.nn.functional.pad(x, (edge,) * 4)
    views = padded.unfold(2, window, 1).unfold(3, window, 1)
    windows = views.permute(0, 2, 3, 1, 4, 5).reshape(-1, 40, window, window)
    with torch.no_grad():
        want = model(windows).view(2, 9, 11, 4).movedim(-1, 1)
        torch.testing.assert_close(model.dense(x), want, atol=1e-5, rtol=0)
        # a few rows at a time
        module = sys.modules[HybridSN.__module__]
        monkeypatch.setattr(module, '_NUMBERS', 1)
        tall = torch.randn(1, 40, 3 * window + 2, 5)
        parts = model.dense(tall)
        monkeypatch.undo()
        torch.testing.assert_close(parts, model.dense(tall), atol=1e-5, rtol=0)


def test_no_window_is_made_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HybridSN(20, 3, 9, 0, filters=(2, 2, 2), maps=3).eval()

    def refuse(*args: object) -> None:
        raise AssertionError('classified window by window')

    monkeypatch.setattr(model, 'classify', refuse)
    assert model.dense(torch.randn(1, 20, 12, 12)).shape == (1, 3, 12, 12)


def test_dense_with_low_rank_matrices() -> None:
    pytest.importorskip('peft')
    model = HybridSN(10, 3, 11, 0, filters=(2, 2, 2), maps=3).eval()
    add_lora(model.backbone, 2)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if 'lora' in name:
                values.normal_()
        x = torch.randn(1, 10, 11, 11)
        middle = model.dense(x)[:, :, 5, 5]
        torch.testing.assert_close(middle, model(x), atol=1e-5, rtol=1e-5)


def test_components_need_pixels() -> None:
    model = HybridSN(40, 3, window=1, components=30)
    with pytest.raises(EmptyDataError, match='lower the number of components'):
        model.fit_spectra([{'image': torch.randn(20, 40, 1, 1)}])
    with pytest.raises(BandMismatchError, match='components'):
        HybridSN(20, 3)
