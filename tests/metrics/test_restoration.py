# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the metrics of restored cubes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as tm
from scipy.ndimage import uniform_filter
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, HSIWarning, NodataWarning
from torchgeo_hsi.metrics import (
    ERGAS,
    MPSNR,
    MSSIM,
    RMSE,
    CrossCorrelation,
    SpectralAngle,
    cross_correlation,
    ergas,
    mean_spectral_angle,
    mpsnr,
    mssim,
    rmse,
)

#: Function, metric, and the arguments of both.
ALL: list[tuple[Any, Any, dict[str, Any]]] = [
    (mpsnr, MPSNR, {}),
    (mpsnr, MPSNR, {'data_range': 2.0, 'clamp': (0, 1)}),
    (mssim, MSSIM, {}),
    (mssim, MSSIM, {'window': 'gaussian', 'data_range': 2.0}),
    (mean_spectral_angle, SpectralAngle, {'unit': 'degrees'}),
    (ergas, ERGAS, {'ratio': 4}),
    (cross_correlation, CrossCorrelation, {'clamp': (0, 1)}),
    (rmse, RMSE, {}),
]


def vector(shape: tuple[int, ...] = (5, 16, 16)) -> tuple[Tensor, Tensor]:
    """Return the prediction and the truth of the published verification vector."""
    j = torch.arange(math.prod(shape))
    truth = (7919 * j % 1009).double() / 1009
    noise = 2 * ((7919 * j + 104729) % 2003).double() / 2003 - 1
    return (truth + 0.1 * noise).reshape(shape), truth.reshape(shape)


@pytest.mark.parametrize(
    ('function', 'options', 'expected'),
    [
        (mpsnr, {}, 24.747562810),
        (mpsnr, {'clamp': (0, 1)}, 24.991799194),
        (ergas, {'ratio': 1}, 11.607321373),
        (ergas, {'ratio': 4}, 2.901830343),
        (ergas, {'ratio': 8}, 1.450915172),
        (cross_correlation, {}, 0.980623201),
        (rmse, {}, 0.057892698),
        (mssim, {}, 0.980524316),
        (mssim, {'data_range': 2}, 0.980823369),
        (mssim, {'window': 'gaussian'}, 0.980143740),
    ],
)
def test_verification_vector(
    function: Any, options: dict[str, Any], expected: float
) -> None:
    assert function(*vector(), **options).item() == pytest.approx(expected, abs=1e-9)


def similarity_map(x: Any, y: Any) -> Any:
    """Return the similarity of all whole windows of 7 x 7 pixels of two images."""

    def mean(values: Any) -> Any:
        return uniform_filter(values, 7)[3:-3, 3:-3]

    def covariance(a: Any, b: Any) -> Any:
        return 49 / 48 * (mean(a * b) - mean(a) * mean(b))

    top = (2 * mean(x) * mean(y) + 1e-4) * (2 * covariance(x, y) + 9e-4)
    bottom = mean(x) ** 2 + mean(y) ** 2 + 1e-4
    return top / (bottom * (covariance(x, x) + covariance(y, y) + 9e-4))


def test_spectral_angle_of_the_vector() -> None:
    prediction, truth = (x.reshape(5, -1).numpy() for x in vector())
    norms = [np.linalg.norm(x, axis=0) for x in (prediction, truth)]
    product = (prediction * truth).sum(0)
    angle = np.arccos(product / (norms[0] * norms[1])).mean()
    found = mean_spectral_angle(*vector())
    assert found.item() == pytest.approx(angle, abs=1e-12)
    # published with 1e-8 added to the product and to both norms
    epsilon = 1e-8
    shifted = (product + epsilon) / ((norms[0] + epsilon) * (norms[1] + epsilon))
    published = np.arccos(shifted.clip(-1, 1)).mean()
    assert published == pytest.approx(0.083514234, abs=1e-9)
    assert found.item() == pytest.approx(published, abs=2e-7)
    degrees = mean_spectral_angle(*vector(), unit='degrees')
    assert degrees.item() == pytest.approx(math.degrees(angle), abs=1e-10)


