# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training, validation and test regions of one simulated scene share nothing."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from helpers.trainers import quiet_trainer

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule, base
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.errors import EmptyDataError, MetadataError
from torchgeo_hsi.io import EnMAPL2AReader
from torchgeo_hsi.io.simulated import read_config, truth_file
from torchgeo_hsi.physics.simulation import PlumeSource
from torchgeo_hsi.tasks import HSISegmentation

SIZE, GAP, NODATA = 64, 4, -32768
#: Columns of the regions, by hand: 60 and 75 % of 64 are 38.4 and 48, minus half gaps.
COLUMNS = {'train': (0, 36), 'val': (40, 46), 'test': (50, 64)}

type Split = Literal['train', 'val', 'test']


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('simulated') / 'scene'
    SimulatedEnMAP(folder, size=SIZE, seed=3, cloud_cover=0.3)
    return folder


Make = Callable[..., SimulatedEnMAPDataModule]


@pytest.fixture
def make(root: Path) -> Make:
    def build(folder: Path = root, **kwargs: Any) -> SimulatedEnMAPDataModule:
        options = {'gap': GAP, 'batch_size': 2, 'patch_size': 16, **kwargs}
        return SimulatedEnMAPDataModule(str(folder), **options)

    return build


def image_file(root: Path) -> Path:
    (path,) = root.glob('*-SPECTRAL_IMAGE.TIF')
    return path


def layer(root: Path, part: str) -> np.ndarray:
    (path,) = root.glob(f'*-{part}.TIF')
    with rasterio.open(path) as src:
        return np.asarray(src.read(1))


def kept_bands(root: Path) -> list[int]:
    """Find the bands outside of the water vapour windows in the file."""
    gone = {f'B{i}' for i in (*range(127, 142), *range(161, 168))}
    with EnMAPL2AReader(image_file(root)) as reader:
        assert reader.info.bands is not None
        return [i for i, n in enumerate(reader.info.bands.names) if n not in gone]


def stored(root: Path) -> np.ndarray:
    with rasterio.open(image_file(root)) as src:
        return np.asarray(src.read())


def clear(root: Path) -> np.ndarray:
    """Return where all kept bands have data and nothing is flagged, by the files."""
    valid = (stored(root)[kept_bands(root)] != NODATA).all(axis=0)
    for part in ('CLOUD', 'CLOUDSHADOW', 'HAZE'):
        valid &= layer(root, f'QL_QUALITY_{part}') == 0
    # 1 is thin, 2 medium, 3 thick
    return np.asarray(valid & (layer(root, 'QL_QUALITY_CIRRUS') < 3))


def inside(split: Split) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[:, slice(*COLUMNS[split])] = True
    return mask


def place(dataset: SimulatedEnMAP, transform: torch.Tensor) -> tuple[int, int]:
    """Find row and column of a sample."""
    x, y, _ = dataset.bounds
    column = (float(transform[2]) - x.start) / 30
    row = (y.stop - float(transform[5])) / 30
    assert column == int(column)
    assert row == int(row)
    return int(row), int(column)


def gather(
    dataset: SimulatedEnMAP, batches: Iterable[dict[str, torch.Tensor]]
) -> tuple[np.ndarray, np.ndarray]:
    """Count how often each pixel is valid, and collect the labels seen there."""
    # windows may reach over the scene on all sides
    pad = 64
    hits = np.zeros((SIZE + 2 * pad,) * 2, dtype=int)
    labels = np.full(hits.shape, -1)
    for batch in batches:
        for valid, mask, transform in zip(
            batch['valid'].numpy(),
            batch['mask'].numpy(),
            batch['transform'],
            strict=True,
        ):
            row, column = (v + pad for v in place(dataset, transform))
            window = (
                slice(row, row + valid.shape[0]),
                slice(column, column + valid.shape[1]),
            )
            hits[window] += valid
            labels[window] = np.where(valid, mask, labels[window])
    scene = (slice(pad, pad + SIZE),) * 2
    outside = hits.copy()
    outside[scene] = 0
    assert not outside.any()
    return hits[scene], labels[scene]


