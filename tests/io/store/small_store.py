# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small store for the tests; run as a script, it writes shards until it is killed."""

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_hsi.io.store import (
    FieldSpec,
    StoreSpec,
    create_store,
    done_shards,
    finish_store,
    write_shard,
)

SPEC = StoreSpec(
    {
        # 22 bands of 32 KiB: a chunk is 12 of them, and the last is filled up
        'image': FieldSpec((22, 128, 128), 'int16', 0),
        'pair': FieldSpec((2, 5, 6, 7), 'float32', 1),
        'valid': FieldSpec((128, 128), 'bool'),
        'label': FieldSpec((), 'int64'),
        'share': FieldSpec((3,), 'float64'),
    },
    items=11,
    shard_items=4,
    attributes={'classes': ['water', 'forest'], 'wavelength': [0.5, 0.6]},
)

#: Items that could not be read.
MISSING = (5, 8, 9, 10)


@functools.cache
def arrays() -> dict[str, NDArray[Any]]:
    """Make the arrays of all items; missing ones are 0, as other readers see them."""
    rng = np.random.default_rng(0)
    result: dict[str, NDArray[Any]] = {}
    for name, field in SPEC.fields.items():
        values = rng.normal(1000, 300, (SPEC.items, *field.shape))
        result[name] = values > 900 if field.dtype == 'bool' else values
        result[name] = result[name].astype(field.dtype)
        result[name][list(MISSING)] = 0
        result[name].setflags(write=False)
    return result


def items() -> list[dict[str, Any] | None]:
    """Make what is known about each item."""
    return [
        None
        if i in MISSING
        else {'name': f'patch {i}', 'transform': [30.0, 0.0, 5e5 + i, 0.0, -30.0, 0.5]}
        for i in range(SPEC.items)
    ]


def write(path: Path, shard: int) -> str:
    """Write one shard."""
    part = SPEC.shard_range(shard)
    cut = slice(part.start, part.stop)
    return write_shard(
        path,
        shard,
        {name: array[cut] for name, array in arrays().items()},
        items()[cut],
    )


def build(path: Path) -> str:
    """Write a whole store."""
    create_store(path, SPEC)
    for shard in range(SPEC.shards):
        if shard not in done_shards(path):
            write(path, shard)
    return finish_store(path)


if __name__ == '__main__':
    arrays()
    sys.stdout.write('ready\n')
    sys.stdout.flush()
    build(Path(sys.argv[1]))
