# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from data.emit_l2a.data import NODATA, NORTH, PIXEL, WEST, Granule, make_granule
from lightning.pytorch import LightningModule, Trainer
from pyproj import CRS, Transformer
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import (
    DatasetNotFoundError,
    GeoDataset,
    RasterDataset,
    stack_samples,
)

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules.base import HSIGeoDataModule
from torchgeo_hsi.datasets import EMITL2A, EnMAPL2A, HSICube, LabelRaster, _grid
from torchgeo_hsi.errors import (
    BandMismatchError,
    HSIWarning,
    MetadataError,
    NodataWarning,
    UnitError,
)
from torchgeo_hsi.samplers import RandomWindowSampler

LATER = '20230903T163129_2324611_003'

type Split = Literal['train', 'val', 'test', 'predict']
type Query = tuple[slice, slice]


def query(column: float, row: float, width: float, height: float) -> Query:
    """Ask for pixels of the map."""
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    return (slice(west, west + width * PIXEL), slice(north - height * PIXEL, north))


def image(granule: Granule, keep: Sequence[int]) -> np.ndarray:
    ortho = granule.ortho(granule.swath, NODATA)[list(keep)]
    return np.where(ortho == NODATA, 0, ortho * np.float32(1e4))


def valid(granule: Granule, layers: Sequence[int]) -> np.ndarray:
    data = granule.ortho(granule.swath, NODATA)[0] != NODATA
    flags = granule.ortho(granule.flags, 0)[list(layers)] == 1
    return np.asarray(data & ~flags.any(axis=0))


