# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of pixels, against windows that are compared one by one."""

from typing import Any

import numpy as np
import pytest
import torch
from data.fields.data import LONELY, make_fields
from scipy import ndimage

from torchgeo_hsi.datasets import (
    block_pixel_split,
    leak_report,
    random_pixel_split,
    region_pixel_split,
)
from torchgeo_hsi.datasets.splits import PixelSplit
from torchgeo_hsi.errors import EmptyDataError, UnknownNameError

HALVES = {'train': 0.5, 'test': 0.5}


def window_pixels(row: int, column: int, window: int) -> set[tuple[int, int]]:
    """List the pixels of a window, as a classifier cuts it out."""
    top, left = row - window // 2, column - window // 2
    return {(top + i, left + j) for i in range(window) for j in range(window)}


def brute_force(
    train: np.ndarray, test: np.ndarray, window: int
) -> tuple[float, float]:
    """Compare each window of the test with all pixels of all training windows."""
    seen: set[tuple[int, int]] = set()
    for row, column in np.argwhere(train).tolist():
        seen |= window_pixels(row, column, window)
    places = [tuple(place) for place in np.argwhere(test).tolist()]
    touching = [bool(window_pixels(*place, window) & seen) for place in places]
    inside = [place in seen for place in places]
    return float(np.mean(touching)), float(np.mean(inside))


@pytest.fixture(scope='module')
def fields() -> np.ndarray:
    return make_fields(size=64, pitch=11, classes=9)


