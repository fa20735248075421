# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from data.emit_l2a.data import NORTH, PIXEL, WEST, Granule, make_granule

from torchgeo_hsi.datasets import EMITL2A, _scenes
from torchgeo_hsi.datasets._handles import ReaderCache
from torchgeo_hsi.datasets._index import find_scenes
from torchgeo_hsi.errors import CorruptFileError
from torchgeo_hsi.io import CubeReader, EMITL2AReader
from torchgeo_hsi.io.store import FieldSpec, StoreSpec, create_store

PLACE = (
    slice(WEST + 5 * PIXEL, WEST + 25 * PIXEL),
    slice(NORTH - 25 * PIXEL, NORTH - 5 * PIXEL),
)


@pytest.fixture
def granule(tmp_path: Path) -> Granule:
    return make_granule(tmp_path / 'products')


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder that is a store."""
    path = tmp_path / 'stores' / 'deep' / 'scene.zarr'
    fields = {'image': FieldSpec((2, 4, 4), 'int16')}
    create_store(path, StoreSpec(fields, items=1, shard_items=1, attributes={}))
    return path


class Stored(EMITL2AReader):
    """A reader of a folder, in place of one of stores."""

    def __init__(self, path: str, product: Path) -> None:
        super().__init__(product)
        self.info = dataclasses.replace(self.info, path=path)


def test_stores_are_scenes(
    granule: Granule, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_cube(path: str) -> CubeReader:
        opened.append(path)
        return Stored(path, granule.path)

    monkeypatch.setattr(_scenes, 'open_cube', open_cube)
    product = EMITL2A(granule.path)[PLACE]
    for paths in (store, store.parents[1]):
        opened.clear()
        stored = EMITL2A(paths)
        assert stored.files == opened == [str(store)]
        sample = stored[PLACE]
        for key, values in product.items():
            assert torch.equal(sample[key], values), key
    both = EMITL2A([granule.path, store])
    assert both.files == [str(granule.path), str(store)]
    pickle.dumps(both)


def test_find_scenes(tmp_path: Path, store: Path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'x.cube').touch()
    (tmp_path / 'b').symlink_to(tmp_path / 'a')

    def search(path: str) -> tuple[list[str], str]:
        found = sorted(str(file) for file in Path(path).glob('*.cube'))
        return found, f'{path} is bare'

    paths = [tmp_path / 'b', tmp_path / 'a', tmp_path / 'stores']
    found = find_scenes(paths, search, 'X', 'cubes')
    # the same file by two ways comes once
    assert found == [str(tmp_path / 'b' / 'x.cube'), str(store)]


def test_open_scenes_are_limited(tmp_path: Path) -> None:
    granules = [
        make_granule(
            tmp_path,
            size=(12, 10),
            bands=8,
            angle=0,
            scene=f'20220903T16312{n}_2224611_01{n}',
        )
        for n in range(3)
    ]
    cache = ReaderCache(EMITL2AReader, limit=2)
    readers = []
    for granule in granules:
        with cache.open(str(granule.path)) as reader:
            readers.append(reader)
    with pytest.raises(CorruptFileError, match='closed'):
        readers[0].read([0])
    values, _ = readers[2].read([0])
    assert np.isfinite(values).all()
    assert pickle.loads(pickle.dumps(cache)).limit == 2
    assert EMITL2A.open_scenes == 8
