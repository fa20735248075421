# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The command ``torchgeo-hsi``."""

import errno
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from . import __version__
from .errors import HSIError, HSIWarning, UnknownNameError
from .plugins import get_plugin_manager

#: Environment variable that shows tracebacks, as ``--debug`` does.
DEBUG_VARIABLE = 'TORCHGEO_HSI_DEBUG'

#: Exit codes of an error, of a bug, after Ctrl-C, and after a closed pipe.
ERROR, BUG, INTERRUPTED, CLOSED = 1, 70, 130, 141


class _PluginGroup(click.Group):
    """A group whose verbs come from the plugins, ours among them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return get_plugin_manager().registry('commands').list()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one verb, or None if there is no such verb."""
        commands = get_plugin_manager().registry('commands')
        return commands.get(cmd_name) if cmd_name in commands else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which ones are close to what was typed."""
        name = args[0]
        known = self.list_commands(ctx)
        if not ctx.resilient_parsing and not name.startswith('-') and name not in known:
            ctx.fail(str(UnknownNameError('verb', name, known)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        """Run the verb; what it returns is not an exit code."""
        try:
            super().invoke(ctx)
        except BrokenPipeError:
            _close_output()
            ctx.exit(CLOSED)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the exit codes mean."""
        from .cli._verb import EXIT_CODES

        with formatter.section('Exit codes'):
            formatter.write_dl(EXIT_CODES)


def _close_output() -> None:
    """Write nothing more: Python would try again at its end, and complain."""
    # standard output of a test has no number
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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

    "torchgeo-hsi VERB --help" explains a verb and shows examples of it.

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
                click.echo(f'Warning: {_in_options(str(message))}', err=True)
            else:
                show(message, category, *args, **kwargs)

        warnings.showwarning = showwarning
        yield


def _in_options(text: str) -> str:
    """Put options of the verb that runs where a message has arguments of Python."""
    verb = click.get_current_context(silent=True)
    if verb is None:
        return text
    from .cli._words import in_options

    return in_options(text, verb)


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


def _message(error: BaseException) -> str | None:
    """Put an error into one line.

    Returns:
        None if it is a bug, whose traceback is needed.
    """
    if _is_for_users(error):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        package = error.name.partition('.')[0]
        if package != __package__:
            return (
                f'This needs the package {package}, which is not installed. Install '
                'torchgeo-hsi with the extra that has it, e.g. "torchgeo-hsi[all]".'
            )
    if isinstance(error, MemoryError) or type(error).__name__ == 'OutOfMemoryError':
        return (
            f'There is not enough memory: {str(error).partition(". ")[0] or "no details"}. '
            'Choose smaller tiles, windows or batches, or fewer workers.'
        )
    if isinstance(error, OSError) and error.strerror:
        if error.filename is not None:
            return f'{error.filename}: {error.strerror}.'
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return f'The output could not be written: {error.strerror}.'
    return None


def _tracker() -> str:
    """Say where bugs are reported, if the package is installed and says it."""
    from importlib.metadata import PackageNotFoundError, metadata

    with suppress(PackageNotFoundError):
        for line in metadata('torchgeo-hsi').get_all('Project-URL') or ():
            title, _, address = line.partition(', ')
            if title.lower() in ('issues', 'bug tracker', 'tracker'):
                return f' at {address}'
    return ''


def _report_bug(error: BaseException, words: Sequence[str]) -> str:
    """Keep the traceback of a bug, and say where it is.

    Hours of a training may lie behind it, so it has to be there without another run.
    """
    told = f'{type(error).__name__}: {str(error).strip()}'.splitlines()[0]
    text = ''.join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            'w', encoding='utf-8', prefix='torchgeo-hsi-', suffix='.log', delete=False
        ) as file:
            file.write(f'torchgeo-hsi {__version__}: {" ".join(words)}\n\n{text}')
    except OSError:
        return f'{text}Bug: {told}\nPlease report it{_tracker()} with the lines above.'
    return (
        f'Bug: {told}\nThis should not happen. Please report it{_tracker()} with the '
        f'traceback, which is in {file.name} (and shown with --debug).'
    )


def _run(words: Sequence[str]) -> int:
    """Run one command, and return its exit code."""
    try:
        code = cli.main(args=words, prog_name='torchgeo-hsi', standalone_mode=False)
        # what is not written yet fails here, and not behind our back; nobody may listen
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo('\nInterrupted.', err=True)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            _close_output()
            return CLOSED
        if os.environ.get(DEBUG_VARIABLE, '0') not in ('', '0'):
            raise
        message = _message(error)
        if message is None:
            click.echo(_report_bug(error, words), err=True)
            return BUG
        click.echo(f'Error: {message}', err=True)
        return ERROR


def main(args: Sequence[str] | None = None) -> None:
    """Run the command ``torchgeo-hsi``.

    An error of ours, a value or path that our code refuses, and data that torchgeo
    does not find are shown as one line and end the process with code 1. Every other
    error is a bug: its traceback is kept in a file, and the code is 70. Both have
    their tracebacks shown with ``--debug``.

    Args:
        args: Arguments after the name of the program; those of the process by
            default.

    Raises:
        SystemExit: At the end, with the exit code.
    """
    words = sys.argv[1:] if args is None else list(args)
    with _short_warnings():
        code = _run(words)
    sys.exit(code)
