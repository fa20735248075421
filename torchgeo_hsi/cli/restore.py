# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore``: better images from the command line."""

import math
import time
from collections.abc import Sequence
from typing import Any

import click

from ._arguments import read_pairs
from ._methods import METHODS, build_method, check_device
from ._opening import check_path, read_opening
from ._output import echo_json, json_option, option_words
from ._pansharpen import pansharpen
from ._progress import show_stages


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


@click.group(short_help='Restore images: remove noise, sharpen.')
def restore() -> None:
    """Restore scenes of any size with networks or classical methods."""


@restore.command
@click.argument('source', metavar='IN', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@click.option(
    '--method',
    default=METHODS['denoiser'],
    show_default=True,
    metavar='NAME',
    help='A denoiser of "torchgeo-hsi models"; another name lists them.',
)
@click.option('--weights', metavar='NAME|FILE', help='Weights of a network.')
@click.option(
    '--model',
    'arguments',
    multiple=True,
    metavar='KEY=VALUE',
    help='More arguments of the method, e.g. ensemble=true or network=man_s.',
)
@click.option(
    '--sigma',
    type=float,
    callback=_check_sigma,
    help='Noise level for networks with a noise map: 255 times its standard deviation '
    'in scaled numbers, e.g. 25.5 for a tenth of the range.',
)
@click.option(
    '--scaling',
    default='percentile',
    show_default=True,
    help='What is 0 and 1 for the method: min_max, percentile, reflectance, or a number '
    'that becomes 1.',
)
@click.option(
    '--tile',
    type=click.IntRange(min=8),
    default=128,
    show_default=True,
    help='Rows and columns of a tile, a multiple of 8.',
)
@click.option(
    '--overlap',
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help='Rows and columns that tiles share, a multiple of 8.',
)
@click.option(
    '--passes',
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help='How often methods that look at the whole scene see it before.',
)
@click.option('--device', help='cpu, cuda, cuda:1 ...; a GPU by default, if any.')
@click.option('--compress', default='deflate', show_default=True, help='Compression.')
@click.option(
    '--open',
    'opening',
    multiple=True,
    metavar='KEY=VALUE',
    help='Options to read IN, e.g. key=data for a .mat file.',
)
@click.option('--overwrite', is_flag=True, help='Replace OUT.')
@json_option
def denoise(
    source: str,
    output: str,
    method: str,
    weights: str | None,
    arguments: Sequence[str],
    opening: Sequence[str],
    device: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Remove noise from a scene of any size.

    IN is a file or product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat,
    NetCDF or a stored scene. OUT is a GeoTIFF (.tif) with the data type, scale, nodata,
    mask, coordinates, wavelengths and tags of IN; or, for an EnMAP product, a folder
    that becomes the same product with a denoised image.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    """
    from ..models import restore_scene

    start = time.monotonic()
    device = check_device(device)
    model = build_method(method, read_pairs(arguments, '--model'), weights)
    reader_options = read_opening(source, opening)
    with option_words(['overwrite'], output), show_stages() as progress:
        restore_scene(
            model,
            source,
            output,
            device=device,
            overwrite=overwrite,
            reader_options=reader_options,
            name=method if weights is None else f'{method} ({weights})',
            progress=progress,
            **options,
        )
    seconds = time.monotonic() - start
    if as_json:
        echo_json({'output': output, 'method': method, 'seconds': seconds})
    else:
        click.echo(f'Denoised with {method} in {seconds:.0f} s: {output}')


restore.add_command(pansharpen)

COMMANDS = (restore,)
