# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data sets of the tests, and how their files are read."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from torchgeo_hsi import datasets

CLASSES = {
    'enmap_cdl': 'SpectralEarthCDL',
    'enmap_nlcd': 'SpectralEarthNLCD',
    'enmap_corine': 'SpectralEarthCORINE',
    'enmap_eurocrops': 'SpectralEarthEuroCrops',
    'enmap_bdforet': 'SpectralEarthBDForet',
    'enmap_treemap': 'SpectralEarthTreeMap',
    'enmap_bnetd': 'SpectralEarthBNETD',
    'desis_cdl': 'DESISCDL',
    'eo1_cdl': 'EO1CDL',
}


SIZES = (8, 4, 4)


def dataset_of(name: str) -> Any:
    return getattr(datasets, CLASSES[name])


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        array: np.ndarray = src.read()
        return array
