# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Foundation models of torchgeo behind our interface."""

import copy
import sys
from typing import Any

import pytest
import timm
import torch
import torchgeo.models
from torch import Tensor, nn
from torchgeo.models import get_model_weights

from torchgeo_hsi._compat import torchgeo_network
from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import Classifier, FoundationTransformer, Segmenter, use_bands
from torchgeo_hsi.models.backbones.foundation import NETWORKS

WAVELENGTH = torch.tensor([0.49, 0.56, 0.665, 0.842])
FWHM = torch.tensor([0.066, 0.036, 0.031, 0.106])
SAMPLE = {'wavelength': WAVELENGTH, 'fwhm': FWHM}
NAMES = ['dofa_small_wl', 'panopticon_vitb14_wl', 'copernicusfm_base_wl']


def image(size: int, batch: int = 2, width: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 4, size, width or size, generator=generator)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def networks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[FoundationTransformer, nn.Module]:
    """Our network and that of torchgeo, with the same weights."""
    made = []

    def build(*args: Any, **kwargs: Any) -> nn.Module:
        network = torchgeo_network(*args, **kwargs)
        for parameter in network.parameters():
            # tokens and position embeddings start as zeros
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        made.append(copy.deepcopy(network).eval())
        return network

    monkeypatch.setattr(
        'torchgeo_hsi.models.backbones.foundation.torchgeo_network', build
    )
    torch.manual_seed(0)
    size = 56 if 'panopticon' in name else 64
    model = timm.create_model(name, in_chans=4, img_size=size).eval()
    return model, made[0]


def torchgeo_features(network: Any, name: str, x: Tensor) -> Tensor:
    """Call a network as the documentation of torchgeo does."""
    if 'panopticon' in name:
        chn_ids = (1000 * WAVELENGTH).round().expand(len(x), -1).clone()
        return network({'imgs': x, 'chn_ids': chn_ids})
    if 'dofa' in name:
        return network(x, WAVELENGTH.tolist())
    nm, width = [490, 560, 665, 842], [66, 36, 31, 106]
    unknown = torch.full((len(x), 4), float('nan'))
    return network(x, unknown, wavelengths=nm, bandwidths=width)


@torch.no_grad()
def test_features_are_those_of_torchgeo(
    networks: tuple[FoundationTransformer, nn.Module], name: str
) -> None:
    model, original = networks
    x = image(model.patch_embed.img_size[0])
    with use_bands(model, SAMPLE):
        found = model(x)
    expected = torchgeo_features(original, name, x.clone())
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    if 'copernicus' in name:
        # it resizes its position embeddings, too
        with use_bands(model, SAMPLE):
            found = model(image(96))
        expected = torchgeo_features(original, name, image(96))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_sizes_and_features(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, in_chans=4, num_classes=3).eval()
    patch = NETWORKS[name][1]
    x = image(40, width=70)
    with pytest.raises(BandMismatchError, match='wavelength'):
        model(x)
    with use_bands(model, SAMPLE):
        assert model(x).shape == (2, 3)
        last, (level,) = model.forward_intermediates(x, indices=1, norm=True)
        assert last.shape[1] == 1 + level.shape[2] * level.shape[3]
        assert model.forward_head(last, pre_logits=True).shape == (
            2,
            model.num_features,
        )
    assert level.shape[2:] == (-(-40 // patch), -(-70 // patch))
    assert len(model.feature_info) == len(model.blocks) == 12
    assert model.feature_info[-1]['reduction'] == patch


@torch.no_grad()
def test_bands_of_each_image(name: str) -> None:
    model = timm.create_model(name, in_chans=4).eval()
    x, wavelength = image(32), torch.stack([WAVELENGTH, WAVELENGTH + 0.05])
    with use_bands(model, {'wavelength': wavelength, 'fwhm': FWHM}):
        found = model(x)
    for i in range(2):
        with use_bands(model, {'wavelength': wavelength[i], 'fwhm': FWHM}):
            torch.testing.assert_close(
                model(x[i : i + 1]), found[i : i + 1], rtol=1e-3, atol=1e-4
            )
    # the batch keeps its bands: Panopticon changes what it gets
    assert torch.equal(wavelength[0], WAVELENGTH)
    with use_bands(model, SAMPLE):
        usual = model.patch_embed(x)
    with use_bands(model, {'wavelength': wavelength, 'fwhm': FWHM}):
        found = model.patch_embed(x)
    torch.testing.assert_close(found[:1], usual[:1], rtol=1e-3, atol=1e-4)
    assert float((found[1] - usual[1]).norm() / usual[1].norm()) > 1e-3


def test_learns(name: str) -> None:
    model = timm.create_model(name, num_classes=2, wavelength=WAVELENGTH, fwhm=FWHM)
    model(image(32)).sum().backward()
    unused = [
        key for key, p in model.named_parameters() if p.requires_grad and p.grad is None
    ]
    # distributed training would refuse them
    assert unused == []
    with torch.autocast('cpu', torch.bfloat16):
        assert model(image(32)).isfinite().all()


@torch.no_grad()
def test_heads() -> None:
    segmenter = Segmenter('dofa_small_wl', 'upernet', in_channels=4, num_classes=3)
    classifier = Classifier('dofa_small_wl', in_channels=4, pool='token')
    maps = timm.create_model('dofa_small_wl', in_chans=4, features_only=True)
    for model, shape in ((segmenter, (2, 3, 50, 50)), (classifier, (2, 2))):
        with use_bands(model.eval(), SAMPLE):
            assert model(image(50)).shape == shape
    with use_bands(maps, SAMPLE):
        assert [m.shape for m in maps(image(48))] == [(2, 384, 3, 3)] * 3


@pytest.mark.parametrize('ours', NETWORKS)
def test_names(ours: str) -> None:
    assert timm.is_model(ours)
    with torch.device('meta'):
        model = timm.create_model(ours)
    assert model.patch_embed.patch_size == (NETWORKS[ours][1],) * 2


def test_weights_are_those_of_torchgeo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get_model(name: str, **kwargs: Any) -> nn.Module:
        weights = kwargs.pop('weights')
        assert weights in get_model_weights(name)
        asked.append(weights)
        return getattr(torchgeo.models, name)(**kwargs)

    monkeypatch.setattr(torchgeo.models, 'get_model', get_model)
    with torch.device('meta'):
        timm.create_model('dofa_base_wl', pretrained=True)
        timm.create_model('copernicusfm_base_wl', pretrained=True)
        timm.create_model('panopticon_vitb14_wl', pretrained=True)
    assert [str(entry) for entry in asked] == [
        'DOFABase16_Weights.DOFA_MAE',
        'CopernicusFM_Base_Weights.CopernicusFM_ViT',
        'Panopticon_Weights.VIT_BASE14',
    ]
    with pytest.raises(RuntimeError, match='no weights of dofa_small'):
        timm.create_model('dofa_small_wl', pretrained=True)


def test_without_torchgeo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'torchgeo.models', None)
    with pytest.raises(ImportError, match='pip install torchgeo'):
        timm.create_model('dofa_small_wl')
