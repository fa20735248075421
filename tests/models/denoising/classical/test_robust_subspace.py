# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Impulses, dead columns and stripes against an image of known truth."""

from pathlib import Path

import pytest
import torch
from models.denoising.classical.painted_fields import SIGMA, gain, gaussian, truth
from torch import Tensor

from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.errors import UnknownNameError
from torchgeo_hsi.models import RobustSubspaceDenoiser, get_model
from torchgeo_hsi.models.denoising.classical._robust_fit import (
    find_repeated,
    fit_space,
    solve_coefficients,
)
from torchgeo_hsi.transforms.noise import get_noise


def model(**options: int) -> RobustSubspaceDenoiser:
    robust = get_model('robust_subspace', denoiser='wavelet', **options)
    assert isinstance(robust, RobustSubspaceDenoiser)
    return robust


def spoiled(name: str, clean: Tensor) -> Tensor:
    noise = get_noise(name)
    noise.reseed(0)
    noisy: Tensor = noise({'image': clean})['image']
    return noisy


@pytest.mark.parametrize(
    ('name', 'more'), [('impulse', 4), ('deadline', 2), ('stripe', 0.3), ('mixture', 5)]
)
def test_what_is_wrong_goes_with_the_noise(name: str, more: float) -> None:
    clean = truth()
    noisy = spoiled(name, clean)
    robust = gain(model()(noisy), noisy, clean)
    assert robust > 15
    # a projection spreads what is wrong over the bands
    assert robust > gain(get_model('hyres')(noisy), noisy, clean) + more


def test_dead_band() -> None:
    clean = truth()
    noisy = gaussian(clean)
    noisy[:, 7, :, 10:] = 0
    denoised = model()(noisy)
    # nothing but the left columns and the other bands tell what was there
    assert (denoised - clean)[:, 7].square().mean().sqrt() < 0.05


def test_offset_of_a_column() -> None:
    clean = truth()
    noisy = gaussian(clean)
    noisy[:, 3, :, 5] += 0.15
    error = (model()(noisy) - clean)[:, 3, :, 5].mean()
    assert error.abs() < 0.02


def test_little_is_lost_in_gaussian_noise() -> None:
    clean = truth()
    noisy = gaussian(clean)
    plain = gain(get_model('hyres')(noisy), noisy, clean)
    assert gain(model()(noisy), noisy, clean) > plain - 1


def test_noise_of_bands_despite_outliers() -> None:
    clean = truth()
    sigma = torch.linspace(10, 60, 40)
    noisy = gaussian(clean, sigma[:, None, None])
    rng = torch.Generator().manual_seed(0)
    wrong = torch.rand(clean.shape, generator=rng) < 0.1
    noisy = torch.where(wrong, 3 * torch.rand(clean.shape, generator=rng), noisy)
    space = fit_space(noisy[0].flatten(1).double())
    ratio = space.sigma * 255 / sigma
    assert ((ratio > 0.9) & (ratio < 2)).all()
    assert ratio.median() < 1.2
    eye = torch.eye(space.basis.shape[1]).double()
    torch.testing.assert_close(space.basis.T @ space.basis, eye)


def test_repeated_values() -> None:
    rng = torch.Generator().manual_seed(0)
    spectra = torch.rand(4, 1000, generator=rng).double()
    spectra[0, ::20] = 0
    spectra[0, 1::20] = 1
    spectra[1, :5] = 0.5
    spectra[2] = 0.25
    # counts of a detector repeat by nature, also where most are small
    spectra[3] = (spectra[3] ** 8 * 50).round()
    found = find_repeated(spectra)
    assert sorted(found[0][~found[0].isnan()].tolist()) == [0, 1]
    assert found[1:].isnan().all()


def test_rank_is_that_of_the_materials() -> None:
    spectra = gaussian(truth(), SIGMA)[0].flatten(1).double()
    assert fit_space(spectra).basis.shape == (40, 3)
    assert fit_space(spectra, 5).basis.shape == (40, 5)


