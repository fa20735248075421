# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What verbs that work on many files share: options, progress and the end."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..jobs import JobFailure, JobProgress

#: Exit code of a verb that did its work, but not on every file.
SOME_FAILED = 3

#: Seconds between lines of progress where there is no terminal.
_INTERVAL = 30.0

_ERASE = '\r\x1b[K'


def job_options[F: Callable[..., Any]](command: F) -> F:
    """Add the options of :func:`~torchgeo_hsi.jobs.run_jobs` to a verb.

    Args:
        command: The verb; gets ``workers``, ``scheduler`` and ``retries``.

    Returns:
        The verb.
    """
    options = (
        click.option(
            '--workers',
            type=click.IntRange(min=0),
            help='Processes on this machine; one for each CPU by default, 0 or 1 for '
            'this process alone.',
        ),
        click.option(
            '--scheduler',
            metavar='ADDRESS',
            help='Use the workers of a Dask scheduler, e.g. tcp://10.0.0.1:8786.',
        ),
        click.option(
            '--retries',
            type=click.IntRange(min=0),
            default=2,
            show_default=True,
            help='How often a file that failed is tried again.',
        ),
    )
    decorated: Any = command
    for option in reversed(options):
        decorated = option(decorated)
    result: F = decorated
    return result


def check_job_options(workers: int | None, scheduler: str | None) -> None:
    """Refuse options that contradict each other.

    Args:
        workers: Number of processes, or None.
        scheduler: Address of a scheduler, or None.

    Raises:
        click.UsageError: If there are both.
    """
    if workers is not None and scheduler is not None:
        raise click.UsageError(
            '--workers are processes of this machine; the workers of --scheduler are '
            'those that it has. Leave one of the two out.'
        )


@contextmanager
def show_progress(label: str) -> Iterator[Callable[['JobProgress'], None]]:
    """Show how far the work is, on standard error.

    A terminal shows one line that changes, a file gets a line now and then.

    Args:
        label: What is being done.

    Yields:
        The function to pass as ``progress=``.
    """
    is_terminal = sys.stderr.isatty()
    start = shown = time.monotonic()
    is_first = True

    def show(progress: 'JobProgress') -> None:
        nonlocal shown, is_first
        now = time.monotonic()
        if is_terminal:
            line = f'{label} {progress}{_remaining(progress, now - start)}'
            # a line that wraps could not be erased
            columns = shutil.get_terminal_size().columns - 1
            click.echo(_ERASE + line[:columns], nl=False, err=True)
        elif is_first or now - shown > _INTERVAL:
            click.echo(f'{label} {progress}', err=True)
            shown, is_first = now, False

    try:
        yield show
    finally:
        if is_terminal:
            click.echo(_ERASE, nl=False, err=True)


def _remaining(progress: 'JobProgress', seconds: float) -> str:
    """Say how long it will take, once there is something to tell by."""
    settled = progress.done + progress.failed
    left = progress.total - settled
    if settled < 2 or not left:
        return ''
    return f' ({seconds / settled * left:.0f} s left)'


def finish(failures: Sequence['JobFailure'], what: str) -> None:
    """Name what failed, and end with its exit code.

    Args:
        failures: What failed; nothing happens if it is empty.
        what: What was worked on, in the plural.

    Raises:
        click.exceptions.Exit: With code 3, if something failed.
    """
    if not failures:
        return
    click.echo(f'Failed {what}, which were left out: {len(failures)}', err=True)
    for failure in failures:
        click.echo(f'  {failure}', err=True)
    raise click.exceptions.Exit(SOME_FAILED)
