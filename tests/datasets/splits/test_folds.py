# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Folds, against windows that are compared one by one."""

import numpy as np
import pytest
import torch
from data.fields.data import make_fields
from scipy import ndimage

from torchgeo_hsi.datasets import leak_report, pixel_folds
from torchgeo_hsi.errors import EmptyDataError


@pytest.fixture(scope='module')
def fields() -> np.ndarray:
    return make_fields(size=72, pitch=12, classes=4)


def touch(train: np.ndarray, test: np.ndarray, window: int) -> bool:
    """Tell whether any two windows have a pixel in common, pixel by pixel."""
    half = window // 2
    seen = np.zeros(train.shape, dtype=bool)
    padded = np.pad(seen, window)
    for row, column in np.argwhere(train) + window:
        padded[row - half : row + half + 1, column - half : column + half + 1] = True
    return any(
        padded[row - half : row + half + 1, column - half : column + half + 1].any()
        for row, column in np.argwhere(test) + window
    )


@pytest.mark.parametrize('by', ['block', 'region'])
@pytest.mark.parametrize('window', [1, 5])
def test_folds_keep_apart(fields: np.ndarray, by: str, window: int) -> None:
    splits = pixel_folds(fields, 4, window, by, trials=20)  # type: ignore[arg-type]
    assert len(splits) == 4
    tested = np.zeros(fields.shape, dtype=int)
    for split in splits:
        train, test = split.mask('train'), split.mask('test')
        assert not touch(train, test, window)
        assert not (train & test).any()
        assert not ((train | test) & (fields == 0)).any()
        assert (split.method, split.guard) == (by, window // 2)
        tested += test
    assert tested.max() == 1
    # with a guard of 0 each label is tested once
    share = tested[fields > 0].mean()
    assert share == 1 if window == 1 else 0.5 < share < 1


def test_one_pixel_less_of_guard_leaks() -> None:
    full = np.ones((40, 40), dtype=int)
    for guard, leaks in ((2, False), (1, True)):
        splits = pixel_folds(full, 3, 5, block_size=10, guard=guard, trials=5)
        found = [leak_report(split).touching['test'] > 0 for split in splits]
        assert any(found) is leaks


def test_training_has_no_guard_inside() -> None:
    """What lies between two training blocks is trained on."""
    full = np.ones((40, 40), dtype=int)
    for split in pixel_folds(full, 4, 5, block_size=10, trials=5):
        lost = split.left_out
        # all of it is near the block that is tested
        near = ndimage.binary_dilation(split.mask('test'), np.ones((3, 3)), 4)
        assert not (lost & ~near).any()


def test_random(fields: np.ndarray) -> None:
    splits = pixel_folds(fields, 5, 7, 'random')
    tested = sum(split.mask('test').astype(int) for split in splits)
    assert np.array_equal(tested == 1, fields > 0)
    for split in splits:
        assert np.array_equal(split.mask('train') | split.mask('test'), fields > 0)
        assert leak_report(split).touching['test'] > 0.99
        for code in np.unique(fields[fields > 0]):
            share = (split.mask('test') & (fields == code)).sum() / (
                fields == code
            ).sum()
            assert share == pytest.approx(0.2, abs=0.02)


def test_regions_stay_whole(fields: np.ndarray) -> None:
    number = np.zeros(fields.shape, dtype=int)
    for code in np.unique(fields[fields > 0]):
        found, _ = ndimage.label(fields == code, np.ones((3, 3)))
        number[found > 0] = found[found > 0] + number.max()
    for split in pixel_folds(fields, 3, 1, 'region', trials=10):
        both = set(number[split.mask('train')]) & set(number[split.mask('test')])
        assert not both


def test_classes_are_shared_out() -> None:
    codes = np.random.default_rng(0).integers(1, 5, (9, 9))
    for split in pixel_folds(np.kron(codes, np.ones((8, 8), int)), 4, 3, trials=50):
        assert set(split.labels[split.mask('test')].tolist()) == {1, 2, 3, 4}


def test_seeds(fields: np.ndarray) -> None:
    def codes(seed: int | None) -> np.ndarray:
        source = None if seed is None else torch.Generator().manual_seed(seed)
        return np.stack(
            [s.codes for s in pixel_folds(fields, 3, 3, trials=5, generator=source)]
        )

    assert np.array_equal(codes(None), codes(None))
    assert not np.array_equal(codes(1), codes(2))


def test_errors(fields: np.ndarray) -> None:
    with pytest.raises(ValueError, match='at least 2 folds'):
        pixel_folds(fields, 1, 3)
    with pytest.raises(ValueError, match="by='block'"):
        pixel_folds(fields, 3, 3, 'field')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='block_size belongs'):
        pixel_folds(fields, 3, 3, 'random', block_size=8)
    with pytest.raises(ValueError, match='more than 8'):
        pixel_folds(fields, 3, 9, block_size=8)
    with pytest.raises(EmptyDataError):
        pixel_folds(np.ones((4, 4), int), 20, 3)
