# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Losses of embeddings of which each process has a part; run by test_intl.py."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from torchgeo_hsi.losses.intl import INTLLoss
from torchgeo_hsi.losses.soft_whitening import SoftWhiteningLoss
from torchgeo_hsi.losses.spectral_transformation import SpectralTransformationLoss

LOSSES: dict[str, nn.Module] = {
    'channels': INTLLoss('channels', trace_weight=0.05),
    'channels_auto': INTLLoss('channels'),
    'batch': INTLLoss('batch', 5, 0.05),
    'power': SpectralTransformationLoss(0.6),
    'soft': SoftWhiteningLoss(),
}


class Encoder(nn.Module):
    """A small network without batch normalization, and its loss."""

    def __init__(self, loss: nn.Module, features: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, features)
        )
        self.loss = loss

    def forward(self, views: Tensor, teacher: bool) -> Tensor:
        embeddings = [self.layers(view) for view in views]
        if not teacher:
            loss: Tensor = self.loss(embeddings)
            return loss
        result: Tensor = self.loss(embeddings[1:], embeddings[0].detach())
        return result


def compute(rank: int, world: int) -> dict[str, list[Tensor]]:
    """Compute losses and gradients of the part of a process.

    Args:
        rank: Number of the process.
        world: Number of processes.

    Returns:
        The loss and the gradients of all parameters for each case.
    """
    generator = torch.Generator().manual_seed(1)
    views = torch.randn(3, 16, 6, generator=generator, dtype=torch.float64)
    part = views.chunk(world, dim=1)[rank]
    found = {}
    for name, loss in LOSSES.items():
        for teacher in (False, True) if isinstance(loss, INTLLoss) else (False,):
            network = Encoder(loss, 40 if 'channels' in name else 8).double()
            model = DistributedDataParallel(network) if world > 1 else network
            value = model(part, teacher)
            value.backward()
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            found[f'{name}_{teacher}'] = [value.detach(), *gradients]
    return found


def work(rank: int, folder: Path) -> None:
    """Be one of two processes."""
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    torch.save(compute(rank, 2), folder / f'{rank}.pt')
    dist.destroy_process_group()
