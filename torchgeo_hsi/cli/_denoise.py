# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore denoise``: a scene without noise."""

import math
from functools import partial
from typing import Any

import click

from ._opening import check_path
from ._restoring import Restoration, restoring, scaling_option, tiling_options
from ._verb import Verb


def _check_sigma(
    ctx: click.Context, param: click.Parameter, value: float | None
) -> float | None:
    """Refuse what is no strength of noise."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(
            f'Expected a positive number, got {value:g}. Leave it out to have the noise '
            'estimated.'
        )
    return value


@click.command(
    cls=Verb,
    short_help='Remove noise from a scene of any size.',
    examples=(
        'torchgeo-hsi restore denoise scene.hdr denoised.tif',
        'torchgeo-hsi restore denoise cube.mat out.tif --open key=data --method bm4d',
        'torchgeo-hsi restore denoise enmap_product denoised_product --dry-run',
    ),
)
@click.argument('source', metavar='IN', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@restoring(
    'denoiser',
    'ensemble=true or network=man_s',
    click.option(
        '--sigma',
        type=float,
        metavar='LEVEL',
        callback=_check_sigma,
        help='Noise level for networks with a noise map: 255 times its standard '
        'deviation in scaled numbers, e.g. 25.5 for a tenth of the range.',
    ),
    scaling_option,
    *tiling_options(128, 32, 8, 'a multiple of 8'),
    click.option(
        '--passes',
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar='N',
        help='How often methods that look at the whole scene see it before.',
    ),
)
def denoise(source: str, output: str, **options: Any) -> None:
    """Remove noise from a scene of any size.

    IN is a file or product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat,
    NetCDF or a stored scene. OUT is a GeoTIFF (.tif) with the data type, scale, nodata,
    mask, coordinates, wavelengths and tags of IN; or, for an EnMAP product, a folder
    that becomes the same product with a denoised image.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    """
    from ..scenes import restore_scene

    job = Restoration('denoiser', [source], output, options)
    model, reading = job.build(), job.reading()
    work = partial(restore_scene, model, source, output, reader_options=reading)
    job.run(work, reading, 'Denoised')
