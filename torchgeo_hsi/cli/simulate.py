# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi simulate``: write a simulated EnMAP product."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ._output import option_words

# steps of the progress bar
_STEPS = 1000

# options of a plume
_PLUME = ('gas', 'rate', 'wind', 'wind_from', 'position', 'diffusivity', 'duration')


@contextmanager
def _progress_bar() -> Iterator[Callable[[float], None] | None]:
    """Show a progress bar on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(
        length=_STEPS, label='Simulating', file=sys.stderr
    ) as progress_bar:
        yield lambda share: progress_bar.update(
            round(share * _STEPS) - progress_bar.pos
        )


@click.command
@click.argument('root', type=click.Path(file_okay=False, writable=True))
@click.option('--size', type=click.IntRange(min=16), help='Rows and columns.')
@click.option('--seed', type=click.IntRange(min=0), help='Seed of all random numbers.')
@click.option('--cloud-cover', type=click.FloatRange(0, 0.9), help='Share of clouds.')
@click.option('--gas', help='Add a plume: methane or carbon_dioxide.')
@click.option('--rate', type=float, help='What the plume leaks in kg/h.')
@click.option('--wind', type=float, help='Wind over the plume in m/s.')
@click.option(
    '--wind-from', type=float, help='Where it blows from, degrees from north.'
)
@click.option(
    '--position',
    type=(float, float),
    help='Source of the plume: shares of the width and of the height.',
)
@click.option('--diffusivity', type=float, help='Horizontal diffusivity in m2/s.')
@click.option('--duration', type=float, help='How long it has been leaking in s.')
@click.option('--overwrite', is_flag=True, help='Replace another simulated scene.')
def simulate(root: str, overwrite: bool, **options: Any) -> None:
    """Write a simulated EnMAP L2A product with its truth into the folder ROOT.

    The same options give the same product. What is not given has the default of
    torchgeo_hsi.datasets.SimulatedEnMAP, and of a plume that of
    torchgeo_hsi.physics.simulation.PlumeSource.
    """
    from ..io import simulate_enmap

    given = {name: value for name, value in options.items() if value is not None}
    plume = {name: given.pop(name) for name in _PLUME if name in given}
    if plume:
        if 'gas' not in plume:
            raise click.UsageError(
                f'--{next(iter(plume)).replace("_", "-")} belongs to a plume: say of '
                'which gas, such as --gas methane.'
            )
        given['plume'] = plume
    with option_words(['overwrite'], root), _progress_bar() as progress:
        simulate_enmap(root, **given, overwrite=overwrite, progress=progress)
    click.echo(f'Simulated EnMAP product in {root}')


COMMANDS = (simulate,)
