# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A process that opens each hostile input in a fork of itself.

A crash of the interpreter, a hang or an allocation without end is so the end of one
fork, and is reported. Run by :class:`fuzz.runner.Runner`; names of cases come in, and
what became of them goes out, one JSON object in each line.
"""

import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.case import ABOVE, Case
from fuzz.cases import all_cases
from fuzz.valid import MAKERS

#: Address space that a fork may take more than it began with, MiB.
ROOM = 1024
#: Seconds on the wall after which a fork hangs: the machine may be busy.
PATIENCE = 60

_LIGHT = (
    'h5py',
    'imagecodecs',
    'numcodecs.blosc',
    'rasterio.warp',
    'safetensors.torch',
    'scipy.io',
    'torch',
    'torchgeo_hsi.io',
    'torchgeo_hsi.models',
    'torchgeo_hsi.physics.gases',
)
_HEAVY = ('geopandas', 'pyogrio', 'torchgeo_hsi.datasets', 'torchgeo_hsi.datamodules')

#: Where the one archive with an absolute name writes if it is let.
ESCAPED = Path('/tmp/torchgeo_hsi_escaped.txt')
#: What the process itself writes.
LOG = 'worker.log'

#: Files of a folder, with what tells that they were changed.
type Listing = dict[str, tuple[int, int, str]]


def listing(top: Path, folder: Path) -> Listing:
    """List all below the top by names from the folder; links are not followed."""
    found: Listing = {}
    for root, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(root, name)
            if name == LOG:
                continue
            state = os.lstat(path)
            is_folder = name in folders and not os.path.islink(path)
            # a folder changes with its files, which are listed themselves
            marks = (0, 0) if is_folder else (state.st_size, state.st_mtime_ns)
            target = os.readlink(path) if os.path.islink(path) else ''
            found[os.path.relpath(path, folder)] = (*marks, target)
    return found


def memory(field: str) -> float:
    """Return a figure of this process in MiB; 0 where the system does not tell."""
    status = Path('/proc/self/status')
    if not status.exists():
        return 0.0
    lines = status.read_text(encoding='utf-8').splitlines()
    return next(int(s.split()[1]) / 1024 for s in lines if s.startswith(field))


def measure(case: Case, folder: Path, valid: Path) -> dict[str, Any]:
    """Build an input, open it, and tell what became of it."""
    place, top = folder / 'in', valid.parents[1]
    for name in ('in', 'here', 'out', 'work', 'home', 'temporary'):
        (folder / name).mkdir(parents=True)
    path = case.build(place, valid)
    os.chdir(folder / 'here')
    # whatever goes to the folders of the user and of the system is seen as well
    os.environ |= {'HOME': f'{folder}/home', 'TMPDIR': f'{folder}/temporary'}
    tempfile.tempdir = None
    before = listing(top, folder)
    marks = Path('/proc/self/clear_refs')
    if marks.exists():
        # the peak begins anew
        marks.write_text('5', encoding='ascii')
        limit = int((memory('VmSize') + ROOM) * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    start = memory('VmRSS')
    wall, processor = time.perf_counter(), time.process_time()
    error: BaseException | None = None
    try:
        case.open(path)
    # whatever it is, it is told
    except BaseException as raised:  # noqa: BLE001
        error = raised
    used = time.process_time() - processor
    found: dict[str, Any] = {
        'seconds': used,
        'wall': time.perf_counter() - wall,
        'memory': max(memory('VmHWM') - start, 0.0),
        'path': os.fsencode(path).decode('utf-8', errors='replace'),
        **describe(error),
    }
    after = listing(top, folder)
    found['changed'] = sorted(k for k in before if before[k] != after.get(k))
    found['new'] = sorted(after.keys() - before.keys())
    found['new'] += [str(path) for path in ESCAPED.parent.glob(f'{ESCAPED.name}*')]
    inputs = [Path(name) for name in before if name.startswith(f'in{os.sep}')]
    found['names'] = sorted({name.name for name in inputs})
    return found


def describe(error: BaseException | None) -> dict[str, Any]:
    """Tell what was raised."""
    if error is None:
        return {'error': None}
    from torchgeo_hsi.errors import HSIError

    return {
        'error': type(error).__name__,
        'own': isinstance(error, HSIError),
        'missing': type(error) is FileNotFoundError,
        'message': str(error),
        'traceback': ''.join(traceback.format_exception(error))[-4000:],
    }


def in_fork(job: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do something in a fork; what it could not tell is told for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            answer = job()
        except BaseException:  # noqa: BLE001
            answer = {'broken': traceback.format_exc()[-4000:]}
        with os.fdopen(writer, 'wb') as stream:
            stream.write(json.dumps(answer).encode('utf-8', errors='replace'))
        # nothing of the parent is to be tidied up twice
        os._exit(0)
    os.close(writer)
    parts, end = [], time.monotonic() + PATIENCE
    while True:
        if not select.select([reader], [], [], max(end - time.monotonic(), 0))[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            return {'hung': PATIENCE}
        part = os.read(reader, 1 << 16)
        if not part:
            break
        parts.append(part)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {'killed': signal.Signals(os.WTERMSIG(status)).name}
    answer: dict[str, Any] = json.loads(b''.join(parts))
    return answer


def main() -> None:
    """Answer until there are no more questions."""
    root = Path(sys.argv[1])
    # what libraries print must not get into the answers
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    for name in _LIGHT:
        importlib.import_module(name)
    cases = {case.id: case for case in all_cases()}
    heavy = False
    for number, line in enumerate(sys.stdin):
        case = cases[json.loads(line)]
        if case.heavy and not heavy:
            heavy = True
            for name in _HEAVY:
                importlib.import_module(name)
        valid = root / 'valid' / case.valid
        if not valid.exists():
            made = valid.with_suffix('.part')

            def make(case: Case = case, made: Path = made) -> dict[str, Any]:
                shutil.rmtree(made, ignore_errors=True)
                made.mkdir(parents=True)
                MAKERS[case.valid](made)
                return {}

            problem = in_fork(make)
            if problem:
                print(json.dumps(problem), file=answers, flush=True)
                continue
            made.rename(valid)
        folder = root / ABOVE / str(number)
        answer = in_fork(lambda c=case, f=folder, v=valid: measure(c, f, v))
        print(json.dumps(answer), file=answers, flush=True)
    # to tidy up what was imported takes seconds
    os._exit(0)


if __name__ == '__main__':
    main()
