# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which dataset reads some files, where nobody says it."""

import os
import warnings
from collections.abc import Sequence
from contextlib import suppress

from ..errors import HSIError, HSIWarning

#: Dataset of each sensor that has one of its own.
_SENSORS = {
    'EnMAP': 'EnMAPL2A',
    'PRISMA': 'PRISMAL2D',
    'DESIS': 'DESISL2A',
    'EMIT': 'EMITL2A',
}


def guess_class(paths: Sequence[str]) -> str:
    """Choose a dataset by its files.

    Args:
        paths: Files or folders.

    Returns:
        ``'StoredPatches'`` for stores of patches, the dataset of the sensor of the first
        scene, if there is one, or ``'HSICube'``.

    Raises:
        FileNotFoundError: If one of the paths does not exist.
    """
    from ..io.store._folder import store_kind

    if any(store_kind(path) == 'patches' for path in paths):
        return 'StoredPatches'
    for path in paths:
        if not os.path.exists(path):
            raise FileNotFoundError(f'There is nothing at {path}. Check the path.')
    return _SENSORS.get(_sensor(paths), 'HSICube')


def with_stores(paths: Sequence[str]) -> Sequence[str]:
    """Name the scenes of folders one by one, if there are stores among them.

    Datasets look for files in a folder, and a store is a folder itself.

    Args:
        paths: Files or folders.

    Returns:
        The scenes, or *paths* as they are if none is a store.
    """
    from ..io.store._folder import store_kind
    from ._scenes import find_scenes

    with suppress(HSIError, OSError):
        found = [scene.path for scene in find_scenes(paths)]
        if any(store_kind(path) == 'scene' for path in found):
            return found
    return paths


def _sensor(paths: Sequence[str]) -> str:
    """Return the sensor of the first scene that opens; empty if none does."""
    from ..io import open_cube
    from ._scenes import find_scenes

    with warnings.catch_warnings():
        # the dataset says it again
        warnings.simplefilter('ignore', HSIWarning)
        try:
            scenes = find_scenes(paths)
        except (HSIError, OSError):
            return ''
        for scene in scenes:
            # what is missing, such as a unit, is told by the dataset
            with (
                suppress(HSIError, OSError, ImportError),
                open_cube(scene.path) as cube,
            ):
                return cube.info.sensor
    return ''
