# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The shards of a store that is being written, and their records."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._typing import PathLike
from ...errors import OutputError
from .._scratch import ScratchFolder
from .._whole import free_space
from ._folder import (
    BROKEN,
    RECORDS,
    SCRATCH,
    dump,
    is_finished,
    is_store,
    read_checksums,
)
from .items import ItemTable


def put_shard(
    root: Path, shard: int, files: Mapping[str, bytes], table: ItemTable
) -> str:
    """Move the files of a shard to their place, and record it last.

    Args:
        root: Folder of the store.
        shard: Number of the shard.
        files: Content of each file by its path within the store.
        table: Its items.

    Returns:
        SHA-256 of the shard.

    Raises:
        OutputError: If it cannot be written.
    """
    sums = {
        name: [len(content), hashlib.sha256(content).hexdigest()]
        for name, content in sorted(files.items())
    }
    digest = shard_digest(sums, table)
    try:
        scratch = ScratchFolder(root / SCRATCH / f'{shard:08d}')
        try:
            for number, (name, content) in enumerate(files.items()):
                part = scratch.path / str(number)
                part.write_bytes(content)
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                part.replace(root / name)
            part = scratch.path / 'record'
            part.write_bytes(dump_record(digest, sums, table))
            target = record_path(root, shard)
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        finally:
            scratch.remove()
    except OSError as error:
        raise OutputError(
            f'Shard {shard} of {root} could not be written: {error}. '
            f'{free_space(root)}; free some space or choose another folder. Nothing '
            'half-written was left behind.'
        ) from error
    return digest


def shard_digest(sums: Mapping[str, Sequence[Any]], table: ItemTable) -> str:
    """Return the checksum of a shard from those of its files."""
    listing = ''.join(f'{name} {sums[name][1]}\n' for name in sorted(sums))
    return hashlib.sha256(f'{listing}{table.digest()}'.encode()).hexdigest()


def record_path(root: Path, shard: int) -> Path:
    """Return the record of a shard."""
    return root / RECORDS / f'{shard:08d}.json'


def dump_record(digest: str, sums: Mapping[str, Any], table: ItemTable) -> bytes:
    """Write the record of a shard."""
    return dump({'sha256': digest, 'files': dict(sums), 'items': list(table)})


def read_records(root: Path) -> dict[int, dict[str, Any]]:
    """Read the records of the shards that are complete.

    Args:
        root: Folder of a store that is not finished.

    Returns:
        Record of each shard by its number, in order.
    """
    found = {}
    for file in sorted((root / RECORDS).glob('*.json')):
        try:
            record = json.loads(file.read_bytes())
            sizes = {name: size for name, (size, _) in record['files'].items()}
            number = int(file.stem)
            table = ItemTable.from_items(record['items'])
            whole = shard_digest(record['files'], table) == record['sha256']
        except (*BROKEN, OSError):
            # cut by a power failure, as below
            continue
        if whole and all(_size(root / name) == size for name, size in sizes.items()):
            found[number] = record
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def done_shards(path: PathLike) -> dict[int, str]:
    """List the shards that are complete.

    Args:
        path: Folder of the store, finished or not.

    Returns:
        SHA-256 of each complete shard by its number, in order.

    Raises:
        FileNotFoundError: If there is no store.
        CorruptFileError: If its checksums are missing or damaged.
    """
    root = Path(path)
    if not is_store(root):
        raise FileNotFoundError(f'There is no store at {root}. Check the path.')
    if is_finished(root):
        shards = read_checksums(root)['shards']
        return {number: shard['sha256'] for number, shard in enumerate(shards)}
    return {shard: record['sha256'] for shard, record in read_records(root).items()}
