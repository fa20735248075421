# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi map``: maps of many scenes with a trained network."""

import hashlib
import os
from pathlib import Path
from typing import Any

import click

from ..errors import MetadataError, OutputError
from ._jobs import check_job_options, finish, job_options, show_progress
from ._output import check_outside, echo_json, json_option


@click.command(
    'map',
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Map many scenes with a trained network.',
)
@click.option(
    '--config',
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help='Configuration of the training, with the network and its data.',
)
@click.option(
    '--ckpt_path',
    '--ckpt-path',
    'checkpoint',
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help='Checkpoint with the weights.',
)
@click.option(
    '--output-dir',
    required=True,
    type=click.Path(file_okay=False),
    help='Folder of the maps, one GeoTIFF for each scene.',
)
@click.option('--match', metavar='PATTERN', help='Only scenes with such a name.')
@click.option('--asset', metavar='KEY', help='Asset of STAC items that is the image.')
@click.option('--overwrite', is_flag=True, help='Replace maps made in another way.')
@job_options
@json_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='INPUT... [ARGS]')
def map_scenes(
    config: str,
    checkpoint: str,
    output_dir: str,
    match: str | None,
    asset: str | None,
    overwrite: bool,
    workers: int | None,
    scheduler: str | None,
    retries: int,
    as_json: bool,
    args: tuple[str, ...],
) -> None:
    """Predict many scenes, one GeoTIFF for each.

    INPUT are files, product folders, folders of these, lists (.txt, one path in each
    line) or STAC item collections, items and catalogs (.json). The map of each scene is
    written as the GeoTIFFCubeWriter of the configuration says; more ARGS change the
    configuration, e.g. "--data.batch_size=4".

    Run it again after an interruption: maps that are finished stay. A scene that fails
    is tried again, reported and left out; the exit code is then 3.
    """
    check_job_options(workers, scheduler)
    from ..jobs import run_jobs
    from ._records import OutputRecords, check_outputs
    from ._scenes import find_scenes

    inputs, options = _split(args)
    check_outside(output_dir, inputs)
    content = _read(config)
    recipe = {'config': content, 'args': options, 'weights': _digest(checkpoint)}
    records = OutputRecords(Path(output_dir).absolute(), recipe)
    scenes = find_scenes(inputs, match, asset)
    todo = check_outputs(records, scenes, '.tif', overwrite)
    from ._map_scene import MapScene

    job = MapScene(content, tuple(options), os.path.abspath(checkpoint), records)
    with show_progress('Mapping') as progress:
        report = run_jobs(
            job,
            [scene.absolute() for scene in todo],
            scheduler=scheduler,
            workers=_workers(workers, scheduler),
            retries=retries,
            names=lambda scene: scene.name,
            progress=progress,
            fatal=(OutputError,),
        )
    _tell(report, len(scenes), output_dir, as_json)
    finish(report.failures, 'scenes')


def _split(args: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Tell scenes from options of the configuration."""
    inputs: list[str] = []
    options: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith('--'):
            inputs.append(word)
            continue
        if word.partition('.')[0] not in ('--data', '--model', '--trainer'):
            raise click.NoSuchOption(word)
        value = '' if '=' in word else next(words, None)
        if value is None:
            raise click.UsageError(f'{word} lacks its value.')
        options.append(f'{word}={value}' if value else word)
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...'.")
    return inputs, options


def _read(config: str) -> dict[str, Any]:
    import yaml

    content = yaml.safe_load(Path(config).read_text(encoding='utf-8'))
    if not isinstance(content, dict) or not {'model', 'data'} <= set(content):
        raise MetadataError(
            f'Expected "model:" and "data:" in {config}, as "torchgeo fit" takes it.'
        )
    return content


def _digest(file: str) -> str:
    with open(file, 'rb') as stream:
        return hashlib.file_digest(stream, 'sha256').hexdigest()


def _workers(workers: int | None, scheduler: str | None) -> int | None:
    """Choose the number of processes: a GPU serves one."""
    if workers is not None or scheduler is not None:
        return workers
    import torch

    return 1 if torch.cuda.is_available() else None


def _tell(report: Any, total: int, output_dir: str, as_json: bool) -> None:
    """Say what was written."""
    skipped = total - len(report.results)
    if as_json:
        echo_json(
            {
                'written': report.succeeded,
                'skipped': skipped,
                'failed': [vars(failure) for failure in report.failures],
                'seconds': report.seconds,
            }
        )
        return
    there = f', {skipped} were there already' if skipped else ''
    click.echo(f'{len(report.succeeded)} maps written to {output_dir}{there}')


COMMANDS = (map_scenes,)
