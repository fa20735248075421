# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classical methods against the formulas of the literature, written with numpy."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
import torch
from models.pansharpening.classical_cases import METHODS, Scene, random_scene
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import lsq_linear

from torchgeo_hsi.models.pansharpening import MeasuringPansharpener
from torchgeo_hsi.models.pansharpening.component_substitution import (
    BDSD,
    BDSDPC,
    BTH,
    GS,
    GSA,
    PRACS,
    Brovey,
)
from torchgeo_hsi.models.pansharpening.multiresolution import (
    AWLP,
    MF,
    MTFGLP,
    MTFGLPCBD,
    MTFGLPFS,
    MTFGLPHPM,
    MTFGLPHPMH,
    MTFGLPHPMR,
)
from torchgeo_hsi.physics.resampling import (
    gaussian_kernel,
    imresize_down,
    imresize_up,
    interpolate,
    mtf_kernel,
)

Image = NDArray[np.float64]


def blur(image: Image, kernel: Image) -> Image:
    result: Image = ndimage.correlate(image, kernel, mode='nearest')
    return result


def fit(images: Image, target: Image, intercept: bool) -> tuple[Image, float]:
    """Fit an image by others, (C, H, W), pixel by pixel."""
    table = images.reshape(len(images), -1).T
    if intercept:
        table = np.column_stack([table, np.ones(len(table))])
    weights = np.linalg.lstsq(table, target.ravel(), rcond=None)[0]
    return (weights[:-1], float(weights[-1])) if intercept else (weights, 0.0)


def slope(image: Image, other: Image) -> float:
    """Regress the first image on the second one."""
    matrix = np.cov(image.ravel(), other.ravel())
    return float(matrix[0, 1] / matrix[1, 1])


def std(image: Image) -> float:
    return float(image.std(ddof=1))


@dataclass
class Inputs:
    """Images as arrays, and what the formulas take of them."""

    cube: Image
    pan: Image
    ratio: int
    gain: float = 0.3
    pan_gain: float = 0.2

    def up(self, image: Image) -> Image:
        return interpolate(torch.from_numpy(image), self.ratio).numpy()

    def decimate(self, image: Image) -> Image:
        half = self.ratio // 2
        return image[..., half :: self.ratio, half :: self.ratio]

    def small(self, image: Image) -> Image:
        return imresize_down(torch.from_numpy(image), self.ratio).numpy()

    def small_and_large(self, image: Image) -> Image:
        small = torch.from_numpy(self.small(image))
        return imresize_up(small, self.ratio).numpy()

    def low(self, image: Image) -> Image:
        kernel = mtf_kernel(self.gain, self.ratio).numpy()
        return self.up(self.decimate(blur(image, kernel)).copy())

    def wavelet(self, image: Image) -> Image:
        kernel = np.ones(1)
        for _ in range(2 * math.ceil(math.log2(self.ratio))):
            kernel = np.convolve(kernel, np.array([1, 4, 6, 4, 1]) / 16)
        once = ndimage.correlate1d(image, kernel, axis=0, mode='reflect')
        result: Image = ndimage.correlate1d(once, kernel, axis=1, mode='reflect')
        return result

    @cached_property
    def bands(self) -> Image:
        return self.up(self.cube)

    @cached_property
    def smooth(self) -> Image:
        return blur(self.pan, gaussian_kernel(self.gain, self.ratio).numpy())

    def like(self, band: Image, contrast: float) -> Image:
        return (self.pan - self.pan.mean()) * std(band) / contrast + band.mean()


def brovey(x: Inputs) -> Image:
    intensity = x.bands.mean(0)
    return x.bands * x.like(intensity, std(x.pan)) / intensity


def gs(x: Inputs) -> Image:
    intensity = x.bands.mean(0)
    details = x.like(intensity, std(x.pan)) - intensity
    return np.stack([band + slope(band, intensity) * details for band in x.bands])


def gsa(x: Inputs) -> Image:
    low = x.decimate(x.wavelet(x.pan))
    weights, _ = fit(x.cube, low, True)
    intensity = np.tensordot(weights, x.bands, 1)
    details = x.pan - x.pan.mean() - (intensity - intensity.mean())
    return np.stack([band + slope(band, intensity) * details for band in x.bands])


