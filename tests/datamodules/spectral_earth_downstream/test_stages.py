# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules of SpectralEarth's downstream sets, against the files by numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from data.spectral_earth_downstream.data import HOLE, SETS, codes_of, write_downstream
from datamodules.spectral_earth_downstream.parts import (
    LISTS,
    OFFICIAL,
    SCENES,
    every,
    make,
)
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from matplotlib.figure import Figure

from torchgeo_hsi import datamodules
from torchgeo_hsi.datamodules import SpectralEarthCORINEDataModule
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.statistics import band_statistics

TABLES = {'desis': 'desis_cdl', 'eo1': 'eo1_cdl', 'enmap': 'enmap_spectral_earth'}

segmentation = pytest.mark.parametrize(
    'row', OFFICIAL[:-1], ids=[row[1] for row in OFFICIAL[:-1]]
)


def read(root: Path, name: str, folder: str, number: int) -> np.ndarray:
    file = f'{number + 1:07d}/{number % SCENES + 1:05d}.tif'
    with rasterio.open(root / name / folder / file) as src:
        array: np.ndarray = src.read()
    return array


def published(table: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a table of statistics by hand."""
    folder = Path(datamodules.__file__).parents[1] / 'physics' / 'statistics'
    text = (folder / f'{table}.csv').read_text(encoding='utf-8')
    rows = [line.split(',') for line in text.splitlines() if line[:1] == 'B']
    mean, std = (np.array([float(row[i]) for row in rows]) for i in (1, 2))
    return mean, std


class Recorder(LightningModule):
    """Keep what each stage gets from the data module."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[str, list[dict[str, torch.Tensor]]] = {}

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        self.seen.setdefault('train', []).append(batch)
        return self.weight**2

    def validation_step(self, batch: Any, index: int) -> None:
        self.seen.setdefault('val', []).append(batch)

    def test_step(self, batch: Any, index: int) -> None:
        self.seen.setdefault('test', []).append(batch)

    def predict_step(self, batch: Any, index: int) -> None:
        self.seen.setdefault('predict', []).append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def run(module: Any, folder: Path, *stages: str, epochs: int = 1) -> Any:
    """Run stages of a trainer, and return the batches of each split."""
    recorder = Recorder()
    trainer = quiet_trainer(folder, max_epochs=epochs, num_sanity_val_steps=0)
    for stage in stages:
        getattr(trainer, stage)(recorder, datamodule=module)
    return recorder.seen


@every
def test_crops_of_training(row: Any, root: Path) -> None:
    """Two by two pixels of ramps say which part was cut out."""
    name, _, _, scale, *_ = row
    module = make(name, root, bands=[0, 1], image_size=2)
    module.setup('fit')
    grid = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing='ij')
    module.train_aug.to('cpu')
    out = module.train_aug({'image': torch.stack(grid).repeat(1000, 1, 1, 1)})['image']
    out = out * module.std.view(2, 1, 1) + module.mean.view(2, 1, 1)
    rows, columns = out[:, 0], out[:, 1]
    # flips only: rows stay rows
    torch.testing.assert_close(rows[:, :, 0], rows[:, :, 1], atol=0.01, rtol=0)
    torch.testing.assert_close(columns[:, 0], columns[:, 1], atol=0.01, rtol=0)
    heights, widths = (
        2 * (rows[:, 1, 0] - rows[:, 0, 0]),
        2 * (columns[:, 0, 1] - columns[:, 0, 0]),
    )
    share = (heights * widths).abs() / 64**2
    assert scale - 0.02 < share.min() < scale + 0.06
    assert share.max() > 0.9
    # the four flips, a quarter each
    for up in (True, False):
        for left in (True, False):
            count = int((((heights < 0) == up) & ((widths < 0) == left)).sum())
            assert abs(count - 250) < 70


