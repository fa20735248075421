# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Windows of labelled pixels, against loops over pixels."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from tests.small_scene import NAMES, PLACE, make_scene, write_scene
from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datamodules._pixel_windows import EvenBatches, PaddedScene
from torchgeo_hsi.datamodules._scene_source import load_scene
from torchgeo_hsi.datamodules._scene_splits import make_split
from torchgeo_hsi.datasets import leak_report
from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError, MetadataError

SHARES = {'train': 0.5, 'val': 0.2, 'test': 0.3}


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    return make_scene()


def module(scene: LabelledScene, **words: Any) -> HSIPixelDataModule:
    options: dict[str, Any] = {
        'window': 5,
        'shares': SHARES,
        'block_size': 12,
        'batch_size': 16,
        'tile_size': 32,
    }
    if words.get('split', 'block') != 'block':
        del options['block_size']
    if words.get('split') in ('official', 'all'):
        del options['shares']
    return HSIPixelDataModule(scene, **(options | words))


def cut(scene: LabelledScene, row: int, column: int, window: int) -> tuple[Any, Any]:
    """Cut a window out of a scene, pixel by pixel."""
    bands, height, width = scene.shape
    image = np.zeros((bands, window, window), dtype=np.float32)
    valid = np.zeros((window, window), dtype=bool)
    for i in range(window):
        for j in range(window):
            y, x = row + i - window // 2, column + j - window // 2
            if 0 <= y < height and 0 <= x < width and scene.valid[y, x]:
                image[:, i, j] = scene.image[:, y, x]
                valid[i, j] = True
    return image, valid


class TestWindows:
    @pytest.mark.parametrize('window', [1, 3, 7])
    def test_they_are_those_of_a_loop(self, scene: LabelledScene, window: int) -> None:
        data = module(scene, window=window)
        data.setup('test')
        rows, columns = data.pixel_split.pixels('test')
        seen = 0
        for batch in data.test_dataloader():
            for k in range(len(batch['label'])):
                row, column = int(rows[seen]), int(columns[seen])
                image, valid = cut(scene, row, column, window)
                assert np.array_equal(batch['image'][k], image)
                assert np.array_equal(batch['valid'][k], valid)
                assert batch['label'][k] == scene.labels[row, column]
                seen += 1
        assert seen == len(rows)
        assert batch['image'].dtype == torch.float32
        assert scene.bands is not None
        wavelength = torch.tensor(np.array(scene.bands.wavelength)).float()
        assert torch.equal(
            batch['wavelength'], wavelength.expand(len(batch['label']), -1)
        )

    def test_one_at_a_time(self, scene: LabelledScene) -> None:
        data = module(scene)
        windows = data.train_windows
        batch = windows[[3, 5]]
        for k, index in enumerate((3, 5)):
            one = windows[index]
            assert all(torch.equal(one[key], batch[key][k]) for key in batch)

    def test_moves_are_the_symmetries_of_the_square(self, scene: LabelledScene) -> None:
        padded = PaddedScene(scene, 2)
        places = torch.full((8,), 20), torch.full((8,), 30)
        found, valid = padded.windows(*places, torch.arange(8))
        first = found[0]
        want = [
            (part if plain else part.mT)
            for turns in range(4)
            for part in [first.rot90(turns, (1, 2))]
            for plain in (True, False)
        ]
        assert {tuple(x.flatten().tolist()) for x in found} == {
            tuple(x.flatten().tolist()) for x in want
        }
        # all are different, and the pixel stays in the middle
        assert len({tuple(x.flatten().tolist()) for x in found}) == 8
        assert torch.equal(found[:, :, 2, 2], first[:, 2, 2].expand(8, -1))
        # what is valid moves along
        corner = padded.windows(*(torch.full((8,), 5),) * 2, torch.arange(8))
        assert torch.equal((corner[0] != 0).any(1), corner[1])
        assert valid.all()

    @pytest.mark.parametrize(
        'dtype', ['uint8', 'uint16', 'int16', 'uint32', 'float32', 'float64']
    )
    def test_types(self, scene: LabelledScene, dtype: str) -> None:
        image = np.where(scene.valid, scene.image, 0) // 40
        other = dataclasses.replace(scene, image=image.astype(dtype))
        data = module(other)
        batch = data.train_windows[range(4)]
        rows, columns = data.pixel_split.pixels('train')
        for k in range(4):
            want, _ = cut(other, int(rows[k]), int(columns[k]), 5)
            assert np.array_equal(batch['image'][k], want)

    def test_nodata_may_be_nan(self, scene: LabelledScene) -> None:
        image = np.where(scene.valid, scene.image, np.nan).astype(np.float32)
        data = module(dataclasses.replace(scene, image=image))
        data.setup('fit')
        windows, _ = data.training_windows()
        assert windows.isfinite().all()
        assert data.mean.isfinite().all()


