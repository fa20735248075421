# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a training waits for, and what its workers hold, with crops from scenes."""

import time
from pathlib import Path
from typing import Any

import psutil
import timm
import torch
from _loading_scenes import BATCH, SIZE
from torch import nn
from torch.utils.data import DataLoader

import torchgeo_hsi.models  # noqa: F401  registers the backbone
from torchgeo_hsi.datasets import EnMAPL2A, RegionCrops

BACKBONE = 'spec_resnet18'


def waiting(archive: Path, workers: int, steps: int, seed: int) -> dict[str, Any]:
    """Train a small backbone; measure what it waits for data.

    Args:
        archive: Folder of scenes.
        workers: Workers of the data loader.
        steps: Training steps.
        seed: Seed of crops and weights.

    Returns:
        Share of the time, from the start of the workers on, and without the first step.
    """
    torch.manual_seed(seed)
    model = timm.create_model(BACKBONE, in_chans=202, num_classes=8)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    crops = RegionCrops(EnMAPL2A(archive), SIZE, length=steps * BATCH, batch_size=BATCH)
    waits, works = [], []
    batches = iter(DataLoader(crops, batch_size=None, num_workers=workers))
    for _ in range(steps):
        start = time.perf_counter()
        image = next(batches)['image']
        ready = time.perf_counter()
        target = torch.zeros(len(image), dtype=torch.long)
        loss = nn.functional.cross_entropy(model(image / 1e4), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        waits.append(ready - start)
        works.append(time.perf_counter() - ready)
    result = {
        'backbone': BACKBONE,
        'batch': [BATCH, 202, SIZE, SIZE],
        'steps': steps,
        'share': round(sum(waits) / (sum(waits) + sum(works)), 4),
        'share_after_first': round(
            sum(waits[1:]) / (sum(waits[1:]) + sum(works[1:])), 4
        ),
        'step_seconds': round(sum(works) / steps, 3),
    }
    print(f'training, {workers} workers: {result}', flush=True)
    return result


def memory(archive: Path, items: int, seed: int) -> dict[str, Any]:
    """Draw many crops with two workers; measure the memory of all processes.

    Args:
        archive: Folder of scenes.
        items: Number of crops.
        seed: Seed of the crops.

    Returns:
        Private memory in MB early and late, and what it grew from then on.
    """
    generator = torch.Generator().manual_seed(seed)
    crops = RegionCrops(
        EnMAPL2A(archive), SIZE // 2, 2.0, batch_size=8, generator=generator
    )
    loader = DataLoader(crops, batch_size=None, num_workers=2, persistent_workers=True)
    drawn, found, process = 0, [], psutil.Process()
    while drawn < items:
        for batch in loader:
            drawn += len(batch['image'])
            if drawn // 40 > len(found):
                family = [process, *process.children(recursive=True)]
                held = sum(member.memory_full_info().uss for member in family)
                found.append(held / 1e6)
            if drawn >= items:
                break
    third = max(1, len(found) // 3)
    # the first third fills buffers; regions come and go, so peaks are compared
    early, late = max(found[third : 2 * third] or found), max(found[2 * third :])
    result = {
        'items': drawn,
        'peak_mb_second_third': round(early),
        'peak_mb_last_third': round(late),
        'growth': round(late / early - 1, 3),
    }
    print(f'memory: {result}', flush=True)
    return result
