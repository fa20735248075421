# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training without labels on SpectralEarth."""

import json
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.spectral_earth.data import (
    HOLE,
    NODATA,
    TREE,
    damage,
    write_large_tree,
    write_tree,
)
from datamodules.stock_moco import small_moco
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from torch import nn
from torchgeo.tasks import BYOL, MAE, MoCo, SimCLR

from torchgeo_hsi.datamodules import SpectralEarthDataModule
from torchgeo_hsi.datamodules.spectral_earth import NormalizeViews, collate_views
from torchgeo_hsi.errors import EmptyDataError, HSIWarning, UnknownNameError

BANDS = ['B44', 'B29', 'B11', 'B72']


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tree')
    write_large_tree(folder, 12, size=36)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    return tmp_path, write_tree(tmp_path)


def trainer(folder: Path, **options: Any) -> Trainer:
    return quiet_trainer(folder, max_epochs=1, **options)


def statistics(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read the published statistics by hand."""
    folder = Path(__file__).parents[2] / 'torchgeo_hsi' / 'physics' / 'statistics'
    text = (folder / 'enmap_spectral_earth.csv').read_text(encoding='utf-8')
    rows = [line.split(',') for line in text.splitlines() if line.startswith('B')]
    table = {row[0]: row[1:] for row in rows}
    mean, std = zip(*(map(float, table[name][:2]) for name in names), strict=True)
    return np.array(mean), np.array(std)


class Recorder(nn.Module):
    """An augmentation that remembers what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(image.clone())
        return image


class TestStockTasks:
    """torchgeo's own tasks train on it as they are."""

    def test_moco_gets_two_dates(
        self, small: tuple[Path, dict[str, np.ndarray]]
    ) -> None:
        root, truth = small
        first, second = Recorder(), Recorder()
        task = small_moco(len(BANDS), augmentation1=first, augmentation2=second)
        data = SpectralEarthDataModule(str(root), batch_size=5, bands=BANDS)
        trainer(root).fit(task, data)
        index = [43, 28, 10, 71]
        mean, std = (v[:, None, None] for v in statistics(BANDS))
        known: dict[str, list[np.ndarray]] = {spot: [] for spot in TREE}
        for file, cube in truth.items():
            image = (cube[index].astype(float) - mean) / std
            image[:, (cube[index] == NODATA).any(axis=0)] = 0
            known[file.split('/')[0]].append(image)
        assert len(first.seen) == len(second.seen) == 1
        found = set()
        for one, two in zip(first.seen[0], second.seen[0], strict=True):
            spots = [
                {s for s, images in known.items() for i in images if close(view, i)}
                for view in (one, two)
            ]
            # both are of one location, and differ where it has two dates
            assert spots[0] == spots[1]
            (spot,) = spots[0]
            assert torch.equal(one, two) == (len(known[spot]) == 1)
            found.add(spot)
        assert found == set(TREE)

    @pytest.mark.parametrize('name', ['MoCo', 'SimCLR', 'BYOL', 'MAE'])
    def test_loss_is_finite(self, root: Path, tmp_path: Path, name: str) -> None:
        common = {'model': 'resnet18', 'in_channels': 4}
        makers: dict[str, Any] = {
            'MoCo': lambda: MoCo(**common, hidden_dim=16, output_dim=8, size=32),
            'SimCLR': lambda: SimCLR(
                **common, version=1, layers=2, hidden_dim=16, output_dim=8, size=32
            ),
            'BYOL': lambda: BYOL(**common),
            'MAE': lambda: MAE('vit_tiny_patch16_224', None, 4, decoder_dim=16),
        }
        data = SpectralEarthDataModule(
            str(root),
            batch_size=4,
            bands=BANDS,
            crop_size=32,
            timestamps='random' if name == 'MAE' else 'pair',
        )
        run = trainer(tmp_path, limit_train_batches=1)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)
            run.fit(makers[name](), data)
        assert torch.isfinite(run.callback_metrics['train_loss'])

    def test_command_line(
        self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from torchgeo.main import main

        config = {
            'model': {
                'class_path': 'torchgeo.tasks.MoCo',
                'init_args': {
                    'model': 'spec_resnet18',
                    'in_channels': 202,
                    'hidden_dim': 16,
                    'output_dim': 8,
                    'size': 16,
                },
            },
            'data': {
                'class_path': 'torchgeo_hsi.datamodules.SpectralEarthDataModule',
                'init_args': {
                    'root': str(root),
                    'batch_size': 2,
                    'crop_size': 16,
                    'val_split_pct': 0.25,
                },
            },
            'trainer': {
                'accelerator': 'cpu',
                'max_epochs': 1,
                'limit_train_batches': 1,
                'logger': False,
                'enable_checkpointing': False,
                'default_root_dir': str(tmp_path),
            },
        }
        (tmp_path / 'config.yaml').write_text(json.dumps(config), encoding='utf-8')
        monkeypatch.chdir(tmp_path)
        main(['fit', '--config', 'config.yaml'])


def close(view: torch.Tensor, image: np.ndarray) -> bool:
    return np.allclose(view.numpy(), image, atol=1e-4)


class TestBatches:
    """What arrives at the task."""

    @pytest.mark.parametrize('dtype', ['int16', 'float32'])
    def test_integers_until_the_device(
        self, small: tuple[Path, dict[str, np.ndarray]], dtype: Any
    ) -> None:
        root, _ = small
        data = SpectralEarthDataModule(str(root), batch_size=5, dtype=dtype)
        data.setup('fit')
        batch = next(iter(data.train_dataloader()))
        assert batch['image'].dtype == getattr(torch, dtype)
        assert batch['image'].shape == (5, 404, 16, 16)
        assert batch['valid'].shape == (5, 2, 16, 16)
        assert batch['wavelength'].shape == batch['fwhm'].shape == (5, 404)
        done = data.aug(batch)
        assert done['image'].dtype == torch.float32
        assert done['image'].shape == (5, 404, 16, 16)

    def test_nothing_of_nodata_arrives(
        self, small: tuple[Path, dict[str, np.ndarray]]
    ) -> None:
        root, _ = small
        for timestamps in ('pair', 'first'):
            data = SpectralEarthDataModule(
                str(root), batch_size=5, timestamps=timestamps
            )
            data.setup('fit')
            batch = data.aug(next(iter(data.train_dataloader())))
            views = batch['image'].reshape(-1, 202, 16, 16)
            valid = batch['valid'].reshape(-1, 16, 16)
            holes = (~valid).flatten(1).any(1)
            assert holes.sum() == (2 if timestamps == 'pair' else 1)
            for view, mask in zip(views, valid, strict=True):
                assert (view[:, ~mask] == 0).all()
                assert view[:, mask].abs().max() < 10
                assert (view[:, mask] != 0).float().mean() > 0.99
            assert (views[holes][:, :, *HOLE] == 0).all()

    def test_workers(self, small: tuple[Path, dict[str, np.ndarray]]) -> None:
        root, truth = small
        data = SpectralEarthDataModule(
            str(root), batch_size=2, num_workers=2, timestamps='first'
        )
        data.setup('fit')
        batches = list(data.train_dataloader())
        assert len(batches) == 2
        cubes = [np.where(cube == NODATA, 0, cube) for cube in truth.values()]
        for image in torch.cat([batch['image'] for batch in batches]):
            assert any(np.array_equal(image, cube) for cube in cubes)

    @pytest.mark.parametrize('last', [True, False])
    def test_collate(self, last: bool) -> None:
        shape = (2, 4, 5, 3) if last else (2, 3, 4, 5)
        stored = torch.arange(120, dtype=torch.int16).reshape(shape)
        images = stored.permute(0, 3, 1, 2) if last else stored
        samples = [{'image': image, 'valid': image[0] > 3} for image in images]
        batch = collate_views(samples)
        assert torch.equal(batch['image'], images)
        assert torch.equal(batch['valid'], images[:, 0] > 3)
        # as it lies in memory, so that nothing was transposed
        assert batch['image'].stride() == images.stride()

    def test_views_are_normalized_alike(self) -> None:
        normalize = NormalizeViews(torch.tensor([10.0, 20]), torch.tensor([2.0, 4]))
        image = torch.tensor([12, 24, 8, 20], dtype=torch.int16).reshape(1, 4, 1, 1)
        valid = torch.tensor([True, True]).reshape(1, 2, 1, 1)
        batch = {'image': image, 'valid': valid}
        assert normalize(batch)['image'].flatten().tolist() == [1, 1, -1, 0]
        valid = torch.tensor([False, True]).reshape(1, 2, 1, 1)
        done = normalize({**batch, 'valid': valid, 'fwhm': valid})
        assert done['image'].flatten().tolist() == [0, 0, -1, 0]
        assert done['fwhm'] is valid


class TestSplit:
    """Validation on locations that are not trained on."""

    def make(self, root: Path, **options: Any) -> SpectralEarthDataModule:
        data = SpectralEarthDataModule(str(root), batch_size=2, **options)
        data.setup('fit')
        return data

    def spots(self, dataset: Any) -> set[str]:
        return {
            Path(file).parent.name
            for i in range(len(dataset))
            for file in dataset.files(i)
        }

    def test_none_by_default(self, root: Path) -> None:
        data = self.make(root)
        assert data.val_dataloader() == []
        assert len(data.train_dataset) == 12

    @pytest.mark.parametrize('item', ['location', 'patch'])
    def test_by_location(self, root: Path, item: Any) -> None:
        data = self.make(root, val_split_pct=0.25, item=item)
        train, val = self.spots(data.train_dataset), self.spots(data.val_dataset)
        assert len(val) == 3
        assert len(train) == 9
        assert not train & val
        again = self.make(root, val_split_pct=0.25, item=item)
        assert self.spots(again.val_dataset) == val
        others = [self.make(root, val_split_pct=0.25, seed=s) for s in range(1, 5)]
        assert any(self.spots(other.val_dataset) != val for other in others)

    def test_validation_is_the_same_each_epoch(self, root: Path) -> None:
        data = self.make(root, val_split_pct=0.25, crop_size=8)
        loader = data.val_dataloader()
        one, two = (torch.cat([b['image'] for b in loader]) for _ in range(2))
        assert torch.equal(one, two)
        assert len(one) == 3

    @pytest.mark.parametrize('share', [-0.1, 1.0])
    def test_wrong_share(self, share: float) -> None:
        with pytest.raises(ValueError, match='val_split_pct'):
            SpectralEarthDataModule(val_split_pct=share)

    @pytest.mark.parametrize('share', [0.01, 0.99])
    def test_an_empty_part(self, root: Path, share: float) -> None:
        with pytest.raises(EmptyDataError, match='val_split_pct'):
            self.make(root, val_split_pct=share)

    def test_batch_size(self, root: Path) -> None:
        data = SpectralEarthDataModule(str(root), batch_size=13)
        with pytest.raises(EmptyDataError, match='batch_size'):
            data.setup('fit')


class TestOptions:
    """Everything else."""

    def test_bands(self) -> None:
        with pytest.raises(UnknownNameError):
            SpectralEarthDataModule(bands=['B999'])

    def test_dates_of_a_patch(self) -> None:
        with pytest.raises(ValueError, match='timestamps='):
            SpectralEarthDataModule(item='patch', timestamps='pair')

    def test_statistics(self) -> None:
        data = SpectralEarthDataModule()
        names = [f'B{i}' for i in (1, 44, 224)]
        mean, std = statistics(names)
        assert data.mean[[0, 43, 201]].numpy() == pytest.approx(mean, rel=1e-6)
        assert data.std[[0, 43, 201]].numpy() == pytest.approx(std, rel=1e-6)
        # as published: spectralearth.md 1.5
        assert float(data.mean.mean()) == pytest.approx(2066.87, abs=0.01)
        assert float(data.std.mean()) == pytest.approx(1436.91, abs=0.01)

    def test_preparation_lists_the_files(
        self, small: tuple[Path, dict[str, np.ndarray]]
    ) -> None:
        root, _ = small
        manifest = root / 'kept' / 'list.npz'
        data = SpectralEarthDataModule(str(root), manifest=str(manifest))
        data.prepare_data()
        assert manifest.is_file()

    def test_damaged_files_do_not_stop_a_run(
        self, small: tuple[Path, dict[str, np.ndarray]]
    ) -> None:
        root, _ = small
        damage(root / 'enmap/0000012/11869.tif', 'truncated')
        data = SpectralEarthDataModule(str(root), batch_size=5)
        data.setup('fit')
        with pytest.warns(HSIWarning, match='0000012'):
            assert len(list(data.train_dataloader())) == 1
        strict = SpectralEarthDataModule(str(root), batch_size=5, strict=True)
        strict.setup('fit')
        with pytest.raises(OSError, match='0000012'):
            list(strict.train_dataloader())

    def test_nothing_to_test(self, root: Path) -> None:
        data = SpectralEarthDataModule(str(root))
        data.setup('test')
        assert data.test_dataset is None

    def test_plot(self, root: Path) -> None:
        data = SpectralEarthDataModule(str(root), batch_size=2)
        with pytest.raises(EmptyDataError, match='setup'):
            data.plot({})
        data.setup('fit')
        figure = data.plot(data.train_dataset[0], suptitle='Two views')
        assert len(figure.axes) == 4
        plt.close(figure)
