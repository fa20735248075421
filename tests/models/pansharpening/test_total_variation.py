# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening by total variation."""

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import ergas, golden_scene, rmse
from models.pansharpening.variational_cases import Array, draw, scene
from torch import Tensor
from torch.nn import functional as F

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models.pansharpening.variational import TotalVariation
from torchgeo_hsi.models.pansharpening.variational._differences import differences
from torchgeo_hsi.models.pansharpening.variational.total_variation import bilinear_down


def published_tv(cube: Array, pan: Array, steps: int, plane: int) -> Array:
    """Take steps as published, in loops over bands."""
    bands, height, width = cube.shape

    def resize(image: Array, size: tuple[int, int]) -> Array:
        tensor = torch.from_numpy(image)[:, None]
        small = size[0] < image.shape[1]
        done = F.interpolate(tensor, size=size, mode='bilinear', antialias=small)
        return done[:, 0].numpy()

    low = resize(pan[None], (height, width))[0]
    weights = np.array([(band * low).sum() / (low * low).sum() for band in cube])
    weights /= weights.sum()
    x = np.zeros((bands, *pan.shape))
    z = np.zeros((2 * bands, *pan.shape))

    def gradient(image: Array) -> Array:
        found = np.zeros((2 * bands, *pan.shape))
        found[:bands, :, :-1] = image[:, :, 1:] - image[:, :, :-1]
        found[bands:, :-1] = image[:, 1:] - image[:, :-1]
        return found

    def divergence(dual: Array) -> Array:
        found = np.zeros((bands, *pan.shape))
        for band in range(bands):
            right, below = dual[band], dual[plane + band]
            for row in range(pan.shape[0]):
                for col in range(pan.shape[1]):
                    if col < pan.shape[1] - 1:
                        found[band, row, col] -= right[row, col]
                        found[band, row, col + 1] += right[row, col]
                    if row < pan.shape[0] - 1:
                        found[band, row, col] -= below[row, col]
                        found[band, row + 1, col] += below[row, col]
        return found

    for _ in range(steps):
        b = x + resize(cube - resize(x, (height, width)), pan.shape) / 0.75
        b += weights[:, None, None] * (pan - np.tensordot(weights, x, 1)) / 0.75
        slopes = gradient(x)
        length = np.sqrt(slopes[:bands] ** 2 + slopes[bands:] ** 2)
        share = 2 * 0.75 / 1e-3 * np.concatenate([length, length]) + 8
        z = (8 * z + gradient(b - divergence(z))) / share
        x = b - divergence(z)
    return x


def test_published_total_variation() -> None:
    _, cube, pan = scene(6, 4, 3, 3)
    # small numbers, so that the total variation counts
    cube, pan = cube / 1e5, pan / 1e5
    found = TotalVariation(iterations=4, as_published=True)(cube, pan)[0].numpy()
    wanted = published_tv(cube[0].numpy(), pan[0, 0].numpy(), 4, plane=4)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    right = published_tv(cube[0].numpy(), pan[0, 0].numpy(), 4, plane=6)
    assert np.abs(found - right).max() > 1e-5


def objective(x: Tensor, cube: Tensor, pan: Tensor, ratio: int, weight: float) -> float:
    weights = torch.full((cube.shape[1],), 1 / cube.shape[1]).to(x)
    misfit = (cube - bilinear_down(x, ratio)).square().sum() * ratio**2
    misfit += (pan - torch.einsum('bchw,c->bhw', x, weights)[:, None]).square().sum()
    across, down = differences(x)
    return float(misfit + weight * (across.square() + down.square()).sqrt().sum())


@pytest.mark.parametrize('ratio', [2, 6])
def test_total_variation_minimizes(ratio: int) -> None:
    _, cube, pan = scene(3, 6, 6, ratio)
    cube, pan = cube / 1e4, pan / 1e4
    model = TotalVariation(weight=0.02, iterations=2000, pan_weights=[1 / 3] * 3)
    best = model(cube, pan)
    least = objective(best, cube, pan, ratio, 0.02)
    for seed in range(8):
        step = draw(*best.shape, seed=seed) - 0.5
        for size in (1e-3, 1e-2):
            other = objective(best + size * step, cube, pan, ratio, 0.02)
            smooth = F.avg_pool2d(step, 5, 1, 2)
            wide = objective(best + size * smooth, cube, pan, ratio, 0.02)
            assert min(other, wide) > least
    values = []
    for count in (2, 10, 50):
        model.iterations = count
        values.append(objective(model(cube, pan), cube, pan, ratio, 0.02))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1.1 * least


def test_more_weight_means_less_variation() -> None:
    _, cube, pan = scene(4, 8, 8, 3)

    def variation(weight: float) -> float:
        across, down = differences(TotalVariation(weight=weight)(cube, pan))
        return float((across.square() + down.square()).sqrt().sum())

    values = [variation(weight) for weight in (0.0, 1e-3, 100.0, 1000.0)]
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert values[1] > values[2] > values[3]


def test_total_variation_of_golden_scene() -> None:
    golden = golden_scene(32)
    cube, pan, truth = (golden.batch(x).float() for x in ('lr', 'pan', 'gt'))
    bilinear = TotalVariation()(cube, pan)
    # the interpolated cube has 0.9097
    assert ergas(bilinear, truth) < 0.34


def test_blur_of_the_sensor_is_better() -> None:
    fine, cube, pan = scene(8, 16, 16, 6)
    errors = [
        rmse(TotalVariation(blur=b)(cube, pan), fine) for b in ('bilinear', 'mtf')
    ]
    assert errors[1] < 0.6 * errors[0]


def test_published_total_variation_of_golden_scene() -> None:
    golden = golden_scene(159)
    cube, pan, truth = (golden.batch(x).float() for x in ('lr', 'pan', 'gt'))
    # the weights of the PAN were fixed numbers from other scenes
    found = TotalVariation(as_published=True)(cube, pan)
    assert rmse(found, truth) == pytest.approx(342.0543, rel=0.02)
    assert ergas(found, truth) == pytest.approx(0.582171, rel=0.01)


def test_weights_of_the_pan() -> None:
    _, cube, pan = scene(4, 6, 6, 3)
    dark = torch.cat([cube, torch.zeros_like(cube[:, :1])], 1)
    found = TotalVariation(iterations=3)(dark, pan)
    assert found[:, -1].abs().max() == 0
    only = torch.tensor([1.0, 0.0, 0.0, 0.0])
    first = TotalVariation(iterations=5, weight=0.0, pan_weights=only)(cube, pan)
    other = TotalVariation(iterations=5, weight=0.0, pan_weights=only)(cube, pan + 99)
    assert (other - first)[:, 0].abs().min() > 1
    assert (other - first)[:, 1:].abs().max() == 0
    with pytest.raises(BandMismatchError, match='each of 4 bands'):
        TotalVariation(pan_weights=[0.5, 0.5])(cube, pan)


def test_single_band_does_not_diverge() -> None:
    # the published step is too long where one band is the PAN
    fine, cube, pan = scene(1, 8, 8, 3)
    found = TotalVariation(blur='mtf')(cube, pan)
    assert rmse(found, fine) < 0.05 * rmse(fine, fine.mean())
