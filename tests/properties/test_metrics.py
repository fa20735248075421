# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What metrics of cubes have in common, and what each is blind to."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_hsi import metrics


class Pair(NamedTuple):
    """A function and its metric.

    Args:
        score: The function, of prediction, target and valid pixels.
        metric: Makes the metric.
        best: Score of a perfect prediction.
    """

    score: Callable[..., Tensor]
    metric: Callable[[], Any]
    best: float


def _with(function: Callable[..., Tensor], **words: Any) -> Callable[..., Tensor]:
    return lambda x, y, valid=None: function(x, y, valid=valid, **words)


PAIRS = {
    'angle': Pair(metrics.mean_spectral_angle, metrics.SpectralAngle, 0.0),
    'ergas': Pair(_with(metrics.ergas, ratio=4), lambda: metrics.ERGAS(ratio=4), 0.0),
    'mpsnr': Pair(metrics.mpsnr, metrics.MPSNR, 100.0),
    'mssim': Pair(metrics.mssim, metrics.MSSIM, 1.0),
    'rmse': Pair(metrics.rmse, metrics.RMSE, 0.0),
    'correlation': Pair(metrics.cross_correlation, metrics.CrossCorrelation, 1.0),
    'q2n': Pair(_with(metrics.q2n, block=8), lambda: metrics.Q2n(block=8), 1.0),
}

SEEDS = st.integers(0, 10_000)
COUNTS = st.integers(1, 5)
BANDS = st.integers(1, 6)
SIDES = st.integers(8, 17)
all_pairs = pytest.mark.parametrize('name', sorted(PAIRS))


def make(
    count: int, bands: int, height: int, width: int, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Make predictions, targets, and pixels that count: a block at least."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, bands, height, width)
    target = 0.1 + 0.8 * torch.rand(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    valid = torch.rand(count, height, width, generator=generator) > 0.2
    valid[:, :8, :8] = True
    return target + 0.05 * noise, target, valid


@all_pairs
@given(count=COUNTS, bands=BANDS, height=SIDES, width=SIDES, seed=SEEDS, data=st.data())
def test_metric_is_the_mean_of_the_function(
    name: str, count: int, bands: int, height: int, width: int, seed: int, data: Any
) -> None:
    pair = PAIRS[name]
    x, y, valid = make(count, bands, height, width, seed)
    scores = pair.score(x, y, valid)
    assert scores.shape == (count,)
    metric = pair.metric()
    start = 0
    while start < count:
        stop = start + data.draw(st.integers(1, count - start))
        metric.update(x[start:stop], y[start:stop], valid[start:stop])
        start = stop
    torch.testing.assert_close(
        metric.compute().double(), scores.mean(), rtol=1e-5, atol=1e-7
    )
    # a single image is a batch of one
    single = pair.score(x[0], y[0], valid[0])
    torch.testing.assert_close(single, scores[0], rtol=1e-9, atol=1e-12)


@all_pairs
@given(
    count=COUNTS,
    bands=BANDS,
    height=SIDES,
    width=SIDES,
    seed=SEEDS,
    fill=st.sampled_from([0.0, -9999.0, 1e30, float('nan'), float('-inf')]),
)
def test_what_is_masked_does_not_matter(
    name: str, count: int, bands: int, height: int, width: int, seed: int, fill: float
) -> None:
    pair = PAIRS[name]
    x, y, valid = make(count, bands, height, width, seed)
    hidden = ~valid[:, None]
    before = pair.score(x, y, valid)
    after = pair.score(x.masked_fill(hidden, fill), y.masked_fill(hidden, fill), valid)
    assert torch.equal(before, after)
    nothing = pair.score(x, y, torch.zeros_like(valid))
    assert nothing.isnan().all()


@all_pairs
@given(count=COUNTS, bands=BANDS, side=SIDES, seed=SEEDS)
def test_order_of_images_does_not_matter(
    name: str, count: int, bands: int, side: int, seed: int
) -> None:
    pair = PAIRS[name]
    x, y, valid = make(count, bands, side, side, seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    moved = pair.score(x[order], y[order], valid[order])
    torch.testing.assert_close(
        moved, pair.score(x, y, valid)[order], rtol=1e-9, atol=1e-12
    )


@all_pairs
@given(count=COUNTS, bands=BANDS, side=SIDES, seed=SEEDS)
def test_nothing_is_better_than_the_truth(
    name: str, count: int, bands: int, side: int, seed: int
) -> None:
    pair = PAIRS[name]
    x, y, valid = make(count, bands, side, side, seed)
    perfect = pair.score(y, y, valid)
    torch.testing.assert_close(
        perfect, torch.full_like(perfect, pair.best), rtol=1e-6, atol=1e-6
    )
    found = pair.score(x, y, valid)
    higher = pair.metric().higher_is_better
    assert ((found <= perfect + 1e-9) if higher else (found >= perfect - 1e-9)).all()


@given(bands=st.integers(2, 6), side=SIDES, seed=SEEDS, factor=st.floats(1e-3, 1e3))
def test_what_each_is_blind_to(bands: int, side: int, seed: int, factor: float) -> None:
    x, y, valid = make(2, bands, side, side, seed)
    close: dict[str, Any] = {'rtol': 1e-5, 'atol': 1e-7}
    check = torch.testing.assert_close
    # brightness of each pixel
    light = factor * (0.5 + torch.rand(2, 1, side, side, dtype=torch.float64))
    angle = metrics.mean_spectral_angle(x.clamp_min(1e-3), y, valid)
    check(
        metrics.mean_spectral_angle(x.clamp_min(1e-3) * light, y, valid), angle, **close
    )
    # gain and offset of each band
    gain = factor * (1 + torch.arange(bands, dtype=torch.float64))[:, None, None]
    check(
        metrics.cross_correlation(x * gain + gain, y, valid),
        metrics.cross_correlation(x, y, valid),
        **close,
    )
    # the unit
    check(
        metrics.ergas(factor * x, factor * y, 4, valid),
        metrics.ergas(x, y, 4, valid),
        **close,
    )
    check(
        metrics.mpsnr(factor * x, factor * y, valid, data_range=factor),
        metrics.mpsnr(x, y, valid),
        **close,
    )
    check(
        metrics.mssim(factor * x, factor * y, valid, data_range=factor),
        metrics.mssim(x, y, valid),
        **close,
    )
    check(
        metrics.rmse(factor * x, factor * y, valid),
        factor * metrics.rmse(x, y, valid),
        **close,
    )
    # order of the bands
    order = torch.randperm(bands)
    for name in ('angle', 'ergas', 'mpsnr', 'mssim', 'rmse', 'correlation'):
        score = PAIRS[name].score
        check(score(x[:, order], y[:, order], valid), score(x, y, valid), **close)
