# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules of SpectralEarth's downstream sets, against the files by numpy."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from data.spectral_earth_downstream.data import (
    HOLE,
    SETS,
    codes_of,
    write_downstream,
    write_splits,
)
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from matplotlib.figure import Figure

from torchgeo_hsi import datamodules
from torchgeo_hsi.datamodules import (
    SpectralEarthCDLDataModule,
    SpectralEarthCORINEDataModule,
    SpectralEarthDownstreamDataModule,
)
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.statistics import band_statistics

#: Module, data set, batch for each device, smallest crop, classes, bands: as published.
OFFICIAL = [
    ('SpectralEarthCDLDataModule', 'enmap_cdl', 8, 0.2, 14, 202),
    ('SpectralEarthNLCDDataModule', 'enmap_nlcd', 16, 0.2, 15, 202),
    ('SpectralEarthEuroCropsDataModule', 'enmap_eurocrops', 8, 0.4, 15, 202),
    ('SpectralEarthBDForetDataModule', 'enmap_bdforet', 8, 0.4, 12, 202),
    ('SpectralEarthTreeMapDataModule', 'enmap_treemap', 16, 0.4, 24, 202),
    ('SpectralEarthBNETDDataModule', 'enmap_bnetd', 16, 0.4, 10, 202),
    ('DESISCDLDataModule', 'desis_cdl', 8, 0.4, 14, 235),
    ('EO1CDLDataModule', 'eo1_cdl', 8, 0.4, 14, 198),
    ('SpectralEarthCORINEDataModule', 'enmap_corine', 32, 0.6, 19, 202),
]
TABLES = {'desis': 'desis_cdl', 'eo1': 'eo1_cdl', 'enmap': 'enmap_spectral_earth'}
#: Patches of each split; the first one, with the hole, is for validation.
LISTS = {'train': range(1, 9), 'val': (0, 9, 10, 11), 'test': range(12, 16)}
SCENES = 10

every = pytest.mark.parametrize('row', OFFICIAL, ids=[row[1] for row in OFFICIAL])
segmentation = pytest.mark.parametrize(
    'row', OFFICIAL[:-1], ids=[row[1] for row in OFFICIAL[:-1]]
)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write all nine data sets with lists of known patches."""
    folder = tmp_path_factory.mktemp('downstream')
    order = [i for numbers in LISTS.values() for i in numbers]
    for name in SETS:
        write_downstream(folder, name, scenes=SCENES)
        files = [f'{i + 1:07d}/{i % SCENES + 1:05d}.tif' for i in order]
        write_splits(folder / name / 'splits' / name, files, (8, 4, 4))
    return folder


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close('all')


def make(name: str, root: Path, **options: Any) -> SpectralEarthDownstreamDataModule:
    given = {'batch_size': 4, 'image_size': 16} | options
    module: SpectralEarthDownstreamDataModule = getattr(datamodules, name)(
        str(root), **given
    )
    return module


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
def test_defaults_are_those_of_the_authors(row: Any) -> None:
    name, _, batch_size, scale, classes, _ = row
    module = getattr(datamodules, name)()
    assert module.batch_size == module.official_batch_size == batch_size
    assert module.crop_scale == module.official_crop_scale == (scale, 1.0)
    assert module.image_size == 128
    assert module.split_by == 'official'
    assert module.fraction == 1
    assert len(module.class_names) == len(set(module.class_names)) == classes
    assert len(module.class_colors) == classes
    assert module.ignore_index == (None if 'CORINE' in name else classes)


@every
def test_own_values_win(row: Any) -> None:
    module = getattr(datamodules, row[0])(batch_size=3, crop_scale=(0.5, 0.7))
    assert (module.batch_size, module.crop_scale) == (3, (0.5, 0.7))


def test_corine_43() -> None:
    module = SpectralEarthCORINEDataModule(num_classes=43)
    assert len(module.class_names) == len(module.class_colors) == 43
    # the class itself still has nineteen
    assert len(SpectralEarthCORINEDataModule.class_names) == 19


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


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'batch_size': 0}, 'positive batch_size, got 0'),
        ({'batch_size': -1}, 'positive batch_size, got -1'),
        ({'image_size': 0}, 'positive size'),
        ({'crop_scale': (0.9, 0.4)}, 'scale'),
        ({'crop_scale': (0.0, 1.0)}, 'scale'),
    ],
)
def test_bad_sizes(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SpectralEarthCDLDataModule(**options)


@pytest.mark.parametrize(
    'options', [{'split_by': 'tile'}, {'fraction': 0.0}, {'fraction': 1.5}]
)
def test_bad_options(options: dict[str, Any], root: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make('SpectralEarthCDLDataModule', root, **options).setup('fit')


def test_bad_number_of_classes(root: Path) -> None:
    with pytest.raises((ValueError, UnknownNameError)):
        make('SpectralEarthCORINEDataModule', root, num_classes=44)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='download'):
        make('SpectralEarthCDLDataModule', tmp_path).setup('fit')


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


def test_only_the_test_list(tmp_path: Path) -> None:
    write_downstream(tmp_path, 'cdl')
    for split in ('train', 'val'):
        (tmp_path / 'enmap_cdl' / 'splits' / 'enmap_cdl' / f'{split}.txt').unlink()
    module = SpectralEarthCDLDataModule(str(tmp_path), batch_size=2)
    module.setup('test')
    assert len(next(iter(module.test_dataloader()))['image']) == 2