def test_weak_noise_leaves_many_directions() -> None:
    rng = torch.Generator().manual_seed(0)
    number, bands, materials = 3000, 80, 30
    size = torch.logspace(2, 0.3, materials, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(bands, materials, generator=rng).double()).Q
    code = size[:, None] * torch.randn(materials, number, generator=rng).double()
    clean = basis @ code
    spectra = clean + 0.3 * torch.randn(bands, number, generator=rng).double()
    # one number in a thousand is wrong
    wrong = torch.rand(bands, number, generator=rng) < 1e-3
    space = fit_space(torch.where(wrong, 200, spectra))
    assert space.basis.shape[1] == materials
    # the directions are those of the truth
    white = torch.linalg.qr(basis / space.sigma[:, None]).Q
    assert torch.linalg.svdvals(white.T @ space.basis).min() > 0.98
    error = (space.sigma - 0.3).abs()
    assert error.max() < 0.05
    assert error.median() < 0.015


def test_mean_of_the_coefficients() -> None:
    spectra = gaussian(truth() + 0.5, SIGMA)[0].flatten(1).double()
    space = fit_space(spectra)
    code = space.basis.T @ (spectra / space.sigma[:, None])
    torch.testing.assert_close(space.center, code.mean(1), rtol=0.02, atol=0.02)


def test_pixels_without_outliers_need_no_weights() -> None:
    rng = torch.Generator().manual_seed(0)
    space = fit_space(gaussian(truth(), SIGMA)[0].flatten(1).double())
    white = torch.randn(40, 50, generator=rng).double()
    weight = torch.rand(40, 50, generator=rng).double()
    weight[:, :25] = 1
    code = solve_coefficients(space, weight, white)
    for pixel in (0, 24, 25, 49):
        scaled = weight[:, pixel].sqrt()[:, None]
        prior = torch.diag(space.power.rsqrt())
        matrix = torch.cat([scaled * space.basis, prior])
        zeros = torch.zeros(len(prior), 1).double()
        right = torch.cat([scaled * white[:, pixel, None], zeros])
        expected = torch.linalg.lstsq(matrix, right).solution[:, 0]
        torch.testing.assert_close(code[:, pixel], expected)


def test_unknown_denoiser() -> None:
    with pytest.raises(UnknownNameError, match='collaborative'):
        get_model('robust_subspace', denoiser='colaborative')
    with pytest.raises(UnknownNameError, match='wavelet'):
        get_model('fasthyde', denoiser='wavelets')


@pytest.mark.parametrize('denoiser', ['wavelet', 'collaborative'])
def test_water_that_was_clipped_is_data(denoiser: str) -> None:
    """Products set dark water to 0 in most bands: nothing is invented there."""
    image = gaussian(truth(60, 48), 2)
    lake = torch.zeros(48, 48, dtype=torch.bool)
    lake[10:30, 12:34] = True
    # the lake has a signal in the first bands only
    image[:, 8:, lake] = 0
    image[:, :8, lake] *= 0.1
    restored = get_model('robust_subspace', denoiser=denoiser)(image)
    assert (restored - image)[:, :, lake].abs().max() < 0.05
    assert (restored - image).square().mean().sqrt() < 0.012


@pytest.mark.realdata
def test_default_changes_real_tiles_by_their_noise(potsdam: Path) -> None:
    """Tiles as delivered, with lakes: the change is that of a plain projection."""
    for name in ('128_128', '160_128', '96_128', '64_0'):
        dataset = EnMAPL2A([potsdam / 'images' / f'enmap_potsdam_tile_{name}.tif'])
        sample = dataset[dataset.bounds]
        image, valid = sample['image'][None] / 1e4, sample['valid'][None]
        with torch.inference_mode():
            plain = get_model('svd')(image, valid=valid) - image
            change = get_model('pretrained_subspace').eval()(image, valid=valid) - image
        here = valid[0]
        usual = plain[:, :, here].square().mean().sqrt()
        assert change[:, :, here].square().mean().sqrt() < 2 * usual
        assert (image + change)[:, :, here].min() > -0.02
