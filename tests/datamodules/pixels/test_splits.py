# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which pixels are for training and test, and maps of all of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from data.small_scene.data import NAMES, PLACE, make_scene, write_scene
from datamodules.pixels.small import SHARES, module

from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datamodules._scene_source import load_scene
from torchgeo_hsi.datamodules._scene_splits import make_split
from torchgeo_hsi.datasets import leak_report
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError, MetadataError


class TestSplits:
    @pytest.mark.parametrize('split', ['block', 'region', 'random'])
    def test_leaks_are_known(self, scene: LabelledScene, split: str) -> None:
        data = module(scene, split=split, shots=5)
        assert data.leaks is not None
        assert data.pixel_split.method == split
        assert (data.leaks.touching['test'] > 0) == (split == 'random')
        assert data.leaks.sizes['train'] == 15
        assert data.leaks.to_dict() == leak_report(data.pixel_split).to_dict()

    def test_the_random_protocol_of_papers(self, scene: LabelledScene) -> None:
        data = module(scene, split='random', shots=5)
        labelled = int((scene.labels >= 0).sum())
        assert data.leaks is not None
        assert sum(data.leaks.sizes.values()) == labelled

    def test_folds(self, scene: LabelledScene) -> None:
        tested = np.zeros(scene.labels.shape, dtype=int)
        for fold in range(3):
            data = module(scene, folds=3, fold=fold, shares=None)
            data.setup('fit')
            assert data.val_dataloader() == []
            tested += data.pixel_split.mask('test')
        assert tested.max() == 1
        assert tested[scene.labels >= 0].mean() > 0.5

    def test_official(self) -> None:
        scene = make_scene(official=True)
        data = module(scene, split='official', val_split_pct=0.2)
        assert data.pixel_split.names == ('train', 'val', 'test')
        assert np.array_equal(data.pixel_split.mask('test'), scene.official['test'])

    def test_all(self, scene: LabelledScene) -> None:
        data = module(scene, split='all')
        data.setup('fit')
        assert len(data.train_windows) == (scene.labels >= 0).sum()
        assert data.leaks is None
        with pytest.raises(EmptyDataError, match='has no test, but train'):
            data.setup('test')
        with pytest.raises(EmptyDataError, match='Nothing is tested'):
            data.plot_split()

    def test_a_split_that_was_made_before(self, scene: LabelledScene) -> None:
        split = make_split(scene, 'random', 5, seed=3)
        data = HSIPixelDataModule(scene, window=5, split=split)
        assert data.pixel_split is split
        data = HSIPixelDataModule(scene, window=5, split=split, shots=4)
        train = scene.labels[data.pixel_split.mask('train')]
        assert np.bincount(train).tolist() == [4] * scene.num_classes
        for option in ({'guard': 1}, {'folds': 3}, {'shares': SHARES}):
            with pytest.raises(
                ValueError, match=f'PixelSplit has no {next(iter(option))}'
            ):
                assert HSIPixelDataModule(scene, split=split, **option).pixel_split  # type: ignore[arg-type]

    def test_raster(self, scene: LabelledScene, tmp_path: Path) -> None:
        from torchgeo_hsi.cli._splits import write_split

        made = make_split(scene, 'block', 5, SHARES, block_size=12)
        write_split(str(tmp_path / 'split.tif'), made, {'transform': PLACE})
        data = HSIPixelDataModule(scene, window=5, split=str(tmp_path / 'split.tif'))
        assert np.array_equal(data.pixel_split.codes, made.codes)
        assert data.pixel_split.names == made.names
        assert (data.pixel_split.method, data.pixel_split.guard) == ('block', 2)
        small = make_scene(shape=(30, 30))
        with pytest.raises(CorruptFileError, match=r'split of \(30, 30\) pixels'):
            make_split(small, str(tmp_path / 'split.tif'), 5)

    def test_bad_rasters(self, scene: LabelledScene, tmp_path: Path) -> None:
        path = tmp_path / 'split.tif'
        with pytest.raises(FileNotFoundError, match=r"'blocks'.*no file"):
            make_split(scene, 'blocks', 5)
        path.write_text('nothing')
        with pytest.raises(CorruptFileError, match='is no raster'):
            make_split(scene, str(path), 5)
        words: dict[str, Any] = {'driver': 'GTiff', 'transform': PLACE}
        words |= {'height': 60, 'width': 52, 'count': 1}
        for codes, error, text in (
            (np.ones((60, 52)), CorruptFileError, '0 to 1|1 to 1'),
            (
                np.where(scene.labels < 0, 2, 1),
                EmptyDataError,
                'no labelled pixel in test',
            ),
        ):
            with rasterio.open(path, 'w', dtype='uint8', **words) as dst:
                dst.write(codes.astype('uint8'), 1)
            with pytest.raises(error, match=text):
                make_split(scene, str(path), 5)

    @pytest.mark.parametrize(
        ('words', 'text'),
        [
            ({'kind': 'random', 'guard': 3}, 'has no guard'),
            ({'kind': 'random', 'block_size': 3}, 'has no block_size'),
            (
                {'kind': 'block', 'folds': 3, 'shares': SHARES},
                'with folds has no shares',
            ),
            ({'kind': 'official', 'folds': 3}, 'has no folds'),
            ({'kind': 'block', 'val_split_pct': 0.1}, 'has no val_split_pct'),
            ({'kind': 'block', 'folds': 3, 'fold': 3}, 'fold from 0 to 2, got 3'),
            ({'kind': 'block', 'fold': 1}, 'folds= says how many'),
        ],
    )
    def test_options(self, scene: LabelledScene, words: Any, text: str) -> None:
        with pytest.raises(ValueError, match=text):
            make_split(scene, window=5, **words)

    def test_no_official_split(self, scene: LabelledScene) -> None:
        with pytest.raises(MetadataError, match='small has no official split'):
            make_split(scene, 'official', 5)


