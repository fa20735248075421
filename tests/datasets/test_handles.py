# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import multiprocessing
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from data.enmap_l2a.data import make_bare_image

from torchgeo_hsi.datasets._handles import _KEPT, ReaderCache
from torchgeo_hsi.io import CubeReader, GeoTIFFReader

opened: list[str] = []


def opener(path: str) -> CubeReader:
    opened.append(path)
    return GeoTIFFReader(path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    opened.clear()
    make_bare_image(tmp_path / 'a.tif', bands=2)
    return str(tmp_path / 'a.tif')


def test_a_file_is_opened_once(path: str) -> None:
    cache = ReaderCache(opener)
    with cache.open(path) as first, cache.open(path) as second:
        assert first is second
    assert opened == [path]


def test_without_keeping(path: str) -> None:
    cache = ReaderCache(opener, keep=False)
    for _ in range(2):
        with cache.open(path) as reader:
            assert reader.read([0])[1].all()
    assert opened == [path, path]


def _count(cache: ReaderCache, path: str, queue: 'multiprocessing.Queue[int]') -> None:
    with cache.open(path) as reader:
        reader.read([0])
    queue.put(len(opened))


def test_a_fork_opens_its_own(path: str) -> None:
    cache = ReaderCache(opener)
    with cache.open(path):
        pass
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    process = context.Process(target=_count, args=(cache, path, queue))
    process.start()
    assert queue.get(timeout=30) == 2
    process.join()


def test_a_thread_opens_its_own(path: str) -> None:
    cache = ReaderCache(opener)
    readers = []

    def read() -> None:
        with cache.open(path) as reader:
            readers.append(reader)

    read()
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert readers[0] is not readers[1]


def test_a_copy_starts_empty(path: str) -> None:
    cache = ReaderCache(opener)
    with cache.open(path):
        pass
    with pickle.loads(pickle.dumps(cache)).open(path):
        pass
    assert opened == [path, path]


def test_the_oldest_is_closed(tmp_path: Path) -> None:
    cache = ReaderCache(opener)
    readers = []
    for number in range(_KEPT + 1):
        make_bare_image(tmp_path / f'{number}.tif', bands=1)
        with cache.open(str(tmp_path / f'{number}.tif')) as reader:
            readers.append(reader)
    with pytest.raises(Exception, match='closed'):
        readers[0].read([0])
    assert readers[1].read([0])[1].all()


def test_the_end_of_a_cache_closes_its_files(path: str) -> None:
    cache = ReaderCache(opener)
    with cache.open(path) as reader:
        assert reader.read([0])[1].all()
    del cache
    with pytest.raises(Exception, match='closed'):
        reader.read([0])


_PROGRAM = """
import builtins
import sys
from torchgeo_hsi.datasets._handles import ReaderCache
from torchgeo_hsi.io import GeoTIFFReader
cache = ReaderCache(GeoTIFFReader)
with cache.open(sys.argv[1]) as reader:
    reader.read([0])
# lives to the very end of the interpreter, as in a reference cycle of a trainer
builtins.kept = cache
"""


def test_a_program_ends_quietly(path: str) -> None:
    done = subprocess.run(
        [sys.executable, '-c', _PROGRAM, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 'excepthook' not in done.stderr
