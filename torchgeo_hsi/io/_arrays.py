# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Finding the cube and its wavelengths among the named arrays of a file."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import MetadataError
from ._files import shorten

#: Arrays that a message lists.
_LISTED = 20

#: Names, in lower case and without underscores, of arrays with band centres and widths.
CENTRE_NAMES = frozenset(
    {'wavelength', 'wavelengths', 'wl', 'lambda', 'centerwavelength', 'bandcenters'}
)
WIDTH_NAMES = frozenset({'fwhm', 'bandwidth', 'bandwidths'})
GOOD_NAMES = frozenset({'goodwavelengths', 'bbl', 'goodbands'})


def plain(name: str) -> str:
    """Reduce a name to what is compared: last part, lower case, no underscores.

    Args:
        name: Name, maybe with a path.
    """
    return name.rsplit('/', 1)[-1].lower().replace('_', '')


def choose_cube(
    shapes: Mapping[str, tuple[int, ...]], key: str | None, path: str, option: str
) -> str:
    """Choose the array that is the cube.

    Args:
        shapes: Shape of each array of the file.
        key: Name given by the caller, or None.
        path: The file, for messages.
        option: What the argument for the name is called.

    Returns:
        The name of the array.

    Raises:
        MetadataError: If the name does not exist or is no cube, or if none is given
            and the file has not exactly one array of three dimensions.
    """
    listing = listed(f'{name} {shape}' for name, shape in shapes.items())
    if key is not None:
        name = key.strip('/')
        if name not in shapes:
            raise MetadataError(
                f'There is no {key!r} in {path}. Choose one of its arrays: {listing}.'
            )
        if len(shapes[name]) != 3:
            raise MetadataError(
                f'Expected an array of 3 dimensions, got {name} {shapes[name]} in '
                f'{path}. Choose another of its arrays: {listing}.'
            )
        return _checked(name, shapes[name], path)
    cubes = [name for name, shape in shapes.items() if len(shape) == 3]
    if len(cubes) != 1:
        raise MetadataError(
            f'Expected one array of 3 dimensions in {path}, found {len(cubes)}. '
            f'Choose with {option}=. Arrays: {listing}.'
        )
    return _checked(cubes[0], shapes[cubes[0]], path)


def listed(names: Iterable[str]) -> str:
    """List arrays in a message.

    Args:
        names: Their names; those of a damaged file may fill pages.

    Returns:
        The first of them.
    """
    words = [shorten(' '.join(name.split())) for name in names]
    more = [f'{len(words) - _LISTED} more'] if len(words) > _LISTED else []
    return ', '.join(words[:_LISTED] + more) or 'none'


def _checked(name: str, shape: tuple[int, ...], path: str) -> str:
    """Refuse a cube without pixels."""
    if min(shape) < 1:
        raise MetadataError(
            f'{name} of {path} has no pixels: its shape is {shape}. Choose another '
            'array, or copy the file again.'
        )
    return name


def find_named(names: Iterable[str], wanted: frozenset[str], near: str) -> list[str]:
    """Find arrays by what they are called.

    Args:
        names: Names of the arrays.
        wanted: Names that count, reduced by :func:`plain`.
        near: Name of the cube; arrays of its own group come first.

    Returns:
        The matching names.
    """
    group = near.rpartition('/')[0]
    found = [name for name in names if plain(name) in wanted]
    return sorted(found, key=lambda name: name.rpartition('/')[0] != group)


def check_layout(layout: Any, path: str) -> str:
    """Check the order of axes.

    Args:
        layout: ``'HWC'`` or ``'CHW'``, in either case.
        path: The file, for messages.

    Returns:
        The layout in upper case.

    Raises:
        MetadataError: If it is something else.
    """
    name = str(layout).upper()
    if name not in ('HWC', 'CHW'):
        raise MetadataError(
            f"Expected layout 'HWC' (rows, columns, bands) or 'CHW' for {path}, got "
            f'{layout!r}.'
        )
    return name
