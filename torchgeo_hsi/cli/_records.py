# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which outputs of a folder are finished, so that a second run leaves them alone."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..io.store._folder import write_file
from ._scenes import Scene

#: Hidden folder with one small file for each output.
_FOLDER = '.torchgeo-hsi'


class OutputRecords:
    """What the outputs of a folder were made from.

    Args:
        folder: Folder of the outputs.
        recipe: Everything that decides how an output is made, besides its scene.
    """

    def __init__(self, folder: Path, recipe: Any) -> None:
        """Initialize a new OutputRecords instance; see the class for the arguments."""
        self.folder = folder
        text = json.dumps(recipe, sort_keys=True, default=str)
        self.recipe = hashlib.sha256(text.encode()).hexdigest()

    def is_done(self, scene: Scene, output: Path, overwrite: bool) -> bool:
        """Tell whether the output of a scene is finished and still right.

        Args:
            scene: The scene.
            output: Its output.
            overwrite: Whether an output that somebody else made may be replaced.

        Returns:
            False if it has to be made: it is missing, or its scene has changed.

        Raises:
            OutputError: If there is an output that was made in another way.
        """
        if not output.exists():
            return False
        record = self._read(scene)
        if record is None or record[:2] != (self.recipe, os.path.abspath(scene.path)):
            if overwrite:
                return False
            how = 'is not one of ours' if record is None else 'was made in another way'
            raise OutputError(
                f'{output} exists already and {how}. Choose another folder, or pass '
                '--overwrite.'
            )
        return record[2] == scene.state() and record[3]

    def is_begun(self, scene: Scene) -> bool:
        """Tell whether an output was begun from this very scene in this very way.

        Args:
            scene: The scene.

        Returns:
            False if what there is of the output belongs to something else.
        """
        wanted = (self.recipe, os.path.abspath(scene.path), scene.state())
        record = self._read(scene)
        return record is not None and record[:3] == wanted

    def _read(self, scene: Scene) -> tuple[str, str, list[int] | None, bool] | None:
        """Read how an output was made: recipe, path, its state, whether finished."""
        try:
            record = json.loads(self._path(scene).read_bytes())
            path, state = record['source']
            return record['recipe'], path, state, bool(record['finished'])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def note(self, scene: Scene, finished: bool) -> None:
        """Remember that the output of a scene is begun, or finished.

        An output appears in one step. If the program is killed between that step and
        the next, its beginning tells that the output is ours.

        Args:
            scene: The scene.
            finished: Whether the output is complete.

        Raises:
            OutputError: If the folder cannot be written.
        """
        source = [os.path.abspath(scene.path), scene.state()]
        record = {'recipe': self.recipe, 'source': source, 'finished': finished}
        write_file(self._path(scene), json.dumps(record).encode())

    def _path(self, scene: Scene) -> Path:
        return self.folder / _FOLDER / f'{scene.name}.json'


def check_outputs(
    records: OutputRecords, scenes: Sequence[Scene], suffix: str, overwrite: bool
) -> list[Scene]:
    """Find the scenes whose outputs have to be made.

    Args:
        records: What is known of the folder.
        scenes: All scenes.
        suffix: End of the names of outputs.
        overwrite: Whether outputs that were made in another way may be replaced.

    Returns:
        Those that are not finished.

    Raises:
        OutputError: If an output would replace its own scene, or one that was made in
            another way.
    """
    todo = []
    for scene in scenes:
        output = records.folder / f'{scene.name}{suffix}'
        if os.path.realpath(output) == os.path.realpath(scene.path):
            raise OutputError(
                f'The output for {scene.path} would replace it. Choose another folder.'
            )
        if not records.is_done(scene, output, overwrite):
            todo.append(scene)
    return todo
