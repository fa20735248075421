# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Plain rasters of any profile, and how they are restored."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from helpers.tiffs import profile_of
from numpy.typing import NDArray
from scenes.scene_files import stored
from torch import Tensor, nn

from torchgeo_hsi.scenes import restore_scene

BANDS, HEIGHT, WIDTH = 5, 40, 36


NODATA = -32768


TILES = {'tile_size': 16, 'overlap': 8}


class Change(nn.Module):
    """Adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def forward(self, image: Tensor) -> Tensor:
        return image + self.number


def cube(dtype: str = 'int16') -> NDArray[Any]:
    values = np.random.default_rng(0).uniform(100, 6000, (BANDS, HEIGHT, WIDTH))
    return values.astype(dtype)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    place = Affine(30, 0, 4e5, 0, -30, 5e6)
    options = {'transform': place, 'photometric': 'minisblack'} | options
    with rasterio.open(path, 'w', **profile_of(values, **options)) as dst:
        dst.write(values)
    return path


def restore(
    source: Path, model: nn.Module | None = None, **options: Any
) -> NDArray[Any]:
    out = source.with_name('out.tif')
    model = nn.Identity() if model is None else model
    restore_scene(model, source, out, overwrite=True, **{**TILES, **options})
    return stored(out)
