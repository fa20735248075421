# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files in, arrays out: readers of sensor products and writers of cubes."""

from .base import CubeInfo, CubeReader
from .cog import CubeWriter, write_cog
from .enmap import EnMAPL2AReader
from .enmap_layers import ProductLayer
from .enmap_writer import EnMAPL2AWriter, write_enmap_l2a
from .envi import ENVIReader
from .geotiff import GeoTIFFReader
from .mat import MatReader
from .netcdf import NetCDFReader
from .open import open_cube, read_array
from .simulated import simulate_enmap
from .tiff import TIFFInfo, read_tiff, read_tiff_float, tiff_info, to_float

__all__ = (
    'CubeInfo',
    'CubeReader',
    'CubeWriter',
    'ENVIReader',
    'EnMAPL2AReader',
    'EnMAPL2AWriter',
    'GeoTIFFReader',
    'MatReader',
    'NetCDFReader',
    'ProductLayer',
    'TIFFInfo',
    'open_cube',
    'read_array',
    'read_tiff',
    'read_tiff_float',
    'simulate_enmap',
    'tiff_info',
    'to_float',
    'write_cog',
    'write_enmap_l2a',
)
