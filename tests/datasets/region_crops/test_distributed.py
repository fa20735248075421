# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Processes and workers share the regions of an epoch."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from helpers.processes import Nursery

from tests.datasets.region_crops import distributed_crops
from torchgeo_hsi.datasets._region_grid import Region, Scene
from torchgeo_hsi.datasets._region_plan import Reader, cut_scenes, share_crops
from torchgeo_hsi.errors import EmptyDataError

SCENES = [Scene(0, 0, 0, 150, 200, (32, 32)), Scene(1, 0, 0, 90, 70, (64, 64))]


def shares(ranks: int, workers: int, crops: int, batch: int) -> list[list[object]]:
    """Return the regions and crops of every worker of every process."""
    found = []
    for rank in range(ranks):
        for worker in range(workers):
            rng = np.random.default_rng(5)
            regions = cut_scenes(SCENES, 16, 64, ranks * workers, rng)
            reader = Reader(rank, ranks, worker, workers)
            found.append(share_crops(regions, crops, batch, 4, reader, rng))
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(('ranks', 'workers'), [(1, 1), (1, 3), (3, 1), (2, 2), (4, 5)])
def test_shares(ranks: int, workers: int) -> None:
    found = shares(ranks, workers, 120, 4)
    regions: list[Region] = [region for share in found for region in share.regions]  # type: ignore[attr-defined]
    assert len(set(regions)) == len(regions)
    seen = [np.zeros((150, 200), int), np.zeros((90, 70), int)]
    for scene, row, column, height, width in regions:
        seen[scene.number][row : row + height, column : column + width] += 1
    if 2 * len(regions) <= 120:
        assert all((part == 1).all() for part in seen)
    for rank in range(ranks):
        own = found[rank * workers : (rank + 1) * workers]
        counts = [len(share.order) for share in own]  # type: ignore[attr-defined]
        assert sum(counts) == 120
        assert all(count % 4 == 0 for count in counts)
        # workers of other processes draw as many
        assert counts == [len(s.order) for s in found[:workers]]  # type: ignore[attr-defined]
        area = sum(r.area for share in own for r in share.regions)  # type: ignore[attr-defined]
        whole = sum(region.area for region in regions)
        assert area == pytest.approx(whole / ranks, rel=0.35)


def test_more_processes_than_regions() -> None:
    with pytest.raises(EmptyDataError, match='regions for 300 processes'):
        shares(300, 1, 4, 1)


def test_two_processes(tmp_path: Path, together: Nursery) -> None:
    (tmp_path / 'scenes').mkdir()
    rows, columns = np.indices((150, 200)).astype('int16')
    with rasterio.open(
        tmp_path / 'scenes' / 'a.tif',
        'w',
        driver='GTiff',
        count=2,
        height=150,
        width=200,
        dtype='int16',
        crs='EPSG:32633',
        transform=Affine(30, 0, 4e5, 0, -30, 5e6),
        tiled=True,
        blockxsize=32,
        blockysize=32,
        compress='deflate',
    ) as dst:
        dst.write(np.stack([rows, columns]))
    together(distributed_crops.main, (0, tmp_path), (1, tmp_path))
    found = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in range(2)]
    for name in ('early', 'late'):
        first, second = (part[name] for part in found)
        assert first['length'] == second['length'] == 39
        for one, other in zip(first['epochs'], second['epochs'], strict=True):
            assert len(one) == len(other) == 39 * 3
            # no position is drawn from the same region twice but by chance
            assert len({*map(tuple, one)} & {*map(tuple, other)}) <= 2
        assert first['epochs'][0] != first['epochs'][1]
