# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which files a tree of patches holds: listed once, opened at once.

Listing 415 153 folders takes minutes on a network file system, in each process that
trains. A manifest keeps the result: fixed-width names in three numpy arrays, 3 MB on
disk and 11 MB in memory, which worker processes share. Lists or dictionaries of strings
would be copied into each worker, page by page, as reference counts change.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._typing import PathLike
from ...errors import HSIWarning, OutputError
from ...io._whole import write_whole
from ...io.store.items import BROKEN

#: Folder in the root for what this package keeps about the tree. Files that change in
#: it leave the modification time of the root as it is, which the fingerprint needs.
KEPT = '.torchgeo_hsi'
#: Raised whenever the content of manifests changes.
_VERSION = 1
#: Folders that one thread lists before it takes the next ones.
_CHUNK = 512
#: Folders that archives may have been extracted to.
_PART = re.compile(r'spectral_?earth|(^|[_-])part[_-]?\d+$', re.IGNORECASE)
_SUFFIXES = ('.tif', '.tiff')

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Manifest:
    """The files of a tree, location by location.

    Args:
        root: The root.
        bases: Folders that hold the folders of locations, relative to the root.
        locations: Name of each location, sorted; bytes of shape ``(L,)``.
        files: Name of each file, sorted within its location; bytes of shape ``(P,)``.
        base: Position in *bases* of each file, shape ``(P,)``.
        starts: First file of each location, and the number of files at the end, shape
            ``(L + 1,)``.
    """

    root: str
    bases: tuple[str, ...]
    locations: NDArray[np.bytes_]
    files: NDArray[np.bytes_]
    base: NDArray[np.uint16]
    starts: NDArray[np.int64]

    def patches(self, location: int) -> range:
        """Return the numbers of the files of a location.

        Args:
            location: Number of the location.

        Returns:
            Consecutive numbers.
        """
        return range(int(self.starts[location]), int(self.starts[location + 1]))

    def location_of(self, patch: int) -> int:
        """Return the location of a file.

        Args:
            patch: Number of the file.

        Returns:
            Number of the location.
        """
        return int(np.searchsorted(self.starts, patch, side='right')) - 1

    def name(self, patch: int) -> str:
        """Return the path of a file relative to the root, with ``/``.

        Args:
            patch: Number of the file.

        Returns:
            The name, e.g. ``'enmap/0420708/11869.tif'``.
        """
        base = self.bases[self.base[patch]]
        parts = (self.locations[self.location_of(patch)], self.files[patch])
        return '/'.join([*([base] if base else []), *map(os.fsdecode, parts)])

    def path(self, patch: int) -> str:
        """Return the path of a file.

        Args:
            patch: Number of the file.

        Returns:
            The path.
        """
        return os.path.join(self.root, self.name(patch))

    def find(self, name: str) -> int | None:
        """Find a file by the name that :meth:`name` gives.

        Args:
            name: The name.

        Returns:
            Number of the file, or None.
        """
        location = os.fsencode(name.split('/')[-2]) if '/' in name else b''
        row = int(np.searchsorted(self.locations, np.bytes_(location)))
        if row < len(self.locations) and self.locations[row] == location:
            for patch in self.patches(row):
                if self.name(patch) == name:
                    return patch
        return None


def default_path(root: PathLike) -> Path:
    """Return where the manifest of a tree is kept by default.

    Args:
        root: The root.

    Returns:
        Path of the file.
    """
    return Path(root) / KEPT / 'manifest.npz'


