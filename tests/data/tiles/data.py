# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small EnMAP tiles with labels, as in a folder of training data.

Run as a script to look at them: ``python tests/data/tiles/data.py FOLDER``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

ROOT = Path(__file__).parents[3]
TABLE = ROOT / 'torchgeo_hsi' / 'physics' / 'sensors' / 'enmap.csv'

SIZE = 16
WEST, NORTH, PIXEL = 366000.0, 5810000.0, 30.0
#: Tiles by name: column and row in the grid of tiles.
TILES = {'a': (0, 0), 'b': (1, 0), 'c': (3, 1), 'd': (5, 2)}
#: Codes of the three classes in the label maps; 0 is unlabelled.
CODES = (1, 4, 7)


def wavelengths() -> np.ndarray:
    """Read the 224 nominal centers in nm, in the order of wavelength."""
    with TABLE.open(encoding='utf-8') as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith('#')))
    column = next(name for name in rows[0] if name.startswith('wavelength'))
    return np.sort(np.array([float(row[column]) for row in rows]))


def holes(name: str) -> np.ndarray:
    """Return where a tile has no data."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    if name == 'b':
        mask[2:6, 3:9] = True
    return mask


def make_tiles(
    root: Path, nodata: float = -32768, empty: str | None = None
) -> tuple[Path, Path]:
    """Write the tiles and their labels.

    Args:
        root: Folder to write to.
        nodata: Number in pixels without data.
        empty: Tile in which no pixel has data.

    Returns:
        Folders of the images and of the labels.
    """
    rng = np.random.default_rng(0)
    wavelength = wavelengths()
    shapes = np.stack(
        [1500 + 1000 * k + 800 * np.sin(wavelength / (150 + 60 * k)) for k in range(3)]
    )
    images, labels = root / 'images', root / 'labels'
    images.mkdir(parents=True)
    labels.mkdir()
    for name, (column, row) in TILES.items():
        truth = np.kron(rng.integers(0, 3, (4, 4)), np.ones((4, 4), dtype=int))
        cube = shapes[truth].transpose(2, 0, 1)
        cube = (cube + rng.normal(0, 60, cube.shape)).astype(np.float32)
        gone = np.ones_like(holes(name)) if name == empty else holes(name)
        cube[:, gone] = nodata
        codes = np.array(CODES)[truth].astype(np.float32)
        codes[rng.random(codes.shape) < 0.2] = 0
        left, top = WEST + column * SIZE * PIXEL, NORTH - row * SIZE * PIXEL
        profile = {
            'driver': 'GTiff',
            'width': SIZE,
            'height': SIZE,
            'crs': 'EPSG:32633',
            'transform': Affine(PIXEL, 0, left, 0, -PIXEL, top),
            'dtype': 'float32',
        }
        with rasterio.open(
            images / f'tile_{name}.tif', 'w', count=224, nodata=nodata, **profile
        ) as dst:
            dst.write(cube)
            dst.update_tags(start_time='2022-07-24T10:45:26')
            for i, center in enumerate(wavelength):
                dst.update_tags(
                    i + 1,
                    wavelength=center,
                    fwhm=8.0,
                    wavelength_units='Nanometers',
                    bbl=1,
                )
        with rasterio.open(labels / f'tile_{name}.tif', 'w', count=1, **profile) as dst:
            dst.write(codes, 1)
    return images, labels


if __name__ == '__main__':
    make_tiles(Path(sys.argv[1]))
