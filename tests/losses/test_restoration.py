# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the losses of restored cubes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.losses import (
    BandPSNRLoss,
    CharbonnierLoss,
    GradientLoss,
    MaskedL1Loss,
    MaskedMSELoss,
    RestorationLoss,
    SpatialVariationLoss,
    SpectralAngleLoss,
    SpectralVariationLoss,
)

ALL: list[nn.Module] = [
    BandPSNRLoss(),
    CharbonnierLoss(),
    GradientLoss(),
    MaskedL1Loss(),
    MaskedMSELoss(),
    RestorationLoss({'l1': 1.0, 'sam': 0.1, 'gradient': 0.2}),
    SpatialVariationLoss(),
    SpectralAngleLoss(),
    SpectralVariationLoss(),
]

#: Losses that look at nothing but the prediction.
SMOOTH = (SpatialVariationLoss, SpectralVariationLoss)


def cubes(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, *shape, generator=generator, dtype=torch.float64)
    return first.requires_grad_(), second


def test_against_the_formulas() -> None:
    x, y = cubes(2, 4, 5, 6)
    torch.testing.assert_close(MaskedL1Loss()(x, y), nn.L1Loss()(x, y))
    torch.testing.assert_close(MaskedMSELoss()(x, y), nn.MSELoss()(x, y))
    a, b = x.detach().numpy(), y.numpy()
    charbonnier = sum(math.sqrt(e**2 + 0.04) - 0.2 for e in (a - b).ravel()) / a.size
    assert CharbonnierLoss(0.2)(x, y).item() == pytest.approx(charbonnier)
    angles = []
    for n in range(2):
        for row in range(5):
            for col in range(6):
                u, v = a[n, :, row, col], b[n, :, row, col]
                angles.append(math.acos(u @ v / math.sqrt((u @ u) * (v @ v))))
    assert SpectralAngleLoss()(x, y).item() == pytest.approx(sum(angles) / 60)
    e = a - b
    rows = abs(e[:, :, 1:] - e[:, :, :-1]).mean()
    cols = abs(e[..., 1:] - e[..., :-1]).mean()
    bands = abs(e[:, 1:] - e[:, :-1]).mean()
    gradient = GradientLoss(spectral=0.5)(x, y).item()
    assert gradient == pytest.approx(rows + cols + 0.5 * bands)
    both = RestorationLoss({'mse': 2.0, 'sam': 0.5, 'l1': 0.0})(x, y).item()
    assert both == pytest.approx(2 * (e**2).mean() + 0.5 * sum(angles) / 60)


def test_psnr_of_bands() -> None:
    """Above the floor, it is what MPSNR lacks to that of the floor."""
    x, y = cubes(2, 4, 5, 6)
    expected = [
        10 * math.log10(1 + ((x[n, b] - y[n, b]) ** 2).mean().item() / 0.02**2)
        for n in range(2)
        for b in range(4)
    ]
    found = BandPSNRLoss(floor=0.02)(x, y).item()
    assert found == pytest.approx(sum(expected) / 8, rel=1e-12)
    valid = torch.zeros(2, 5, 6, dtype=torch.bool)
    valid[0, :2] = True
    part = BandPSNRLoss(floor=0.02)(x[:1, :, :2], y[:1, :, :2])
    torch.testing.assert_close(BandPSNRLoss(floor=0.02)(x, y, valid), part)
    with pytest.raises(ValueError, match='positive floor'):
        BandPSNRLoss(0)