class TestRegions:
    @pytest.mark.parametrize('columns', [16, 64, 100, 128, 233, 256])
    @pytest.mark.parametrize('gap', [0, 1, 2, 3, 8, 17])
    def test_disjoint_with_the_gap(self, columns: int, gap: int) -> None:
        module = SimulatedEnMAPDataModule(gap=gap)
        x = slice(325_200.0, 325_200.0 + 30 * columns, 30.0)
        y = slice(5_900_000.0, 5_900_900.0, 30.0)
        scene = SimpleNamespace(bounds=(x, y, None))
        module._open = lambda: scene  # type: ignore[method-assign, return-value]
        if 0.15 * columns < 2 * gap:
            # a mistake stays one on the second try
            for _ in range(2):
                with pytest.raises(EmptyDataError, match=f'gaps of {gap} pixels'):
                    module.roi('train')
            return
        edges = []
        for split in ('train', 'val', 'test'):
            region = module.roi(split)
            assert region is not None
            left, bottom, right, top = region.bounds
            assert (bottom, top) == (y.start, y.stop)
            edges += [(left - x.start) / 30, (right - x.start) / 30]
        # whole pixels, from edge to edge of the scene, with the gap between regions
        assert edges == [int(edge) for edge in edges]
        assert (edges[0], edges[-1]) == (0, columns)
        assert edges[2] - edges[1] == edges[4] - edges[3] == gap
        widths = np.diff(edges)[::2]
        assert (widths > 0).all()
        np.testing.assert_allclose(
            widths, np.array([0.6, 0.15, 0.25]) * columns, atol=gap + 1
        )
        assert module.roi('predict') is None

    def test_columns(self, make: Make) -> None:
        module = make()
        for split in ('train', 'val', 'test'):
            region = module.roi(split)
            assert region is not None
            left, _, right, _ = region.bounds
            west = module._open().bounds[0].start
            assert ((left - west) / 30, (right - west) / 30) == COLUMNS[split]

    @pytest.mark.parametrize('columns', [4, 16, 64, 96, 106, 107, 256])
    def test_default_gap_leaves_room(self, columns: int) -> None:
        module = SimulatedEnMAPDataModule()
        x = slice(325_200.0, 325_200.0 + 30 * columns, 30.0)
        scene = SimpleNamespace(bounds=(x, slice(0.0, 900.0, 30.0), None))
        module._open = lambda: scene  # type: ignore[method-assign, return-value]
        edges = []
        for split in ('train', 'val', 'test'):
            region = module.roi(split)
            assert region is not None
            edges += [region.bounds[0], region.bounds[2]]
        widths = np.diff(edges) / 30
        assert (widths[::2] > 0).all()
        # 16 of 106.7 columns are 15 %: no wider gap takes more than half of them
        wanted = 8 if columns >= 107 else np.floor(0.075 * columns)
        assert (widths[1::2] == wanted).all()

    def test_small_scene_by_default(self, root: Path) -> None:
        module = SimulatedEnMAPDataModule(str(root))
        module.setup('fit')
        # two windows of 32 pixels cover 36 x 64 pixels twice; a batch has 8
        batch = next(iter(module.train_dataloader()))
        assert batch['image'].shape == (8, 202, 32, 32)
        with pytest.raises(EmptyDataError, match='4 training windows make no batch'):
            SimulatedEnMAPDataModule(str(root), length=4).setup('fit')

    def test_gap_too_large(self, make: Make) -> None:
        module = make(gap=5)
        for stage in ('fit', 'validate', 'test'):
            with pytest.raises(EmptyDataError, match='Raise size, or lower gap'):
                module.setup(stage)
        # a map needs no regions
        module.setup('predict')

    @pytest.mark.parametrize('patch_size', [7, 16, 40])
    @pytest.mark.parametrize('split', ['val', 'test'])
    def test_every_label_is_seen_once(
        self, make: Make, root: Path, split: Split, patch_size: int
    ) -> None:
        module = make(patch_size=patch_size, overlap=3)
        module.setup('validate' if split == 'val' else 'test')
        loader = getattr(module, f'{split}_dataloader')()
        dataset = getattr(module, f'{split}_dataset')
        hits, labels = gather(dataset, loader)
        want = clear(root) & inside(split)
        assert want.sum() > 40
        np.testing.assert_array_equal(hits, want)
        truth = layer(root, 'TRUTH_CLASSES')
        np.testing.assert_array_equal(labels[want], truth[want])
        assert (truth[want] < len(SimulatedEnMAP.classes)).all()

    @pytest.mark.parametrize('patch_size', [12, 16, 40])
    def test_training_sees_its_region_only(
        self, make: Make, root: Path, patch_size: int
    ) -> None:
        module = make(patch_size=patch_size, length=100, overlap=3)
        # the sampler draws its seed when it is made
        torch.manual_seed(0)
        module.setup('fit')
        hits, labels = gather(module.train_dataset, module.train_dataloader())
        want = clear(root) & inside('train')
        assert not hits[~want].any()
        # windows are drawn, so a corner may be missing
        assert (hits[want] > 0).mean() > 0.9
        seen = hits > 0
        truth = layer(root, 'TRUTH_CLASSES')
        np.testing.assert_array_equal(labels[seen], truth[seen])

    def test_whole_scene_is_predicted(self, make: Make, root: Path) -> None:
        module = make(patch_size=16, overlap=5)
        module.setup('predict')
        batches = list(module.predict_dataloader())
        assert {'image', 'valid', 'bounds', 'transform', 'wavelength'} <= set(
            batches[0]
        )
        hits, _ = gather(module.predict_dataset, batches)
        np.testing.assert_array_equal(hits > 0, clear(root))
        # and some of it several times
        assert hits.max() > 1


