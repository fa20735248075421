# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of attention within windows: no attention goes to padding."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchgeo_hsi.models.pixel_classification._window_attention import (
    Downsample,
    WindowAttention,
    WindowBlock,
)

DIM, HEADS, WINDOW = 8, 2, 3
Array = NDArray[np.float64]


def attention() -> WindowAttention:
    torch.manual_seed(0)
    layer = WindowAttention(DIM, HEADS, WINDOW).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5)
    return layer


def tokens(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, DIM, generator=generator, dtype=torch.float64)


def attend(layer: WindowAttention, x: Array, places: list[tuple[int, int]]) -> Array:
    """Attention of some tokens at some places of a window, one by one."""
    state = {k: v.numpy() for k, v in layer.state_dict().items()}
    table = state['position_bias.relative_position_bias_table']
    qkv = x @ state['qkv.weight'].T + state['qkv.bias']
    out = np.zeros_like(x)
    size = DIM // HEADS
    for head in range(HEADS):
        q, k, v = (
            qkv[:, part * DIM + head * size : part * DIM + (head + 1) * size]
            for part in range(3)
        )
        for i, (row, column) in enumerate(places):
            logits = np.array(
                [
                    q[i] @ k[j] / np.sqrt(size)
                    + table[
                        (row - other[0] + WINDOW - 1) * (2 * WINDOW - 1)
                        + (column - other[1] + WINDOW - 1),
                        head,
                    ]
                    for j, other in enumerate(places)
                ]
            )
            weights = np.exp(logits - logits.max())
            weights /= weights.sum()
            out[i, head * size : (head + 1) * size] = weights @ v
    return out @ state['proj.weight'].T + state['proj.bias']


#: Tokens of a window that are no padding: all, a corner, a single one.
KNOWN = {
    'all': [(r, c) for r in range(3) for c in range(3)],
    'corner': [(0, 0), (0, 1), (1, 0), (1, 1)],
    'row': [(2, 0), (2, 1), (2, 2)],
    'one': [(0, 0)],
}


@pytest.mark.parametrize('name', KNOWN)
def test_attention(name: str) -> None:
    places = KNOWN[name]
    known = torch.zeros(1, WINDOW, WINDOW, dtype=torch.bool)
    for place in places:
        known[0][place] = True
    known = known.flatten(1)
    layer, x = attention(), tokens(4, 1, WINDOW**2)
    with torch.no_grad():
        found = layer(x, known)[:, 0, known[0]].numpy()
    for one, some in zip(found, x[:, 0, known[0]].numpy(), strict=True):
        np.testing.assert_allclose(one, attend(layer, some, places), atol=1e-12)


def test_padding_changes_nothing() -> None:
    layer, x = attention(), tokens(2, 1, WINDOW**2)
    known = torch.tensor([[True] * 4 + [False] * 5])
    other = x.clone()
    other[:, :, 4:] = 1e3 * tokens(2, 1, 5, seed=2)
    with torch.no_grad():
        found = [layer(one, known)[:, :, :4] for one in (x, other)]
        without = [layer(one)[:, :, :4] for one in (x, other)]
    assert torch.equal(*found)
    # which the mask is for
    assert not torch.allclose(*without)


def test_padding_gets_no_gradient() -> None:
    # the share of the attention that goes to a token is the gradient of its value
    layer, x = attention(), tokens(1, 1, WINDOW**2).requires_grad_()
    known = torch.tensor([[True] * 4 + [False] * 5])
    layer(x, known)[:, :, :4].sum().backward()
    assert x.grad is not None
    assert not x.grad[:, :, 4:].any()
    assert x.grad[:, :, :4].all()


@pytest.mark.parametrize('grid', [1, 2, 3, 4, 5, 7])
def test_block(grid: int) -> None:
    # windows of a grid, attended to on their own, without any padding
    torch.manual_seed(0)
    block = WindowBlock(DIM, HEADS, grid, WINDOW).double().eval()
    if grid >= WINDOW:
        block.attention = attention()
    size = min(grid, WINDOW)
    x = tokens(2, grid, grid)
    with torch.no_grad():
        found = block(x).numpy()
        normed = block.norm1(x).numpy()
        want = x.numpy().copy()
        for top in range(0, grid, size):
            for left in range(0, grid, size):
                part = normed[:, top : top + size, left : left + size]
                places = [
                    (r, c) for r in range(part.shape[1]) for c in range(part.shape[2])
                ]
                for one, window in enumerate(part):
                    if grid < WINDOW:
                        # its table is that of a smaller window
                        own = block.attention(
                            torch.tensor(window).reshape(1, 1, -1, DIM)
                        )
                        mixed = own[0, 0].numpy()
                    else:
                        flat = window.reshape(-1, DIM)
                        mixed = attend(block.attention, flat, places)
                    want[one, top : top + size, left : left + size] += mixed.reshape(
                        window.shape
                    )
        after = torch.tensor(want)
        want = (after + block.mlp(block.norm2(after))).numpy()
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_swiglu() -> None:
    # W3 (silu(W1 x) * W2 x), with 8 / 3 of the channels inside
    block = WindowBlock(48, 4, 5, 7).double()
    linears = [m for m in block.mlp.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linears] == [
        (48, 128),
        (48, 128),
        (128, 48),
    ]
    x = torch.randn(5, 48, generator=torch.Generator().manual_seed(0)).double()
    gate, inner, out = linears
    want = out(gate(x) * torch.sigmoid(gate(x)) * inner(x))
    torch.testing.assert_close(block.mlp(x), want, rtol=0, atol=1e-12)


def test_mask_is_not_saved() -> None:
    block = WindowBlock(DIM, HEADS, 5, WINDOW)
    assert block.known is not None
    # 4 windows of 9 tokens; 25 of them are there
    assert block.known.shape == (4, 9)
    assert int(block.known.sum()) == 25
    assert 'known' not in block.state_dict()
    assert WindowBlock(DIM, HEADS, 6, WINDOW).known is None


@pytest.mark.parametrize(('grid', 'want'), [(7, 4), (4, 2), (2, 1), (1, 1)])
def test_downsample(grid: int, want: int) -> None:
    layer = Downsample(DIM, 12).double()
    assert layer(tokens(2, grid, grid)).shape == (2, want, want, 12)
