# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of two dates of one place."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchgeo.datasets import stack_samples

from torchgeo_hsi.datasets import TemporalPairs
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.samplers import TemporalPairSampler

BOXES = ((0, 0, 20, 20), (5, 5, 20, 20), (0, 0, 20, 20), (100, 0, 20, 20))
DAYS = ('2023-01-01', '2023-01-21', '2023-06-01', '2023-01-02')


def test_pairs_overlap_and_keep_their_gap(pixels: Any) -> None:
    dataset = pixels(*BOXES, days=DAYS)
    sampler = TemporalPairSampler(dataset, 8, 400, min_gap=10, in_order=True)
    assert sampler.num_pairs == 3
    gaps = set()
    for first, second in sampler:
        assert first[:2] == second[:2]
        gaps.add((second[2].start - first[2].start).days)
        assert 0 <= (first[0].start - 500000) / 30 <= 12
    assert gaps == {20, 131, 151}
    assert TemporalPairSampler(dataset, 8, 4, max_gap=30).num_pairs == 1
    assert TemporalPairSampler(dataset, 16, 4, max_gap=200).num_pairs == 1


def test_either_date_comes_first(pixels: Any) -> None:
    dataset = pixels(*BOXES[:2], days=DAYS[:2])
    sampler = TemporalPairSampler(dataset, 8, 400)
    later = sum(first[2].start > second[2].start for first, second in sampler)
    assert 150 < later < 250


def test_both_dates_are_valid(pixels: Any) -> None:
    valid = np.ones((2, 20, 20), dtype=bool)
    valid[0, :10], valid[1, :, :10] = False, False
    dataset = pixels(BOXES[0], BOXES[2], valid=valid, days=DAYS[:2])
    sampler = TemporalPairSampler(dataset, 6, 100, min_valid=1.0)
    pairs = TemporalPairs(dataset)
    for pair in sampler:
        assert pairs[pair]['valid'].all()
    with pytest.raises(EmptyDataError, match='valid at two dates'):
        list(TemporalPairSampler(dataset, 12, 100, min_valid=1.0))


def test_samples(pixels: Any) -> None:
    dataset = pixels(BOXES[0], BOXES[2], days=DAYS[:2])
    pairs = TemporalPairs(dataset)
    sampler = TemporalPairSampler(dataset, 6, 8, in_order=True)
    loader = DataLoader(pairs, 4, sampler=sampler, collate_fn=stack_samples)
    batches = list(loader)
    assert len(batches) == 2
    assert batches[0]['image'].shape == (4, 2, 6, 6)
    # in order, the first date gives 1, the second 2
    assert (batches[0]['image'][:, 0] == 1).all()
    assert (batches[0]['image'][:, 1] == 2).all()
    assert batches[0]['transform'].shape == (4, 6)
    assert pairs.res == dataset.res
    with pytest.raises(BandMismatchError, match='TemporalPairSampler'):
        pairs[next(iter(sampler))[0]]


def test_no_pair(pixels: Any) -> None:
    dataset = pixels(*BOXES, days=DAYS)
    with pytest.raises(EmptyDataError, match='widen the gap'):
        TemporalPairSampler(dataset, 8, 4, min_gap=1000)
    nan = float('nan')
    for least, most in ((5, 2), (-1, None), (nan, None), (1, nan)):
        with pytest.raises(ValueError, match='min_gap <= max_gap'):
            TemporalPairSampler(dataset, 8, 4, min_gap=least, max_gap=most)
    with pytest.raises(ValueError, match='positive sizes'):
        TemporalPairSampler(dataset, 0, 4)


def test_seed(pixels: Any) -> None:
    dataset = pixels(*BOXES, days=DAYS)
    first, second = (
        list(
            TemporalPairSampler(
                dataset, 8, 20, generator=torch.Generator().manual_seed(3)
            )
        )
        for _ in range(2)
    )
    assert first == second
