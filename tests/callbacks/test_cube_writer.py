# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of whole-scene output through Lightning and torchgeo's samplers."""

import json
import weakref
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from callbacks.cube_scenes import (
    FWHM,
    HEIGHT,
    QUIET,
    TRANSFORM,
    UTM33,
    WAVELENGTH,
    WIDTH,
    Cubes,
    Pixelwise,
    SceneData,
    leftovers,
    make_scene,
    make_trainer,
    run_predict,
)
from rasterio.crs import CRS
from rasterio.env import get_gdal_config
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.datasets import IntersectionDataset, RasterDataset, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.errors import MetadataError, OutputError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.cog import write_cog

pytestmark = QUIET


@pytest.mark.parametrize(
    ('size', 'stride'), [(32, 20), (32, 32), (40, 7), (17, 16), (256, 256)]
)
def test_cube_is_the_scene(root: Path, size: int, stride: int) -> None:
    path, writer = run_predict(
        root, output='cube', data={'size': size, 'stride': stride}, delta=2
    )
    scene = make_scene()
    with rasterio.open(path) as src:
        found = src.read()
        assert (src.crs, src.transform) == (UTM33, TRANSFORM)
        assert src.dtypes == ('float32',) * 5
        assert np.isnan(src.nodata)
        assert src.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert src.tags()['TIFFTAG_SOFTWARE'].startswith('torchgeo-hsi')
    np.testing.assert_array_equal(found, np.where(scene == -9999, np.nan, scene))
    with open_cube(path) as cube:
        assert cube.info.bands is not None
        np.testing.assert_allclose(cube.info.bands.wavelength, WAVELENGTH, rtol=1e-6)
        np.testing.assert_allclose(cube.info.bands.fwhm, FWHM, rtol=1e-6)
    assert writer.paths == [path]
    assert leftovers(path.parent) == []


def test_scene_smaller_than_a_tile(tmp_path: Path) -> None:
    scene = make_scene(9, 60)[:, :, 20:33]
    write_cog(tmp_path / 'scene.tif', scene, UTM33, TRANSFORM, -9999)
    path, _ = run_predict(
        tmp_path, output='cube', output_path=tmp_path / 'map.tif', data={'stride': 32}
    )
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(), scene)
        assert src.transform == TRANSFORM


@pytest.mark.parametrize('method', ['cosine', 'linear'])
def test_classes_are_the_argmax_of_the_whole_scene(root: Path, method: str) -> None:
    codes, names = [1, 2, 5, 6, 9], ['water', 'forest', 'field', 'town', 'soil']
    path, _ = run_predict(
        root,
        'probabilities',
        blend_method=method,
        overlap=6,
        class_values=codes,
        class_names=names,
        colors=['blue', '#006400', 'y', '0.5', 'tab:brown'],
    )
    scene = make_scene()
    truth = np.array(codes)[scene.argmax(axis=0)]
    truth[scene[0] == -9999] = 0
    with rasterio.open(path) as src:
        np.testing.assert_array_equal(src.read(1), truth)
        assert (src.count, src.dtypes[0], src.nodata) == (1, 'uint8', 0)
        table = src.colormap(1)
        assert table[1] == (0, 0, 255, 255)
        assert table[2] == (0, 100, 0, 255)
        assert table[0][3] == 0
        assert json.loads(src.tags(1)['class_names']) == dict(
            zip(map(str, codes), names, strict=True)
        )


def test_order_of_tiles_changes_no_bit(root: Path) -> None:
    # a network whose output depends on the place in the tile, so that seams matter
    class Padded(Pixelwise):
        def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Any:
            return torch.nn.functional.avg_pool2d(batch['image'], 5, 1, 2)

    contents = []
    for seed in (None, 1, 2):
        path = root.parent / f'{seed}.tif'
        writer = GeoTIFFCubeWriter(path, output='cube')
        make_trainer(writer).predict(Padded(), SceneData(str(root), seed=seed))
        contents.append(path.read_bytes())
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize('dtype', [None, 'uint8', 'uint16'])
def test_probabilities(root: Path, dtype: str | None) -> None:
    path, _ = run_predict(
        root,
        'probabilities',
        output='probabilities',
        dtype=dtype,
        class_names=list('abcde'),
    )
    scene = make_scene().astype(float)
    truth = np.exp(scene / 50) / np.exp(scene / 50).sum(axis=0)
    with rasterio.open(path) as src:
        found = src.read(masked=True)
        values = found * src.scales[0] + src.offsets[0]
        assert src.descriptions == tuple('abcde')
    missing = scene[0] == -9999
    np.testing.assert_array_equal(found.mask, np.broadcast_to(missing, found.shape))
    tolerance = {None: 1e-6, 'uint8': 0.5 / 254, 'uint16': 0.5 / 65534}[dtype]
    np.testing.assert_allclose(
        values[:, ~missing], truth[:, ~missing], atol=tolerance * 1.01
    )


