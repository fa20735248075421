# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from itertools import pairwise

import numpy as np
import pytest

from torchgeo_hsi.io._tiles import Span, tile_spans, tile_weights


def test_short_axis_is_one_tile() -> None:
    assert tile_spans(5, 8, 4) == [Span(0, 5, 0)]
    assert [w.tolist() for w in tile_weights([Span(0, 5, 0)], 4, 1)] == [[1.0] * 5]


def test_tiles_are_even() -> None:
    spans = tile_spans(100, 40, 8, 4)
    assert [(s.start, s.stop, s.new) for s in spans] == [
        (0, 40, 0),
        (32, 72, 40),
        (60, 100, 72),
    ]


@pytest.mark.parametrize('seed', range(5))
def test_any_axis_is_covered(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        multiple = int(rng.choice([1, 4, 8]))
        overlap = int(rng.integers(0, 8)) * multiple
        tile = 2 * overlap + int(rng.integers(1, 20)) * multiple
        size = int(rng.integers(1, 900))
        spans = tile_spans(size, tile, overlap, multiple)
        assert (spans[0].start, spans[-1].stop) == (0, size)
        assert all(span.start % multiple == 0 for span in spans)
        assert all(0 < span.stop - span.start <= tile for span in spans)
        for one, other in pairwise(spans):
            assert one.start < other.start
            assert one.stop - other.start >= overlap
            assert other.new == one.stop
        total = np.zeros(size)
        for span, weights in zip(
            spans, tile_weights(spans, overlap, overlap // 4), strict=True
        ):
            assert (weights >= 0).all()
            total[span.start : span.stop] += weights
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_margin_counts_only_at_the_edge_of_the_scene() -> None:
    spans = tile_spans(100, 40, 8)
    first, second, last = tile_weights(spans, 8, 2)
    assert first[0] == last[-1] == 1
    assert first[-2:].max() < 1e-20
    assert second[:2].max() < 1e-20
    assert last[:2].max() < 1e-20


@pytest.mark.parametrize(
    ('tile', 'overlap', 'multiple', 'reason'),
    [
        (8, 5, 1, 'half'),
        (0, 0, 1, 'at least 1'),
        (8, -1, 1, 'overlap'),
        (12, 4, 8, 'multiples of 8'),
        (16, 4, 8, 'multiples of 8'),
    ],
)
def test_bad_options(tile: int, overlap: int, multiple: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tile_spans(100, tile, overlap, multiple)