@pytest.mark.parametrize('window', [1, 2, 3, 6, 7])
@pytest.mark.parametrize('seed', [0, 1])
def test_no_window_of_two_splits_touches(
    fields: np.ndarray, window: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    for make in (block_pixel_split, region_pixel_split):
        split = make(fields, window, trials=20, generator=generator)
        for first, second in (('train', 'test'), ('train', 'val'), ('val', 'test')):
            pair = split.mask(first), split.mask(second)
            assert brute_force(*pair, window) == (0, 0)


@pytest.mark.parametrize('window', [2, 3, 6])
def test_one_pixel_less_of_guard_leaks(fields: np.ndarray, window: int) -> None:
    full = np.ones((40, 40), dtype=int)
    less = window // 2 - 1
    split = block_pixel_split(full, window, HALVES, 12, less, trials=4)
    assert brute_force(split.mask('train'), split.mask('test'), window)[0] > 0
    split = block_pixel_split(full, window, HALVES, 12, trials=4)
    assert brute_force(split.mask('train'), split.mask('test'), window)[0] == 0


@pytest.mark.parametrize('window', [1, 2, 5, 8])
def test_report_counts_like_brute_force(window: int) -> None:
    rng = np.random.default_rng(window)
    masks = rng.random((2, 30, 27)) < 0.01
    masks[0, 4, 5] = masks[1, 9, 3] = True
    masks[1] &= ~masks[0]
    report = leak_report({'train': masks[0], 'test': masks[1]}, window=window)
    touching, inside = brute_force(*masks, window)
    assert report.touching['test'] == pytest.approx(touching)
    assert report.inside['test'] == pytest.approx(inside)


def test_block_split_keeps_what_it_may(fields: np.ndarray) -> None:
    """A pixel is left out only if another split lies within the guard."""
    split = block_pixel_split(fields, 5, trials=20)
    size, (row, column) = split.block_size, split.offset
    assert size is not None
    side: dict[tuple[int, int], int] = {}
    for name in split.names:
        for r, c in zip(*split.pixels(name), strict=True):
            block = (r + row) // size, (c + column) // size
            code = split.names.index(name)
            assert side.setdefault(block, code) == code
    shape = split.codes.shape
    for r, c in np.argwhere(split.left_out).tolist():
        near = {
            ((y + row) // size, (x + column) // size)
            for y in range(max(r - 2, 0), min(r + 3, shape[0]))
            for x in range(max(c - 2, 0), min(c + 3, shape[1]))
        }
        own = side.get(((r + row) // size, (c + column) // size))
        # a block of which the guard took everything is in no dictionary
        assert own is None or any(side.get(block, -1) != own for block in near)
    kept = (split.codes >= 0) | split.left_out
    assert np.array_equal(kept, fields > 0)


def test_shares_of_all_classes_are_met() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(1, 6, (240, 240))
    shares = {'train': 0.5, 'val': 0.2, 'test': 0.3}
    split = block_pixel_split(labels, 3, shares, 12)
    for code in range(1, 6):
        kept = [int((split.select(name) == code).sum()) for name in shares]
        np.testing.assert_allclose(
            np.array(kept) / sum(kept), list(shares.values()), atol=0.02
        )
    assert split.left_out.mean() < 0.12


def test_rare_class_of_two_fields_is_in_both_splits() -> None:
    labels = np.ones((120, 120), dtype=int)
    labels[5:12, 5:12] = labels[100:110, 40:50] = 2
    for seed in range(3):
        split = block_pixel_split(
            labels, 5, HALVES, generator=torch.Generator().manual_seed(seed)
        )
        assert leak_report(split).untestable == ()


def test_same_generator_same_split(fields: np.ndarray) -> None:
    def run(make: Any, seed: int | None) -> np.ndarray:
        source = None if seed is None else torch.Generator().manual_seed(seed)
        return make(fields, 3, HALVES, generator=source).codes

    state = torch.get_rng_state()
    for make in (block_pixel_split, region_pixel_split, random_pixel_split):
        assert np.array_equal(run(make, 5), run(make, 5))
        assert np.array_equal(run(make, None), run(make, None))
        assert not np.array_equal(run(make, 5), run(make, 6))
    assert torch.equal(torch.get_rng_state(), state)


def test_regions_stay_whole(fields: np.ndarray) -> None:
    split = region_pixel_split(fields, 3, HALVES)
    rows, columns = np.nonzero(fields)
    pitch = 11
    found: dict[tuple[int, int], set[int]] = {}
    for r, c in zip(rows, columns, strict=True):
        code = int(split.codes[r, c])
        found.setdefault((r // pitch, c // pitch), set()).add(code)
    assert all(len(codes - {-1}) <= 1 for codes in found.values())


def test_given_regions() -> None:
    labels = np.ones((30, 30), dtype=int)
    regions = np.repeat(np.repeat([[7, 8], [8, 9]], 15, 0), 15, 1)
    split = region_pixel_split(labels, 1, HALVES, regions)
    for region in (7, 8, 9):
        assert len(set(split.codes[regions == region].tolist()) - {-1}) == 1
    with pytest.raises(ValueError, match='regions of the shape'):
        region_pixel_split(labels, 1, HALVES, regions[:4])


@pytest.mark.parametrize('window', [5, 9, 15])
def test_random_split_is_stratified_and_leaks(window: int) -> None:
    """The shares that follow from how many labelled pixels a window holds."""
    labels = make_fields()
    split = random_pixel_split(labels, window, {'train': 0.02, 'test': 0.98})
    for code in np.unique(labels[labels > 0]):
        number = int((labels == code).sum())
        got = int((split.select('train') == code).sum())
        assert abs(got - 0.02 * number) <= 1
    shares = np.zeros(2)
    for seed in range(10):
        source = torch.Generator().manual_seed(seed)
        drawn = random_pixel_split(
            labels, window, {'train': 0.02, 'test': 0.98}, generator=source
        )
        report = leak_report(drawn)
        shares += np.array([report.inside['test'], report.touching['test']]) / 10
    labelled = (labels > 0).astype(float)
    for reach, share in zip((window, 2 * window - 1), shares, strict=True):
        others = ndimage.uniform_filter(labelled, reach, mode='constant') * reach**2
        chance = 1 - 0.98 ** (others[labels > 0] - 1)
        assert share == pytest.approx(chance.mean(), abs=0.015)
    dense = leak_report(random_pixel_split(labels, window, {'train': 0.1, 'test': 0.9}))
    assert dense.touching['test'] > 0.98


def test_class_of_one_field_is_reported() -> None:
    labels = make_fields()
    report = leak_report(block_pixel_split(labels, 15))
    assert report.single_region == LONELY
    assert set(report.untestable) <= set(LONELY)
    whole = leak_report(region_pixel_split(labels, 5))
    assert whole.untestable == LONELY
    assert str(LONELY[0]) in str(whole)


def test_labels_of_many_kinds(fields: np.ndarray) -> None:
    want = block_pixel_split(fields, 3, HALVES).codes
    for labels in (
        fields.astype(np.float32),
        np.where(fields == 0, np.nan, fields.astype(float)),
        torch.from_numpy(fields.astype(np.int64)),
        fields[None],
    ):
        assert np.array_equal(block_pixel_split(labels, 3, HALVES).codes, want)
    other = np.where(fields == 0, 255, fields.astype(int) - 1)
    split = block_pixel_split(other, 3, HALVES, ignore_index=255)
    assert np.array_equal(split.codes, want)
    everything = block_pixel_split(fields, 3, HALVES, ignore_index=None)
    assert everything.labelled.all()


def test_image_smaller_than_blocks() -> None:
    split = block_pixel_split(np.ones((16, 16), dtype=int), 3, HALVES)
    assert isinstance(split, PixelSplit)
    assert brute_force(split.mask('train'), split.mask('test'), 3) == (0, 0)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({'window': 0}, ValueError, 'window of at least 1'),
    ({'guard': -1}, ValueError, 'guard of 0'),
    ({'block_size': 14}, ValueError, 'more than 14'),
    ({'trials': 0}, ValueError, 'at least one trial'),
    ({'shares': {'train': 1}}, ValueError, 'at least two splits'),
    ({'shares': {'train': 1, 'test': 0}}, ValueError, 'positive shares'),
    ({'labels': np.zeros((9, 9))}, ValueError, 'No pixel has a label'),
    ({'labels': np.ones((2, 9, 9))}, ValueError, r'shape \(H, W\)'),
    ({'labels': np.full((9, 9), 1.5)}, ValueError, 'whole numbers'),
    ({'block_size': 500}, EmptyDataError, 'blocks or regions with data'),
]


@pytest.mark.parametrize(('options', 'error', 'match'), BAD)
def test_bad_options(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    given = {'labels': np.ones((64, 64), dtype=int), 'window': 15, 'trials': 3}
    with pytest.raises(error, match=match):
        block_pixel_split(**(given | options))


def test_guard_that_leaves_nothing() -> None:
    labels = np.indices((40, 40)).sum(axis=0) % 3 + 1
    with pytest.raises(EmptyDataError, match='leaves no pixel'):
        region_pixel_split(labels, 15)


def test_more_splits_than_pixels() -> None:
    with pytest.raises(EmptyDataError, match='labelled pixel for each'):
        random_pixel_split([[1, 0], [0, 0]], 3)


def test_unknown_split(fields: np.ndarray) -> None:
    with pytest.raises(UnknownNameError, match='validation'):
        random_pixel_split(fields, 3).mask('validation')
