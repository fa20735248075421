# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The data modules take a store in the same argument as a folder of files."""

import dataclasses
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from data.hyspecnet.data import write_hyspecnet
from data.spectral_earth.data import write_large_tree
from data.spectral_earth_downstream.data import write_downstream, write_hyperview
from data.stores.data import write_store
from datamodules.stock_moco import small_moco
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from torchgeo.tasks import SemanticSegmentation

from torchgeo_hsi.datamodules import (
    HSIHySpecNet11kDataModule,
    HyperviewDataModule,
    SpectralEarthCDLDataModule,
    SpectralEarthCORINEDataModule,
    SpectralEarthDataModule,
    SpectralEarthNLCDDataModule,
    StoreLoader,
)
from torchgeo_hsi.datasets import (
    HSIHySpecNet11k,
    Hyperview,
    SpectralEarth,
    SpectralEarthCDL,
    SpectralEarthCORINE,
    StoredPatches,
)
from torchgeo_hsi.datasets._store_samples import plan_store
from torchgeo_hsi.errors import MetadataError, UnknownNameError
from torchgeo_hsi.io.store import create_store, finish_store, write_shard

BANDS: list[str | int | float] = ['B44', 'B29', 'B11', 'B72']


@pytest.fixture(scope='module')
def cdl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('cdl')
    write_downstream(folder, 'cdl')
    splits: Any = ('train', 'val', 'test')
    write_store(folder / 'store', {s: SpectralEarthCDL(folder, s) for s in splits})
    return folder


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tree')
    write_large_tree(folder / 'files', 12, size=36)
    files = SpectralEarth(folder / 'files', item='patch')
    write_store(folder / 'store', {'': files})
    return folder


def trainer(folder: Path, **options: Any) -> Trainer:
    return quiet_trainer(folder, max_epochs=1, **options)


def batches(module: Any, split: str) -> list[dict[str, Any]]:
    """Return the batches of a split, as they are after their transforms."""
    loader = getattr(module, f'{split}_dataloader')()
    module.trainer = Trainer(accelerator='cpu', logger=False)
    for stage in ('training', 'validating', 'testing', 'predicting'):
        wanted = {'train': 'training', 'val': 'validating', 'test': 'testing'}
        if stage == wanted.get(split, 'predicting'):
            setattr(module.trainer, stage, True)
    return [module.on_after_batch_transfer(batch, 0) for batch in loader]


def joined(found: list[dict[str, Any]], key: str) -> torch.Tensor:
    return torch.cat([batch[key] for batch in found])


def alike(files: Any, store: Any, *splits: str, key: str = 'mask') -> None:
    """Check that two data modules give the same samples in the same order."""
    for split in splits:
        stage = {'val': 'validate', 'test': 'test', 'predict': 'predict'}[split]
        for module in (files, store):
            module.setup(stage)
        one, two = batches(files, split), batches(store, split)
        assert len(joined(one, 'image')) > 1
        for name in ('image', 'valid', key):
            found = joined(two, name)
            assert found.dtype == joined(one, name).dtype
            assert torch.allclose(found, joined(one, name), atol=1e-5)
    assert isinstance(store.test_dataset or store.val_dataset, StoredPatches)


def test_labelled_patches(cdl: Path) -> None:
    options: Any = {'batch_size': 3, 'bands': BANDS, 'image_size': 12}
    files = SpectralEarthCDLDataModule(str(cdl), **options)
    store = SpectralEarthCDLDataModule(str(cdl / 'store'), **options)
    store.prepare_data()
    # val and test have holes in all bands, so `valid` is the same
    alike(files, store, 'val', 'test', 'predict')


def test_every_training_patch_once(cdl: Path) -> None:
    module = SpectralEarthCDLDataModule(str(cdl / 'store'), batch_size=3)
    module.setup('fit')
    loader = module.train_dataloader()
    assert isinstance(loader, StoreLoader)
    found = list(loader)
    # integers until they are on the device
    assert {batch['image'].dtype for batch in found} == {torch.int16}
    assert [len(batch['image']) for batch in found] == [3, 3, 2]
    sums = Counter(int(i.long().sum()) for b in found for i in b['image'])
    wanted = (s['image'].double().sum() for s in SpectralEarthCDL(cdl, 'train'))
    assert sums == Counter(int(total) for total in wanted)


