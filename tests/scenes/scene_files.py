# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small scenes, and networks of which one knows what they do."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from torch import Tensor, nn

from torchgeo_hsi.io import write_cog
from torchgeo_hsi.layers import SceneModel, ScenePool
from torchgeo_hsi.physics import BandSet

NODATA = -32768


BANDS, HEIGHT, WIDTH = 5, 150, 130


PLACE = Affine(30, 0, 365055, 0, -30, 5809965)


class Smooth(nn.Module):
    """Box mean of 5 x 5 pixels: two rows and columns of margin make tiles exact."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(image.clone())
        padded = nn.functional.pad(image, (2, 2, 2, 2), mode='replicate')
        return nn.functional.avg_pool2d(padded, 5, 1)


class Identity(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image


class Centered(SceneModel):
    """Takes the mean of the scene away."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.pool = ScenePool()

    def forward(self, image: Tensor) -> Tensor:
        return image - self.pool(image)[..., None, None]


def cube(dtype: str = 'int16', seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).uniform(100, 6000, (BANDS, HEIGHT, WIDTH))
    return values.astype(dtype)


def write(path: Path, values: NDArray[Any], nodata: float | None = NODATA) -> Path:
    bands = BandSet(
        np.linspace(0.45, 2.3, len(values)),
        np.full(len(values), 0.01),
        [f'B{i + 1}' for i in range(len(values))],
    )
    return write_cog(path, values, 'EPSG:32633', PLACE, nodata, bands=bands)


def stored(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as src:
        values: NDArray[Any] = src.read()
    return values
