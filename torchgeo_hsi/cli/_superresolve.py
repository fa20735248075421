# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore superresolve``: a scene with more and smaller pixels."""

from functools import partial
from typing import Any

import click

from ._opening import check_path
from ._restoring import Restoration, restoring, scaling_option, tiling_options
from ._verb import Verb


@click.command(
    cls=Verb,
    short_help='Give a scene of any size more and smaller pixels.',
    examples=(
        'torchgeo-hsi restore superresolve scene.tif fine.tif --scale 2',
        'torchgeo-hsi restore superresolve scene.tif fine.tif --scale 4 --tile-size 48',
    ),
)
@click.argument('source', metavar='IN', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@restoring(
    'superresolver',
    'ensemble=true or rank=12',
    click.option(
        '--scale',
        type=click.IntRange(min=2),
        default=2,
        show_default=True,
        metavar='N',
        help='How many times smaller pixels become.',
    ),
    scaling_option,
    *tiling_options(64, 16, 1, 'in pixels of IN'),
)
def superresolve(source: str, output: str, scale: int, **options: Any) -> None:
    """Give a scene of any size more and smaller pixels.

    IN is a file or product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat,
    NetCDF or a stored scene. OUT is a GeoTIFF (.tif) of the same area with the data
    type, scale, nodata, mask, wavelengths and tags of IN.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    """
    from ..scenes import superresolve_scene

    job = Restoration('superresolver', [source], output, options)
    model, reading = _build(job, scale), job.reading()
    work = partial(superresolve_scene, model, source, output, reader_options=reading)
    what = f'Pixels made {scale} times smaller'
    job.run(work, reading, what, lambda info: scale, {'scale': scale})


def _build(job: Restoration, scale: int) -> Any:
    """Build a method with the scale that is asked for."""
    if 'scale' in job.settings:
        given = job.settings['scale']
        raise click.UsageError(f'Say --scale {given} instead of --set scale={given}.')
    model = job.build({'scale': str(scale)})
    if model.scale != scale:
        raise click.UsageError(
            f'{job.method} makes pixels {model.scale} times smaller, not {scale} times. '
            f'Pass --scale {model.scale}, or choose another method.'
        )
    return model
