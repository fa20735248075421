# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What may happen between and around the two passes of the fused adapter."""

import copy

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi._compat import has_hooks, in_function_transform
from torchgeo_hsi.models import SpectralAdapter
from torchgeo_hsi.models.adapters import _adapter_kernels as kernels


@pytest.fixture
def adapter() -> SpectralAdapter:
    torch.manual_seed(0)
    return SpectralAdapter().double().train()


def cube(batch: int = 2, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, 80, size, size)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plain(adapter: SpectralAdapter) -> nn.Module:
    """Return a copy that runs layer by layer."""
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)), *copy.deepcopy(list(adapter)), nn.Flatten(1, 2)
    )


def grads(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def assert_close(left: list[Tensor], right: list[Tensor]) -> None:
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


def test_backward_twice(adapter: SpectralAdapter) -> None:
    loss = adapter(cube()).square().sum()
    loss.backward(retain_graph=True)
    once = grads(adapter)
    loss.backward()
    assert_close(grads(adapter), [2 * g for g in once])


def test_step_between_the_passes(adapter: SpectralAdapter) -> None:
    reference = plain(adapter)
    reference(cube()).square().sum().backward()
    loss = adapter(cube()).square().sum()
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(1)
    loss.backward()
    assert_close(grads(adapter), grads(reference))


def test_input_that_changes_between_the_passes(adapter: SpectralAdapter) -> None:
    x = cube(1, 24)
    loss = adapter(x).square().sum()
    x.zero_()
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        loss.backward()


def test_other_threads_between_the_passes(
    adapter: SpectralAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, 'CHUNK', 5)
    reference, x = plain(adapter), cube()
    reference(x).square().sum().backward()
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    loss = adapter(x).square().sum()
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 3)
    loss.backward()
    assert_close(grads(adapter), grads(reference))


@pytest.mark.parametrize(('batch', 'size'), [(1, 2), (5, 1), (3, 24)])
def test_small_and_large_images(
    adapter: SpectralAdapter, batch: int, size: int
) -> None:
    reference, x = plain(adapter), cube(batch, size)
    left, right = adapter(x), reference(x)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-10)
    assert left.is_contiguous()
    left.square().sum().backward()
    right.square().sum().backward()
    torch.testing.assert_close(grads(adapter), grads(reference), rtol=1e-8, atol=1e-8)
    with torch.no_grad():
        left, right = adapter.eval()(x), reference.eval()(x)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-10)


def test_function_transforms(adapter: SpectralAdapter) -> None:
    adapter.eval()
    x, parameters = cube(), dict(adapter.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        assert in_function_transform()
        out = torch.func.functional_call(adapter, parameters, (x,))
        return out.square().sum()

    assert not in_function_transform()
    found = torch.func.grad(loss)(parameters)
    adapter(x).square().sum().backward()
    assert_close(list(found.values()), grads(adapter))


def test_gradient_checkpointing(adapter: SpectralAdapter) -> None:
    reference = plain(adapter).eval()
    adapter.eval()
    reference(cube()).square().sum().backward()
    out = torch.utils.checkpoint.checkpoint(adapter, cube(), use_reentrant=False)
    out.square().sum().backward()
    assert_close(grads(adapter), grads(reference))


@pytest.mark.filterwarnings('ignore:Full backward hook')
@pytest.mark.parametrize(
    'register',
    [
        'register_forward_hook',
        'register_forward_pre_hook',
        'register_full_backward_hook',
        'register_full_backward_pre_hook',
    ],
)
def test_every_kind_of_hook_runs(adapter: SpectralAdapter, register: str) -> None:
    calls: list[int] = []
    for layer in adapter:
        assert not has_hooks(layer)
        getattr(layer, register)(lambda *args: calls.append(1))
        assert has_hooks(layer)
    adapter(cube()).sum().backward()
    assert len(calls) == 10
