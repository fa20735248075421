# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Blur, decimation and interpolation against published numbers and plain loops."""

import math

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from scipy.ndimage import correlate

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics.resampling import (
    atrous_lowpass,
    decimate,
    gaussian_kernel,
    gaussian_lowpass,
    imresize_down,
    imresize_up,
    interpolate,
    mtf_decimate,
    mtf_decimate_adjoint,
    mtf_filter,
    mtf_kernel,
)


@pytest.fixture
def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 66, 78, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ('gain', 'size', 'total', 'center', 'near', 'far'),
    [
        (
            0.30,
            41,
            0.9971876301835,
            0.01724737367588,
            0.01633522944043,
            0.00243894196335,
        ),
        (
            0.30,
            61,
            0.9987691697378,
            0.01753127629282,
            0.01659071184844,
            0.00240805514384,
        ),
        (0.30, 9, 0.6363345436893, 0.01585512644967, 0.01536026350576, None),
        (0.20, 41, 0.9962482449420, 0.01290224909664, 0.01238785386924, None),
    ],
)
def test_kernel_published(
    gain: float, size: int, total: float, center: float, near: float, far: float | None
) -> None:
    kernel, c = mtf_kernel(gain, 6, size), size // 2
    assert float(kernel.sum()) == pytest.approx(total, abs=1e-12)
    assert float(kernel[c, c]) == pytest.approx(center, abs=1e-13)
    assert float(kernel[c, c + 1]) == pytest.approx(near, abs=1e-13)
    if far is not None:
        assert float(kernel[c, c + 6]) == pytest.approx(far, abs=1e-13)


def test_gaussian_kernel_published() -> None:
    kernel = gaussian_kernel(0.3, 6)
    assert float(kernel.sum()) == pytest.approx(0.9973221172681, abs=1e-8)
    assert float(kernel[20, 20]) == pytest.approx(0.01812052167952, abs=1e-9)
    assert float(kernel[20, 21]) == pytest.approx(0.01711518689990, abs=1e-9)


def test_kernel_gain_at_nyquist() -> None:
    # the frequency of the coarse sampling; the window lowers the gain a little
    kernel = mtf_kernel(0.3, 6, 61)
    wave = torch.cos(2 * math.pi / 12 * torch.arange(-30, 31))
    assert float((kernel * wave).sum()) == pytest.approx(0.28819, abs=1e-5)


def test_kernel_is_callers_own() -> None:
    mtf_kernel(0.3, 6)[20, 20] = 7
    assert float(mtf_kernel(0.3, 6)[20, 20]) < 1


def test_filter_is_correlation(image: torch.Tensor) -> None:
    kernel = mtf_kernel(0.25, 6).numpy()
    expected = np.stack([correlate(x, kernel, mode='nearest') for x in image.numpy()])
    np.testing.assert_allclose(mtf_filter(image, 0.25, 6), expected, atol=1e-9)
    inner = mtf_filter(image, 0.25, 6, padding='valid')
    np.testing.assert_allclose(inner, expected[:, 20:-20, 20:-20], atol=1e-9)
    kernel = gaussian_kernel(0.25, 6).numpy()
    expected = np.stack([correlate(x, kernel, mode='nearest') for x in image.numpy()])
    np.testing.assert_allclose(gaussian_lowpass(image, 0.25, 6), expected, atol=1e-9)