@segmentation
def test_stages(row: Any, root: Path, tmp_path: Path) -> None:
    """All stages of a trainer: shapes, types, numbers and labels."""
    name, product, _, _, classes, bands = row
    sensor, short = product.split('_')
    module = make(name, root)
    seen = run(module, tmp_path, 'fit', 'test', 'predict')
    assert {split: len(batches) for split, batches in seen.items()} == {
        'train': 2,
        'val': 1,
        'test': 1,
        'predict': 1,
    }
    for batch in (b for batches in seen.values() for b in batches):
        assert batch['image'].shape == (4, bands, 16, 16)
        assert batch['image'].dtype == torch.float32
        assert batch['image'].isfinite().all()
        assert batch['mask'].shape == batch['valid'].shape == (4, 16, 16)
        assert batch['mask'].dtype == torch.long
        assert batch['valid'].dtype == torch.bool
        assert 0 <= batch['mask'].min() <= batch['mask'].max() <= classes
        assert batch['wavelength'].shape == (4, bands)
        assert (batch['image'].movedim(1, -1)[~batch['valid']] == 0).all()
        assert (batch['mask'][~batch['valid']] == classes).all()
    mean, std = published(TABLES[sensor])
    codes = codes_of(SETS[product][0])
    for split in ('val', 'test', 'predict'):
        numbers = LISTS['test' if split == 'predict' else split]
        for k, number in enumerate(numbers):
            image = read(root, product, sensor, number).astype(np.float64)
            valid = (image != -32768).all(axis=0)
            want = (image - mean[:, None, None]) / std[:, None, None] * valid
            batch = {key: value[k].numpy() for key, value in seen[split][0].items()}
            np.testing.assert_allclose(batch['image'], want, rtol=2e-5, atol=1e-5)
            np.testing.assert_array_equal(batch['valid'], valid)
            labels = read(root, product, short, number)[0].tolist()
            index = [
                [codes.index(c) if c in codes else classes for c in line]
                for line in labels
            ]
            want = np.where(valid, index, classes)
            np.testing.assert_array_equal(batch['mask'], want)
    # the patch with the hole is the first of validation
    hole = ~seen['val'][0]['valid'][0]
    assert int(hole.sum()) == 6
    assert hole[HOLE].all()


def test_corine_stages(root: Path, tmp_path: Path) -> None:
    module = make('SpectralEarthCORINEDataModule', root)
    seen = run(module, tmp_path, 'fit', 'test', 'predict')
    bignet = {111: 0, 112: 0, 121: 1, 211: 2, 231: 4, 311: 8, 333: 11, 521: 18, 523: 18}
    for split in ('val', 'test', 'predict'):
        batch = seen[split][0]
        assert 'mask' not in batch
        assert batch['image'].shape == (4, 202, 16, 16)
        assert batch['label'].shape == (4, 19)
        assert batch['label'].dtype == torch.long
        numbers = LISTS['test' if split == 'predict' else split]
        for label, number in zip(batch['label'].tolist(), numbers, strict=True):
            present = set(read(root, 'enmap_corine', 'corine', number).ravel().tolist())
            assert all(label[bignet[c]] for c in present & bignet.keys())
            assert sum(label) <= len(present)
    assert seen['train'][0]['label'].shape == (4, 19)
    assert 'valid' in seen['val'][0]
    assert not seen['val'][0]['valid'].all()
    assert (seen['val'][0]['image'].movedim(1, -1)[~seen['val'][0]['valid']] == 0).all()


def test_corine_43_labels(root: Path) -> None:
    module = make('SpectralEarthCORINEDataModule', root, num_classes=43)
    module.setup('test')
    batch = next(iter(module.test_dataloader()))
    codes = codes_of('corine_43')
    for label, number in zip(batch['label'], LISTS['test'], strict=True):
        present = set(read(root, 'enmap_corine', 'corine', number).ravel().tolist())
        found = {codes[i] for i in label.nonzero().flatten().tolist()}
        assert found == present & set(codes)


def test_official_batch_of_corine(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'corine', sizes=(33, 2, 2), size=8)
    module = SpectralEarthCORINEDataModule(str(tmp_path), image_size=8)
    module.setup('fit')
    batches = [b['image'].shape for b in module.train_dataloader()]
    assert batches == [(32, 202, 8, 8)]


