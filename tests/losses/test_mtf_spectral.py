# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the spectral loss of sharpened cubes."""

from typing import Any

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import golden_scene
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.losses.mtf_spectral import MTFSpectralLoss
from torchgeo_hsi.physics.resampling import mtf_kernel


def images(
    ratio: int, rows: int, columns: int, bands: int = 2
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(ratio)
    cube = torch.rand(2, bands, rows, columns, generator=generator).double()
    shape = (2, bands, ratio * rows, ratio * columns)
    return torch.rand(shape, generator=generator).double(), cube


def reference(
    image: Tensor, cube: Tensor, size: int, valid: Tensor | None = None
) -> float:
    """Look at whole kernels, coarse pixel by coarse pixel."""
    ratio, half = image.shape[-1] // cube.shape[-1], size // 2
    weights = mtf_kernel(0.3, ratio, size).numpy()
    height, width = image.shape[-2:]
    errors = []
    for row in range(cube.shape[-2]):
        for column in range(cube.shape[-1]):
            y, x = ratio * row + ratio // 2, ratio * column + ratio // 2
            if y < half or x < half or y + half >= height or x + half >= width:
                continue
            part = image[..., y - half : y + half + 1, x - half : x + half + 1]
            seen = (part.numpy() * weights).sum((-2, -1))
            error = abs(seen - cube[..., row, column].numpy())
            keep = ... if valid is None else valid[:, row, column].numpy()
            errors.extend(error[keep].ravel())
    return float(np.mean(errors))


def test_published_numbers() -> None:
    scene = golden_scene(32)
    loss = MTFSpectralLoss()
    expected = {
        ('ms', 0): 0.00166593876,
        ('gt', 0): 0.00016267308,
        ('ms', 31): 0.00191404251,
        ('gt', 31): 0.00019416882,
    }
    for (name, band), value in expected.items():
        images = scene.batch(name), scene.batch('lr')
        found = loss(*(x[:, band, None] / 65536 for x in images))
        assert found.item() == pytest.approx(value, abs=2e-7)


@pytest.mark.parametrize(
    ('ratio', 'size'), [(2, 9), (2, 7), (3, 13), (4, 21), (5, 11), (6, 61)]
)
def test_against_loops(ratio: int, size: int) -> None:
    rows = -(-size // ratio) + 3
    image, cube = images(ratio, rows, rows + 2)
    expected = reference(image, cube, size)
    for loss in (MTFSpectralLoss(size=size), MTFSpectralLoss(0.3, ratio, size)):
        assert loss(image, cube).item() == pytest.approx(expected, abs=1e-7)


def test_masks() -> None:
    image, cube = images(4, 9, 11)
    valid = torch.rand(2, 9, 11, generator=torch.Generator().manual_seed(0)) < 0.7
    expected = reference(image, cube, 13, valid)
    dirty = cube.masked_fill(~valid[:, None], torch.nan)
    image.requires_grad_()
    loss = MTFSpectralLoss(size=13)
    found = loss(image, dirty, valid)
    assert found.item() == pytest.approx(expected, abs=1e-7)
    (slope,) = torch.autograd.grad(found, image)
    assert slope.isfinite().all()
    nothing = loss(image, dirty, torch.zeros_like(valid))
    assert nothing.item() == 0
    (slope,) = torch.autograd.grad(nothing, image)
    assert not slope.any()


def test_gradient_and_precision() -> None:
    image, cube = images(2, 5, 6, 1)
    image.requires_grad_()
    loss = MTFSpectralLoss(size=5)
    assert torch.autograd.gradcheck(lambda x: loss(x, cube), image)
    single = loss(image.detach().float(), cube.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(loss(image, cube).item(), rel=1e-5)
    half = loss(image.detach().bfloat16(), cube.float())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(single.item(), rel=0.02)


def test_gain_of_each_band() -> None:
    image, cube = images(4, 9, 11)
    found = MTFSpectralLoss(torch.tensor([0.2, 0.4]), size=13)(image, cube)
    each = [
        MTFSpectralLoss(gain, size=13)(image[:, i, None], cube[:, i, None])
        for i, gain in enumerate((0.2, 0.4))
    ]
    torch.testing.assert_close(found, sum(each) / 2, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda x, y: MTFSpectralLoss(size=5)(x[:, :1], y), 'whole number r'),
        (lambda x, y: MTFSpectralLoss(size=5)(x[..., 1:], y), 'whole number r'),
        (lambda x, y: MTFSpectralLoss(size=5)(y, y), 'whole number r'),
        (lambda x, y: MTFSpectralLoss(ratio=3, size=5)(x, y), 'have the ratio 3'),
        (
            lambda x, y: MTFSpectralLoss(size=5)(x, y, torch.ones(2, 3)),
            'valid of shape',
        ),
    ],
)
def test_shapes_are_checked(call: Any, message: str) -> None:
    with pytest.raises(BandMismatchError, match=message):
        call(*images(4, 5, 5))


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: MTFSpectralLoss(size=40), 'odd, positive size'),
        (lambda: MTFSpectralLoss(ratio=1), 'number of 2 or more'),
        (lambda: MTFSpectralLoss()(*images(4, 5, 5)), 'at least 61 rows'),
    ],
)
def test_options_are_checked(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
