# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small scenes with a plume, for the tests of gases."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine

from torchgeo_hsi.io import write_cog
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.physics.gases import get_gas

ROWS, COLUMNS, SUN = 72, 60, 40.0
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)
CRS = 'EPSG:32633'
CENTERS = np.concatenate(
    [np.arange(0.45, 1.3, 0.1), np.arange(1.6, 1.78, 0.02), np.arange(2.06, 2.44, 0.01)]
)
BANDS = BandSet(CENTERS, np.full(len(CENTERS), 0.01))


def truth() -> np.ndarray:
    """Return the enhancement in ppm m: a plume from row 36, column 12."""
    rows, cols = np.mgrid[:ROWS, :COLUMNS]
    along = np.maximum(cols - 12, 0)
    spread = 1.2 + 0.12 * along
    plume = 6_000 / spread * np.exp(-(((rows - 36) / spread) ** 2) / 2)
    return np.where((along > 0) & (along < 40), plume, 0.0)


def ground(seed: int = 0) -> np.ndarray:
    """Return reflectance x 10 000 of fields of two kinds, shape ``(C, H, W)``."""
    random = np.random.default_rng(seed)
    r, c = np.mgrid[:ROWS, :COLUMNS] // 9
    kind = ((r + c) % 2).astype(float)
    soil = 1200 + 1500 * (CENTERS - 0.4)
    leaf = 600 + 3200 * np.exp(-(((CENTERS - 1.0) / 0.45) ** 2))
    fields = 0.8 + 0.4 * random.random((20, 20))[r, c]
    cube = kind * soil[:, None, None] + (1 - kind) * leaf[:, None, None]
    mixed = 1 + 0.03 * random.standard_normal(kind.shape)
    noise = 6 * random.standard_normal(cube.shape)
    return cube * fields * mixed + noise


def write_plume(folder: Path, gas: str = 'methane', **changes: Any) -> Path:
    """Write scene.tif, whose first three rows have no data."""
    plume = torch.from_numpy(truth())
    share = get_gas(gas).band_transmittance(BANDS, plume, sun_zenith=SUN)
    cube = (ground() * share.numpy()).astype('float32')
    cube[:, :3] = -9999
    words: dict[str, Any] = {'nodata': -9999, 'bands': BANDS, 'crs': CRS}
    words |= {'transform': PLACE} | changes
    cube = words.pop('cube', cube)
    write_cog(folder / 'scene.tif', cube, **words)
    return folder / 'scene.tif'