def test_against_other_packages() -> None:
    prediction, truth = vector((3, 2, 20, 24))
    batch = prediction.movedim(0, 1), truth.movedim(0, 1)  # (2, 3, 20, 24)
    for number in range(2):
        bands = list(zip(*(x[number].numpy() for x in batch), strict=True))
        psnr = [-10 * np.log10(((p - t) ** 2).mean()) for p, t in bands]
        assert mpsnr(*batch)[number].item() == pytest.approx(np.mean(psnr), abs=1e-9)
        similar = [similarity_map(p, t).mean() for p, t in bands]
        assert mssim(*batch)[number].item() == pytest.approx(np.mean(similar), abs=1e-9)
        corr = [np.corrcoef(p.ravel(), t.ravel())[0, 1] for p, t in bands]
        found = cross_correlation(*batch)[number].item()
        assert found == pytest.approx(np.mean(corr), abs=1e-9)
    relative = tm.error_relative_global_dimensionless_synthesis(*batch, ratio=2)
    assert ergas(*batch, ratio=2).mean().item() == pytest.approx(relative.item())
    sam = tm.spectral_angle_mapper(*batch)
    assert mean_spectral_angle(*batch).mean().item() == pytest.approx(sam.item())


@pytest.mark.parametrize(('function', 'metric', 'options'), ALL)
def test_metric_is_the_mean_over_images(
    function: Any, metric: Any, options: dict[str, Any]
) -> None:
    prediction, truth = vector((3, 5, 16, 16))
    scores = function(prediction, truth, **options)
    assert scores.shape == (3,)
    whole = metric(**options)
    whole.update(prediction[:2], truth[:2])
    whole.update(prediction[2], truth[2])
    assert whole.compute().item() == pytest.approx(scores.mean().item(), rel=1e-5)
    single = function(prediction[1].float(), truth[1].float(), **options)
    assert single.shape == ()
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(scores[1].item(), rel=1e-4)


@pytest.mark.parametrize(('function', 'metric', 'options'), ALL)
def test_invalid_pixels_do_not_count(
    function: Any, metric: Any, options: dict[str, Any]
) -> None:
    prediction, truth = vector((2, 5, 16, 24))
    valid = torch.ones(2, 16, 24, dtype=torch.bool)
    valid[..., 16:] = False
    dirty_prediction, dirty_truth = prediction.clone(), truth.clone()
    dirty_prediction[..., 16:] = torch.inf
    dirty_truth[..., 16:] = torch.nan
    expected = function(prediction[..., :16], truth[..., :16], **options)
    found = function(dirty_prediction, dirty_truth, valid=valid, **options)
    torch.testing.assert_close(found, expected)
    # an image without a valid pixel has no score, and does not count in the mean
    valid[1] = False
    scores = function(dirty_prediction, dirty_truth, valid=valid, **options)
    torch.testing.assert_close(scores[0], expected[0])
    assert scores[1].isnan()
    mean = metric(**options)
    mean.update(dirty_prediction, dirty_truth, valid)
    torch.testing.assert_close(mean.compute().double(), expected[0], rtol=1e-5, atol=0)
    nothing = metric(**options)
    nothing.update(dirty_prediction[1:], dirty_truth[1:], valid[1:])
    assert nothing.compute().isnan()


@pytest.mark.parametrize(('function', 'metric', 'options'), ALL)
def test_a_network_that_fails_is_seen(
    function: Any, metric: Any, options: dict[str, Any]
) -> None:
    if 'clamp' in options and function is mpsnr:
        options = {**options, 'clamp': None}
    prediction, truth = vector()
    prediction[2, 8, 8] = torch.nan
    assert function(prediction, truth, **options).isnan()
    mean = metric(**options)
    mean.update(prediction, truth)
    assert mean.compute().isnan()


