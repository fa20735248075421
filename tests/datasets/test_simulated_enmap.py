# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The simulated scene as a torchgeo dataset."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from pyproj import CRS
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples
from torchgeo.samplers import RandomPatchSampler

from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.datasets.simulated_enmap import SimulatedEnMAP
from torchgeo_hsi.errors import (
    CorruptFileError,
    MetadataError,
    OutputError,
    UnknownNameError,
)
from torchgeo_hsi.io import EnMAPL2AReader
from torchgeo_hsi.io.simulated import TRUTH_PARTS, truth_file
from torchgeo_hsi.physics.simulation import (
    LAND_COVER,
    EnMAPScene,
    PlumeSource,
    SceneTile,
)

SIZE = 64


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('simulated') / 'scene'
    SimulatedEnMAP(root, size=SIZE, seed=3, cloud_cover=0.1)
    return root


@pytest.fixture(scope='module')
def dataset(root: Path) -> SimulatedEnMAP:
    return SimulatedEnMAP(root, target=True, abundance=True, generate=False)


@pytest.fixture(scope='module')
def sample(dataset: SimulatedEnMAP) -> dict[str, torch.Tensor]:
    return dataset[dataset.bounds]


@pytest.fixture(scope='module')
def tile(dataset: SimulatedEnMAP) -> SceneTile:
    return EnMAPScene(dataset.config).render(0, 0, SIZE, SIZE)


def query(
    dataset: SimulatedEnMAP, column: int, row: int, width: int, height: int
) -> tuple[slice, slice, slice]:
    """Build the query of a window of pixels; rows from the north."""
    x, y, t = dataset.bounds
    return (
        slice(x.start + 30 * column, x.start + 30 * (column + width), 30),
        slice(y.stop - 30 * (row + height), y.stop - 30 * row, 30),
        t,
    )