class TestTrainedPixels:
    """What a checkpoint says about its training, against masks."""

    def fitted(self, scene: LabelledScene, **words: Any) -> Any:
        data = module(scene, **words)
        data.setup('fit')
        return data, data.pixel_split.mask('train')

    def test_another_seed_does_not_hide_what_was_trained_on(
        self, scene: LabelledScene
    ) -> None:
        first, trained = self.fitted(scene)
        other = module(scene, seed=1)
        tested = other.pixel_split.mask('test')
        assert (trained & tested).any()
        assert other.leaks is not None
        assert other.leaks.touching['test'] == 0
        other.load_state_dict(first.state_dict())
        assert np.array_equal(other.trained, trained)
        assert other.leaks is not None
        masks = {'train': trained, 'test': tested}
        expected = leak_report(masks, other.window)
        assert other.leaks.touching['test'] == expected.touching['test'] > 0
        assert other.leaks.sizes['train'] == trained.sum()
        (note,) = other.notes
        assert f'{(trained & tested).sum()} pixels of the test' in note

    def test_the_same_split(self, scene: LabelledScene) -> None:
        first, _ = self.fitted(scene)
        other = module(scene)
        other.load_state_dict(first.state_dict())
        assert other.leaks is not None
        assert first.leaks is not None
        assert other.leaks.to_dict() == first.leaks.to_dict()
        assert other.notes == first.notes == []

    def test_a_training_that_goes_on(self, scene: LabelledScene) -> None:
        first, trained = self.fitted(scene)
        other, more = self.fitted(scene, seed=1)
        other.load_state_dict(first.state_dict())
        assert np.array_equal(other.trained, trained | more)
        third = module(scene)
        third.load_state_dict(other.state_dict())
        assert np.array_equal(third.trained, trained | more)

    def test_another_scene(self, scene: LabelledScene) -> None:
        first, _ = self.fitted(scene)
        elsewhere = module(dataclasses.replace(scene, image=scene.image + 1))
        elsewhere.load_state_dict(first.state_dict())
        assert elsewhere.notes == ['trained on another scene']
        assert elsewhere.plot_split() is not None

    def test_labels_do_not_make_another_scene(self, scene: LabelledScene) -> None:
        first, trained = self.fitted(scene)
        labels = np.where(scene.labels == 1, 2, scene.labels)
        other = module(dataclasses.replace(scene, labels=labels), seed=2)
        other.load_state_dict(first.state_dict())
        assert np.array_equal(other.trained, trained)


