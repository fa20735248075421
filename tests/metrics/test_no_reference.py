# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the products of two distortions."""

from typing import Any

import pytest
import torch
from data.pansharpening_scene.data import golden_scene

from tests.metrics.sharpened import masks, sharpened
from torchgeo_hsi.metrics.d_lambda import d_lambda
from torchgeo_hsi.metrics.d_lambda_k import d_lambda_k
from torchgeo_hsi.metrics.d_s import d_s
from torchgeo_hsi.metrics.d_s_regression import d_s_regression
from torchgeo_hsi.metrics.no_reference import HQNR, QNR, RQNR


def test_published_number() -> None:
    scene = golden_scene(32)
    metric = RQNR(rounded=True)
    metric.update(*(scene.batch(x) for x in ('ms', 'lr', 'pan')))
    assert metric.compute().item() == pytest.approx(0.758554, abs=1e-5)


@pytest.mark.parametrize('masked', [True, False])
@pytest.mark.parametrize(
    ('metric', 'spectral', 'spatial'),
    [
        (
            QNR(window=8),
            lambda f, c, p, *v: d_lambda(f, c, *v, window=8),
            lambda *x: d_s(*x, window=8),
        ),
        (
            HQNR(gain=0.2, block=5, window=8),
            lambda f, c, p, *v: d_lambda_k(f, c, *v, gain=0.2, block=5),
            lambda *x: d_s(*x, window=8),
        ),
        (
            RQNR(gain=0.2, block=5),
            lambda f, c, p, *v: d_lambda_k(f, c, *v, gain=0.2, block=5),
            d_s_regression,
        ),
    ],
)
def test_product(metric: Any, spectral: Any, spatial: Any, masked: bool) -> None:
    images: tuple[Any, ...] = sharpened()
    if masked:
        images = (*images, *masks(images[1]))
    expected = (1 - spectral(*images)) * (1 - spatial(*images))
    metric.reset()
    metric.update(*(x[:1] for x in images))
    metric.update(*(x[1] for x in images))
    assert metric.compute().item() == pytest.approx(expected.mean().item(), abs=1e-6)
    if masked:
        images[3][0] = False
        metric.reset()
        metric.update(*images)
        assert metric.compute().item() == pytest.approx(expected[1].item(), abs=1e-6)


def test_no_score_without_both() -> None:
    fused, cube, pan = sharpened()
    metric = RQNR(block=5)
    metric.update(fused, cube, torch.ones_like(pan))
    assert metric.compute().isnan()


@pytest.mark.parametrize(
    'build',
    [
        lambda: QNR(1),
        lambda: HQNR(window=0),
        lambda: HQNR(block=1),
        lambda: RQNR(0.3, 1),
    ],
)
def test_options_are_checked(build: Any) -> None:
    with pytest.raises(ValueError, match='2 pixels or more'):
        build()


@pytest.mark.parametrize('metric', [QNR(), HQNR(), RQNR()])
def test_the_pan_is_needed(metric: Any) -> None:
    with pytest.raises(ValueError, match='pass pan'):
        metric.update(*sharpened()[:2])
