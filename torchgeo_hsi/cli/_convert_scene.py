# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Conversion of one scene after the other."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..io import open_cube
from ..io.store import verify_store, write_stored_scene
from ._records import OutputRecords
from ._scenes import Scene

#: End of the folder of a scene.
SUFFIX = '.zarr'


@dataclass(frozen=True)
class ConvertScene:
    """Writes scenes as stores of their own.

    Args:
        records: Folder of the stores, and what is finished there.
        options: Options of the reader, such as ``wavelength_unit``.
        verify: Whether to read what was written again.
    """

    records: OutputRecords
    options: Mapping[str, Any]
    verify: bool

    def __call__(self, scene: Scene) -> str:
        """Convert one scene.

        Args:
            scene: The scene.

        Returns:
            Folder of its store.

        Raises:
            OutputError: If the store is not what was written.
        """
        output = self.records.folder / f'{scene.name}{SUFFIX}'
        if not self.records.is_done(scene, output, overwrite=True):
            self._write(scene, output)
        if self.verify and verify_store(output):
            shutil.rmtree(output)
            self._write(scene, output)
            damaged = verify_store(output)
            if damaged:
                raise OutputError(
                    f'{len(damaged)} files of {output} are not what was written, such '
                    f'as {damaged[0]}. The disk or file system may be faulty.'
                )
        return str(output)

    def _write(self, scene: Scene, output: Path) -> None:
        with scene.local() as path, open_cube(path, **self.options) as reader:
            # what cannot be opened replaces nothing
            if output.exists() and not self.records.is_begun(scene):
                shutil.rmtree(output)
            self.records.note(scene, finished=False)
            write_stored_scene(reader, output)
        self.records.note(scene, finished=True)