def test_limits() -> None:
    cube = vector()[1].float()
    assert mpsnr(cube, cube).item() == 100
    assert mpsnr(cube, cube, limit=60).item() == 60
    assert mssim(cube, cube).item() == pytest.approx(1)
    assert mean_spectral_angle(cube, 2 * cube).item() == pytest.approx(0, abs=1e-6)
    assert ergas(cube, cube, 1).item() == 0
    assert cross_correlation(cube, 3 - cube).item() == pytest.approx(-1)


def test_spectra_of_zero() -> None:
    truth = torch.ones(5, 2, 2)
    truth[:, 0] = 0
    prediction = torch.ones(5, 2, 2)
    # no direction to compare with
    assert mean_spectral_angle(prediction, truth).item() == 0
    # a wrong answer
    assert mean_spectral_angle(0 * prediction, truth).item() == pytest.approx(
        math.pi / 2
    )
    assert mean_spectral_angle(prediction, 0 * truth).isnan()


def test_bands_without_content() -> None:
    prediction, truth = vector()
    expected = ergas(prediction[1:], truth[1:], 4)
    truth[0] = 0
    torch.testing.assert_close(ergas(prediction, truth, 4), expected)
    correlation = cross_correlation(prediction, truth)
    torch.testing.assert_close(
        correlation, cross_correlation(prediction[1:], truth[1:])
    )
    # a constant prediction of a band that varies is no correlation, not NaN
    prediction[1] = 0.5
    lower = cross_correlation(prediction, truth)
    rest = cross_correlation(prediction[2:], truth[2:])
    torch.testing.assert_close(lower, 0.75 * rest)
    assert cross_correlation(prediction, 0 * truth).isnan()


def test_windows_with_gaps_do_not_count() -> None:
    prediction, truth = vector((2, 20, 20))
    valid = torch.ones(20, 20, dtype=torch.bool)
    valid[10, 4] = False
    maps = [
        similarity_map(p, t)
        for p, t in zip(prediction.numpy(), truth.numpy(), strict=True)
    ]
    keep = np.ones((14, 14), dtype=bool)
    # windows whose center is within 3 pixels of the gap
    keep[10 - 3 - 3 : 10 - 3 + 4, : 4 - 3 + 4] = False
    expected = np.mean([m[keep].mean() for m in maps])
    assert mssim(prediction, truth, valid).item() == pytest.approx(expected, abs=1e-9)


def test_more_bands_than_filtered_at_once() -> None:
    prediction, truth = vector((70, 8, 9))
    pairs = zip(prediction.split(1), truth.split(1), strict=True)
    each = torch.stack([mssim(p, t) for p, t in pairs])
    torch.testing.assert_close(mssim(prediction, truth), each.mean())


@pytest.mark.parametrize(('function', 'metric', 'options'), ALL)
def test_empty_batches(function: Any, metric: Any, options: dict[str, Any]) -> None:
    nothing = torch.rand(0, 5, 16, 16)
    assert function(nothing, nothing, **options).shape == (0,)
    prediction, truth = vector((3, 5, 16, 16))
    mean = metric(**options)
    mean.update(nothing, nothing)
    assert mean.compute().isnan()
    mean.update(prediction, truth)
    expected = function(prediction, truth, **options).mean()
    assert mean.compute().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(('window', 'side'), [('uniform', 7), ('gaussian', 11)])
def test_images_smaller_than_the_window_do_not_count(window: Any, side: int) -> None:
    prediction, truth = vector((2, 5, 16, 16))
    small = prediction[..., : side - 1], truth[..., : side - 1]
    metric = MSSIM(window=window)
    with pytest.warns(NodataWarning, match=f'at least {side} x {side}.*do not count'):
        metric.update(*small)
    assert metric.compute().isnan()
    # said once, and not for every image of every epoch
    metric.reset()
    metric.update(*small)
    metric.update(prediction, truth)
    expected = mssim(prediction, truth, window=window).mean()
    assert metric.compute().item() == pytest.approx(expected.item(), rel=1e-5)


def test_half_precision() -> None:
    prediction, truth = (x.float() for x in vector())
    found = mpsnr(prediction.bfloat16(), truth.bfloat16())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(24.75, abs=0.1)


