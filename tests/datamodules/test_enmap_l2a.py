# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the data module of own scenes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from data.tiles.data import CODES, holes, make_tiles
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule, Trainer
from torchgeo.tasks import SemanticSegmentation

from torchgeo_hsi.datamodules import EnMAPL2ADataModule
from torchgeo_hsi.errors import EmptyDataError, MetadataError, NodataWarning
from torchgeo_hsi.samplers import BalancedWindowSampler
from torchgeo_hsi.tasks import HSISegmentation

Make = Callable[..., EnMAPL2ADataModule]


def trainer(path: Path, **kwargs: Any) -> Trainer:
    return quiet_trainer(path, **kwargs)


def read(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f'tile_{name}.tif') as src:
        return src.read()


def test_splits(make: Make) -> None:
    module = make(val=['*_b', '*_d'], test=['*_d'])
    files = {
        split: [Path(f).stem for f in found]
        for split, found in module._split_files().items()
    }
    assert files == {
        'train': ['tile_a', 'tile_c'],
        'val': ['tile_b', 'tile_d'],
        'test': ['tile_d'],
    }


def test_statistics_are_of_valid_training_pixels(
    make: Make, tiles: tuple[Path, Path]
) -> None:
    module = make(val=['*_a'])
    module.setup('fit')
    kept = [i for i in range(224) if i not in {*range(126, 141), *range(160, 167)}]
    pixels = np.concatenate(
        [read(tiles[0], n)[kept][:, ~holes(n)] for n in 'bcd'], axis=1
    ).astype(np.float64)
    np.testing.assert_allclose(module.mean.numpy(), pixels.mean(1), rtol=1e-5)
    np.testing.assert_allclose(module.std.numpy(), pixels.std(1), rtol=1e-4)


@pytest.mark.parametrize('patch_size', [5, 16, 24])
def test_every_label_counts_once(
    make: Make, tiles: tuple[Path, Path], patch_size: int
) -> None:
    module = make(val=['*_a', '*_b'], patch_size=patch_size)
    module.setup('validate')
    counts = torch.zeros(256, dtype=torch.long)
    for batch in module.val_dataloader():
        module.normalization()
        mask = module.aug(batch)['mask']
        counts += torch.bincount(mask.flatten(), minlength=256)
    want = sum(
        np.bincount(read(tiles[1], n)[0][~holes(n)].astype(int), minlength=8)
        for n in 'ab'
    )
    assert counts[:3].tolist() == [want[code] for code in CODES]
    assert counts[3:255].sum() == 0


def run(module: EnMAPL2ADataModule, task: LightningModule, path: Path) -> Any:
    """Train for two steps and test; return what came out, figures included."""
    torch.manual_seed(0)
    fit = trainer(path, max_epochs=1, num_sanity_val_steps=0)
    fit.fit(task, datamodule=module)
    scores = {k: float(v) for k, v in fit.callback_metrics.items()}
    figure = module.plot(
        {k: v[0] for k, v in next(iter(module.val_dataloader())).items()}
    )
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())
    plt.close(figure)
    return scores, module.normalization(), task.state_dict(), picture


@pytest.mark.parametrize('stock', [False, True])
def test_nodata_reaches_nothing(make: Make, tmp_path: Path, stock: bool) -> None:
    results = []
    for number in (-32768.0, 12345.0):
        folders = make_tiles(tmp_path / str(number), nodata=number)
        torch.manual_seed(1)
        words: dict[str, Any] = {'in_channels': 202, 'num_classes': 3}
        task = (
            SemanticSegmentation('fcn', num_filters=4, ignore_index=255, **words)
            if stock
            else HSISegmentation('spectral_mlp', ignore_index=255, **words)
        )
        results.append(run(make(folders, val=['*_a', '*_b']), task, tmp_path))
    (scores, statistics, state, picture), other = results
    assert scores
    np.testing.assert_equal(scores, other[0])
    assert all(torch.equal(a, b) for a, b in zip(statistics, other[1], strict=True))
    assert all(torch.equal(state[key], other[2][key]) for key in state)
    assert np.array_equal(picture, other[3])


def test_tile_without_any_data(make: Make, tmp_path: Path) -> None:
    folders = make_tiles(tmp_path / 'd', empty='c')
    task = HSISegmentation(num_classes=3, ignore_index=255)
    module = make(folders, batch_size=1, length=9)
    with pytest.warns(NodataWarning, match='c.tif holds no data at all'):
        scores, statistics, state, _ = run(module, task, tmp_path)
    assert all(torch.isfinite(v).all() for v in (*statistics, *state.values()))
    assert np.isfinite(scores['train_loss'])


def test_predict_keeps_everything(make: Make) -> None:
    module = make(mask_paths=None, classes=None, val=None)
    module.setup('predict')
    batch = next(iter(module.predict_dataloader()))
    assert {'image', 'valid', 'transform', 'bounds', 'wavelength', 'fwhm'} <= set(batch)
    assert 'mask' not in batch
    assert len(module.predict_dataset) == 4
    assert module.predict_dataset.crs.to_epsg() == 32633


