# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The scene that is read, and what to say of a folder that holds many."""

import os
from collections.abc import Mapping
from typing import Any

from .._typing import PathLike
from ..errors import EmptyDataError, MetadataError
from ..io import CubeReader, open_cube

#: What tiles and scenes of one file end with.
_SUFFIXES = ('.tif', '.tiff', '.hdr', '.mat', '.nc', '.nc4', '.h5', '.hdf5', '.he5')

#: What each function is on the command line.
_VERBS = {
    'restore_scene': 'restore denoise',
    'superresolve_scene': 'restore superresolve',
}


def open_scene(
    source: PathLike, options: Mapping[str, Any] | None, function: str
) -> CubeReader:
    """Open the scene that a function gets.

    Args:
        source: Whatever :func:`~torchgeo_hsi.io.open_cube` opens.
        options: Its options.
        function: Name of the function, for a folder that holds no scene, or many.

    Returns:
        The open scene.

    Raises:
        EmptyDataError: If a folder holds no scene; with a loop, if it holds files.
        MetadataError: If a folder holds several scenes; with a loop over them.
    """
    try:
        return open_cube(source, **(options or {}))
    except (EmptyDataError, MetadataError) as error:
        name = os.fspath(source)
        files = sorted(os.listdir(name)) if os.path.isdir(name) else []
        kinds = [os.path.splitext(file)[1] for file in files]
        found = [kind for kind in kinds if kind.lower() in _SUFFIXES]
        if len(found) < 2:
            raise
        each = f'*{max(found, key=found.count)}'
        raise type(error)(
            f'{name} is a folder of {len(found)} files, and {function} takes one scene. '
            f'For each: for path in Path({name!r}).glob({each!r}): {function}(model, '
            'path, out / f"{path.stem}.tif"); in a shell: for f in '
            f'{name}/{each}; do torchgeo-hsi {_VERBS[function]} "$f" '
            f'"out/$(basename "$f")"; done. ({error})'
        ) from error