class Module(HSIGeoDataModule):
    """A data module as a user writes it."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        self.path = path

    def make_dataset(self, split: Split) -> GeoDataset:
        return EMITL2A(self.path)

    def band_names(self) -> Sequence[str]:
        return EMITL2A(self.path).bandset.names


@pytest.fixture(scope='module')
def granule(tmp_path_factory: pytest.TempPathFactory) -> Granule:
    return make_granule(tmp_path_factory.mktemp('emit'))


@pytest.fixture(scope='module')
def dataset(granule: Granule) -> EMITL2A:
    return EMITL2A(granule.path.parent)


class TestSample:
    def test_whole_scene(self, dataset: EMITL2A, granule: Granule) -> None:
        height, width = granule.row.shape
        sample = dataset[query(0, 0, width, height)]
        assert {k: (tuple(v.shape), v.dtype) for k, v in sample.items()} == {
            'image': ((244, height, width), torch.float32),
            'valid': ((height, width), torch.bool),
            'wavelength': ((244,), torch.float32),
            'fwhm': ((244,), torch.float32),
            'bounds': ((9,), torch.float32),
            'transform': ((9,), torch.float32),
        }
        keep = np.flatnonzero(granule.good)
        np.testing.assert_allclose(sample['image'], image(granule, keep), rtol=1e-6)
        np.testing.assert_array_equal(sample['valid'], valid(granule, [0, 1, 4, 3]))
        np.testing.assert_allclose(
            sample['wavelength'] * 1e3, granule.wavelength[keep], rtol=1e-6
        )
        np.testing.assert_allclose(sample['fwhm'] * 1e3, granule.fwhm[keep], rtol=1e-5)

    def test_index(self, dataset: EMITL2A, granule: Granule) -> None:
        assert isinstance(dataset, RasterDataset)
        assert dataset.crs == CRS.from_epsg(4326)
        assert dataset.res == pytest.approx((PIXEL, PIXEL))
        assert dataset.files == [str(granule.path)]
        times = dataset.index.index[0]
        assert str(times.left) == '2022-09-03 16:31:29'
        assert str(times.right) == '2022-09-03 16:31:41'
        xs, ys, _ = dataset.bounds
        assert (xs.start, ys.stop) == pytest.approx((WEST, NORTH))

    def test_window(self, dataset: EMITL2A, granule: Granule) -> None:
        sample = dataset[query(12, 9, 20, 25)]
        keep = np.flatnonzero(granule.good)
        part = image(granule, keep)[:, 9:34, 12:32]
        np.testing.assert_allclose(sample['image'], part, rtol=1e-6)
        transform = sample['transform'][:6]
        place = [PIXEL, 0, WEST + 12 * PIXEL, 0, -PIXEL, NORTH - 9 * PIXEL]
        np.testing.assert_allclose(transform, place, rtol=1e-7)

    def test_bands(self, granule: Granule) -> None:
        dataset = EMITL2A(granule.path, bands=[2.2, 'B36', 12])
        near = int(np.argmin(np.abs(granule.wavelength - 2200)))
        assert dataset.bands == (f'B{near + 1}', 'B36', 'B13')
        sample = dataset[query(5, 5, 30, 30)]
        part = image(granule, [near, 35, 12])[:, 5:35, 5:35]
        np.testing.assert_allclose(sample['image'], part, rtol=1e-6)
        with pytest.raises(UnitError):
            EMITL2A(granule.path, bands=[2200.0])

    def test_bands_without_a_retrieval(self, granule: Granule) -> None:
        bad = f'B{np.flatnonzero(granule.good == 0)[0] + 1}'
        with pytest.warns(NodataWarning, match=f'{bad} hold no data anywhere'):
            dataset = EMITL2A(granule.path, bands=['B20', bad])
        assert not dataset[query(5, 5, 30, 30)]['valid'].any()

    def test_quality(self, granule: Granule) -> None:
        height, width = granule.row.shape
        whole = query(0, 0, width, height)
        everything = EMITL2A(granule.path, quality=())[whole]
        np.testing.assert_array_equal(everything['valid'], valid(granule, []))
        water = EMITL2A(granule.path, quality=['water'])[whole]
        np.testing.assert_array_equal(water['valid'], valid(granule, [2]))
        assert torch.equal(water['image'], everything['image'])

    def test_uncertainty(self, granule: Granule) -> None:
        dataset = EMITL2A(granule.uncertainty, bands=['B20'])
        sample = dataset[query(5, 5, 30, 30)]
        truth = granule.ortho(granule.spread, 0.0)[19, 5:35, 5:35] * 1e4
        np.testing.assert_allclose(sample['image'][0], truth.clip(0), rtol=1e-5)

    def test_warp(self, tmp_path: Path) -> None:
        flat = make_granule(tmp_path, bands=8)
        crs = CRS.from_epsg(32611)
        dataset = EMITL2A(flat.path, crs=crs, res=60, quality=())
        assert dataset.res == (60, 60)
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(
            WEST + 24 * PIXEL, NORTH - 26 * PIXEL
        )
        sample = dataset[x - 360 : x + 360, y - 360 : y + 360]
        assert sample['image'].shape == (len(dataset.bands), 12, 12)
        assert sample['valid'].all()
        low, high = flat.swath[flat.swath > 0].min(), flat.swath.max()
        assert low * 1e4 <= sample['image'].min() <= sample['image'].max() <= high * 1e4

    def test_warp_in_parts(
        self, granule: Granule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dataset = EMITL2A(granule.path, crs=CRS.from_epsg(32611), res=60)
        xs, ys, _ = dataset.bounds
        place = (slice(xs.start, xs.start + 1800), slice(ys.start, ys.start + 1800))
        at_once = dataset[place]
        assert at_once['valid'].any()
        monkeypatch.setattr(_grid, '_WHOLE', 0)
        in_parts = dataset[place]
        for key, values in at_once.items():
            assert torch.equal(in_parts[key], values), key

    def test_plot(self, dataset: EMITL2A) -> None:
        figure = dataset.plot(dataset[query(5, 5, 30, 30)], suptitle='EMIT')
        assert len(figure.axes) >= 3
        plt.close(figure)

    def test_as_a_cube(self, granule: Granule) -> None:
        cubes = HSICube(granule.path, patch_size=16)
        keep = np.flatnonzero(granule.good)
        # the second row of patches, second column
        sample = cubes[-(-granule.row.shape[1] // 16) + 1]
        part = image(granule, keep)[:, 16:32, 16:32]
        np.testing.assert_allclose(sample['image'], part, rtol=1e-6)
        west, north = sample['bounds'][0], sample['bounds'][4]
        assert float(west) == pytest.approx(WEST + 16 * PIXEL, abs=PIXEL / 10)
        assert float(north) == pytest.approx(NORTH - 16 * PIXEL, abs=PIXEL / 10)

    def test_as_stored(self, granule: Granule) -> None:
        sample = HSICube(granule.path, key='reflectance')[0]
        stored = granule.swath[..., granule.good == 1].transpose(2, 0, 1)
        np.testing.assert_array_equal(sample['image'], np.where(stored > 0, stored, 0))
        assert 'bounds' not in sample


class TestUse:
    def test_sampler_and_workers(self, granule: Granule) -> None:
        dataset = EMITL2A(granule.path, bands=['B20', 'B30'])
        generator = torch.Generator().manual_seed(1)
        sampler = RandomWindowSampler(dataset, size=16, length=6, generator=generator)
        queries = list(sampler)
        truth = image(granule, [19, 29])
        for xs, ys, _ in queries:
            column = round((xs.start - WEST) / PIXEL)
            row = round((NORTH - ys.stop) / PIXEL)
            assert 0 <= column <= truth.shape[2] - 16
            part = truth[:, row : row + 16, column : column + 16]
            np.testing.assert_allclose(dataset[xs, ys]['image'], part, rtol=1e-6)
        loader = DataLoader(
            dataset,
            sampler=queries,
            batch_size=3,
            num_workers=2,
            collate_fn=stack_samples,
        )
        batches = [batch['image'] for batch in loader]
        single = torch.stack([dataset[q]['image'] for q in queries])
        assert torch.equal(torch.cat(batches), single)

    def test_pickle(self, dataset: EMITL2A) -> None:
        place = query(5, 5, 10, 10)
        copy = pickle.loads(pickle.dumps(dataset))
        assert torch.equal(copy[place]['image'], dataset[place]['image'])

    def test_two_dates_and_a_gap(self, granule: Granule, tmp_path: Path) -> None:
        later = make_granule(
            tmp_path,
            scene=LATER,
            seed=1,
            start='2023-09-03T16:31:29+0000',
            stop='2023-09-03T16:31:41+0000',
        )
        both = EMITL2A([granule.path, later.path], bands=['B20'])
        height, width = granule.row.shape
        sample = both[query(0, 0, width, height)]
        first, second = (image(g, [19])[0] for g in (granule, later))
        ok = valid(granule, [0, 1, 3, 4])
        # both have the same geometry and flags, so the first is taken everywhere
        np.testing.assert_allclose(sample['image'][0], first, rtol=1e-6)
        np.testing.assert_array_equal(sample['valid'], ok)
        times = both.index.index
        only = both[(*query(0, 0, width, height), slice(times[1].left, times[1].right))]
        np.testing.assert_allclose(only['image'][0], second, rtol=1e-6)

    def test_training_with_labels(self, granule: Granule, tmp_path: Path) -> None:
        height, width = granule.row.shape
        classes = np.random.default_rng(0).integers(0, 4, (height, width), np.uint8)
        labels = tmp_path / 'labels.tif'
        with rasterio.open(
            labels,
            'w',
            driver='GTiff',
            height=height,
            width=width,
            count=1,
            dtype='uint8',
            crs='EPSG:4326',
            transform=Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
        ) as raster:
            raster.write(classes, 1)

        class Fields(Module):
            def make_dataset(self, split: Split) -> GeoDataset:
                scenes = super().make_dataset(split)
                return scenes & LabelRaster(str(labels), classes=[1, 2, 3])

        module = Fields(granule.path, patch_size=24, length=8, batch_size=8)
        module.setup('fit')
        batch = next(iter(module.train_dataloader()))
        assert batch['image'].shape == (8, 244, 24, 24)
        # windows may reach over the edge
        codes = np.pad(np.where(classes == 0, 255, classes - 1.0), 24, 'constant')
        inside = np.pad(np.ones((height, width), bool), 24)
        codes[~inside] = 255
        for transform, mask in zip(batch['transform'], batch['mask'], strict=True):
            row = round((NORTH - float(transform[5])) / PIXEL) + 24
            column = round((float(transform[2]) - WEST) / PIXEL) + 24
            part = codes[row : row + 24, column : column + 24]
            np.testing.assert_array_equal(mask, part)
        module.trainer = SimpleNamespace(training=True)
        ready = module.on_after_batch_transfer(batch, 0)
        values = ready['image'].movedim(1, -1)
        assert not values[~ready['valid']].any()
        assert float(values[ready['valid']].mean().abs()) < 0.1

    def test_prediction(self, granule: Granule, tmp_path: Path) -> None:
        class Copy(LightningModule):
            def predict_step(self, batch: Sample, batch_idx: int) -> Tensor:
                return (
                    batch['wavelength'][:, :5, None, None] + 0 * batch['image'][:, :5]
                )

        writer = GeoTIFFCubeWriter(tmp_path / 'map.tif', output='cube')
        trainer = Trainer(
            accelerator='cpu',
            logger=False,
            callbacks=[writer],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = Module(granule.path, patch_size=24, overlap=8, batch_size=2)
        trainer.predict(Copy(), module, return_predictions=False)
        with rasterio.open(tmp_path / 'map.tif') as raster:
            found = raster.read()
            assert raster.crs.to_epsg() == 4326
            place = np.array(raster.transform)[:6]
        truth = np.array([PIXEL, 0, WEST, 0, -PIXEL, NORTH])
        np.testing.assert_allclose(place, truth, atol=PIXEL / 100)
        np.testing.assert_array_equal(
            np.isfinite(found[0]), valid(granule, [0, 1, 3, 4])
        )
        centre = np.nanmean(found, axis=(1, 2)) * 1e3
        np.testing.assert_allclose(centre, granule.wavelength[:5], rtol=1e-5)


class TestErrors:
    def test_nothing_there(self, tmp_path: Path, granule: Granule) -> None:
        with pytest.raises(DatasetNotFoundError, match=r'holds no EMIT_L2A_RFL_\*\.nc'):
            EMITL2A(tmp_path)
        shutil.copy(granule.mask, tmp_path)
        with pytest.raises(DatasetNotFoundError, match='but 1 other NetCDF files'):
            EMITL2A(tmp_path)
        with pytest.raises(DatasetNotFoundError, match='nowhere does not exist'):
            EMITL2A(tmp_path / 'nowhere')

    def test_layers(self, granule: Granule) -> None:
        with pytest.raises(MetadataError, match=r"Unknown quality layers 'fog'.*cloud"):
            EMITL2A(granule.path, quality=['fog'])
        with pytest.raises(MetadataError, match=r'spectf_cloud.*needs version 2'):
            EMITL2A(granule.path, quality=['spectf_cloud'])

    def test_no_mask(self, granule: Granule, tmp_path: Path) -> None:
        shutil.copy(granule.path, tmp_path)
        with pytest.warns(HSIWarning, match=r'cloud of EMIT_L2A_MASK \(1 of 1') as seen:
            EMITL2A(tmp_path)
        assert len(seen) == 1
        assert seen[0].filename == __file__
        EMITL2A(tmp_path, quality=())

    def test_not_reflectance(self, granule: Granule) -> None:
        with pytest.raises(MetadataError, match='no EMIT L2A reflectance'):
            EMITL2A(granule.mask)

    def test_other_sensor(self, granule: Granule) -> None:
        class Wrong(EMITL2A):
            sensor = 'PRISMA'

        with pytest.raises(BandMismatchError, match=r'Expected scenes of PRISMA.*EMIT'):
            Wrong(granule.path)
        with pytest.raises(DatasetNotFoundError):
            EnMAPL2A(granule.path.parent)
