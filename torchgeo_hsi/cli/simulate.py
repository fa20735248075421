# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi simulate``: write a simulated EnMAP product."""

from typing import Any

import click


@click.command
@click.argument('root', type=click.Path(file_okay=False, writable=True))
@click.option('--size', type=click.IntRange(min=16), help='Rows and columns.')
@click.option('--seed', type=click.IntRange(min=0), help='Seed of all random numbers.')
@click.option('--cloud-cover', type=click.FloatRange(0, 0.9), help='Share of clouds.')
def simulate(root: str, **options: Any) -> None:
    """Write a simulated EnMAP L2A product with its truth into the folder ROOT.

    The same options give the same product. What is not given has the default of
    torchgeo_hsi.datasets.SimulatedEnMAP.
    """
    from ..io import simulate_enmap

    given = {name: value for name, value in options.items() if value is not None}
    simulate_enmap(root, **given)
    click.echo(f'Simulated EnMAP product in {root}')


COMMANDS = (simulate,)
