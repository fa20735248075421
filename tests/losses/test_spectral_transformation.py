# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spectral transformation of embeddings, and of its losses."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.losses.soft_whitening import SoftWhiteningLoss
from torchgeo_hsi.losses.spectral_transformation import (
    SpectralTransformationLoss,
    spectral_transformation,
)

POWERS = (0.0, 0.3, 0.5, 0.7, 1.0)


def embeddings(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Make embeddings whose features have variances of different sizes."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(*shape, generator=generator, dtype=dtype)
    return z * torch.logspace(0, -1, shape[-1], dtype=dtype) + 3


def equal_eigenvalues(batch: int, features: int) -> Tensor:
    """Make embeddings whose covariance has one eigenvalue only, up to rounding."""
    z = embeddings(batch, features)
    return torch.linalg.qr(z - z.mean(0)).Q * (batch - 1) ** 0.5


def spectrum(z: Tensor) -> Tensor:
    """Compute the eigenvalues of the covariance of the features."""
    return torch.linalg.eigvalsh(torch.cov(z.T))


@pytest.mark.parametrize('power', POWERS)
def test_eigenvalues_are_those_of_the_family(power: float) -> None:
    z = embeddings(40, 6)
    found = spectral_transformation(z, power, eps=0)
    assert found.mean(0).abs().max() < 1e-12
    expected = spectrum(z) ** (1 - 2 * power)
    torch.testing.assert_close(spectrum(found), expected.sort().values)
    # samples over channels: the same, the other way round
    across = spectral_transformation(z.T, power, axis='channels', eps=0)
    torch.testing.assert_close(across, found.T)


def test_against_numpy() -> None:
    z = embeddings(30, 5)
    x = z.numpy() - z.numpy().mean(0)
    values, vectors = np.linalg.eigh(x.T @ x / 29)
    expected = x @ vectors @ np.diag(1 / np.sqrt(values)) @ vectors.T
    found = spectral_transformation(z, eps=0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # ZCA stays as near as possible: rotated embeddings are whitened and rotated
    rotation = torch.linalg.qr(embeddings(5, 5, seed=1)).Q
    turned = spectral_transformation(z @ rotation, eps=0)
    torch.testing.assert_close(turned, torch.from_numpy(expected) @ rotation)


@pytest.mark.parametrize('power', [*POWERS, lambda v: (v + 0.1).rsqrt(), torch.cos])
@pytest.mark.parametrize('repeated', [False, True])
def test_gradient_against_finite_differences(
    power: float | Callable[[Tensor], Tensor], repeated: bool
) -> None:
    z = equal_eigenvalues(9, 4) if repeated else embeddings(9, 4)
    z = z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spectral_transformation(x, power), z)
    if not repeated:
        wide = embeddings(4, 9).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x: spectral_transformation(x, power, axis='channels'), wide
        )


