# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi convert``: patches or scenes into stores that are fast to read."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OutputError
from ._arguments import FiniteRange, convert_pairs, read_pairs
from ._dataset import CONTEXT, choose_dataset, dataset_options, split_arguments
from ._jobs import check_job_options, finish, job_options, tell_scenes
from ._opening import read_opening
from ._options import (
    asset_option,
    dry_run_option,
    json_option,
    match_option,
    open_option,
    overwrite_option,
    quiet_option,
)
from ._output import check_outside, echo_done, echo_json, is_quiet, size_of
from ._places import check_place
from ._plan import show_plan
from ._progress import show_jobs
from ._sizes import SAMPLE_BYTES, STORE_BYTES, stored_bytes
from ._verb import Verb

if TYPE_CHECKING:
    from ..datasets.conversion_report import ConversionReport
    from ._dataset import DatasetChoice
    from ._scenes import Scene

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
    cls=Verb,
    context_settings=CONTEXT,
    short_help='Turn patches or scenes into stores that are fast to read.',
    examples=(
        'torchgeo-hsi convert archive stores --workers 8',
        'torchgeo-hsi convert cube.mat stores --open key=data --dry-run',
        'torchgeo-hsi convert data store --dataset SpectralEarthCDL --splits train,val',
    ),
)
@dataset_options
@click.option(
    '--shard-size',
    type=FiniteRange(min=0, min_open=True),
    default=_SHARD_MB,
    show_default=True,
    metavar='MIB',
    help='Size of a shard of patches, uncompressed.',
)
@match_option
@asset_option
@open_option('scenes', 'wavelength_unit=nm')
@click.option('--verify', is_flag=True, help='Read all again and compare checksums.')
@click.option('--retry-failed', is_flag=True, help='Try patches again that failed.')
@overwrite_option
@dry_run_option
@job_options
@json_option
@quiet_option
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
    check_place(out, folder=True)
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
    if options['dry_run']:
        _plan_patches(choice, choices, out, options)
        return
    with show_jobs('Converting', 'patches') as progress:
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
    _tell_patches(report, out, options['as_json'])
    finish((*report.missing, *report.failures), 'items')


def _tell_patches(report: 'ConversionReport', out: str, as_json: bool) -> None:
    """Say what was written."""
    if as_json:
        echo_json(
            {
                'output': os.fspath(report.path),
                'bytes': size_of(report.path),
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
    elif not is_quiet():
        click.echo(f'sha256 {report.checksum}')
        count = report.items - len(report.failures)
        what = (
            f'{count} samples in {report.shards} shards, {report.written} written now'
        )
        echo_done(what, out, report.seconds)


def _plan_patches(
    choice: 'DatasetChoice',
    choices: 'Mapping[str, DatasetChoice]',
    out: str,
    options: Mapping[str, Any],
) -> None:
    """Say what patches would be read and written."""
    from torch import Tensor

    total, notes = float(STORE_BYTES), []
    for name, chosen in (choices or {'samples': choice}).items():
        dataset = chosen.open()
        count = len(dataset)
        sample = dataset[0] if count else {}
        tensors = [part for part in sample.values() if isinstance(part, Tensor)]
        total += count * (SAMPLE_BYTES + 1.05 * sum(part.nbytes for part in tensors))
        notes.append(f'{name}: {count} of {choice.name.rpartition(".")[2]}')
    places = [choice.arguments[k] for k in ('root', 'path') if k in choice.arguments]
    writes = {out: total}
    # what was begun with the same data goes on
    show_plan(list(map(str, places)), writes, True, options['as_json'], notes)


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
    scenes = find_scenes(inputs, options['match'], options['asset'])
    reader = _read_opening(scenes[0], options['opening'])
    records = OutputRecords(Path(out).absolute(), reader)
    todo = check_outputs(records, scenes, SUFFIX, options['overwrite'])
    if options['dry_run']:
        _plan_scenes(todo, len(scenes) - len(todo), out, reader, options['as_json'])
        return
    if options['verify']:
        todo = scenes
    with show_jobs('Converting', 'scenes') as progress:
        report = run_jobs(
            ConvertScene(records, reader, options['verify']),
            [scene.absolute() for scene in todo],
            names=lambda scene: scene.name,
            progress=progress,
            fatal=(OutputError,),
            **work,
        )
    done = 'verified or written' if options['verify'] else 'written'
    tell_scenes(report, len(scenes), out, 'scenes', options['as_json'], done)
    finish(report.failures, 'scenes')


def _read_opening(scene: 'Scene', words: Sequence[str]) -> dict[str, Any]:
    """Read the options of readers, which are those of the first scene."""
    from ._scenes import is_address

    if is_address(scene.path):
        # of what kind it is shows only when it is opened
        return convert_pairs(read_pairs(words, '--open'), {}, '--open')
    return read_opening(scene.path, words)


def _plan_scenes(
    todo: 'Sequence[Scene]',
    finished: int,
    out: str,
    reader: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Say what scenes would be read and written."""
    from ._convert_scene import SUFFIX
    from ._scenes import is_address

    writes: dict[str, float | None] = {}
    for scene in todo:
        path = os.path.join(out, f'{scene.name}{SUFFIX}')
        known = not is_address(scene.path) and os.path.exists(scene.path)
        writes[path] = stored_bytes(scene.path, reader) if known else None
    notes = [f'{finished} scenes are there already'] if finished else []
    # which may be replaced was checked before
    reads = [scene.path for scene in todo]
    show_plan(reads, writes, True, as_json, notes, out)


COMMANDS = (convert,)
