# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One of two processes that score features; run by test_alignment_uniformity.py."""

import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from torchgeo_hsi.metrics.alignment import Alignment
from torchgeo_hsi.metrics.effective_rank import EffectiveRank, EigenSpectrum
from torchgeo_hsi.metrics.uniformity import Uniformity


def features() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(41, 6, generator=generator) + 2
    return x, x + 0.3 * torch.randn(41, 6, generator=generator)


def score(rows: list[slice]) -> dict[str, list[float]]:
    x, y = features()
    metrics = {
        'rank': EffectiveRank(6),
        'spectrum': EigenSpectrum(6),
        'uniformity': Uniformity(),
        'alignment': Alignment(),
    }
    for part in rows:
        for name, metric in metrics.items():
            both = (x[part], y[part]) if name == 'alignment' else (x[part],)
            metric.update(*both)
    return {name: metric.compute().tolist() for name, metric in metrics.items()}


def main(rank: int, folder: Path) -> None:
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    # the second process has far fewer
    rows = [[slice(0, 20), slice(20, 33)], [slice(33, 41)]][rank]
    (folder / f'{rank}.json').write_text(json.dumps(score(rows)))
    dist.destroy_process_group()
