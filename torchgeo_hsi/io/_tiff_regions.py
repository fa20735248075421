# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Read windows that consist of whole blocks, by threads and past the cache of GDAL.

GDAL goes through an image of hundreds of bands band by band and keeps every block that
it decodes, up to a share of the memory of the machine. That helps windows that are much
smaller than a block and come again; others only push each other out.
"""

import os
from collections.abc import Callable, Iterator
from math import ceil, prod
from typing import Any

from numpy.typing import NDArray
from rasterio.io import DatasetReader

from ..errors import CorruptFileError
from ._buffers import scratch
from ._threads import for_each
from ._tiff_blocks import Box, read_pixels
from ._tiff_codecs import decode_block, decoder
from ._tiff_layout import TIFFLayout, find_layout
from ._tiff_tags import Tags, open_plain, read_into

#: Decoded bytes of one task: they should stay in the cache of the processor, and the
#: threads should all have something to do until the end.
_TASK = 1 << 23
#: Decoded bytes of the bands of one block that are put to their place at once.
_GROUP = 1 << 20
#: Pixels to decode for each pixel of the window, up to which they are not kept.
_WASTE = 2.0

type Put = Callable[[NDArray[Any], int, int, int], None]


class TIFFRegions:
    """Large windows of a local TIFF.

    Args:
        src: The file, as GDAL opened it.
    """

    def __init__(self, src: DatasetReader) -> None:
        """Initialize a new TIFFRegions instance."""
        self.path = str(src.name)
        self._is_usable = src.driver == 'GTiff' and os.path.isfile(self.path)
        self._expected = (src.count, src.height, src.width), src.dtypes[0]
        self._layout: TIFFLayout | None = None

    def layout(self) -> TIFFLayout | None:
        """Return where the pixels lie; None if only GDAL can read them."""
        if self._layout is None and self._is_usable:
            try:
                with open_plain(self.path) as file:
                    self._layout = find_layout(Tags(file))
            except CorruptFileError:
                # what GDAL opened without complaint, it shall also read
                self._layout = None
            found = self._layout
            self._is_usable = (
                found is not None
                and (found.shape, found.dtype.newbyteorder('=').name) == self._expected
            )
        return self._layout if self._is_usable else None

    def read(self, bands: list[int], box: Box, put: Put) -> bool:
        """Read a window, if that is better done without GDAL.

        Args:
            bands: Bands, from 0.
            box: First row, first column, rows and columns, inside of the image.
            put: Takes stored numbers of shape ``(c, h, w)``, and their first band, row
                and column in the window; called from several threads.

        Returns:
            Whether the window was read.

        Raises:
            CorruptFileError: If the file is damaged.
        """
        layout = self.layout()
        if layout is None or not _is_whole(layout, box):
            return False
        if layout.pixel:
            for_each(
                lambda part: self._pixels(layout, bands, box, part, put),
                [*_block_boxes(layout, box)],
            )
            return True
        decode = decoder(layout)
        if decode is not None:
            for_each(
                lambda group: self._blocks(layout, bands, group, box, decode, put),
                [*_groups(layout, len(bands), box)],
            )
            return True
        rows, columns = _decoded(layout, box)
        step = max(1, _TASK // (rows * columns * layout.dtype.itemsize))
        for_each(
            lambda first: self._planes(
                layout, bands[first : first + step], first, box, put
            ),
            range(0, len(bands), step),
        )
        return True

    def _planes(
        self, layout: TIFFLayout, bands: list[int], first: int, box: Box, put: Put
    ) -> None:
        # a file has one position for all threads
        with open_plain(self.path) as file:
            put(read_pixels(file, layout, bands, box), first, 0, 0)

    def _blocks(
        self,
        layout: TIFFLayout,
        bands: list[int],
        group: tuple[int, int, Box],
        box: Box,
        decode: Callable[..., Any],
        put: Put,
    ) -> None:
        """Decode the blocks of a few bands that lie at the same place."""
        first, last, (row, column, rows, columns) = group
        high, wide = layout.block
        down, across = row // high, column // wide
        if not layout.tiled:
            # the last strip may have fewer rows than the others
            high = min(high, layout.shape[1] - down * high)
        shape = last - first, high, wide
        native = layout.dtype.newbyteorder('=')
        memory = scratch('blocks', prod(shape) * native.itemsize)
        blocks = memory.view(native).reshape(*shape, 1)
        with open_plain(self.path) as file:
            for number, band in enumerate(bands[first:last]):
                offset = int(layout.offsets[band, down, across])
                size = int(layout.counts[band, down, across])
                target = blocks[number : number + 1]
                if size == 0:
                    # a sparse file leaves blocks without data out
                    target.fill(layout.nodata or 0)
                    continue
                packed = scratch('packed', size)
                read_into(file, offset, packed)
                decode_block(file, layout, packed, target, decode)
        top, left = row - down * layout.block[0], column - across * wide
        part = blocks[:, top : top + rows, left : left + columns, 0]
        put(part, first, row - box[0], column - box[1])

    def _pixels(
        self, layout: TIFFLayout, bands: list[int], box: Box, part: Box, put: Put
    ) -> None:
        chosen = None if bands == list(range(layout.shape[0])) else bands
        with open_plain(self.path) as file:
            raw = read_pixels(file, layout, chosen, part)
        put(raw, 0, part[0] - box[0], part[1] - box[1])


def _decoded(layout: TIFFLayout, box: Box) -> tuple[int, int]:
    """Return the rows and columns of the blocks that a window touches."""
    row, column, rows, columns = box
    high, wide = layout.block
    down = ceil((row + rows) / high) - row // high
    across = ceil((column + columns) / wide) - column // wide
    return down * high, across * wide


def _is_whole(layout: TIFFLayout, box: Box) -> bool:
    """Tell whether a window is most of the blocks that it touches."""
    rows, columns = _decoded(layout, box)
    # blocks at the right and lower edge are cut off by the image
    rows, columns = min(rows, layout.shape[1]), min(columns, layout.shape[2])
    return rows * columns <= _WASTE * box[2] * box[3]


def _groups(layout: TIFFLayout, bands: int, box: Box) -> Iterator[tuple[int, int, Box]]:
    """Cut a window into a few bands of each block: first and last band, and place."""
    row, column, rows, columns = box
    high, wide = layout.block
    step = max(1, _GROUP // (high * wide * layout.dtype.itemsize))
    for top in range(row // high * high, row + rows, high):
        for left in range(column // wide * wide, column + columns, wide):
            y, x = max(top, row), max(left, column)
            end = min(top + high, row + rows), min(left + wide, column + columns)
            for first in range(0, bands, step):
                place = y, x, end[0] - y, end[1] - x
                yield first, min(first + step, bands), place


def _block_boxes(layout: TIFFLayout, box: Box) -> Iterator[Box]:
    """Cut a window into tasks of whole blocks."""
    row, column, rows, columns = box
    high, wide = layout.block
    line = wide * layout.shape[0] * layout.dtype.itemsize
    # strips of a row or two are too little for a task
    high *= max(1, _TASK // (high * line))
    for top in range(row // high * high, row + rows, high):
        for left in range(column // wide * wide, column + columns, wide):
            first, start = max(top, row), max(left, column)
            last, end = min(top + high, row + rows), min(left + wide, column + columns)
            yield first, start, last - first, end - start
