# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The verbs of ``torchgeo-hsi``: one file each, with the commands in ``COMMANDS``.

These files import click alone; whatever is heavy is imported when a verb runs.
"""
