# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of windows with enough valid pixels, inside of regions of any shape."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples

from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.physics.window_sums import window_sums
from torchgeo_hsi.samplers import RandomWindowSampler
from torchgeo_hsi.samplers._positions import Positions

RES, WEST = 30.0, 500000.0


def corners(sampler: RandomWindowSampler) -> list[tuple[int, int]]:
    """Return left and bottom of the windows in pixels."""
    return [
        (round((x.start - WEST) / RES), round(y.start / RES)) for x, y, _ in sampler
    ]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_window_sums_against_loops() -> None:
    values = np.random.default_rng(0).random((9, 7))
    for size in (1, 3, 7):
        sums = window_sums(values, size)
        assert sums.shape == (10 - size, 8 - size)
        for i, j in np.ndindex(sums.shape):
            assert sums[i, j] == pytest.approx(values[i : i + size, j : j + size].sum())


def test_only_windows_with_enough_valid_pixels(pixels: Any) -> None:
    rng = np.random.default_rng(1)
    valid = np.kron(rng.random((6, 8)) > 0.4, np.ones((4, 4))).astype(bool)
    dataset = pixels((3, 5, 32, 24), valid=[valid])
    sampler = RandomWindowSampler(dataset, 6, 4000, generator=seeded(), min_valid=0.75)
    found = Counter(corners(sampler))
    expected = {
        (3 + j, 5 + 24 - i - 6)
        for i in range(24 - 5)
        for j in range(32 - 5)
        if valid[i : i + 6, j : j + 6].mean() >= 0.75
    }
    assert 20 < len(expected) < 400
    # each place is drawn, and about as often as any other
    assert set(found) == expected
    assert max(found.values()) < 12 * min(found.values()) + 40
    for query in list(sampler)[:20]:
        assert dataset[query]['valid'].float().mean() >= 0.75


def test_valid_is_read_once_and_only_if_needed(pixels: Any) -> None:
    valid = [np.ones((16, 16), dtype=bool)]
    dataset = pixels((0, 0, 16, 16), valid=valid)
    list(RandomWindowSampler(dataset, 4, 10))
    assert dataset.reads == 0
    sampler = RandomWindowSampler(dataset, 4, 10, min_valid=0.5)
    assert dataset.reads == 0
    for _ in range(3):
        list(sampler)
    assert dataset.reads == 1


def test_other_dataset_tells_what_is_valid(pixels: Any) -> None:
    dataset = pixels((0, 0, 16, 16))
    clear = np.zeros((16, 16), dtype=bool)
    clear[:8, 8:] = True
    clouds = pixels((0, 0, 16, 16), valid=[clear])
    sampler = RandomWindowSampler(dataset, 8, 9, min_valid=1.0, valid=clouds)
    assert set(corners(sampler)) == {(8, 8)}


def test_torchgeo_rasters_are_valid_where_not_filled(
    raster: Callable[..., RasterDataset],
) -> None:
    values = np.zeros((12, 12), dtype=np.float32)
    values[:, :6] = 7
    dataset = raster(values)
    sampler = RandomWindowSampler(dataset, 6, 20, min_valid=1.0)
    assert {left for left, _ in corners(sampler)} == {0}
    loader = DataLoader(dataset, 4, sampler=sampler, collate_fn=stack_samples)
    for batch in loader:
        assert (batch['image'] == 7).all()


def test_no_window_is_valid_enough(pixels: Any) -> None:
    dataset = pixels((0, 0, 16, 16), valid=[np.zeros((16, 16), dtype=bool)])
    sampler = RandomWindowSampler(dataset, 8, min_valid=0.1)
    with pytest.raises(EmptyDataError, match='lower min_valid'):
        list(sampler)


def test_small_scene_counts_its_own_share(pixels: Any) -> None:
    dataset = pixels((0, 0, 6, 6), valid=[np.ones((6, 6), dtype=bool)])
    assert corners(RandomWindowSampler(dataset, 8, 2, min_valid=0.5)) == [(-1, -1)] * 2
    with pytest.raises(EmptyDataError, match='8 x 8'):
        list(RandomWindowSampler(dataset, 8, 2, min_valid=0.6))


def test_windows_stay_inside_of_any_region(pixels: Any) -> None:
    def box(x: int, y: int, w: int, h: int) -> shapely.Polygon:
        return shapely.box(WEST + x * RES, y * RES, WEST + (x + w) * RES, (y + h) * RES)

    # two blocks that touch at a corner, and one that is too small
    roi = shapely.MultiPolygon([box(0, 0, 10, 10), box(10, 10, 10, 10)])
    roi = roi | box(25, 0, 5, 5)
    dataset = pixels((0, 0, 30, 20))
    sampler = RandomWindowSampler(dataset, 6, 1500, roi, seeded())
    expected = {(x, y) for x in range(5) for y in range(5)}
    expected |= {(x + 10, y + 10) for x, y in expected}
    assert set(corners(sampler)) == expected


def test_region_smaller_than_the_window_is_left_alone(pixels: Any) -> None:
    dataset = pixels((0, 0, 30, 20))
    roi = shapely.box(WEST, 0, WEST + 5 * RES, 5 * RES)
    # a window over its edge would show what belongs to another split
    with pytest.raises(EmptyDataError, match='Use smaller windows'):
        list(RandomWindowSampler(dataset, 6, roi=roi))
    # unless the dataset itself hides that
    sampler = RandomWindowSampler(dataset, 6, roi=roi, over_edge=True)
    assert corners(sampler) == [(-1, -1)]


@pytest.mark.parametrize('share', [-0.1, 1.5, float('nan')])
def test_bad_share(pixels: Any, share: float) -> None:
    with pytest.raises(ValueError, match='min_valid from 0 to 1'):
        RandomWindowSampler(pixels((0, 0, 30, 20)), 6, min_valid=share)


def test_positions_by_weight() -> None:
    weights = np.array([[0.0, 1.0, 0.0], [3.0, 0.0, 0.0]])
    rows, columns = Positions((2, 3), weights).draw(4000, seeded())
    found = Counter(zip(rows.tolist(), columns.tolist(), strict=True))
    assert set(found) == {(0, 1), (1, 0)}
    assert found[1, 0] / 4000 == pytest.approx(0.75, abs=0.03)


def test_few_bands_of_scenes_tell_what_is_valid(tmp_path: Path) -> None:
    from data.tiles.data import make_tiles

    images, _ = make_tiles(tmp_path)
    dataset = EnMAPL2A(images, quality=(), transforms=lambda sample: sample)
    few = dataset.few_bands()
    assert few.bands == tuple(dataset.bands[i] for i in (0, 100, 201))
    assert len(dataset.bands) == 202
    sampler = RandomWindowSampler(dataset, 4, 300, generator=seeded(), min_valid=1.0)
    assert len(sampler._valid.bands) == 3
    for query in sampler:
        whole, part = dataset[query], few[query]
        assert whole['valid'].all()
        assert torch.equal(part['image'], whole['image'][[0, 100, 201]])
        assert torch.equal(part['wavelength'], whole['wavelength'][[0, 100, 201]])
