# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small scene with labelled fields, in memory and as files."""

from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.physics import BandSet, get_sensor

NAMES = ('water', 'forest', 'field')
COLORS = ('#0064ff', '#267300', '#e6e600')
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)


def axis(bands: int) -> BandSet:
    """Return neighboring bands of EnMAP."""
    return get_sensor('enmap').bands.select(range(5, 5 + bands))


def make_scene(
    bands: int = 8,
    shape: tuple[int, int] = (60, 52),
    noise: float = 150.0,
    official: bool = False,
    **changes: Any,
) -> LabelledScene:
    """Make fields of 6 x 6 pixels, a fourth of them without a label.

    A corner has no data; what stands there would ruin any statistics.
    """
    rng = np.random.default_rng(0)
    height, width = shape
    fields = rng.integers(-1, len(NAMES), (-(-height // 6), -(-width // 6)))
    labels = np.kron(fields, np.ones((6, 6), dtype=np.int64))[:height, :width]
    spectra = 500 + 3000 * rng.random((len(NAMES) + 1, bands))
    image = spectra[labels + 1] + rng.normal(0, noise, (*shape, bands))
    image = np.moveaxis(image, -1, 0).astype(np.int16)
    valid = np.ones(shape, dtype=bool)
    valid[:5, :7] = False
    image[:, ~valid] = -32768
    labels[~valid] = -1
    masks = {}
    if official:
        left = np.arange(width) < width // 2
        masks = {'train': left & (labels >= 0), 'test': ~left & (labels >= 0)}
    words: dict[str, Any] = {
        'bands': axis(bands),
        'crs': CRS.from_epsg(32633),
        'transform': PLACE,
        'official': masks,
        'name': 'small',
    }
    return LabelledScene(image, valid, labels, NAMES, COLORS, **(words | changes))


def write_scene(folder: Path, scene: LabelledScene) -> tuple[Path, Path]:
    """Write a scene and its labels, 0 where there is none."""
    cube, labels = folder / 'cube.tif', folder / 'labels.tif'
    words = {'crs': 'EPSG:32633', 'transform': PLACE}
    write_cog(cube, scene.image, bands=scene.bands, nodata=-32768, **words)
    write_cog(labels, (scene.labels[None] + 1).astype('uint8'), nodata=0, **words)
    return cube, labels
