# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How verbs show their results: a table for people, JSON for programs."""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click

from .._json import finite
from .._typing import PathLike
from ..errors import OutputError

#: Where a context remembers that nothing but errors is shown.
_QUIET = 'torchgeo_hsi.quiet'


def quiet(ctx: click.Context) -> None:
    """Remember that nothing but errors and warnings is shown.

    Args:
        ctx: Context of the verb.
    """
    ctx.meta[_QUIET] = True


def is_quiet() -> bool:
    """Tell whether the verb that runs was called with ``--quiet``.

    Returns:
        False outside of a verb.
    """
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(_QUIET))


def echo_json(value: Any) -> None:
    """Print a value as JSON.

    Args:
        value: Anything that JSON can hold; numbers that are not finite become null.
    """
    click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False, default=str))


def echo_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a header, in columns as wide as they need to be.

    Args:
        header: Titles of the columns.
        rows: Cells, one row for each line.
    """
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo('  '.join(cells).rstrip())


def echo_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one pair on each line.

    Args:
        fields: Pairs of a name and a value.
    """
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        click.echo(f'{name.ljust(width)}  {value}')


def size_of(path: PathLike) -> int | None:
    """Measure a file, or a folder with all that is in it.

    Args:
        path: The file or folder.

    Returns:
        Bytes; None if there is nothing, and for addresses.
    """
    if os.path.isfile(path):
        return os.path.getsize(path)
    if not os.path.isdir(path):
        return None
    return sum(
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
        if os.path.isfile(os.path.join(folder, name))
    )


def say_size(count: float | None) -> str:
    """Put a number of bytes into words.

    Args:
        count: The number, or None if it is not known.

    Returns:
        Words such as ``'1.3 MB'``.
    """
    if count is None:
        return 'size not known'
    if count < 1000:
        return f'{count:.0f} bytes'
    for unit in ('kB', 'MB', 'GB'):
        count /= 1000
        if count < 999.95:
            return f'{count:.1f} {unit}'
    return f'{count / 1000:.1f} TB'


def echo_done(what: str, path: PathLike, seconds: float) -> None:
    """Say as the last line where a result is, how large it is, and how long it took.

    Args:
        what: What was done.
        path: File or folder with the result.
        seconds: Time taken.
    """
    if not is_quiet():
        size = say_size(size_of(path))
        click.echo(f'{what}: {os.fspath(path)} ({size}, {say_time(seconds)})')


def say_time(seconds: float) -> str:
    """Put a duration into words.

    Args:
        seconds: Its length.

    Returns:
        Words such as ``'3 min 20 s'``.
    """
    if seconds < 9.95:
        return f'{seconds:.1f} s'
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


def check_not_inputs(outputs: Iterable[str | None], inputs: Iterable[str]) -> None:
    """Refuse to write over what is read.

    Args:
        outputs: Files or folders to write; None does not count.
        inputs: Files or folders to read.

    Raises:
        OutputError: If an output is one of the inputs.
    """
    there = {os.path.realpath(path): path for path in inputs}
    for output in outputs:
        if output is not None and os.path.realpath(output) in there:
            raise OutputError(
                f'{output} is read, so it cannot be written as well. Choose another '
                'name.'
            )


def check_outside(output: str, inputs: Iterable[str]) -> None:
    """Refuse a folder for outputs that the next run would take for inputs.

    Args:
        output: The folder.
        inputs: Files or folders to read.

    Raises:
        OutputError: If *output* is one of the folders, or lies in one.
    """
    target = os.path.realpath(output)
    for path in inputs:
        folder = os.path.realpath(path)
        if os.path.isdir(folder) and (target + os.sep).startswith(folder + os.sep):
            raise OutputError(
                f'{output} lies in {path}, so the next run would take what is written '
                'there for scenes. Choose a folder elsewhere.'
            )


def check_free(outputs: Iterable[PathLike], overwrite: bool) -> None:
    """Refuse to replace what is there, before any work is done.

    Args:
        outputs: Files or folders to write.
        overwrite: Whether they may be replaced.

    Raises:
        OutputError: If there is one already.
    """
    there = [path for path in outputs if os.path.lexists(path)]
    if there and not overwrite:
        raise OutputError(
            f'{os.fspath(there[0])} exists already. Choose another path, or pass '
            '--overwrite.'
        )
