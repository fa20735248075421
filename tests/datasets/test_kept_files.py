# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What datasets write beside their data is whole, or as it was before."""

import errno
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data.spectral_earth.data import write_tree

from torchgeo_hsi.datasets import SpectralEarth
from torchgeo_hsi.datasets.spectral_earth._counts import class_counts
from torchgeo_hsi.datasets.spectral_earth.classes import ClassTable
from torchgeo_hsi.datasets.spectral_earth.manifest import default_path, open_manifest
from torchgeo_hsi.datasets.splits import leak_report
from torchgeo_hsi.errors import HSIWarning, OutputError

TABLE = ClassTable('two', ('a', 'b'), ('#000', '#fff'), (1, 5), (0, 1))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let the disk be full once a file is written, and is to be moved."""

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('torchgeo_hsi.io._whole.os.replace', refuse)
    return monkeypatch


def test_split_report(tmp_path: Path, full: pytest.MonkeyPatch) -> None:
    path, mask = tmp_path / 'report.json', np.eye(6, dtype=bool)
    path.write_text('older')
    report = leak_report({'train': mask, 'test': ~mask}, window=1)
    with pytest.raises(OutputError, match=r'report\.json could not .*disk is full'):
        report.to_json(path)
    assert path.read_text() == 'older'
    full.undo()
    text = report.to_json(tmp_path / 'new' / 'report.json')
    assert (tmp_path / 'new' / 'report.json').read_text() == text


def test_class_counts(
    tmp_path: Path, full: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, table = tmp_path / 'counts.csv', TABLE
    codes = np.array([[1, 5], [5, 0]])
    words = ['file.tif'], lambda name: codes, table, path
    with caplog.at_level(logging.WARNING):
        assert class_counts(*words).tolist() == [[1, 2]]
    assert 'not kept' in caplog.text
    assert 'disk is full' in caplog.text
    assert not list(tmp_path.iterdir())
    full.undo()
    class_counts(*words)
    assert path.read_text().splitlines()[1] == 'file.tif,1,2'


def test_manifest_and_damaged_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path)
    with pytest.warns(HSIWarning, match=r'not kept.*disk is full.*pass manifest='):
        count = len(open_manifest(tmp_path).files)
    folder = default_path(tmp_path).parent
    assert not list(folder.iterdir())
    full.undo()
    dataset = SpectralEarth(tmp_path)
    assert len(open_manifest(tmp_path, rebuild=False).files) == count
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    next((tmp_path / 'enmap').rglob('*.tif')).write_bytes(b'')
    with monkeypatch.context() as patch:

        def refuse(*args: Any) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        patch.setattr('torchgeo_hsi.io._whole.os.replace', refuse)
        with pytest.raises(OutputError, match=r'damaged\.csv could.*pass manifest='):
            dataset.check()
    assert {path: path.read_bytes() for path in folder.iterdir()} == kept
