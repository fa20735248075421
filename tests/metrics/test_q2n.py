# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the hypercomplex quality index."""

from typing import Any

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import INNER, golden_scene
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics.q2n import Q2n, q2n

Array = NDArray[np.float64]


def conjugate(x: Array) -> Array:
    return np.concatenate([x[:1], -x[1:]])


def multiply(x: Array, y: Array) -> Array:
    """Multiply hypercomplex numbers, units along the first axis, by recursion."""
    if len(x) == 1:
        return x * y
    half = len(x) // 2
    p, r, s, u = x[:half], x[half:], y[:half], y[half:]
    first = multiply(p, s) - multiply(conjugate(u), r)
    second = multiply(conjugate(p), conjugate(u)) + multiply(s, conjugate(r))
    return np.concatenate([first, second])


def score_block(test: Array, truth: Array) -> float:
    """Score the pixels of a block, shape (C, P), one number at a time."""
    pixels = truth.shape[1]
    units = 1
    while units < len(truth):
        units *= 2
    z, y = np.zeros((units, pixels)), np.zeros((units, pixels))
    z[: len(truth)], y[: len(truth)] = truth, test
    for unit in range(units):
        mean, deviation = z[unit].mean(), z[unit].std(ddof=1)
        if z[unit].min() == z[unit].max():
            mean, deviation = z[unit, 0], 1e-10
        z[unit] = (z[unit] - mean) / deviation + 1
        y[unit] = y[unit] + 1 if mean == 0 else (y[unit] - mean) / deviation + 1
    y = conjugate(y)
    a, b = z.mean(1), y.mean(1)
    k = pixels / (pixels - 1)
    squares = (a**2).sum() + (b**2).sum()
    variance = k * ((z**2).sum(0).mean() + (y**2).sum(0).mean() - squares)
    bias = 2 * np.sqrt((a**2).sum() * (b**2).sum()) / squares
    if variance == 0:
        return float(bias)
    product = k * multiply(z, y).mean(1) - k * multiply(a[:, None], b[:, None])[:, 0]
    return float(np.linalg.norm(product * bias * 2 / variance))


def reference(
    test: Tensor, truth: Tensor, block: int = 32, valid: Tensor | None = None
) -> float:
    """Score an image of shape (C, H, W), block after block."""
    height, width = truth.shape[-2:]
    pad = ((0, 0), (0, -height % block), (0, -width % block))
    mask = np.ones((1, height, width), bool) if valid is None else valid[None].numpy()
    x, y, mask = (
        np.pad(i, pad, mode='symmetric') for i in (test.numpy(), truth.numpy(), mask)
    )
    scores = []
    for row in range(0, x.shape[1], block):
        for column in range(0, x.shape[2], block):
            place = np.s_[:, row : row + block, column : column + block]
            keep = mask[place].ravel()
            if 2 * keep.sum() < block**2:
                continue
            pair = (i[place].reshape(len(i), -1)[:, keep] for i in (x, y))
            scores.append(score_block(*pair))
    return float(np.mean(scores)) if scores else float('nan')


def images(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    truth = 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)
    noise = torch.rand(*shape, generator=generator, dtype=torch.float64)
    return 0.9 * truth + 0.3 * noise, truth


@pytest.mark.parametrize('bands', [1, 2, 3, 4, 7, 8, 13])
def test_against_the_recursion(bands: int) -> None:
    test, truth = images(bands, 19, 41, seed=bands)
    expected = reference(test, truth, 16)
    assert q2n(test, truth, block=16).item() == pytest.approx(expected, abs=1e-9)


def test_many_bands() -> None:
    test, truth = images(40, 16, 16)
    expected = reference(test, truth, 16)
    assert 0.3 < expected < 0.99
    assert q2n(test, truth, block=16).item() == pytest.approx(expected, abs=1e-9)
    single = q2n(test.float(), truth.float(), block=16)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, abs=1e-6)


