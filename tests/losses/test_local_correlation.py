# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spatial losses of sharpened cubes."""

from typing import Any

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.losses.local_correlation import (
    LocalCorrelationLoss,
    correlation_threshold,
)
from torchgeo_hsi.physics.resampling import mtf_kernel


def images(bands: int = 2, rows: int = 11, columns: int = 14) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(bands)
    pan = torch.rand(2, 1, rows, columns, generator=generator).double()
    noise = torch.rand(2, bands, rows, columns, generator=generator).double()
    sign = torch.tensor([1.0, -0.8])[:bands, None, None]
    return 0.5 + sign * pan + noise, pan


def correlations(bands: NDArray[Any], pan: NDArray[Any], half: int) -> NDArray[Any]:
    """Correlate an image of shape (C, H, W) with the PAN, pixel by pixel."""
    image = np.concatenate([bands, pan])
    center = image.copy()
    height, width = image.shape[1:]

    def around(values: NDArray[Any], row: int, column: int) -> NDArray[Any]:
        top, left = max(row - half + 1, 0), max(column - half + 1, 0)
        return values[:, top : row + half + 1, left : column + half + 1]

    for i in range(height):
        for j in range(width):
            center[:, i, j] -= around(image, i, j).sum((1, 2)) / (2 * half) ** 2
    result = np.zeros_like(bands)
    for i in range(height):
        for j in range(width):
            window = around(center, i, j)
            squares = (window**2).sum((1, 2))
            products = (window[:-1] * window[-1:]).sum((1, 2))
            result[:, i, j] = products / np.sqrt(squares[:-1] * squares[-1])
    return result


def rho(prediction: Tensor, pan: Tensor, half: int) -> NDArray[Any]:
    pairs = zip(prediction.numpy(), pan.numpy(), strict=True)
    return np.stack([correlations(*pair, half) for pair in pairs])


def test_published_numbers() -> None:
    scene = golden_scene(32)
    pan = scene.batch('pan') / 65536
    absolute, signed = LocalCorrelationLoss(6), LocalCorrelationLoss(6, absolute=False)
    for band, value, with_sign, threshold in (
        (0, 0.5049233078, 0.5409587677, 0.0119928880),
        (31, 0.5090268721, 0.5439606708, 0.0220714479),
    ):
        image = scene.batch('ms')[:, band, None] / 65536
        # about 500 of a million values of the interpolated cube are rounded otherwise
        assert absolute(image, pan).item() == pytest.approx(value, abs=1e-5)
        assert signed(image, pan).item() == pytest.approx(with_sign, abs=1e-5)
        mask = correlation_threshold(pan, image, 6)
        assert mask.mean().item() == pytest.approx(threshold, abs=1e-7)
    truth = scene.batch('gt')[:, :1] / 65536
    assert absolute(truth, pan).item() == pytest.approx(0.0031792209, abs=1e-9)


def test_against_loops() -> None:
    prediction, pan = images()
    field = rho(prediction, pan, 2)
    assert (field < -0.1).any()
    assert (field > 0.1).any()
    expected = {
        LocalCorrelationLoss(4): 1 - abs(field),
        LocalCorrelationLoss(3): 1 - abs(field),
        LocalCorrelationLoss(4, absolute=False): 1 - field,
        LocalCorrelationLoss(4, False, clamped=True): 1 - field.clip(0),
        LocalCorrelationLoss(4, half_width=2.5): 1 - abs(rho(prediction, pan, 3)),
    }
    for loss, values in expected.items():
        found = loss(prediction, pan).item()
        assert found == pytest.approx(values.mean(), abs=1e-10)
    loss = LocalCorrelationLoss(4, absolute=False, clamped=True)
    threshold = torch.rand(field.shape, generator=torch.Generator().manual_seed(0))
    values = 1 - field.clip(0)
    kept = np.where(values > threshold.numpy(), values, 0).mean()
    found = loss(prediction, pan, threshold=threshold).item()
    assert found == pytest.approx(kept, abs=1e-10)


def test_masks() -> None:
    prediction, pan = images()
    valid = torch.rand(2, 11, 14, generator=torch.Generator().manual_seed(0)) < 0.8
    zero = prediction * valid[:, None], pan * valid[:, None]
    values = 1 - abs(rho(*zero, 2))
    expected = values[valid[:, None].expand_as(prediction).numpy()].mean()
    dirty = prediction.masked_fill(~valid[:, None], torch.inf).requires_grad_()
    hidden = pan.masked_fill(~valid[:, None], torch.nan)
    loss = LocalCorrelationLoss(4)
    found = loss(dirty, hidden, valid)
    assert found.item() == pytest.approx(expected, abs=1e-10)
    (slope,) = torch.autograd.grad(found, dirty)
    assert slope.isfinite().all()
    assert not slope.masked_select(~valid[:, None]).any()
    nothing = loss(dirty, hidden, torch.zeros_like(valid))
    assert nothing.item() == 0
    (slope,) = torch.autograd.grad(nothing, dirty)
    assert not slope.any()


@pytest.mark.parametrize(
    'loss',
    [
        LocalCorrelationLoss(4),
        LocalCorrelationLoss(4, absolute=False),
        LocalCorrelationLoss(4, absolute=False, clamped=True),
    ],
)
def test_gradient_and_precision(loss: Any) -> None:
    prediction, pan = images(2, 6, 7)
    prediction.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, pan), prediction)
    exact = loss(prediction, pan).item()
    half = loss(prediction.detach().bfloat16(), pan.float())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact, abs=0.02)
    # nothing to correlate with
    flat = torch.full_like(prediction, 0.0).requires_grad_()
    value = loss(flat, pan)
    assert value.item() == 1
    (slope,) = torch.autograd.grad(value, flat)
    assert slope.isfinite().all()


@pytest.mark.parametrize(('rows', 'mode'), [(24, 'reflect'), (12, 'edge')])
def test_threshold(rows: int, mode: Any) -> None:
    prediction, pan = images(2, rows, rows + 1)
    weights = mtf_kernel(0.2, 3).numpy()
    pads = ((0, 0), (0, 0), (20, 20), (20, 20))
    windows = sliding_window_view(
        np.pad(pan.numpy(), pads, mode=mode), (41, 41), (2, 3)
    )
    low = torch.from_numpy((windows * weights).sum((-2, -1)))
    expected = 1 - rho(prediction, low, 2)
    found = correlation_threshold(pan, prediction, 3, half_width=2, gain=0.2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert not correlation_threshold(pan, prediction.requires_grad_(), 3).requires_grad
    with pytest.raises(BandMismatchError, match='same size'):
        correlation_threshold(pan[..., 1:], prediction, 3)


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: LocalCorrelationLoss(0), 'ratio of 1 or more'),
        (lambda: LocalCorrelationLoss(4, clamped=True), 'absolute or clamped'),
        (lambda: LocalCorrelationLoss(4, half_width=0), 'positive half_width'),
    ],
)
def test_options_are_checked(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_shapes_are_checked() -> None:
    prediction, pan = images()
    loss = LocalCorrelationLoss(4)
    with pytest.raises(BandMismatchError, match=r'PAN of shape\s+\(B, 1, H, W\)'):
        loss(prediction, pan[:, 0])
    with pytest.raises(BandMismatchError, match=r'PAN of shape\s+\(B, 1, H, W\)'):
        loss(prediction, prediction)
    with pytest.raises(BandMismatchError, match=r'valid of shape \(2, 11, 14\)'):
        loss(prediction, pan, torch.ones(2, 11))
