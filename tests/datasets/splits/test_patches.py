# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of patches, against boxes that are compared one by one."""

from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import torch

from torchgeo_hsi.datasets import block_patch_split, leak_report, region_patch_split
from torchgeo_hsi.datasets.splits import PatchSplit
from torchgeo_hsi.errors import EmptyDataError, UnknownNameError

SHARES = {'train': 0.6, 'val': 0.2, 'test': 0.2}


def make_boxes(number: int = 16, step: float = 1.0, size: float = 1.0) -> np.ndarray:
    x, y = np.meshgrid(np.arange(number) * step, np.arange(number) * step)
    return np.stack([x, y, x + size, y + size], axis=-1).reshape(-1, 4)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Measure the gap between two boxes along the better axis; negative if none."""
    return float(np.maximum(a[:2] - b[2:], b[:2] - a[2:]).max())


def least_gap(split: PatchSplit) -> float:
    gaps = [
        distance(split.boxes[i], split.boxes[j])
        for i in range(len(split.codes))
        for j in range(i)
        if 0 <= split.codes[i] != split.codes[j] >= 0
    ]
    return min(gaps)


@pytest.mark.parametrize(('step', 'gap'), [(1, 0), (0.5, 0), (1, 1.5), (0.7, 0.3)])
def test_no_patch_is_too_close(step: float, gap: float) -> None:
    split = block_patch_split(make_boxes(14, step), SHARES, gap=gap, trials=20)
    assert least_gap(split) >= gap - 1e-5
    report = leak_report(split)
    assert report.touching == {'val': 0, 'test': 0}


def test_patches_side_by_side_are_all_kept() -> None:
    split = block_patch_split(make_boxes(), SHARES)
    assert len(split.left_out) == 0
    sizes = [len(split.indices(name)) / 256 for name in SHARES]
    np.testing.assert_allclose(sizes, list(SHARES.values()), atol=0.03)


def test_only_training_gives_way() -> None:
    """Whatever is left out would touch a patch of a later split."""
    split = block_patch_split(make_boxes(20, 0.5), {'train': 0.5, 'test': 0.5})
    test = split.boxes[split.indices('test')]
    for patch in split.left_out:
        assert any(distance(split.boxes[patch], other) < 0 for other in test)


def test_dates_of_a_place_stay_together() -> None:
    boxes = np.repeat(make_boxes(10), 3, axis=0)
    codes = block_patch_split(boxes, SHARES).codes.reshape(-1, 3)
    assert (codes == codes[:, :1]).all()


def test_class_shares() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, rng.dirichlet(np.ones(5) * 0.3, 900))
    split = block_patch_split(make_boxes(30), SHARES, counts)
    sums = np.array([counts[split.indices(name)].sum(axis=0) for name in SHARES])
    shares = sums / sums.sum(axis=0)
    np.testing.assert_allclose(shares, np.tile([[0.6], [0.2], [0.2]], 5), atol=0.04)


def test_rare_label_is_in_each_split() -> None:
    counts = np.zeros((256, 2), dtype=int)
    counts[:, 0] = 1
    counts[[3, 120, 250], 1] = 1
    report = leak_report(block_patch_split(make_boxes(), SHARES, counts), least=1)
    assert report.untestable == ()
    assert report.totals == {0: 256, 1: 3}


def test_same_generator_same_split() -> None:
    def codes(seed: int) -> list[int]:
        source = torch.Generator().manual_seed(seed)
        split = block_patch_split(make_boxes(), SHARES, generator=source)
        return split.codes.tolist()

    assert codes(1) == codes(1) != codes(2)


def test_regions_by_name_and_by_polygon() -> None:
    boxes = make_boxes(12)
    names = np.array([f'county {int(x // 3)}-{int(y // 4)}' for x, y, *_ in boxes])
    by_name = region_patch_split(boxes, names, SHARES)
    polygons = gpd.GeoDataFrame(
        {'name': [f'county {i}-{j}' for i in range(4) for j in range(3)]},
        geometry=[
            shapely.box(3 * i, 4 * j, 3 * i + 3, 4 * j + 4)
            for i in range(4)
            for j in range(3)
        ],
        crs='EPSG:32633',
    )
    by_polygon = region_patch_split(boxes, polygons, SHARES, column='name')
    assert by_name.codes.tolist() == by_polygon.codes.tolist()
    for name in np.unique(names):
        assert len(set(by_name.codes[names == name].tolist())) == 1
    few = region_patch_split(boxes, polygons.iloc[:6], SHARES)
    assert (few.codes[boxes[:, 0] >= 6] == -1).all()
    with pytest.raises(ValueError, match='one of name, geometry'):
        region_patch_split(boxes, polygons, SHARES, column='county')
    with pytest.raises(EmptyDataError, match='same CRS'):
        region_patch_split(boxes + 1000, polygons, SHARES)


def test_report_measures_overlaps() -> None:
    train = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3]])
    test = np.array([[2.0, 2, 4, 4], [0, 0, 1, 1], [9, 9, 10, 10], [3, 0, 4, 1]])
    report = leak_report({'train': train, 'test': test})
    # [2, 2, 4, 4] shares one of its four cells; the third and fourth share none
    assert report.touching['test'] == 0.5
    assert report.inside['test'] == pytest.approx((1 + 1) / (4 + 1 + 1 + 1))


def test_report_of_tables_and_samplers() -> None:
    boxes = make_boxes(4)
    table = gpd.GeoDataFrame(geometry=shapely.box(*boxes.T), crs='EPSG:32633')
    windows = [(slice(x, X), slice(y, Y)) for x, y, X, Y in boxes.tolist()]

    class Sampler:
        def __iter__(self) -> Any:
            return iter(windows[:4])

    class BatchSampler:
        def __iter__(self) -> Any:
            return iter([windows[4:6], windows[:2]])

    report = leak_report(
        {'train': table.iloc[:4], 'val': Sampler(), 'test': BatchSampler()}
    )
    assert report.touching == {'val': 1, 'test': 0.5}
    assert report.sizes == {'train': 4, 'val': 4, 'test': 4}


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'boxes': np.ones((3, 3))}, ValueError, r'shape \(N, 4\)'),
    ({'boxes': np.ones((3, 4))}, ValueError, 'left below right'),
    ({'counts': np.ones((3, 2))}, ValueError, 'one row for each patch'),
    ({'counts': np.zeros((256, 2))}, ValueError, 'at least one class'),
    ({'gap': -1}, ValueError, 'gap of 0 or more, .* got -1'),
    ({'gap': float('nan')}, ValueError, 'finite gap .* got nan'),
    ({'gap': float('inf')}, ValueError, 'finite gap .* got inf'),
    ({'block_size': float('nan')}, ValueError, 'positive block_size'),
    ({'block_size': 0.0}, ValueError, 'positive block_size'),
    ({'block_size': -2}, ValueError, 'positive block_size'),
    ({'block_size': 1e6}, EmptyDataError, 'smaller blocks'),
]


@pytest.mark.parametrize(('options', 'error', 'match'), BAD)
def test_bad_options(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        block_patch_split(**({'boxes': make_boxes(), 'shares': SHARES} | options))


def test_bad_regions() -> None:
    names = ['a', 'b'] * 128
    for gap in (-1, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='finite gap of 0 or more'):
            region_patch_split(make_boxes(), names, SHARES, gap=gap)
    with pytest.raises(ValueError, match='region for each of 256'):
        region_patch_split(make_boxes(), ['a', 'b'], SHARES)
    with pytest.raises(UnknownNameError, match='train'):
        block_patch_split(make_boxes(), SHARES).indices('training')