@pytest.mark.parametrize('ratio', [2, 3, 6])
@pytest.mark.parametrize('size', [9, 41, 61])
def test_decimate_is_filter_then_decimate(
    image: torch.Tensor, ratio: int, size: int
) -> None:
    expected = decimate(mtf_filter(image, 0.3, ratio, size), ratio)
    found = mtf_decimate(image, 0.3, ratio, size)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    # without padding: those pixels whose kernel lies inside
    half = size // 2
    rows, cols = (
        [i for i in range(n // ratio) if half <= ratio * i + ratio // 2 < n - half]
        for n in image.shape[1:]
    )
    inner = mtf_decimate(image, 0.3, ratio, size, padding='valid')
    torch.testing.assert_close(inner, expected[:, rows][:, :, cols], rtol=0, atol=1e-10)


def test_gain_of_each_band(image: torch.Tensor) -> None:
    gains = torch.tensor([0.3, 0.2, 0.3])
    found = mtf_decimate(image, gains, 6)
    for band, gain in enumerate([0.3, 0.2, 0.3]):
        one = mtf_decimate(image[band : band + 1], float(gains[band]), 6)
        torch.testing.assert_close(found[band : band + 1], one)
        assert gain == pytest.approx(float(gains[band]))
    with pytest.raises(BandMismatchError, match='one for each of 3 bands'):
        mtf_filter(image, gains[:2], 6)


def test_adjoint(image: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 11, 13, generator=generator, dtype=torch.float64)
    first = (mtf_decimate(image, 0.3, 6) * coarse).sum()
    second = (image * mtf_decimate_adjoint(coarse, 0.3, 6)).sum()
    torch.testing.assert_close(first, second)


def test_golden_scene() -> None:
    scene = golden_scene(32)
    sums = [8337604667, 255849406, 230885757, 8311929558]
    assert [int(x.sum()) for x in scene] == sums
    assert scene.gt[-1, 191, 191] == 7425
    assert scene.lr[0, 10, :3].tolist() == [7149, 6271, 5568]
    assert scene.ms[0, 60, 60:64].tolist() == [6161, 6196, 6245, 6307]
    # up to the single precision of some published weights, and rounding
    lr = torch.from_numpy(scene.lr)
    up = interpolate(lr, 6, boundary='circular').numpy().round()
    assert np.abs(up - scene.ms).max() <= 1
    assert np.mean(up != scene.ms) < 1e-3


@pytest.mark.parametrize('ratio', [2, 3, 4, 5, 6, 9, 10, 12])
@pytest.mark.parametrize('method', ['ideal', 'bicubic'])
@pytest.mark.parametrize('boundary', ['symmetric', 'circular'])
def test_interpolation_keeps_samples(ratio: int, method: str, boundary: str) -> None:
    generator = torch.Generator().manual_seed(ratio)
    coarse = torch.rand(2, 7, 9, generator=generator, dtype=torch.float64)
    fine = interpolate(coarse, ratio, method=method, boundary=boundary)  # type: ignore[arg-type]
    assert fine.shape == (2, 7 * ratio, 9 * ratio)
    torch.testing.assert_close(decimate(fine, ratio), coarse)
    flat = interpolate(torch.ones(1, 7, 9).double(), ratio, method=method)  # type: ignore[arg-type]
    torch.testing.assert_close(flat, torch.ones_like(flat), rtol=0, atol=1e-6)


@pytest.mark.parametrize('ratio', [2, 3, 5, 6])
def test_interpolation_of_a_wave(ratio: int) -> None:
    # a slow wave is known between its samples, too
    size = 100
    place = (torch.arange(ratio * size, dtype=torch.float64) - ratio // 2) / ratio
    wave = torch.sin(0.7 * place)
    samples = wave[ratio // 2 :: ratio]
    fine = interpolate(samples.expand(1, 4, size), ratio)[0, 0]
    inner = slice(35 * ratio, -35 * ratio)
    assert float((fine - wave)[inner].abs().max()) < 0.02
    cubic = interpolate(samples.expand(1, 4, size), ratio, method='bicubic')[0, 0]
    assert float((cubic - wave)[inner].abs().max()) < 0.02


def test_imresize_inside_is_that_of_torch(image: torch.Tensor) -> None:
    down = imresize_down(image, 6)
    other = torch.nn.functional.interpolate(
        image[None], size=(11, 13), mode='bicubic', antialias=True
    )[0]
    torch.testing.assert_close(
        down[:, 3:-3, 3:-3], other[:, 3:-3, 3:-3], rtol=0, atol=1e-3
    )
    up = imresize_up(down, 6)
    other = torch.nn.functional.interpolate(
        down[None], scale_factor=6, mode='bicubic', antialias=True
    )[0]
    torch.testing.assert_close(
        up[:, 18:-18, 18:-18], other[:, 18:-18, 18:-18], rtol=0, atol=1e-3
    )


def test_imresize_in_mixed_precision(image: torch.Tensor) -> None:
    """Autocast would round the image that networks only add to."""
    plain = imresize_up(imresize_down(image.float(), 2), 2)
    with torch.autocast('cpu', torch.bfloat16):
        found = imresize_up(imresize_down(image.float(), 2), 2)
    assert found.dtype == torch.float32
    assert torch.equal(found, plain)


def test_imresize_border_is_mirrored(image: torch.Tensor) -> None:
    mirrored = torch.cat([image.flip(1), image, image.flip(1)], 1)
    mirrored = torch.cat([mirrored.flip(2), mirrored, mirrored.flip(2)], 2)
    torch.testing.assert_close(
        imresize_down(mirrored, 6)[:, 11:22, 13:26], imresize_down(image, 6)
    )


def test_atrous_is_one_convolution(image: torch.Tensor) -> None:
    kernel = np.ones(1)
    for _ in range(6):
        kernel = np.convolve(kernel, np.array([1, 4, 6, 4, 1]) / 16)
    assert len(kernel) == 25
    expected = correlate(image[0].numpy(), np.outer(kernel, kernel), mode='reflect')
    np.testing.assert_allclose(atrous_lowpass(image, 6)[0], expected, atol=1e-12)


def test_gradients_after_inference_mode() -> None:
    # matrices are kept; those made under inference mode could not be differentiated
    coarse = torch.rand(1, 5, 11)
    with torch.inference_mode():
        interpolate(coarse, 7)
        mtf_filter(interpolate(coarse, 7), 0.31, 7)
        imresize_up(coarse, 7)
    coarse.requires_grad_()
    fine = interpolate(coarse, 7) + imresize_up(coarse, 7)
    mtf_decimate(fine, 0.31, 7).sum().backward()
    assert coarse.grad is not None
    assert float(coarse.grad.abs().sum()) > 0


def test_wrong_arguments(image: torch.Tensor) -> None:
    with pytest.raises(ValueError, match='Crop the image to 65 x 75'):
        mtf_decimate(image, 0.3, 5)
    with pytest.raises(ValueError, match=r'whole number from 2 on, got 2\.5'):
        interpolate(image, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'between 0 and 1, got 1\.2'):
        mtf_filter(image, 1.2, 6)
    with pytest.raises(ValueError, match='odd size'):
        mtf_kernel(0.3, 6, 40)
    with pytest.raises(ValueError, match='at least 101 rows'):
        mtf_filter(image, 0.3, 6, 101, padding='valid')
    with pytest.raises(ValueError, match='ideal or bicubic'):
        interpolate(image, 6, method='nearest')  # type: ignore[arg-type]


def test_interpolation_of_nothing() -> None:
    with pytest.raises(ValueError, match=r'symmetric or circular, got .mirror'):
        interpolate(torch.ones(1, 4, 4), 2, boundary='mirror')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='at least one row and column'):
        interpolate(torch.ones(1, 0, 4), 2)
