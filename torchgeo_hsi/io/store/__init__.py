# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The training store: sharded, compressed arrays that read almost as fast as raw bytes.

A store is a Zarr version 3 group with one array per field. A chunk is one item, or some
of its bands; a file holds the items of one shard. It is written shard by shard, by any number of
processes, and becomes readable in one step when all shards are there:

1. :func:`create_store` with a :class:`StoreSpec`
2. :func:`write_shard` for each shard that :func:`done_shards` does not name
3. :func:`finish_store`
4. :class:`StoreReader`

:func:`write_stored_scene` and :class:`StoredSceneReader` do the same for one large scene.
"""

from ._folder import is_store, store_kind
from ._shards import done_shards
from .field import FieldSpec
from .finish import finish_store, reopen_store, verify_store
from .items import ItemTable
from .reader import StoreReader
from .scene import StoredSceneReader
from .scene_writer import write_stored_scene
from .spec import StoreSpec
from .write import create_store, read_spec, write_shard

__all__ = (
    'FieldSpec',
    'ItemTable',
    'StoreReader',
    'StoreSpec',
    'StoredSceneReader',
    'create_store',
    'done_shards',
    'finish_store',
    'is_store',
    'read_spec',
    'reopen_store',
    'store_kind',
    'verify_store',
    'write_shard',
    'write_stored_scene',
)
