# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spatial distortion by local correlation."""

from importlib import import_module

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from tests.metrics.sharpened import masks, sharpened
from torchgeo_hsi.metrics.d_rho import DRho, d_rho


def reference(
    fused: Tensor, pan: Tensor, half: int, fine: Tensor | None = None
) -> float:
    """Correlate around each pixel of one image, pixel by pixel."""
    height, width = pan.shape[-2:]
    mask = np.ones((height, width), bool) if fine is None else fine.numpy()
    images = np.concatenate([fused.numpy(), pan.numpy()])
    images = np.where(mask, images, 0)

    def windows(values: np.ndarray, row: int, column: int) -> np.ndarray:
        rows = slice(max(row - half + 1, 0), row + half + 1)
        columns = slice(max(column - half + 1, 0), column + half + 1)
        return values[..., rows, columns]

    center = images.copy()
    for i in range(height):
        for j in range(width):
            around = windows(images, i, j)
            center[:, i, j] -= around.sum((1, 2)) / (4 * half**2)
    losses = []
    for i in range(height):
        for j in range(width):
            reach = np.s_[
                max(i - 2 * half + 2, 0) : i + 2 * half + 1,
                max(j - 2 * half + 2, 0) : j + 2 * half + 1,
            ]
            if not mask[reach].all():
                continue
            around = windows(center, i, j)
            bands, panchromatic = around[:-1], around[-1]
            squares = (bands**2).sum((1, 2)) * (panchromatic**2).sum()
            rho = (bands * panchromatic).sum((1, 2)) / np.sqrt(squares)
            losses.append(1 - rho.clip(-1, 1))
    return float(np.mean(losses))


def test_published_numbers() -> None:
    scene = golden_scene(32)
    up, truth, cube, pan = (scene.batch(x) for x in ('ms', 'gt', 'lr', 'pan'))
    assert d_rho(up, cube, pan).item() == pytest.approx(0.5370946527, abs=1e-6)
    assert d_rho(truth, cube, pan).item() == pytest.approx(0.0018583576, abs=1e-9)


@pytest.mark.parametrize('half_width', [None, 3, 1.5])
def test_against_loops(
    half_width: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = sharpened(rows=6, columns=8)
    fused, _, pan = images
    half = 2 if half_width is None else int(np.ceil(half_width))
    found = d_rho(*images, half_width=half_width)
    expected = [reference(*x, half) for x in zip(fused, pan, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    metric = DRho(half_width)
    metric.update(*(x[:1] for x in images))
    metric.update(*(x[1] for x in images))
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)
    module = import_module('torchgeo_hsi.metrics.d_rho')
    monkeypatch.setattr(module, '_VALUES', 1)
    torch.testing.assert_close(d_rho(*images, half_width=half_width), found)


def test_masks() -> None:
    fused, cube, pan = sharpened(rows=6, columns=8)
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    expected = [reference(*x[:2], 2, x[2]) for x in zip(fused, pan, fine, strict=True)]
    fused = fused.masked_fill(~fine[:, None], torch.nan)
    pan = pan.masked_fill(~pan_valid[:, None], torch.inf)
    found = d_rho(fused, cube, pan, valid, pan_valid)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    pan_valid[0, ::4] = pan_valid[0, -1] = False
    metric = DRho()
    metric.update(fused, cube, pan, valid, pan_valid)
    assert metric.compute().item() == pytest.approx(expected[1], abs=1e-6)


def test_constant_bands_and_failures() -> None:
    fused, cube, pan = sharpened()
    fused[:, 0] = 0
    rest = d_rho(fused[:, 1:], cube[:, 1:], pan)
    torch.testing.assert_close(d_rho(fused, cube, pan), (3 * rest + 1) / 4)
    assert d_rho(fused[:0], cube[:0], pan[:0]).shape == (0,)
    fused[1, 2, 5, 5] = torch.nan
    assert d_rho(fused, cube, pan).isnan().tolist() == [False, True]
    with pytest.raises(ValueError, match='positive half_width'):
        DRho(half_width=0)
    with pytest.raises(ValueError, match='DRho compares'):
        DRho().update(fused, cube)
