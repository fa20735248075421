# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of SpectralFormer."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.models import SpectralFormer, get_model


def normed(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float
) -> np.ndarray:
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias


def gelu(x: np.ndarray) -> np.ndarray:
    erf = torch.erf(torch.from_numpy(x) / 2**0.5).numpy()
    return x * 0.5 * (1 + erf)


def by_numpy(model: SpectralFormer, window: np.ndarray, fusion: bool) -> np.ndarray:
    """Do what the paper says for one window."""
    state = {k: v.double().numpy() for k, v in model.state_dict().items()}
    trunk = {k.removeprefix('backbone.'): v for k, v in state.items()}
    bands, group, stride = len(window), 3, 2
    heads = model.backbone.blocks[0].attn.num_heads
    tokens = [trunk['class_token'][0, 0]]
    for center in range(0, bands, stride):
        near = [min(max(center + i, 0), bands - 1) for i in range(-1, group - 1)]
        flat = window[near].ravel()
        tokens.append(trunk['embedding.weight'] @ flat + trunk['embedding.bias'])
    x = np.stack(tokens) + trunk['positions'][0]
    inputs = []
    for i, block in enumerate(model.backbone.blocks):
        own = {
            k.removeprefix(f'blocks.{i}.'): v
            for k, v in trunk.items()
            if k.startswith(f'blocks.{i}.')
        }
        inputs.append(x)
        if fusion and i >= 2:
            first, second = trunk['fusion'][i - 2]
            x = first * x + second * inputs[i - 2]
        eps = block.norm1.eps
        y = normed(x, own['norm1.weight'], own['norm1.bias'], eps)
        y = y @ own['attn.qkv.weight'].T
        parts = []
        for head in range(heads):
            q, k, v = (
                np.split(part, heads, axis=1)[head] for part in np.split(y, 3, axis=1)
            )
            scores = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            parts.append(scores / scores.sum(1, keepdims=True) @ v)
        y = np.concatenate(parts, axis=1)
        x = x + y @ own['attn.proj.weight'].T + own['attn.proj.bias']
        y = normed(x, own['norm2.weight'], own['norm2.bias'], eps)
        y = gelu(y @ own['mlp.fc1.weight'].T + own['mlp.fc1.bias'])
        x = x + y @ own['mlp.fc2.weight'].T + own['mlp.fc2.bias']
    eps = model.backbone.norm.eps
    features = normed(x[0], trunk['norm.weight'], trunk['norm.bias'], eps)
    return state['head.weight'] @ features + state['head.bias']


@pytest.mark.parametrize('window', [1, 3])
@pytest.mark.parametrize('fusion', [True, False])
def test_against_numpy(window: int, fusion: bool) -> None:
    torch.manual_seed(0)
    words = {'group': 3, 'stride': 2, 'dim': 8, 'heads': 2, 'layers': 5}
    model = SpectralFormer(11, 3, window, fusion=fusion, **words).double().eval()
    with torch.no_grad():
        for values in model.parameters():
            values.add_(torch.randn_like(values), alpha=0.2)
    x = torch.randn(2, 11, window, window, dtype=torch.float64)
    want = [by_numpy(model, one.numpy(), fusion) for one in x]
    np.testing.assert_allclose(model(x).detach(), want, atol=1e-12)


def test_sizes_of_the_paper() -> None:
    model = get_model('spectralformer', in_channels=200, num_classes=16)
    trunk = model.backbone
    assert trunk.positions.shape == (1, 201, 64)
    assert trunk.embedding.in_features == 3
    assert len(trunk.blocks) == 5
    assert trunk.fusion.shape == (3, 2)
    block = trunk.blocks[0]
    assert (block.attn.num_heads, block.attn.head_dim) == (4, 16)
    assert block.mlp.fc1.out_features == 8
    patches = SpectralFormer(200, 16, window=7)
    assert patches.backbone.embedding.in_features == 3 * 49


def test_stride_saves_tokens() -> None:
    model = SpectralFormer(200, 4, group=5, stride=5)
    assert model.backbone.positions.shape[1] == 41
    # groups begin two bands before the first one and end two bands before the last
    assert model.backbone.places.unique().tolist() == list(range(198))


def test_checkpoint_has_no_places() -> None:
    # they follow from the options
    assert not any('places' in key for key in SpectralFormer(20, 2).state_dict())


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='Use 5'):
        SpectralFormer(20, 2, group=4)
    for stride in (0, 21):
        with pytest.raises(ValueError, match='1 to 20'):
            SpectralFormer(20, 2, stride=stride)
    with pytest.raises(ValueError, match='evenly'):
        SpectralFormer(20, 2, dim=10, heads=4)
