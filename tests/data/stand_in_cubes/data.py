# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small cubes with the names of the real ones that shipped weights are trained with."""

from pathlib import Path

import numpy as np
import rasterio
import scipy.io


def write_stand_ins(folder: Path) -> None:
    """Write files with 30 bands or a few more into ``data`` of a folder."""
    rng = np.random.default_rng(0)
    for kind in ('aviris', 'enmap'):
        (folder / 'data' / kind).mkdir(parents=True, exist_ok=True)
    aviris = folder / 'data' / 'aviris'
    for scene in ('abu-urban-1', 'abu-urban-4', 'abu-airport-3'):
        cube = rng.integers(0, 3000, (24, 24, 34)).astype(np.int16)
        scipy.io.savemat(aviris / f'{scene}.mat', {'data': cube})
    columns = rng.integers(0, 3000, (30, 10_000)).astype(np.uint16)
    scipy.io.savemat(aviris / 'jasper_ridge.mat', {'Y': columns})
    profile = {'driver': 'GTiff', 'width': 24, 'height': 24, 'count': 30}
    for tile in ('0_0', '96_0', '128_128'):
        path = folder / 'data' / 'enmap' / f'potsdam_tile_{tile}.tif'
        with rasterio.open(path, 'w', dtype='float32', **profile) as file:
            file.write(rng.random((30, 24, 24), np.float32))
