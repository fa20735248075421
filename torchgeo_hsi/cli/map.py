# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi map``: maps of many scenes with a trained network."""

import hashlib
import os
from pathlib import Path
from typing import Any

import click

from ..errors import MetadataError, OutputError
from ._config_file import read_yaml
from ._jobs import check_job_options, finish, job_options, tell_scenes
from ._options import (
    asset_option,
    config_option,
    dry_run_option,
    json_option,
    match_option,
    output_option,
    overwrite_option,
    quiet_option,
)
from ._output import check_outside
from ._plan import show_plan
from ._progress import show_jobs
from ._verb import Verb


@click.command(
    'map',
    cls=Verb,
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Map many scenes with a trained network.',
    examples=(
        'torchgeo-hsi map --config demo.yaml --ckpt_path last.ckpt -o maps archive',
        'torchgeo-hsi map --config a.yaml --ckpt_path a.ckpt -o maps stac.json --asset b',
    ),
)
@config_option('the network and its data, as for the training', required=True)
@click.option(
    '--ckpt_path',
    '--ckpt-path',
    'checkpoint',
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar='FILE',
    help='Checkpoint with the weights.',
)
@output_option('Folder of the maps, one GeoTIFF for each scene', folder=True)
@match_option
@asset_option
@overwrite_option
@dry_run_option
@job_options
@json_option
@quiet_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='INPUT... [ARGS]')
def map_scenes(
    config: str,
    checkpoint: str,
    output: str,
    match: str | None,
    asset: str | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
    args: tuple[str, ...],
    **jobs: Any,
) -> None:
    """Predict many scenes, one GeoTIFF for each.

    INPUT are files, product folders, folders of these, lists (.txt, one path in each
    line) or STAC item collections, items and catalogs (.json). The map of each scene is
    written as the GeoTIFFCubeWriter of the configuration says; more ARGS change the
    configuration, e.g. "--data.batch_size=4".

    Run it again after an interruption: maps that are finished stay. A scene that fails
    is tried again, reported and left out; the exit code is then 3.
    """
    check_job_options(jobs['workers'], jobs['scheduler'])
    from ..jobs import run_jobs
    from ._records import OutputRecords, check_outputs
    from ._scenes import find_scenes

    inputs, options = _split(args)
    check_outside(output, inputs)
    content = _read(config)
    recipe = {'config': content, 'args': options, 'weights': _digest(checkpoint)}
    records = OutputRecords(Path(output).absolute(), recipe)
    scenes = find_scenes(inputs, match, asset)
    todo = check_outputs(records, scenes, '.tif', overwrite)
    if dry_run:
        maps = {os.path.join(output, f'{scene.name}.tif'): None for scene in todo}
        notes = [f'{len(scenes) - len(todo)} maps are there already']
        # which may be replaced was checked above
        show_plan(
            [scene.path for scene in todo], maps or {output: 0}, True, as_json, notes
        )
        return
    from ._map_scene import MapScene

    job = MapScene(content, tuple(options), os.path.abspath(checkpoint), records)
    with show_jobs('Mapping', 'scenes') as progress:
        report = run_jobs(
            job,
            [scene.absolute() for scene in todo],
            scheduler=jobs['scheduler'],
            workers=_workers(jobs['workers'], jobs['scheduler']),
            retries=jobs['retries'],
            names=lambda scene: scene.name,
            progress=progress,
            fatal=(OutputError,),
        )
    tell_scenes(report, len(scenes), output, 'maps', as_json)
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
    content = read_yaml(config)
    if not isinstance(content, dict) or not {'model', 'data'} <= set(content):
        raise MetadataError(
            f'Expected "model:" and "data:" in {config}, as "torchgeo fit" takes it. '
            'Correct it.'
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


COMMANDS = (map_scenes,)
