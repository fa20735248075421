# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A few labels of each class, counted one by one."""

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.fields.data import make_fields

from torchgeo_hsi.datasets import (
    block_pixel_split,
    few_labels,
    leak_report,
    random_pixel_split,
)
from torchgeo_hsi.datasets.splits import PixelSplit


@pytest.fixture(scope='module')
def split() -> PixelSplit:
    fields = make_fields(size=64, pitch=11, classes=5)
    return block_pixel_split(fields, 5, block_size=16, trials=20)


def count(split: PixelSplit, name: str) -> Counter[int]:
    rows, columns = split.pixels(name)
    return Counter(split.labels[rows, columns].tolist())


@pytest.mark.parametrize('shots', [1, 5, 25])
def test_counts(split: PixelSplit, shots: int) -> None:
    few = few_labels(split, shots)
    before = count(split, 'train')
    want = {code: min(shots, number) for code, number in before.items()}
    assert count(few, 'train') == want
    # they are training pixels, and nothing else has changed
    assert not (few.mask('train') & ~split.mask('train')).any()
    for name in ('val', 'test'):
        assert np.array_equal(few.mask(name), split.mask(name))
    assert (few.method, few.guard, few.window) == ('block', 2, 5)


def test_the_others_are_tested() -> None:
    labels = np.repeat([1, 2, 3], [40, 10, 2])[None]
    split = random_pixel_split(labels, 5, {'train': 0.5, 'test': 0.5})
    few = few_labels(split, 5, rest='test')
    before, after = count(split, 'train'), count(few, 'train')
    assert after == {
        code: min(5, max(1, number // 2)) for code, number in before.items()
    }
    assert (few.codes >= 0).all()
    tested = count(few, 'test')
    assert all(tested[code] for code in before if before[code] > 1)


def test_seeds(split: PixelSplit) -> None:
    def draw(seed: int | None) -> np.ndarray:
        source = None if seed is None else torch.Generator().manual_seed(seed)
        return few_labels(split, 3, source).codes

    assert np.array_equal(draw(None), draw(None))
    assert np.array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_all_pixels_are_as_likely() -> None:
    split = random_pixel_split(
        np.ones((1, 10), int), 1, {'train': 0.999, 'test': 0.001}
    )
    pool = int(split.mask('train').sum())
    hits = np.zeros(10)
    for seed in range(400):
        few = few_labels(split, 2, torch.Generator().manual_seed(seed))
        hits += few.mask('train')[0]
    wanted = 400 * 2 / pool
    assert np.allclose(hits[split.mask('train')[0]], wanted, atol=5 * wanted**0.5)


def test_unused_pixels_are_no_guard() -> None:
    labels = np.repeat([[1], [2]], 50, axis=1)
    split = random_pixel_split(labels, 5, {'train': 0.5, 'test': 0.5})
    report = leak_report(few_labels(split, 3))
    # 50 are tested and 6 are learned from
    assert report.left_out == 100 - 50 - 6
    assert 'left out: 44 pixels (44.0%)' in str(report)
    figure = report.plot()
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    plt.close(figure)
    assert words == ['train (6)', 'test (50)', 'left out (44)', 'no label']


def test_errors(split: PixelSplit) -> None:
    with pytest.raises(ValueError, match='at least one training pixel'):
        few_labels(split, 0)
    with pytest.raises(ValueError, match="rest='drop' or 'test'"):
        few_labels(split, 1, rest='val')  # type: ignore[arg-type]
