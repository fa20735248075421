# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes for super-resolution."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from datamodules.superresolution.parts import AXIS, BANDS
from PIL import Image
from torch.nn import functional as F

from torchgeo_hsi.io import write_cog


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write smooth cubes of two sizes, and photographs."""
    root = tmp_path_factory.mktemp('cubes')
    rng = np.random.default_rng(0)
    for name, shape in {'a': (40, 32), 'b': (32, 32), 'c': (24, 24)}.items():
        rough = torch.from_numpy(rng.random((1, BANDS, 9, 9)))
        cube = F.interpolate(rough, shape, mode='bicubic')[0].numpy()
        cube = (100 + 2000 * cube.clip(0, 1)).astype('int16')
        words = {'crs': 'EPSG:32633', 'nodata': -999, 'bands': AXIS}
        place = rasterio.Affine(30, 0, 5e5, 0, -30, 5e6)
        write_cog(root / f'{name}.tif', cube, transform=place, **words)
    (root / 'photographs').mkdir()
    for number, size in enumerate(((40, 50), (60, 32))):
        photo = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(photo).save(root / 'photographs' / f'{number}.png')
    return root
