# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits by scenes and shares of the training patches."""

import logging
from pathlib import Path
from typing import Any

import pytest
from data.spectral_earth_downstream.data import write_downstream, write_splits
from datamodules.spectral_earth_downstream.parts import SCENES, every, make

from torchgeo_hsi.datamodules import SpectralEarthCDLDataModule
from torchgeo_hsi.errors import EmptyDataError


@every
def test_fraction(row: Any, root: Path) -> None:
    # int(12 * 0.5) = 6 labels, 70 % of them for training
    module = make(row[0], root, fraction=0.5, batch_size=2)
    module.setup('fit')
    module.setup('test')
    datasets = (module.train_dataset, module.val_dataset, module.test_dataset)
    assert [len(dataset) for dataset in datasets] == [4, 2, 4]


@every
def test_scene_split(row: Any, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = make(row[0], root, split_by='scene', batch_size=2)
    module.prepare_data()
    with caplog.at_level(logging.DEBUG):
        module.setup('fit')
        module.setup('test')
    assert 'share a scene' not in caplog.text
    datasets = (module.train_dataset, module.val_dataset, module.test_dataset)
    train, val, test = (
        {file.split('/')[1] for file in dataset.files} for dataset in datasets
    )
    assert not train & val
    assert not train & test
    assert not val & test
    assert sum(map(len, datasets)) == 16


@every
def test_shared_scenes_are_told(
    row: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = make(row[0], root)
    # training has the scenes 2 to 9; validation 1, 10, 1, 2; test 3 to 6
    for stage, split, share in (('fit', 'val', '25.0'), ('test', 'test', '100.0')):
        caplog.clear()
        module.setup(stage)
        (line,) = (r for r in caplog.records if r.name.startswith('torchgeo_hsi'))
        assert line.levelno == logging.WARNING
        assert f'{share} % of the {split} patches' in line.getMessage()
        assert "split_by='scene'" in line.getMessage()
    caplog.clear()
    module.setup('validate')
    module.setup('predict')
    assert 'share a scene' not in caplog.text


def test_share_without_training_before(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make('SpectralEarthCDLDataModule', root).setup('test')
    assert caplog.text.count('100.0 % of the test patches') == 1


def test_no_line_without_shared_scenes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_downstream(tmp_path, 'cdl', scenes=16)
    module = make('SpectralEarthCDLDataModule', tmp_path)
    module.setup('fit')
    module.setup('test')
    assert 'share a scene' not in caplog.text


def test_split_dir(root: Path, tmp_path: Path) -> None:
    files = [f'{i + 1:07d}/{i % SCENES + 1:05d}.tif' for i in range(6)]
    write_splits(tmp_path, files, (4, 1, 1))
    module = make('SpectralEarthCDLDataModule', root, split_dir=str(tmp_path))
    module.setup('fit')
    assert module.train_dataset.files == files[:4]
    assert module.val_dataset.files == files[4:5]


@every
def test_too_few_patches(row: Any, root: Path) -> None:
    module = make(row[0], root, batch_size=9)
    with pytest.raises(EmptyDataError, match='8 training patches make no batch of 9'):
        module.setup('fit')
    # all else works with a smaller last batch
    module.setup('validate')
    assert len(next(iter(module.val_dataloader()))['image']) == 4


def test_only_the_test_list(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'cdl')
    for split in ('train', 'val'):
        (tmp_path / 'enmap_cdl' / 'splits' / 'enmap_cdl' / f'{split}.txt').unlink()
    module = SpectralEarthCDLDataModule(str(tmp_path), batch_size=2)
    module.setup('test')
    assert len(next(iter(module.test_dataloader()))['image']) == 2
