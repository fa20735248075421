# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How verbs show that they are at work."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

#: Seconds between lines of progress where there is no terminal.
_INTERVAL = 30.0

_ERASE = '\r\x1b[K'


@contextmanager
def show_stages() -> Iterator[Callable[[str, float], None]]:
    """Show what is being done, on standard error.

    A terminal shows one line that changes, a file gets a line now and then, among them
    the end of each stage.

    Yields:
        A function that takes what is done and which share of it is.
    """
    is_terminal = sys.stderr.isatty()
    stage, start, shown = '', 0.0, 0.0

    def show(what: str, share: float) -> None:
        nonlocal stage, start, shown
        now = time.monotonic()
        is_new = what != stage
        if is_new:
            stage, start = what, now
        line = f'{what} {share:.0%}'
        if now - start > 1 and 0.02 < share < 1:
            line += f' ({(now - start) / share * (1 - share):.0f} s left)'
        if is_terminal:
            click.echo(_ERASE + line, nl=False, err=True)
        elif is_new or share >= 1 or now - shown > _INTERVAL:
            click.echo(line, err=True)
            shown = now

    try:
        yield show
    finally:
        if is_terminal:
            click.echo(_ERASE, nl=False, err=True)
