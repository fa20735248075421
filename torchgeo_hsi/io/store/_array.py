# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reading regions of the arrays of a store, chunk by chunk."""

import itertools
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import CorruptFileError
from ._blosc import decode, import_blosc
from ._layout import EMPTY, ArrayLayout, unpack_index
from ._memory import Memory
from ._source import FolderSource, Part, Source, missing_file

#: What is wanted along an axis: from, to; or single places in any order.
type Wanted = tuple[int, int] | NDArray[np.int64]

#: Places along an axis.
type _Places = slice | NDArray[np.int64]

#: Compressed chunks are at most so much larger than what they hold.
_OVERHEAD = 16

#: Largest place in a file that a system can seek.
_FARTHEST = 2**62

_local = threading.local()


class Request(NamedTuple):
    """A region of an array.

    Args:
        layout: Layout of the array.
        wanted: What is wanted along each axis.
        out: Array that receives it; numbers are converted to its data type.
    """

    layout: ArrayLayout
    wanted: tuple[Wanted, ...]
    out: NDArray[Any]


class _Task(NamedTuple):
    """A chunk, the places wanted in it, and the part of the result they go to."""

    layout: ArrayLayout
    key: str
    number: int
    inside: tuple[_Places, ...]
    out: NDArray[Any]
    places: tuple[_Places, ...]


