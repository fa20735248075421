# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Coarse pixels in the middle of what they cover: against loops and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics.resampling import (
    box_down,
    gaussian_down,
    imresize_down,
    mtf_decimate,
    mtf_kernel,
    mtf_sigma,
)


def rand(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def by_loops(image: np.ndarray, ratio: int, sigma: float) -> np.ndarray:
    """Weigh all samples within five widths of each coarse pixel, one after the other."""
    reach = math.ceil(5 * sigma)
    margin = reach + 1
    padded = np.pad(image, margin, 'symmetric')
    rows, cols = (n // ratio for n in image.shape)
    result = np.zeros((rows, cols))
    for i in range(rows):
        for j in range(cols):
            center = [(k + 0.5) * ratio - 0.5 for k in (i, j)]
            total = weights = 0.0
            for y in range(math.ceil(center[0] - reach - 0.5), 10**6):
                if y > center[0] + reach + 0.5:
                    break
                for x in range(math.ceil(center[1] - reach - 0.5), 10**6):
                    if x > center[1] + reach + 0.5:
                        break
                    square = (y - center[0]) ** 2 + (x - center[1]) ** 2
                    weight = math.exp(-square / (2 * sigma**2))
                    total += weight * padded[y + margin, x + margin]
                    weights += weight
            result[i, j] = total / weights
    return result


@pytest.mark.parametrize(('ratio', 'sigma'), [(2, 0.8), (3, 1.2), (4, 0.3), (5, 2.0)])
def test_gaussian_against_loops(ratio: int, sigma: float) -> None:
    image = rand(1, 5 * ratio, 4 * ratio)
    expected = by_loops(image[0].numpy(), ratio, sigma)
    found = gaussian_down(image, ratio, sigma)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize('ratio', [2, 3, 4, 8])
@pytest.mark.parametrize('gain', [0.15, 0.3, 0.5])
def test_gain_at_nyquist(ratio: int, gain: float) -> None:
    # a wave of two coarse pixels, whose maxima lie in the middle of pixels
    size = 40 * ratio
    x = torch.arange(size, dtype=torch.float64) + 0.5 - ratio / 2
    wave = torch.cos(math.pi / ratio * x).expand(1, ratio, size)
    found = gaussian_down(wave, ratio, mtf_sigma(gain, ratio))[0, 0]
    signs = (-1.0) ** torch.arange(40)
    torch.testing.assert_close(
        found[5:-5], gain * signs[5:-5].double(), rtol=0.01, atol=1e-9
    )


def test_as_the_kernel_of_pansharpening_where_both_agree() -> None:
    # odd ratios have a sample in the middle; its kernel is windowed and not normalized
    image, kernel = rand(2, 45, 45), mtf_kernel(0.3, 3)
    expected = mtf_decimate(image, 0.3, 3) / kernel.sum()
    found = gaussian_down(image, 3, mtf_sigma(0.3, 3))
    inside = (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(found[inside], expected[inside], atol=0.01, rtol=0)
    # for even ratios it is the image half a pixel farther
    shift = gaussian_down(image[..., :44, :44], 2, mtf_sigma(0.3, 2))
    other = mtf_decimate(image[..., :44, :44], 0.3, 2)
    assert (shift - other).abs().max() > 0.1


@pytest.mark.parametrize('ratio', [2, 3, 4, 6])
def test_what_is_preserved(ratio: int) -> None:
    size = 16 * ratio
    ramp = torch.arange(size, dtype=torch.float64) + 0.5
    plane = (ramp[:, None] + 2 * ramp).expand(2, size, size)
    y, x = ramp[:, None] - 0.45 * size, ramp - 0.6 * size
    blob = torch.exp(-(y**2 + x**2) / (4 * ratio**2))
    for down in (
        lambda image: gaussian_down(image, ratio, 0.45 * ratio),
        lambda image: box_down(image, ratio),
        lambda image: imresize_down(image, ratio),
    ):
        ones = down(torch.ones(1, size, size, dtype=torch.float64))
        torch.testing.assert_close(ones, torch.ones_like(ones))
        # a coarse pixel lies in the middle of what it covers
        coarse = (torch.arange(16, dtype=torch.float64) + 0.5) * ratio
        expected = coarse[:, None] + 2 * coarse
        inside = (slice(5, -5), slice(5, -5))
        torch.testing.assert_close(down(plane)[0][inside], expected[inside])
        small = down(blob[None])[0]
        center = [(small.sum(1 - k) * coarse).sum() / small.sum() for k in (0, 1)]
        assert center[0].item() == pytest.approx(size * 0.45, abs=0.02 * ratio)
        assert center[1].item() == pytest.approx(size * 0.6, abs=0.02 * ratio)


def test_flips_commute() -> None:
    image = rand(3, 24, 16)
    for down in (lambda x: gaussian_down(x, 4, 1.7), lambda x: box_down(x, 4)):
        for axes in ((-1,), (-2,), (-1, -2)):
            torch.testing.assert_close(down(image.flip(axes)), down(image).flip(axes))
        torch.testing.assert_close(down(image.mT), down(image).mT)


def test_width_of_each_band() -> None:
    image = rand(2, 4, 12, 18)
    sigmas = [1.5, 0.7, 1.5, 3.0]
    found = gaussian_down(image, 3, sigmas)
    for band, sigma in enumerate(sigmas):
        expected = gaussian_down(image[:, [band]], 3, sigma)
        torch.testing.assert_close(found[:, [band]], expected)
    torch.testing.assert_close(gaussian_down(image, 3, torch.tensor(sigmas)), found)
    assert gaussian_down(image[0], 3, sigmas).shape == (4, 4, 6)
    torch.testing.assert_close(gaussian_down(image[0, 0], 3, 1.5), found[0, 0])


def test_adjoint_by_gradient() -> None:
    image = rand(2, 8, 12).requires_grad_()
    sigmas = [0.5, 1.0]
    weights = rand(2, 4, 6)
    (adjoint,) = torch.autograd.grad(
        (gaussian_down(image, 2, sigmas) * weights).sum(), image
    )
    other = rand(2, 8, 12) - 0.3
    left = (gaussian_down(other, 2, sigmas) * weights).sum()
    torch.testing.assert_close(left, (other * adjoint).sum())
    assert torch.autograd.gradcheck(lambda x: gaussian_down(x, 2, sigmas), image)


def test_box_is_the_mean() -> None:
    image = rand(2, 6, 9)
    assert box_down(image, 3)[1, 1, 2].item() == pytest.approx(
        image[1, 3:6, 6:9].mean().item()
    )


def test_arguments_are_checked() -> None:
    image = torch.rand(3, 8, 8)
    with pytest.raises(BandMismatchError, match='one for each of 3 bands, got 2'):
        gaussian_down(image, 2, [1.0, 2.0])
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match='positive sigma'):
            gaussian_down(image, 2, wrong)
    for function in (lambda x, r: gaussian_down(x, r, 1.0), box_down):
        with pytest.raises(ValueError, match='multiples of the ratio 3'):
            function(image, 3)
    with pytest.raises(ValueError, match='between 0 and 1'):
        mtf_sigma(1.0, 2)
    with pytest.raises(ValueError, match='whole number from 2 on'):
        mtf_sigma(0.3, 1)
