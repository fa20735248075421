# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi gas``: a map of methane or carbon dioxide above a scene."""

from collections.abc import Sequence
from typing import Any

import click

from ._arguments import FiniteRange, with_options
from ._methods import check_device
from ._opening import check_path, read_opening
from ._options import (
    compress_option,
    device_option,
    dry_run_option,
    figure_option,
    gas_option,
    json_option,
    open_option,
    overwrite_option,
    quiet_option,
    seed_option,
)
from ._output import check_not_inputs, echo_done, echo_fields, echo_json, is_quiet
from ._plan import check_written, cube_bytes, read_info, show_plan
from ._progress import show_stages
from ._sizes import geotiff_bytes
from ._verb import Verb

#: Kinds of background, of ``torchgeo_hsi.physics.gases``, which takes long to import.
_BACKGROUNDS = ('plain', 'trimmed', 'sparse')


def parse_windows(
    ctx: click.Context, param: click.Parameter, value: Sequence[str]
) -> list[tuple[float, float]] | None:
    """Read ranges of wavelengths.

    Args:
        ctx: Not used.
        param: Not used.
        value: What the user wrote.

    Returns:
        Lowest and highest wavelength of each range in micrometres; None for no range.

    Raises:
        click.BadParameter: If one is of another form.
    """
    found = []
    for word in value:
        low, _, high = word.partition('-')
        try:
            found.append((float(low), float(high)))
        except ValueError:
            raise click.BadParameter(
                f'Expected wavelengths in micrometres such as 2.1-2.45, got {word!r}.'
            ) from None
    return found or None


_OPTIONS = (
    gas_option('methane', 'What is looked for'),
    click.option(
        '--background',
        type=click.Choice(_BACKGROUNDS),
        default='trimmed',
        show_default=True,
        help='How the background is found: from all pixels, without those that stand '
        'out, or with a map that is 0 nearly everywhere.',
    ),
    click.option(
        '--sun-zenith',
        type=FiniteRange(0, 75),
        metavar='DEGREES',
        help='Where the sun stood; that of the product by default, if it says.',
    ),
    click.option(
        '--view-zenith',
        type=FiniteRange(0, 75),
        default=0.0,
        show_default=True,
        metavar='DEGREES',
        help='Where the sensor stood.',
    ),
    click.option(
        '--wavelengths',
        'windows',
        multiple=True,
        metavar='LOW-HIGH',
        callback=parse_windows,
        help='Wavelengths in micrometres to look at, such as 2.1-2.45.',
    ),
    click.option(
        '--quality',
        metavar='LAYER,...|none',
        help='Quality layers that leave pixels out (cloud, cloudshadow).',
    ),
    click.option(
        '--clusters',
        type=click.IntRange(min=1),
        metavar='N',
        help='Kinds of ground with a background of their own (8).',
    ),
    click.option(
        '--columns',
        type=click.IntRange(min=1),
        metavar='N',
        help='Columns of the image that share a background, instead of kinds of ground.',
    ),
    click.option(
        '--albedo/--no-albedo',
        default=True,
        show_default=True,
        help='Correct for the brightness of pixels.',
    ),
    click.option(
        '--passes',
        type=click.IntRange(min=1),
        metavar='N',
        help='How often the scene is looked at for the background (1, or 5).',
    ),
    click.option(
        '--shrinkage',
        type=FiniteRange(min=0),
        metavar='SHARE',
        help='Share of the residual variance that is added to the covariance.',
    ),
    click.option(
        '--threshold',
        type=FiniteRange(min=0, min_open=True),
        metavar='ERRORS',
        help='Standard errors from which on trimmed leaves pixels out (3).',
    ),
    click.option(
        '--darkest',
        type=FiniteRange(min=0),
        metavar='SHARE',
        help='Brightness, as a share of the mean, below which there is no result (0.1).',
    ),
    open_option('SCENE', 'wavelength_unit=nm'),
    seed_option,
    device_option,
    compress_option,
    figure_option,
    overwrite_option,
    dry_run_option,
    json_option,
    quiet_option,
)


@click.command(
    cls=Verb,
    short_help='Map a gas above a scene.',
    examples=(
        'torchgeo-hsi gas enmap_product methane.tif --figure methane.png',
        'torchgeo-hsi gas radiance.hdr co2.tif --gas carbon_dioxide --sun-zenith 38',
    ),
)
@click.argument('source', metavar='SCENE', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@with_options(_OPTIONS)
def gas(
    source: str,
    output: str,
    quality: str | None,
    device: str | None,
    opening: Sequence[str],
    figure: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Map how much more of a gas there is above each pixel than above the scene.

    SCENE is a file or product folder with bands from 1.6 to 2.45 um, as radiance or
    reflectance. OUT is a GeoTIFF (.tif) with two bands: the enhancement of the gas and
    its standard error, in ppm m.

    A pixel that stands out is no plume yet: roofs and quarries do, too.
    """
    from ..workflows import map_gas

    check_not_inputs([output, figure], [source])
    device = check_device(device)
    words = {name: value for name, value in options.items() if value is not None}
    if quality is not None:
        words['quality'] = [] if quality == 'none' else quality.split(',')
    reading = read_opening(source, opening)
    if dry_run:
        info = check_written(source, reading, output)
        most = geotiff_bytes(2, *info.shape[1:], 'float32', words['compress'])
        show_plan([source], {output: most}, words['overwrite'], as_json)
        return
    with show_stages(lambda: cube_bytes(read_info(source, reading))) as progress:
        report = map_gas(
            source,
            output,
            device=device,
            figure=figure,
            reader_options=reading,
            progress=progress,
            **words,
        )
    if as_json:
        echo_json(report.to_dict())
    elif not is_quiet():
        echo_fields(report.lines())
        echo_done('Map written', output, report.seconds)


COMMANDS = (gas,)
