# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""SpectralEarth's downstream data modules, and what is in the files."""

from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi import datamodules
from torchgeo_hsi.datamodules import SpectralEarthDownstreamDataModule

#: Module, data set, batch for each device, smallest crop, classes, bands: as published.
OFFICIAL = [
    ('SpectralEarthCDLDataModule', 'enmap_cdl', 8, 0.2, 14, 202),
    ('SpectralEarthNLCDDataModule', 'enmap_nlcd', 16, 0.2, 15, 202),
    ('SpectralEarthEuroCropsDataModule', 'enmap_eurocrops', 8, 0.4, 15, 202),
    ('SpectralEarthBDForetDataModule', 'enmap_bdforet', 8, 0.4, 12, 202),
    ('SpectralEarthTreeMapDataModule', 'enmap_treemap', 16, 0.4, 24, 202),
    ('SpectralEarthBNETDDataModule', 'enmap_bnetd', 16, 0.4, 10, 202),
    ('DESISCDLDataModule', 'desis_cdl', 8, 0.4, 14, 235),
    ('EO1CDLDataModule', 'eo1_cdl', 8, 0.4, 14, 198),
    ('SpectralEarthCORINEDataModule', 'enmap_corine', 32, 0.6, 19, 202),
]

#: Patches of each split; the first one, with the hole, is for validation.
LISTS = {'train': range(1, 9), 'val': (0, 9, 10, 11), 'test': range(12, 16)}

SCENES = 10

every = pytest.mark.parametrize('row', OFFICIAL, ids=[row[1] for row in OFFICIAL])


def make(name: str, root: Path, **options: Any) -> SpectralEarthDownstreamDataModule:
    given = {'batch_size': 4, 'image_size': 16} | options
    module: SpectralEarthDownstreamDataModule = getattr(datamodules, name)(
        str(root), **given
    )
    return module
