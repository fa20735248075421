# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of torch are written whole or not at all."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io._torch_whole import write_torch


def test_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'weights.pt'
    for number in (1.0, 2.0):
        write_torch(path, {'a': torch.tensor(number)})
        assert torch.load(path, weights_only=True) == {'a': torch.tensor(number)}
        assert [p.name for p in path.parent.iterdir()] == ['weights.pt']


@pytest.mark.parametrize('is_wrapped', [False, True])
def test_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_wrapped: bool
) -> None:
    path = tmp_path / 'weights.pt'
    path.write_bytes(b'older')

    def full(content: Any, file: Any) -> None:
        file.write(b'half')
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not is_wrapped:
                raise
            # as torch does where it closes an archive
            raise RuntimeError('unexpected pos 64 vs 0') from error

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OutputError, match=r'disk is full.*another cache.*as it was'):
        write_torch(path, {}, 'choose another cache')
    assert path.read_bytes() == b'older'
    assert [p.name for p in tmp_path.iterdir()] == ['weights.pt']


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(
        (AttributeError, TypeError, RuntimeError), match=r'pickle|local'
    ):
        write_torch(tmp_path / 'weights.pt', {'a': lambda: None})
    assert not list(tmp_path.iterdir())
