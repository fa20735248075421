# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore superresolve``: a scene with more and smaller pixels."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ._arguments import read_pairs
from ._methods import build_method, check_device
from ._opening import check_path, read_opening
from ._output import echo_json, option_words
from ._progress import show_stages
from ._restoring import method_name, restoring, scaling_option, tiling_options


@click.command
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
        help='How many times smaller pixels become.',
    ),
    scaling_option,
    *tiling_options(64, 16, 1, 'in pixels of IN'),
)
def superresolve(
    source: str,
    output: str,
    method: str,
    weights: str | None,
    arguments: Sequence[str],
    scale: int,
    opening: Sequence[str],
    device: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Give a scene of any size more and smaller pixels.

    IN is a file or product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat,
    NetCDF or a stored scene. OUT is a GeoTIFF (.tif) of the same area with the data
    type, scale, nodata, mask, wavelengths and tags of IN.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    """
    from ..scenes import superresolve_scene

    start = time.monotonic()
    device = check_device(device)
    model = _build(method, weights, read_pairs(arguments, '--model'), scale)
    reader_options = read_opening(source, opening)
    with option_words(['overwrite'], output), show_stages() as progress:
        superresolve_scene(
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
    report = {'output': output, 'method': method, 'scale': scale}
    seconds = time.monotonic() - start
    if as_json:
        echo_json(report | {'seconds': seconds})
    else:
        click.echo(
            f'Pixels made {scale} times smaller with {method} in {seconds:.0f} s: '
            f'{output}'
        )


def _build(
    method: str, weights: str | None, pairs: Mapping[str, str], scale: int
) -> Any:
    """Build a method with the scale that is asked for."""
    if 'scale' in pairs:
        raise click.UsageError(
            f'Say --scale {pairs["scale"]} instead of --model scale={pairs["scale"]}.'
        )
    model = build_method(
        method, pairs, weights, 'superresolver', optional={'scale': str(scale)}
    )
    if model.scale != scale:
        raise click.UsageError(
            f'{method} makes pixels {model.scale} times smaller, not {scale} times. Pass '
            f'--scale {model.scale}, or choose another method.'
        )
    return model
