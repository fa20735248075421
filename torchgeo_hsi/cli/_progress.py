# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How verbs show that they are at work: one line on a terminal, and nothing elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ._output import is_quiet, say_time

if TYPE_CHECKING:
    from ..jobs import JobProgress

_ERASE = '\r\x1b[K'

#: Share and seconds from which on the rest of the time can be told.
_TELLING = (0.02, 1.0)


class _Line:
    """A line on standard error that changes; silent where nobody looks at it."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty() and not is_quiet()

    def show(self, text: str) -> None:
        """Show a text instead of the one before."""
        if self.is_shown:
            # a line that wraps could not be erased
            columns = shutil.get_terminal_size().columns - 1
            click.echo(_ERASE + text[:columns], nl=False, err=True)

    def erase(self) -> None:
        """Leave an empty line."""
        if self.is_shown:
            click.echo(_ERASE, nl=False, err=True)


def pace(seconds: float, share: float, amount: float | None, unit: str) -> str:
    """Say how fast the work is and how long it will take.

    Args:
        seconds: How long it has taken so far.
        share: Which share of it is done.
        amount: How much the whole of it is, or None if that is not known.
        unit: Unit of the amount.

    Returns:
        Words such as ``' (12.5 MB/s, 40 s left)'``; empty if it is too early to tell.
    """
    least, soon = _TELLING
    if seconds < soon or not least < share < 1:
        return ''
    words = []
    if amount is not None:
        words.append(f'{amount * share / seconds:.1f} {unit}/s')
    left = seconds / share * (1 - share)
    words.append(f'{say_time(left)} left')
    return f' ({", ".join(words)})'


@contextmanager
def show_stages(
    size: Callable[[], float] | None = None,
) -> Iterator[Callable[[str, float], None]]:
    """Show what is being done, on standard error.

    Args:
        size: Returns how many bytes are gone through in each stage, for the rate. It is
            called where the rate is shown, and nowhere else.

    Yields:
        A function that takes what is done and which share of it is.
    """
    line = _Line()
    stage, start = '', 0.0
    megabytes = size() / 1e6 if size is not None and line.is_shown else None

    def show(what: str, share: float) -> None:
        nonlocal stage, start
        now = time.monotonic()
        if what != stage:
            stage, start = what, now
        line.show(f'{what} {share:.0%}{pace(now - start, share, megabytes, "MB")}')

    try:
        yield show
    finally:
        line.erase()


@contextmanager
def show_counts(unit: str) -> Iterator[Callable[[str, int], None]]:
    """Show how much is done of what nobody can count before, on standard error.

    Args:
        unit: What is counted, in the plural.

    Yields:
        A function that takes what is being done, and how many of them are done.
    """
    line = _Line()
    stage, start = '', 0.0

    def show(what: str, count: int) -> None:
        nonlocal stage, start
        now = time.monotonic()
        if what != stage:
            stage, start = what, now
        seconds = now - start
        rate = f' ({count / seconds:.1f} {unit}/s)' if seconds >= _TELLING[1] else ''
        line.show(f'{what}: {count} {unit}{rate}')

    try:
        yield show
    finally:
        line.erase()


@contextmanager
def show_jobs(label: str, unit: str) -> Iterator[Callable[['JobProgress'], None]]:
    """Show how far work over many files is, on standard error.

    Args:
        label: What is being done.
        unit: What the files are, in the plural.

    Yields:
        The function to pass as ``progress=``.
    """
    line = _Line()
    start = time.monotonic()

    def show(progress: 'JobProgress') -> None:
        total = progress.total
        share = (progress.done + progress.failed) / total if total else 1.0
        rate = pace(time.monotonic() - start, share, total, unit)
        line.show(f'{label} {progress}{rate}')

    try:
        yield show
    finally:
        line.erase()
