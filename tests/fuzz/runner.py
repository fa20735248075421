# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Open hostile inputs in processes of their own, and judge what became of them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from fuzz.case import ABOVE, READ, REFUSED, Case

#: Bounds of the time of the processor in seconds, and of memory in MiB.
SECONDS, MEBIBYTES = 5.0, 300.0
#: Longest message: the content of a file is none.
_LONGEST = 2500

#: What a message tells to do.
_REMEDY = re.compile(
    r'\b(add|ask|check|choose|convert|copy|correct|delete|download|export|get|give|'
    r'install|keep|leave|linked|make|merge|move|name|open|order|pass|rename|remove|replace|'
    r'resample|run|save|say|select|set|take|train|unpack|update|use|write)\b',
    re.IGNORECASE,
)
#: Folders of outputs, and of copies of what is changed in place.
_OUT, _WORK = f'out{os.sep}', f'work{os.sep}'
#: Outputs that stay after an error.
_KEPT = (f'{_OUT}tree', f'{_OUT}manifest')
#: Content of files that no input may reach.
SECRET = 'torchgeo-hsi fuzz secret'


class Runner:
    """The process that opens inputs; use as a context manager.

    Args:
        folder: Where inputs are made.
    """

    def __init__(self, folder: Path) -> None:
        """Initialize a new Runner instance."""
        self.folder = folder
        tests = Path(__file__).resolve().parents[1]
        paths = [str(tests), str(tests.parent), os.environ.get('PYTHONPATH', '')]
        # threads do not survive a fork
        single = dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), '1')
        environment = os.environ | single | {'MKL_NUM_THREADS': '1'}
        environment['PYTHONPATH'] = os.pathsep.join(filter(None, paths))
        with (folder / 'worker.log').open('wb') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-W', 'ignore', '-m', 'fuzz.worker', str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
            )
        self._number = 0

    def run(self, case: Case) -> dict[str, Any]:
        """Open an input.

        Args:
            case: The input.

        Returns:
            What became of it: the error, time, memory, and what was written.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case.id) + '\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            log = (self.folder / 'worker.log').read_text(errors='replace')
            raise RuntimeError(f'The process of the inputs is gone: {log[-4000:]}')
        place = self.folder / ABOVE / str(self._number)
        shutil.rmtree(place, ignore_errors=True)
        self._number += 1
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        """Return the runner."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def judge(case: Case, found: dict[str, Any]) -> list[str]:
    """Tell what is wrong with the end of a case.

    Args:
        case: The input.
        found: What :meth:`Runner.run` returned.

    Returns:
        Complaints; none if all is well.
    """
    for end in ('broken', 'hung', 'killed'):
        if end in found:
            return [f'{end}: {found[end]}']
    wrong = []
    if found['seconds'] > SECONDS:
        wrong.append(f'took {found["seconds"]:.1f} s')
    if found['memory'] > MEBIBYTES:
        wrong.append(f'took {found["memory"]:.0f} MiB')
    wrong += [f'changed {n}' for n in found['changed'] if not _may_write(n)]
    wrong += [f'wrote {name}' for name in found['new'] if not _may_write(name)]
    if found['error'] is None:
        return [*wrong, 'was read'] if case.outcome == REFUSED else wrong
    wrong += [f'left {name}' for name in found['new'] if not _may_stay(name)]
    if case.outcome == READ:
        wrong.append(f'is not read: {found["error"]}: {found["message"][:300]}')
    return wrong + _complain(found)


def _may_write(name: str) -> bool:
    """Whole files into the folder of outputs or a copy, and nothing else."""
    return name.startswith((_OUT, _WORK)) and not name.endswith('.part')


def _may_stay(name: str) -> bool:
    """What was written is whole in spite of an error: its readers have looked at it.

    Archives go on with the files that were extracted, and a tree of patches with its
    list of them. Copies of what is finished in place lie elsewhere.
    """
    return not name.startswith(_OUT) or name.startswith(_KEPT)


def _complain(found: dict[str, Any]) -> list[str]:
    """Tell what is wrong with an error."""
    text = found['message']
    wrong = []
    if not found['own'] and not found['missing']:
        wrong.append(f'raised {found["traceback"]}')
    named = [found['path'], Path(found['path']).name, *found['names']]
    # messages may show a name as Python writes it
    named += [repr(name)[1:-1] for name in named]
    if not any(name and name in text for name in named):
        wrong.append(f'does not name the file: {text[:300]}')
    if not _REMEDY.search(text):
        wrong.append(f'says no remedy: {text[:300]}')
    if len(text) > _LONGEST:
        wrong.append(f'says too much: {len(text)} characters, {text[:300]}')
    if SECRET in text:
        wrong.append('shows what it must not read')
    return wrong


__all__ = ('READ', 'Runner', 'judge')
