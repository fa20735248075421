# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi simulate``: write a simulated EnMAP product."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ._arguments import FiniteRange
from ._opening import check_path
from ._options import (
    dry_run_option,
    gas_option,
    json_option,
    overwrite_option,
    quiet_option,
    seed_option,
)
from ._output import echo_done, echo_json, size_of
from ._plan import show_plan
from ._progress import show_stages
from ._verb import Verb

# options of a plume
_PLUME = ('gas', 'rate', 'wind', 'wind_from', 'position', 'diffusivity', 'duration')

#: Bytes of a pixel without compression: image and truth of two bytes and a mask of one
#: for each band, and the other layers; and of a product besides its pixels.
_PIXEL, _BESIDES = 5 * 224 + 64, 800_000


@click.command(
    cls=Verb,
    short_help='Write a simulated EnMAP L2A product with its truth.',
    examples=(
        'torchgeo-hsi simulate scene --size 512 --seed 1 --cloud-cover 0.1',
        'torchgeo-hsi simulate leak --gas methane --rate 2000 --wind 4',
    ),
)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@click.option(
    '--size',
    type=click.IntRange(min=16),
    default=256,
    show_default=True,
    metavar='PIXELS',
    help='Rows and columns.',
)
@click.option(
    '--cloud-cover',
    type=FiniteRange(0, 0.9),
    default=0.05,
    show_default=True,
    metavar='SHARE',
    help='Share of clouds.',
)
@gas_option(None, 'Add a plume')
@click.option('--rate', type=float, metavar='KG/H', help='What the plume leaks.')
@click.option('--wind', type=float, metavar='M/S', help='Wind over the plume.')
@click.option(
    '--wind-from',
    type=float,
    metavar='DEGREES',
    help='Where it blows from, clockwise from north.',
)
@click.option(
    '--position',
    type=(float, float),
    metavar='X Y',
    help='Source of the plume: shares of the width and of the height.',
)
@click.option(
    '--diffusivity', type=float, metavar='M2/S', help='Horizontal diffusivity.'
)
@click.option(
    '--duration', type=float, metavar='SECONDS', help='How long it has been leaking.'
)
@seed_option
@overwrite_option
@dry_run_option
@json_option
@quiet_option
def simulate(
    output: str, overwrite: bool, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Write a simulated EnMAP L2A product with its truth into the folder OUT.

    The same options give the same product; if OUT holds it already, nothing happens.
    What is not given of a plume has the default of
    torchgeo_hsi.physics.simulation.PlumeSource.
    """
    start = time.monotonic()
    given = {name: value for name, value in options.items() if value is not None}
    plume = {name: given.pop(name) for name in _PLUME if name in given}
    if plume:
        if 'gas' not in plume:
            raise click.UsageError(
                f'--{next(iter(plume)).replace("_", "-")} belongs to a plume: say of '
                'which gas, such as --gas methane.'
            )
        given['plume'] = plume
    if dry_run:
        _plan(output, overwrite, as_json, given)
        return
    _simulate(output, overwrite, given)
    seconds = time.monotonic() - start
    if as_json:
        report = {'output': output, 'bytes': size_of(output), 'seconds': seconds}
        echo_json(report | {name: options[name] for name in ('size', 'seed')})
    else:
        echo_done('Simulated EnMAP product', output, seconds)


def _plan(
    output: str, overwrite: bool, as_json: bool, given: Mapping[str, Any]
) -> None:
    """Say what would be written; a scene that is there already is not."""
    from ..io.simulated import holds_scene
    from ..physics.simulation import PlumeSource, SceneConfig

    size, plume = given['size'], PlumeSource.of(given.get('plume'))
    config = SceneConfig(size, size, given['seed'], given['cloud_cover'], plume=plume)
    writes: dict[str, float | None] = {output: size**2 * _PIXEL + _BESIDES}
    notes = []
    if holds_scene(Path(output), config, overwrite):
        writes = {}
        notes.append(f'{output} holds this scene already')
    show_plan([], writes, True, as_json, notes, output)


def _simulate(output: str, overwrite: bool, given: Mapping[str, Any]) -> None:
    """Write the scene, and show how far it is."""
    from ..io import simulate_enmap

    # the image: 224 bands of int16
    with show_stages(lambda: 2 * 224 * given['size'] ** 2) as show:
        simulate_enmap(
            output,
            **given,
            overwrite=overwrite,
            progress=lambda share: show('Simulating', share),
        )


COMMANDS = (simulate,)
