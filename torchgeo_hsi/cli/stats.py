# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi stats``: band statistics of any dataset, in a file for data modules."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CorruptFileError, HSIError, HSIWarning, OutputError
from ..jobs import JobFailure
from ._arguments import FiniteRange
from ._dataset import CONTEXT, choose_dataset, dataset_options, split_arguments
from ._jobs import check_job_options, finish, job_options
from ._options import (
    dry_run_option,
    json_option,
    output_option,
    overwrite_option,
    quiet_option,
)
from ._output import (
    check_free,
    check_not_inputs,
    echo_done,
    echo_fields,
    echo_json,
    echo_table,
    is_quiet,
    size_of,
)
from ._plan import show_plan
from ._progress import show_jobs
from ._verb import Verb

if TYPE_CHECKING:
    from ..physics.statistics import BandSummary
    from ._dataset import DatasetChoice

#: Arguments with which datasets give every file as it is, unless the user sets them.
_WHOLE = {'SpectralEarth': {'item': 'patch', 'dtype': 'int16', 'strict': True}}


@click.command(
    cls=Verb,
    context_settings=CONTEXT,
    short_help='Compute band statistics of a dataset.',
    examples=(
        'torchgeo-hsi stats scenes --output stats.json --workers 8',
        'torchgeo-hsi stats --dataset SpectralEarthCDL --dataset.root data -o cdl.json',
    ),
)
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[INPUT]...')
@output_option('JSON file for statistics= of data modules')
@dataset_options
@click.option(
    '--nodata',
    type=float,
    metavar='VALUE',
    help='Value without data, where samples do not say it.',
)
@click.option(
    '--accuracy',
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    metavar='SHARE',
    help='Bound of the relative error of quantiles.',
)
@click.option(
    '--covariance/--no-covariance',
    default=True,
    show_default=True,
    help='Compute the covariance, which is most of the work and of the file.',
)
@overwrite_option
@dry_run_option
@job_options
@json_option
@quiet_option
def stats(
    args: tuple[str, ...],
    output: str,
    dataset: str | None,
    config: str | None,
    splits: str | None,
    nodata: float | None,
    accuracy: float,
    covariance: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    **jobs: Any,
) -> None:
    """Compute the mean, deviation, quantiles and covariance of each band.

    INPUT are scenes, cubes, stores of scenes, folders of these, or a store of patches.
    Any other dataset is named by --dataset, e.g. "--dataset SpectralEarthCDL
    --dataset.root data --splits train".
    Only valid pixels count. The file is what data modules take as statistics=.
    """
    check_job_options(jobs['workers'], jobs['scheduler'])
    start = time.monotonic()
    paths, options = split_arguments(args)
    check_not_inputs([output], [*paths, *([] if config is None else [config])])
    check_output(output)
    check_free([output], overwrite or dry_run)
    damaged: list[JobFailure] = []
    if dataset is None and config is None:
        paths, damaged = leave_damaged_out(paths)
    choice = _choose(dataset, config, options, paths)
    names = [name for name in (splits or '').split(',') if name]
    choices = [choice.with_split(name) for name in names] or [choice]
    if dry_run:
        notes = [f'{_describe(c, ())}: {len(c.open())} samples' for c in choices]
        show_plan(paths, {output: None}, overwrite, as_json, notes)
        return
    _make_folder(output)
    # torchgeo takes seconds to import, and none is needed for a wrong option
    from ..datamodules import dataset_statistics
    from ..io import write_statistics_file

    with show_jobs('Reading', 'samples') as progress:
        summary, failures = dataset_statistics(
            [each.open() for each in choices],
            nodata=nodata,
            covariance=covariance,
            accuracy=accuracy,
            progress=progress,
            source=_describe(choice, names),
            **jobs,
        )
    write_statistics_file(output, summary)
    lost = [*damaged, *failures]
    _tell(summary, output, time.monotonic() - start, lost, as_json)
    finish(lost, 'scenes and samples' if damaged else 'samples')


def _choose(
    dataset: str | None, config: str | None, options: list[str], paths: list[str]
) -> 'DatasetChoice':
    """Choose a dataset, whose files are taken as they are."""
    choice = choose_dataset(dataset, config, options, paths)
    whole = _WHOLE.get(choice.cls.__name__, {})
    return replace(choice, arguments={**whole, **choice.arguments})


