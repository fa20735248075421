# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The tags of the first image of a TIFF, classic or BigTIFF, of either byte order."""

import errno
import os
import struct
from io import FileIO
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ..errors import CorruptFileError

#: Bytes that are read at once: enough for all that a patch of 202 bands needs.
_HEAD = 16384
#: Nothing there, a folder, a file among the folders, links in a circle, or too long.
_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
#: Types of numbers in TIFF 6.0 and BigTIFF, as numpy writes them.
_TYPES = {
    1: 'u1',
    3: 'u2',
    4: 'u4',
    6: 'i1',
    7: 'u1',
    8: 'i2',
    9: 'i4',
    11: 'f4',
    12: 'f8',
    13: 'u4',
    16: 'u8',
    17: 'i8',
    18: 'u8',
}
#: Bytes of the types of which one number always lies in the entry itself.
_UNSIGNED = {3: 2, 4: 4}
_ASCII = 2
_SCALE, _TIEPOINT, _MATRIX, _GEO_KEYS = 33550, 33922, 34264, 34735
_METADATA, _NODATA = 42112, 42113
#: Geo key that says what a coordinate is of: the corner or the centre of a pixel.
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2


def open_plain(path: str) -> FileIO:
    """Open a file without a buffer, which would copy every pixel once more.

    Args:
        path: The file.

    Returns:
        The open file.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    try:
        return FileIO(path)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise FileNotFoundError(f'There is no file {path}. Check the path.') from error


def read_into(file: FileIO, offset: int, target: NDArray[Any]) -> None:
    """Fill an array from a file.

    Args:
        file: The open file.
        offset: Place in the file.
        target: Contiguous array.

    Raises:
        CorruptFileError: If the file ends too early.
    """
    file.seek(offset)
    rest = memoryview(target).cast('B')
    # one call returns 2 GiB at most
    while rest:
        size = file.readinto(rest)
        if not size:
            raise truncated(file, offset + target.nbytes)
        rest = rest[size:]


def truncated(file: FileIO, expected: int) -> CorruptFileError:
    """Say that a file is too short.

    Args:
        file: The open file.
        expected: Bytes that it should have at least.

    Returns:
        The error, for the caller to raise.
    """
    return CorruptFileError(
        f'{file.name} is truncated: expected at least {expected} bytes, got '
        f'{os.fstat(file.fileno()).st_size}. Download or copy it again.'
    )


class Tags:
    """Tags of the first image of a TIFF; each is read from the file when asked for.

    Args:
        file: The open file.

    Raises:
        CorruptFileError: If the file is empty, truncated or no TIFF.
    """

    def __init__(self, file: FileIO) -> None:
        """Initialize a new Tags instance."""
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self._head = file.read(_HEAD)
        if self.size == 0:
            raise CorruptFileError(
                f'{file.name} is empty (0 bytes). Download or copy it again.'
            )
        self.order = {b'II': '<', b'MM': '>'}.get(self._head[:2], '')
        magic = self._head[2:4] if self.order == '>' else self._head[3:1:-1]
        if not self.order or magic not in (b'\0\x2a', b'\0\x2b'):
            raise CorruptFileError(
                f'{file.name} is damaged or no TIFF: it starts with '
                f'{self._head[:4]!r}. Check the file, or download it again.'
            )
        self._big = magic == b'\0\x2b'
        #: Bytes of a value that an entry holds itself, and of a place in the file.
        self._inline = 8 if self._big else 4
        self._entries = self._directory()

    def _directory(self) -> dict[int, tuple[int, int, int]]:
        """Return type, count and place of each tag."""
        start, counter, entry = (8, 8, 'HHQ8x') if self._big else (4, 2, 'HHI4x')
        first = self._integer(start, self._inline)
        number = self._integer(first, counter)
        place = first + counter
        layout = struct.Struct(f'{self.order}{entry}')
        data = self._bytes(place, number * layout.size)
        # small values lie in the entry itself, in its last bytes
        ends = range(place + layout.size, place + len(data) + 1, layout.size)
        return {
            tag: (kind, count, end - self._inline)
            for end, (tag, kind, count) in zip(
                ends, layout.iter_unpack(data), strict=True
            )
        }

    def _integer(self, offset: int, size: int) -> int:
        data = self._bytes(offset, size)
        return int.from_bytes(data, 'big' if self.order == '>' else 'little')

    def _bytes(self, offset: int, length: int) -> bytes:
        end = offset + length
        if end <= len(self._head):
            return self._head[offset:end]
        if end > self.size:
            raise truncated(self.file, end)
        target = np.empty(length, np.uint8)
        read_into(self.file, offset, target)
        return target.tobytes()

    def _value(self, tag: int, size: int, count: int, place: int) -> bytes:
        length = size * count
        if length > self._inline:
            place = self._integer(place, self._inline)
        return self._bytes(place, length)

    def __contains__(self, tag: int) -> bool:
        """Tell whether the image has a tag."""
        return tag in self._entries

    def numbers(self, tag: int) -> NDArray[Any] | None:
        """Return the numbers of a tag.

        Args:
            tag: Number of the tag.

        Returns:
            The numbers; None if the image lacks the tag, or it holds no numbers.

        Raises:
            CorruptFileError: If they lie behind the end of the file.
        """
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        if kind not in _TYPES or count == 0:
            return None
        dtype = np.dtype(f'{self.order}{_TYPES[kind]}')
        return np.frombuffer(self._value(tag, dtype.itemsize, count, place), dtype)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the one whole number of a tag.

        Args:
            tag: Number of the tag.
            default: Number of images that lack the tag.

        Returns:
            The number; -1 if there are several different ones.
        """
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        # most tags: numpy would take longer than all the rest
        if count == 1 and kind in _UNSIGNED:
            return self._integer(place, _UNSIGNED[kind])
        values = self.numbers(tag)
        if values is None:
            return default
        first = int(values[0])
        return first if (values == values[0]).all() else -1

    def text(self, tag: int) -> str | None:
        """Return the text of a tag.

        Args:
            tag: Number of the tag.

        Returns:
            The text; None if the image lacks the tag, or it holds no text.
        """
        kind, count, place = self._entries.get(tag, (0, 0, 0))
        if kind != _ASCII:
            return None
        raw = self._value(tag, 1, count, place)
        return raw.split(b'\0')[0].decode('utf-8', errors='replace').strip()

    @property
    def has_metadata(self) -> bool:
        """Whether GDAL wrote tags of its own, of bands or of the image."""
        return _METADATA in self

    def nodata(self, dtype: np.dtype[Any]) -> float | None:
        """Return the value of pixels without data.

        Args:
            dtype: Data type of the pixels.

        Returns:
            The value; None if there is none, or the data type cannot hold it.

        Raises:
            ValueError: If it is no number, or a fraction among whole numbers.
        """
        text = self.text(_NODATA)
        if not text:
            return None
        value = float(text)
        if dtype.kind == 'f':
            return value
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:
            return None
        if value != int(value):
            raise ValueError(f'Expected a whole number, got {text}.')
        return value

    def transform(self) -> Affine | None:
        """Return the affine transform, from (column, row) to map coordinates.

        Returns:
            The transform; None if the tags have none of the two usual forms: one tie
            point and the size of a pixel, or a matrix.
        """
        matrix, scale = self.numbers(_MATRIX), self.numbers(_SCALE)
        tie = self.numbers(_TIEPOINT)
        if matrix is not None and matrix.size == 16 and scale is None:
            found = Affine(*matrix[[0, 1, 3, 4, 5, 7]].tolist())
        elif scale is None or tie is None or tie.size != 6 or scale.size < 2:
            return None
        else:
            col, row, _, x, y, _ = tie.tolist()
            width, height = scale[:2].tolist()
            if min(width, height) <= 0:
                return None
            found = Affine(width, 0, x - col * width, 0, -height, y + row * height)
        keys = self.numbers(_GEO_KEYS)
        if keys is not None and keys.size % 4 == 0:
            for key, place, _, value in keys.reshape(-1, 4)[1:].tolist():
                if (key, place, value) == (_RASTER_TYPE, 0, _PIXEL_IS_POINT):
                    a, b, c, d, e, f = found[:6]
                    return Affine(a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)
        return found
