# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the cross-entropy over labelled pixels."""

import pytest
import torch
from torch import nn

from torchgeo_hsi.losses import MaskedCrossEntropy


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[0, :2] = 255
    return logits, target


def test_by_hand(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = batch
    weight = torch.tensor([1.0, 2.0, 0.5])
    total = norm = 0.0
    for b in range(2):
        for i in range(4):
            for j in range(5):
                k = int(target[b, i, j])
                if k != 255:
                    p = logits[b, :, i, j].softmax(0)[k]
                    total -= float(weight[k] * p.log())
                    norm += float(weight[k])
    loss = MaskedCrossEntropy(weight=weight, ignore_index=255)(logits, target)
    assert float(loss) == pytest.approx(total / norm, rel=1e-5)


def test_ignored_logits_do_not_count(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, target = batch
    loss = MaskedCrossEntropy(ignore_index=255)
    other = logits.clone()
    other[0, :, :2] = 1e6
    assert torch.equal(loss(logits, target), loss(other, target))


@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_nothing_labelled(reduction: str) -> None:
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    target = torch.full((2, 4, 5), 255)
    loss = MaskedCrossEntropy(ignore_index=255, reduction=reduction)(logits, target)
    assert loss.shape == ((2, 4, 5) if reduction == 'none' else ())
    assert (loss == 0).all()
    loss.sum().backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_stock_loss_is_nan_there() -> None:
    # the reason for the class; remove it when this fails
    logits, target = torch.randn(1, 3, 2, 2), torch.full((1, 2, 2), 255)
    assert nn.CrossEntropyLoss(ignore_index=255)(logits, target).isnan()
