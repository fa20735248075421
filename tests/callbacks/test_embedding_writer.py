# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Embeddings as a table, and as a raster."""

import builtins
import json
import warnings
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from callbacks.pretraining import contrast, make_trainer
from data.tiles.data import holes, make_tiles
from helpers.processes import Nursery
from lightning.pytorch import LightningModule
from pyproj import CRS, Transformer
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.callbacks.embedding_writer import EmbeddingWriter
from torchgeo_hsi.datamodules import EnMAPL2ADataModule
from torchgeo_hsi.errors import (
    EmptyDataError,
    MetadataError,
    NodataWarning,
    OutputError,
)

parquet = pytest.importorskip('pyarrow.parquet')

ROOT = Path(__file__).parents[2]
ZONES = (32633, 32632)


class Images(Dataset[Any]):
    """Images of two values, with places in two zones."""

    def __init__(self, count: int = 23, place: bool = True, crs: bool = True) -> None:
        self.count, self.place, self.with_crs = count, place, crs
        self.files = [f'patch_{i}.tif' for i in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = {
            'image': torch.full((2, 4, 4), float(index)),
            'valid': torch.ones(4, 4, dtype=torch.bool),
            'label': torch.tensor(index % 3),
            'wavelength': torch.tensor([0.5, 0.6]),
            'season': ('spring', 'autumn')[index % 2],
        }
        if index == 5:
            sample['valid'][:] = False
        if index == 6:
            sample['valid'][0] = False
        if self.place:
            west, south = 300_000.0 + 120 * index, 5_800_000.0
            box = [west, west + 120, 30, south, south + 120, 30, 0, 1, 1]
            sample['bounds'] = torch.tensor(box)
            if index == 7:
                sample['bounds'] = torch.full((9,), torch.nan)
        if self.with_crs:
            sample['crs'] = f'EPSG:{ZONES[index % 2]}'
        return sample


class Means(LightningModule):
    """Embeddings that say which image they are of."""

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        first = batch['image'][:, 0].mean((1, 2))
        return {'embedding': torch.stack([first, first / 3, -first], dim=1)}


def run(path: Path, dataset: Any = None, **options: Any) -> Any:
    writer = EmbeddingWriter(path, **options)
    loader = DataLoader(Images() if dataset is None else dataset, batch_size=4)
    make_trainer(path.parent, writer).predict(Means(), loader)
    return parquet.ParquetFile(path)


@pytest.mark.filterwarnings('ignore:1 images have no valid')
def test_rows(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'embeddings.parquet'
    file = run(path, row_group_size=5)
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [5, 5, 5, 5, 3]
    table = file.read()
    assert table.column('index').to_pylist() == list(range(23))
    assert table.column('file').to_pylist()[3] == 'patch_3.tif'
    assert table.column('label').to_pylist() == [i % 3 for i in range(23)]
    assert table.column('season').to_pylist()[:2] == ['spring', 'autumn']
    assert 'wavelength' not in table.column_names
    assert table.column('valid').to_pylist()[5:8] == [0, 0.75, 1]
    rows = table.column('embedding').to_pylist()
    assert str(table.schema.field('embedding').type) == 'list<element: float>'
    assert rows[5] is None
    want = [[i, np.float32(i / 3), -i] for i in range(23) if i != 5]
    np.testing.assert_allclose([row for row in rows if row], want, rtol=1e-6)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.filterwarnings('ignore:1 images have no valid')
@pytest.mark.parametrize('crs', ['EPSG:4326', 'EPSG:32633'])
def test_geometry(tmp_path: Path, crs: str) -> None:
    path = tmp_path / 'embeddings.parquet'
    run(path, crs=crs)
    frame = geopandas.read_parquet(path)
    assert frame.crs == CRS(crs)
    assert frame.geometry.isna().tolist() == [i == 7 for i in range(23)]
    for i in (0, 3, 22):
        change = Transformer.from_crs(ZONES[i % 2], crs, always_xy=True)
        west = 300_000 + 120 * i
        corners = [
            change.transform(x, y)
            for x in (west, west + 120)
            for y in (5_800_000, 5_800_120)
        ]
        found = set(frame.geometry[i].exterior.coords)
        assert len(found) == 4
        want = np.array(sorted(corners))
        np.testing.assert_allclose(sorted(found), want, rtol=0, atol=1e-6)
    np.testing.assert_allclose(frame.embedding[2], [2, 2 / 3, -2], rtol=1e-6)
    metadata = json.loads(parquet.read_schema(path).metadata[b'geo'])
    assert metadata['columns']['geometry']['encoding'] == 'WKB'


@pytest.mark.filterwarnings('ignore:1 images have no valid')
def test_without_a_place(tmp_path: Path) -> None:
    path = tmp_path / 'embeddings.parquet'
    run(path, Images(place=False), columns=['label'], compress='none')
    columns = parquet.read_schema(path).names
    assert columns == ['index', 'file', 'valid', 'label', 'embedding']
    assert b'geo' not in (parquet.read_schema(path).metadata or {})
    # bounds in nobody knows what
    run(path, Images(crs=False))
    frame = pd.read_parquet(path)
    assert 'geometry' not in frame
    assert frame.xmin[2] == 300_240
    assert frame.ymax[2] == 5_800_120


def test_warning_names_what_is_lost(tmp_path: Path) -> None:
    with pytest.warns(NodataWarning, match='1 images have no valid pixel'):
        run(tmp_path / 'embeddings.parquet')


def predict_with_two(path: Path) -> None:
    """Predict with two processes, which Lightning forks."""
    warnings.simplefilter('ignore', NodataWarning)
    writer = EmbeddingWriter(path, row_group_size=5)
    trainer = make_trainer(path.parent, writer, strategy='ddp_fork', devices=2)
    loader = DataLoader(Images(), batch_size=4)
    trainer.predict(Means(), loader, return_predictions=False)


@pytest.mark.filterwarnings('ignore:. images have no valid')
def test_two_processes_give_the_same_rows(tmp_path: Path, together: Nursery) -> None:
    single = run(tmp_path / 'one.parquet', row_group_size=5).read()
    together(predict_with_two, (tmp_path / 'two.parquet',))
    file = parquet.ParquetFile(tmp_path / 'two.parquet')
    assert file.read().equals(single)
    assert file.num_row_groups == 5
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['one.parquet', 'two.parquet']


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    class Fails(Means):
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            if batch_idx == 3:
                raise RuntimeError('no more')
            return super().predict_step(batch, batch_idx)

    path = tmp_path / 'embeddings.parquet'
    path.write_bytes(b'old')
    trainer = make_trainer(tmp_path, EmbeddingWriter(path, row_group_size=2))
    with pytest.raises(RuntimeError, match='no more'):
        trainer.predict(Fails(), DataLoader(Images(), batch_size=4))
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'embeddings.parquet'
    for words in ({'row_group_size': 0}, {'compress': 'rar'}):
        with pytest.raises(ValueError, match='row_group_size of 1 or more'):
            EmbeddingWriter(path, **words)  # type: ignore[arg-type]
    with pytest.raises(MetadataError, match=r"'features'.*'embedding'.*predict: image"):
        run(path, key='features')
    with pytest.raises(MetadataError, match=r"'wavelength'.*Change columns"):
        run(path, columns=['wavelength'])
    assert not path.exists()
    with pytest.raises(OutputError, match='is a folder'):
        run(tmp_path)
    path.write_bytes(b'old')
    with pytest.raises(OutputError, match='exists already'):
        run(path, overwrite=False)
    with pytest.raises(EmptyDataError, match='not a single image'):
        run(path, Images(0))

    original = builtins.__import__

    def no_pyarrow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith('pyarrow'):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', no_pyarrow)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[parquet\]'):
        run(path)


def test_columns_that_change(tmp_path: Path) -> None:
    class Changes(Images):
        def __getitem__(self, index: int) -> dict[str, Any]:
            sample = super().__getitem__(index)
            if index >= 8:
                del sample['label']
            return sample

    with pytest.raises(MetadataError, match=r'other columns.*label'):
        run(tmp_path / 'embeddings.parquet', Changes())


def test_features_that_change(tmp_path: Path) -> None:
    class Changes(Means):
        def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
            found = super().predict_step(batch, batch_idx)
            if batch_idx == 2:
                found['embedding'] = found['embedding'][:, :2]
            return found

    path = tmp_path / 'embeddings.parquet'
    with pytest.raises(MetadataError, match=r'of 3 features.* got 2\.'):
        make_trainer(tmp_path, EmbeddingWriter(path)).predict(
            Changes(), DataLoader(Images(), batch_size=4)
        )
    assert not path.exists()


@pytest.fixture
def scenes(tmp_path: Path) -> EnMAPL2ADataModule:
    images, _ = make_tiles(tmp_path / 'tiles')
    return EnMAPL2ADataModule(
        str(images),
        predict_paths=[str(images / f'tile_{name}.tif') for name in 'ab'],
        batch_size=2,
        patch_size=16,
        overlap=0,
        statistics='spectral_earth',
    )


def test_scene_as_a_table(tmp_path: Path, scenes: EnMAPL2ADataModule) -> None:
    task = contrast(in_channels=202)
    path = tmp_path / 'scene.parquet'
    writer = EmbeddingWriter(path, keep_predictions=True)
    made = make_trainer(tmp_path, writer).predict(task, datamodule=scenes)
    frame = geopandas.read_parquet(path)
    want = torch.cat([part['embedding'] for part in made])  # type: ignore[index, union-attr, call-overload]
    assert len(frame) == len(want) == 2
    np.testing.assert_array_equal(np.stack(frame.embedding), want.numpy())
    with rasterio.open(scenes.predict_paths[0]) as src:
        corner = Transformer.from_crs(src.crs, 4326, always_xy=True).transform(
            *(src.transform @ (0, 0))
        )
    west, south, _, north = frame.total_bounds
    assert south < north
    np.testing.assert_allclose((west, north), corner, atol=1e-3)


def test_scene_as_a_raster(tmp_path: Path, scenes: EnMAPL2ADataModule) -> None:
    task = contrast(in_channels=202, predict='pixels')
    path = tmp_path / 'scene.tif'
    writer = GeoTIFFCubeWriter(
        path, output='regression', key='prediction', keep_predictions=True
    )
    made = make_trainer(tmp_path, writer).predict(task, datamodule=scenes)
    assert made is not None
    first = made[0]['prediction'][0]  # type: ignore[index, call-overload]
    image = rasterio.open(scenes.predict_paths[0])
    with rasterio.open(path) as src, image:
        assert src.count == len(first) == 64
        assert src.crs == image.crs
        assert src.shape == (16, 32)
        values = src.read()
    assert np.array_equal(
        np.isnan(values).all(axis=0), np.hstack([holes('a'), holes('b')])
    )
    np.testing.assert_allclose(values[:, :, :16], first.numpy(), atol=1e-5)
