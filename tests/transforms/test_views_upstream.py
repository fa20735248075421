# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What views of other libraries do to images that are standardized."""

import pytest
import torch
from kornia import augmentation
from torch import Tensor
from torchgeo.tasks.moco import moco_augmentations
from torchgeo.tasks.simclr import simclr_augmentations
from transforms.views_data import seeded

from torchgeo_hsi.transforms import moco_views


@pytest.fixture
def image() -> Tensor:
    return 3 * torch.randn(8, 12, 32, 32, generator=seeded())


def test_defaults_of_kornia_clip(image: Tensor) -> None:
    for change in (augmentation.RandomBrightness, augmentation.RandomContrast):
        out = change((0.6, 1.4), p=1.0)(image)
        assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize('version', [1, 2, 3])
def test_moco_of_torchgeo_does_not_clip(image: Tensor, version: int) -> None:
    # it did until torchgeo 0.8
    for views in moco_augmentations(version, 32, torch.ones(12) / 12):
        out = views(image)
        assert out.min() < -2
        assert out.max() > 2


def test_simclr_of_torchgeo_does_not_clip(image: Tensor) -> None:
    out = simclr_augmentations(32, torch.ones(12) / 12)(image)
    assert out.min() < -2
    assert out.max() > 2


def test_views_of_torchgeo_make_spectra_gray(image: Tensor) -> None:
    # which is why there are views of our own
    def gray(out: Tensor) -> Tensor:
        spread = (out - out.mean(1, keepdim=True)).abs().amax((1, 2, 3))
        return spread < 1e-4

    torch.manual_seed(0)
    first, _ = moco_augmentations(2, 32, torch.ones(12) / 12)
    assert any(gray(first(image)).any() for _ in range(10))
    ours = moco_views(32, generator=seeded())
    assert not any(
        gray(view['image']).any() for _ in range(10) for view in ours({'image': image})
    )
