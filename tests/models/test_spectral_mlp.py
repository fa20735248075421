# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the perceptron on single spectra."""

import pytest
import torch
from torch import nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.spectral_mlp import SpectralMLP


def test_equals_linear_layers_on_each_pixel() -> None:
    torch.manual_seed(0)
    model = SpectralMLP(20, 3, hidden=(8, 6), drop_rate=0.0).double().eval()
    x = torch.rand(2, 20, 4, 5, dtype=torch.float64)
    pixels = x.permute(0, 2, 3, 1)
    for conv, norm in (model.layers[:2], model.layers[4:6]):
        pixels = pixels @ conv.weight[:, :, 0, 0].T + conv.bias
        mean = pixels.mean(-1, keepdim=True)
        var = pixels.var(-1, unbiased=False, keepdim=True)
        pixels = (pixels - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias
        pixels = pixels * 0.5 * (1 + torch.erf(pixels / 2**0.5))
    want = pixels @ model.head.weight[:, :, 0, 0].T + model.head.bias
    torch.testing.assert_close(model(x), want.permute(0, 3, 1, 2))


def test_no_context() -> None:
    model = get_model('spectral_mlp', in_channels=12, num_classes=2).eval()
    x = torch.rand(1, 12, 6, 6)
    other = x.clone()
    other[..., 3, 3] = 1e4
    same = torch.ones(6, 6, dtype=torch.bool)
    same[3, 3] = False
    assert torch.equal(model(x)[..., same], model(other)[..., same])
    assert not torch.equal(model(x)[..., 3, 3], model(other)[..., 3, 3])


def test_layers() -> None:
    model = get_model('spectral_mlp', in_channels=202, num_classes=6, hidden=[32])
    assert sum(p.numel() for p in model.parameters()) == 203 * 32 + 2 * 32 + 33 * 6
    linear = SpectralMLP(202, 6, hidden=())
    assert [type(m) for m in linear.layers] == []
    assert isinstance(linear.head, nn.Conv2d)


@pytest.mark.parametrize('shape', [(1, 224, 4, 4), (202, 4, 4)])
def test_wrong_bands(shape: tuple[int, ...]) -> None:
    with pytest.raises(BandMismatchError, match='in_channels'):
        SpectralMLP(202, 6)(torch.rand(shape))
    with pytest.raises(BandMismatchError, match='at least one band'):
        SpectralMLP(0, 6)
