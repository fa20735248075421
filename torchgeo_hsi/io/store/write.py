# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Writing a store shard by shard."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._typing import PathLike
from ...errors import CorruptFileError, MetadataError, OutputError
from .._files import shorten
from ._blosc import import_blosc
from ._encode import encode_shard
from ._folder import begin_store, is_finished, read_header
from ._layout import field_layout
from ._shards import put_shard
from .items import BROKEN, ItemTable
from .spec import StoreSpec


def create_store(path: PathLike, spec: StoreSpec) -> None:
    """Begin a store; if it was begun or finished before, nothing happens.

    Any number of processes may do so at the same time.

    Args:
        path: Folder of the store.
        spec: What it is to hold.

    Raises:
        OutputError: If the folder holds a store of another specification, or anything
            else, or cannot be written.
        ImportError: If numcodecs is not installed.
    """
    import_blosc()
    layouts = [field_layout(spec, name) for name in sorted(spec.fields)]
    begin_store(Path(path), 'patches', spec.to_json(), spec.shards, layouts)


def read_spec(path: PathLike) -> StoreSpec:
    """Read the specification of a store of patches, finished or not.

    Args:
        path: Folder of the store.

    Returns:
        The specification.

    Raises:
        FileNotFoundError: If there is no store.
        MetadataError: If it is a store of a scene, or of a newer version.
        CorruptFileError: If its metadata are damaged.
    """
    try:
        return StoreSpec.from_json(read_header(Path(path), 'patches')['spec'])
    except (CorruptFileError, MetadataError):
        raise
    except BROKEN as error:
        raise CorruptFileError(
            f'The metadata of the store {path} are damaged '
            f'({shorten(str(error), 200)}). Convert again.'
        ) from error


def write_shard(
    path: PathLike,
    shard: int,
    arrays: Mapping[str, NDArray[Any]],
    items: Sequence[Mapping[str, Any] | None],
    threads: int = 1,
) -> str:
    """Write one shard; a kill at any moment leaves nothing half-written.

    The same content gives the same bytes. A shard that is there already is replaced.

    Args:
        path: Folder of the store.
        shard: Number of the shard, from 0.
        arrays: Array of shape ``(n, ...)`` of each field, where n is the number of
            items of this shard.
        items: What else is known about each item, as :class:`ItemTable` holds it; None
            for an item that could not be read, whose rows of *arrays* are ignored.
        threads: Threads that compress.

    Returns:
        SHA-256 of the shard, as hexadecimal digits.

    Raises:
        ValueError: If arrays or items do not fit the specification of the store.
        IndexError: If there is no such shard.
        OutputError: If the store is finished, or the disk is full; nothing half-written
            is left behind.
        FileNotFoundError: If there is no store.
        ImportError: If numcodecs is not installed.
    """
    root = Path(os.fspath(path))
    spec = read_spec(root)
    if is_finished(root):
        raise OutputError(
            f'{root} is finished. To write shards again, call reopen_store first.'
        )
    _check_arrays(spec, shard, arrays, items)
    table = ItemTable.from_items(items)
    files = {}
    with ThreadPoolExecutor(threads) as executor:
        for name in sorted(spec.fields):
            values = arrays[name]
            if not table.present.all():
                values = values.copy()
                values[~table.present] = 0
            layout = field_layout(spec, name)
            position = (shard, *(0 for _ in layout.shape[1:]))
            files[layout.key(position)] = encode_shard(layout, values, executor)
    return put_shard(root, shard, files, table)


def _check_arrays(
    spec: StoreSpec,
    shard: int,
    arrays: Mapping[str, NDArray[Any]],
    items: Sequence[Mapping[str, Any] | None],
) -> None:
    count = len(spec.shard_range(shard))
    if len(items) != count:
        raise ValueError(f'Expected {count} items in shard {shard}, got {len(items)}.')
    if set(arrays) != set(spec.fields):
        raise ValueError(
            f'Expected the fields {", ".join(sorted(spec.fields))}, got '
            f'{", ".join(sorted(arrays)) or "none"}.'
        )
    for name, field in spec.fields.items():
        found = (np.shape(arrays[name]), np.asarray(arrays[name]).dtype.name)
        if found != ((count, *field.shape), field.dtype):
            raise ValueError(
                f'Expected {name} of shape {(count, *field.shape)} and type '
                f'{field.dtype}, got {found[0]} and {found[1]}.'
            )
