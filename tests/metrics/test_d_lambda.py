# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spectral distortion of QNR."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.metrics.sharpened import masks, sharpened
from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics.d_lambda import DLambda, d_lambda
from torchgeo_hsi.metrics.quality_index import quality_index


def reference(
    fused: Tensor,
    cube: Tensor,
    window: int,
    sliding: bool,
    valid: Tensor | None = None,
    fine: Tensor | None = None,
) -> float:
    """Compare each pair of bands on its own."""
    coarse = max(2, window // (fused.shape[-1] // cube.shape[-1]))
    changes = []
    for i in range(len(cube)):
        for j in range(i):
            after = quality_index(fused[i, None], fused[j, None], fine, window, sliding)
            before = quality_index(cube[i, None], cube[j, None], valid, coarse, sliding)
            changes.append(abs(after - before).item())
    return float(np.mean(changes))


@pytest.mark.parametrize('sliding', [True, False])
@pytest.mark.parametrize('window', [8, 13, 32])
def test_against_loops(window: int, sliding: bool) -> None:
    fused, cube, _ = sharpened()
    found = d_lambda(fused, cube, window=window, sliding=sliding)
    expected = [reference(*x, window, sliding) for x in zip(fused, cube, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    metric = DLambda(window, sliding)
    metric.update(fused[:1], cube[:1])
    metric.update(fused[1], cube[1])
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize('sliding', [True, False])
def test_strips_and_chunks(sliding: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fused, cube, _ = sharpened()
    expected = d_lambda(fused, cube, window=8, sliding=sliding)
    module = import_module('torchgeo_hsi.metrics.d_lambda')
    monkeypatch.setattr(module, '_VALUES', 2400)
    monkeypatch.setattr('torchgeo_hsi.metrics._blocks._VALUES', 600)
    found = d_lambda(fused, cube, window=8, sliding=sliding)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('sliding', [True, False])
def test_masks(sliding: bool) -> None:
    fused, cube, _ = sharpened()
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    expected = [
        reference(*x[:2], 8, sliding, *x[2:])
        for x in zip(fused, cube, valid, fine, strict=True)
    ]
    fused = fused.masked_fill(~fine[:, None], torch.nan)
    cube = cube.masked_fill(~valid[:, None], torch.inf)
    found = d_lambda(fused, cube, valid, pan_valid, 8, sliding)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    pan_valid[0] = False
    found = d_lambda(fused, cube, valid, pan_valid, 8, sliding)
    assert found[0].isnan()
    assert found[1].item() == pytest.approx(expected[1])
    metric = DLambda(8, sliding)
    metric.update(fused, cube, None, valid, pan_valid)
    assert metric.compute().item() == pytest.approx(expected[1], abs=1e-6)


def test_constant_and_single_bands() -> None:
    fused, cube, _ = sharpened()
    fused[:, 1] = 0
    cube[:, 1] = 0
    fused[:, 2] = cube[:, 2] = 0.1
    found = d_lambda(fused, cube, window=8)
    expected = [reference(*x, 8, False) for x in zip(fused, cube, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert d_lambda(fused[:, :1], cube[:, :1]).tolist() == [0, 0]
    assert d_lambda(fused[:0], cube[:0]).shape == (0,)


def test_a_network_that_fails_is_seen() -> None:
    fused, cube, _ = sharpened(1)
    fused[0, 2, 5, 5] = torch.nan
    assert d_lambda(fused, cube).isnan()
    assert d_lambda(fused, cube, sliding=True).isnan()


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda f, c: d_lambda(f[..., 1:], c), 'whole number r of 2 or more'),
        (lambda f, c: d_lambda(f[..., 15:], c), 'whole number r of 2 or more'),
        (lambda f, c: d_lambda(f[:, :3], c), 'whole number r of 2 or more'),
        (lambda f, c: d_lambda(f[0], c), 'whole number r of 2 or more'),
        (lambda f, c: d_lambda(c, c), 'whole number r of 2 or more'),
        (lambda f, c: d_lambda(f, c, torch.ones(2, 3, 4)), r'valid of shape \(2, 12'),
        (lambda f, c: d_lambda(f, c, None, torch.ones(2, 3)), 'pan_valid of shape'),
    ],
)
def test_shapes_are_checked(call: Any, message: str) -> None:
    with pytest.raises(BandMismatchError, match=message):
        call(*sharpened()[:2])


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match='window to be 2 pixels'):
        DLambda(window=1)
