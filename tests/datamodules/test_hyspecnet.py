# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HySpecNet-11k with the interface of the other data modules."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.hyspecnet.data import write_hyspecnet
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datamodules import HSIHySpecNet11kDataModule
from torchgeo_hsi.errors import EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.statistics import band_statistics

NAMES = ['B29', 'B92', 'B91', 'B5']
#: Their positions in the file, from 0.
PLACES = [28, 79, 100, 4]


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp('hyspecnet')
    return folder, write_hyspecnet(folder, hole_band=28)


def make(root: Path, **options: Any) -> HSIHySpecNet11kDataModule:
    given = {'batch_size': 2, 'image_size': 8} | options
    return HSIHySpecNet11kDataModule(str(root), **given)


@pytest.mark.parametrize('stage', ['validate', 'test', 'predict'])
def test_normalized_by_published_statistics(stage: str, tree: tuple[Path, Any]) -> None:
    module = make(tree[0], bands=NAMES, batch_size=3)
    module.setup(stage)
    split = 'val' if stage == 'validate' else 'test'
    name = {'validate': 'val'}.get(stage, stage)
    batch = next(iter(getattr(module, f'{name}_dataloader')()))
    aug = module.predict_aug if stage == 'predict' else module.aug
    out = aug(batch)
    raw = np.stack(tree[1][split])[:, PLACES].astype(np.float64)
    valid = (raw != -32768).all(axis=1)
    table = band_statistics('enmap_spectral_earth', NAMES)
    mean, std = (v.astype(float)[:, None, None] for v in (table.mean, table.std))
    want = (raw - mean) / std * valid[:, None]
    np.testing.assert_allclose(out['image'], want, rtol=2e-5, atol=1e-5)
    np.testing.assert_array_equal(out['valid'], valid)
    assert int((~out['valid']).sum()) == 4


def test_all_bands(tree: tuple[Path, Any]) -> None:
    module = make(tree[0])
    module.setup('fit')
    assert len(module.train_dataset) == 6
    assert len(module.val_dataset) == 3
    batch = module.train_aug(next(iter(module.train_dataloader())))
    assert batch['image'].shape == (2, 202, 8, 8)
    assert batch['image'].dtype == torch.float32
    assert batch['wavelength'].shape == (2, 202)
    # in the order of the published statistics, which is that of wavelength
    table = band_statistics('enmap_spectral_earth')
    assert module.train_dataset.bandset.names == table.names
    np.testing.assert_array_equal(module.mean, table.mean)


def test_training_flips_whole_patches(tree: tuple[Path, Any]) -> None:
    module = make(tree[0], bands=['B5'], batch_size=6)
    module.setup('fit')
    (batch,) = list(module.train_dataloader())
    seen = set()
    for _ in range(20):
        out = module.train_aug(batch)['image'] * module.std + module.mean
        for before, after in zip(batch['image'], out, strict=True):
            ramp, moved = before[0, 7], after[0]
            # columns grow or fall; nothing is cut off, resized or turned
            assert (moved - moved[:1]).abs().max() < 0.01
            torch.testing.assert_close(moved[0].sort().values, ramp, atol=0.01, rtol=0)
            seen.add(bool(moved[0, 0] < moved[0, -1]))
    assert seen == {True, False}


def test_defaults() -> None:
    module = HSIHySpecNet11kDataModule()
    assert (module.batch_size, module.image_size) == (32, 128)
    assert module.crop_scale == (1.0, 1.0)
    assert module.strategy == 'hard'
    assert module.ignore_index is None


def test_strategy(tmp_path: Path) -> None:
    write_hyspecnet(tmp_path)
    table = tmp_path / 'hyspecnet-11k' / 'splits' / 'easy' / 'val.csv'
    table.write_text(''.join(table.read_text().splitlines(True)[:1]))
    for strategy, count in (('easy', 1), ('hard', 3)):
        module = make(tmp_path, strategy=strategy)
        module.setup('validate')
        assert len(module.val_dataset) == count


def test_resized(tree: tuple[Path, Any]) -> None:
    module = make(tree[0], image_size=20, crop_scale=(0.3, 0.6))
    module.setup('fit')
    for loader, aug in (
        (module.train_dataloader(), module.train_aug),
        (module.val_dataloader(), module.aug),
    ):
        batch = aug(next(iter(loader)))
        assert batch['image'].shape == (2, 202, 20, 20)
        assert batch['valid'].shape == (2, 20, 20)


def test_plot(tree: tuple[Path, Any]) -> None:
    module = make(tree[0])
    with pytest.raises(EmptyDataError, match='Call setup before plot'):
        module.plot({})
    module.setup('test')
    assert module.test_dataset is not None
    assert module.plot(module.test_dataset[0], 'A patch').get_suptitle() == 'A patch'
    plt.close('all')


def test_bad_input(tree: tuple[Path, Any], tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match='6 training patches make no batch of 7'):
        make(tree[0], batch_size=7).setup('fit')
    with pytest.raises(UnknownNameError):
        make(tree[0], bands=['B130']).setup('fit')
    with pytest.raises(DatasetNotFoundError):
        make(tmp_path).setup('fit')
    with pytest.raises(ValueError, match='batch_size'):
        HSIHySpecNet11kDataModule(batch_size=0)
