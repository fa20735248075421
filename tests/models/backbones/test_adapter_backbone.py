# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The adapter in front of other backbones of timm."""

from collections import OrderedDict
from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import SpectralAdapterBackbone
from torchgeo_hsi.models.backbones.adapter_backbone import BACKBONES


def images(size: int = 64, bands: int = 80) -> torch.Tensor:
    return torch.rand(1, bands, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('name', BACKBONES)
def test_registered(name: str) -> None:
    with torch.device('meta'):
        model = timm.create_model(f'spec_{name}', in_chans=80, num_classes=3)
        plain = timm.create_model(name, in_chans=128, num_classes=0, **BACKBONES[name])
    own = sum(p.numel() for p in model.parameters())
    head = 3 * (model.num_features + 1)
    assert own == sum(p.numel() for p in plain.parameters()) + 56_192 + head
    cfg = timm.get_pretrained_cfg(f'spec_{name}')
    assert cfg.input_size[0] == 202
    assert cfg.first_conv is None
    assert f'spec_{name}' not in timm.list_models('spec_*', pretrained=True)


@pytest.mark.parametrize('name', BACKBONES)
def test_strides_are_those_of_the_maps(name: str) -> None:
    model = timm.create_model(f'spec_{name}', in_chans=80, features_only=True).eval()
    with torch.no_grad():
        maps = model(images())
    if str(getattr(model, 'output_fmt', 'NCHW')).endswith('NHWC'):
        maps = [m.permute(0, 3, 1, 2) for m in maps]
    assert [64 // m.shape[-1] for m in maps] == model.feature_info.reduction()
    assert [m.shape[1] for m in maps] == model.feature_info.channels()


@pytest.mark.parametrize('name', ['resnet18', 'convnext_tiny', 'mobilenetv3_large_100'])
def test_is_the_adapter_and_the_backbone(name: str) -> None:
    torch.manual_seed(0)
    model = SpectralAdapterBackbone(name, in_chans=80, num_classes=3).eval()
    plain = timm.create_model(name, in_chans=128, num_classes=0).eval()
    plain.load_state_dict(model.backbone.state_dict())
    with torch.no_grad():
        x = model.spectral_adapter(images())
        features = plain(x)
        assert features.shape == (1, model.num_features)
        torch.testing.assert_close(model(images()), model.head(features))
        maps = model.forward_features(images())
        torch.testing.assert_close(maps, plain.forward_features(x))
        torch.testing.assert_close(model.forward_head(maps, pre_logits=True), features)
        levels = model.forward_intermediates(images(), intermediates_only=True)
        expected = plain.forward_intermediates(x, intermediates_only=True)
    for left, right in zip(levels, expected, strict=True):
        torch.testing.assert_close(left, right)


def test_head() -> None:
    model = timm.create_model('spec_resnet18', in_chans=80).eval()
    assert model(images()).shape == (1, 512)
    model.double().reset_classifier(4)
    assert model.get_classifier().weight.dtype == torch.float64
    assert model(images().double()).shape == (1, 4)
    model.reset_classifier(0, '')
    assert model(images().double()).shape == (1, 512, 2, 2)


def test_weights_of_timm_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rgb = timm.create_model('resnet18')
    path = tmp_path / 'resnet18.pth'
    torch.save(OrderedDict(rgb.state_dict()), path)
    model = timm.create_model(
        'spec_resnet18',
        pretrained=True,
        pretrained_cfg_overlay={'file': str(path)},
        in_chans=80,
        num_classes=3,
    )
    torch.testing.assert_close(
        model.backbone.layer4[1].conv2.weight, rgb.layer4[1].conv2.weight
    )
    # timm repeats the colours over the 128 maps and keeps the sum
    weight = rgb.conv1.weight
    repeated = weight.repeat(1, 43, 1, 1)[:, :128] * 3 / 128
    torch.testing.assert_close(model.backbone.conv1.weight, repeated)


def test_other_numbers_of_bands() -> None:
    model = timm.create_model('spec_resnet18', in_chans=80)
    with pytest.raises(BandMismatchError, match='built for 80 bands, got 202'):
        model(images(bands=202))
    with pytest.raises(BandMismatchError, match='at least 75 bands, got 4'):
        timm.create_model('spec_convnext_tiny', in_chans=4)


def test_layer_decay() -> None:
    model = timm.create_model('spec_convnext_tiny', in_chans=80, num_classes=2)
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale = {id(p): g['lr_scale'] for g in groups for p in g['params']}
    backbone = model.backbone
    early = scale[id(model.spectral_adapter[0].weight)]
    assert early == scale[id(backbone.stem[0].weight)]
    assert early < scale[id(backbone.stages[3].blocks[0].conv_dw.weight)]
    assert scale[id(model.head.weight)] == 1


def test_parameters_that_do_not_decay() -> None:
    model = timm.create_model('spec_swin_tiny_patch4_window7_224', in_chans=80)
    names = {name for name, _ in model.named_parameters()}
    skip = model.no_weight_decay()
    assert skip
    assert skip <= names


def test_gradient_checkpointing() -> None:
    model = timm.create_model('spec_resnet18', in_chans=80).train()
    model.set_grad_checkpointing()
    assert model.backbone.grad_checkpointing
    model(torch.cat([images(), images()])).sum().backward()
    assert model.spectral_adapter[0].weight.grad is not None


@pytest.mark.parametrize(
    ('decoder', 'name'),
    [
        (smp.Unet, 'efficientnet_b0'),
        (smp.UPerNet, 'convnext_tiny'),
        (smp.DeepLabV3Plus, 'resnet18'),
        (smp.Segformer, 'pvt_v2_b2'),
    ],
)
def test_decoders(decoder: type[nn.Module], name: str) -> None:
    model = decoder(
        encoder_name=f'tu-spec_{name}', encoder_weights=None, in_channels=80, classes=3
    ).eval()
    with torch.no_grad():
        assert model(images()).shape == (1, 3, 64, 64)