@pytest.mark.parametrize('precision', ['32-true', 'bf16-true', '64-true'])
def test_precision_is_that_of_the_trainer(cdl: Path, precision: Any) -> None:
    module = SpectralEarthCDLDataModule(str(cdl / 'store'), batch_size=2)
    module.setup('validate')
    module.trainer = Trainer(accelerator='cpu', precision=precision, logger=False)
    module.trainer.validating = True
    batch = module.on_after_batch_transfer(next(iter(module.val_dataloader())), 0)
    names = {'32': torch.float32, 'bf16': torch.bfloat16, '64': torch.float64}
    assert batch['image'].dtype == names[precision.split('-')[0]]


def test_address(cdl: Path) -> None:
    options: Any = {'batch_size': 3, 'bands': BANDS, 'image_size': 16}
    files = SpectralEarthCDLDataModule(str(cdl / 'store'), **options)
    store = SpectralEarthCDLDataModule(f'file://{cdl}/store', **options)
    alike(files, store, 'val')


def test_stock_task(cdl: Path) -> None:
    task = SemanticSegmentation(
        model='unet',
        backbone='resnet18',
        in_channels=4,
        task='multiclass',
        num_classes=15,
        ignore_index=14,
    )
    module = SpectralEarthCDLDataModule(
        str(cdl / 'store'), batch_size=4, bands=BANDS, image_size=32, num_workers=1
    )
    run = trainer(cdl, limit_val_batches=1)
    run.fit(task, module)
    assert run.callback_metrics['train_loss'].isfinite()
    assert run.callback_metrics['val_loss'].isfinite()


