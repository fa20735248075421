# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi stats``: band statistics of any dataset, in a file for data modules."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CorruptFileError, HSIError, HSIWarning, OutputError
from ..jobs import JobFailure
from ._dataset import CONTEXT, choose_dataset, dataset_options, split_arguments
from ._jobs import check_job_options, finish, job_options, show_progress
from ._output import check_not_inputs, echo_fields, echo_table

if TYPE_CHECKING:
    from ..physics.statistics import BandSummary
    from ._dataset import DatasetChoice

#: Arguments with which datasets give every file as it is, unless the user sets them.
_WHOLE = {'SpectralEarth': {'item': 'patch', 'dtype': 'int16', 'strict': True}}


@click.command(
    context_settings=CONTEXT, short_help='Compute band statistics of a dataset.'
)
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[PATH]...')
@click.option(
    '--output',
    '-o',
    required=True,
    type=click.Path(dir_okay=False, writable=True),
    help='JSON file to write.',
)
@dataset_options
@click.option(
    '--splits', metavar='NAME,NAME', help='Splits of the dataset, e.g. train.'
)
@click.option(
    '--nodata', type=float, help='Value without data, where samples do not say it.'
)
@click.option(
    '--accuracy',
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help='Bound of the relative error of quantiles.',
)
@click.option('--no-covariance', is_flag=True, help='Leave out the covariance.')
@job_options
def stats(
    args: tuple[str, ...],
    output: str,
    dataset: str | None,
    config: str | None,
    splits: str | None,
    nodata: float | None,
    accuracy: float,
    no_covariance: bool,
    **jobs: Any,
) -> None:
    """Compute the mean, deviation, quantiles and covariance of each band.

    PATHs are scenes, cubes, folders of these, or a store. Any other dataset is named by
    --dataset, e.g. "--dataset SpectralEarthCDL --dataset.root data --splits train".
    Only valid pixels count. The file is what data modules take as statistics=.
    """
    check_job_options(jobs['workers'], jobs['scheduler'])
    check_output(output)
    paths, options = split_arguments(args)
    check_not_inputs([output], [*paths, *([] if config is None else [config])])
    damaged: list[JobFailure] = []
    if dataset is None and config is None:
        paths, damaged = leave_damaged_out(paths)
    choice = choose_dataset(dataset, config, options, paths)
    whole = _WHOLE.get(choice.cls.__name__, {})
    choice = replace(choice, arguments={**whole, **choice.arguments})
    names = [name for name in (splits or '').split(',') if name]
    choices = [choice.with_split(name) for name in names] or [choice]
    # torchgeo takes seconds to import, and none is needed for a wrong option
    from ..datamodules import dataset_statistics
    from ..io import write_statistics_file

    with show_progress('Reading') as progress:
        summary, failures = dataset_statistics(
            [each.open() for each in choices],
            nodata=nodata,
            covariance=not no_covariance,
            accuracy=accuracy,
            progress=progress,
            source=_describe(choice, names),
            **jobs,
        )
    write_statistics_file(output, summary)
    _show(summary)
    click.echo(f'Statistics in {output}')
    finish([*damaged, *failures], 'scenes and samples' if damaged else 'samples')


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
    folder = Path(output).absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(
            f'{output} cannot be written: {folder} is no folder that you may write to. '
            'Make it, or choose another one.'
        )
    if os.path.isfile(output):
        with open(output, 'rb') as file:
            start = file.read(1)
        if start not in (b'', b'{'):
            raise OutputError(
                f'{output} is there already and holds no statistics. Choose another '
                'name, such as statistics.json.'
            )


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
