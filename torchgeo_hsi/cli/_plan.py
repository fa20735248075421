# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``--dry-run``: what a verb would read and write, and whether the disk has room."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from .._typing import PathLike
from ..errors import OutputError
from ._output import check_free, echo_fields, echo_json, say_size, size_of

if TYPE_CHECKING:
    from ..io import CubeInfo

#: Lines of a plan that are shown for files of one kind.
_MOST = 8


def show_plan(
    reads: Sequence[str],
    writes: Mapping[str, float | None],
    overwrite: bool,
    as_json: bool,
    notes: Sequence[str] = (),
    place: PathLike = '',
) -> None:
    """Say what would be read and written.

    Args:
        reads: Files, folders and addresses to read.
        writes: Largest number of bytes of each output, None where it is not known.
        overwrite: Whether outputs that exist may be replaced.
        as_json: Whether to print JSON.
        notes: What else is to be said.
        place: The output, of which nothing may be left to write.

    Raises:
        OutputError: If the verb would refuse to replace an output, or if the disk has
            too little room.
    """
    from ..io._whole import room_for

    target = next(iter(writes), place)
    folder, free = room_for(target)
    needed = sum(size or 0 for size in writes.values())
    there = [path for path in writes if os.path.lexists(path)]
    if as_json:
        echo_json(
            {
                'dry_run': True,
                'reads': [{'path': path, 'bytes': size_of(path)} for path in reads],
                'writes': [
                    {'path': path, 'most_bytes': size, 'replaces': path in there}
                    for path, size in writes.items()
                ],
                'free_bytes': free,
                'has_room': needed <= free,
                'notes': list(notes),
            }
        )
    else:
        _echo(reads, writes, there, f'{say_size(free)} in {folder}', notes)
    check_free(there, overwrite)
    if needed > free:
        raise OutputError(
            f'Up to {say_size(needed)} would be written, and {folder} has room for '
            f'{say_size(free)}. Free some, or choose another disk.'
        )


def _echo(
    reads: Sequence[str],
    writes: Mapping[str, float | None],
    there: Sequence[str],
    free: str,
    notes: Sequence[str],
) -> None:
    """Print a plan for people."""
    lines = [('would read', f'{path} ({say_size(size_of(path))})') for path in reads]
    fields = _shorten(lines, 'would read')
    lines = []
    for path, size in writes.items():
        told = 'size not known' if size is None else f'up to {say_size(size)}'
        verb = 'would replace' if path in there else 'would write'
        lines.append((verb, f'{path} ({told})'))
    fields += _shorten(lines, 'would write')
    fields += [('free', free), *(('note', note) for note in notes)]
    echo_fields(fields)
    click.echo('Dry run: nothing was written.')


def _shorten(lines: list[tuple[str, str]], title: str) -> list[tuple[str, str]]:
    """Leave out most of many lines."""
    if len(lines) <= _MOST:
        return lines
    return [*lines[: _MOST - 1], (title, f'... and {len(lines) - _MOST + 1} more')]


def read_info(source: str, options: Mapping[str, Any]) -> 'CubeInfo':
    """Read what a scene is, without its pixels.

    Args:
        source: File or product folder.
        options: Options of the reader.

    Returns:
        Its shape and type, among others.
    """
    from ..io import open_cube

    with open_cube(source, **options) as reader:
        return reader.info


def check_written(
    source: str, options: Mapping[str, Any], output: str, folder: bool = False
) -> 'CubeInfo':
    """Refuse an output that is the scene, lies in it, or is of another format.

    Whether it may be replaced is left to :func:`show_plan`.

    Args:
        source: File or product folder.
        options: Options of the reader.
        output: What is to be written.
        folder: Whether a product may become one, and not only a GeoTIFF.

    Returns:
        What the scene is.

    Raises:
        OutputError: If it cannot be written.
    """
    from ..io import open_cube
    from ..scenes._output import check_output, is_product

    if is_product(output) and not folder:
        raise OutputError(
            f'{output} is no .tif file, and what this verb writes is a GeoTIFF. Name a '
            '.tif file.'
        )
    with open_cube(source, **options) as reader:
        check_output(reader, source, output, overwrite=True)
        return reader.info


def cube_bytes(info: 'CubeInfo') -> int:
    """Return how large a cube is without compression.

    Args:
        info: What the cube is.

    Returns:
        Bytes.
    """
    import numpy as np

    bands, height, width = info.shape
    return bands * height * width * np.dtype(info.dtype).itemsize
