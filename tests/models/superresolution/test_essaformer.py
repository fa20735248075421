# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""ESSAformer against numbers of the published network, and in pieces against itself."""

from typing import Any

import numpy as np
import pytest
import torch
from models.numbers import check, check_slope, cube, filled
from models.superresolution.golden import fingerprints
from models.superresolution.golden import published_keys as keys_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import ESSAformer, get_model
from torchgeo_hsi.models.superresolution import _essa_winograd as winograd
from torchgeo_hsi.models.superresolution._essa_blocks import SpectralAttention
from torchgeo_hsi.physics.resampling import imresize_up

SMALL = {'in_channels': 5, 'dim': 36}


@pytest.mark.parametrize('row', fingerprints('essaformer'), ids=lambda r: r['options'])
@pytest.mark.parametrize('grad', [False, True])
def test_fingerprint(row: dict[str, Any], grad: bool) -> None:
    model = filled('essaformer', **row['options'])
    assert len(model.state_dict()) == row['entries']
    assert sum(p.numel() for p in model.parameters()) == row['params']
    # without gradients, the network takes another way
    with torch.set_grad_enabled(grad):
        check(row, model(cube(*row['in_shape'])))


@pytest.mark.parametrize(('options', 'keys'), keys_of('essaformer'))
def test_keys(options: dict[str, int], keys: dict[str, tuple[int, ...]]) -> None:
    state = get_model('essaformer', **options).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == keys


@pytest.mark.parametrize('scale', [2, 3, 4, 6, 8])
@pytest.mark.parametrize('block', [1, 37, 200, None])
def test_pieces_equal_the_whole(scale: int, block: int | None) -> None:
    model = filled('essaformer', **SMALL, scale=scale)
    model.block = block
    x = cube(2, 5, 3, 7)
    with torch.no_grad():
        found = model(x)
    assert found.shape == (2, 5, 3 * scale, 7 * scale)
    expected = model(x).detach()
    size = expected.abs().max()
    torch.testing.assert_close(found / size, expected / size, rtol=0, atol=1e-12)


@pytest.mark.parametrize('shape', [(3, 1), (4, 9), (5, 6), (12, 7)])
def test_fewer_products(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Winograd's form of a convolution is the convolution."""
    monkeypatch.setattr(winograd, '_CHUNK', 64)
    torch.manual_seed(0)
    x = torch.randn(*shape, 6, dtype=torch.float64)
    conv = torch.nn.Conv2d(6, 5, 3, padding=(0, 1)).double()
    kernel = winograd.transform_weight(conv.weight.detach())
    found = winograd.convolve(x, kernel, conv.bias.detach())
    expected = conv(x.permute(2, 0, 1)[None])[0].permute(1, 2, 0).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_network_with_fewer_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, '_CHANNELS', 1)
    model = filled('essaformer', **SMALL, scale=3)
    model.block = 100
    x = cube(1, 5, 5, 7)
    with torch.inference_mode():
        found = model(x)
    torch.testing.assert_close(found, model(x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (6, 1)])
def test_thin_images(shape: tuple[int, int]) -> None:
    model = filled('essaformer', **SMALL, scale=3)
    x = cube(1, 5, *shape)
    with torch.inference_mode():
        found = model(x)
    torch.testing.assert_close(found, model(x).detach())


def test_images_of_a_batch_are_independent() -> None:
    model = filled('essaformer', **SMALL, scale=2)
    x = cube(2, 5, 4, 6)
    with torch.inference_mode():
        alone = torch.cat([model(image[None]) for image in x])
        torch.testing.assert_close(model(x), alone)


def test_attention_of_all_to_all() -> None:
    """The linear form is the quadratic one: each token looks at each token."""
    torch.manual_seed(0)
    layer = SpectralAttention(6).double()
    x = torch.randn(1, 11, 6, dtype=torch.float64)
    found = layer(x)[0].detach().numpy()
    qkv = layer.lnqkv(x)[0].detach().numpy()
    q, k, v = qkv[:, :6], qkv[:, 6:12], qkv[:, 12:]

    def parts(tokens: Any) -> Any:
        rows = []
        for token in tokens:
            deviations = (token - token.mean()) ** 2
            rows.append(deviations / (deviations.sum() + 1e-7))
        return np.array(rows)

    queries, keys = parts(q), parts(k)
    queries = np.array([row / np.linalg.norm(row) for row in queries])
    keys = np.array([column / np.linalg.norm(column) for column in keys.T]).T
    mixed = []
    for i in range(11):
        total = np.zeros(6)
        for j in range(11):
            total += (queries[i] @ keys[j]) * v[j]
        mixed.append(v[i] + total / np.sqrt(11))
    weight, bias = layer.ln.weight.detach().numpy(), layer.ln.bias.detach().numpy()
    np.testing.assert_allclose(found, np.array(mixed) @ weight.T + bias, atol=1e-12)