def test_published_numbers() -> None:
    scene = golden_scene(32)
    up, truth = scene.batch('ms')[INNER], scene.batch('gt')[INNER]
    assert q2n(up, truth, rounded=True).item() == pytest.approx(0.814486, abs=1e-6)
    # values between are rounded as well
    near = truth + 0.4 * torch.sin(truth)
    assert q2n(near, truth, rounded=True).item() == pytest.approx(1, abs=1e-12)
    assert q2n(near, truth).item() < 1 - 1e-9


def test_blocks_of_images_smaller_than_a_block() -> None:
    test, truth = images(3, 5, 9)
    assert q2n(test, truth, block=16).item() == pytest.approx(
        reference(test, truth, 16), abs=1e-9
    )


def test_many_chunks_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    test, truth = images(3, 40, 100)
    whole = q2n(test, truth, block=8)
    monkeypatch.setattr('torchgeo_hsi.metrics._blocks._VALUES', 500)
    torch.testing.assert_close(q2n(test, truth, block=8), whole)


def test_bands_without_contrast() -> None:
    test, truth = images(5, 16, 16)
    # zeros in both: only unity is added, as to a band that fills up
    test[2] = truth[2] = 0
    dead = reference(test, truth, 16)
    assert q2n(test, truth, block=16).item() == pytest.approx(dead, abs=1e-9)
    test[2] = 0.1 * test[1]
    assert q2n(test, truth, block=16).item() == pytest.approx(
        reference(test, truth, 16), abs=1e-9
    )
    # the same value everywhere, that has no exact mean
    truth[3] = 0.1
    test[3] = 0.1
    assert q2n(test, truth, block=16).item() == pytest.approx(
        reference(test, truth, 16), abs=1e-9
    )
    test[3] = 0.11
    assert q2n(test, truth, block=16).item() == pytest.approx(0, abs=1e-6)
    flat = torch.full((5, 16, 16), 0.1)
    assert q2n(flat, flat).item() == 1
    assert q2n(0 * flat, 0 * flat).item() == 1


def test_masks() -> None:
    test, truth = images(2, 3, 24, 40)
    generator = torch.Generator().manual_seed(3)
    valid = torch.rand(2, 24, 40, generator=generator) < 0.8
    valid[0, :8, :5] = False
    valid[1, 8:16, 8:16] = False
    expected = [reference(*x, 8, v) for *x, v in zip(test, truth, valid, strict=True)]
    dirty = test.masked_fill(~valid[:, None], torch.inf)
    hidden = truth.masked_fill(~valid[:, None], torch.nan)
    found = q2n(dirty, hidden, valid, block=8)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    metric = Q2n(block=8)
    metric.update(dirty[:1], hidden[:1], valid[:1])
    metric.update(dirty[1:], hidden[1:], valid[1:])
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)
    valid[0] = False
    scores = q2n(dirty, hidden, valid, block=8)
    assert scores[0].isnan()
    assert scores[1].item() == pytest.approx(expected[1], abs=1e-9)
    metric.update(dirty[:1], hidden[:1], valid[:1])
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)


def test_a_network_that_fails_is_seen() -> None:
    test, truth = images(3, 16, 16)
    test[1, 3, 3] = torch.nan
    assert q2n(test, truth).isnan()
    metric = Q2n()
    metric.update(test, truth)
    assert metric.compute().isnan()


def test_empty_batches_and_gradients() -> None:
    nothing = torch.rand(0, 3, 16, 16)
    assert q2n(nothing, nothing).shape == (0,)
    test, truth = images(3, 8, 8)
    test.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: q2n(x, truth, block=8), test)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: Q2n(block=1), 'block to be 2 pixels'),
        (lambda: q2n(*images(2, 4, 4), block=0), 'block to be 2 pixels'),
        (lambda: Q2n(clamp=(1, 0)), 'lower and an upper'),
    ],
)
def test_options_are_checked(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_shapes_are_checked() -> None:
    with pytest.raises(BandMismatchError, match='same shape'):
        q2n(torch.rand(2, 4, 4), torch.rand(3, 4, 4))
