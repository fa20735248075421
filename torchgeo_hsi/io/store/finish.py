# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Completing a store, and checking it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..._typing import PathLike
from ...errors import CorruptFileError, OutputError
from ._folder import (
    CHECKSUMS,
    GROUP,
    ITEMS,
    KEY,
    UNFINISHED,
    dump,
    header_of,
    is_finished,
    is_store,
    read_begun,
    read_checksums,
    remove_work,
    write_file,
)
from ._shards import dump_record, read_records, record_path
from .items import ItemTable


def finish_store(path: PathLike) -> str:
    """Make a store readable: write its item table and its checksums.

    Calling it again does nothing.

    Args:
        path: Folder of the store.

    Returns:
        SHA-256 of the whole store, the same for the same content, whatever the order,
        the number of processes and the interruptions of writing.

    Raises:
        OutputError: If shards are missing, or the folder cannot be written.
        FileNotFoundError: If there is no store.
    """
    root = Path(path)
    if is_finished(root):
        remove_work(root)
        return str(read_checksums(root)['store'])
    if not is_store(root):
        raise FileNotFoundError(f'There is no store at {root}. Check the path.')
    header = read_begun(root)
    records = read_records(root)
    lacking = header['shards'] - sum(0 <= n < header['shards'] for n in records)
    if lacking:
        # a damaged header may tell of billions
        missing = (n for n in range(header['shards']) if n not in records)
        shown = ', '.join(map(str, islice(missing, 5)))
        raise OutputError(
            f'{root} lacks {lacking} of {header["shards"]} shards '
            f'({shown}{", ..." if lacking > 5 else ""}). Write them first.'
        )
    shards = [records[shard] for shard in range(header['shards'])]
    table = ItemTable.concatenate(
        [ItemTable.from_items(record['items']) for record in shards]
    )
    content = table.to_bytes()
    sums: dict[str, Any] = {
        'items': [len(content), hashlib.sha256(content).hexdigest()],
        'shards': [
            {'sha256': s['sha256'], 'files': s['files'], 'items': len(s['items'])}
            for s in shards
        ],
        'store': _total(header, [record['sha256'] for record in shards], table),
    }
    for name, metadata in header['arrays'].items():
        write_file(root / name / GROUP, dump(metadata))
    write_file(root / ITEMS, content)
    write_file(root / CHECKSUMS, dump(sums))
    write_file(root / GROUP, dump(_group(header, sums['store'])))
    remove_work(root)
    return str(sums['store'])


def _total(header: Mapping[str, Any], shards: list[str], table: ItemTable) -> str:
    """Return the checksum of the whole store."""
    result = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for digest in shards:
        result.update(bytes.fromhex(digest))
    result.update(bytes.fromhex(table.digest()))
    return result.hexdigest()


def _group(header: dict[str, Any], total: str) -> dict[str, Any]:
    """Describe the group; its file is what makes a store readable."""
    ours = {key: value for key, value in header.items() if key != 'arrays'}
    return {
        'zarr_format': 3,
        'node_type': 'group',
        'attributes': {KEY: {**ours, 'sha256': total}},
        # readers of Zarr need not look for the arrays, which object storage makes slow
        'consolidated_metadata': {
            'kind': 'inline',
            'must_understand': False,
            'metadata': header['arrays'],
        },
    }


def verify_store(path: PathLike) -> list[str]:
    """Read all files of a finished store and compare them with their checksums.

    Args:
        path: Folder of the store.

    Returns:
        Paths of missing or damaged files within the store; empty if it is sound. Give
        them to :func:`reopen_store` to write their shards again.

    Raises:
        FileNotFoundError: If there is no finished store.
        CorruptFileError: If the checksums themselves are missing or damaged.
    """
    root = Path(path)
    sums = read_checksums(root)
    files = {ITEMS: sums['items']}
    for shard in sums['shards']:
        files |= shard['files']
    damaged = []
    for name, (size, digest) in files.items():
        try:
            with (root / name).open('rb') as file:
                found = hashlib.file_digest(file, 'sha256').hexdigest()
                same = found == digest and file.tell() == size
        except OSError:
            same = False
        if not same:
            damaged.append(name)
    return damaged


def reopen_store(path: PathLike, damaged: Iterable[str]) -> list[int]:
    """Make a finished store unfinished, so that damaged shards can be written again.

    The other shards stay as they are.

    Args:
        path: Folder of the store.
        damaged: What :func:`verify_store` returned.

    Returns:
        Numbers of the shards to write before :func:`finish_store`.

    Raises:
        ValueError: If a file is not one of the store.
        CorruptFileError: If the item table is damaged, so that all has to be converted
            again.
        FileNotFoundError: If there is no finished store.
        OutputError: If the folder cannot be written.
    """
    root, names = Path(path), set(damaged)
    sums = read_checksums(root)
    known = {ITEMS}.union(*(shard['files'] for shard in sums['shards']))
    if not names <= known:
        raise ValueError(
            f'Expected files of {root}, got {", ".join(sorted(names - known))}.'
        )
    if ITEMS in names:
        raise CorruptFileError(
            f'{root / ITEMS} is damaged, and what it holds is nowhere else. Delete the '
            'store and convert again.'
        )
    group = json.loads((root / GROUP).read_bytes())
    header = {k: v for k, v in header_of(group).items() if k != 'sha256'}
    header['arrays'] = group['consolidated_metadata']['metadata']
    table = ItemTable.from_bytes((root / ITEMS).read_bytes())
    again, start = [], 0
    for number, shard in enumerate(sums['shards']):
        stop = start + shard['items']
        if names & set(shard['files']):
            again.append(number)
        else:
            part = ItemTable.from_items(table[start:stop])
            content = dump_record(shard['sha256'], shard['files'], part)
            write_file(record_path(root, number), content)
        start = stop
    write_file(root / UNFINISHED, dump(header))
    (root / GROUP).unlink()
    return again
