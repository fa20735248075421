# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes and tiles for tests of the classical methods of pansharpening."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchgeo_hsi.models.pansharpening import MeasuringPansharpener
from torchgeo_hsi.models.pansharpening.component_substitution import (
    BDSD,
    BDSDPC,
    BTH,
    GS,
    GSA,
    PRACS,
    Brovey,
)
from torchgeo_hsi.models.pansharpening.multiresolution import (
    AWLP,
    MF,
    MTFGLP,
    MTFGLPCBD,
    MTFGLPFS,
    MTFGLPHPM,
    MTFGLPHPMH,
    MTFGLPHPMR,
)
from torchgeo_hsi.models.pansharpening.pair import Margins

METHODS: tuple[type[MeasuringPansharpener], ...] = (
    Brovey,
    GS,
    GSA,
    BTH,
    BDSD,
    BDSDPC,
    PRACS,
    AWLP,
    MF,
    MTFGLP,
    MTFGLPFS,
    MTFGLPHPM,
    MTFGLPHPMH,
    MTFGLPHPMR,
    MTFGLPCBD,
)


class Scene(NamedTuple):
    """Cube and PAN as batches."""

    cube: Tensor
    pan: Tensor


def random_scene(
    bands: int,
    height: int,
    width: int,
    *,
    seed: int = 0,
    ratio: int = 6,
    batch: int = 1,
) -> Scene:
    """Make images with structure on all scales, positive, and bands that differ."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, cols = ratio * height, ratio * width
    sources = noise(batch, 4, rows, cols)
    for _ in range(3):
        for axis in (2, 3):
            sources = (sources + sources.roll(1, axis) + sources.roll(2, axis)) / 2
    sources = sources / sources.std()
    mixture = noise(batch, bands, 4)
    truth = (mixture.abs() @ sources.flatten(2)).view(batch, bands, rows, cols)
    truth = 1000 + 100 * torch.arange(bands)[:, None, None] + 90 * truth
    truth = truth.clamp_min(30)
    pan = truth[:, : max(1, bands // 2)].mean(1, keepdim=True)
    cube = truth.view(batch, bands, height, ratio, width, ratio).mean((3, 5))
    return Scene(cube + noise(*cube.shape), pan + noise(*pan.shape))


class Tile(NamedTuple):
    """A part of a scene, with its margins and its place in the result."""

    cube: Tensor
    pan: Tensor
    margins: Margins
    place: tuple[slice, slice]


def cut(
    scene: Scene, size: tuple[int, int], context: int, align: int
) -> Iterator[Tile]:
    """Cut tiles with margins that end at the border of the scene."""
    ratio = scene.pan.shape[-1] // scene.cube.shape[-1]

    def windows(length: int, step: int) -> Iterator[tuple[int, int, int, int]]:
        for start in range(0, length, step):
            end = min(start + step, length)
            first = max(0, start - context) // align * align
            yield first, start, end, min(length, end + context)

    for top, row, row_end, bottom in windows(scene.cube.shape[2], size[0]):
        for left, col, col_end, right in windows(scene.cube.shape[3], size[1]):
            margins = Margins(row - top, bottom - row_end, col - left, right - col_end)
            yield Tile(
                scene.cube[:, :, top:bottom, left:right],
                scene.pan[
                    :, :, ratio * top : ratio * bottom, ratio * left : ratio * right
                ],
                margins,
                (
                    slice(ratio * row, ratio * row_end),
                    slice(ratio * col, ratio * col_end),
                ),
            )


def sharpen_tiles(
    method: MeasuringPansharpener, scene: Scene, size: tuple[int, int]
) -> Tensor:
    """Sharpen a scene in tiles."""
    tiles = list(cut(scene, size, method.context, method.alignment))
    for _ in range(method.passes):
        for tile in tiles:
            method.observe(tile.cube, tile.pan, margins=tile.margins)
        method.settle()
    bands = scene.cube.shape[1]
    result = scene.pan.new_full((1, bands, *scene.pan.shape[2:]), torch.nan)
    for tile in tiles:
        result[(..., *tile.place)] = method(tile.cube, tile.pan, margins=tile.margins)
    method.forget()
    return result
