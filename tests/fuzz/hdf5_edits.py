# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Changes of HDF5 files through h5py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.case import Build, altered

type Edit = Callable[[Any], object]


def edited(pattern: str, edit: Edit) -> Build:
    """Change a file through h5py."""

    def change(path: Path) -> None:
        import h5py

        with h5py.File(path, 'r+') as file:
            edit(file)

    return altered(pattern, change)


def put(name: str, values: Any, **options: Any) -> Edit:
    """Replace an array by another one, attributes kept."""

    def edit(file: Any) -> None:
        kept = dict(file[name].attrs) if name in file else {}
        kept = {k: v for k, v in kept.items() if not k.isupper()}
        if name in file:
            del file[name]
        file.create_dataset(name, data=values, **options).attrs.update(kept)

    return edit


def claim(name: str, shape: tuple[int, ...], dtype: str = 'i2') -> Edit:
    """Put an array without any pixel that says it is huge."""

    def edit(file: Any) -> None:
        if name in file:
            del file[name]
        chunks = tuple(min(size, 64) for size in shape)
        file.create_dataset(name, shape=shape, dtype=dtype, chunks=chunks)

    return edit


def delete(name: str) -> Edit:
    return lambda file: file.__delitem__(name)


def group(name: str) -> Edit:
    def edit(file: Any) -> None:
        del file[name]
        file.create_group(name)

    return edit


def link(name: str, file_name: str | None, target: str) -> Edit:
    """Put a soft link, or a link into another file."""

    def edit(file: Any) -> None:
        import h5py

        if name in file:
            del file[name]
        link = (
            h5py.SoftLink(target)
            if file_name is None
            else h5py.ExternalLink(file_name, target)
        )
        file[name] = link

    return edit


def attribute(name: str | None, key: str, value: Any) -> Edit:
    def edit(file: Any) -> None:
        (file if name is None else file[name]).attrs[key] = value

    return edit


def no_attribute(name: str | None, key: str) -> Edit:
    return lambda file: (file if name is None else file[name]).attrs.__delitem__(key)


def outside(name: str, shape: tuple[int, ...]) -> Edit:
    """Put an array whose bytes lie in another file."""

    def edit(file: Any) -> None:
        del file[name]
        secret = Path(file.filename).with_name('secret.bin')
        secret.write_bytes(bytes(10**4))
        external = [(str(secret), 0, 10**4)]
        file.create_dataset(name, shape=shape, dtype='i2', external=external)

    return edit


def waves(values: Any, name: str = 'wavelength') -> Edit:
    def edit(file: Any) -> None:
        array = np.array(file[name][()])
        array.flat[: np.size(values)] = values
        file[name][...] = array

    return edit


def bomb() -> bytes:
    import zlib

    packer = zlib.compressobj(9)
    part = bytes(1 << 20)
    return b''.join(packer.compress(part) for _ in range(200)) + packer.flush()
