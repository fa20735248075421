# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes with a plume of known gas for the benchmark of retrieval."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray

from torchgeo_hsi.io import open_cube, simulate_enmap, write_cog
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.physics.gases import get_gas
from torchgeo_hsi.physics.simulation import PlumeSource

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

#: Wind in m/s over every plume.
WIND = 3.0

#: Zenith angle of the sun in degrees at Potsdam, 24 July 2022, 10:45 UTC.
SUN = 34.6

#: Rows and columns of sources in the mosaic of Potsdam, where tiles touch downwind.
SITES = ((144, 66), (60, 98), (64, 4), (110, 130))

_NODATA = -32768


class Plume(NamedTuple):
    """A scene with a plume.

    Args:
        path: The scene.
        truth: Enhancement in ppm m, NaN where there is no data.
        source: Row and column of the source.
        options: How the scene is to be read and lit.
    """

    path: Path
    truth: NDArray[np.float32]
    source: tuple[int, int]
    options: dict[str, float]


def simulated(folder: Path, rate: float, seed: int, size: int) -> Plume:
    """Simulate an EnMAP scene with a methane plume from its middle, or without."""
    path = folder / f'simulated_{size}_{seed}_{rate:g}'
    source = PlumeSource('methane', rate or 1.0, WIND, position=(0.4, 0.5))
    if not path.exists():
        plume = source if rate else None
        simulate_enmap(path, size=size, seed=seed, cloud_cover=0.05, plume=plume)
    truth = source.enhancement(size, size) if rate else np.zeros((size, size), 'f4')
    with open_cube(path) as reader:
        _, valid = reader.read([180])
        valid = valid[0] & ~reader.read_quality(['cloud', 'cloudshadow'])
    row, column = round(0.5 * size), round(0.4 * size)
    return Plume(path, np.where(valid, truth, np.nan), (row, column), {})


def potsdam(folder: Path, rate: float, site: int) -> Plume:
    """Put a methane plume into the tiles of Potsdam, or write them as they are."""
    image, valid, bands = mosaic()
    height, width = valid.shape
    row, column = SITES[site]
    truth = np.zeros((height, width), dtype=np.float32)
    if rate:
        place = ((column + 0.5) / width, (row + 0.5) / height)
        truth = PlumeSource('methane', rate, WIND, position=place).enhancement(
            height, width
        )
        share = get_gas('methane').band_transmittance(
            bands, torch.from_numpy(truth), sun_zenith=SUN
        )
        # as a product stores it
        changed = np.rint(image * share.numpy())
        image = np.where(image == _NODATA, image, changed).astype(np.float32)
    path = folder / f'potsdam_{rate:g}_{site}.tif'
    if not path.exists():
        words = {'crs': 'EPSG:32633', 'transform': Affine(30, 0, 0, 0, -30, 0)}
        write_cog(path, image, nodata=_NODATA, bands=bands, **words)
    options = {'sun_zenith': SUN}
    return Plume(path, np.where(valid, truth, np.nan), (row, column), options)


def mosaic() -> tuple[NDArray[np.float32], NDArray[np.bool_], BandSet]:
    """Put all tiles at their places."""
    tiles = sorted((DATA / 'enmap_potsdam' / 'images').glob('*.tif'))
    with open_cube(tiles[0]) as reader:
        bands = reader.info.bands
    assert bands is not None
    image = np.full((len(bands), 160, 192), _NODATA, dtype=np.float32)
    for tile in tiles:
        row, column = map(int, tile.stem.split('_')[-2:])
        with rasterio.open(tile) as src:
            image[:, row - 64 : row - 32, column : column + 32] = src.read()
    # water without any light in the short-wave infrared is no background
    valid = (image[183:] > 0).any(0) & (image[183:] != _NODATA).all(0)
    return image, valid, bands


def has_potsdam() -> bool:
    """Whether the real tiles are there."""
    return (DATA / 'enmap_potsdam' / 'images').is_dir()