def test_only_training_is_random(root: Path, tmp_path: Path) -> None:
    module = make('SpectralEarthCDLDataModule', root)
    seen = run(module, tmp_path, 'fit', 'validate', epochs=2)
    first, second, third = (batch['image'] for batch in seen['val'])
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    module.setup('fit')
    batch = next(iter(module.val_dataloader()))
    one, two = (module.train_aug(batch)['image'] for _ in range(2))
    assert not torch.equal(one, two)


def test_place(root: Path, tmp_path: Path) -> None:
    seen = run(
        make('SpectralEarthNLCDDataModule', root, image_size=32),
        tmp_path,
        'fit',
        'predict',
    )
    batch = seen['predict'][0]
    # what is predicted is not resized, and knows where it is
    assert batch['image'].shape == (4, 202, 16, 16)
    for k, number in enumerate(LISTS['test']):
        left = 300000 + 30 * 16 * number
        # x and y of the first and last edge of the patch
        assert batch['bounds'][k].flatten().tolist()[:2] == [left, left + 30 * 16]
        assert batch['transform'][k].flatten().tolist()[:3] == [30, 0, left]
    for split in ('train', 'val'):
        assert seen[split][0]['image'].shape == (4, 202, 32, 32)
        assert seen[split][0]['mask'].shape == (4, 32, 32)
        assert not {'bounds', 'transform'} & seen[split][0].keys()


@pytest.mark.parametrize('name', ['SpectralEarthTreeMapDataModule', 'EO1CDLDataModule'])
def test_bands(name: str, root: Path) -> None:
    product = 'eo1_cdl' if 'EO1' in name else 'enmap_treemap'
    sensor = product.split('_')[0]
    module = make(name, root, bands=[150, 2, 70])
    module.setup('validate')
    batch = module.aug(next(iter(module.val_dataloader())))
    mean, std = (v[[150, 2, 70]][:, None, None] for v in published(TABLES[sensor]))
    want = (read(root, product, sensor, 9)[[150, 2, 70]] - mean) / std
    np.testing.assert_allclose(batch['image'][1], want, rtol=2e-5, atol=1e-5)
    whole = make(name, root)
    whole.setup('validate')
    wavelength = next(iter(whole.val_dataloader()))['wavelength']
    assert torch.equal(batch['wavelength'], wavelength[:, [150, 2, 70]])


@pytest.mark.parametrize(
    ('bands', 'error'),
    [(['B999'], UnknownNameError), ([202], BandMismatchError), ([], EmptyDataError)],
)
def test_no_such_bands(bands: list[Any], error: type[Exception], root: Path) -> None:
    module = make('SpectralEarthCDLDataModule', root, bands=bands)
    with pytest.raises(error):
        module.setup('fit')


@every
def test_plot(row: Any, root: Path) -> None:
    module = make(row[0], root)
    with pytest.raises(EmptyDataError, match='Call setup before plot'):
        module.plot({})
    module.setup('validate')
    figure = module.plot(module.val_dataset[0], suptitle='A patch')
    assert isinstance(figure, Figure)
    assert figure.get_suptitle() == 'A patch'


@pytest.mark.parametrize(
    ('table', 'mean', 'std'),
    [
        # number of bands; first, last, smallest, largest and middle value
        (
            'desis_cdl',
            (235, 704.4131, 3411.7573, 649.3727, 3627.042, 2068.921297234043),
            (235, 2371.5833, 969.6463, 568.8067, 2371.5833, 872.271918893617),
        ),
        (
            'eo1_cdl',
            (198, 2402.5925226, 81.0412447, 2.0914389, 4964.5793566, 1394.15960499),
            (198, 515.49031672, 72.9694337, 7.1948348871, 1495.09657885, 492.96121824),
        ),
        (
            'hyperview',
            (150, 336.891836, 1787.1856618, 332.98008497, 1787.1856618, 1107.4783464),
            (150, 94.90603324, 930.9689996, 94.90603324, 970.65827983, 527.69612343),
        ),
    ],
)
def test_published_statistics(
    table: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    statistics = band_statistics(table)
    for values, want in ((statistics.mean, mean), (statistics.std, std)):
        exact = values.astype(np.float64)
        facts = (len(exact), *exact[[0, -1]], exact.min(), exact.max(), exact.mean())
        assert facts == pytest.approx(want, rel=1e-5)
