# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spatial distortion of QNR."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from tests.metrics.sharpened import masks, sharpened
from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics.d_s import DS, d_s
from torchgeo_hsi.metrics.quality_index import quality_index
from torchgeo_hsi.physics.resampling import imresize_down


def reference(
    fused: Tensor,
    cube: Tensor,
    pan: Tensor,
    window: int,
    sliding: bool,
    valid: Tensor | None = None,
    fine: Tensor | None = None,
) -> float:
    """Compare each band with the PAN on its own."""
    ratio = fused.shape[-1] // cube.shape[-1]
    coarse = max(2, window // ratio)
    low = imresize_down(pan, ratio)
    if fine is not None and valid is not None:
        part = imresize_down(fine[None].double(), ratio)
        low = imresize_down(pan * fine, ratio) / part
        valid = valid & ((part - 1).abs() <= 0.1)[0]
    changes = []
    for i in range(len(cube)):
        after = quality_index(fused[i, None], pan, fine, window, sliding)
        before = quality_index(cube[i, None], low, valid, coarse, sliding)
        changes.append(abs(after - before).item())
    return float(np.mean(changes))


def single_precision(x: Tensor, y: Tensor, window: int) -> Tensor:
    """Score bands in float32, by the sums of all windows, as published."""
    weights = torch.ones(1, 1, window, window)

    def total(values: Tensor) -> Tensor:
        return F.conv2d(values[:, None], weights)

    x, y = x.float(), y.float()
    n, sx, sy = window**2, total(x), total(y)
    level = sx * sx + sy * sy
    spread = n * (total(x * x) + total(y * y)) - level
    top = 4 * (n * total(x * y) - sx * sy) * sx * sy
    return (top / (spread * level)).mean((-3, -2, -1))


@pytest.mark.parametrize(
    ('name', 'published'), [('ms', 0.1147667915), ('gt', 0.0647896752)]
)
def test_published_numbers(name: str, published: float) -> None:
    scene = golden_scene(32)
    fused, cube, pan = (scene.batch(x)[0] for x in (name, 'lr', 'pan'))
    # published in float32, whose sums of squares lack digits
    assert d_s(fused, cube, pan).item() == pytest.approx(published, abs=4e-5)
    # that is the whole difference
    low = imresize_down(pan, 6)
    change = single_precision(fused, pan, 32) - single_precision(cube, low, 5)
    assert change.abs().mean().item() == pytest.approx(published, abs=1e-6)


@pytest.mark.parametrize('sliding', [True, False])
@pytest.mark.parametrize('window', [8, 13])
def test_against_loops(window: int, sliding: bool) -> None:
    images = sharpened()
    found = d_s(*images, window=window, sliding=sliding)
    expected = [reference(*x, window, sliding) for x in zip(*images, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    metric = DS(window, sliding)
    metric.update(*(x[:1] for x in images))
    metric.update(*(x[1] for x in images))
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize('sliding', [True, False])
def test_masks(sliding: bool) -> None:
    fused, cube, pan = sharpened()
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    expected = [
        reference(*x[:3], 8, sliding, *x[3:])
        for x in zip(fused, cube, pan, valid, fine, strict=True)
    ]
    fused = fused.masked_fill(~fine[:, None], torch.nan)
    pan = pan.masked_fill(~pan_valid[:, None], torch.nan)
    cube = cube.masked_fill(~valid[:, None], torch.inf)
    found = d_s(fused, cube, pan, valid, pan_valid, 8, sliding)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    valid[0] = False
    found = d_s(fused, cube, pan, valid, pan_valid, 8, sliding)
    assert found[0].isnan()
    metric = DS(8, sliding)
    metric.update(fused, cube, pan, valid, pan_valid)
    assert metric.compute().item() == pytest.approx(expected[1], abs=1e-6)


def test_constant_bands_and_failures() -> None:
    fused, cube, pan = sharpened()
    fused[:, 1] = cube[:, 1] = 0.1
    found = d_s(fused, cube, pan, window=8)
    expected = [reference(*x, 8, True) for x in zip(fused, cube, pan, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert d_s(fused[:0], cube[:0], pan[:0]).shape == (0,)
    fused[0, 2, 5, 5] = torch.nan
    assert d_s(fused, cube, pan).isnan().tolist() == [True, False]


def test_arguments_are_checked() -> None:
    fused, cube, pan = sharpened()
    with pytest.raises(ValueError, match='window to be 2 pixels'):
        DS(window=1)
    with pytest.raises(ValueError, match='DS compares the sharpened cube'):
        DS().update(fused, cube)
    with pytest.raises(BandMismatchError, match=r'PAN of shape \(2, 1, 48, 60\)'):
        d_s(fused, cube, pan[:, 0])
    with pytest.raises(BandMismatchError, match='whole number r of 2 or more'):
        d_s(fused, cube[..., 1:], pan)
