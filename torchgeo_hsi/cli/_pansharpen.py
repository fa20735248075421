# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore pansharpen``: a cube on the grid of a panchromatic image."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ._arguments import read_pairs
from ._methods import build_method, check_device
from ._opening import check_path, read_opening
from ._output import echo_json, option_words
from ._progress import show_stages
from ._restoring import method_name, restoring


@click.command
@click.argument('pan', metavar='PAN', callback=check_path)
@click.argument('cube', metavar='CUBE', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@restoring(
    'pansharpener',
    'gain=0.25',
    click.option(
        '--ratio',
        type=click.IntRange(min=2),
        help='What the ratio of pixel sizes has to be; found by default.',
    ),
    click.option(
        '--shift',
        metavar='ROWS,COLS|estimate',
        help='How far the PAN lies down and to the right of where it should, in its '
        'pixels; "estimate" finds out.',
    ),
    click.option(
        '--tile',
        type=click.IntRange(min=1),
        default=64,
        show_default=True,
        help='Rows and columns of a tile, in pixels of the cube.',
    ),
    click.option(
        '--open-pan',
        'opening_pan',
        multiple=True,
        metavar='KEY=VALUE',
        help='Options to read PAN.',
    ),
    source='CUBE',
)
def pansharpen(
    pan: str,
    cube: str,
    output: str,
    method: str,
    weights: str | None,
    arguments: Sequence[str],
    opening: Sequence[str],
    opening_pan: Sequence[str],
    shift: str | None,
    device: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Sharpen a cube of any size with a panchromatic image.

    PAN is a raster with one band whose pixels are a whole number of times as small as
    those of CUBE, or "-" for the one in the file of CUBE (PRISMA). CUBE is a file or
    product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat, NetCDF. Both may
    cover different areas if they have map coordinates. OUT is a GeoTIFF (.tif) on the
    grid of PAN, and otherwise like CUBE.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    Methods that learn from the scene do so before they write.
    """
    from ..scenes import sharpen_scene

    start = time.monotonic()
    device = check_device(device)
    model = build_method(
        method, read_pairs(arguments, '--model'), weights, 'pansharpener'
    )
    cube_options = read_opening(cube, opening)
    pan_options = {} if pan == '-' else read_opening(pan, opening_pan, '--open-pan')
    with option_words(['overwrite'], output), show_stages() as progress:
        moved = _shift(shift, pan, cube, cube_options, pan_options)
        sharpen_scene(
            model,
            pan,
            cube,
            output,
            shift=moved,
            device=device,
            overwrite=overwrite,
            cube_options=cube_options,
            pan_options=pan_options,
            name=method_name(method, weights),
            progress=progress,
            **options,
        )
    report: dict[str, Any] = {'output': output, 'method': method, 'shift': moved}
    report['seconds'] = time.monotonic() - start
    if as_json:
        echo_json(report)
        return
    if shift == 'estimate':
        click.echo('The PAN lies {:.2f} pixels down and {:.2f} right.'.format(*moved))
    click.echo(f'Sharpened with {method} in {report["seconds"]:.0f} s: {output}')


def _shift(
    text: str | None,
    pan: str,
    cube: str,
    cube_options: Mapping[str, Any],
    pan_options: Mapping[str, Any],
) -> tuple[float, float]:
    """Read or find the shift of a PAN."""
    if text is None:
        return 0.0, 0.0
    if text == 'estimate':
        from ..scenes import scene_shift

        return scene_shift(
            pan, cube, cube_options=cube_options, pan_options=pan_options
        )
    try:
        down, right = (float(word) for word in text.split(','))
    except ValueError as error:
        raise click.BadParameter(
            f'Expected two numbers like 1.5,-2 or the word estimate, got {text!r}.',
            param_hint='--shift',
        ) from error
    return down, right
