# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Lists, tables, regions and pictures that people name, and what is kept of a tree."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fuzz import reading
from fuzz.case import EITHER, READ, REFUSED, Build, Case, altered, copied, rewritten
from fuzz.cases_vectors import WHOLE
from fuzz.changes import FATAL, changes

#: A list may name what is not there: that fails when it is opened.
_NAMES = tuple(name for name in FATAL if name != 'empty')


def _circle(path: Path) -> None:
    path.write_text('other.txt\n')
    path.with_name('other.txt').write_text('one.tif\nscenes.txt\n')


def _linked(path: Path) -> None:
    path.with_name('link.txt').symlink_to(path)
    path.write_text('link.txt\n')


_LISTS: dict[str, tuple[Callable[[Path], object], str]] = {
    'names itself': (lambda p: p.write_text('one.tif\nscenes.txt\n'), REFUSED),
    'names itself in full': (lambda p: p.write_text(f'{p}\n'), REFUSED),
    'names one that names it': (_circle, REFUSED),
    'names a link to itself': (_linked, REFUSED),
    'NUL in a name': (lambda p: p.write_bytes(b'a\0b.tif\n'), EITHER),
    'name of 10**6 letters': (lambda p: p.write_text('x' * 10**6 + '\n'), EITHER),
    '100 000 names': (lambda p: p.write_text('one.tif\n' * 100_000), READ),
    'Latin-1': (lambda p: p.write_bytes(b'H\xf6he.tif\n'), REFUSED),
    'only comments': (lambda p: p.write_text('# none\n'), REFUSED),
}


def _table(**arrays: np.ndarray) -> Callable[[], bytes]:
    """Write a manifest that makes no sense."""

    def make() -> bytes:
        header = '{"version": 1, "bases": {"enmap": 0}}'
        whole = {
            'header': np.array(header),
            'locations': np.array([b'0004740']),
            'files': np.array([b'00000.tif', b'00001.tif']),
            'base': np.zeros(2, np.uint16),
            'starts': np.array([0, 2]),
        }
        file = io.BytesIO()
        np.savez(file, **(whole | arrays))
        return file.getvalue()

    return make


_KEPT: dict[str, tuple[str, Callable[[], bytes]]] = {
    'manifest: header is a list': ('manifest.npz', _table(header=np.array('[1]'))),
    'manifest: header is deep': (
        'manifest.npz',
        _table(header=np.array('[' * 100_000)),
    ),
    'manifest: bases are a list': (
        'manifest.npz',
        _table(header=np.array('{"version": 1, "bases": [1]}')),
    ),
    'manifest: time is infinite': (
        'manifest.npz',
        _table(header=np.array('{"version": 1, "bases": {"enmap": 1e999}}')),
    ),
    'manifest: counts do not fit': ('manifest.npz', _table(starts=np.array([0, 9]))),
    'manifest: names are numbers': ('manifest.npz', _table(files=np.arange(2))),
    'list of damage is noise': ('manifest_damaged.csv', lambda: b'\xff\xfe,\0' * 99),
    'list of damage is one field': ('manifest_damaged.csv', lambda: b'x' * 200_000),
    'list of damage leads out': (
        'manifest_damaged.csv',
        lambda: b'../../../etc/passwd,damaged,1,1,x\n',
    ),
}


def _beside(name: str, content: Callable[[], bytes]) -> Build:
    """Put something where a run keeps what it knows of a tree."""

    def build(folder: Path, valid: Path) -> Path:
        copied(folder, valid)
        (folder.parent / 'out' / name).write_bytes(content())
        return folder

    return build


def _up(build: Build) -> Build:
    """Open the folder of the files."""

    def make(folder: Path, valid: Path) -> Path:
        build(folder, valid)
        return folder

    return make


def kept_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    kind, file = 'list of scenes', 'scenes.txt'
    yield from changes(kind, 'scenes', file, reading.scenes, vague=_NAMES)
    for name, (edit, outcome) in _LISTS.items():
        build = altered(file, edit)
        yield Case(kind, name, 'scenes', build, reading.scenes, outcome)
    for valid, file in (('vectors', 'labels.gpkg'), ('labels', 'labels.geojson')):
        kind = f'regions, .{file[7:]}'
        read = reading.regions
        yield from changes(kind, valid, file, read, vague=WHOLE, heavy=True)
    yield from changes(
        'color image',
        'tiff',
        'tiles.tif',
        reading.color,
        vague=('last byte missing',),
        heavy=True,
    )
    kind, read = 'HYPERVIEW table', reading.hyperview
    for name, change in FATAL.items():
        if not name.startswith(('cut', 'last')):
            build = _up(rewritten('train.csv', change))
            yield Case(kind, name, 'hyperview', build, read, REFUSED, True)
    for name, (kept, content) in _KEPT.items():
        build = _beside(kept, content)
        yield Case('SpectralEarth', name, 'tree', build, reading.tree, READ, True)
