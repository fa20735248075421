# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Archives, and data sets of many files."""

import gzip
import io
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz import reading
from fuzz.case import EITHER, READ, REFUSED, Build, Case, altered, copied
from fuzz.changes import changes
from fuzz.evil import Evil, from_bytes, zipped
from fuzz.valid import TOP


def _member(name: str, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


def _tar(
    *members: tarfile.TarInfo, mode: str = 'w:gz', data: bytes = b'evil'
) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            for member in members:
                member.size = len(data) if member.isreg() else 0
                tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
        return buffer.getvalue()

    return make


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    return _member(name, type=kind, linkname=target)


def _sized(size: int) -> bytes:
    """Write an archive whose file says it is larger than the archive."""
    info = _member('a.bin', size=size)
    return gzip.compress(info.tobuf() + bytes(1024))


_ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    'leads out': (_tar(_member('../escaped.txt')), REFUSED),
    'leads far out': (_tar(_member('a/../../../../escaped.txt')), REFUSED),
    'leads out behind the top': (_tar(_member(f'{TOP}/../../escaped.txt')), REFUSED),
    'absolute name': (_tar(_member('/tmp/torchgeo_hsi_escaped.txt')), EITHER),
    'name of Windows': (_tar(_member('C:\\escaped.txt')), EITHER),
    'backslashes': (_tar(_member('..\\..\\escaped.txt')), EITHER),
    'link out, and a file behind it': (
        _tar(_link('out', '../..'), _member('out/escaped.txt')),
        EITHER,
    ),
    'hard link out': (_tar(_link('a', '../../in/x', tarfile.LNKTYPE)), EITHER),
    'link to itself': (_tar(_link('a', 'a')), EITHER),
    'device': (_tar(_member('a', type=tarfile.CHRTYPE, devmajor=1)), EITHER),
    'pipe': (_tar(_member('a', type=tarfile.FIFOTYPE)), EITHER),
    'may be run by root': (_tar(_member('a.txt', mode=0o6777)), READ),
    'file and folder of one name': (_tar(_member('a'), _member('a/b')), REFUSED),
    'name of 300 letters': (_tar(_member('x' * 300)), REFUSED),
    'NUL in a name': (_tar(_member('a\0b')), EITHER),
    'empty name': (_tar(_member('')), EITHER),
    'only dots': (_tar(_member('..')), REFUSED),
    'no members': (_tar(), READ),
    'says 10**15 bytes': (lambda: _sized(10**15), REFUSED),
    'says negative bytes': (lambda: gzip.compress(_negative()), REFUSED),
    'unicode and spaces': (_tar(_member('Höhe 1/草地 2.txt')), READ),
    'bomb of 200 MB': (_tar(_member('zeros.bin'), data=bytes(200 << 20)), READ),
    'xz': (_tar(_member('a.txt'), mode='w:xz'), READ),
    'zip': (lambda: zipped('../../escaped.txt', b'evil'), REFUSED),
    'checksum of gzip wrong': (
        lambda: (c := _tar(_member('a.txt'))())[:-8] + bytes(4) + c[-4:],
        REFUSED,
    ),
}


def _negative() -> bytes:
    head = bytearray(_member('a.bin', size=4).tobuf())
    head[124:136] = b'\xff' * 11 + b'\xf0'
    head[148:156] = b' ' * 8
    head[148:156] = b'%06o\0 ' % sum(head[:512])
    return bytes(head) + bytes(1024)


def _manifest(content: bytes) -> Build:
    """Put something in the place of a manifest."""

    def build(folder: Path, valid: Path) -> Path:
        copied(folder, valid)
        (folder.parent / 'out' / 'manifest.npz').write_bytes(content)
        return folder

    return build


def _opened(kind: str, valid: str, file: str, read: Any, **options: Any) -> Any:
    """Change one of many files, and open their folder."""

    def up(build: Build) -> Build:
        def make(folder: Path, source: Path) -> Path:
            build(folder, source)
            return folder

        return make

    for case in changes(kind, valid, file, read, heavy=True, **options):
        yield Case(kind, case.name, valid, up(case.build), read, case.outcome, True)
    yield Case(
        kind, 'valid', valid, up(lambda f, v: copied(f, v) or f), read, READ, True
    )


def other_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    yield from _archives()
    leave = ('a folder', 'link to nothing', 'links in a circle')
    yield from _opened(
        'HYPERVIEW', 'hyperview', 'images/0.npz', reading.hyperview, leave=leave
    )
    yield from _opened(
        'toolbox', 'toolbox', 'Training/Reduced*/*.mat', reading.toolbox, leave=leave
    )
    yield from _opened('pairs', 'pairs', 'pair.mat', reading.pairs, leave=leave)
    yield from _opened('SpectralEarth', 'tree', '00000.tif', reading.tree, leave=leave)
    for name, content in (
        ('empty', b''),
        ('noise', b'noise' * 99),
        ('a zip of something else', zipped('a.npy', b'x')),
        ('objects', pickle.dumps(Evil())),
    ):
        yield Case(
            'SpectralEarth',
            f'manifest is {name}',
            'tree',
            _manifest(content),
            reading.tree,
            READ,
            True,
        )


def _archives() -> Iterator[Case]:
    read = reading.archive
    yield Case(
        'archive', 'valid', 'archive', altered('*.gz', lambda p: None), read, READ, True
    )
    yield from changes(
        'archive',
        'archive',
        'patches.tar.gz',
        read,
        heavy=True,
        vague=('twice',),
        leave=('gzip of it',),
    )
    yield from from_bytes('archive', 'evil.tar.gz', read, _ARCHIVES, True)