class TestStatistics:
    def test_are_of_valid_training_pixels(self, make: Make, root: Path) -> None:
        module = make()
        mean, std = module.normalization()
        cube = stored(root)[kept_bands(root)].astype(np.float64)
        pixels = cube[:, clear(root) & inside('train')]
        np.testing.assert_allclose(mean, pixels.mean(axis=1), rtol=1e-5)
        np.testing.assert_allclose(std, pixels.std(axis=1), rtol=1e-4)

    def test_of_the_publication_need_no_pixel(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object) -> None:
            raise AssertionError('read the training data')

        monkeypatch.setattr(base, 'training_statistics', refuse)
        module = make(statistics='spectral_earth', bands=['B44', 'B1'])
        mean, std = module.normalization()
        assert mean.shape == std.shape == (2,)
        # position 0 of the published table
        torch.testing.assert_close(mean[1], torch.tensor(827.30597))
        with pytest.raises(AssertionError, match='read the training'):
            make().normalization()


def scribble(root: Path, copy: Path, where: np.ndarray) -> Path:
    """Copy a product and overwrite pixels that have data."""
    shutil.copytree(root, copy)
    with rasterio.open(image_file(copy), 'r+') as dst:
        cube = dst.read()
        rng = np.random.default_rng(0)
        noise = rng.integers(1, 12_000, cube.shape, dtype=np.int16)
        dst.write(np.where(where & (cube != NODATA), noise, cube))
    return copy


class TestNothingLeaks:
    def fit(self, module: SimulatedEnMAPDataModule, folder: Path) -> Any:
        torch.manual_seed(0)
        task = HSISegmentation(
            num_classes=len(SimulatedEnMAP.classes), ignore_index=255, lr=0.01
        )
        trainer = quiet_trainer(folder, max_epochs=1, limit_val_batches=0)
        before = {k: v.clone() for k, v in task.state_dict().items()}
        trainer.fit(task, datamodule=module)
        after = task.state_dict()
        assert any(not torch.equal(before[key], after[key]) for key in before)
        return trainer.callback_metrics, module.normalization(), after

    def test_training_knows_nothing_but_valid_training_pixels(
        self, make: Make, root: Path, tmp_path: Path
    ) -> None:
        used = clear(root) & inside('train')
        other = scribble(root, tmp_path / 'other', ~used)
        assert 0.2 < (stored(other) != stored(root)).mean() < 0.9
        results = [self.fit(make(f, length=8), tmp_path) for f in (root, other)]
        (scores, statistics, state), (scores2, statistics2, state2) = results
        assert {k: float(v) for k, v in scores.items()} == {
            k: float(v) for k, v in scores2.items()
        }
        for a, b in zip(statistics, statistics2, strict=True):
            assert torch.equal(a, b)
        assert all(torch.equal(state[key], state2[key]) for key in state)
        # and the other way round: training pixels do matter
        third = scribble(root, tmp_path / 'third', used)
        _, statistics3, _ = self.fit(make(third, length=8), tmp_path)
        assert not torch.equal(statistics.mean, statistics3.mean)

    @pytest.mark.parametrize('split', ['val', 'test'])
    def test_evaluation_knows_nothing_but_its_valid_pixels(
        self, make: Make, root: Path, tmp_path: Path, split: Split
    ) -> None:
        other = scribble(root, tmp_path / 'other', ~(clear(root) & inside(split)))
        statistics = make().normalization()
        batches: list[list[dict[str, torch.Tensor]]] = []
        for folder in (root, other):
            module = make(folder)
            module._use(statistics)
            module.setup('validate' if split == 'val' else 'test')
            loader = getattr(module, f'{split}_dataloader')()
            batches.append([module.aug(batch) for batch in loader])
        for one, two in zip(*batches, strict=True):
            assert torch.equal(one['image'], two['image'])
            assert torch.equal(one['mask'], two['mask'])

    @pytest.mark.parametrize('stage', ['fit', 'validate', 'test', 'predict'])
    def test_nodata_becomes_the_mean(self, make: Make, stage: str) -> None:
        module = make(length=8)
        module.setup('fit')
        module.setup(stage)
        name = {'fit': 'train', 'validate': 'val'}.get(stage, stage)
        augment = module.train_aug if stage == 'fit' else module.aug
        invalid = 0
        for batch in getattr(module, f'{name}_dataloader')():
            # no number of the file where it has none
            assert batch['image'].min() > NODATA / 2
            result = augment(batch)
            image, valid = result['image'].movedim(1, -1), result['valid']
            assert (image[~valid] == 0).all()
            assert (image[valid] != 0).float().mean() > 0.9 or not valid.any()
            assert torch.isfinite(image).all()
            assert (result['mask'][~valid] == 255).all()
            invalid += int((~valid).sum())
        assert invalid > 0

    def test_quality_layers_of_choice(self, make: Make, root: Path) -> None:
        data = (stored(root)[kept_bands(root)] != NODATA).all(axis=0)
        for quality, want in (
            ([], data),
            (['cloud'], data & (layer(root, 'QL_QUALITY_CLOUD') == 0)),
        ):
            module = make(quality=quality)
            module.setup('test')
            hits, _ = gather(module.test_dataset, module.test_dataloader())
            np.testing.assert_array_equal(hits, want & inside('test'))


