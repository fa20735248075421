# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bands without any data, which would silently make every pixel invalid."""

import warnings
from collections.abc import Sequence

from rasterio.windows import Window

from .._typing import BoolArray
from ..errors import NodataWarning
from ..io import CubeReader, EnMAPL2AReader

#: Rows that are read at a time while looking for the first pixel with data.
_ROWS = 256


class EmptyBands:
    """Finds selected bands without data, and warns once for each band."""

    def __init__(self) -> None:
        """Initialize a new EmptyBands instance."""
        #: Scenes in which a band is known to be empty or not, by band name.
        self._known: dict[str, dict[str, bool]] = {}
        self._warned: set[str] = set()

    def inspect(self, reader: CubeReader, indexes: Sequence[int]) -> None:
        """Look at the bands that the product itself marks as bad.

        Args:
            reader: The open scene.
            indexes: Selected bands, from 0.
        """
        bands = reader.info.bands
        for index in indexes:
            if bands is not None and not bands.good[index]:
                self._look(reader, index)

    def check(
        self, reader: CubeReader, indexes: Sequence[int], filled: BoolArray
    ) -> None:
        """Look at bands that have no data in a window where others have some.

        Args:
            reader: The open scene.
            indexes: Selected bands, from 0.
            filled: Whether each of them has data in the window.
        """
        if filled.all() or not filled.any():
            return
        for index, has_data in zip(indexes, filled.tolist(), strict=True):
            if not has_data:
                self._look(reader, index)
        self.warn()

    def _look(self, reader: CubeReader, index: int) -> None:
        bands = reader.info.bands
        name = f'B{index + 1}' if bands is None else bands.names[index]
        scenes = self._known.setdefault(name, {})
        if reader.info.path not in scenes:
            scenes[reader.info.path] = is_empty(reader, index)

    def warn(self) -> None:
        """Warn of empty bands that were found since the last call."""
        found = {
            name: [path for path, empty in scenes.items() if empty]
            for name, scenes in self._known.items()
            if name not in self._warned
        }
        names = [name for name, paths in found.items() if paths]
        if not names:
            return
        self._warned |= set(names)
        paths = sorted({path for name in names for path in found[name]})
        more = f' and {len(paths) - 1} more scenes' if len(paths) > 1 else ''
        warnings.warn(
            f'{", ".join(names)} hold no data anywhere in {paths[0]}{more}, so no pixel '
            'there is valid. Leave these bands out of bands=; the default bands of '
            'EnMAPL2A do.',
            NodataWarning,
            stacklevel=4,
        )


def is_empty(reader: CubeReader, index: int) -> bool:
    """Tell whether a band has no data anywhere.

    Args:
        reader: The open scene.
        index: The band, from 0.

    Returns:
        True if no pixel has data.
    """
    metadata = reader.metadata if isinstance(reader, EnMAPL2AReader) else None
    if metadata is not None and metadata.empty[index]:
        return True
    _, height, width = reader.info.shape
    for top in range(0, height, _ROWS):
        _, valid = reader.read([index], Window(0, top, width, min(_ROWS, height - top)))
        if valid.any():
            return False
    return True