def test_repeated_eigenvalues_break_the_plain_gradient() -> None:
    """The reason for a gradient of its own: that of eigh divides by 0."""
    weights = embeddings(16, 8, seed=2).float()
    covariance = (2 * torch.eye(8)).requires_grad_()
    values, vectors = torch.linalg.eigh(covariance)
    ((vectors / values.sqrt()) @ vectors.T)[0].sum().backward()
    assert covariance.grad is not None
    assert not covariance.grad.isfinite().all()
    gradients = []
    for dtype in (torch.float32, torch.float64):
        z = equal_eigenvalues(16, 8).to(dtype).requires_grad_()
        (spectral_transformation(z) * weights).sum().backward()
        assert z.grad is not None
        gradients.append(z.grad.double())
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('gap', [1e-3, 1e-6, 1e-9, 0.0])
def test_almost_repeated_eigenvalues(gap: float) -> None:
    scale = 1 + gap * torch.arange(6, dtype=torch.float64)
    gradients = []
    for power in (0.5, torch.rsqrt):
        for dtype in (torch.float64, torch.float32):
            z = (equal_eigenvalues(20, 6) * scale).to(dtype).requires_grad_()
            found = spectral_transformation(z, power)
            (found * embeddings(20, 6, seed=3).to(dtype)).sum().backward()
            assert z.grad is not None
            gradients.append(z.grad.double())
    exact, single, called, called_single = gradients
    torch.testing.assert_close(called, exact, atol=1e-8, rtol=1e-6)
    for other in (single, called_single):
        torch.testing.assert_close(other, exact, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize('power', POWERS)
@pytest.mark.parametrize('make', [torch.zeros, torch.ones, torch.randn])
def test_collapsed_and_small_batches_stay_finite(
    power: float, make: Callable[..., Tensor]
) -> None:
    one = make(1, 16).expand(8, 16).clone().requires_grad_()
    few = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    for z in (one, few.requires_grad_()):
        other = z.detach().flip(0)
        loss = SpectralTransformationLoss(power)([z, other])
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.isfinite()
        assert gradient.isfinite().all()


def test_mixed_precision_ends_here() -> None:
    z = (100 * embeddings(64, 32, dtype=torch.float32)).half()
    with torch.autocast('cpu', torch.bfloat16):
        found = spectral_transformation(z)
        loss = SpectralTransformationLoss()([z, z.flip(1)])
    torch.testing.assert_close(found, spectral_transformation(z.float()))
    torch.testing.assert_close(
        loss, SpectralTransformationLoss()([z.float(), z.float().flip(1)])
    )
    assert found.dtype == loss.dtype == torch.float32


@pytest.mark.parametrize('loss', [SpectralTransformationLoss(), SoftWhiteningLoss()])
def test_what_cannot_be_used(loss: torch.nn.Module) -> None:
    z = embeddings(8, 4)
    for views, message in (
        ([], '2 or more views'),
        ([z], '2 or more views'),
        ([z, z[:4]], 'same images in all views'),
        ([z[0], z[0]], r'shape \(B, D\)'),
        ([z[:1], z[:1]], 'drop_last'),
    ):
        with pytest.raises(ValueError, match=message):
            loss(views)
    with pytest.raises(ValueError, match=r"'channels' or 'batch'"):
        type(loss)(axis='rows')
    with pytest.raises(ValueError, match='0 or more'):
        type(loss)(**{'eps' if hasattr(loss, 'eps') else 'weight': -1.0})


def test_what_cannot_be_transformed() -> None:
    z = embeddings(8, 4)
    with pytest.raises(ValueError, match='diverged'):
        spectral_transformation(torch.full_like(z, torch.nan))
    with pytest.raises(ValueError, match='as many'):
        spectral_transformation(z, lambda values: values[:1])
    with pytest.raises(ValueError, match='eps'):
        spectral_transformation(z, eps=-1)
    with pytest.raises(ValueError, match=r"'channels' or 'batch'"):
        spectral_transformation(z, axis='rows')  # type: ignore[arg-type]


def test_loss_compares_all_views_with_the_first() -> None:
    views = [embeddings(32, 6, seed=seed) for seed in range(3)]
    white = [spectral_transformation(view, 0.5) for view in views]
    unit = [z / z.norm(dim=1, keepdim=True) for z in white]
    expected = [(unit[0] - other).square().sum(1).mean() for other in unit[1:]]
    found = SpectralTransformationLoss()(views)
    torch.testing.assert_close(found, torch.stack(expected).mean())
    # a function of its own, and the other axis
    wide = [view.T for view in views]
    loss = SpectralTransformationLoss(torch.rsqrt, axis='channels')
    unit = [z / z.norm(dim=0, keepdim=True) for z in white]
    expected = [(unit[0] - other).square().sum(0).mean() for other in unit[1:]]
    torch.testing.assert_close(loss(wide), torch.stack(expected).mean())


def test_soft_whitening_is_a_penalty() -> None:
    views = [embeddings(32, 6, seed=seed) for seed in range(2)]
    unit = [z / z.norm(dim=1, keepdim=True) for z in views]
    near = (unit[0] - unit[1]).square().sum(1).mean()
    penalty = [(spectrum(z) - 1).square().mean() for z in views]
    found = SoftWhiteningLoss(0.5)(views)
    torch.testing.assert_close(found, near + 0.5 * (penalty[0] + penalty[1]) / 2)
    white = spectral_transformation(views[0], eps=0)
    assert SoftWhiteningLoss()([white, white]) < 1e-9
    z = views[0].float().requires_grad_()
    (gradient,) = torch.autograd.grad(SoftWhiteningLoss()([z, z.detach() * 0]), z)
    assert gradient.isfinite().all()
