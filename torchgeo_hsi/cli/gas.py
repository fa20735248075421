# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi gas``: a map of methane or carbon dioxide above a scene."""

from collections.abc import Sequence
from typing import Any

import click

from ._arguments import with_options
from ._methods import check_device
from ._opening import check_path, read_opening
from ._output import check_not_inputs, echo_fields, echo_json, json_option, option_words
from ._progress import show_stages

#: Arguments of the library that are options here, for messages.
_WORDS = (
    'clusters',
    'columns',
    'darkest',
    'overwrite',
    'passes',
    'shrinkage',
    'sun_zenith',
    'threshold',
    'view_zenith',
)

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
    click.option(
        '--gas',
        default='methane',
        show_default=True,
        metavar='NAME',
        help='methane or carbon_dioxide.',
    ),
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
        type=click.FloatRange(0, 75),
        help='Degrees; that of the product by default, if it says.',
    ),
    click.option(
        '--view-zenith',
        type=click.FloatRange(0, 75),
        default=0.0,
        show_default=True,
        help='Degrees.',
    ),
    click.option(
        '--window',
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
        help='Kinds of ground with a background of their own (8).',
    ),
    click.option(
        '--columns',
        type=click.IntRange(min=1),
        help='Columns of the image that share a background, instead of kinds of ground.',
    ),
    click.option('--seed', type=click.IntRange(min=0), default=0, help='Seed (0).'),
    click.option(
        '--albedo/--no-albedo',
        default=True,
        help='Correct for the brightness of pixels (yes).',
    ),
    click.option(
        '--passes', type=click.IntRange(min=1), help='Looks at the background.'
    ),
    click.option(
        '--shrinkage',
        type=click.FloatRange(min=0),
        help='Share of the residual variance that is added to the covariance.',
    ),
    click.option(
        '--threshold',
        type=click.FloatRange(min=0, min_open=True),
        help='Standard errors from which on trimmed leaves pixels out (3).',
    ),
    click.option(
        '--darkest',
        type=click.FloatRange(min=0),
        help='Brightness, as a share of the mean, below which there is no result (0.1).',
    ),
    click.option('--device', help='cpu, cuda, cuda:1 ...; a GPU by default, if any.'),
    click.option(
        '--compress', default='deflate', show_default=True, help='Compression.'
    ),
    click.option(
        '--open',
        'opening',
        multiple=True,
        metavar='KEY=VALUE',
        help='Options to read SCENE, e.g. wavelength_unit=nm.',
    ),
    click.option('--figure', type=click.Path(dir_okay=False), help='Picture to write.'),
    click.option('--overwrite', is_flag=True, help='Replace OUT.'),
    json_option,
)


@click.command(short_help='Map a gas above a scene.')
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
    with option_words(_WORDS, source), show_stages() as progress:
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
        return
    echo_fields(report.lines())
    click.echo(f'Map written to {output} after {report.seconds:.0f} s')


COMMANDS = (gas,)