def test_hybrid_loss_of_sspsr() -> None:
    # differences of a sample are counted, squares of the batch summed
    x, y = cubes(3, 4, 5, 6)
    a, b = x.detach().numpy(), y.numpy()
    spatial, spectral = 0.0, 0.0
    for n in range(3):
        spatial += sum((a[n, :, i + 1] - a[n, :, i]) ** 2 for i in range(4)).sum() / (
            4 * 4 * 6
        )
        spatial += sum(
            ((a[n, ..., j + 1] - a[n, ..., j]) ** 2).sum() for j in range(5)
        ) / (4 * 5 * 5)
        spectral += (
            2
            * sum(((a[n, k + 1] - a[n, k]) ** 2).sum() for k in range(3))
            / (3 * 5 * 6)
        )
    expected = np.abs(a - b).mean() + 1e-3 * spatial / 3 + 1e-3 * spectral / 3
    hybrid = RestorationLoss({'l1': 1.0, 'spatial_tv': 1e-3, 'spectral_tv': 1e-3})
    assert hybrid(x, y).item() == pytest.approx(expected, rel=1e-12)
    assert SpatialVariationLoss()(x, y).item() == pytest.approx(spatial / 3)
    assert SpectralVariationLoss()(x, y).item() == pytest.approx(spectral / 3)


@pytest.mark.parametrize('loss', ALL)
def test_invalid_pixels_do_not_count(loss: nn.Module) -> None:
    x, y = cubes(2, 4, 6, 9)
    expected = loss(x[..., :5], y[..., :5])
    (slope,) = torch.autograd.grad(expected, x)
    valid = torch.zeros(2, 6, 9, dtype=torch.bool)
    valid[..., :5] = True
    dirty = x.detach().clone()
    dirty[..., 5:] = torch.inf
    dirty.requires_grad_()
    truth = y.clone()
    truth[..., 5:] = torch.nan
    found = loss(dirty, truth, valid)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, dirty)
    torch.testing.assert_close(gradient, slope)


@pytest.mark.parametrize('loss', ALL)
def test_nothing_valid(loss: nn.Module) -> None:
    x, y = cubes(1, 4, 6, 6)
    y = torch.full_like(y, torch.nan)
    value = loss(x, y, torch.zeros(1, 6, 6, dtype=torch.bool))
    assert value.item() == 0
    (gradient,) = torch.autograd.grad(value, x)
    assert not gradient.any()


@pytest.mark.parametrize('loss', ALL)
def test_perfect(loss: nn.Module) -> None:
    x, _ = cubes(1, 4, 6, 6)
    if isinstance(loss, SMOOTH):
        x = torch.full_like(x, 0.3, requires_grad=True)
    value = loss(x, x.detach())
    assert value.item() == pytest.approx(0, abs=1e-12)
    (gradient,) = torch.autograd.grad(value, x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize('loss', ALL)
def test_gradient_is_right(loss: nn.Module) -> None:
    x, y = cubes(1, 3, 4, 4)
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[0, 1, 2] = False
    assert torch.autograd.gradcheck(lambda x: loss(x, y, valid), x)


@pytest.mark.parametrize('loss', ALL)
def test_half_precision_and_tiny_cubes(loss: nn.Module) -> None:
    x, y = cubes(1, 3, 8, 8)
    exact = loss(x, y).item()
    rounded = loss(x.detach().bfloat16(), y.float())
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact, rel=0.02)
    assert loss(x[..., :1, :1], y[..., :1, :1]).isfinite()
    assert loss(x[:, :1], y[:, :1]).isfinite()


@pytest.mark.parametrize('loss', ALL)
def test_shapes_are_checked(loss: nn.Module) -> None:
    x, y = cubes(2, 4, 6, 6)
    with pytest.raises(BandMismatchError, match='same shape'):
        loss(x, y[:, :3])
    with pytest.raises(BandMismatchError, match=r'valid of shape \(2, 6, 6\)'):
        loss(x, y, torch.ones(2, 1, 6, 6))


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: CharbonnierLoss(0), 'positive epsilon'),
        (lambda: GradientLoss(-1), 'weight of 0 or more'),
        (lambda: RestorationLoss({'l1': -1.0}), 'weights of 0 or more'),
        (lambda: RestorationLoss({'mse': math.inf}), 'finite weights'),
        (lambda: RestorationLoss({'mse': math.nan}), 'finite weights'),
        (lambda: RestorationLoss({'l1': 0.0}), 'at least one positive'),
        (lambda: RestorationLoss({}), 'at least one positive'),
    ],
)
def test_options_are_checked(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_unknown_loss() -> None:
    with pytest.raises(UnknownNameError, match='charbonnier'):
        RestorationLoss('charbonier')
