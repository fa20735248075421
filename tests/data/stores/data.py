# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small training stores.

Run as a script to look at one: ``python tests/data/stores/data.py FOLDER``.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from torchgeo_hsi.datasets._store_samples import (
    describe_items,
    encode_samples,
    plan_store,
)
from torchgeo_hsi.io.store import create_store, finish_store, write_shard


class Numbers:
    """Samples that are all of one number.

    Args:
        start: Number of the first.
        count: How many.
    """

    def __init__(self, start: int, count: int) -> None:
        self.start, self.count = start, count

    @property
    def files(self) -> list[str]:
        return [f'sample_{self.start + i}' for i in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = self.start + index
        return {
            'image': torch.full((2, 8, 8), float(number)),
            'label': torch.tensor(number),
            'name': f'sample_{number}',
        }


class InARow(Sequence[Any]):
    """The samples of several datasets in a row.

    Args:
        datasets: The datasets by the names of their splits.
    """

    def __init__(self, datasets: Mapping[str, Any]) -> None:
        self.datasets = dict(datasets)
        self.places = [(s, i) for s, d in datasets.items() for i in range(len(d))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        split, place = self.places[index]
        return self.datasets[split][place]


def write_store(
    path: Path,
    datasets: Mapping[str, Any],
    shard_mb: float = 0.002,
    missing: Sequence[int] = (),
) -> str:
    """Write a store, without the machinery of a conversion.

    Args:
        path: Folder of the store.
        datasets: Datasets by the names of their splits; one without a split as ``''``.
        shard_mb: Size of a shard.
        missing: Samples that count as unreadable, by their indexes in a row.

    Returns:
        Checksum of the store.
    """
    source = InARow(datasets)
    spec = plan_store(source, shard_mb=shard_mb)
    create_store(path, spec)
    for shard in range(spec.shards):
        indexes = spec.shard_range(shard)
        samples = [None if i in missing else source[i] for i in indexes]
        arrays, items = encode_samples(spec, samples)
        for index, item in zip(indexes, items, strict=True):
            split, place = source.places[index]
            if item is not None:
                item |= describe_items(datasets[split], [place])[0]
                item |= {'split': split} if split else {}
        write_shard(path, shard, arrays, items)
    return finish_store(path)


if __name__ == '__main__':
    write_store(Path(sys.argv[1]), {'train': Numbers(0, 23)})
