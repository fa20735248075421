# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore pansharpen``: a cube on the grid of a panchromatic image."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ._opening import check_path, read_opening
from ._output import is_quiet
from ._restoring import Restoration, restoring, tiling_options
from ._verb import Verb

if TYPE_CHECKING:
    from ..io import CubeInfo


@click.command(
    cls=Verb,
    short_help='Sharpen a cube of any size with a panchromatic image.',
    examples=(
        'torchgeo-hsi restore pansharpen pan.tif cube.tif sharp.tif',
        'torchgeo-hsi restore pansharpen - prisma.he5 sharp.tif --method rho_pnn',
        'torchgeo-hsi restore pansharpen pan.tif cube.tif sharp.tif --shift estimate',
    ),
)
@click.argument('pan', metavar='PAN', callback=check_path)
@click.argument('cube', metavar='CUBE', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@restoring(
    'pansharpener',
    'gain=0.25',
    click.option(
        '--ratio',
        type=click.IntRange(min=2),
        metavar='N',
        help='What the ratio of pixel sizes has to be; found by default.',
    ),
    click.option(
        '--shift',
        metavar='ROWS,COLS|estimate',
        help='How far the PAN lies down and to the right of where it should, in its '
        'pixels; "estimate" finds out.',
    ),
    *tiling_options(64, None, 1, 'in pixels of CUBE'),
    click.option(
        '--open-pan',
        'opening_pan',
        multiple=True,
        metavar='KEY=VALUE',
        help='Options to read PAN, as --open.',
    ),
    source='CUBE',
)
def pansharpen(
    pan: str,
    cube: str,
    output: str,
    opening_pan: Sequence[str],
    shift: str | None,
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
    from ..scenes import scene_shift, sharpen_scene

    scenes = [cube] if pan == '-' else [cube, pan]
    job = Restoration('pansharpener', scenes, output, options)
    model, reading = job.build(), job.reading()
    reading_pan = {} if pan == '-' else read_opening(pan, opening_pan, '--open-pan')
    facts: dict[str, Any] = {}
    known = None if shift == 'estimate' else _read_shift(shift)

    def work(**words: Any) -> None:
        opened: Any = {'cube_options': reading, 'pan_options': reading_pan}
        facts['shift'] = known or scene_shift(pan, cube, **opened)
        words |= opened
        sharpen_scene(model, pan, cube, output, shift=facts['shift'], **words)
        if shift == 'estimate' and not (job.as_json or is_quiet()):
            moved = facts['shift']
            click.echo(
                'The PAN lies {:.2f} pixels down and {:.2f} right.'.format(*moved)
            )

    def finer(info: 'CubeInfo') -> float:
        from ..scenes.sharpen_scene import sharpened_pixels

        pixels = sharpened_pixels(pan, cube, options['ratio'], reading, reading_pan)
        return math.sqrt(pixels / math.prod(info.shape[1:]))

    job.run(work, reading, 'Sharpened', finer, facts=facts)


def _read_shift(text: str | None) -> tuple[float, float]:
    """Read the shift of a PAN; without one it lies where it should."""
    if text is None:
        return 0.0, 0.0
    try:
        down, right = (float(word) for word in text.split(','))
        if not (math.isfinite(down) and math.isfinite(right)):
            raise ValueError(text)
    except ValueError as error:
        raise click.BadParameter(
            f'Expected two numbers like 1.5,-2 or the word estimate, got {text!r}.',
            param_hint='--shift',
        ) from error
    return down, right
