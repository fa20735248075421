# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What verbs that work on many files share: options and the end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ._arguments import with_options
from ._output import echo_done, echo_json, size_of
from ._words import in_options

if TYPE_CHECKING:
    from ..jobs import JobFailure, JobReport

#: Exit code of a verb that did its work, but not on every file.
SOME_FAILED = 3

#: Options of :func:`~torchgeo_hsi.jobs.run_jobs`: the verb gets *workers*, *scheduler*
#: and *retries*.
job_options = with_options(
    (
        click.option(
            '--workers',
            type=click.IntRange(min=0),
            metavar='N',
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
            metavar='N',
            help='How often a file that failed is tried again.',
        ),
    )
)


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


def tell_scenes(
    report: 'JobReport[Any]',
    total: int,
    folder: str,
    what: str,
    as_json: bool,
    done: str = 'written',
) -> None:
    """Say what was written for each of many scenes.

    Args:
        report: What came out of the scenes that were not finished before.
        total: Number of all scenes.
        folder: Folder of the outputs.
        what: What was written, in the plural.
        as_json: Whether to print JSON.
        done: What was done with them.
    """
    skipped = total - len(report.results)
    if as_json:
        echo_json(
            {
                'output': folder,
                'written': report.succeeded,
                'skipped': skipped,
                'failed': [vars(failure) for failure in report.failures],
                'bytes': size_of(folder),
                'seconds': report.seconds,
            }
        )
        return
    there = f', {skipped} there already' if skipped else ''
    count = len(report.succeeded)
    noun = what.removesuffix('s') if count == 1 else what
    echo_done(f'{count} {noun} {done}{there}', folder, report.seconds)


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
    ctx = click.get_current_context()
    click.echo(f'Failed {what}, which were left out: {len(failures)}', err=True)
    for failure in failures:
        click.echo(f'  {in_options(str(failure), ctx)}', err=True)
    raise click.exceptions.Exit(SOME_FAILED)