class TestSample:
    def test_truth(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor], tile: SceneTile
    ) -> None:
        np.testing.assert_array_equal(sample['mask'].numpy(), tile.classes)
        assert sample['mask'].dtype == torch.long
        abundance = np.nan_to_num(tile.abundances)
        np.testing.assert_array_equal(sample['abundance'].numpy(), abundance)
        with EnMAPL2AReader(dataset.files[0]) as reader:
            assert reader.info.bands is not None
            indexes = reader.info.bands.indices(dataset.bandset.names)
        clean = np.where(tile.inside, tile.clean[indexes], 0)
        np.testing.assert_array_equal(sample['target'].numpy(), clean)
        image = np.where(tile.inside, tile.image[indexes], 0)
        np.testing.assert_array_equal(sample['image'].numpy(), image)
        for key in ('image', 'target'):
            assert sample[key].shape == (202, SIZE, SIZE)
            assert sample[key].dtype == torch.float32

    def test_valid(self, sample: dict[str, torch.Tensor], tile: SceneTile) -> None:
        clear = tile.inside & ~tile.cloud & ~tile.shadow & ~tile.haze
        clear &= tile.cirrus < 2
        np.testing.assert_array_equal(sample['valid'].numpy(), clear)
        assert 0.3 < clear.mean() < 0.7

    def test_mask_is_a_class_wherever_the_swath_is(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor], tile: SceneTile
    ) -> None:
        inside = torch.from_numpy(tile.inside)
        assert (sample['mask'][~inside] == dataset.ignore_index).all()
        assert sample['mask'][inside].max() < len(dataset.classes)
        assert sample['mask'][sample['valid']].max() < len(dataset.classes)
        best = sample['abundance'].argmax(dim=0)
        assert (best[inside] == sample['mask'][inside]).all()

    def test_wavelengths_are_those_of_the_scene(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        scene = EnMAPScene(dataset.config).bands.select(dataset.bandset.names)
        np.testing.assert_allclose(sample['wavelength'], scene.wavelength, atol=1e-6)
        np.testing.assert_allclose(sample['fwhm'], scene.fwhm, atol=1e-7)

    def test_target_has_the_bands_of_the_image(self, root: Path) -> None:
        few = SimulatedEnMAP(root, bands=[2.2, 'B30', 0.86], target=True)
        whole = SimulatedEnMAP(root, target=True)
        bands = whole.bandset.indices(few.bandset.names)
        chosen, full = few[few.bounds], whole[whole.bounds]
        for key in ('image', 'target'):
            assert torch.equal(chosen[key], full[key][bands])

    def test_windows(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        part = dataset[query(dataset, 20, 24, 12, 8)]
        for key in ('image', 'target', 'abundance', 'mask', 'valid'):
            assert torch.equal(part[key], sample[key][..., 24:32, 20:32]), key
        beyond = dataset[query(dataset, SIZE - 4, SIZE - 6, 10, 12)]
        assert torch.equal(beyond['mask'][:6, :4], sample['mask'][-6:, -4:])
        assert (beyond['mask'][6:] == 255).all()
        assert not beyond['target'][:, 6:].any()
        assert not beyond['valid'][6:].any()

    def test_another_crs(self, root: Path) -> None:
        warped = SimulatedEnMAP(
            root, crs=CRS.from_epsg(4326), res=0.0003, target=True, abundance=True
        )
        found = warped[warped.bounds]
        shape = found['mask'].shape
        for key in ('image', 'target', 'abundance'):
            assert found[key].shape[1:] == shape
        valid = found['valid']
        assert 0.2 < valid.float().mean() < 0.6
        assert found['mask'][valid].max() < 9
        # where the ground is pure, the nearest class has the largest share
        pure = valid & (found['abundance'].max(dim=0).values > 0.8)
        best = found['abundance'].argmax(dim=0)
        assert (best[pure] == found['mask'][pure]).float().mean() > 0.98
        off = (found['target'] - found['image']).abs()[:, valid].mean()
        assert off < 400

    def test_without_options_there_is_only_the_mask(self, root: Path) -> None:
        plain = SimulatedEnMAP(root)
        keys = set(plain[query(plain, 20, 20, 8, 8)])
        assert keys == {
            'bounds',
            'transform',
            'image',
            'valid',
            'wavelength',
            'fwhm',
            'mask',
        }

    def test_transforms_see_the_truth(self, root: Path) -> None:
        def double(sample: dict[str, Any]) -> dict[str, Any]:
            return sample | {'mask': sample['mask'] * 2}

        plain, changed = SimulatedEnMAP(root), SimulatedEnMAP(root, transforms=double)
        window = query(plain, 20, 20, 8, 8)
        assert torch.equal(changed[window]['mask'], 2 * plain[window]['mask'])

    def test_sampler_and_workers(self, dataset: SimulatedEnMAP) -> None:
        sampler = RandomPatchSampler(dataset, size=16, length=4)
        loader = DataLoader(
            dataset, 2, sampler=sampler, collate_fn=stack_samples, num_workers=1
        )
        shapes = [tuple(batch['target'].shape) for batch in loader]
        assert shapes == [(2, 202, 16, 16)] * 2

    def test_pickle(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        copy = pickle.loads(pickle.dumps(dataset))
        assert torch.equal(copy[copy.bounds]['mask'], sample['mask'])

    def test_query_outside(self, dataset: SimulatedEnMAP) -> None:
        with pytest.raises(IndexError, match='not found'):
            dataset[query(dataset, 1000, 0, 8, 8)]


class TestScene:
    def test_same_seed_same_pixels(
        self, tmp_path: Path, sample: dict[str, torch.Tensor]
    ) -> None:
        again = SimulatedEnMAP(tmp_path / 'a', size=SIZE, seed=3, cloud_cover=0.1)
        other = SimulatedEnMAP(tmp_path / 'b', size=SIZE, seed=4, cloud_cover=0.1)
        for key in ('image', 'mask', 'valid', 'wavelength'):
            assert torch.equal(again[again.bounds][key], sample[key]), key
            assert not torch.equal(other[other.bounds][key], sample[key]), key

    def test_what_is_there_is_used(self, root: Path, dataset: SimulatedEnMAP) -> None:
        assert SimulatedEnMAP(root).config == dataset.config
        assert SimulatedEnMAP(root, size=(SIZE, SIZE)).config == dataset.config
        assert dataset.config.seed == 3

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'seed': 5}, r'with seed=3, but seed=5 was asked for\. Choose'),
            ({'size': 32}, 'height=64, width=64, but height=32, width=32'),
            ({'footprint': False}, 'footprint=True, but footprint=False'),
            ({'noise': 0.5}, 'noise=1.0, but noise=0.5'),
        ],
    )
    def test_another_scene_is_there(
        self, root: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(MetadataError, match=message):
            SimulatedEnMAP(root, **options)

    def test_something_else_is_there(self, tmp_path: Path) -> None:
        (tmp_path / 'thesis.txt').write_text('years of work')
        with pytest.raises(OutputError, match=r'not empty.* Choose another') as caught:
            SimulatedEnMAP(tmp_path, size=16)
        # the class has no such argument
        assert 'overwrite' not in str(caught.value)
        assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']

    def test_nothing_is_there(self, tmp_path: Path) -> None:
        with pytest.raises(
            DatasetNotFoundError, match=r'none holds no.*generate=False'
        ):
            SimulatedEnMAP(tmp_path / 'none', generate=False)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ('options', 'error', 'message'),
        [
            ({'size': 8}, ValueError, 'at least 16 pixels'),
            ({'cloud_cover': -0.5}, ValueError, 'share from 0 to 0.9'),
            ({'seed': -2}, ValueError, 'seed from 0'),
        ],
    )
    def test_bad_arguments(
        self,
        tmp_path: Path,
        options: dict[str, Any],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            SimulatedEnMAP(tmp_path / 's', **options)
        assert list(tmp_path.iterdir()) == []

    def test_unknown_band(self, root: Path) -> None:
        with pytest.raises(UnknownNameError, match='B225'):
            SimulatedEnMAP(root, bands=['B225'])

    def test_truncated_truth(self, tmp_path: Path) -> None:
        dataset = SimulatedEnMAP(tmp_path / 's', size=16)
        for part in ('TRUTH_CLASSES', 'TRUTH_CLEAN_IMAGE'):
            file = truth_file(tmp_path / 's', part)
            assert file is not None
            content = Path(file).read_bytes()
            Path(file).write_bytes(content[: len(content) // 2])
        with pytest.raises(CorruptFileError, match=r'truncated|damaged'):
            dataset[dataset.bounds]
        broken = SimulatedEnMAP(tmp_path / 's', target=True)
        with pytest.raises(CorruptFileError, match=r'truncated|damaged'):
            broken[broken.bounds]

    def test_other_datasets_read_the_product(
        self, root: Path, sample: dict[str, torch.Tensor]
    ) -> None:
        product = EnMAPL2A(root)
        found = product[product.bounds]
        for key in ('image', 'valid', 'wavelength'):
            assert torch.equal(found[key], sample[key])
        assert 'mask' not in found

    def test_classes(self, dataset: SimulatedEnMAP) -> None:
        assert len(dataset.classes) == len(dataset.class_colors) == len(LAND_COVER) == 9
        assert dataset.classes[0] == 'water'
        assert dataset.class_colors[0] == '#336cb0'
        file = truth_file(dataset.root, 'TRUTH_CLASSES')
        assert file is not None
        with rasterio.open(file) as src:
            assert src.colormap(1)[0] == (0x33, 0x6C, 0xB0, 255)

    def test_plot(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        figure = dataset.plot(sample, suptitle='Scene')
        texts = {text.get_text() for ax in figure.axes for text in ax.texts}
        for ax in figure.axes:
            if ax.get_legend() is not None:
                texts |= {text.get_text() for text in ax.get_legend().get_texts()}
        seen = sample['mask'][sample['valid']].unique().tolist()
        assert {dataset.classes[code] for code in seen} <= texts
        assert not any('255' in text for text in texts)


class TestPlume:
    SOURCE = PlumeSource(rate=9000.0, duration=600.0, position=(0.35, 0.5))

    @pytest.fixture(scope='class')
    @staticmethod
    def plumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp('plume') / 'scene'
        SimulatedEnMAP(
            root, size=SIZE, seed=3, cloud_cover=0.1, plume=asdict(TestPlume.SOURCE)
        )
        return root

    def test_sample(
        self, plumed: Path, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        dark = SimulatedEnMAP(plumed, target=True, enhancement=True)
        assert dark.config == replace(dataset.config, plume=self.SOURCE)
        found = dark[dark.bounds]
        gas = found['enhancement']
        assert (gas.shape, gas.dtype) == ((1, SIZE, SIZE), torch.float32)
        expected = torch.from_numpy(self.SOURCE.enhancement(SIZE, SIZE))
        inside = sample['mask'] != 255
        assert torch.equal(gas[0], expected * inside)
        for key in ('mask', 'valid', 'wavelength', 'transform'):
            assert torch.equal(found[key], sample[key]), key
        lost = (sample['target'] - found['target']).amax(dim=0)
        strongest = gas[0] > 1000
        assert strongest.any()
        assert (lost[strongest & (sample['target'].amax(dim=0) > 1500)] > 0).all()
        assert not lost[gas[0] == 0].any()

    def test_windows(self, plumed: Path) -> None:
        dark = SimulatedEnMAP(plumed, enhancement=True)
        whole = dark[dark.bounds]['enhancement']
        part = dark[query(dark, 20, 24, 12, 8)]['enhancement']
        assert torch.equal(part, whole[:, 24:32, 20:32])

    def test_scenes_without_plume(
        self, dataset: SimulatedEnMAP, sample: dict[str, torch.Tensor]
    ) -> None:
        plain = SimulatedEnMAP(dataset.root, enhancement=True)
        found = plain[query(plain, 20, 20, 8, 6)]
        assert torch.equal(found['enhancement'], torch.zeros(1, 6, 8))
        assert 'enhancement' not in sample
        assert truth_file(dataset.root, 'TRUTH_GAS') is None
        (document,) = Path(dataset.root).glob('*-TRUTH.JSON')
        content = json.loads(document.read_text())
        # as written before there were plumes
        assert list(content['scene']) == [
            'height',
            'width',
            'seed',
            'cloud_cover',
            'footprint',
            'noise',
        ]
        assert content['parts'] == ['SPECTRAL_IMAGE', *TRUTH_PARTS]

    def test_another_plume_is_there(self, plumed: Path, root: Path) -> None:
        other = replace(self.SOURCE, gas='carbon_dioxide')
        with pytest.raises(MetadataError, match=r"but plume=PlumeSource.*'carbon_diox"):
            SimulatedEnMAP(plumed, plume=other)
        with pytest.raises(MetadataError, match='scene with plume=None'):
            SimulatedEnMAP(root, plume=other)
        assert SimulatedEnMAP(plumed, plume=self.SOURCE).config.plume == self.SOURCE

    def test_missing_truth(self, tmp_path: Path) -> None:
        SimulatedEnMAP(tmp_path / 's', size=16, plume={'duration': 60.0})
        file = truth_file(tmp_path / 's', 'TRUTH_GAS')
        assert file is not None
        Path(file).unlink()
        with pytest.raises(CorruptFileError, match='lacks TRUTH_GAS'):
            SimulatedEnMAP(tmp_path / 's')

    @pytest.mark.parametrize('scene', ['[]', '{"plume": {"gas": "xenon"}}'])
    def test_damaged_document(self, tmp_path: Path, scene: str) -> None:
        SimulatedEnMAP(tmp_path / 's', size=16)
        (document,) = (tmp_path / 's').glob('*-TRUTH.JSON')
        content = json.loads(document.read_text()) | {'scene': json.loads(scene)}
        document.write_text(json.dumps(content))
        with pytest.raises(CorruptFileError, match='Delete the folder'):
            SimulatedEnMAP(tmp_path / 's')

    def test_bad_plume(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match='some of gas, rate, wind'):
            SimulatedEnMAP(tmp_path / 's', size=16, plume={'speed': 3.0})
        assert not (tmp_path / 's').exists()
