# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi benchmark``: methods side by side, on your own data."""

import click

from ._benchmark_pansharpening import pansharpening


@click.group(short_help='Compare methods on your own data.')
def benchmark() -> None:
    """Compare methods on your own data: scores, time, memory and pictures."""


benchmark.add_command(pansharpening)

COMMANDS = (benchmark,)
