# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the losses that skip what has no label."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from torchgeo_hsi.losses import (
    KnownTargets,
    LabelledPixels,
    MaskedBinaryCrossEntropy,
    NormalizedMSELoss,
)


def test_binary_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.5, -1.0], [2.0, 0.1]], requires_grad=True)
    labels = torch.tensor([[1, 0], [-1, 1]])
    weight = torch.tensor([3.0, 1.0])
    p = 1 / (1 + np.exp(-logits.detach().numpy()))
    want = -(3 * np.log(p[0, 0]) + np.log(1 - p[0, 1]) + np.log(p[1, 1])) / 3
    loss = MaskedBinaryCrossEntropy(weight, ignore_index=-1)(logits, labels)
    assert loss.item() == pytest.approx(want, rel=1e-6)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[1, 0] == 0


def test_binary_cross_entropy_is_torchs_where_all_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, generator=generator)
    labels = torch.randint(0, 2, (5, 7), generator=generator)
    want = nn.BCEWithLogitsLoss()(logits, labels.float())
    assert torch.allclose(MaskedBinaryCrossEntropy()(logits, labels), want)
    masked = MaskedBinaryCrossEntropy(ignore_index=-1)
    assert torch.allclose(masked(logits, labels.float()), want)


@pytest.mark.parametrize(
    'loss',
    [
        smp.losses.DiceLoss('multiclass'),
        smp.losses.JaccardLoss('multiclass'),
        smp.losses.FocalLoss('multiclass', normalized=True),
        nn.CrossEntropyLoss(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_labelled_pixels(loss: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 4, generator=generator, requires_grad=True)
    mask = torch.randint(0, 3, (2, 4, 4), generator=generator)
    masked = LabelledPixels(loss, 255)
    assert torch.allclose(masked(logits, mask), loss(logits, mask), atol=1e-6)

    # half of the image without labels is as good as half of the image
    mask[..., 2:] = 255
    half = loss(logits[..., :2], mask[..., :2])
    value = masked(logits, mask)
    assert torch.allclose(value, half, atol=1e-6)
    value.backward()
    assert logits.grad is not None
    assert (logits.grad[..., 2:] == 0).all()
    assert (logits.grad[..., :2] != 0).any()

    nothing = masked(logits, torch.full_like(mask, 255))
    assert nothing == 0
    nothing.backward()


def test_normalized_mse_by_hand() -> None:
    prediction = torch.tensor([[1.0, 0.0], [3.0, 1.0], [9.0, 9.0]], requires_grad=True)
    target = torch.tensor([[2.0, 2.0], [4.0, 0.0], [torch.nan, 1.0]])
    # (1 + 1) / (4 + 16) and (4 + 1) / (4 + 0)
    loss = NormalizedMSELoss()(prediction, target)
    assert loss.item() == pytest.approx((2 / 20 + 5 / 4) / 2)
    loss.backward()
    assert prediction.grad is not None
    assert (prediction.grad[2] == 0).all()


def test_normalized_mse_stays_finite() -> None:
    prediction = torch.ones(1, 2)
    assert NormalizedMSELoss()(prediction, torch.zeros(1, 2)) == pytest.approx(100)
    assert NormalizedMSELoss(0.5)(prediction, torch.zeros(1, 2)) == pytest.approx(2)


@pytest.mark.parametrize(
    'loss', [NormalizedMSELoss(), KnownTargets('mse'), KnownTargets('mae')], ids=str
)
def test_no_known_target(loss: nn.Module) -> None:
    prediction = torch.ones(2, 2, requires_grad=True)
    value = loss(prediction, torch.full((2, 2), torch.nan))
    assert value == 0
    value.backward()
    assert prediction.grad is not None
    assert (prediction.grad == 0).all()


def test_known_targets_by_hand() -> None:
    prediction = torch.tensor([[1.0], [5.0], [0.0]])
    target = torch.tensor([[3.0], [torch.nan], [1.0]])
    assert float(KnownTargets('mse')(prediction, target)) == pytest.approx(2.5)
    assert float(KnownTargets('mae')(prediction, target)) == pytest.approx(1.5)
