# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Jobs on full disks say so, leave nothing, and keep what was there."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from robustness.server import Server

from torchgeo_hsi.scenes import _strip


@pytest.mark.parametrize(
    ('job', 'share', 'words'),
    [
        ('predict', 0.6, 'could not be written'),
        ('embeddings', 0.6, 'could not be written'),
        ('convert', 0.6, 'Shard 0'),
        ('classify', 0.6, 'could not be written'),
        ('restore denoise', 0.1, 'tiles cannot be kept'),
        # the raster on the way is larger than the result
        ('restore denoise', 2, 'block is missing'),
        # GDAL says nothing of what fails while a file is closed
        ('simulate', 0.85, 'block is missing'),
    ],
)
def test_files_cannot_grow(server: Server, job: str, share: float, words: str) -> None:
    found = server.ask('sizes', job, [share])
    assert found
    for refusal in found:
        assert refusal['trouble'] == '', refusal
        assert refusal['ended'] != 0
        assert words in refusal['said']


@pytest.mark.parametrize(
    ('job', 'moments'),
    # where the disk is full shows in the words: one step may hide the next
    [
        ('fit', {0: ''}),
        ('convert', {0: '.source.json', 60_000: 'Shard 1'}),
        (
            'convert scenes',
            {0: '.torchgeo-hsi', 60_000: 'Shard 0', 355_000: 'zarr.json'},
        ),
        (
            # the check before, the raster on the way, and the result beside it
            'restore denoise',
            {200_000: 'while it is made', 250_000: 'missing', 5_300_000: 'missing'},
        ),
        ('simulate', {150_000: 'Write error'}),
    ],
)
def test_disk_is_full(server: Server, job: str, moments: dict[int, str]) -> None:
    found = server.ask('rooms', job, list(moments))
    if not found:
        pytest.skip('no small disk can be mounted')
    for refusal in found:
        assert refusal['trouble'] == '', refusal
        assert refusal['ended'] != 0
        assert moments[refusal['room']] in refusal['said']


def test_tiles_take_their_room_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def make(**_: Any) -> Full:
        made.append(Full())
        return made[-1]

    monkeypatch.setattr(_strip.tempfile, 'TemporaryFile', make)
    # a file with holes would end the process (SIGBUS) where they are filled
    with pytest.raises(OSError, match='No space left'):
        _strip.Strip(tmp_path, (2, 8, 8))
    assert made[0].closed