class ChunkReader:
    """Reads regions of the arrays of one store.

    Args:
        source: Where the files are.
        cache_mb: Bound of the memory for indexes and small chunks, in MiB.
        threads: Threads that decode; by default the share of the cores of this process.
    """

    def __init__(self, source: Source, cache_mb: float, threads: int | None) -> None:
        """Initialize a new ChunkReader instance."""
        self._blosc = import_blosc()
        self._source = source
        self._memory = Memory(cache_mb * 2**20)
        self._wanted_threads = threads
        self._start()

    def _start(self) -> None:
        """Begin in this process; a fork copies neither threads nor free locks."""
        self._process = os.getpid()
        self._threads = self._wanted_threads or default_threads()
        self._pool: ThreadPoolExecutor | None = None
        self._memory.renew_lock()

    def read(self, requests: Sequence[Request]) -> None:
        """Read regions.

        Args:
            requests: The regions, and the arrays that receive them.

        Raises:
            CorruptFileError: If a file is missing or damaged.
        """
        if os.getpid() != self._process:
            self._start()
        tasks = [task for request in requests for task in _tasks(request)]
        keys = {task.key: task.layout for task in tasks}
        known = self._prepare(keys)
        large = []
        for task in tasks:
            found = known[task.key]
            if task.layout.sharded:
                large.append((task, self._part(task, found)))
            else:
                task.out[task.places] = found[task.inside]
        if isinstance(self._source, FolderSource):
            self._spread(large)
        else:
            self._fetch(large)

    def _prepare(self, keys: dict[str, ArrayLayout]) -> dict[str, NDArray[Any]]:
        """Return the index of each shard, or its only chunk."""
        known = {key: self._memory.get(key) for key in keys}
        unknown = [key for key, found in known.items() if found is None]
        if unknown:
            parts = [(key, 0, _first_bytes(keys[key])) for key in unknown]
            for key, content in zip(unknown, self._read(parts), strict=True):
                layout, name = keys[key], f'{self._source.path}/{key}'
                if layout.sharded:
                    array: NDArray[Any] = unpack_index(content, layout, name)
                else:
                    array = np.empty(layout.chunk, layout.dtype)
                    decode(content, array, self._blosc, name)
                self._memory.put(key, array)
                known[key] = array
        return {key: found for key, found in known.items() if found is not None}

    def _read(self, parts: Sequence[Part]) -> list[bytes]:
        try:
            return self._source.read_parts(parts)
        except FileNotFoundError as error:
            name = next((key for key, _, _ in parts if key in str(error)), 'a file')
            raise missing_file(self._source.path, name) from error

    def _part(self, task: _Task, index: NDArray[Any]) -> Part | None:
        """Return where a chunk is, or None if it is not stored."""
        offset, size = map(int, index[task.number])
        if offset == EMPTY:
            return None
        if size > task.layout.chunk_bytes + _OVERHEAD or offset > _FARTHEST:
            raise CorruptFileError(
                f'The index of {self._source.path}/{task.key} is damaged. Copy it again.'
            )
        return task.key, offset, offset + size

    def _spread(self, work: list[tuple[_Task, Part | None]]) -> None:
        """Read chunks from a folder, by several threads if there is enough to do."""
        count = min(self._threads, len(work))
        if count < 2:
            self._read_local(work)
            return
        size = -(-len(work) // count)
        portions = [work[i : i + size] for i in range(size, len(work), size)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads - 1)
        pending = [self._pool.submit(self._read_local, p) for p in portions]
        self._read_local(work[:size])
        for future in pending:
            future.result()

    def _read_local(self, work: Iterable[tuple[_Task, Part | None]]) -> None:
        """Read and decode one chunk after the other, while it is in the cache."""
        file: FileIO | None = None
        try:
            opened = ''
            for task, part in work:
                if part is None:
                    task.out[task.places] = 0
                    continue
                key, start, stop = part
                if file is None or key != opened:
                    if file is not None:
                        file.close()
                    file, opened = self._open(key), key
                content = _scratch('packed', stop - start)
                file.seek(start)
                if file.readinto(content) != stop - start:
                    raise CorruptFileError(
                        f'{self._source.path}/{key} is truncated. Copy it again.'
                    )
                self._decode(task, content)
        finally:
            if file is not None:
                file.close()

    def _open(self, key: str) -> FileIO:
        try:
            return FileIO(f'{self._source.path}/{key}')
        except FileNotFoundError as error:
            raise missing_file(self._source.path, key) from error
        except OSError as error:
            raise CorruptFileError(
                f'{self._source.path}/{key} cannot be read ({error}). Copy it again.'
            ) from error

    def _fetch(self, work: list[tuple[_Task, Part | None]]) -> None:
        """Read chunks from afar: all at once, neighbours together."""
        stored = [(task, part) for task, part in work if part is not None]
        for task, part in work:
            if part is None:
                task.out[task.places] = 0
        runs: list[list[tuple[_Task, Part]]] = []
        for task, part in stored:
            if runs and runs[-1][-1][1][::2] == part[:2]:
                runs[-1].append((task, part))
            else:
                runs.append([(task, part)])
        contents = self._read([(r[0][1][0], r[0][1][1], r[-1][1][2]) for r in runs])
        for run, content in zip(runs, contents, strict=True):
            view, origin = memoryview(content), run[0][1][1]
            for task, (_, start, stop) in run:
                self._decode(task, view[start - origin : stop - origin])

    def _decode(self, task: _Task, content: memoryview) -> None:
        """Decode a chunk into the result."""
        layout, name = task.layout, f'{self._source.path}/{task.key}'
        if _is_whole(task.inside, layout.chunk):
            target = task.out[task.places]
            if target.dtype.name == layout.dtype and target.flags.c_contiguous:
                decode(content, target, self._blosc, name)
                return
        scratch = _scratch('plain', layout.chunk_bytes)
        chunk = np.frombuffer(scratch, layout.dtype).reshape(layout.chunk)
        decode(content, chunk, self._blosc, name)
        task.out[task.places] = chunk[task.inside]


def _first_bytes(layout: ArrayLayout) -> int:
    """Return how much to read of a file to know its index, or its only chunk."""
    return layout.index_bytes if layout.sharded else layout.chunk_bytes + _OVERHEAD


def _scratch(name: str, size: int) -> memoryview:
    """Return some memory of this thread, to be used until the next call."""
    held: bytearray | None = getattr(_local, name, None)
    if held is None or len(held) < size:
        held = bytearray(max(size, 1 << 20))
        setattr(_local, name, held)
    return memoryview(held)[:size]


def default_threads() -> int:
    """Return how many threads decode: this process' share of the cores."""
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    if multiprocessing.parent_process() is None:
        return cores
    # a worker of torch's data loader knows how many there are; without torch, there
    # is no such worker
    loader = sys.modules.get('torch.utils.data')
    info = loader.get_worker_info() if loader is not None else None
    return max(1, cores // info.num_workers) if info is not None else 1


def _is_whole(inside: tuple[_Places, ...], chunk: tuple[int, ...]) -> bool:
    # places in any order go to places in any order, which is a copy
    return all(
        isinstance(places, slice) and places.start == 0 and places.stop == size
        for places, size in zip(inside, chunk, strict=True)
    )


def _tasks(request: Request) -> Iterator[_Task]:
    """List the chunks of a region, in the order of the file."""
    layout = request.layout
    steps = [
        _steps(w, size) for w, size in zip(request.wanted, layout.chunk, strict=True)
    ]
    grid = layout.grid
    for combination in itertools.product(*steps):
        numbers = [step[0] for step in combination]
        shard = tuple(n // g for n, g in zip(numbers, grid, strict=True))
        inner = [n % g for n, g in zip(numbers, grid, strict=True)]
        number = 0
        for position, size in zip(inner, grid, strict=True):
            number = number * size + position
        yield _Task(
            layout,
            layout.key(shard),
            number,
            tuple(step[1] for step in combination),
            request.out,
            tuple(step[2] for step in combination),
        )


def _steps(wanted: Wanted, size: int) -> list[tuple[int, _Places, _Places]]:
    """Cut what is wanted along an axis by chunks.

    Args:
        wanted: The places.
        size: Size of a chunk.

    Returns:
        Number of each chunk, places in it, and places in the result.
    """
    steps: list[tuple[int, _Places, _Places]] = []
    if isinstance(wanted, tuple):
        start, stop = wanted
        for chunk in range(start // size, -(-stop // size)):
            low, high = max(start, chunk * size), min(stop, (chunk + 1) * size)
            inside = slice(low - chunk * size, high - chunk * size)
            steps.append((chunk, inside, slice(low - start, high - start)))
        return steps
    chunks = wanted // size
    for chunk in np.unique(chunks).tolist():
        places = np.flatnonzero(chunks == chunk)
        steps.append((chunk, wanted[places] - chunk * size, places))
    return steps


def region_shape(wanted: Sequence[Wanted]) -> tuple[int, ...]:
    """Return the shape of what is wanted.

    Args:
        wanted: What is wanted along each axis.
    """
    return tuple(w[1] - w[0] if isinstance(w, tuple) else len(w) for w in wanted)
