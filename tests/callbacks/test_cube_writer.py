# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of whole-scene output through Lightning and torchgeo's samplers."""

import json
import sys
import weakref
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import rasterio
import torch
import yaml
from affine import Affine
from callbacks.cube_scenes import (
    FWHM,
    HEIGHT,
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
from helpers.processes import Nursery
from rasterio.crs import CRS
from rasterio.env import get_gdal_config
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.datasets import IntersectionDataset, RasterDataset, stack_samples
from torchgeo.samplers import GriddedPatchSampler
from torchgeo.tasks import PixelwiseRegression, SemanticSegmentation

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.errors import MetadataError, OutputError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.cog import write_cog

pytestmark = [
    pytest.mark.filterwarnings('ignore:.*does not have many workers'),
    pytest.mark.filterwarnings('ignore:.*infer the batch indices'),
]


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


@pytest.mark.parametrize('task', ['multiclass', 'binary'])
def test_stock_segmentation(root: Path, task: Any) -> None:
    torch.manual_seed(0)
    count = 4 if task == 'multiclass' else None
    labels = ['a', 'b', 'c', 'd'] if task == 'multiclass' else None
    model = SemanticSegmentation(
        model='fcn',
        backbone='resnet18',
        in_channels=5,
        task=task,
        num_classes=count,
        num_filters=2,
        loss='ce' if task == 'multiclass' else 'bce',
        ignore_index=0 if task == 'multiclass' else None,
        labels=labels,
    )
    path = root.parent / 'map.tif'
    make_trainer(GeoTIFFCubeWriter(path)).predict(model, SceneData(str(root)))
    with rasterio.open(path) as src:
        found = src.read(1)
        if task == 'multiclass':
            # class 0 was ignored in training, so it is free for nodata
            assert src.nodata == 0
            assert json.loads(src.tags(1)['class_names'])['3'] == 'd'
        else:
            assert src.nodata == 255
    missing = make_scene()[0] == -9999
    np.testing.assert_array_equal(found == (0 if count else 255), missing)


def test_stock_regression(root: Path) -> None:
    model = PixelwiseRegression(model='fcn', in_channels=5, num_filters=2)
    path = root.parent / 'map.tif'
    writer = GeoTIFFCubeWriter(path, output='regression')
    make_trainer(writer).predict(model, SceneData(str(root)))
    with rasterio.open(path) as src:
        assert (src.count, src.shape) == (1, (HEIGHT, WIDTH))
        np.testing.assert_array_equal(np.isnan(src.read(1)), make_scene()[0] == -9999)


def test_stock_command_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchgeo.main import main

    path = root.parent / 'map.tif'
    writer = {'output_path': str(path), 'overlap': 4, 'class_names': list('abcd')}
    config = {
        'trainer': {
            'accelerator': 'cpu',
            'logger': False,
            'enable_progress_bar': False,
            'callbacks': [
                {
                    'class_path': 'torchgeo_hsi.callbacks.GeoTIFFCubeWriter',
                    'init_args': writer,
                }
            ],
        },
        'model': {
            'class_path': 'torchgeo.tasks.SemanticSegmentation',
            'init_args': {
                'model': 'fcn',
                'in_channels': 5,
                'task': 'multiclass',
                'num_classes': 4,
                'num_filters': 2,
            },
        },
        'data': {
            'class_path': 'callbacks.cube_scenes.StockData',
            'init_args': {'root': str(root)},
        },
    }
    (root.parent / 'config.yaml').write_text(yaml.safe_dump(config))
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr(sys, 'argv', ['torchgeo'])
    main(['predict', '--config', 'config.yaml'])
    with rasterio.open(path) as src:
        assert src.shape == (HEIGHT, WIDTH)
        assert set(np.unique(src.read(1))) <= {0, 1, 2, 3, 255}


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


def predict_with_two(root: Path, path: Path) -> None:
    """Predict with two processes, which Lightning forks."""
    writer = GeoTIFFCubeWriter(path, output='probabilities')
    trainer = make_trainer(writer, strategy='ddp_fork', devices=2)
    task, data = Pixelwise('probabilities'), SceneData(str(root))
    trainer.predict(task, data, return_predictions=False)


def test_two_processes_give_the_same_file(root: Path, together: Nursery) -> None:
    single, _ = run_predict(root, 'probabilities', output='probabilities')
    path = root.parent / 'out' / 'two.tif'
    together(predict_with_two, (root, path))
    assert path.read_bytes() == single.read_bytes()
    assert leftovers(path.parent) == []
