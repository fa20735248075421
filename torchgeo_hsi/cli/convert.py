# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi convert``: patches or scenes into stores that are fast to read."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError
from ._dataset import CONTEXT, choose_dataset, dataset_options, split_arguments
from ._jobs import check_job_options, finish, job_options, show_progress
from ._output import check_outside, echo_json, json_option, option_words

if TYPE_CHECKING:
    from ._dataset import DatasetChoice

#: Size of a shard in MiB by default.
_SHARD_MB = 64.0

#: Arguments with which datasets give every file as it is, unless the user sets them.
_WHOLE = {
    'SpectralEarth': {
        'item': 'patch',
        'dtype': 'int16',
        'georeference': True,
        'strict': True,
    }
}


@click.command(
    'convert',
    context_settings=CONTEXT,
    short_help='Turn patches or scenes into stores that are fast to read.',
)
@dataset_options
@click.option(
    '--splits', metavar='NAME,NAME', help='Splits of the dataset to put into one store.'
)
@click.option(
    '--shard-size',
    type=click.FloatRange(min=0, min_open=True),
    default=_SHARD_MB,
    show_default=True,
    help='MiB in a shard of patches, uncompressed.',
)
@click.option('--match', metavar='PATTERN', help='Only scenes with such a name.')
@click.option('--asset', metavar='KEY', help='Asset of STAC items that is the image.')
@click.option('--wavelength-unit', metavar='UNIT', help='For scenes that do not say.')
@click.option('--verify', is_flag=True, help='Read all again and compare checksums.')
@click.option('--retry-failed', is_flag=True, help='Try patches again that failed.')
@click.option('--overwrite', is_flag=True, help='Begin anew where there is something.')
@job_options
@json_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[INPUT]... OUT')
def convert(
    dataset: str | None,
    config: str | None,
    args: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Turn patches or scenes into stores that are fast to read, also over a network.

    Scenes: INPUT are files, product folders, folders of these, lists (.txt) or STAC
    (.json); each becomes a folder NAME.zarr in OUT, which is opened like a file.

    Patches: with --dataset CLASS or --config FILE, all samples of the dataset become
    one store in OUT. INPUT is the folder of the data; more arguments of the class are
    given as --dataset.NAME VALUE.

    Run it again after an interruption: only what is missing is written. What fails is
    tried again, reported and left out; the exit code is then 3.
    """
    check_job_options(workers, scheduler)
    paths, arguments = split_arguments(args)
    if not paths:
        raise click.UsageError("Missing argument 'OUT'.")
    *inputs, out = paths
    work = {
        'workers': workers,
        'scheduler': scheduler,
        'retries': options.pop('retries'),
    }
    if dataset is None and config is None:
        _refuse(options, arguments)
        _convert_scenes(inputs, out, work, options)
        return
    choice = choose_dataset(dataset, config, arguments, inputs)
    with option_words(['overwrite', 'verify'], out):
        _convert_patches(choice, out, work, options)


def _refuse(options: dict[str, Any], arguments: Sequence[str]) -> None:
    """Refuse options of patches where scenes are converted."""
    given = [
        name
        for name, value in (
            ('--splits', options['splits']),
            ('--retry-failed', options['retry_failed']),
            ('--dataset.…', arguments),
            ('--shard-size', options['shard_size'] != _SHARD_MB),
        )
        if value
    ]
    if given:
        raise click.UsageError(
            f'{", ".join(given)} belong to patches. Name their dataset by --dataset.'
        )


def _convert_patches(
    choice: 'DatasetChoice', out: str, work: dict[str, Any], options: dict[str, Any]
) -> None:
    from dataclasses import replace

    from ..datasets import convert_dataset

    whole = _WHOLE.get(choice.cls.__name__, {})
    choice = replace(choice, arguments={**whole, **choice.arguments})
    names = [name for name in (options['splits'] or '').split(',') if name]
    choices = {name: choice.with_split(name) for name in names}
    source: Any = (
        {name: chosen.open() for name, chosen in choices.items()}
        if choices
        else choice.open()
    )
    with show_progress('Converting') as progress:
        report = convert_dataset(
            source,
            out,
            shard_mb=options['shard_size'],
            overwrite=options['overwrite'],
            retry_failed=options['retry_failed'],
            verify=options['verify'],
            note=json.dumps(choice.arguments, sort_keys=True, default=str),
            progress=progress,
            **work,
        )
    if options['as_json']:
        echo_json(
            {
                'path': os.fspath(report.path),
                'sha256': report.checksum,
                'items': report.items,
                'shards': report.shards,
                'written': report.written,
                'failed': [vars(failure) for failure in report.failures],
                'missing': [vars(failure) for failure in report.missing],
                'seconds': report.seconds,
            }
        )
    elif report.checksum is None:
        click.echo(f'{out} is not complete: run again to write what is missing.')
    else:
        click.echo(
            f'{out}: {report.items - len(report.failures)} samples in {report.shards} '
            f'shards, {report.written} of them written now; sha256 {report.checksum}'
        )
    finish((*report.missing, *report.failures), 'items')


def _convert_scenes(
    inputs: Sequence[str], out: str, work: dict[str, Any], options: dict[str, Any]
) -> None:
    from ..jobs import run_jobs
    from ._convert_scene import SUFFIX, ConvertScene
    from ._records import OutputRecords, check_outputs
    from ._scenes import find_scenes

    if not inputs:
        raise click.UsageError(
            'Missing INPUT: name scenes and OUT, or patches by --dataset.'
        )
    check_outside(out, inputs)
    unit = options['wavelength_unit']
    reader = {} if unit is None else {'wavelength_unit': unit}
    records = OutputRecords(Path(out).absolute(), reader)
    scenes = find_scenes(inputs, options['match'], options['asset'])
    todo = check_outputs(records, scenes, SUFFIX, options['overwrite'])
    skipped = len(scenes) - len(todo)
    if options['verify']:
        todo = scenes
    with show_progress('Converting') as progress:
        report = run_jobs(
            ConvertScene(records, reader, options['verify']),
            [scene.absolute() for scene in todo],
            names=lambda scene: scene.name,
            progress=progress,
            fatal=(OutputError,),
            **work,
        )
    if options['as_json']:
        echo_json(
            {
                'written': report.succeeded,
                'skipped': skipped,
                'failed': [vars(failure) for failure in report.failures],
                'seconds': report.seconds,
            }
        )
    else:
        there = f', {skipped} were there already' if skipped else ''
        done = 'written to' if not options['verify'] else 'written to or verified in'
        click.echo(f'{len(report.succeeded)} scenes {done} {out}{there}')
    finish(report.failures, 'scenes')


COMMANDS = (convert,)