def bt_h(x: Inputs) -> Image:
    haze = x.bands.min((1, 2), keepdims=True)
    weights, _ = fit(x.bands, x.smooth, False)
    intensity = np.tensordot(weights, x.bands - haze, 1)
    pan = (x.pan - x.smooth.mean()) * std(intensity) / std(x.smooth) + intensity.mean()
    return (x.bands - haze) * pan / (intensity + 2.2e-16) + haze


def bdsd_equations(x: Inputs) -> tuple[Image, Image]:
    reduced = x.small(x.bands)
    kernel = mtf_kernel(x.gain, x.ratio).numpy()
    blurred = np.stack([blur(band, kernel) for band in reduced])
    pan = x.decimate(blur(x.pan, mtf_kernel(x.pan_gain, x.ratio).numpy()))
    table = np.concatenate([pan[None], blurred]).reshape(len(blurred) + 1, -1).T
    return table, (reduced - blurred).reshape(len(blurred), -1).T


def bdsd(x: Inputs) -> Image:
    table, details = bdsd_equations(x)
    weights = np.linalg.lstsq(table, details, rcond=None)[0]
    images = np.concatenate([x.pan[None], x.bands])
    return x.bands + np.tensordot(weights.T, images, 1)


def bdsd_pc(x: Inputs) -> Image:
    table, details = bdsd_equations(x)
    low = [0.0] + [-np.inf] * len(x.bands)
    high = [np.inf] + [0.0] * len(x.bands)
    images, result = np.concatenate([x.pan[None], x.bands]), []
    for band, target in zip(x.bands, details.T, strict=True):
        found = lsq_linear(table, target, (low, high), method='bvls', tol=1e-14)
        result.append(band + np.tensordot(found.x, images, 1))
    return np.stack(result)


def pracs(x: Inputs) -> Image:
    like = np.stack(
        [
            np.maximum((b - b.mean()) * std(x.pan) / std(b) + x.pan.mean(), 0)
            for b in x.bands
        ]
    )

    def fitted(image: Image) -> Image:
        weights, constant = fit(like, x.small_and_large(image), True)
        return np.tensordot(weights, like, 1) + constant

    intensity, result = fitted(x.pan), []
    contrast = np.mean([std(b) for b in x.bands])
    for band, h in zip(x.bands, like, strict=True):
        share = np.corrcoef(intensity.ravel(), h.ravel())[0, 1]
        mixed = share * x.pan + (1 - share) * h
        low = fitted(mixed)
        details = mixed - low - (mixed.mean() - low.mean())
        weight = 0.95 * np.corrcoef(low.ravel(), band.ravel())[0, 1]
        likeness = np.corrcoef(intensity.ravel(), band.ravel())[0, 1]
        local = np.clip(1 - np.abs(1 - likeness * band / low), -10, 10)
        result.append(band + weight * std(band) / contrast * local * details)
    return np.stack(result)


def awlp(x: Inputs) -> Image:
    contrast, mean = std(x.small_and_large(x.pan)), x.bands.mean(0)
    pans = [x.like(band, contrast) for band in x.bands]
    return np.stack(
        [b + b / mean * (p - x.wavelet(p)) for b, p in zip(x.bands, pans, strict=True)]
    )


def mf(x: Inputs) -> Image:
    cross = ndimage.generate_binary_structure(2, 1)
    levels, result = math.ceil(math.log2(x.ratio)), []
    for band in x.bands:
        pan = low = x.like(band, std(x.pan))
        for level in range(levels):
            high = ndimage.maximum_filter(low, footprint=cross, mode='nearest')
            low = (
                high + ndimage.minimum_filter(low, footprint=cross, mode='nearest')
            ) / 2
            start = 1 if level == 0 else 0
            low = low[start::2, start::2]
        for _ in range(levels):
            for axis in (0, 1):
                # a quarter before and behind each sample
                low = np.moveaxis(low, axis, 0)
                ends = np.concatenate([low[:1], low, low[-1:]])
                pairs = [0.75 * low + 0.25 * ends[:-2], 0.75 * low + 0.25 * ends[2:]]
                low = np.stack(pairs, 1).reshape(-1, *low.shape[1:])
                low = np.moveaxis(low, 0, axis)
        result.append(band * np.clip(pan / low, 0, 10))
    return np.stack(result)


