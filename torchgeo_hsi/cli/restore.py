# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore``: better images from the command line."""

import click

from ._denoise import denoise
from ._pansharpen import pansharpen
from ._superresolve import superresolve


@click.group(short_help='Restore images: remove noise, sharpen, enlarge.')
def restore() -> None:
    """Restore scenes of any size with networks or classical methods."""


restore.add_command(denoise)
restore.add_command(pansharpen)
restore.add_command(superresolve)

COMMANDS = (restore,)
