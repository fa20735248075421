# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Configurations that ship with the package, by their names."""

import os
from pathlib import Path

from ..errors import UnknownNameError


def shipped_configs() -> Path:
    """Return the folder of the shipped configurations.

    A wheel has a copy inside of the package, a checkout has them beside it.

    Returns:
        The folder ``configs``.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / 'configs'
    return inside if inside.is_dir() else package.parent / 'configs'


def list_configs() -> list[str]:
    """List the shipped configurations.

    Returns:
        Names as in ``'demo'`` and ``'denoising/hsdt_s'``, sorted.
    """
    folder = shipped_configs()
    return sorted(
        path.relative_to(folder).with_suffix('').as_posix()
        for path in folder.rglob('*.yaml')
    )


def find_config(word: str) -> str:
    """Find a configuration by its path or its name.

    Args:
        word: Path of a file, or the name of a shipped configuration. A file that
            exists always wins.

    Returns:
        Path of the file.

    Raises:
        UnknownNameError: If there is neither such a file nor such a name.
    """
    # not pathlib's, which raises for a word that is too long for a name
    if os.path.isfile(word):
        return word
    names = list_configs()
    name = word.removesuffix('.yaml').removesuffix('.yml').removeprefix('configs/')
    if name in names:
        return str(shipped_configs() / f'{name}.yaml')
    raise UnknownNameError('file or shipped configuration', name, names)
