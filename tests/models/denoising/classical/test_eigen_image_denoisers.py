# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoisers of eigen-images, and networks in their place."""

import pytest
import torch
from models.denoising.classical.painted_fields import SIGMA, gain, gaussian, truth
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, UnitError, UnknownNameError
from torchgeo_hsi.models import (
    CollaborativeFilter,
    SubspaceDenoiser,
    WaveletShrinkage,
    get_model,
)
from torchgeo_hsi.models.denoising.classical.low_rank_tv import (
    _adjoint,
    _cosines,
    _differences,
    _laplacian,
)
from torchgeo_hsi.models.denoising.classical.wavelet_shrinkage import _shrink

FILTERS = (CollaborativeFilter, WaveletShrinkage)


class Keep(nn.Module):
    """Return the images as they are, and remember them."""

    image: Tensor
    sigma: float | Tensor

    def forward(self, image: Tensor, sigma: float | Tensor) -> Tensor:
        self.image, self.sigma = image, sigma
        return image


@pytest.mark.parametrize('method', FILTERS)
def test_flat_image(method: type[nn.Module]) -> None:
    noisy = gaussian(torch.full((1, 2, 40, 40), 0.4))
    clean = method()(noisy, SIGMA)
    assert (clean - 0.4).square().mean().sqrt() < 0.25 * SIGMA / 255


@pytest.mark.parametrize('method', FILTERS)
def test_without_noise_nothing_changes(method: type[nn.Module]) -> None:
    image = truth(4, 24)
    torch.testing.assert_close(method()(image, 1e-3), image, atol=1e-4, rtol=0)


@pytest.mark.parametrize('method', FILTERS)
def test_scale_of_images_does_not_matter(method: type[nn.Module]) -> None:
    noisy = gaussian(truth(3, 24))
    expected = method()(noisy, SIGMA)
    torch.testing.assert_close(method()(8 * noisy, 8 * SIGMA) / 8, expected)
    levels = SIGMA * torch.tensor([[1.0, 4.0, 0.5]])
    scaled = noisy * levels[..., None, None] / SIGMA
    got = method()(scaled, levels) / levels[..., None, None] * SIGMA
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize('method', FILTERS)
def test_edges_stay(method: type[nn.Module]) -> None:
    clean = torch.zeros(1, 1, 32, 32)
    clean[..., 16:] = 1
    denoised = method()(gaussian(clean, 20), 20)
    assert float(denoised[..., 15].mean()) < 0.1
    assert float(denoised[..., 16].mean()) > 0.9


def test_clear_images_help_those_with_more_noise() -> None:
    pattern = truth(1, 40)
    pattern = (pattern - pattern.mean()) / pattern.std()
    clean = torch.cat([10 * pattern, pattern], 1)
    noisy = gaussian(clean, 255)
    together = CollaborativeFilter()(noisy, 255)[:, 1:]
    alone = CollaborativeFilter()(noisy[:, 1:], 255)
    assert gain(together, alone, clean[:, 1:]) > 2


def test_wavelets_have_mirrored_borders_and_all_shifts() -> None:
    noisy = gaussian(truth(2, 24))
    turned = WaveletShrinkage()(noisy.flip(2, 3), SIGMA).flip(2, 3)
    torch.testing.assert_close(turned, WaveletShrinkage()(noisy, SIGMA))


def test_threshold_has_the_least_estimated_risk() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 20, 20, generator=rng)
    x[..., :5, :] += 4
    flat = x.flatten().double()
    risks = {
        float(t): 400
        - 2 * float((flat.abs() <= t).sum())
        + float(flat.square().clamp_max(t**2).sum())
        for t in flat.abs()
    }
    best = min(risks, key=lambda t: risks[t])
    expected = x.sign() * (x.abs() - best).clamp_min(0)
    torch.testing.assert_close(_shrink(x), expected)


def test_differences_are_diagonal_in_cosines() -> None:
    rng = torch.Generator().manual_seed(0)
    x, down, right = torch.randn(3, 7, 9, generator=rng, dtype=torch.float64)
    d_down, d_right = _differences(x)
    # the boundary of the last row and column is free
    down[-1], right[:, -1] = 0, 0
    product = (d_down * down + d_right * right).sum()
    torch.testing.assert_close(product, (x * _adjoint(down, right)).sum())
    rows, columns = _cosines(7), _cosines(9)
    spectrum = rows @ x @ columns.T * _laplacian(7, 9)
    torch.testing.assert_close(rows.T @ spectrum @ columns, _adjoint(*_differences(x)))


def test_eigen_images_have_white_noise() -> None:
    sigma = torch.linspace(5, 80, 40)
    keep = Keep()
    model = SubspaceDenoiser(keep, rank=6)
    assert torch.equal(
        model(gaussian(truth(), sigma[:, None, None])),
        model(gaussian(truth(), sigma[:, None, None])),
    )
    noise = keep.image[0, 3:].flatten(1)
    assert keep.sigma == 255
    # the last three directions hold noise only
    assert (noise.std(1) - 1).abs().max() < 0.15


def test_mistakes_of_names() -> None:
    with pytest.raises(UnknownNameError, match=r'denoiser.*man_s'):
        get_model('subspace', denoiser='colaborative')
    with pytest.raises(ValueError, match='which has none'):
        get_model('subspace', denoiser='wavelet', weights='gaussian')
    with pytest.raises(ValueError, match='ensemble=True only with the name'):
        get_model('robust_subspace', denoiser=['wavelet', 'bm3d'], ensemble=True)
    with pytest.raises(ValueError, match='got a module'):
        get_model('subspace', denoiser=Keep(), weights='gaussian')


@pytest.mark.parametrize('method', [WaveletShrinkage])
def test_mistakes_of_images(method: type[nn.Module]) -> None:
    image = torch.rand(1, 3, 8, 8)
    with pytest.raises(UnitError, match='positive sigma'):
        method()(image, -1)
    with pytest.raises(BandMismatchError, match='each of 3 bands'):
        method()(image, torch.ones(2))
    with pytest.raises(BandMismatchError, match=r'image\[None\]'):
        method()(image[0], 30)
