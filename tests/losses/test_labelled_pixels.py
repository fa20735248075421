# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of losses over labelled pixels."""

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from torchgeo_hsi.losses import LabelledPixels


@pytest.mark.parametrize(
    'loss', [smp.losses.JaccardLoss('multiclass'), smp.losses.DiceLoss('multiclass')]
)
def test_same_as_without_the_other_pixels(loss: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.randint(0, 3, (2, 4, 5), generator=generator)
    target[:, 1:3] = 255
    rows = [0, 3]
    want = loss(logits[:, :, rows], target[:, rows])
    torch.testing.assert_close(LabelledPixels(loss, 255)(logits, target), want)


def test_focal_against_numpy() -> None:
    logits = torch.tensor([[[[0.5, 3.0]], [[-1.0, 0.0]]]])
    target = torch.tensor([[[0, 255]]])
    # both classes of smp's focal loss are binary problems, and are averaged
    z = np.array([0.5, -1.0])
    hit = 1 / (1 + np.exp(-np.array([z[0], -z[1]])))
    want = float(((1 - hit) ** 2 * -np.log(hit)).mean())
    loss = smp.losses.FocalLoss('multiclass', normalized=False)
    got = float(LabelledPixels(loss, 255)(logits, target))
    assert got == pytest.approx(want, rel=1e-5)


def test_no_label_at_all() -> None:
    logits = torch.zeros(1, 2, 3, 3, requires_grad=True)
    loss = LabelledPixels(smp.losses.JaccardLoss('multiclass'), 9)
    value = loss(logits, torch.full((1, 3, 3), 9))
    value.backward()
    assert float(value) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
