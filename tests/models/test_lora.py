# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of low-rank adaptation."""

import copy
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.models import (
    add_lora,
    lora_layers,
    merge_lora,
    scale_lora,
    trainable_share,
)


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(12, 20),
        nn.GELU(),
        nn.Sequential(nn.Linear(20, 16, bias=False), nn.LayerNorm(16)),
        nn.Linear(16, 4),
    ).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 12, generator=generator, dtype=dtype)


def matrices(module: nn.Module, letter: str) -> list[Tensor]:
    return [p for k, p in module.named_parameters() if f'lora_{letter}.' in k]


def trained(rank: int = 3, alpha: float = 6, dropout: float = 0) -> nn.Sequential:
    """A network whose matrices are not 0."""
    layers = network()
    add_lora(layers, rank, alpha, dropout)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for up in matrices(layers, 'B'):
            up.copy_(torch.randn(up.shape, generator=generator, dtype=up.dtype))
    return layers.eval()


def test_starts_as_it_was() -> None:
    plain = network().eval()
    adapted = copy.deepcopy(plain)
    add_lora(adapted, rank=3, alpha=6, dropout=0.5)
    assert torch.equal(adapted.eval()(batch()), plain(batch()))
    assert all(not up.any() for up in matrices(adapted, 'B'))
    # as it has to be, for U to get a gradient
    assert all(down.all() for down in matrices(adapted, 'A'))


def test_formula() -> None:
    # y = W x + b + (alpha / r) U D x, written out
    layers = trained(rank=3, alpha=6)
    state = layers.state_dict()

    def linear(x: Tensor, name: str) -> Tensor:
        up = state[f'{name}.lora_B.default.weight']
        down = state[f'{name}.lora_A.default.weight']
        bias = state.get(f'{name}.base_layer.bias', torch.zeros(()).double())
        weight = state[f'{name}.base_layer.weight']
        return x @ weight.T + bias + 2 * (x @ down.T @ up.T)

    x = nn.functional.gelu(linear(batch(), '0'))
    x = nn.functional.layer_norm(
        linear(x, '2.0'), (16,), state['2.1.weight'], state['2.1.bias']
    )
    torch.testing.assert_close(layers(batch()), linear(x, '3'), rtol=0, atol=1e-12)


def test_merge_is_exact() -> None:
    layers = trained()
    before = layers(batch())
    assert not torch.allclose(before, network()(batch()))
    assert merge_lora(layers) == 3
    torch.testing.assert_close(layers(batch()), before, rtol=0, atol=1e-12)
    assert layers.state_dict().keys() == network().state_dict().keys()
    assert not lora_layers(layers)
    assert merge_lora(layers) == 0


def test_merge_of_merged_layers() -> None:
    # what somebody else has merged already is not added twice
    layers = trained()
    before = layers(batch())
    layer: Any = layers[0]
    layer.merge()
    merge_lora(layers)
    torch.testing.assert_close(layers(batch()), before, rtol=0, atol=1e-12)


def test_merge_takes_the_strength_along() -> None:
    layers = trained()
    assert scale_lora(layers, 0.25) == 3
    before = layers(batch())
    merge_lora(layers)
    torch.testing.assert_close(layers(batch()), before, rtol=0, atol=1e-12)


def test_strength() -> None:
    # linear in the strength, and 1 is what it was built with
    single = nn.Sequential(network()[0])
    add_lora(single, 2, alpha=8)
    with torch.no_grad():
        matrices(single, 'B')[0].normal_(generator=torch.Generator().manual_seed(3))
    found = {}
    for strength in (0, 1, 0.5, 1):
        scale_lora(single, strength)
        found.setdefault(strength, single(batch()))
        assert torch.equal(found[strength], single(batch()))
    torch.testing.assert_close(found[0.5], (found[0] + found[1]) / 2)
    assert torch.equal(found[0], network()[0](batch()))


def test_learns_nothing_else() -> None:
    layers = trained(rank=3)
    learns = {k for k, p in layers.named_parameters() if p.requires_grad}
    assert learns == {k for k, _ in layers.named_parameters() if 'lora_' in k}
    added = 3 * ((12 + 20) + (20 + 16) + (16 + 4))
    plain = sum(p.numel() for p in network().parameters())
    assert trainable_share(layers) == pytest.approx(added / (added + plain))
    merge_lora(layers)
    assert trainable_share(layers) == 0
    assert trainable_share(nn.GELU()) == 0


def test_dropout_lies_in_front_of_the_matrices() -> None:
    layers = trained(dropout=0.5).train()
    torch.manual_seed(0)
    assert not torch.equal(layers(batch()), layers(batch()))
    scale_lora(layers, 0)
    # what was there before is not touched by it
    assert torch.equal(layers(batch()), layers(batch()))


def test_is_kept_with_the_weights() -> None:
    # a copy that is not deep would change with the network
    layers = trained()
    state = copy.deepcopy(layers.state_dict())
    before = layers(batch())
    with torch.no_grad():
        for p in layers.parameters():
            p.add_(1)
    assert not torch.allclose(layers(batch()), before)
    layers.load_state_dict(state)
    assert torch.equal(layers(batch()), before)
    again = network().eval()
    add_lora(again, 3, 6)
    again.load_state_dict(state)
    assert torch.equal(again(batch()), before)


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='0 linear layers'):
        add_lora(nn.Sequential(nn.Conv2d(1, 1, 1)), 2)
    with pytest.raises(ValueError, match='0 linear layers'):
        # nothing would hold what takes its place
        add_lora(nn.Linear(2, 2), 2)
    with pytest.raises(ValueError, match='rank of 0'):
        add_lora(network(), 0)
    with pytest.raises(ValueError, match='lora_alpha'):
        add_lora(network(), 2, alpha=0)
    with pytest.raises(ValueError, match='lora_dropout'):
        add_lora(network(), 2, dropout=1)
    with pytest.raises(ValueError, match='merge_lora first'):
        add_lora(trained(), 2)
    with pytest.raises(ValueError, match='got -1'):
        scale_lora(trained(), -1)
    with pytest.raises(MetadataError, match='holds the layers'):
        merge_lora(trained()[0])
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[lora\]'):
        add_lora(network(), 2)
