# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bands and scenes without any data, which would silently make pixels invalid."""

import warnings
from collections.abc import Sequence

from rasterio.windows import Window

from .._typing import BoolArray
from ..errors import NodataWarning
from ..io import CubeReader

#: Rows that are read at a time while looking for the first pixel with data.
_ROWS = 256

#: About this many bands are looked at to tell whether a scene holds anything.
_LOOKS = 3


class EmptyBands:
    """Finds selected bands and scenes without data, and warns once for each."""

    def __init__(self) -> None:
        """Initialize a new EmptyBands instance."""
        #: Scenes in which a band is known to be empty or not, by band name.
        self._known: dict[str, dict[str, bool]] = {}
        self._warned: set[str] = set()
        #: Scenes that had a window without data, and whether that is all they have.
        self._blank: dict[str, bool] = {}

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
        """Look at what has no data in a window: single bands, or the whole scene.

        Args:
            reader: The open scene.
            indexes: Selected bands, from 0.
            filled: Whether each of them has data in the window.
        """
        if filled.all():
            return
        if not filled.any():
            self._check_scene(reader, indexes)
            return
        for index, has_data in zip(indexes, filled.tolist(), strict=True):
            if not has_data:
                self._look(reader, index)
        self.warn()

    def _check_scene(self, reader: CubeReader, indexes: Sequence[int]) -> None:
        path = reader.info.path
        if path in self._blank:
            return
        # a window in a corner of a scene is often empty, a scene never should be
        self._blank[path] = is_empty(reader, indexes[:: max(len(indexes) // _LOOKS, 1)])
        if self._blank[path]:
            warnings.warn(
                f'{path} holds no data at all: every pixel is invalid, so it adds '
                'nothing to a training or a map. Leave it out, or check that its '
                'nodata value is right.',
                NodataWarning,
                stacklevel=4,
            )

    def _look(self, reader: CubeReader, index: int) -> None:
        bands = reader.info.bands
        name = f'B{index + 1}' if bands is None else bands.names[index]
        scenes = self._known.setdefault(name, {})
        if reader.info.path not in scenes:
            scenes[reader.info.path] = is_empty(reader, [index])

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
            'there is valid. Leave these bands out of bands=, as the default bands do.',
            NodataWarning,
            stacklevel=4,
        )


def is_empty(reader: CubeReader, indexes: Sequence[int]) -> bool:
    """Tell whether bands have no data anywhere.

    Args:
        reader: The open scene.
        indexes: The bands, from 0.

    Returns:
        True if no pixel of any of them has data.
    """
    if reader.lacks_data(indexes):
        return True
    _, height, width = reader.info.shape
    for top in range(0, height, _ROWS):
        rows = Window(0, top, width, min(_ROWS, height - top))
        if reader.read(indexes, rows)[1].any():
            return False
    return True
