# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Parts of an EnMAP product."""

from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from torchgeo_hsi.io.simulated import truth_file
from torchgeo_hsi.physics import BandSet, get_sensor

START = datetime(2024, 5, 6, 10, 11, 12, 345000)

TRANSFORM = Affine(30, 0, 366975, 0, -30, 5805165)

PLACE: tuple[str, Affine, datetime] = ('EPSG:32633', TRANSFORM, START)

HEIGHT, WIDTH = 20, 30

SIZE = 48

PARTS = {
    'METADATA.XML',
    'SPECTRAL_IMAGE.TIF',
    'QL_QUALITY_CLASSES.TIF',
    'QL_QUALITY_CLOUD.TIF',
    'QL_QUALITY_CLOUDSHADOW.TIF',
    'QL_QUALITY_HAZE.TIF',
    'QL_QUALITY_CIRRUS.TIF',
    'QL_QUALITY_SNOW.TIF',
    'QL_QUALITY_TESTFLAGS.TIF',
    'QL_PIXELMASK.TIF',
    'QL_VNIR.TIF',
    'QL_SWIR.TIF',
}


def bands() -> BandSet:
    return get_sensor('enmap').bands


def parts_of(folder: Path) -> set[str]:
    names = [path.name for path in folder.iterdir()]
    stems = {name.partition('Z-')[2].partition('Z-')[2] or name for name in names}
    return {stem.rpartition('Z-')[2] for stem in stems}


def read(folder: Path, part: str) -> np.ndarray:
    file = truth_file(folder, part)
    assert file is not None
    with rasterio.open(file) as src:
        return src.read()
