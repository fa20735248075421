# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the universal quality index."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics.quality_index import quality_index

Array = NDArray[np.float64]


def score_window(x: Array, y: Array) -> float:
    """Score the pixels of a window from their sums, as published."""
    n, sx, sy = len(x), x.sum(), y.sum()
    level = sx**2 + sy**2
    spread = n * (x**2 + y**2).sum() - level
    flat = x.min() == x.max() and y.min() == y.max()
    if flat:
        return float(2 * sx * sy / level) if level else 1.0
    if level == 0:
        return 1.0
    return float(4 * (n * (x * y).sum() - sx * sy) * sx * sy / (spread * level))


def reference(
    first: Tensor,
    second: Tensor,
    window: int,
    sliding: bool,
    valid: Tensor | None = None,
) -> float:
    """Score images of shape (C, H, W), window after window."""
    x, y = first.numpy(), second.expand_as(first).numpy()
    mask = np.ones((1, *x.shape[1:]), bool) if valid is None else valid[None].numpy()
    height, width = x.shape[1:]
    step = 1 if sliding else window
    if not sliding:
        pad = ((0, 0), (0, -height % window), (0, -width % window))
        x, y, mask = (np.pad(i, pad, mode='symmetric') for i in (x, y, mask))
    bands = []
    for band in range(len(x)):
        scores = []
        for row in range(0, x.shape[1] - window + 1, step):
            for column in range(0, x.shape[2] - window + 1, step):
                place = np.s_[row : row + window, column : column + window]
                keep = mask[0][place]
                if 2 * keep.sum() >= window**2:
                    pair = x[band][place][keep], y[band][place][keep]
                    scores.append(score_window(*pair))
        bands.append(np.mean(scores))
    return float(np.mean(bands))


def images(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(*shape, generator=generator, dtype=torch.float64)
    second = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return first, 0.4 + first + 0.5 * second


@pytest.mark.parametrize('sliding', [True, False])
@pytest.mark.parametrize('window', [2, 5, 8, 13])
def test_against_loops(window: int, sliding: bool) -> None:
    first, second = images(2, 3, 17, 30)
    found = quality_index(first, second, window=window, sliding=sliding)
    pairs = zip(first, second, strict=True)
    expected = [reference(*pair, window, sliding) for pair in pairs]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    # digital numbers of float32 keep their digits
    shifted = (1000 * first + 7000).round().float(), (900 * second + 6000).float()
    found = quality_index(*shifted, window=window, sliding=sliding)
    pairs = zip(*(x.double() for x in shifted), strict=True)
    expected = [reference(*pair, window, sliding) for pair in pairs]
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize('sliding', [True, False])
def test_one_band_for_all(sliding: bool) -> None:
    first, second = images(3, 12, 13)
    found = quality_index(first, second[:1], window=5, sliding=sliding)
    assert found.item() == pytest.approx(
        reference(first, second[:1], 5, sliding), abs=1e-10
    )


@pytest.mark.parametrize('sliding', [True, False])
def test_masks(sliding: bool) -> None:
    first, second = images(2, 3, 14, 20)
    generator = torch.Generator().manual_seed(3)
    valid = torch.rand(2, 14, 20, generator=generator) < 0.8
    valid[:, :6, :5] = False
    expected = [
        reference(x, y, 4, sliding, v)
        for x, y, v in zip(first, second, valid, strict=True)
    ]
    first = first.masked_fill(~valid[:, None], torch.nan)
    second = second.masked_fill(~valid[:, None], torch.inf)
    found = quality_index(first, second, valid, 4, sliding)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    valid[0] = False
    found = quality_index(first, second, valid, 4, sliding)
    assert found[0].isnan()
    assert found[1].item() == pytest.approx(expected[1], abs=1e-10)


@pytest.mark.parametrize('sliding', [True, False])
def test_windows_without_contrast(sliding: bool) -> None:
    first, second = images(1, 12, 12)
    first[:, :6] = second[:, :6] = 0
    second[:, :, :6] = 0.1
    found = quality_index(first, second, window=4, sliding=sliding)
    assert found.item() == pytest.approx(reference(first, second, 4, sliding), abs=1e-9)
    flat = torch.full((1, 12, 12), 0.1)
    assert quality_index(flat, flat, window=4, sliding=sliding).item() == 1
    half = quality_index(flat, 2 * flat, window=4, sliding=sliding)
    assert half.item() == pytest.approx(0.8)


def test_chunks_of_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = images(5, 12, 12)
    expected = quality_index(first, second, window=4)
    single = quality_index(first, second[:1], window=4)
    module = import_module('torchgeo_hsi.metrics.quality_index')
    monkeypatch.setattr(module, '_VALUES', 300)
    torch.testing.assert_close(quality_index(first, second, window=4), expected)
    torch.testing.assert_close(quality_index(first, second[:1], window=4), single)


def test_small_images_and_empty_batches() -> None:
    first, second = images(2, 6, 9)
    expected = reference(first, second, 6, True)
    assert quality_index(first, second).item() == pytest.approx(expected, abs=1e-10)
    assert quality_index(first[None][:0], second[None][:0]).shape == (0,)


@pytest.mark.parametrize('sliding', [True, False])
def test_a_network_that_fails_is_seen(sliding: bool) -> None:
    first, second = images(2, 12, 12)
    first[1, 3, 3] = torch.nan
    assert quality_index(first, second, window=4, sliding=sliding).isnan()


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda x, y: quality_index(x, y, window=1), ValueError, 'window to be 2'),
        (lambda x, y: quality_index(x, y[:2]), BandMismatchError, 'many bands or one'),
        (lambda x, y: quality_index(x[0], y[0]), BandMismatchError, 'C, H, W'),
        (
            lambda x, y: quality_index(x, y, torch.ones(3, 4)),
            BandMismatchError,
            r'valid of shape \(6, 6\)',
        ),
    ],
)
def test_arguments_are_checked(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call(*images(3, 6, 6))
