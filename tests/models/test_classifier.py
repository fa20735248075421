# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of networks for whole images."""

from typing import Any

import pytest
import torch
from torch import nn

from torchgeo_hsi.models import Classifier, MLPHead, get_model

TINY = {'depth': 2}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ('backbone', 'head', 'outputs', 'parameters'),
    [
        ('spec_vit_small', 'linear', 19, 7_315),
        ('spec_resnet50', 'linear', 19, 38_931),
        # by hand: 2 F + (F + 1) 2048 + 2049 1024 + 1025 4
        ('spec_vit_small', 'mlp', 4, 2_891_524),
        ('spec_resnet50', 'mlp', 4, 6_302_724),
    ],
)
def test_published_heads(
    backbone: str, head: Any, outputs: int, parameters: int
) -> None:
    with torch.device('meta'):
        model = Classifier(backbone, head, num_classes=outputs)
    assert count(model.head) == parameters


def test_pooling() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 80, 16, 16)
    token, mean, own = (
        Classifier('spec_vit_tiny', 'linear', 80, 3, pool, TINY).eval()
        for pool in ('token', 'avg', None)
    )
    mean.load_state_dict(token.state_dict())
    own.load_state_dict(token.state_dict())
    with torch.no_grad():
        tokens = token.backbone.forward_features(x)
        assert torch.equal(token.forward_features(x), tokens[:, 0])
        assert torch.equal(own.forward_features(x), tokens[:, 0])
        # 16 patches behind the class token
        assert torch.allclose(mean.forward_features(x), tokens[:, 1:].sum(1) / 16)


@pytest.mark.parametrize(
    'backbone', ['spec_resnet50', 'spec_resnet18', 'spec_mobilenetv3_large_100']
)
def test_other_networks_pool_themselves(backbone: str) -> None:
    model = Classifier(backbone, 'mlp', 80, 3, pool='avg').eval()
    x = torch.randn(1, 80, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.forward_features(x), model.backbone(x))
        assert model(x).shape == (1, 3)


def test_one_sample_trains() -> None:
    head = MLPHead(6, 2, hidden=[5])
    head(torch.randn(1, 6)).sum().backward()
    before = head.layers[0].running_mean.clone()
    assert torch.equal(before, torch.zeros(6))
    head(torch.randn(2, 6))
    assert not torch.equal(head.layers[0].running_mean, before)
    # of one sample: what evaluation makes of it, dropout aside
    head = MLPHead(6, 2, hidden=[5], drop_rate=0.0)
    head(torch.randn(8, 6))
    x = torch.randn(1, 6)
    assert torch.equal(head(x), head.eval()(x))


def test_by_name() -> None:
    model = get_model(
        'classifier',
        backbone='spec_vit_tiny',
        head='mlp',
        in_channels=80,
        num_classes=4,
        pool=None,
        backbone_kwargs=TINY,
        head_kwargs={'hidden': [7], 'drop_rate': 0.5},
    )
    assert isinstance(model, Classifier)
    assert [m.p for m in model.head.layers if isinstance(m, nn.Dropout)] == [0.5]


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="'linear' or 'mlp'"):
        Classifier('spec_vit_tiny', 'conv')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='no class token'):
        Classifier('spec_resnet18', pool='token')
    with pytest.raises(ValueError, match="'token' or 'avg'"):
        Classifier('spec_vit_tiny', pool='max')  # type: ignore[arg-type]