class TestBatches:
    def test_about_as_large(self) -> None:
        sizes = [len(batch) for batch in EvenBatches(33, 16)]
        assert sizes == [11, 11, 11]
        assert len(EvenBatches(33, 16)) == 3
        # never a single one, of which batch normalization makes nothing
        for count in range(2, 40):
            assert min(map(len, EvenBatches(count, 8))) >= 2

    def test_order(self) -> None:
        batches = EvenBatches(10, 4, shuffle=True, seed=3)
        first, second = ([i for part in batches for i in part] for _ in range(2))
        assert sorted(first) == sorted(second) == list(range(10))
        assert first != second
        again = EvenBatches(10, 4, shuffle=True, seed=3)
        assert [i for part in again for i in part] == first
        assert [i for part in EvenBatches(5, 2) for i in part] == list(range(5))

    def test_length(self) -> None:
        found = [i for part in EvenBatches(4, 3, 10, shuffle=True) for i in part]
        assert len(found) == 10
        counts = np.bincount(found)
        assert counts.min() >= 2
        assert counts.max() <= 3

    def test_moves(self) -> None:
        batches = EvenBatches(10, 4, length=4000, shuffle=True, moves=8)
        found = np.array([i for part in batches for i in part])
        assert np.allclose(np.bincount(found % 10), 400)
        assert np.allclose(np.bincount(found // 10), 500, atol=120)

    def test_the_global_seed_is_left_alone(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        torch.manual_seed(0)
        want = torch.rand(1)
        torch.manual_seed(0)
        list(data.train_dataloader().sampler)
        assert torch.equal(torch.rand(1), want)


class TestStatistics:
    def test_pixels_of_training_windows_only(self, scene: LabelledScene) -> None:
        data = module(scene, shots=4)
        data.setup('fit')
        use = np.zeros(scene.labels.shape, dtype=bool)
        for row, column in zip(*data.pixel_split.pixels('train'), strict=True):
            use[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = True
        pixels = scene.image[:, use & scene.valid].astype(np.float64)
        np.testing.assert_allclose(data.mean, pixels.mean(1), rtol=1e-6)
        np.testing.assert_allclose(data.std, pixels.std(1), rtol=1e-5)
        # no pixel of a test window is among them
        assert not (use & data.pixel_split.mask('test')).any()
        # nor does what else lies there change anything
        image = np.where(use, scene.image, 9999).astype(np.int16)
        other = module(dataclasses.replace(scene, image=image), shots=4)
        other.setup('fit')
        assert torch.equal(other.mean, data.mean)
        assert torch.equal(other.training_windows()[0], data.training_windows()[0])
        assert data.mode == 'inductive'

    def test_whole_scene(self, scene: LabelledScene) -> None:
        data = module(scene, statistics='scene')
        data.setup('fit')
        pixels = scene.image[:, scene.valid].astype(np.float64)
        np.testing.assert_allclose(data.mean, pixels.mean(1), rtol=1e-6)
        assert data.mode == 'transductive'

    def test_training_samples(self, scene: LabelledScene) -> None:
        data = module(scene, shots=4)
        data.setup('fit')
        pixels = torch.cat(
            [s['image'][:, s['valid']] for s in data.training_samples()], dim=1
        )
        # each pixel once, and normalized
        assert pixels.shape[1] == data._seen().sum()
        assert pixels.mean(1).abs().max() < 1e-5
        assert (pixels.std(1, correction=0) - 1).abs().max() < 1e-5

    def test_windows_are_normalized(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        windows, labels = data.training_windows()
        rows, columns = data.pixel_split.pixels('train')
        for k in (0, 7, -1):
            image, valid = cut(scene, int(rows[k]), int(columns[k]), 5)
            want = (image - data.mean.numpy()[:, None, None]) / data.std.numpy()[
                :, None, None
            ]
            np.testing.assert_allclose(windows[k], want * valid, atol=2e-5)
            assert labels[k] == scene.labels[rows[k], columns[k]]

    def test_constant_band(self, scene: LabelledScene) -> None:
        image = scene.image.copy()
        image[3] = 77
        data = module(dataclasses.replace(scene, image=image))
        data.setup('fit')
        windows, _ = data.training_windows()
        assert (windows[:, 3] == 0).all()
        assert windows.isfinite().all()

    def test_checkpoints_keep_them(self, scene: LabelledScene) -> None:
        data = module(scene)
        data.setup('fit')
        other = module(scene, seed=5)
        other.load_state_dict(data.state_dict())
        other.setup('fit')
        assert torch.equal(other.mean, data.mean)
        assert module(scene).state_dict() == {}


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
        data = module(scene, split='official', val_share=0.2)
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
            ({'kind': 'block', 'val_share': 0.1}, 'has no val_share'),
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


@pytest.mark.parametrize(
    ('words', 'text'),
    [
        ({'window': 4}, 'odd window.*Use 5'),
        ({'window': 9, 'tile_size': 16}, 'tile_size of more than 16'),
        ({'batch_size': 0}, 'positive batch_size'),
        ({'shots': 0}, 'positive shots or None'),
        ({'length': 0}, 'positive length or None'),
        ({'statistics': 'test'}, "'train' or 'scene'"),
    ],
)
def test_numbers(scene: LabelledScene, words: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        module(scene, **words)


def test_workers(scene: LabelledScene) -> None:
    alone, helped = (module(scene, num_workers=n) for n in (0, 1))
    for data in (alone, helped):
        data.setup('fit')
    for one, other in zip(
        alone.train_dataloader(), helped.train_dataloader(), strict=True
    ):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_figures(scene: LabelledScene) -> None:
    data = module(scene)
    data.setup('predict')
    sample = data.predict_dataset[0]  # type: ignore[index]
    sample['prediction'] = torch.zeros(sample['image'].shape[-2:], dtype=torch.long)
    assert data.plot(sample, 'tile').axes
    assert data.plot_split('split').axes
