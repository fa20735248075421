# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whether outputs can be written where they are to be, before any work is done."""

import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import click

from .._typing import PathLike
from ..errors import OutputError

#: Values of verbs that are outputs.
_OUTPUTS = ('output', 'report', 'figure')


def check_places(ctx: click.Context) -> None:
    """Refuse outputs of a verb that cannot be written, or are the same file.

    Args:
        ctx: Context of the verb, of which *output*, *report* and *figure* count.

    Raises:
        OutputError: If there is such an output.
    """
    params = {param.name: param for param in ctx.command.params}

    def say(name: str) -> str:
        option = params[name]
        return option.opts[0] if isinstance(option, click.Option) else 'OUT'

    found = {say(name): ctx.params[name] for name in _OUTPUTS if ctx.params.get(name)}
    check_apart(found)
    if ctx.params.get('figure'):
        # which takes a while to import
        from ..callbacks._figure_file import picture_complaint

        complaint = picture_complaint(ctx.params['figure'], needs_suffix=False)
        if complaint:
            raise OutputError(complaint)
    for path in found.values():
        check_place(path)


def check_apart(outputs: Mapping[str, str | None]) -> None:
    """Refuse outputs that would replace each other.

    Args:
        outputs: Files or folders by what they are; None does not count.

    Raises:
        OutputError: If two are the same.
    """
    given = {name: path for name, path in outputs.items() if path}
    for one, other in combinations(given, 2):
        if os.path.realpath(given[one]) == os.path.realpath(given[other]):
            raise OutputError(
                f'{given[one]} cannot be {one} and {other} at once. Choose another name '
                'for one of them.'
            )


def check_place(output: PathLike, folder: bool = False) -> None:
    """Refuse an output where no file or folder can be made.

    Args:
        output: File or folder to write; it need not exist.
        folder: Whether it is a folder.

    Raises:
        OutputError: If a file is in the way, or nobody may write there.
    """
    # which a verb's help does not need
    from ..io._whole import room_for

    target = Path(output).absolute()
    for parent in target.parents:
        if parent.is_file():
            raise OutputError(
                f'{parent} is a file, so nothing can be written into it. Choose a '
                'folder elsewhere.'
            )
    if folder and target.is_file():
        raise OutputError(
            f'{os.fspath(output)} is a file, and a folder is to be written. Choose '
            'another name.'
        )
    place = target if target.is_dir() else room_for(target)[0]
    if not os.access(place, os.W_OK):
        raise OutputError(
            f'{os.fspath(output)} cannot be written: you may not write into {place}. '
            'Choose another folder.'
        )
