# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Kill a job again and again, and see what becomes of it."""

import io
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from robustness.jobs import Job
from robustness.killing import KILLED, Ended, contents, leftovers, run_forked

from torchgeo_hsi.io.store._folder import is_finished


class Killed(NamedTuple):
    """What became of a job that was killed, and of the same job after it.

    Args:
        moment: When it was killed: a number of an event, seconds, or bytes of a file.
        was_killed: False if it was done before.
        left: Unfinished folders that it left.
        outcome: ``'restarted'``, ``'resumed'`` or ``'finished before'``.
        needed_overwrite: Whether the second run had to be told to replace something.
        is_equal: Whether the result is that of a job that nobody killed, and nothing
            else is left.
        trouble: What went wrong, if anything.
    """

    moment: str
    was_killed: bool
    left: int
    outcome: str
    needed_overwrite: bool
    is_equal: bool
    trouble: str


class Bench:
    """A place where one job is run undisturbed, and then killed again and again.

    Args:
        job: The job.
        folder: An empty folder.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.inputs, self.out = folder / 'in', folder / 'out'
        self.inputs.mkdir(parents=True)
        made = run_forked(lambda: job.prepare(self.inputs) and None, self.inputs)
        assert made.status == 0, made.said
        self.undisturbed = self.run()
        assert self.undisturbed.status == 0, self.undisturbed.said
        self.expected = result(self.out)
        assert self.expected
        # such as the records of a verb
        self.kept = hidden(self.out)
        assert leftovers(self.out) == []

    def run(self, again: bool = False, **moment: Any) -> Ended:
        """Run the job in a fork."""
        self.out.mkdir(exist_ok=True)
        return run_forked(
            lambda: self.job.run(self.inputs, self.out, again), self.out, **moment
        )

    def moments(
        self, count: int, seed: int, timed: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Draw moments: events, spread over all of them, a half file, and some times."""
        rng = random.Random(seed)
        every = range(self.undisturbed.events)
        for number in sorted(rng.sample(every, min(count, len(every)))):
            yield {'event': number}
        yield {'written': self.half}
        for part in range(timed):
            share = (part + rng.random()) / timed
            yield {'seconds': 0.05 + share * self.undisturbed.seconds}

    @property
    def half(self) -> int:
        """Half of the largest file of the result, in bytes."""
        return max(len(content) for content in self.expected.values()) // 2

    def progress(self) -> tuple[int, list[str]]:
        """Tell how much there is to go on from, and what of it cannot be read."""
        try:
            return self.job.progress(self.out), []
        # whatever a half file leads to
        except Exception as error:  # noqa: BLE001
            return 0, [f'half written: {error!r}']

    def kill(self, **moment: Any) -> Killed:
        """Kill the job at a moment, look around, and run it again."""
        shutil.rmtree(self.out, ignore_errors=True)
        first = self.run(**moment)
        was_killed = first.status in KILLED
        words = ', '.join(f'{k} {v:.4g}' for k, v in moment.items())
        trouble = []
        if not was_killed and first.status != 0:
            trouble.append(f'status {first.status}: {first.said}')
        progress, broken = self.progress()
        trouble += broken
        found = {} if progress else result(self.out)
        for name, value in found.items():
            if name not in self.expected:
                trouble.append(f'{name} is not one of the results')
            elif not same(name, value, self.expected[name]):
                trouble.append(f'{name} is half written')
        left = leftovers(self.out)
        make_old(self.out)
        second, needed = self.run(), False
        if second.status == 1 and found:
            # what is complete is not replaced unless it is said so
            second, needed = self.run(again=True), True
        outcome = 'resumed' if progress else 'finished before' if found else 'restarted'
        if second.status:
            trouble.append(f'again: status {second.status}: {second.said}')
        after = result(self.out)
        is_equal = after.keys() == self.expected.keys() and all(
            same(name, after[name], self.expected[name]) for name in after
        )
        if rest := sorted(hidden(self.out) - self.kept):
            trouble.append(f'left: {rest}')
        return Killed(
            words, was_killed, len(left), outcome, needed, is_equal, '; '.join(trouble)
        )


def hidden(folder: Path) -> set[str]:
    """List files and folders whose names begin with a dot."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob('.*')}


def make_old(folder: Path) -> None:
    """Let some time pass: what is a minute old and has no owner is a leftover."""
    for path in folder.rglob('.*.part'):
        os.utime(path, (0, 0))


def result(folder: Path) -> dict[str, Any]:
    """Read what is finished below a folder."""
    found: dict[str, Any] = {}
    for name, content in contents(folder).items():
        top = folder / name.partition('/')[0]
        stores = [top, *(p for p in (folder / name).parents if p.suffix == '.zarr')]
        if any((p / '.unfinished.json').exists() for p in stores):
            # a store that is being written says so, and no reader takes it
            assert not any(is_finished(p) for p in stores)
            continue
        found[name] = content
    return found


def same(name: str, one: bytes, other: bytes) -> bool:
    """Compare two files, and of checkpoints what they hold: they have times, too."""
    if name.endswith('.json'):
        return timeless(json.loads(one)) == timeless(json.loads(other))
    if not name.endswith('.ckpt'):
        return one == other
    first, second = (torch.load(io.BytesIO(f), weights_only=True) for f in (one, other))
    return all(
        torch.equal(value, second['state_dict'][key])
        for key, value in first['state_dict'].items()
    ) and all(first[key] == second[key] for key in ('global_step', 'epoch'))


def timeless(content: Any) -> Any:
    """Leave out of a report how long something took, and where it is."""
    if isinstance(content, dict):
        kept = {
            k: v for k, v in content.items() if k != 'output' and 'seconds' not in k
        }
        return {k: timeless(v) for k, v in kept.items()}
    return content
