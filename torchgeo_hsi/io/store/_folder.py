# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The folder of a store while it is written: its header, its shards, their records."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..._typing import PathLike
from ...errors import CorruptFileError, MetadataError, OutputError
from .._files import parse_json, shorten
from .._scratch import remove_leftovers
from .._whole import write_whole
from ._layout import ArrayLayout

#: Name of our part of the attributes of the group.
KEY = 'torchgeo_hsi_store'

#: Version of the format.
VERSION = 1

#: File that makes a store readable: the metadata of the Zarr group.
GROUP = 'zarr.json'

#: Table of the items, and checksums of all files.
ITEMS, CHECKSUMS = 'items.npz', 'checksums.json'

#: Header of a store that is not finished, and the records of its shards.
UNFINISHED, RECORDS = '.unfinished.json', '.shards'

#: Folder of what is being written.
SCRATCH = '.scratch'

#: What is raised over JSON that is not what it should be.
BROKEN = (AttributeError, LookupError, RecursionError, TypeError, ValueError)

#: What a store of each kind holds, and how to open it.
_KINDS = {
    'patches': ('patches', 'Open it with StoreReader or StoredPatches.'),
    'scene': ('a scene', 'Open it with StoredSceneReader or open_cube.'),
}


def store_kind(path: PathLike) -> str | None:
    """Tell what a folder holds.

    Args:
        path: The folder.

    Returns:
        ``'patches'`` or ``'scene'`` if it holds a store, finished or not; else None.
    """
    for name in (GROUP, UNFINISHED):
        try:
            content = json.loads((Path(path) / name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        header = header_of(content) if name == GROUP else content
        if isinstance(header, dict) and 'kind' in header:
            return str(header['kind'])
    return None


def is_store(path: PathLike) -> bool:
    """Tell whether a folder holds a store of patches or of a scene, finished or not.

    Args:
        path: The folder.

    Returns:
        True if it was made by :func:`create_store` or :func:`write_stored_scene`.
    """
    return store_kind(path) is not None


def is_finished(path: PathLike) -> bool:
    """Tell whether a folder holds a store that can be read.

    Args:
        path: The folder.

    Returns:
        True if it was completed, by :func:`finish_store` or :func:`write_stored_scene`.
    """
    return (Path(path) / GROUP).is_file() and is_store(path)


def header_of(group: Any) -> Any:
    """Return our part of the metadata of a group, or None."""
    if not isinstance(group, dict) or not isinstance(group.get('attributes'), dict):
        return None
    return group['attributes'].get(KEY)


def read_header(root: Path, kind: str) -> dict[str, Any]:
    """Read the header of a store, finished or not.

    Args:
        root: Folder of the store.
        kind: Kind that it has to have.

    Returns:
        The header.

    Raises:
        FileNotFoundError: If there is no store.
        MetadataError: If it is one of another kind, or of a newer version.
    """
    found = store_kind(root)
    if found is None:
        raise FileNotFoundError(f'There is no store at {root}. Check the path.')
    if is_finished(root):
        header = header_of(json.loads((root / GROUP).read_bytes()))
    else:
        header = read_begun(root)
    return check_header(header, kind, str(root))


def read_begun(root: Path) -> dict[str, Any]:
    """Read the header of a store that is not finished.

    Args:
        root: Folder of the store.

    Returns:
        The header.

    Raises:
        CorruptFileError: If it is damaged, or leads out of the folder.
        MetadataError: If it is one of another program or version.
    """
    path = root / UNFINISHED
    remedy = 'Delete the folder and convert again.'
    try:
        header = parse_json(path.read_bytes(), str(path), remedy)
    except OSError as error:
        raise CorruptFileError(f'{path} cannot be read ({error}). {remedy}') from error
    kind = header.get('kind') if isinstance(header, dict) else None
    check_header(header, str(kind), str(root))
    shards, arrays = header.get('shards'), header.get('arrays')
    if (
        not isinstance(shards, int)
        or shards < 1
        or not isinstance(header.get('spec'), dict)
        or not isinstance(arrays, dict)
        # their folders are made
        or not all(name.replace('_', '').isalnum() for name in arrays)
    ):
        raise CorruptFileError(
            f'{path} is damaged: expected shards, arrays and what they hold. {remedy}'
        )
    found: dict[str, Any] = header
    return found


def check_header(header: Any, kind: str, path: str) -> dict[str, Any]:
    """Check that a header can be understood.

    Args:
        header: The header.
        kind: Kind that it has to have.
        path: Where it is from, for messages.

    Returns:
        The header.

    Raises:
        MetadataError: If it is one of another kind, or of a newer version.
    """
    if not isinstance(header, dict) or not {'version', 'kind'} <= header.keys():
        raise MetadataError(
            f'{path} is a Zarr group, but no store of torchgeo-hsi. Check the path.'
        )
    if header['version'] != VERSION or header['kind'] not in tuple(_KINDS):
        raise MetadataError(
            f'{path} has version {shorten(str(header["version"]))} of the store format, and this '
            f'torchgeo-hsi reads version {VERSION}. Update torchgeo-hsi.'
        )
    if header['kind'] != kind:
        what, hint = _KINDS[header['kind']]
        raise MetadataError(f'{path} is a store of {what}. {hint}')
    return header


def begin_store(
    root: Path, kind: str, spec: dict[str, Any], shards: int, arrays: list[ArrayLayout]
) -> None:
    """Begin a store, or check that it is the one that was begun.

    Args:
        root: Folder of the store.
        kind: ``'patches'`` or ``'scene'``.
        spec: What it is to hold.
        shards: Number of shards.
        arrays: Its arrays.

    Raises:
        OutputError: If the folder holds a store of another specification, or anything
            else, or cannot be written.
    """
    try:
        empty = not root.is_dir() or all(e.name.startswith('.') for e in root.iterdir())
    except OSError as error:
        raise OutputError(f'{root} cannot be read: {error}.') from error
    if is_store(root):
        _check_same(root, read_header(root, kind)['spec'], spec)
        return
    if not empty:
        raise OutputError(
            f'{root} is not empty and holds no store. Choose another folder.'
        )
    header = {'version': VERSION, 'kind': kind, 'spec': spec, 'shards': shards}
    header['arrays'] = {array.name: array.metadata() for array in arrays}
    write_file(root / UNFINISHED, dump(header))


def _check_same(root: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse another specification than that of an existing store."""
    # as it comes back from a file
    wanted = json.loads(json.dumps(wanted))
    differing = [key for key in wanted if wanted[key] != there.get(key)]
    if differing:
        key = differing[0]
        raise OutputError(
            f'{root} is a store with other {", ".join(differing)}: {key} is '
            f'{_short(there.get(key))} there, and {_short(wanted[key])} was asked for. '
            'Delete it, or choose another folder.'
        )


def read_checksums(root: Path) -> dict[str, Any]:
    """Read the checksums of a finished store.

    Args:
        root: Folder of the store.

    Returns:
        ``store``, its SHA-256; ``items``, size and SHA-256 of the item table; and
        ``shards``, of each its SHA-256, its ``files`` and the number of its items.

    Raises:
        FileNotFoundError: If there is no finished store.
        CorruptFileError: If the checksums are missing or damaged.
    """
    if not is_finished(root):
        raise FileNotFoundError(
            f'There is no finished store at {root}. Check the path, or run '
            '"torchgeo-hsi convert" again to complete it.'
        )
    try:
        content: dict[str, Any] = json.loads((root / CHECKSUMS).read_bytes())
        _check_sums(content)
    except (*BROKEN, OSError) as error:
        raise CorruptFileError(
            f'{root / CHECKSUMS} is missing or damaged '
            f'({shorten(str(error), 200)}). Copy it again, or convert again.'
        ) from error
    return content


def _check_sums(content: dict[str, Any]) -> None:
    """Check that checksums are what they should be, of files within the store."""
    listed = [shard['files'] for shard in content['shards']]
    for files in ({ITEMS: content['items']}, *listed):
        for name, (size, digest) in files.items():
            if Path(name).is_absolute() or '..' in Path(name).parts:
                raise ValueError(f'{name} lies elsewhere')
            if not (isinstance(size, int) and isinstance(digest, str)):
                raise TypeError(f'{name} has no checksum')
    if not isinstance(content['store'], str):
        raise TypeError('the store has no checksum')


def write_file(path: Path, content: bytes) -> None:
    """Write a small file in one step.

    Args:
        path: The file.
        content: Its content.

    Raises:
        OutputError: If it cannot be written.
    """
    # many of them, and what a power failure cuts is noticed when it is read
    write_whole(path, lambda part: part.write_bytes(content), sync=False)


def remove_work(root: Path, names: Iterable[str] = (RECORDS, SCRATCH)) -> None:
    """Remove what only an unfinished store needs.

    Args:
        root: Folder of the store.
        names: Folders to remove.
    """
    for name in names:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / UNFINISHED).unlink(missing_ok=True)
    # of small files that were being written when a process was killed
    remove_leftovers(root)


def dump(content: Any) -> bytes:
    """Write JSON, in the order of the content."""
    return json.dumps(content, indent=1).encode() + b'\n'


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f'{text[:77]}...'