def test_statistics_travel_in_the_checkpoint(make: Make, tmp_path: Path) -> None:
    folders = make_tiles(tmp_path / 'd')
    task = HSISegmentation(num_classes=3, ignore_index=255)
    fit = trainer(tmp_path, max_epochs=1, num_sanity_val_steps=0)
    first = make(folders)
    fit.fit(task, datamodule=first)
    fit.save_checkpoint(tmp_path / 'last.ckpt')
    for name in 'acd':
        (folders[0] / f'tile_{name}.tif').unlink()
    second = make(folders, mask_paths=None, classes=None, val=None)
    trainer(tmp_path).predict(task, datamodule=second, ckpt_path=tmp_path / 'last.ckpt')
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.std, second.std)


def test_spectral_earth_statistics(make: Make) -> None:
    module = make(bands=['B44', 'B1'], statistics='spectral_earth')
    mean, std = module.normalization()
    # positions 43 and 0 of the published table
    torch.testing.assert_close(mean[1], torch.tensor(827.30597))
    assert std.shape == (2,)
    with pytest.raises(ValueError, match='B130'):
        make(bands=['B130'], statistics='spectral_earth').normalization()


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        ({'val': ['*_nowhere']}, EmptyDataError, 'No scene matches'),
        ({'val': ['*']}, EmptyDataError, 'No scene is left for train'),
        ({'val': None}, EmptyDataError, 'No scene is left for val'),
        ({'mask_paths': None}, MetadataError, 'mask_paths'),
        ({'classes': [2, 3]}, EmptyDataError, r'hold \[0, 1, 4, 7\]'),
        ({'classes': [1, 2]}, EmptyDataError, 'at least two classes'),
        ({'batch_size': 50, 'length': 10}, EmptyDataError, 'Raise length'),
    ],
)
def test_bad_options(
    make: Make, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        make(**options).setup('fit')


def test_bad_labels(make: Make, tiles: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match='No label map'):
        make(mask_paths=str(tmp_path)).setup('fit')
    far = tmp_path / 'far.tif'
    with rasterio.open(tiles[1] / 'tile_a.tif') as src:
        codes, profile = src.read(), src.profile
    profile['transform'] *= profile['transform'].translation(5000, 0)
    with rasterio.open(far, 'w', **profile) as dst:
        dst.write(codes)
    with pytest.raises(EmptyDataError, match='same place'):
        make(mask_paths=str(far)).setup('fit')
    with pytest.warns(NodataWarning, match='have no labels'):
        make(
            batch_size=1, mask_paths=[str(tiles[1] / f'tile_{n}.tif') for n in 'ab']
        ).setup('fit')


def test_overlap_and_patch_size(make: Make) -> None:
    with pytest.raises(ValueError, match='overlap'):
        make(overlap=16)


@pytest.mark.realdata
def test_potsdam(potsdam: Path, make: Make) -> None:
    module = make(
        (potsdam / 'images', potsdam / 'labels'),
        classes=[1, 2, 3, 4, 5, 6],
        val=['*_tile_96_0', '*_tile_128_128'],
        patch_size=32,
    )
    module.setup('fit')
    assert len(module.train_dataset) == 14
    counts = np.zeros(256, dtype=int)
    for batch in module.val_dataloader():
        counts += np.bincount(batch['mask'].flatten(), minlength=256)
        assert (np.diff(batch['wavelength'].numpy()) > 0).all()
    labels = np.concatenate(
        [
            rasterio.open(potsdam / 'labels' / f'enmap_potsdam_tile_{n}.tif').read()
            for n in ('96_0', '128_128')
        ]
    )
    want = np.bincount(labels.astype(int).flatten())[1:]
    assert counts[:6].tolist() == want.tolist() == [48, 103, 532, 286, 30, 207]


def test_classes_in_balance(make: Callable[..., EnMAPL2ADataModule]) -> None:
    module = make(balanced=True, min_valid=0.5, length=40, patch_size=4, overlap=0)
    module.setup('fit')
    sampler = module.train_sampler
    assert isinstance(sampler, BalancedWindowSampler)
    assert set(sampler.class_counts) == {0, 1, 2}
    assert module.train_dataset is not None
    for query in sampler:
        sample = module.train_dataset[query]
        assert sample['valid'].float().mean() >= 0.5
        assert (sample['mask'] != 255).any()
    assert next(iter(module.train_dataloader()))['image'].shape == (2, 202, 4, 4)
    with pytest.raises(ValueError, match='Leave one of them out'):
        make(balanced=True, crops_per_pixel=1.0)
    with pytest.raises(ValueError, match='min_valid from 0 to 1'):
        make(min_valid=2.0)
