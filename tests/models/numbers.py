# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks and images whose numbers follow from names and places alone."""

from typing import Any

import torch
from torch import Tensor, nn

from torchgeo_hsi.models import get_model


def fill(model: nn.Module) -> None:
    """Write numbers into all tensors that follow from their names and places."""
    state = model.state_dict()
    for rank, key in enumerate(sorted(state)):
        tensor = state[key]
        if not tensor.is_floating_point():
            tensor.zero_()
            continue
        place = torch.arange(tensor.numel())
        u = 2 * ((7919 * place + 104729 * rank) % 2003).double() / 2003 - 1
        u = u.reshape(tensor.shape)
        if key.endswith('running_var'):
            u = 1 + 0.5 * u.abs()
        elif tensor.ndim >= 2:
            u = u * (3 * tensor.shape[0] / tensor.numel()) ** 0.5
        elif key.endswith(('bn.weight', 'norm.weight')):
            u = 1 + 0.1 * u
        else:
            u = 0.1 * u
        tensor.copy_(u)


def filled(name: str, **options: Any) -> nn.Module:
    """Make a network of double precision with known weights."""
    model = get_model(name, **options).double().eval()
    fill(model)
    return model


def cube(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Make an image of any shape from 0 to 1."""
    size = torch.Size(shape).numel()
    return (((7919 * torch.arange(size)) % 1009).to(dtype) / 1009).reshape(shape)


def check(row: dict[str, Any], y: Tensor) -> None:
    """Compare an output with the numbers of the published network."""
    assert list(y.shape) == row.get('out_shape', list(y.shape))
    y = y.detach().flatten()
    found = [y.mean(), y.std(), *y[:3], y[len(y) // 2], y[-1]]
    wanted = [row['mean'], row['std'], *row['first'], row['mid'], row['last']]
    torch.testing.assert_close(
        torch.stack(found), torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-9
    )


def check_slope(model: nn.Module, x: Tensor, step: float, rtol: float) -> None:
    """Compare the slope along one direction of all inputs with that of small steps.

    Args:
        model: A network of double precision.
        x: Image that it takes.
        step: Length of a step.
        rtol: Relative tolerance.
    """
    inputs = [x.requires_grad_(), *(p for p in model.parameters() if p.requires_grad)]
    grads = torch.autograd.grad(model(x).square().sum(), inputs)
    generator = torch.Generator().manual_seed(0)
    moves = [torch.randn(p.shape, generator=generator).double() for p in inputs]
    slope = sum((g * v).sum() for g, v in zip(grads, moves, strict=True))
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            for tensor, move in zip(inputs, moves, strict=True):
                tensor.add_(move, alpha=sign * step)
            losses.append(model(x).square().sum())
            for tensor, move in zip(inputs, moves, strict=True):
                tensor.sub_(move, alpha=sign * step)
    numeric = (losses[0] - losses[1]) / (2 * step)
    torch.testing.assert_close(slope, numeric, rtol=rtol, atol=1e-6)