class Storages(TorchDispatchMode):
    """Notes memory of a size that is worth it."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least
        self.found: dict[int, str] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and out.untyped_storage().nbytes() >= self.least:
            self.found.setdefault(out.untyped_storage().data_ptr(), str(func))
        return out


def test_one_image_of_features_is_in_memory() -> None:
    model = get_model('essaformer', **SMALL, scale=2).eval()
    model.block = 64
    x = torch.rand(1, 5, 40, 40)
    # more than the weights
    features = 80 * 80 * 36 * 4
    with torch.no_grad(), Storages(features // 2) as noted:
        model(x)
    assert len(noted.found) == 1
    with Storages(features // 2) as noted:
        model(x)
    assert len(noted.found) > 10


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('size', [1.0, 1e4])
def test_half_precision(dtype: torch.dtype, size: float) -> None:
    """Of 65,536 pixels and large values, sums overflow and underflow in half."""
    torch.manual_seed(0)
    model = get_model('essaformer', in_channels=3, dim=8, scale=2).eval()
    x = size * torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        expected = model(x)
        found = model.to(dtype)(x.to(dtype)).float()
    assert found.isfinite().all()
    tolerance = 0.005 if dtype == torch.float16 else 0.04
    assert (found - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_attention_in_half_precision(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = SpectralAttention(16)
    x = 1e4 * torch.randn(1, 2**16, 16)
    with torch.no_grad():
        expected = layer(x)
        found = layer.to(dtype)(x.to(dtype)).float()
    assert found.isfinite().all()
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()


@pytest.mark.parametrize('way', ['train', 'grad', 'pieces'])
def test_mixed_precision(way: str) -> None:
    torch.manual_seed(0)
    model = get_model('essaformer', **SMALL, scale=2, dropout=0.0).train(way == 'train')
    x = torch.rand(1, 5, 8, 8)
    with torch.set_grad_enabled(way != 'pieces'):
        exact = model(x)
        with torch.autocast('cpu', torch.bfloat16):
            y = model(x)
    assert y.dtype == torch.bfloat16
    assert (y - exact).abs().max() < 0.05 * exact.abs().max()
    if way == 'train':
        y.float().square().mean().backward()
        grads = [p.grad for p in model.parameters()]
        assert all(g is not None and g.isfinite().all() for g in grads)


@pytest.mark.parametrize('scale', [2, 3])
def test_gradients(scale: int) -> None:
    model = filled('essaformer', **SMALL, scale=scale, dropout=0.0).train()
    # larger steps meet the kinks of the activations
    check_slope(model, cube(1, 5, 2, 3), step=1e-7, rtol=1e-6)


def test_recomputed_activations_give_the_same_gradients() -> None:
    model = filled('essaformer', **SMALL, scale=2, dropout=0.3).train()
    x = cube(1, 5, 4, 4)
    grads = []
    for checkpoint in (False, True):
        model.checkpoint = checkpoint
        torch.manual_seed(0)
        loss = model(x).square().sum()
        grads.append(torch.autograd.grad(loss, list(model.parameters())))
    torch.testing.assert_close(*grads)


def test_dropout_in_training_alone() -> None:
    model = get_model('essaformer', **SMALL, scale=2, dropout=0.5)
    x = torch.rand(1, 5, 4, 4)
    with torch.no_grad():
        assert not torch.equal(model(x), model(x))
        model.eval()
        assert torch.equal(model(x), model(x))


@pytest.mark.parametrize('grad', [False, True])
def test_residual(grad: bool) -> None:
    """Before it has learned anything, the residual network interpolates."""
    model = get_model('essaformer', **SMALL, scale=2, residual=True).eval()
    x = torch.rand(1, 5, 6, 5)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(model(x), imresize_up(x, 2))
    plain = get_model('essaformer', **SMALL, scale=2)
    assert plain.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_context(scale: int) -> None:
    """Without attention, pixels farther away than the context change nothing."""
    model = filled('essaformer', in_channels=1, dim=36, scale=scale)
    for block in (model.blockup.convup, model.blockup.convdown):
        torch.nn.init.zeros_(block.attn.ln.weight)
    x = cube(1, 1, 1, 30)
    other = x.clone()
    other[..., 0] += 1
    with torch.inference_mode():
        change = (model(x) - model(other)).abs()[0, 0].amax(0)
    reach = int(change.nonzero().max()) // scale
    assert model.context - 3 <= reach <= model.context


def test_tokens_of_the_whole_input_count() -> None:
    """What comes out depends on the extent, as the guide says."""
    model = filled('essaformer', in_channels=1, dim=36, scale=2)
    x = cube(1, 1, 4, 60)
    with torch.inference_mode():
        whole, part = model(x), model(x[..., :40])
    assert (whole[..., :20] - part[..., :20]).abs().max() > 1e-3
    assert not model.needs_scene


def test_compiles_without_graph_breaks() -> None:
    model = get_model('essaformer', in_channels=2, dim=4, scale=2).eval()
    x = torch.rand(1, 2, 4, 4)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r'multiple of 4, got 30\. Take dim=32'):
        get_model('essaformer', dim=30, scale=2)
    with pytest.raises(ValueError, match='multiple of 9, got 256'):
        get_model('essaformer', scale=3)
    with pytest.raises(ValueError, match=r'multiple of 36, got 2\. Take dim=36'):
        get_model('essaformer', scale=6, dim=2)
    with pytest.raises(ValueError, match='factors of 2 and 3, not by 10'):
        get_model('essaformer', scale=10)
    with pytest.raises(BandMismatchError, match='at least one band'):
        ESSAformer(0)
    with pytest.raises(ValueError, match='at least one pixel'):
        ESSAformer(3, block=0)
    with pytest.raises(BandMismatchError, match='in_channels=4'):
        ESSAformer(3, dim=4)(torch.rand(1, 4, 4, 4))
