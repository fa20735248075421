# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where windows and batches may be, whatever the scenes, shards and seeds."""

import math
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from samplers.conftest import RES, WEST, Pixels

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.samplers import (
    BalancedPatchSampler,
    BalancedWindowSampler,
    RandomWindowSampler,
    ShardBatchSampler,
)

SEEDS = st.integers(0, 10_000)
SCENES = st.lists(
    st.tuples(st.integers(2, 14), st.integers(2, 14)), min_size=1, max_size=3
)


def make_scenes(sizes: list[tuple[int, int]], seed: int) -> Pixels:
    """Put scenes side by side, with holes and classes."""
    rng = np.random.default_rng(seed)
    boxes, valid, masks, left = [], [], [], 0
    for width, height in sizes:
        boxes.append((left, 0, width, height))
        valid.append(rng.random((height, width)) > 0.3)
        masks.append(rng.integers(0, 3, (height, width)))
        left += width + 3
    return Pixels(*boxes, valid=valid, masks=masks)


def place(query: Any, scenes: Pixels) -> tuple[int, int, int, int]:
    """Return number, row and column of the scene of a window, and its size."""
    x, y, t = query
    starts = scenes.index.index.left
    (number,) = np.flatnonzero(starts == t.start)
    left, _, _, height = scenes.boxes[number]
    column = round((x.start - WEST) / RES) - left
    row = height - round(y.stop / RES)
    size = round((x.stop - x.start) / RES)
    assert size == round((y.stop - y.start) / RES)
    return int(number), row, column, size


def check_windows(
    windows: list[Any], scenes: Pixels, size: int, min_valid: float
) -> None:
    """Check that windows lie inside of their scenes, with enough valid pixels."""
    assert scenes.valid is not None
    for query in windows:
        number, row, column, found = place(query, scenes)
        assert found == size
        _, _, width, height = scenes.boxes[number]
        if width >= size:
            assert 0 <= column <= width - size
        if height >= size:
            assert 0 <= row <= height - size
        rows = slice(max(row, 0), min(row + size, height))
        columns = slice(max(column, 0), min(column + size, width))
        share = scenes.valid[number][rows, columns].sum() / size**2
        assert share >= min_valid - 1e-9


@pytest.mark.parametrize('kind', [RandomWindowSampler, BalancedWindowSampler])
@settings(max_examples=15)
@given(
    sizes=SCENES,
    size=st.integers(1, 7),
    seed=SEEDS,
    min_valid=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
)
def test_windows(
    kind: Any, sizes: list[tuple[int, int]], size: int, seed: int, min_valid: float
) -> None:
    scenes = make_scenes(sizes, seed)

    def make() -> Any:
        generator = torch.Generator().manual_seed(seed)
        return kind(scenes, size, 12, generator=generator, min_valid=min_valid)

    sampler = make()
    try:
        first = list(sampler)
    except EmptyDataError:
        assume(False)
    assert len(first) == len(sampler) == 12
    check_windows(first, scenes, size, min_valid)
    second = list(sampler)
    check_windows(second, scenes, size, min_valid)
    # an epoch follows from the seed and its number
    again = make()
    again.set_epoch(1)
    assert list(again) == second
    again.set_epoch(0)
    assert list(again) == first


@given(
    counts=st.lists(
        st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=8
    ),
    seed=SEEDS,
)
def test_patches_have_the_classes(counts: list[list[int]], seed: int) -> None:
    table = np.array(counts)
    weights = [1.0, 0.0, 2.0]
    assume(table[:, [0, 2]].any())
    sampler = BalancedPatchSampler(
        table, 30, weights, torch.Generator().manual_seed(seed)
    )
    assert all(table[number, [0, 2]].any() for number in sampler)


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=7),
    batch=st.integers(1, 6),
    buffer=st.integers(1, 8),
    shuffle=st.booleans(),
    seed=SEEDS,
    data=st.data(),
)
def test_batches_of_shards(
    sizes: list[int], batch: int, buffer: int, shuffle: bool, seed: int, data: Any
) -> None:
    total = sum(sizes)
    assume(total)
    ends = np.cumsum([0, *sizes])
    shards = [np.arange(a, b) for a, b in pairwise(ends)]

    def make(size: int = batch, source: int = seed) -> ShardBatchSampler:
        generator = torch.Generator().manual_seed(source)
        return ShardBatchSampler(shards, size, buffer, shuffle, generator)

    sampler = make()
    batches = list(sampler)
    assert len(batches) == len(sampler) == math.ceil(total / batch)
    assert sorted(chain(*batches)) == list(range(total))
    lengths = {len(part) for part in batches}
    assert max(lengths) <= batch
    assert max(lengths) - min(lengths) <= 1
    assert list(make()) == batches
    # stopped after some batches, and resumed by a sampler with another seed
    stopped = make()
    used = data.draw(st.integers(0, len(batches)))
    order = iter(stopped)
    for _ in range(used):
        next(order)
        stopped.used += 1
    state = stopped.state_dict()
    resumed = make(source=seed + 1)
    resumed.load_state_dict(state)
    resumed.set_epoch(0)
    assert list(resumed) == batches[used:]
    # batches of another size hold the same samples
    other = make(data.draw(st.integers(1, 6)), seed + 2)
    other.load_state_dict(state)
    other.set_epoch(0)
    assert list(chain(*other)) == list(chain(*batches[used:]))
