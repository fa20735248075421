# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spatial distortion by regression."""

from importlib import import_module

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from tests.metrics.sharpened import masks, sharpened
from torchgeo_hsi.metrics.d_s_regression import DSR, d_s_regression


def reference(fused: Tensor, pan: Tensor, fine: Tensor | None = None) -> float:
    """Fit the PAN of one image by a pseudo-inverse."""
    keep = np.ones(pan.shape[-2:], bool) if fine is None else fine.numpy()
    bands, panchromatic = fused.numpy()[:, keep].T, pan.numpy()[0, keep]
    rest = panchromatic - bands @ (np.linalg.pinv(bands) @ panchromatic)
    return float(rest.var(ddof=1) / panchromatic.var(ddof=1))


def test_published_numbers() -> None:
    scene = golden_scene(32)
    up, cube, pan = (scene.batch(x) for x in ('ms', 'lr', 'pan'))
    found = d_s_regression(up, cube, pan).item()
    assert found == pytest.approx(0.189402, abs=1e-5)
    assert found == pytest.approx(reference(up[0], pan[0]), abs=1e-10)
    perfect = d_s_regression(scene.batch('gt'), cube, pan).item()
    assert 0 <= perfect < 1e-6


def test_against_a_pseudo_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    images = sharpened()
    found = d_s_regression(*images)
    fused, _, pan = images
    expected = [reference(*x) for x in zip(fused, pan, strict=True)]
    assert 0.01 < expected[0] < 0.9
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    metric = DSR()
    metric.update(*(x[:1] for x in images))
    metric.update(*(x[1] for x in images))
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-6)
    module = import_module('torchgeo_hsi.metrics.d_s_regression')
    monkeypatch.setattr(module, '_VALUES', 1000)
    torch.testing.assert_close(d_s_regression(*images), found)


def test_masks() -> None:
    fused, cube, pan = sharpened()
    valid, pan_valid = masks(cube)
    fine = pan_valid.clone()
    fine[:, 8:12, 12:16] = False
    expected = [reference(*x) for x in zip(fused, pan, fine, strict=True)]
    fused = fused.masked_fill(~fine[:, None], torch.nan)
    pan = pan.masked_fill(~pan_valid[:, None], torch.inf)
    found = d_s_regression(fused, cube, pan, valid, pan_valid)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    pan_valid[0] = False
    metric = DSR()
    metric.update(fused, cube, pan, valid, pan_valid)
    assert metric.compute().item() == pytest.approx(expected[1], abs=1e-6)


def test_bands_that_depend_on_others() -> None:
    fused, cube, pan = sharpened()
    expected = d_s_regression(fused, cube, pan)
    fused = torch.cat([fused, fused[:, :1] + fused[:, 1:2], 0 * fused[:, :1]], 1)
    cube = torch.cat([cube, cube[:, :2]], 1)
    torch.testing.assert_close(d_s_regression(fused, cube, pan), expected)
    # the scale of bands does not matter
    scale = 10.0 ** torch.arange(-3.0, 3.0).double()[:, None, None]
    torch.testing.assert_close(d_s_regression(scale * fused, cube, pan), expected)


def test_constant_pan_and_failures() -> None:
    fused, cube, pan = sharpened()
    constant = torch.full_like(pan, 0.1)
    assert d_s_regression(fused, cube, constant).isnan().all()
    metric = DSR()
    metric.update(fused, cube, constant)
    assert metric.compute().isnan()
    metric.update(fused, cube, pan)
    mean = d_s_regression(fused, cube, pan).mean().item()
    assert metric.compute().item() == pytest.approx(mean, abs=1e-6)
    fused[1, 2, 5, 5] = torch.nan
    assert d_s_regression(fused, cube, pan).isnan().tolist() == [False, True]
    assert d_s_regression(fused[:0], cube[:0], pan[:0]).shape == (0,)
    with pytest.raises(ValueError, match='DSR compares'):
        DSR().update(fused, cube)
