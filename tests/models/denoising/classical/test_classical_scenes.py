# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes in tiles: the statistics are those of the scene, and seams do not show."""

from importlib import import_module

import pytest
import torch
from models.denoising.classical.painted_fields import NAMES, gain, gaussian, truth
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models import get_model


def tiles(scene: Tensor, size: int) -> list[tuple[slice, slice]]:
    steps = range(0, scene.shape[-1], size)
    return [(slice(i, i + size), slice(j, j + size)) for i in steps for j in steps]


def test_tiles_of_a_projection_are_those_of_the_scene() -> None:
    scene = gaussian(truth())
    model = get_model('svd')
    whole = model(scene)
    for rows, columns in tiles(scene, 16):
        model.observe(scene[..., rows, columns])
    assert not model.is_settled
    model.settle()
    assert model.is_settled
    for rows, columns in tiles(scene, 16):
        tile = model(scene[..., rows, columns])
        torch.testing.assert_close(tile, whole[..., rows, columns])
    model.forget()
    assert not model.is_settled
    assert not torch.allclose(model(scene[..., :16, :16]), whole[..., :16, :16])


@pytest.mark.parametrize('name', NAMES)
def test_invalid_pixels_are_not_observed(name: str) -> None:
    scene = gaussian(truth(20, 24))
    valid = torch.ones(1, 24, 24, dtype=torch.bool)
    valid[..., 12:] = False
    results = []
    for rubbish in (0.0, 100.0):
        model = get_model(name)
        model.observe(torch.where(valid[:, None], scene, rubbish), valid)
        model.settle()
        results.append(model(scene))
    assert torch.equal(*results)


@pytest.mark.parametrize('name', ['hyres', 'fasthyde', 'robust_subspace'])
def test_seams_are_far_below_the_noise(name: str) -> None:
    scene = gaussian(truth(16, 64))
    model = get_model(name)
    model.observe(scene)
    model.settle()
    whole, left = model(scene), model(scene[..., :48])
    inside = (left - whole[..., :48])[..., :24].square().mean().sqrt()
    # the noise was 0.118
    assert inside < 0.005


def test_sample_does_not_depend_on_batches() -> None:
    scene = gaussian(truth(20, 32))
    results = []
    for parts in (1, 4):
        model = get_model('robust_subspace', denoiser='wavelet')
        for part in scene.chunk(parts, 2):
            model.observe(part)
        model.settle()
        results.append(model(scene))
    torch.testing.assert_close(*results, atol=1e-3, rtol=0)


def test_large_scene_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    # the package has a function of the same name
    module = import_module('torchgeo_hsi.models.denoising.classical.robust_subspace')
    monkeypatch.setattr(module, '_SAMPLE', 600)
    clean = truth(20, 64)
    scene = gaussian(clean)
    model = get_model('robust_subspace', denoiser='wavelet')
    for part in scene.chunk(4, 3):
        model.observe(part)
    assert model._sample is not None
    assert model._sample.shape == (20, 600)
    # all parts of the scene are in it
    seen = {tuple(s) for s in model._sample.T.tolist()}
    for part in scene.chunk(4, 3):
        mine = {tuple(s) for s in part[0].flatten(1).T.tolist()}
        assert 100 < len(mine & seen) < 200
    model.settle()
    assert gain(model(scene), scene, clean) > 8


@pytest.mark.parametrize('name', NAMES)
def test_given_noise_in_tiles(name: str) -> None:
    scene = gaussian(truth(20, 24))
    level = torch.full((1, 20), 30.0)
    model = get_model(name)
    alone = model(scene, level)
    model.observe(scene, sigma=level)
    model.settle()
    torch.testing.assert_close(model(scene, level), alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize('name', ['svd', 'robust_subspace'])
def test_mistakes_of_order(name: str) -> None:
    model = get_model(name)
    with pytest.raises(EmptyDataError, match='observed no valid pixel'):
        model.settle()
    model.observe(torch.rand(1, 8, 9, 9), torch.zeros(1, 9, 9, dtype=torch.bool))
    with pytest.raises(EmptyDataError, match='observed no valid pixel'):
        model.settle()
    with pytest.raises(BandMismatchError, match='8 bands, got 7'):
        model.observe(torch.rand(1, 7, 9, 9))
    model.observe(torch.rand(1, 8, 9, 9))
    model.settle()
    with pytest.raises(BandMismatchError, match='8 bands, got 7'):
        model(torch.rand(1, 7, 9, 9))
