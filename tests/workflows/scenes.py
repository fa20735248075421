# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small scenes of fields, for the tests of the workflows."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.physics import BandSet

BANDS, ROWS, COLUMNS, FIELD = 12, 60, 48, 12
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)
CRS = 'EPSG:32633'
NAMES, COLORS = ('water', 'soil', 'wood'), ('#0072b2', '#e69f00', '#009e73')
CENTERS = np.linspace(0.45, 2.2, BANDS)


def fields(rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Lay out fields of three classes as on a chess board."""
    r, c = np.mgrid[:rows, :columns] // FIELD
    return (r + c) % 3


def spectra(classes: np.ndarray, noise: float = 150, seed: int = 0) -> np.ndarray:
    """Give each class a spectrum of its own, with noise."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 1, BANDS)
    library = np.stack([400 + 0 * x, 1000 + 2500 * x, 800 + 2500 * (x > 0.4)])
    cube = np.moveaxis(library[classes], -1, 0)
    return (cube + noise * random.standard_normal(cube.shape)).round().astype('int16')


def make_scene(**changes: Any) -> LabelledScene:
    """Make a scene, the outermost pixels of whose fields have no label."""
    truth = fields()
    valid = np.ones(truth.shape, dtype=bool)
    valid[:5, :7] = False
    r, c = np.mgrid[:ROWS, :COLUMNS] % FIELD
    known = valid & (np.minimum(r, c) > 0) & (np.maximum(r, c) < FIELD - 1)
    image = spectra(truth)
    image[:, ~valid] = -9999
    words = {
        'image': image,
        'valid': valid,
        'labels': np.where(known, truth, -1),
        'class_names': NAMES,
        'class_colors': COLORS,
        'bands': BandSet(CENTERS, np.full(BANDS, 0.02)),
        'crs': CRS,
        'transform': PLACE,
        'name': 'fields',
    }
    return LabelledScene(**{**words, **changes})


def write_scene(folder: Path, codes: tuple[int, ...] = (2, 5, 9)) -> tuple[Path, Path]:
    """Write the scene and a label map, whose codes are these."""
    scene = make_scene()
    words = {'crs': CRS, 'transform': PLACE}
    write_cog(
        folder / 'scene.tif', scene.image, bands=scene.bands, nodata=-9999, **words
    )
    labels = np.where(scene.labels < 0, 0, np.array(codes)[scene.labels])
    with rasterio.open(
        folder / 'labels.tif',
        'w',
        driver='GTiff',
        height=ROWS,
        width=COLUMNS,
        count=1,
        dtype='uint8',
        nodata=0,
        **words,
    ) as dst:
        dst.write(labels.astype('uint8'), 1)
    return folder / 'scene.tif', folder / 'labels.tif'
