# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A scene in tiles is the scene in one piece."""

import pytest
import torch
from models.pansharpening.classical_cases import (
    METHODS,
    Scene,
    cut,
    random_scene,
    sharpen_tiles,
)

from torchgeo_hsi.models.pansharpening import MeasuringPansharpener
from torchgeo_hsi.models.pansharpening.component_substitution import BDSD, BDSDPC, GSA


@pytest.mark.parametrize('method', METHODS)
def test_tiles_are_the_whole(method: type[MeasuringPansharpener]) -> None:
    # longer than a tile with its margins, which then end within the scene
    scene = random_scene(3, 112, 6, seed=7)
    model = method()
    tiles = list(cut(scene, (19, 4), model.context, model.alignment))
    assert len(tiles) == 12
    assert tiles[0].cube.shape[2] < 112
    torch.testing.assert_close(
        sharpen_tiles(model, scene, (19, 4)), model(*scene), rtol=1e-7, atol=1e-6
    )


@pytest.mark.parametrize('ratio', [2, 3, 4])
@pytest.mark.parametrize('method', METHODS)
def test_other_ratios(method: type[MeasuringPansharpener], ratio: int) -> None:
    scene = random_scene(3, 90, 4, seed=8, ratio=ratio)
    torch.testing.assert_close(
        sharpen_tiles(method(), scene, (9, 4)), method()(*scene), rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize('method', METHODS)
def test_single_precision(method: type[MeasuringPansharpener]) -> None:
    double = random_scene(5, 30, 24, seed=9)
    scene = Scene(double.cube.float(), double.pan.float())
    expected = method()(*double)
    result = sharpen_tiles(method(), scene, (11, 9))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize('method', METHODS)
def test_tiles_come_in_batches(method: type[MeasuringPansharpener]) -> None:
    pairs = random_scene(3, 9, 8, seed=3, batch=2)
    alone, together = method(), method()
    for _ in range(alone.passes):
        for cube, pan in zip(*pairs, strict=True):
            alone.observe(cube[None], pan[None])
        alone.settle()
        together.observe(*pairs)
        together.settle()
    expected = [alone(c[None], p[None]) for c, p in zip(*pairs, strict=True)]
    torch.testing.assert_close(
        together(*pairs), torch.cat(expected), rtol=1e-7, atol=1e-6
    )


@pytest.mark.parametrize('method', [GSA, BDSD])
def test_statistics_are_those_of_the_scene(method: type[MeasuringPansharpener]) -> None:
    scene, other = random_scene(3, 10, 8, seed=1), random_scene(3, 10, 8, seed=2)
    model = method()
    for _ in range(model.passes):
        model.observe(*other)
        model.settle()
    settled = model(*scene)
    model.forget()
    assert not torch.allclose(settled, model(*scene), rtol=1e-4)


def test_margins_of_reduced_resolution_are_wider() -> None:
    assert BDSDPC.context >= GSA.context + 20