def test_shared_scenes_are_told(cdl: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = []
    for root in (cdl, cdl / 'store'):
        caplog.clear()
        with caplog.at_level(logging.WARNING, 'torchgeo_hsi'):
            SpectralEarthCDLDataModule(str(root), batch_size=2).setup('fit')
        said.append([record.message for record in caplog.records])
    assert said[0] == said[1] != []


def test_fraction(cdl: Path) -> None:
    found = []
    for root in (cdl, cdl / 'store'):
        module = SpectralEarthCDLDataModule(str(root), batch_size=1, fraction=0.5)
        module.setup('fit')
        parts: Any = (module.train_dataset, module.val_dataset)
        found.append([part.files for part in parts])
        assert len(module.train_dataset or []) == 4
    assert found[0] == found[1]


def test_plot(cdl: Path) -> None:
    module = SpectralEarthCDLDataModule(str(cdl / 'store'))
    module.setup('test')
    assert module.test_dataset is not None
    assert module.plot(module.test_dataset[0]).axes


def test_several_labels(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'corine')
    parts: Any = {s: SpectralEarthCORINE(tmp_path, s) for s in ('val', 'test')}
    write_store(tmp_path / 'store', parts)
    files = SpectralEarthCORINEDataModule(str(tmp_path), 2, image_size=16)
    store = SpectralEarthCORINEDataModule(str(tmp_path / 'store'), 2, image_size=16)
    alike(files, store, 'val', 'test', key='label')
    other = SpectralEarthCORINEDataModule(str(tmp_path / 'store'), num_classes=43)
    with pytest.raises(MetadataError, match='19 classes'):
        other.setup('test')


def test_hyspecnet(tmp_path: Path) -> None:
    write_hyspecnet(tmp_path)
    parts: Any = {s: HSIHySpecNet11k(str(tmp_path), s) for s in ('val', 'test')}
    write_store(tmp_path / 'store', parts)
    files = HSIHySpecNet11kDataModule(str(tmp_path), 2, image_size=8)
    store = HSIHySpecNet11kDataModule(str(tmp_path / 'store'), 2, image_size=8)
    alike(files, store, 'val', 'test', key='wavelength')
    easy = HSIHySpecNet11kDataModule(str(tmp_path / 'store'), strategy='easy')
    with pytest.raises(MetadataError, match="strategy='hard'"):
        easy.setup('test')


def test_hyperview(tmp_path: Path) -> None:
    write_hyperview(tmp_path)
    parts: Any = {s: Hyperview(tmp_path, s, size=16) for s in ('train', 'val')}
    write_store(tmp_path / 'store', parts)
    files = HyperviewDataModule(str(tmp_path), 2, image_size=16)
    store = HyperviewDataModule(str(tmp_path / 'store'), 2, image_size=16)
    alike(files, store, 'val', 'test', key='label')


class TestPretraining:
    @pytest.mark.parametrize('dtype', ['int16', 'float32'])
    @pytest.mark.parametrize('timestamps', ['pair', 'first', 'random'])
    def test_validation(self, tree: Path, timestamps: Any, dtype: Any) -> None:
        options: Any = {
            'batch_size': 2,
            'timestamps': timestamps,
            'crop_size': 20,
            'val_split_pct': 0.5,
            'dtype': dtype,
        }
        files = SpectralEarthDataModule(str(tree / 'files'), **options)
        store = SpectralEarthDataModule(str(tree / 'store'), **options)
        store.prepare_data()
        for module in (files, store):
            module.setup('validate')
        one, two = batches(files, 'val'), batches(store, 'val')
        assert joined(one, 'image').shape[0] == 6
        for key in ('image', 'valid', 'wavelength'):
            assert torch.allclose(joined(one, key), joined(two, key), atol=1e-5)

    def test_stock_task(self, tree: Path) -> None:
        task = small_moco(len(BANDS))
        module = SpectralEarthDataModule(
            str(tree / 'store'), batch_size=5, bands=BANDS, num_workers=1
        )
        run = trainer(tree)
        run.fit(task, module)
        assert run.callback_metrics['train_loss'].isfinite()
        # twelve locations are three batches of four, not two of five
        assert run.global_step == 3
        assert module.train_dataset is not None
        assert module.plot(module.train_dataset[0]).axes

    def test_one_of_the_dates(self, tree: Path) -> None:
        module = SpectralEarthDataModule(str(tree / 'store'), 4, item='patch')
        module.setup('fit')
        files = SpectralEarth(tree / 'files', item='patch')
        assert len(module.train_dataset or []) == len(files)


class TestStoresOfOtherData:
    def write(self, path: Path, files: Any, dataset: str) -> None:
        """Write a store that says what it was made from, as convert does."""
        from torchgeo_hsi.datasets._store_samples import encode_samples

        spec = plan_store(files)
        spec = dataclasses.replace(
            spec, attributes={**spec.attributes, 'dataset': dataset}
        )
        create_store(path, spec)
        arrays, items = encode_samples(spec, [files[i] for i in range(len(files))])
        write_shard(path, 0, arrays, [{**(i or {}), 'split': 'test'} for i in items])
        finish_store(path)

    def test_of_another_dataset(self, cdl: Path, tmp_path: Path) -> None:
        files = SpectralEarthCDL(cdl, 'test')
        self.write(tmp_path / 's', files, 'torchgeo_hsi.datasets.x.SpectralEarthCDL')
        SpectralEarthCDLDataModule(str(tmp_path / 's')).setup('test')
        with pytest.raises(MetadataError, match='made from SpectralEarthNLCD'):
            SpectralEarthNLCDDataModule(str(tmp_path / 's')).setup('test')
        with pytest.raises(MetadataError, match='made from SpectralEarth in'):
            SpectralEarthDataModule(str(tmp_path / 's'), item='patch').setup('fit')
        # samples without names
        module = SpectralEarthCDLDataModule(str(tmp_path / 's'), fraction=0.5)
        module.setup('test')
        with pytest.raises(UnknownNameError, match='train'):
            module.setup('fit')

    def test_other_splits(self, cdl: Path) -> None:
        module = SpectralEarthCDLDataModule(str(cdl / 'store'), split_by='scene')
        with pytest.raises(MetadataError, match="split_by='official'"):
            module.setup('fit')
