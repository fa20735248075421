# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise and subspace against drawn noise and against least squares."""

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics import (
    band_noise,
    correlation_matrix,
    estimate_noise,
    signal_subspace,
)


def scene(bands: int, side: int, rank: int, sigma: Tensor, seed: int = 0) -> Tensor:
    """Draw an image of a rank, with noise of each band."""
    rng = torch.Generator().manual_seed(seed)
    spectra = torch.rand(bands, rank, generator=rng)
    abundance = torch.rand(rank, side * side, generator=rng)
    noise = sigma[:, None] * torch.randn(bands, side * side, generator=rng)
    return (spectra @ abundance + noise).view(1, bands, side, side)


def test_correlation_counts_valid_pixels_only() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 5, 6, 7, generator=rng)
    valid = torch.rand(2, 6, 7, generator=rng) > 0.4
    expected = [
        np.cov(image[b, :, valid[b]].double().numpy(), bias=True)
        + np.outer(m := image[b, :, valid[b]].double().mean(1).numpy(), m)
        for b in range(2)
    ]
    image[~valid[:, None].expand_as(image)] = torch.nan
    matrix, count = correlation_matrix(image, valid)
    np.testing.assert_allclose(matrix.numpy(), np.stack(expected), rtol=1e-10)
    assert count.tolist() == valid.sum((1, 2)).tolist()


def test_correlation_of_other_valid() -> None:
    with pytest.raises(BandMismatchError, match='Expected valid of shape'):
        correlation_matrix(
            torch.rand(1, 3, 4, 5), torch.ones(1, 5, 4, dtype=torch.bool)
        )


def test_noise_is_the_residual_of_least_squares() -> None:
    image = scene(6, 12, 2, torch.full((6,), 0.1))
    spectra = image[0].flatten(1).double().numpy()
    expected = []
    for band in range(6):
        others = np.delete(spectra, band, 0).T
        rest = np.linalg.lstsq(others, spectra[band], rcond=None)[1]
        expected.append(float(np.sqrt(rest / (144 - 5))[0]))
    got = estimate_noise(image)[0]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize('side', [100, 32, 12])
def test_noise_of_each_band(side: int) -> None:
    # 12 x 12 pixels are fewer than twice the bands
    sigma = torch.linspace(0.02, 0.2, 100)
    image = scene(100, side, 3, sigma)
    ratio = band_noise(*correlation_matrix(image))[0] / sigma
    assert abs(float(ratio.mean()) - 1) < 0.06
    assert float(ratio.std()) < (0.04 if side >= 32 else 0.12)


def test_noise_of_a_batch_is_that_of_its_images() -> None:
    images = torch.cat([scene(20, 16, 2, torch.full((20,), s)) for s in (0.05, 0.2)])
    both = band_noise(*correlation_matrix(images))
    for image, alone in zip(images, both, strict=True):
        torch.testing.assert_close(
            band_noise(*correlation_matrix(image[None]))[0], alone
        )


def test_noise_of_valid_pixels() -> None:
    sigma = torch.linspace(0.05, 0.15, 12)
    image = scene(12, 40, 2, sigma)
    valid = torch.ones(40, 40, dtype=torch.bool)
    valid[:15] = valid[:, 30:] = False
    got = estimate_noise(image[0].masked_fill(~valid, 1e4), valid)
    # least squares over the pixels that are left
    spectra = image[0, :, 15:, :30].flatten(1).double().numpy()
    expected = []
    for band in range(12):
        others = np.delete(spectra, band, 0).T
        rest = np.linalg.lstsq(others, spectra[band], rcond=None)[1]
        expected.append(float(np.sqrt(rest / (750 - 11))[0]))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        estimate_noise(image[0], torch.zeros_like(valid))


@pytest.mark.parametrize('side', [1, 2, 3])
def test_noise_of_tiny_images_is_finite(side: int) -> None:
    noise = band_noise(*correlation_matrix(torch.rand(1, 30, side, side)))
    assert noise.isfinite().all()
    assert (noise > 0).all()


@pytest.mark.parametrize('kind', ['zero', 'copy', 'mean'])
def test_band_that_is_none_has_the_usual_noise(kind: str) -> None:
    image = scene(20, 32, 2, torch.full((20,), 0.1))
    image[:, 3] = {
        'zero': torch.zeros_like(image[:, 3]),
        'copy': image[:, 4],
        'mean': (image[:, 2] + image[:, 4]) / 2,
    }[kind]
    noise = band_noise(*correlation_matrix(image))[0]
    torch.testing.assert_close(noise[3].item(), 0.1, rtol=0.15, atol=0)


@pytest.mark.parametrize('rule', ['edge', 'mdl'])
@pytest.mark.parametrize(('bands', 'side'), [(60, 64), (200, 32)])
def test_dimension(rule: str, bands: int, side: int) -> None:
    sigma = torch.full((bands,), 0.05)
    matrix, count = correlation_matrix(scene(bands, side, 4, sigma))
    space = signal_subspace(matrix, sigma[None], count, rule)
    assert space.basis.shape == (1, bands, 4)


def test_hysime_keeps_what_is_above_twice_the_noise() -> None:
    power = torch.tensor([9.0, 2.1, 1.9, 1.0]).double()
    space = signal_subspace(torch.diag(power)[None], torch.ones(1, 4), 10**6, 'hysime')
    torch.testing.assert_close(space.power, power[None, :2])
    torch.testing.assert_close(space.basis[0].abs(), torch.eye(4)[:, :2].double())


def test_basis_holds_the_signal() -> None:
    sigma = torch.linspace(0.01, 0.1, 40)
    image, clean = (scene(40, 40, 3, s) for s in (sigma, torch.zeros(40)))
    basis = signal_subspace(*_moments(image, sigma), rank=3).basis[0]
    torch.testing.assert_close(basis.T @ basis, torch.eye(3).double())
    white = clean[0].flatten(1).double() / sigma[:, None]
    rest = white - basis @ (basis.T @ white)
    assert rest.square().mean() < 0.01


def _moments(image: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    matrix, count = correlation_matrix(image)
    return matrix, sigma[None], count


def test_rank_is_at_least_one_and_at_most_all() -> None:
    noise = torch.randn(1, 10, 64, 64, generator=torch.Generator().manual_seed(0))
    matrix, count = correlation_matrix(0.5 * noise)
    ones = torch.ones(1, 10)
    assert signal_subspace(matrix, ones, count).basis.shape == (1, 10, 1)
    assert signal_subspace(matrix, ones, count, 99).basis.shape == (1, 10, 10)


def test_mistakes() -> None:
    matrix = torch.eye(4)[None]
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        band_noise(matrix, 0)
    with pytest.raises(BandMismatchError, match='Expected correlation matrices'):
        band_noise(torch.rand(3, 4), 10)
    with pytest.raises(BandMismatchError, match='noise of 4 bands, got that of 3'):
        signal_subspace(matrix, torch.ones(1, 3), 10)
    with pytest.raises(ValueError, match="'edge', 'hysime' or 'mdl', got 'best'"):
        signal_subspace(matrix, torch.ones(1, 4), 10, 'best')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='at least 1 dimension, got 0'):
        signal_subspace(matrix, torch.ones(1, 4), 10, 0)
