# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sizes and durations as the last line of a verb says them."""

from pathlib import Path

import pytest

from torchgeo_hsi.cli._output import say_size, say_time, size_of


@pytest.mark.parametrize(
    ('seconds', 'words'),
    [
        (0, '0.0 s'),
        (9.94, '9.9 s'),
        # 10.0 would claim a tenth that is not known
        (9.96, '10 s'),
        (59.4, '59 s'),
        (59.6, '1 min 0 s'),
        (200, '3 min 20 s'),
        (3599.6, '1 h 0 min'),
        (90_000, '25 h 0 min'),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert say_time(seconds) == words


@pytest.mark.parametrize(
    ('count', 'words'),
    [
        (None, 'size not known'),
        (0, '0 bytes'),
        (999, '999 bytes'),
        (1000, '1.0 kB'),
        (999_949, '999.9 kB'),
        (999_951, '1.0 MB'),
        (2.5e9, '2.5 GB'),
        (3.21e12, '3.2 TB'),
    ],
)
def test_sizes(count: float | None, words: str) -> None:
    assert say_size(count) == words


def test_size_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / 'inner').mkdir()
    (tmp_path / 'one').write_bytes(bytes(10))
    (tmp_path / 'inner' / 'two').write_bytes(bytes(5))
    # what leads elsewhere is not there twice
    (tmp_path / 'lost').symlink_to(tmp_path / 'nowhere')
    assert size_of(tmp_path / 'one') == 10
    assert size_of(tmp_path) == 15
    assert size_of(tmp_path / 'nothing') is None
    assert size_of('s3://bucket/store') is None
