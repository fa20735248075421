# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What came out of a conversion."""

from dataclasses import dataclass
from pathlib import Path

from ..jobs import JobFailure


@dataclass(frozen=True)
class ConversionReport:
    """Result of :func:`~torchgeo_hsi.datasets.convert_dataset`.

    Args:
        path: Folder of the store.
        checksum: SHA-256 of the whole store, the same for the same data however it was
            written; None if the store is not complete.
        items: Items of the store, those included that could not be read.
        shards: Shards of the store.
        written: Shards that were written in this run.
        failures: Items that could not be read, in this run or before. They stay empty
            in the store.
        missing: Shards that could not be written. As long as there are any, the store
            is not complete and cannot be read.
        seconds: Time that it took.
    """

    path: Path
    checksum: str | None
    items: int
    shards: int
    written: int
    failures: tuple[JobFailure, ...]
    missing: tuple[JobFailure, ...]
    seconds: float
