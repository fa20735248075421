# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of backbones on windows."""

from typing import Any

import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import Classifier, WindowClassifier, get_model


@pytest.mark.parametrize(
    'words',
    [
        {},
        {'head': 'mlp'},
        {'backbone': 'resnet18'},
        {'backbone': 'spec_vit_tiny', 'pool': 'avg'},
    ],
    ids=str,
)
def test_is_the_classifier_of_small_images(words: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = WindowClassifier(80, 4, window=7, **words).eval()
    same = Classifier(
        in_channels=80, num_classes=4, **({'backbone': 'spec_resnet18'} | words)
    )
    same.load_state_dict(model.state_dict())
    x = torch.randn(3, 80, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(model(x), same.eval()(x))


@pytest.mark.parametrize(
    'backbone', ['spec_mobilenetv3_large_100', 'spec_resnet18_wl', 'resnet18']
)
def test_dense_is_what_windows_give(backbone: str) -> None:
    torch.manual_seed(0)
    words: dict[str, Any] = {'backbone': backbone}
    if backbone.endswith('_wl'):
        wavelength = torch.linspace(0.4, 2.4, 80)
        words['backbone_kwargs'] = {'wavelength': wavelength.tolist()}
    model = WindowClassifier(80, 4, window=5, **words).eval()
    x = torch.randn(1, 80, 4, 5)
    padded = torch.nn.functional.pad(x, (2,) * 4)
    with torch.no_grad():
        dense = model.dense(x)
        for row in range(4):
            window = padded[:, :, row : row + 5, 3:8]
            torch.testing.assert_close(
                dense[:, :, row, 3], model(window), atol=1e-5, rtol=1e-5
            )


def test_adapter_runs_once_over_an_image() -> None:
    model = get_model('window_classifier', in_channels=80, num_classes=2, window=5)
    model.eval()
    seen = []
    model.backbone.spectral_adapter.register_forward_hook(
        lambda module, args, out: seen.append(args[0].shape)
    )
    model.dense(torch.randn(1, 80, 6, 6))
    assert seen == [(1, 80, 10, 10)]


def test_size() -> None:
    model = WindowClassifier(80, 2, window=5, backbone='resnet18', size=32).eval()
    seen = []
    model.backbone.conv1.register_forward_hook(
        lambda module, args, out: seen.append(args[0].shape)
    )
    model(torch.randn(2, 80, 5, 5))
    assert seen == [(2, 80, 32, 32)]
    assert model.dense(torch.randn(1, 80, 3, 3)).shape == (1, 2, 3, 3)
    with pytest.raises(ValueError, match='positive size'):
        WindowClassifier(80, 2, size=0)


def test_too_few_bands() -> None:
    with pytest.raises(BandMismatchError, match='75'):
        WindowClassifier(30, 2)
    assert WindowClassifier(30, 2, backbone='resnet18').in_channels == 30
