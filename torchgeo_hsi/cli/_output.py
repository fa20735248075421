# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How verbs show their results: a table for people, JSON for programs."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ..errors import HSIError, OutputError

#: The option ``--json`` that several verbs share.
json_option = click.option('--json', 'as_json', is_flag=True, help='Print JSON.')


def echo_json(value: Any) -> None:
    """Print a value as JSON.

    Args:
        value: Anything that JSON can hold.
    """
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


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


@contextmanager
def option_words(names: Iterable[str], verbatim: str) -> Iterator[None]:
    """Let errors of the library speak of options instead of Python's arguments.

    Args:
        names: Arguments that the verb has as options: ``key=`` becomes ``--key``, and
            ``overwrite=True`` becomes ``--overwrite``.
        verbatim: Path in the messages, which stays as it is.

    Yields:
        Nothing.

    Raises:
        HSIError: The one that was raised inside, in other words.
    """
    pattern = re.compile(rf'(?<![\w-])({"|".join(names)})=(True\b)?')
    try:
        yield
    except HSIError as error:
        parts = str(error).split(verbatim) if verbatim else [str(error)]
        told = (pattern.sub(lambda m: '--' + m[1].replace('_', '-'), p) for p in parts)
        error.args = (verbatim.join(told),)
        raise
