# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore denoise``: a scene without noise."""

import math
import time
from collections.abc import Sequence
from typing import Any

import click

from ._arguments import read_pairs
from ._methods import build_method, check_device
from ._opening import check_path, read_opening
from ._output import echo_json, option_words
from ._progress import show_stages
from ._restoring import method_name, restoring, scaling_option, tiling_options


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


@click.command
@click.argument('source', metavar='IN', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@restoring(
    'denoiser',
    'ensemble=true or network=man_s',
    click.option(
        '--sigma',
        type=float,
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
        help='How often methods that look at the whole scene see it before.',
    ),
)
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
    from ..scenes import restore_scene

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
            name=method_name(method, weights),
            progress=progress,
            **options,
        )
    seconds = time.monotonic() - start
    if as_json:
        echo_json({'output': output, 'method': method, 'seconds': seconds})
    else:
        click.echo(f'Denoised with {method} in {seconds:.0f} s: {output}')