class TestScene:
    def test_none_is_what_the_folder_holds(self, make: Make, root: Path) -> None:
        found = read_config(root)
        assert found is not None
        before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
        module = make()
        module.prepare_data()
        module.setup('fit')
        assert module.train_dataset.config == found
        assert (found.height, found.width, found.seed) == (SIZE, SIZE, 3)
        assert found.cloud_cover == 0.3
        assert {path: path.stat().st_mtime_ns for path in root.iterdir()} == before

    @pytest.mark.parametrize('word', ['size', 'seed', 'cloud_cover'])
    def test_other_scene_than_the_folder_holds(self, make: Make, word: str) -> None:
        value = {'size': 32, 'seed': 4, 'cloud_cover': 0.1}[word]
        with pytest.raises(MetadataError, match='Choose another root'):
            make(**{word: value}).prepare_data()

    def test_plume(self, make: Make, tmp_path: Path) -> None:
        plume = {'rate': 9000.0, 'position': [0.3, 0.5], 'duration': 300.0}
        module = make(tmp_path / 'plume', size=32, gap=1, plume=plume)
        module.prepare_data()
        config = read_config(tmp_path / 'plume')
        assert config is not None
        assert config.plume == PlumeSource.of(plume)
        assert truth_file(tmp_path / 'plume', 'TRUTH_GAS') is not None
        assert make(tmp_path / 'plume', gap=1).make_dataset('train').config == config
        with pytest.raises(MetadataError, match='plume'):
            make(tmp_path / 'plume', plume={'rate': 5.0}).prepare_data()

    def test_is_simulated_on_first_use(self, make: Make, tmp_path: Path) -> None:
        module = make(
            tmp_path / 'new' / 'scene', size=32, seed=5, cloud_cover=0.0, gap=1
        )
        assert not (tmp_path / 'new').exists()
        module.prepare_data()
        config = read_config(tmp_path / 'new' / 'scene')
        assert config is not None
        assert (config.height, config.width, config.seed) == (32, 32, 5)
        assert truth_file(tmp_path / 'new' / 'scene', 'TRUTH_CLASSES')
        module.setup('fit')
        assert len(next(iter(module.train_dataloader()))['image']) == 2

    @pytest.mark.parametrize(
        ('options', 'match'),
        [({'size': 8}, '16'), ({'cloud_cover': 0.95}, 'cloud'), ({'seed': -1}, 'seed')],
    )
    def test_impossible_scene(
        self, make: Make, tmp_path: Path, options: dict[str, Any], match: str
    ) -> None:
        with pytest.raises(ValueError, match=match):
            make(tmp_path / 'scene', **options).prepare_data()
        assert not (tmp_path / 'scene').exists()

    def test_names_and_colors_of_the_classes(self, make: Make) -> None:
        module = make()
        module.setup('test')
        dataset = module.test_dataset
        figure = module.plot(dataset[dataset.bounds])
        shown = {
            text.get_text()
            for ax in figure.axes
            if ax.images and ax.get_legend() is not None
            for text in ax.get_legend().get_texts()
        }
        plt.close(figure)
        assert shown
        assert shown <= set(SimulatedEnMAP.classes)


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        ({'gap': -1}, ValueError, 'gap of 0 or more'),
        ({'overlap': 16}, ValueError, 'overlap from 0 to less than patch_size=16'),
        (
            {'batch_size': 99, 'length': 9},
            EmptyDataError,
            'Raise length or lower batch_size',
        ),
        ({'bands': ['B999']}, KeyError, 'B999'),
        ({'quality': ['clouds']}, MetadataError, 'clouds'),
    ],
)
def test_bad_options(
    make: Make, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        make(**options).setup('fit')
