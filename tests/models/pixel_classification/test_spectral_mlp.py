# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the perceptron on single spectra."""

import numpy as np
import pytest
import torch
from torch import nn

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.pixel_classification.spectral_mlp import (
    SpectralMLP,
    SpectralWhitening,
)


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


def correlated(count: int = 6) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(10, 10, generator=generator, dtype=torch.float64)
    mixing[:, 0] *= 100
    samples = []
    for _ in range(count):
        noise = torch.randn(10, 8 * 9, generator=generator, dtype=torch.float64)
        image = (mixing @ noise + 5).view(10, 8, 9)
        valid = torch.rand(8, 9, generator=generator) > 0.2
        samples.append({'image': image.float(), 'valid': valid})
    return samples


def test_whitening_against_numpy() -> None:
    samples = correlated()
    pixels = np.concatenate(
        [s['image'][:, s['valid']].double().numpy() for s in samples], axis=1
    )
    values, vectors = np.linalg.eigh(np.cov(pixels, bias=True))
    white = SpectralWhitening(10, 4).double()
    white.fit(samples)
    want = (vectors[:, -4:] / np.sqrt(values[-4:])).T
    # the sign of an eigenvector is free
    np.testing.assert_allclose(white.projection.abs(), np.abs(want), rtol=1e-6)
    image = torch.stack([s['image'] for s in samples]).double()
    out = white(image).movedim(1, 0)[:, torch.stack([s['valid'] for s in samples])]
    torch.testing.assert_close(
        torch.cov(out, correction=0), torch.eye(4, dtype=torch.float64)
    )
    assert out.mean(1).abs().max() < 1e-9


def test_whitening_sees_no_invalid_pixel() -> None:
    clean, dirty = SpectralWhitening(10, 4), SpectralWhitening(10, 4)
    clean.fit(correlated())
    dirty.fit(
        {**s, 'image': s['image'].masked_fill(~s['valid'], -32768.0)}
        for s in correlated()
    )
    assert torch.equal(clean.projection, dirty.projection)
    with pytest.raises(EmptyDataError, match='principal components'):
        clean.fit({**s, 'valid': torch.zeros(8, 9, dtype=bool)} for s in correlated())


def test_fitted_once_and_kept() -> None:
    model = get_model('spectral_mlp', in_channels=10, num_classes=2, whiten=4)
    model.fit_spectra(correlated())
    first = model.whitening.projection.clone()
    model.fit_spectra([{'image': torch.rand(10, 8, 9)}])
    assert torch.equal(model.whitening.projection, first)
    other = get_model('spectral_mlp', in_channels=10, num_classes=2, whiten=4)
    other.load_state_dict(model.state_dict())
    assert bool(other.whitening.is_fitted)
    with pytest.raises(BandMismatchError, match='components'):
        SpectralMLP(10, 2, whiten=11)