@pytest.mark.parametrize(('function', 'metric', 'options'), ALL)
def test_mixed_precision(function: Any, metric: Any, options: dict[str, Any]) -> None:
    """Scores of a test under autocast are those of the same numbers without it."""
    prediction, truth = (part[None].float() for part in vector((5, 32, 32)))
    prediction = truth + 0.02 * (prediction - truth)
    found = metric(**options)
    with torch.autocast('cpu', torch.bfloat16):
        found.update(prediction, truth)
        mixed = function(prediction, truth, **options)
    expected = function(prediction, truth, **options)
    torch.testing.assert_close(mixed, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.compute(), expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda p, t: mpsnr(p[:4], t), 'same shape'),
        (lambda p, t: rmse(p[0], t[0]), r'\(B, C, H, W\)'),
        (lambda p, t: mssim(p, t, torch.ones(5, 16)), r'valid of shape \(16, 16\)'),
        (lambda p, t: mssim(p[..., :6], t[..., :6]), 'at least 7 x 7'),
    ],
)
def test_shapes_are_checked(call: Any, message: str) -> None:
    with pytest.raises(BandMismatchError, match=message):
        call(*vector())


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: MPSNR(data_range=0), 'positive, finite data_range'),
        (lambda: MPSNR(math.inf), 'finite data_range'),
        (lambda: MPSNR(limit=0), 'positive limit'),
        (lambda: MSSIM(data_range=-1), 'positive, finite data_range'),
        (lambda: MSSIM(math.inf), 'finite data_range'),
        (lambda: MSSIM(window='flat'), "'uniform' or 'gaussian'"),
        (lambda: SpectralAngle('deg'), "'radians' or 'degrees'"),
        (lambda: ERGAS(0), 'positive ratio'),
        (lambda: RMSE(clamp=(1, 0)), 'lower and an upper'),
        (lambda: rmse(*vector(), clamp=(1,)), 'lower and an upper'),
    ],
)
def test_options_are_checked(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


#: Scores with a range or limits, of cubes whose values go up to a number.
SCALED: list[tuple[Any, Any, dict[str, Any], float, str]] = [
    (mpsnr, MPSNR, {}, 9800, 'about 10000.* data_range=1 '),
    (mssim, MSSIM, {}, 9800, 'about 10000.* data_range=1 '),
    (mpsnr, MPSNR, {'data_range': 1e4}, 0.98, r'about 1,.* data_range=10000 .*Pass'),
    (mpsnr, MPSNR, {'data_range': 1e4, 'clamp': (0, 1)}, 9800, r'clamp=\(0, 1\)'),
    (rmse, RMSE, {'clamp': (0, 1)}, 120, r'clamp=\(0, 1\) .*such as 1000'),
]


@pytest.mark.parametrize(('function', 'metric', 'options', 'top', 'match'), SCALED)
def test_another_scale_is_named(
    function: Any, metric: Any, options: dict[str, Any], top: float, match: str
) -> None:
    cubes = tuple(top * cube[None] for cube in vector())
    with pytest.warns(HSIWarning, match=match):
        function(*cubes, **options)
    with pytest.warns(HSIWarning, match=match):
        metric(**options).update(*cubes)


def test_what_is_in_the_range_or_near_it_is_no_other_scale() -> None:
    prediction, truth = vector()
    for factor, top in ((1.0, 1.0), (8.0, 1.0), (0.05, 1.0), (9e3, 1e4), (90, 255)):
        for function in (mpsnr, mssim):
            function(factor * prediction, factor * truth, data_range=top)
    # what does not count may be anything, and there may be nothing
    valid = torch.ones(16, 16, dtype=torch.bool)
    valid[:2] = False
    mpsnr(prediction, truth.masked_fill(~valid, -32768), valid)
    mpsnr(prediction, truth, torch.zeros_like(valid))
    mssim(prediction, torch.zeros_like(truth))
    # a wild prediction is a bad one, and not another scale
    assert mpsnr(1e6 * prediction, truth) < 0
