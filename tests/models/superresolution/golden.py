# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Numbers of the published networks for super-resolution, and how they are made."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchgeo_hsi.models import get_model

DATA = Path(__file__).parents[2] / 'data' / 'superresolution'


def fingerprints(name: str) -> list[dict[str, Any]]:
    rows = json.loads((DATA / 'fingerprints.json').read_text())
    return [row for row in rows if row['model'] == name]


def published_keys(
    name: str,
) -> list[tuple[dict[str, int], dict[str, tuple[int, ...]]]]:
    """Return arguments, and names and shapes of all tensors, of networks."""
    found: list[tuple[dict[str, int], dict[str, tuple[int, ...]]]] = []
    known = False
    for line in (DATA / 'state_dict_keys.txt').read_text().splitlines():
        first, *rest = line.strip('[]').split()
        if line.startswith('['):
            known = first == name
            if known:
                words = (part.split('=') for part in rest)
                found.append(({k: int(v) for k, v in words}, {}))
        elif known:
            found[-1][1][first] = tuple(map(int, rest[0].split('x')))
    return found


def fill(model: nn.Module) -> None:
    """Write numbers into all tensors that follow from their names and places."""
    state = model.state_dict()
    for rank, key in enumerate(sorted(state)):
        tensor = state[key]
        place = torch.arange(tensor.numel())
        u = 2 * ((7919 * place + 104729 * rank) % 2003).double() / 2003 - 1
        u = u.reshape(tensor.shape)
        if tensor.ndim >= 2:
            u = u * (3 * tensor.shape[0] / tensor.numel()) ** 0.5
        elif key.endswith('norm.weight'):
            u = 1 + 0.1 * u
        else:
            u = 0.1 * u
        tensor.copy_(u)


def filled(name: str, **options: Any) -> nn.Module:
    model = get_model(name, **options).double().eval()
    fill(model)
    return model


def cube(*shape: int) -> Tensor:
    size = torch.Size(shape).numel()
    return (((7919 * torch.arange(size)) % 1009).double() / 1009).reshape(shape)


def check(row: dict[str, Any], y: Tensor) -> None:
    """Compare an output with the numbers of the published network."""
    assert list(y.shape) == row['out_shape']
    y = y.detach().flatten()
    found = [y.mean(), y.std(), *y[:3], y[len(y) // 2], y[-1]]
    wanted = [row['mean'], row['std'], *row['first'], row['mid'], row['last']]
    torch.testing.assert_close(
        torch.stack(found), torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-9
    )
