# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files in, arrays out: readers of sensor products and writers of cubes."""

from .base import CubeInfo, CubeReader
from .cog import CubeWriter, write_cog
from .enmap import EnMAPL2AReader
from .envi import ENVIReader
from .geotiff import GeoTIFFReader
from .mat import MatReader
from .netcdf import NetCDFReader
from .open import open_cube, read_array

__all__ = (
    'CubeInfo',
    'CubeReader',
    'CubeWriter',
    'ENVIReader',
    'EnMAPL2AReader',
    'GeoTIFFReader',
    'MatReader',
    'NetCDFReader',
    'open_cube',
    'read_array',
    'write_cog',
)
