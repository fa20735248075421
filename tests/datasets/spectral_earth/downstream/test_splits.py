# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of the downstream data sets, and how many samples of which class they have."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from data.spectral_earth_downstream.data import SETS, write_downstream

from tests.datasets.spectral_earth.downstream.sets import dataset_of, read
from torchgeo_hsi.datasets import SpectralEarthCDL
from torchgeo_hsi.datasets.spectral_earth.splits import scene_leakage
from torchgeo_hsi.errors import EmptyDataError


def test_label_efficiency(tree: Path) -> None:
    whole = {s: SpectralEarthCDL(tree, s) for s in ('train', 'val', 'test')}
    part = {s: SpectralEarthCDL(tree, s, fraction=0.5) for s in whole}
    # int(12 * 0.5) = 6 labels, of which int(6 * 0.7) = 4 train
    assert {s: len(d) for s, d in part.items()} == {'train': 4, 'val': 2, 'test': 4}
    assert part['test'].files == whole['test'].files
    assert set(part['train'].files) < set(whole['train'].files)
    with pytest.raises(EmptyDataError, match='leaves no sample'):
        SpectralEarthCDL(tree, fraction=0.01)


@pytest.mark.parametrize('name', SETS)
def test_splits_by_scene(name: str, tmp_path: Path) -> None:
    write_downstream(tmp_path, name, sizes=(20, 5, 5), scenes=12)
    cls = dataset_of(name)
    official = {s: cls(tmp_path, s) for s in ('train', 'val', 'test')}
    parts = {s: cls(tmp_path, s, split_by='scene') for s in official}
    assert scene_leakage(official['train'].files, official['test'].files) > 0
    assert scene_leakage(parts['train'].files, parts['test'].files) == 0
    assert scene_leakage(parts['train'].files, parts['val'].files) == 0
    assert scene_leakage(parts['val'].files, parts['test'].files) == 0
    assert not set(parts['train'].scenes) & set(parts['test'].scenes)
    together = sorted(file for part in parts.values() for file in part.files)
    assert together == sorted(f for part in official.values() for f in part.files)
    assert len(parts['train']) > 15
    # every class that is in three scenes or more is in each split
    for part in parts.values():
        present = set()
        for sample in part:
            got = sample.get('mask', sample.get('label'))
            found = got if 'mask' in sample else got.nonzero()
            present |= set(found.unique().tolist())
        assert set(range(part.ignore_index)) - present == set()
    again = cls(tmp_path, 'test', split_by='scene')
    assert again.files == parts['test'].files


def test_splits_by_scene_need_no_lists(cdl: Path) -> None:
    for path in (cdl / 'enmap_cdl' / 'splits').rglob('*.txt'):
        path.unlink()
    dataset = SpectralEarthCDL(cdl, split_by='scene', fraction=0.5)
    assert 0 < len(dataset) < 8
    # an image without labels, and labels without an image, are in no split
    folder = cdl / 'enmap_cdl'
    gone, lone = sorted((folder / 'cdl').rglob('*.tif'))[:2]
    gone.unlink()
    (folder / 'enmap' / lone.relative_to(folder / 'cdl')).unlink()
    parts = [
        SpectralEarthCDL(cdl, s, split_by='scene') for s in ('train', 'val', 'test')
    ]
    assert sum(map(len, parts)) == 14


def test_classes_are_counted_once(cdl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = SpectralEarthCDL(cdl, split_by='scene').files
    path = cdl / 'enmap_cdl' / 'class_counts_cdl.csv'
    counted = path.read_text()
    dataset = SpectralEarthCDL(cdl)
    rows = dict(line.split(',', 1) for line in counted.splitlines())
    for file in dataset.files:
        codes = read(cdl / 'enmap_cdl' / 'cdl' / file)
        by_hand = [int((codes == code).sum()) for code in dataset.codes]
        assert rows[file] == ','.join(map(str, by_hand))

    def unused(*args: Any) -> None:
        raise AssertionError('the labels were read again')

    with monkeypatch.context() as patch:
        patch.setattr(SpectralEarthCDL, '_read_codes', unused)
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
    for damaged in (
        '',
        'file,1\n',
        counted[:-20],
        counted.replace('0000001', '0000099'),
    ):
        path.write_text(damaged)
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
        assert path.read_text() == counted
    assert not list(path.parent.glob('*.part'))


def test_counts_in_a_folder_that_is_read_only(
    cdl: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(30, 'Read-only file system')

    expected = SpectralEarthCDL(cdl, split_by='scene').files
    path = cdl / 'enmap_cdl' / 'class_counts_cdl.csv'
    path.unlink()
    monkeypatch.setattr(os, 'replace', refuse)
    with caplog.at_level(logging.WARNING):
        assert SpectralEarthCDL(cdl, split_by='scene').files == expected
    assert 'Class counts are not kept' in caplog.text
    assert not list(path.parent.glob('class_counts*'))


def test_one_scene_is_too_few(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'cdl', scenes=1)
    with pytest.raises(EmptyDataError, match='at least 3 scenes'):
        SpectralEarthCDL(tmp_path, split_by='scene')
