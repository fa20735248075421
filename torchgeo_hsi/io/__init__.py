# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files in, arrays out: readers of sensor products and writers of cubes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .base import CubeInfo, CubeReader
from .cog import CubeWriter, write_cog
from .desis import DESISL2AReader
from .emit import EMITL2AReader
from .enmap import EnMAPL2AReader
from .enmap_layers import ProductLayer
from .enmap_writer import EnMAPL2AWriter, write_enmap_l2a
from .envi import ENVIReader
from .geotiff import GeoTIFFReader
from .mat import MatReader
from .netcdf import NetCDFReader
from .open import open_cube, read_array
from .prisma import PRISMAL2DReader, PRISMAReader
from .statistics_file import read_statistics_file, write_statistics_file
from .store import (
    FieldSpec,
    ItemTable,
    StoredSceneReader,
    StoreReader,
    StoreSpec,
    create_store,
    done_shards,
    finish_store,
    is_store,
    read_spec,
    reopen_store,
    store_kind,
    verify_store,
    write_shard,
    write_stored_scene,
)
from .tiff import TIFFInfo, read_tiff, read_tiff_float, tiff_info, to_float

if TYPE_CHECKING:
    from .simulated import simulate_enmap

__all__ = (
    'CubeInfo',
    'CubeReader',
    'CubeWriter',
    'DESISL2AReader',
    'EMITL2AReader',
    'ENVIReader',
    'EnMAPL2AReader',
    'EnMAPL2AWriter',
    'FieldSpec',
    'GeoTIFFReader',
    'ItemTable',
    'MatReader',
    'NetCDFReader',
    'PRISMAL2DReader',
    'PRISMAReader',
    'ProductLayer',
    'StoreReader',
    'StoreSpec',
    'StoredSceneReader',
    'TIFFInfo',
    'create_store',
    'done_shards',
    'finish_store',
    'is_store',
    'open_cube',
    'read_array',
    'read_spec',
    'read_statistics_file',
    'read_tiff',
    'read_tiff_float',
    'reopen_store',
    'simulate_enmap',
    'store_kind',
    'tiff_info',
    'to_float',
    'verify_store',
    'write_cog',
    'write_enmap_l2a',
    'write_shard',
    'write_statistics_file',
    'write_stored_scene',
)


def __getattr__(name: str) -> Any:
    """Import the simulator when it is used: its spectra take longer than all else."""
    if name != 'simulate_enmap':
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return import_module(f'{__name__}.simulated').simulate_enmap