class TestMap:
    def test_tiles_cover_the_scene(self, scene: LabelledScene) -> None:
        data = module(scene, window=7)
        data.setup('predict')
        seen = np.zeros(scene.labels.shape, dtype=int)
        shapes = set()
        for batch in data.predict_dataloader():
            place = Affine(*batch['transform'][0, :6].tolist())
            column, row = (round(v) for v in ~PLACE @ (place.c, place.f))
            height, width = batch['image'].shape[-2:]
            part = np.s_[row : row + height, column : column + width]
            want = np.where(scene.valid, scene.image, 0)[:, *part]
            assert np.array_equal(batch['image'][0], want)
            assert np.array_equal(batch['valid'][0], scene.valid[part])
            bounds = batch['bounds'][0].tolist()
            assert bounds[:6] == pytest.approx(
                [place.c, place.c + 30 * width, 30, place.f - 30 * height, place.f, 30]
            )
            seen[part] += 1
            shapes.add((height, width))
        assert seen.min() == 1
        assert len(shapes) == 1
        # neighbors share at least two halves of a window
        assert (seen[30] > 1).sum() >= 6

    def test_places_of_small_pixels(self) -> None:
        place = Affine(0.05, 0, 391_234.3, 0, -0.05, 5_812_345.7)
        data = module(make_scene(transform=place))
        data.setup('predict')
        for batch in data.predict_dataloader():
            moved = data.transfer_batch_to_device(batch, torch.device('meta'), 0)
            assert moved['image'].is_meta
            assert not moved['transform'].is_meta
            for key, (x, y) in {'transform': (2, 5), 'bounds': (0, 4)}.items():
                corner = (float(moved[key][0, k]) for k in (x, y))
                column, row = ~place @ tuple(corner)
                assert abs(column - round(column)) < 1e-3
                assert abs(row - round(row)) < 1e-3

    @pytest.mark.parametrize('place', [None, Affine.rotation(30)])
    def test_without_a_grid_that_is_north_up(
        self, place: Affine | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        data = module(make_scene(transform=place))
        data.setup('predict')
        assert ('not north up' in caplog.text) == (place is not None)
        dataset: Any = data.predict_dataset
        assert dataset.crs is None
        assert dataset.res == (1, 1)
        x, y, _ = dataset.bounds
        assert (x.start, x.stop, y.start, y.stop) == (0, 52, 0, 60)
        assert dataset[0]['transform'][:6].tolist() == [1, 0, 0, 0, -1, 60]


class TestSource:
    def test_files(self, tmp_path: Path) -> None:
        scene = make_scene()
        cube, labels = write_scene(tmp_path, scene)
        data = HSIPixelDataModule(
            scene=str(cube),
            labels=str(labels),
            window=5,
            scene_options={'class_names': list(NAMES)},
            split='random',
        )
        assert data.class_names == NAMES
        assert (data.num_classes, data.in_channels) == (3, 8)
        found = data.labelled_scene
        assert np.array_equal(found.labels, scene.labels)
        assert np.array_equal(found.valid, scene.valid)
        assert np.array_equal(found.image[:, scene.valid], scene.image[:, scene.valid])

    def test_benchmark(self, scene: LabelledScene) -> None:
        class Benchmark:
            def scene(self) -> LabelledScene:
                return scene

        assert load_scene(Benchmark()) is scene
        assert load_scene(scene) is scene

    def test_errors(self, scene: LabelledScene) -> None:
        with pytest.raises(MetadataError, match='a scene and its labels'):
            load_scene(None, 'cube.tif', None)
        with pytest.raises(ValueError, match='got both'):
            load_scene(scene, 'cube.tif', 'labels.tif')
        with pytest.raises(ValueError, match='classes say how'):
            load_scene(scene, options={'classes': [1], 'key': None})
        with pytest.raises(MetadataError, match=r'labelled scene.*got list'):
            load_scene([1])
