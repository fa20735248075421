# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a hostile input is: how it is made, how it is opened, how it has to end."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: The input has to be refused, has to be read, or one of both: no format but the
#: stores has checksums, so that a wrong bit in a pixel is just another value.
REFUSED, READ, EITHER = 'refused', 'read', 'either'

#: Folders between the root of a run and the folder of an input, so that a name that
#: leads out of the latter still ends where somebody looks.
ABOVE = Path('first', 'second', 'third')

#: Makes an input in a new folder, out of the valid one in another; returns its path.
type Build = Callable[[Path, Path], Path]
#: Changes the bytes of a file.
type Change = Callable[[bytes], bytes]
#: Reads an input.
type Open = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Args:
        kind: Kind of file, as the report sums it up.
        name: What is wrong with it.
        valid: Name of the valid input that it is made from.
        build: How it is made.
        open: How it is read.
        outcome: How that has to end.
        heavy: Whether reading needs torchgeo.
    """

    kind: str
    name: str
    valid: str
    build: Build
    open: Open
    outcome: str = REFUSED
    heavy: bool = False

    @property
    def id(self) -> str:
        """Name of the case among all."""
        return f'{self.kind}: {self.name}'


def find(folder: Path, pattern: str) -> Path:
    """Find the one file of a folder that a pattern names; its folder for ``'.'``."""
    if pattern == '.':
        return next(folder.iterdir())
    found = sorted(folder.rglob(pattern))
    if not found:
        raise FileNotFoundError(f'There is no {pattern} in {folder}.')
    return found[0]


def copied(folder: Path, valid: Path) -> None:
    """Copy the valid input."""
    shutil.copytree(valid, folder, dirs_exist_ok=True)


def rewritten(pattern: str, change: Change, opened: str | None = None) -> Build:
    """Change the bytes of one file, and open it or another one.

    Args:
        pattern: Name of the file.
        change: What is done to its bytes.
        opened: Name of what is opened; the file itself by default.
    """

    def build(folder: Path, valid: Path) -> Path:
        copied(folder, valid)
        path = find(folder, pattern)
        path.write_bytes(change(path.read_bytes()))
        return find(folder, opened) if opened else path

    return build


def replaced(old: str, new: str, count: int = 1) -> Change:
    """Replace some text; it has to be there."""

    def change(content: bytes) -> bytes:
        if old.encode() not in content:
            raise ValueError(f'There is no {old!r} to replace.')
        return content.replace(old.encode(), new.encode(), count)

    return change


def altered(
    pattern: str, edit: Callable[[Path], object], opened: str | None = None
) -> Build:
    """Change a file or folder in place, by its path.

    Args:
        pattern: Name of the file.
        edit: What is done to it.
        opened: Name of what is opened; the file itself by default.
    """

    def build(folder: Path, valid: Path) -> Path:
        copied(folder, valid)
        path = find(folder, pattern)
        target = find(folder, opened) if opened else path
        edit(path)
        return target

    return build


def written(name: str, content: bytes | Callable[[], bytes]) -> Build:
    """Write a file from nothing."""

    def build(folder: Path, valid: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content())
        return path

    return build
