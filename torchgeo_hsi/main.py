# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The command ``torchgeo-hsi``."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from . import __version__
from .errors import HSIError, HSIWarning
from .plugins import get_plugin_manager

#: Environment variable that shows tracebacks, as ``--debug`` does.
DEBUG_VARIABLE = 'TORCHGEO_HSI_DEBUG'


class _PluginGroup(click.Group):
    """A group whose verbs come from the plugins, ours among them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return get_plugin_manager().registry('commands').list()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one verb, or None if there is no such verb."""
        commands = get_plugin_manager().registry('commands')
        return commands.get(cmd_name) if cmd_name in commands else None


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Remember ``--debug`` where the workers of a distributed run see it, too."""
    if value:
        os.environ[DEBUG_VARIABLE] = '1'


@click.group(cls=_PluginGroup, name='torchgeo-hsi')
@click.version_option(__version__, prog_name='torchgeo-hsi')
@click.option(
    '--debug',
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_debug,
    help=f'Show the traceback of an error (also {DEBUG_VARIABLE}=1).',
)
def cli() -> None:
    """Hyperspectral imaging for TorchGeo.

    fit, validate, test and predict take the options of the command torchgeo; the
    classes of this package and of all plugins are known there by their short names.
    """


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show our own warnings as one line, and leave the others as they are."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def showwarning(
            message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any
        ) -> None:
            if issubclass(category, HSIWarning):
                click.echo(f'Warning: {message}', err=True)
            else:
                show(message, category, *args, **kwargs)

        warnings.showwarning = showwarning
        yield


def _is_for_users(error: BaseException) -> bool:
    """Tell what a user did wrong from a bug, whose traceback is needed."""
    # not imported here: then torchgeo did not raise either
    torchgeo = sys.modules.get('torchgeo.datasets.errors')
    if isinstance(error, HSIError) or (
        torchgeo is not None and isinstance(error, torchgeo.DatasetNotFoundError)
    ):
        return True
    trace = error.__traceback__
    if trace is None or not isinstance(error, ValueError | FileNotFoundError):
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    # of a value or path that our own code refuses
    package = str(trace.tb_frame.f_globals.get('__name__')).partition('.')[0]
    return package == __package__


def main(args: Sequence[str] | None = None) -> None:
    """Run the command ``torchgeo-hsi``.

    An error of ours, a value or path that our code refuses, and data that torchgeo
    does not find are shown as one line and end the process with code 1; every other
    error is a bug and keeps its traceback.

    Args:
        args: Arguments after the name of the program; those of the process by
            default.

    Raises:
        SystemExit: At the end, with the exit code.
    """
    words = sys.argv[1:] if args is None else list(args)
    with _short_warnings():
        try:
            cli.main(args=words, prog_name='torchgeo-hsi')
        except Exception as error:
            is_debugging = os.environ.get(DEBUG_VARIABLE, '0') not in ('', '0')
            if is_debugging or not _is_for_users(error):
                raise
            click.echo(f'Error: {error}', err=True)
            sys.exit(1)