def find_bases(root: PathLike) -> tuple[str, ...]:
    """Find the folders of a tree that hold the folders of locations.

    They are ``<root>/enmap``; or *root* itself; and folders of extracted parts, such as
    ``<root>/spectral_earth_part_1`` or the folder ``enmap`` in them. Names of locations
    consist of digits.

    Args:
        root: The root.

    Returns:
        Paths relative to the root, sorted, ``''`` for the root itself; none if there
        is no such folder.
    """
    if not os.path.isdir(root):
        return ()
    found = []
    if _holds_locations(os.path.join(root, 'enmap')):
        found.append('enmap')
    elif _holds_locations(root):
        return ('',)
    with os.scandir(root) as entries:
        parts = sorted(
            entry.name
            for entry in entries
            if _PART.search(entry.name)
            and 'downstream' not in entry.name.lower()
            and entry.is_dir()
        )
    for part in parts:
        for base in (f'{part}/enmap', part):
            if _holds_locations(os.path.join(root, base)):
                found.append(base)
                break
    return tuple(found)


def _holds_locations(folder: PathLike) -> bool:
    """Whether a folder holds the folder of a location; stops at the first."""
    if not os.path.isdir(folder):
        return False
    with os.scandir(folder) as entries:
        return any(_is_location(entry) for entry in entries)


def _is_location(entry: os.DirEntry[str]) -> bool:
    return entry.name.isascii() and entry.name.isdigit() and entry.is_dir()


def open_manifest(
    root: PathLike,
    path: PathLike | None = None,
    rebuild: bool | None = None,
    num_threads: int = 16,
) -> Manifest:
    """Open the manifest of a tree; build and keep it where that is needed.

    By default it is built again where a folder of a location was added, removed or
    renamed, or a part was added: then the modification times of the folders above
    differ. A file that was added to or removed from the folder of a location is not
    noticed, because that would cost as much as building: say ``rebuild=True`` then.

    Args:
        root: The root.
        path: File of the manifest; in the root by default.
        rebuild: None to build it where it is missing or the tree has changed; True to
            build it in any case; False to take it as it is, without a look at the tree.
        num_threads: Threads that list folders.

    Returns:
        The manifest, without locations if there are none.

    Raises:
        FileNotFoundError: If *rebuild* is False and there is no manifest.
    """
    root = os.fspath(root)
    path = default_path(root) if path is None else Path(path)
    if rebuild is not True:
        loaded = _load(path, root)
        if loaded is not None:
            manifest, kept = loaded
            if rebuild is False or kept == _fingerprint(root, find_bases(root)):
                return manifest
            _log.info('%s has changed since %s was written.', root, path)
        elif rebuild is False:
            raise FileNotFoundError(
                f'There is no manifest {path}, or it is damaged. Leave out '
                'rebuild=False to build it.'
            )
    bases = find_bases(root)
    if bases:
        # before the fingerprint, as it changes the folder above
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
    # taken first: a change while folders are listed is noticed the next time
    fingerprint = _fingerprint(root, bases)
    manifest = build_manifest(root, bases, num_threads)
    try:
        if bases:
            _save(path, manifest, fingerprint)
    except OutputError as error:
        warnings.warn(
            f'The list of the {len(manifest.files)} files in {root} is not kept, so each '
            f'process lists them again. {error}',
            HSIWarning,
            stacklevel=3,
        )
    return manifest


def _fingerprint(root: str, bases: Iterable[str]) -> dict[str, int]:
    """Describe a tree: the modification times of the folders that hold locations."""
    return {base: os.stat(os.path.join(root, base)).st_mtime_ns for base in bases}


def build_manifest(
    root: PathLike, bases: Iterable[str], num_threads: int = 16
) -> Manifest:
    """List the files of a tree.

    All GeoTIFFs in the folder of a location are its dates, also where its folder exists
    in several bases. Folders without GeoTIFFs and hidden files are left out.

    Args:
        root: The root.
        bases: Folders that hold the folders of locations, relative to the root.
        num_threads: Threads that list folders, which wait for a network file system.

    Returns:
        The manifest.
    """
    root, bases = os.fspath(root), tuple(bases)
    columns: list[list[Any]] = [[], [], []]
    refused: list[str] = []
    with ThreadPoolExecutor(max(1, num_threads)) as pool:
        for number, base in enumerate(bases):
            folder = os.path.join(root, base)
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if _is_location(entry)]
            jobs = ((folder, chunk, refused) for chunk in batched(names, _CHUNK))
            for found in pool.map(_list_files, jobs):
                for column, values in zip(columns, found, strict=False):
                    column.append(values)
                columns[2].append(np.full(len(found[0]), number, dtype=np.uint16))
    if refused:
        warnings.warn(
            f'{len(refused)} folders of {root} cannot be listed and are left out, e.g. '
            f'{refused[0]}.',
            HSIWarning,
            stacklevel=2,
        )
    return _assemble(root, bases, *(_join(column) for column in columns))


