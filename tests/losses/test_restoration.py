# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the losses of restored cubes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.losses import (
    CharbonnierLoss,
    GradientLoss,
    MaskedL1Loss,
    MaskedMSELoss,
    RestorationLoss,
    SpectralAngleLoss,
)

ALL: list[nn.Module] = [
    CharbonnierLoss(),
    GradientLoss(),
    MaskedL1Loss(),
    MaskedMSELoss(),
    RestorationLoss({'l1': 1.0, 'sam': 0.1, 'gradient': 0.2}),
    SpectralAngleLoss(),
]


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
