# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A table of what is known about each item besides its arrays."""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray


class _Texts(Sequence[str]):
    """Many texts in one block of bytes, which processes that fork share."""

    def __init__(self, content: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        self.content = content
        self.ends = ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        parts = [text.encode() for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(np.frombuffer(b''.join(parts), np.uint8), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start = self.ends[index - 1] if index else 0
        return self.content[start : self.ends[index]].tobytes().decode()


type _Codes = tuple[NDArray[np.int32], _Texts]
type _Column = NDArray[Any] | _Codes

#: What is raised over bytes that are no table.
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)

#: Bytes that a table may have, and those for each of its items.
_TABLE_BYTES, _ITEM_BYTES = 1 << 24, 1 << 16

# a zip file holds times; these are always the same
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ItemTable(Sequence[dict[str, Any] | None]):
    """Dictionaries of many items, held in columns.

    Behaves like a read-only list of dictionaries, in which None stands for an item that
    could not be read. Half a million items take some tens of megabytes and open in a
    fraction of a second. Values are what JSON can hold; tuples come back as lists.
    """

    def __init__(self, present: BoolArray, columns: Mapping[str, _Column]) -> None:
        """Initialize a new ItemTable instance; see :meth:`from_items`.

        Args:
            present: False for items that could not be read, shape ``(N,)``.
            columns: Per key either numbers, shape ``(N,)`` or ``(N, K)``, or codes (-1
                where an item lacks the key) and the JSON texts that they stand for.
        """
        #: False for items that could not be read, shape ``(N,)``.
        self.present = present
        self._columns = {key: columns[key] for key in sorted(columns)}

    @classmethod
    def from_items(cls, items: Iterable[Mapping[str, Any] | None]) -> Self:
        """Build a table.

        Args:
            items: One dictionary for each item, or None. Keys are texts, values what
                JSON can hold; numpy's numbers and arrays become plain ones.

        Returns:
            The table.

        Raises:
            ValueError: If a value is nothing that JSON can hold.
        """
        plain = [None if item is None else _plain(item) for item in items]
        there = [item for item in plain if item is not None]
        keys = dict.fromkeys(key for item in there for key in item)
        columns: dict[str, _Column] = {}
        for key in keys:
            numbers = _numbers([item[key] for item in there if key in item])
            if numbers is not None and all(key in item for item in there):
                full = np.zeros((len(plain), *numbers.shape[1:]), numbers.dtype)
                full[[item is not None for item in plain]] = numbers
                columns[key] = full
            else:
                columns[key] = _codes(
                    None if item is None or key not in item else _text(item[key])
                    for item in plain
                )
        return cls(np.array([item is not None for item in plain], bool), columns)

    @classmethod
    def concatenate(cls, tables: Sequence[Self]) -> Self:
        """Join tables; the result is that of :meth:`from_items` on all items.

        Args:
            tables: The tables, in the order of their items.

        Returns:
            One table.
        """
        filled = [table for table in tables if table.present.any()]
        keys = dict.fromkeys(key for table in filled for key in table._columns)
        columns: dict[str, _Column] = {}
        for key in keys:
            parts = [table._columns.get(key) for table in filled]
            first = parts[0]
            if isinstance(first, np.ndarray) and all(
                isinstance(part, np.ndarray)
                and (part.dtype, part.shape[1:]) == (first.dtype, first.shape[1:])
                for part in parts
            ):
                empty = np.zeros((1, *first.shape[1:]), first.dtype)
                columns[key] = np.concatenate(
                    [
                        table._columns[key]
                        if table.present.any()
                        else np.repeat(empty, len(table), axis=0)
                        for table in tables
                    ]
                )
            else:
                columns[key] = _join_codes([table._codes_of(key) for table in tables])
        return cls(np.concatenate([table.present for table in tables]), columns)

    def _codes_of(self, key: str) -> _Codes:
        """Return a column as codes and texts, whatever it is."""
        column = self._columns.get(key)
        if column is None:
            return np.full(len(self), -1, np.int32), _Texts.of([])
        if isinstance(column, tuple):
            return column
        return _codes(
            _text(value) if there else None
            for value, there in zip(column.tolist(), self.present, strict=True)
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that items have, sorted."""
        return tuple(self._columns)

    def column(self, key: str) -> list[Any]:
        """Return one value of every item, much faster than item by item.

        Args:
            key: The key.

        Returns:
            The values; None where an item is missing or lacks the key. Items with the
            same list or dictionary share it.
        """
        column = self._columns.get(key)
        if column is None:
            return [None] * len(self)
        if isinstance(column, tuple):
            values = [*map(json.loads, column[1]), None]
            return [values[code] for code in column[0]]
        plain: list[Any] = column.tolist()
        if not self.present.all():
            for i in np.flatnonzero(~self.present):
                plain[i] = None
        return plain

    def __len__(self) -> int:
        """Return the number of items, missing ones included."""
        return len(self.present)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any] | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any] | None]: ...

    def __getitem__(
        self, index: int | slice
    ) -> dict[str, Any] | list[dict[str, Any] | None] | None:
        """Return one item or a list of items, as fresh dictionaries.

        Args:
            index: Index, also from the end, or a slice.

        Returns:
            The dictionary, or None if the item could not be read.

        Raises:
            IndexError: If there is no such item.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not self.present[index]:
            return None
        item: dict[str, Any] = {}
        for key, column in self._columns.items():
            if isinstance(column, tuple):
                code = int(column[0][index])
                if code >= 0:
                    item[key] = json.loads(column[1][code])
            else:
                item[key] = column[index].tolist()
        return item

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        """Go through all items."""
        for i in range(len(self)):
            yield self[i]

    def to_bytes(self) -> bytes:
        """Return the table as the content of an ``.npz`` file."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            for name, array in self._arrays().items():
                part = io.BytesIO()
                np.lib.format.write_array(part, array, allow_pickle=False)
                info = zipfile.ZipInfo(f'{name}.npy', _EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, part.getvalue(), compresslevel=1)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, count: int | None = None) -> Self:
        """Read a table from what :meth:`to_bytes` returned.

        Args:
            content: The bytes.
            count: Number of items that it has to have; any by default.

        Returns:
            The table.

        Raises:
            ValueError: If it is something else. The standard library and numpy have
                more errors for bytes that are damaged: those of ``BROKEN``.
        """
        columns: dict[str, _Column] = {}
        if count is not None:
            _check_sizes(content, count)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            for i, key in enumerate(json.loads(file['keys'].tobytes())):
                if f'{i}.values' in file:
                    columns[key] = file[f'{i}.values']
                    continue
                texts = _Texts(file[f'{i}.text'], file[f'{i}.ends'])
                columns[key] = (file[f'{i}.codes'], texts)
            present = file['present']
        if present.dtype != bool or present.shape != (len(present),):
            raise ValueError('it does not say which items are there')
        if count is not None and len(present) != count:
            raise ValueError(f'it has {len(present)} items instead of {count}')
        for key, column in columns.items():
            if not _fits(column, len(present)):
                raise ValueError(f'the column {key!r} is damaged')
        return cls(present, columns)

    def digest(self) -> str:
        """Return a SHA-256 of the content, whatever compressed it."""
        result = hashlib.sha256()
        for name, array in self._arrays().items():
            result.update(f'{name}{array.dtype}{array.shape}'.encode())
            result.update(np.ascontiguousarray(array).data)
        return result.hexdigest()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as plain arrays."""
        keys = json.dumps(list(self._columns)).encode()
        arrays: dict[str, NDArray[Any]] = {
            'present': self.present,
            'keys': np.frombuffer(keys, np.uint8),
        }
        for i, column in enumerate(self._columns.values()):
            if isinstance(column, tuple):
                arrays[f'{i}.codes'] = column[0]
                arrays[f'{i}.text'] = column[1].content
                arrays[f'{i}.ends'] = column[1].ends
            else:
                arrays[f'{i}.values'] = column
        return arrays


def _check_sizes(content: bytes, count: int) -> None:
    """Refuse an archive that unpacks to far more than so many items can have."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(info.file_size for info in archive.infolist())
    if size > _TABLE_BYTES + _ITEM_BYTES * count:
        raise ValueError(f'it has {size} bytes for {count} items')


def _fits(column: _Column, count: int) -> bool:
    """Tell whether a column has a value for each item."""
    if not isinstance(column, tuple):
        return column.ndim in (1, 2) and len(column) == count
    codes, texts = column
    ends = texts.ends
    return (
        codes.shape == (count,)
        and codes.dtype.kind == ends.dtype.kind == 'i'
        and ends.ndim == texts.content.ndim == 1
        and int(codes.max(initial=-1)) < len(ends)
        and bool((np.diff(ends, prepend=0) >= 0).all())
        and int(ends.max(initial=0)) <= len(texts.content)
    )


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """Bring an item to what JSON can hold."""

    def convert(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(f'{type(value).__name__} {value!r}')

    try:
        result: dict[str, Any] = json.loads(json.dumps(dict(item), default=convert))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'Expected items of texts, numbers, lists and dictionaries, got {error}.'
        ) from error
    return result


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _numbers(values: list[Any]) -> NDArray[Any] | None:
    """Return values as an array if that keeps their very type and value."""
    rows = values if all(isinstance(value, list) for value in values) else None
    if rows is not None and (not rows[0] or len({len(row) for row in rows}) > 1):
        return None
    flat = values if rows is None else [value for row in rows for value in row]
    kinds = {type(value) for value in flat}
    if kinds == {float}:
        return np.array(values, np.float64)
    if kinds == {int} and all(abs(value) < 2**63 for value in flat):
        return np.array(values, np.int64)
    if kinds == {bool}:
        return np.array(values, bool)
    return None


def _codes(texts: Iterable[str | None]) -> _Codes:
    """Number texts by their first appearance; None is -1."""
    known: dict[str, int] = {}
    codes = [
        -1 if text is None else known.setdefault(text, len(known)) for text in texts
    ]
    return np.array(codes, np.int32), _Texts.of(known)


def _join_codes(parts: Sequence[_Codes]) -> _Codes:
    """Join columns of codes."""
    known: dict[str, int] = {}
    joined = []
    for codes, texts in parts:
        table = [known.setdefault(text, len(known)) for text in texts]
        # the last entry is that of code -1
        joined.append(np.array([*table, -1], np.int32)[codes])
    return np.concatenate(joined), _Texts.of(known)