def test_integer_cube_of_a_restoration_network(root: Path) -> None:
    path, _ = run_predict(root, 'image', output='cube', dtype='int16', denormalize=True)
    scene = make_scene()
    with rasterio.open(path) as src:
        found = src.read()
        assert src.nodata == -32768
    missing = scene[0] == -9999
    assert (found[:, missing] == -32768).all()
    np.testing.assert_allclose(found[:, ~missing], scene[:, ~missing], atol=0.5001)


def test_finer_pixels_of_a_super_resolution_network(root: Path) -> None:
    path, _ = run_predict(root, 'double', output='cube', key='cube')
    scene = np.where(make_scene() == -9999, np.nan, 2 * make_scene())
    with rasterio.open(path) as src:
        found = src.read()
        assert src.transform == TRANSFORM @ Affine.scale(0.5)
        assert src.bounds == rasterio.open(root / 'scene.tif').bounds
    np.testing.assert_array_equal(found, scene.repeat(2, 1).repeat(2, 2))


def test_regression_without_channel_axis(root: Path) -> None:
    path, _ = run_predict(root, 'one', output='regression', class_names=['height'])
    with rasterio.open(path) as src:
        truth = np.where(make_scene()[:1] == -9999, np.nan, make_scene()[:1])
        np.testing.assert_array_equal(src.read(), truth)
        assert src.descriptions == ('height',)
        assert 'wavelength' not in src.tags(1)


def test_several_files_become_one_mosaic(root: Path) -> None:
    second = Affine(30, 0, TRANSFORM.c + 30 * (WIDTH + 40), 0, -30, TRANSFORM.f - 600)
    write_cog(root / 'scene2.tif', make_scene(), UTM33, second, -9999)
    path, _ = run_predict(root, output='cube')
    with rasterio.open(path) as src:
        found = src.read()
        assert src.transform == TRANSFORM
    truth = np.full((5, HEIGHT + 20, 2 * WIDTH + 40), np.nan)
    truth[:, :HEIGHT, :WIDTH] = truth[:, 20:, WIDTH + 40 :] = make_scene()
    truth[truth == -9999] = np.nan
    np.testing.assert_array_equal(found, truth)


def test_intersection_of_datasets(root: Path) -> None:
    # torchgeo joins the georeferences of the two to one long vector
    both = IntersectionDataset(Cubes(str(root)), RasterDataset(str(root)))
    loader = DataLoader(
        both,
        batch_size=2,
        sampler=GriddedPatchSampler(both, size=32, stride=20),
        collate_fn=stack_samples,
    )
    path = root.parent / 'map.tif'
    make_trainer(GeoTIFFCubeWriter(path, output='cube')).predict(Pixelwise(), loader)
    with rasterio.open(path) as src:
        assert src.count == 10
        # five wavelengths say nothing about ten bands
        assert 'wavelength' not in src.tags(1)
        truth = np.where(make_scene() == -9999, np.nan, make_scene())
        np.testing.assert_array_equal(src.read(range(1, 6)), truth)


def test_compression(root: Path) -> None:
    path, _ = run_predict(root, output='cube', crs='EPSG:32633', compress='zstd')
    with rasterio.open(path) as src:
        assert src.crs == CRS.from_epsg(32633)
        assert src.compression.name == 'zstd'


class Nameless(Dataset[Any]):
    """Tiles with a place, of which nobody said in which CRS."""

    def __init__(self, cubes: Cubes) -> None:
        self.cubes, self.bounds, self.res = cubes, cubes.bounds, cubes.res
        self.places = list(GriddedPatchSampler(cubes, size=64))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        return self.cubes[self.places[index]]


