# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Two processes share the order that one would draw."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from helpers.processes import Nursery
from lightning.pytorch.trainer.connectors.data_connector import _DataConnector
from samplers.distributed_orders import draw_orders
from torch.utils.data import DataLoader

from torchgeo_hsi.samplers import BalancedPatchSampler, RandomWindowSampler


def test_two_processes_share_one_order(
    tmp_path: Path, pixels: Any, together: Nursery
) -> None:
    together(draw_orders, (0, tmp_path), (1, tmp_path))
    first, second = (
        json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)
    )
    # 15 samples are no multiple of two processes, so one more is drawn
    assert first['length'] == second['length'] == [8, 8, 8]
    # the first process drew its seed as one that is alone does
    torch.manual_seed(0)
    alone = RandomWindowSampler(pixels((0, 0, 20, 20), (40, 0, 20, 20)), 4, 16)
    for epoch in range(2):
        shares = first['random'][epoch], second['random'][epoch]
        order = [str(place) for pair in zip(*shares, strict=True) for place in pair]
        assert order == [str(place) for place in alone]
    for name in ('balanced', 'patches'):
        assert first[name] != second[name]
        assert first[name][0] != first[name][1]


def test_lightning_leaves_them_alone() -> None:
    accelerator = SimpleNamespace(use_distributed_sampler=True, is_distributed=True)
    trainer = SimpleNamespace(_accelerator_connector=accelerator)
    connector = SimpleNamespace(trainer=trainer)
    data = [0, 1, 2, 3]

    def asks_for_another(loader: Any) -> bool:
        return _DataConnector._requires_distributed_sampler(connector, loader)  # type: ignore[arg-type]

    assert asks_for_another(DataLoader(data, shuffle=True))
    sampler = BalancedPatchSampler(np.eye(4))
    assert not asks_for_another(DataLoader(data, sampler=sampler))


def test_epochs_by_number() -> None:
    sampler = BalancedPatchSampler(np.eye(50), 20)
    sampler.set_epoch(3)
    third, fourth = list(sampler), list(sampler)
    assert third != fourth
    sampler.set_epoch(3)
    assert list(sampler) == third
