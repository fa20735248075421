# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One of two processes that draw crops; run by test_distributed.py."""

import json
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset

from torchgeo_hsi.datasets import RegionCrops


def main(rank: int, folder: Path) -> None:
    torch.manual_seed(rank)
    dataset = RasterDataset(folder / 'scenes')
    early = RegionCrops(dataset, 16, 2.0, batch_size=3)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    late = RegionCrops(dataset, 16, 2.0, batch_size=3)
    found = {}
    for name, crops in {'early': early, 'late': late}.items():
        length = len(crops)
        loader = DataLoader(crops, batch_size=None, num_workers=2)
        epochs = [
            [
                image[:2, 0, 0].int().tolist()
                for batch in loader
                for image in batch['image']
            ]
            for _ in range(2)
        ]
        found[name] = {'length': length, 'epochs': epochs}
    (folder / f'{rank}.json').write_text(json.dumps(found))
    dist.destroy_process_group()