def test_crs_for_a_dataset_without_one(root: Path) -> None:
    loader = DataLoader(Nameless(Cubes(str(root))), collate_fn=stack_samples)
    path = root.parent / 'map.tif'
    writer = GeoTIFFCubeWriter(path, output='cube', crs='EPSG:32632')
    make_trainer(writer).predict(Pixelwise(), loader)
    with rasterio.open(path) as src:
        assert src.crs == CRS.from_epsg(32632)


def test_another_crs_is_no_warp(root: Path) -> None:
    with pytest.raises(MetadataError, match=r'EPSG:32633.*crs=EPSG:4326'):
        run_predict(root, output='cube', crs='EPSG:4326')


def test_output_path_is_a_folder(root: Path) -> None:
    with pytest.raises(OutputError, match='is a folder'):
        run_predict(root, output='cube', output_path=root)


@pytest.mark.realdata
def test_real_scene_becomes_whole_again(potsdam: Path, tmp_path: Path) -> None:
    # sixteen files of one scene, joined from tiles that lie across their borders
    scenes = EnMAPL2A(potsdam / 'images')
    sampler = GriddedPatchSampler(scenes, size=20, stride=13)
    loader = DataLoader(scenes, batch_size=8, sampler=sampler, collate_fn=stack_samples)
    path = tmp_path / 'map.tif'
    writer = GeoTIFFCubeWriter(path, output='cube', dtype='int16')
    make_trainer(writer).predict(Pixelwise(), loader)
    with rasterio.open(path) as src, open_cube(path) as cube:
        assert src.crs == scenes.crs
        assert cube.info.bands is not None
        np.testing.assert_allclose(
            cube.info.bands.wavelength, scenes.bandset.wavelength, rtol=1e-6
        )
        np.testing.assert_array_equal(cube.info.bands.good, scenes.bandset.good)
        assert src.descriptions == scenes.bandset.names
        for file in scenes.files:
            with rasterio.open(file) as tile:
                # the bands of the product in its own order
                order = np.argsort(
                    [float(tile.tags(i)['wavelength']) for i in tile.indexes]
                )
                window = src.window(*tile.bounds)
                found = src.read(window=window.round_offsets().round_lengths())
                names = [f'B{i + 1}' for i in order]
                index = [int(order[names.index(n)]) + 1 for n in src.descriptions]
                truth = tile.read(index)
            missing = (truth == -32768).any(axis=0)
            assert (found[:, missing] == -32768).all()
            np.testing.assert_allclose(
                found[:, ~missing], truth[:, ~missing], atol=0.5001
            )


class TestMemory:
    def test_predictions_are_not_kept(self, root: Path) -> None:
        class Watch(pl.Callback):
            alive: int = 0
            seen: list[Any]

            def on_predict_batch_end(
                self, trainer: Any, module: Any, outputs: Any, *_: Any
            ) -> None:
                self.seen = getattr(self, 'seen', [])
                self.alive = max(self.alive, sum(r() is not None for r in self.seen))
                self.seen.append(weakref.ref(outputs))

        watch = Watch()
        path = root.parent / 'map.tif'
        trainer = make_trainer(GeoTIFFCubeWriter(path, output='cube'), watch)
        task = Pixelwise('image')
        assert trainer.predict(task, SceneData(str(root))) is None
        assert trainer.predict_loop.predictions == []
        assert len(watch.seen) > 5
        assert watch.alive <= 1

    def test_predictions_are_kept_on_request(self, root: Path) -> None:
        path = root.parent / 'map.tif'
        writer = GeoTIFFCubeWriter(path, output='cube', keep_predictions=True)
        predictions = make_trainer(writer).predict(
            Pixelwise('image'), SceneData(str(root))
        )
        assert predictions is not None
        assert len(predictions) > 5
        # what the writer masks must not reach what the caller gets
        assert all(torch.isfinite(p).all() for p in predictions)

    def test_cache_is_bound_during_prediction_only(self, root: Path) -> None:
        before = get_gdal_config('GDAL_CACHEMAX')
        found = []

        class Watch(pl.Callback):
            def on_predict_batch_end(self, *_: Any) -> None:
                found.append(get_gdal_config('GDAL_CACHEMAX'))

        path = root.parent / 'map.tif'
        writer = GeoTIFFCubeWriter(path, output='cube', cache_mb=7)
        make_trainer(writer, Watch()).predict(Pixelwise(), SceneData(str(root)))
        assert set(found) == {7 << 20}
        assert get_gdal_config('GDAL_CACHEMAX') == before
