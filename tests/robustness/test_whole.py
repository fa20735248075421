# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small files are written whole or not at all: scores, figures, records, fields."""

import errno
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from torchgeo_hsi.callbacks._figure_file import save_figure
from torchgeo_hsi.callbacks.field_writer import write_field
from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io._scratch import ScratchFolder, remove_leftovers
from torchgeo_hsi.io._whole import free_space, not_written, write_json, write_whole
from torchgeo_hsi.io.store._folder import write_file

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def field(path: Path) -> None:
    scratch = ScratchFolder(path)
    try:
        write_field(path, scratch.path, {'x': (np.arange(3.0), ('x',))}, {'a': 1.0})
    finally:
        scratch.remove()


WRITERS: dict[str, Callable[[Path], Any]] = {
    'scores.json': lambda path: write_json(path, {'a': [1, 2]}),
    'map.png': lambda path: save_figure(Figure(), path, 'MapFigure'),
    'map.pdf': lambda path: save_figure(Figure(), path, 'MapFigure'),
    'picture': lambda path: save_figure(Figure(), path, 'MapFigure'),
    'record.json': lambda path: write_file(path, b'{}'),
    'field.nc': field,
    'field.npz': field,
}


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize('place', ['os.replace', 'os.fsync'])
def test_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    path.write_bytes(b'older')

    def full(*_: Any) -> None:
        raise FULL

    if name == 'record.json':
        # small files of stores are not waited for
        place = 'os.replace'
    monkeypatch.setattr(place, full)
    with pytest.raises(OutputError, match=r'disk is full .* free in .*Free some space'):
        WRITERS[name](path)
    assert path.read_bytes() == b'older'
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_half_of_a_file_is_removed(tmp_path: Path) -> None:
    def half(part: Path) -> None:
        part.write_bytes(b'half')
        raise FULL

    path = tmp_path / 'new' / 'file.bin'
    with pytest.raises(OutputError, match='choose a larger disk'):
        write_whole(path, half, 'choose a larger disk')
    assert list(path.parent.iterdir()) == []

    def bug(part: Path) -> None:
        part.write_bytes(b'half')
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(path, bug)
    assert list(path.parent.iterdir()) == []


def test_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = str(not_written(tmp_path / 'a', PermissionError('no'), 'ask root'))
    assert 'full' not in refused
    assert 'a could not be written: no.' in refused
    usage = type('Usage', (), {'free': 3 * 2**20})
    monkeypatch.setattr('shutil.disk_usage', lambda folder: usage)
    assert free_space(tmp_path / 'a' / 'b') == f'3.0 MiB are free in {tmp_path}'
    usage.free = 1000
    # GDAL and HDF5 tell no number
    assert 'the disk is full (write error)' in str(
        not_written('a', RuntimeError('write error'), 'b')
    )


def test_leftovers(tmp_path: Path) -> None:
    dead, alive = ScratchFolder(tmp_path / 'a'), ScratchFolder(tmp_path / 'b')
    for scratch in (dead, alive):
        (scratch.path / 'part').write_bytes(b'half')
    # as the system does it when a process ends
    assert dead._lock is not None
    os.close(dead._lock)
    (tmp_path / '.own').mkdir()
    remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {'.own', alive.path.name}
    assert (alive.path / 'part').exists()
    alive.remove()
    alive.remove()
    remove_leftovers(tmp_path / 'nowhere')
    assert [p.name for p in tmp_path.iterdir()] == ['.own']


def test_many_at_the_same_time(tmp_path: Path) -> None:
    # each looks for leftovers while the others begin and end
    path = tmp_path / 'scores.json'
    with ThreadPoolExecutor(8) as executor:
        for _ in executor.map(lambda k: write_json(path, {'k': k}), range(200)):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ['scores.json']
    assert json.loads(path.read_text())['k'] in range(200)
