# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Run jobs on disks that are full, and see what they say and leave."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from robustness.bench import Bench, hidden, result, same
from robustness.killing import Ended, contents

#: Size of a small disk in bytes.
_SIZE = 16 * 2**20


class Refusal(NamedTuple):
    """What a job did on a full disk.

    Args:
        room: Bytes that a file could have, or that were free.
        was_old: Whether there was a result before.
        ended: How it ended, 0 if there was room enough.
        said: What it told its user.
        trouble: What went wrong, if anything.
    """

    room: int
    was_old: bool
    ended: int
    said: str
    trouble: str


def try_sizes(bench: Bench, shares: list[float]) -> Iterator[Refusal]:
    """Run a job where files can have a part of their size only.

    Args:
        bench: The job.
        shares: Parts of the largest file of the result; above 1 for files on the way.

    Yields:
        What it did, without and with an older result.
    """
    largest = max(len(content) for content in bench.expected.values())
    for share in shares:
        room = int(share * largest)
        for was_old in (False, True):
            if was_old and bench.job.goes_on:
                continue
            shutil.rmtree(bench.out, ignore_errors=True)
            if was_old:
                bench.run()
            ended = bench.run(again=was_old, file_size=room)
            yield judge(bench, room, was_old, ended)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk for a while.

    Args:
        folder: Where to mount it; it is created.

    Yields:
        The folder, or None where that is not allowed.
    """
    folder.mkdir()
    words = ['mount', '-t', 'tmpfs', '-o', f'size={_SIZE}', 'tmpfs', str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, check=False).returncode
    except OSError:
        done = 1
    try:
        yield None if done else folder
    finally:
        if not done:
            subprocess.run(['umount', '-l', str(folder)], check=True)


def try_rooms(bench: Bench, disk: Path, rooms: list[int]) -> Iterator[Refusal]:
    """Run a job on a disk that has a given room.

    Args:
        bench: The job; its outputs go to the disk from now on.
        disk: The disk.
        rooms: Free bytes.

    Yields:
        What it did, without and with an older result.
    """
    bench.out = disk / 'out'
    ballast = disk / 'ballast'
    for room in rooms:
        for was_old in (False, True):
            if was_old and bench.job.goes_on:
                continue
            shutil.rmtree(bench.out, ignore_errors=True)
            bench.out.mkdir()
            if was_old:
                bench.run()
            free = shutil.disk_usage(disk).free
            with ballast.open('wb') as file:
                os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
            ended = bench.run(again=was_old)
            ballast.unlink()
            yield judge(bench, room, was_old, ended)


def judge(bench: Bench, room: int, was_old: bool, ended: Ended) -> Refusal:
    """See what a job left on a full disk, and whether what it said helps.

    Args:
        bench: The job; one that goes on does so, with room enough by now.
        room: Bytes that there were.
        was_old: Whether there was a result before.
        ended: How the job ended.

    Returns:
        All that.
    """
    progress, trouble = bench.progress()
    found = result(bench.out)
    if ended.status:
        if not ended.said.startswith(('OutputError: ', 'Refused: Error: ')):
            trouble.append('not our own error')
        if 'ree some space' not in ended.said or 'free' not in ended.said:
            trouble.append('no remedy')
        if not was_old and found and not progress:
            # one of several results may be complete
            bad = [n for n in found if not same(n, found[n], bench.expected[n])]
            if bad:
                trouble.append(f'half written: {bad}')
        # a store that is not finished has whole files, too
        parts = {n: c for n, c in contents(bench.out).items() if n not in found}
        if bad := [n for n in parts if parts[n] != bench.expected.get(n)]:
            trouble.append(f'half written in a store: {bad}')
    if (was_old or not ended.status) and found.keys() != bench.expected.keys():
        trouble.append('results are missing')
    if was_old or not ended.status:
        changed = [
            name
            for name, content in found.items()
            if not same(name, content, bench.expected[name])
        ]
        if changed:
            trouble.append(f'changed: {changed}')
    rest = [name for name in hidden(bench.out) if name.endswith('.part')]
    if rest:
        trouble.append(f'left: {rest}')
    if bench.job.goes_on and ended.status:
        trouble += _go_on(bench)
    return Refusal(room, was_old, ended.status, ended.said, '; '.join(trouble))


def _go_on(bench: Bench) -> list[str]:
    """Run a job again after a full disk, and see whether its result is as ever."""
    ended = bench.run()
    if ended.status:
        return [f'does not go on: {ended.said}']
    found = result(bench.out)
    if found.keys() != bench.expected.keys():
        return ['goes on, and results are missing']
    other = [n for n in found if not same(n, found[n], bench.expected[n])]
    return [f'goes on, and gives another {other}'] if other else []
