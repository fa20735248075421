# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How often each class is in each patch, counted once and kept in a small file."""

import csv
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OutputError
from ...io._whole import write_whole
from .classes import ClassTable

_log = logging.getLogger(__name__)


def class_counts(
    files: Sequence[str],
    read: Callable[[str], NDArray[Any]],
    table: ClassTable,
    path: Path,
) -> NDArray[np.int64]:
    """Count the pixels of each class in each file.

    Args:
        files: Names of the patches.
        read: Reads the codes of a patch.
        table: The classes.
        path: File to keep the counts in. It is used again if it holds exactly these
            files and codes; where it cannot be written, nothing is kept.

    Returns:
        Counts of shape ``(N, K)``.
    """
    head = ['file'] + [
        ' '.join(
            str(c) for c, i in zip(table.codes, table.index, strict=True) if i == k
        )
        for k in range(len(table))
    ]
    known = _load(path, head, files)
    if known is not None:
        return known
    _log.info('Counting the classes of %d label rasters, once.', len(files))
    counts = np.array([table.count(table.encode(read(file))) for file in files])
    _save(path, head, files, counts)
    return counts


def _load(
    path: Path, head: list[str], files: Sequence[str]
) -> NDArray[np.int64] | None:
    try:
        with path.open(encoding='utf-8', newline='') as stream:
            rows = list(csv.reader(stream))
        if rows[0] != head or [row[0] for row in rows[1:]] != list(files):
            return None
        return np.array([row[1:] for row in rows[1:]], dtype=np.int64)
    except (OSError, ValueError, IndexError, OverflowError, csv.Error):
        # not there, or damaged: counting again mends it
        return None


def _save(
    path: Path, head: list[str], files: Sequence[str], counts: NDArray[np.int64]
) -> None:
    def write(part: Path) -> None:
        with part.open('w', encoding='utf-8', newline='') as stream:
            writer = csv.writer(stream)
            writer.writerow(head)
            writer.writerows(
                [file, *row] for file, row in zip(files, counts.tolist(), strict=True)
            )

    try:
        write_whole(path, write)
    except OutputError as error:
        _log.warning('Class counts are not kept: %s', error)
