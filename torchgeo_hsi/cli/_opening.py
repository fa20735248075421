# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options like ``--open key=data``: how a verb reads its files."""

from collections.abc import Sequence
from typing import Any

import click

from ._arguments import convert_pairs, read_pairs


def check_path(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuse an empty name, which would be the folder of the call.

    Args:
        ctx: Not used.
        param: Not used.
        value: Name of a file or folder.

    Returns:
        The name.

    Raises:
        click.BadParameter: If it is empty.
    """
    if not value.strip():
        raise click.BadParameter('Name a file or folder.')
    return value


def read_opening(
    source: str, words: Sequence[str], option: str = '--open'
) -> dict[str, Any]:
    """Read the options of the reader.

    Args:
        source: What will be opened.
        words: Options as the user wrote them.
        option: Name of the option, for messages.

    Returns:
        Options of :func:`~torchgeo_hsi.io.open_cube`.

    Raises:
        click.BadParameter: If one is unknown or of another kind.
    """
    from ..io.open import option_kinds

    if not words:
        return {}
    kinds = option_kinds(source)
    for name in {'wavelength', 'fwhm'} & kinds.keys():
        # anything that numpy takes, of which JSON knows one form
        kinds[name] = list[float]
    pairs = read_pairs(words, option)
    return convert_pairs(pairs, kinds, option, infinite=['nodata'])
