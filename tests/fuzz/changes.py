# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is done to every kind of file: cut, overwritten, replaced, moved."""

import gzip
import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from fuzz.case import (
    EITHER,
    READ,
    REFUSED,
    Build,
    Case,
    Change,
    Open,
    altered,
    copied,
    find,
    rewritten,
)

_HTML = b'<!DOCTYPE html><html><body>Please log in to download this file.</body></html>'
_LFS = (
    b'version https://git-lfs.github.com/spec/v1\n'
    b'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n'
    b'size 12345\n'
)


def cut(share: float) -> Change:
    """Keep the beginning of a file."""
    return lambda content: content[: int(len(content) * share)]


def zeroed(start: int, stop: int) -> Change:
    """Overwrite bytes by zeros."""

    def change(content: bytes) -> bytes:
        end = min(stop, len(content))
        return content[:start] + bytes(max(end - start, 0)) + content[end:]

    return change


def flipped(seed: int, stop: int, count: int = 8) -> Change:
    """Flip some bits before a place."""

    def change(content: bytes) -> bytes:
        rng = random.Random(seed)
        array = bytearray(content)
        for _ in range(count):
            array[rng.randrange(min(stop, len(array)))] ^= 1 << rng.randrange(8)
        return bytes(array)

    return change


def noise(content: bytes) -> bytes:
    """Replace all by random bytes."""
    return random.Random(0).randbytes(max(len(content), 64))


#: Changes of bytes after which nothing can be read.
FATAL: dict[str, Change] = {
    'empty': cut(0),
    'one byte': lambda content: content[:1],
    'eight bytes': lambda content: content[:8],
    'cut at a tenth': cut(0.1),
    'cut in the middle': cut(0.5),
    'cut at nine tenths': cut(0.9),
    'last byte missing': lambda content: content[:-1],
    'wrong magic': zeroed(0, 8),
    'noise': noise,
    'web page': lambda content: _HTML,
    'Git LFS pointer': lambda content: _LFS,
    'gzip of it': lambda content: gzip.compress(content, mtime=0),
}

#: Changes of bytes that may or may not hit something that matters.
VAGUE: dict[str, Change] = {
    'zeros in the head': zeroed(16, 200),
    'zeros in the middle': lambda c: zeroed(len(c) // 2, len(c) // 2 + 64)(c),
    'bits flipped in the head': flipped(1, 256),
    'more bits flipped in the head': flipped(2, 1024, 32),
    'bits flipped anywhere': flipped(3, 1 << 40, 32),
    'twice': lambda content: content + content,
}


def as_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def dangling(path: Path) -> None:
    """Put a link to nothing in the place of a file."""
    path.unlink()
    path.symlink_to(path.parent / 'nothing')


def looping(path: Path) -> None:
    """Put links that lead to each other in the place of a file."""
    path.unlink()
    other = path.with_name(f'other{path.suffix}')
    path.symlink_to(other)
    other.symlink_to(path)


def linked(path: Path) -> None:
    """Put a link to the file in the place of it."""
    store = path.parents[1] / 'store'
    store.mkdir(exist_ok=True)
    moved = store / path.name
    shutil.move(path, moved)
    path.symlink_to(moved)


PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    'a folder': (as_folder, REFUSED),
    'link to nothing': (dangling, REFUSED),
    'links in a circle': (looping, REFUSED),
    'link to the file': (linked, READ),
}

#: Names of folders that have to work.
NAMES = {
    'spaces': 'a scene  of mine ',
    'umlauts': 'Höhenzüge München',
    'other scripts': '草地 поле حقل 🌾',
    'line break': 'first\nsecond',
    'quotes': '\'single\' "double" `back`',
    'percent and hash': '100%25 #1 &c=?;',
    'braces': '{0} %s $HOME *[a]',
    'long': 'x' * 250,
    'starts with a dash': '-rf',
    'not UTF-8': os.fsdecode(b'caf\xe9'),
}


def in_folder(name: str, opened: str) -> Build:
    """Put the valid input into a folder of another name."""

    def build(folder: Path, valid: Path) -> Path:
        copied(folder / name, valid)
        return find(folder / name, opened)

    return build


def changes(
    kind: str,
    valid: str,
    file: str,
    read: Open,
    *,
    opened: str | None = None,
    leave: Collection[str] = (),
    vague: Collection[str] = (),
    fine: Collection[str] = (),
    heavy: bool = False,
) -> Iterator[Case]:
    """Change a file in all these ways.

    Args:
        kind: Kind of file.
        valid: Name of the valid input.
        file: Name of the file in it.
        read: How the input is read.
        opened: Name of what is opened; the file itself by default.
        leave: Changes that say nothing about this file.
        vague: Changes after which it may still be read.
        fine: Changes after which it has to be read.
        heavy: Whether reading needs torchgeo.
    """

    def outcome(name: str, usual: str) -> str:
        return READ if name in fine else EITHER if name in vague else usual

    for group, usual in ((FATAL, REFUSED), (VAGUE, EITHER)):
        for name, change in group.items():
            if name not in leave:
                build = rewritten(file, change, opened)
                how = outcome(name, usual)
                yield Case(kind, name, valid, build, read, how, heavy)
    for name, (edit, usual) in PLACES.items():
        if name not in leave:
            build = altered(file, edit, opened)
            yield Case(kind, name, valid, build, read, outcome(name, usual), heavy)


def valid_names(
    kind: str, valid: str, opened: str, read: Open, *, heavy: bool = False
) -> Iterator[Case]:
    """Open the valid input as it is, and in folders of unusual names."""
    plain = in_folder('plain', opened)
    yield Case(kind, 'valid', valid, plain, read, READ, heavy)
    for name, folder in NAMES.items():
        build = in_folder(folder, opened)
        # GDAL and others know no other names than those of UTF-8
        how = EITHER if name == 'not UTF-8' else READ
        yield Case(kind, f'folder: {name}', valid, build, read, how, heavy)
