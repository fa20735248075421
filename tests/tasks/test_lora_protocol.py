# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the protocol of low-rank adaptation, and of trunks that tasks load."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from torchgeo_hsi.models import lola_specvit_tiny, lora_layers
from torchgeo_hsi.tasks import HSIPixelClassification
from torchgeo_hsi.tasks._protocols import freeze


def backbone() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 4))


@pytest.mark.parametrize(
    ('words', 'scale', 'dropout'),
    [
        ({}, 1, 0),
        ({'lora_alpha': None}, 1, 0),
        ({'lora_alpha': 8, 'lora_dropout': 0.25}, 4, 0.25),
    ],
)
def test_scale_and_dropout(words: dict[str, Any], scale: float, dropout: float) -> None:
    network = backbone()
    freeze(network, 'lora', lora_rank=2, **words)
    layers: list[Any] = list(lora_layers(network).values())
    assert len(layers) == 2
    for layer in layers:
        assert layer.scaling['default'] == scale
        assert layer.r['default'] == 2
        assert getattr(layer.lora_dropout['default'], 'p', 0) == dropout


def test_full_adds_nothing() -> None:
    network = backbone()
    freeze(network, 'full', lora_alpha=8, lora_dropout=0.1)
    assert not lora_layers(network)
    assert all(p.requires_grad for p in network.parameters())


SMALL: dict[str, Any] = {
    'components': 4,
    'dims': (12, 24),
    'heads': (2, 4),
    'depths': (1, 1),
}


@pytest.mark.parametrize('protocol', ['lora', 'frozen', 'full'])
def test_trunk_of_another_scene(protocol: Any, tmp_path: Path) -> None:
    # the trunk of a checkpoint with three classes, for a scene with five
    torch.manual_seed(0)
    trunk = lola_specvit_tiny(8, 3, 9, **SMALL)
    trunk.fit_spectra([{'image': torch.randn(8, 12, 12)}])
    trunk.eval()
    path = tmp_path / 'trunk.ckpt'
    state = {f'model.{key}': value for key, value in trunk.state_dict().items()}
    torch.save({'state_dict': state}, path)
    task = HSIPixelClassification(
        'lola_specvit_tiny',
        8,
        5,
        9,
        SMALL,
        weights=str(path),
        protocol=protocol,
        lora_rank=2,
        lora_alpha=8,
    ).eval()
    model: Any = task.model
    assert model.is_fitted
    windows = torch.randn(3, 8, 9, 9)
    found = model.backbone(model.reduce(windows))
    torch.testing.assert_close(found, trunk.backbone(trunk.reduce(windows)))
    learns = {k for k, p in model.named_parameters() if p.requires_grad}
    head = {'head.weight', 'head.bias'}
    if protocol == 'full':
        assert learns == {k for k, _ in model.named_parameters()}
    else:
        assert {k for k in learns if '.lora_' not in k} == head
        assert (learns == head) == (protocol == 'frozen')
    assert bool(lora_layers(model)) == (protocol == 'lora')
    layers: list[Any] = list(lora_layers(model).values())
    scales = {layer.scaling['default'] for layer in layers}
    assert scales == ({4.0} if protocol == 'lora' else set())