def leave_damaged_out(paths: list[str]) -> tuple[list[str], list[JobFailure]]:
    """Leave scenes out that cannot be opened.

    Args:
        paths: Files or folders.

    Returns:
        The scenes that can be opened, and what is wrong with the others; *paths* as
        they are if nothing, or all, is wrong.
    """
    from ..io import open_cube
    from ._scenes import find_scenes

    try:
        scenes = find_scenes(paths)
    except (HSIError, OSError):
        return paths, []
    sound, failures = [], []
    with warnings.catch_warnings():
        # the dataset says it again
        warnings.simplefilter('ignore', HSIWarning)
        for index, scene in enumerate(scenes):
            try:
                with open_cube(scene.path):
                    sound.append(scene.path)
            except (CorruptFileError, FileNotFoundError) as error:
                told = f'{type(error).__name__}: {error}'
                failures.append(JobFailure(index, scene.name, told, 1, ''))
            except (HSIError, OSError, ImportError):
                # what is missing, such as a unit, is told by the dataset
                sound.append(scene.path)
    return (sound, failures) if sound and failures else (paths, [])


def check_output(output: str) -> None:
    """Find out before the work whether its result can be written.

    Args:
        output: The file.

    Raises:
        OutputError: If it cannot.
    """
    if os.path.isfile(output):
        with open(output, 'rb') as file:
            start = file.read(1)
        if start not in (b'', b'{'):
            raise OutputError(
                f'{output} is there already and holds no statistics. Choose another '
                'name, such as statistics.json.'
            )


def _make_folder(output: str) -> None:
    """Make the folder of the result before the work that it takes."""
    folder = Path(output).absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f'{folder} cannot be made: {error.strerror}. Choose another place for '
            f'{output}.'
        ) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(
            f'{output} cannot be written: you may not write to {folder}. Choose another '
            'folder.'
        )


def _tell(
    summary: 'BandSummary',
    output: str,
    seconds: float,
    failures: Sequence[JobFailure],
    as_json: bool,
) -> None:
    """Say what came out."""
    if as_json:
        echo_json(
            {
                'output': output,
                'dataset': summary.source,
                'bands': len(summary.names),
                'pixels': int(summary.pixels),
                'valid': float(summary.valid_share.max()),
                'failed': [vars(failure) for failure in failures],
                'bytes': size_of(output),
                'seconds': seconds,
            }
        )
    elif not is_quiet():
        _show(summary)
        echo_done('Statistics written', output, seconds)


def _describe(choice: 'DatasetChoice', splits: Sequence[str]) -> str:
    """Say what the statistics are of, for the file."""
    arguments = {**choice.arguments, **({'split': list(splits)} if splits else {})}
    words = ', '.join(f'{name}={value!r}' for name, value in arguments.items())
    return f'{choice.cls.__name__}({words})'


def _show(summary: 'BandSummary') -> None:
    """Print the statistics of a few bands, spread over the spectrum."""
    echo_fields(
        [
            ('dataset', summary.source),
            ('bands', str(len(summary.names))),
            ('pixels', f'{summary.pixels:,}'),
            ('valid', f'{summary.valid_share.max():.1%}'),
            *_gaps(summary),
        ]
    )
    count = len(summary.names)
    shown = sorted({round(i * (count - 1) / 5) for i in range(6)})
    low, high = summary.quantiles[0.01], summary.quantiles[0.99]
    wavelength = summary.wavelength
    rows = [
        [
            summary.names[i],
            '' if wavelength is None else f'{wavelength[i]:.4f}',
            *(f'{v[i]:.6g}' for v in (summary.mean, summary.std, low, high)),
        ]
        for i in shown
    ]
    echo_table(['band', 'µm', 'mean', 'std', '1 %', '99 %'], rows)


def _gaps(summary: 'BandSummary') -> list[tuple[str, str]]:
    """Tell bands that lack numbers, if there are any."""
    empty = [n for n, k in zip(summary.names, summary.count, strict=True) if not k]
    fields = []
    if empty:
        fields.append(('without a value', f'{len(empty)}: {", ".join(empty)}'))
    elif summary.count.min() < summary.count.max():
        fields.append(('valid at least', f'{summary.valid_share.min():.1%}'))
    return fields


COMMANDS = (stats,)
