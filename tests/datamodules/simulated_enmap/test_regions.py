# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training, validation and test regions of one simulated scene share nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from datamodules.simulated_enmap.regions import (
    COLUMNS,
    SIZE,
    Make,
    Split,
    clear,
    gather,
    inside,
    layer,
)

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.errors import EmptyDataError, MetadataError
from torchgeo_hsi.io.simulated import read_config, truth_file
from torchgeo_hsi.physics.simulation import PlumeSource


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

    @pytest.mark.parametrize(('patch_size', 'length'), [(12, 100), (16, 100), (40, 20)])
    def test_training_sees_its_region_only(
        self, make: Make, root: Path, patch_size: int, length: int
    ) -> None:
        module = make(patch_size=patch_size, length=length, overlap=3)
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