def _list_files(
    job: tuple[str, tuple[str, ...], list[str]],
) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """List the files of some locations: the location and the name of each."""
    folder, names, refused = job
    locations, files = [], []
    for name in names:
        try:
            entries = os.listdir(os.path.join(folder, name))
        except OSError:
            refused.append(os.path.join(folder, name))
            continue
        for file in entries:
            if file.lower().endswith(_SUFFIXES) and not file.startswith('.'):
                locations.append(os.fsencode(name))
                files.append(os.fsencode(file))
    return _bytes(locations), _bytes(files)


def _bytes(names: list[bytes]) -> NDArray[np.bytes_]:
    return np.array(names, dtype=None if names else 'S1')


def _join(chunks: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype='S1')


def _assemble(
    root: str,
    bases: tuple[str, ...],
    locations: NDArray[np.bytes_],
    files: NDArray[np.bytes_],
    base: NDArray[Any],
) -> Manifest:
    """Sort files by location and name, and leave out what is there twice."""
    order = np.lexsort((base, files, locations))
    locations, files, base = locations[order], files[order], base[order]
    again = (locations[1:] == locations[:-1]) & (files[1:] == files[:-1])
    keep = np.append(True, ~again)[: len(files)]
    locations, files, base = locations[keep], files[keep], base[keep]
    names, first = np.unique(locations, return_index=True)
    starts = np.append(first, len(files)).astype(np.int64)
    return Manifest(root, bases, names, files, base.astype(np.uint16), starts)


def _save(path: Path, manifest: Manifest, fingerprint: dict[str, int]) -> None:
    """Write a manifest, whole or not at all."""
    header = json.dumps({'version': _VERSION, 'bases': fingerprint})

    def write(part: Path) -> None:
        # by a file: numpy would add a suffix to a name
        with part.open('wb') as file:
            np.savez_compressed(
                file,
                header=np.array(header),
                locations=manifest.locations,
                files=manifest.files,
                base=manifest.base,
                starts=manifest.starts,
            )

    remedy = 'pass manifest= with a file in a folder that can be written to'
    write_whole(path, write, remedy)


def _check(bases: int, locations: Any, files: Any, base: Any, starts: Any) -> None:
    """Refuse arrays that do not fit together."""
    arrays, count = (locations, files, base, starts), len(files)
    kinds = ''.join(array.dtype.kind for array in arrays)
    shapes = [array.shape for array in arrays]
    if (
        kinds != 'SSui'
        or shapes != [(len(starts) - 1,), (count,), (count,), (len(starts),)]
        or (starts[0], starts[-1]) != (0, count)
        or (np.diff(starts) < 0).any()
        or (count and base.max() >= bases)
    ):
        raise ValueError('its arrays do not fit together')


def _load(path: Path, root: str) -> tuple[Manifest, dict[str, int]] | None:
    """Read a manifest; None if there is none, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file['header']))
            if header['version'] != _VERSION:
                return None
            arrays = {
                key: file[key] for key in ('locations', 'files', 'base', 'starts')
            }
        kept = {str(base): int(time) for base, time in header['bases'].items()}
        _check(len(kept), **arrays)
    except FileNotFoundError:
        return None
    except (OSError, *BROKEN, SyntaxError, TokenError):
        _log.warning('%s is damaged and is written again.', path)
        return None
    return Manifest(root, tuple(kept), **arrays), kept