def mtf_glp(x: Inputs) -> Image:
    pans = [x.like(band, std(x.smooth)) for band in x.bands]
    return np.stack([b + p - x.low(p) for b, p in zip(x.bands, pans, strict=True)])


def mtf_glp_fs(x: Inputs) -> Image:
    low, pan = x.low(x.pan), x.pan.ravel()
    gains = [
        np.cov(b.ravel(), pan)[0, 1] / np.cov(low.ravel(), pan)[0, 1] for b in x.bands
    ]
    return np.stack(
        [b + g * (x.pan - low) for b, g in zip(x.bands, gains, strict=True)]
    )


def mtf_glp_cbd(x: Inputs) -> Image:
    low = x.low(x.pan)
    return np.stack([b + slope(b, low) * (x.pan - low) for b in x.bands])


def mtf_glp_hpm(x: Inputs) -> Image:
    pans = [x.like(band, std(x.smooth)) for band in x.bands]
    return np.stack(
        [b * np.clip(p / x.low(p), 0, 10) for b, p in zip(x.bands, pans, strict=True)]
    )


def mtf_glp_hpm_r(x: Inputs) -> Image:
    low, result = x.low(x.pan), []
    for band in x.bands:
        constant = band.mean() / slope(band, low) - x.pan.mean()
        result.append(band * np.clip((x.pan + constant) / (low + constant), 0, 10))
    return np.stack(result)


def mtf_glp_hpm_h(x: Inputs) -> Image:
    haze = x.bands.min((1, 2))
    weights, constant = fit(x.bands, x.smooth, True)
    pan_haze = weights @ haze + constant
    ratio = np.clip((x.pan - pan_haze) / (x.low(x.pan) - pan_haze), 0, 10)
    haze = haze[:, None, None]
    return (x.bands - haze) * ratio + haze


FORMULAS: dict[type[MeasuringPansharpener], Callable[[Inputs], Image]] = {
    Brovey: brovey,
    GS: gs,
    GSA: gsa,
    BTH: bt_h,
    BDSD: bdsd,
    BDSDPC: bdsd_pc,
    PRACS: pracs,
    AWLP: awlp,
    MF: mf,
    MTFGLP: mtf_glp,
    MTFGLPFS: mtf_glp_fs,
    MTFGLPHPM: mtf_glp_hpm,
    MTFGLPHPMH: mtf_glp_hpm_h,
    MTFGLPHPMR: mtf_glp_hpm_r,
    MTFGLPCBD: mtf_glp_cbd,
}


@pytest.mark.parametrize('ratio', [6, 3])
@pytest.mark.parametrize('method', METHODS)
def test_formula(method: type[MeasuringPansharpener], ratio: int) -> None:
    scene = random_scene(5, 16, 8, ratio=ratio, seed=3)
    inputs = Inputs(scene.cube[0].numpy(), scene.pan[0, 0].numpy(), ratio)
    expected = FORMULAS[method](inputs)
    # fits of almost dependent bands: ours are of covariances, not of pixels
    atol = 0.01 if method in (BTH, BDSD, BDSDPC) else 0.0
    result = method()(*scene)[0].numpy()
    np.testing.assert_allclose(result, expected, rtol=1e-7, atol=atol)
    changes = np.abs(expected / inputs.bands - 1)
    assert changes.max() > 1e-3


def test_statistics_leave_gaps_out() -> None:
    scene: Scene = random_scene(3, 10, 8, seed=5)
    pan_valid = torch.ones_like(scene.pan[:, 0], dtype=torch.bool)
    pan_valid[:, :, 40:] = False
    method = GS()
    pair = method.make_pair(*scene, pan_valid=pan_valid)
    found = method.solve(method.measure(pair, {}), {})
    bands = interpolate(scene.cube, 6)[0, :, :, :40].numpy()
    expected = [slope(band, bands.mean(0)) for band in bands]
    np.testing.assert_allclose(found['gains'][0].numpy(), expected, rtol=1e-9)
