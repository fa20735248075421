# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of reading stores, against the arrays and against other readers of Zarr."""

import gc
import multiprocessing
import os
import pickle
import shutil
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_store import MISSING, SPEC, arrays, items

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError, UnknownNameError
from torchgeo_hsi.io.store import FieldSpec, StoreReader, StoreSpec, create_store

PRESENT = [i for i in range(SPEC.items) if i not in MISSING]


@pytest.fixture
def reader(store: Path) -> StoreReader:
    return StoreReader(store)


def _sum(reader: StoreReader, index: int) -> int:
    return int(reader.read(index)['image'].sum())


class TestOtherReaders:
    def test_zarr(self, store: Path) -> None:
        zarr = pytest.importorskip('zarr')
        group = zarr.open_group(store, mode='r')
        assert sorted(name for name, _ in group.arrays()) == sorted(SPEC.fields)
        for name, array in arrays().items():
            assert np.array_equal(group[name][:], array)
            assert group[name].dtype == array.dtype

    def test_tensorstore(self, store: Path) -> None:
        if pytest.importorskip('tensorstore') is None:
            return
        # it ends processes that fork later on, so it gets one of its own
        context = multiprocessing.get_context('spawn')
        with context.Pool(1) as pool:
            found = pool.apply(_by_tensorstore, (str(store),))
        for name, array in arrays().items():
            assert np.array_equal(found[name], array)

    def test_xarray(self, store: Path) -> None:
        xarray = pytest.importorskip('xarray')
        with xarray.open_zarr(store) as dataset:
            assert dataset['image'].dims[:2] == ('item', 'image_band')
            assert np.array_equal(dataset['image'].values, arrays()['image'])


def _by_tensorstore(path: str) -> dict[str, Any]:
    import tensorstore

    return {
        name: tensorstore.open({'driver': 'zarr3', 'kvstore': f'file://{path}/{name}/'})
        .result()
        .read()
        .result()
        for name in SPEC.fields
    }


class TestRead:
    @pytest.mark.parametrize('threads', [1, 3])
    def test_all(self, store: Path, threads: int) -> None:
        reader = StoreReader(store, threads=threads)
        truth = arrays()
        for index in PRESENT:
            sample = reader.read(index)
            assert list(sample) == list(SPEC.fields)
            for name, array in sample.items():
                assert array.dtype == truth[name].dtype
                assert np.array_equal(array, truth[name][index])

    @pytest.mark.parametrize('threads', [1, 3])
    def test_many(self, store: Path, threads: int) -> None:
        order = [7, 0, 4, 0, 3]
        many = StoreReader(store, threads=threads).read_many(order)
        for name, array in arrays().items():
            assert np.array_equal(many[name], array[order])
        none = StoreReader(store).read_many([])
        assert none['image'].shape == (0, 22, 128, 128)

    @pytest.mark.parametrize(
        'bands', [[0], [21], [4, 3], [0, 0, 4], range(2, 5), [], range(5)]
    )
    def test_bands(self, reader: StoreReader, bands: Any) -> None:
        # the same bands of both fields that have some
        spec = {name: array[[3, 6]] for name, array in arrays().items()}
        if max(bands, default=0) > 4:
            with pytest.raises(BandMismatchError, match='0 to 4'):
                reader.read_many([3, 6], bands)
            many = reader.read_many([3, 6], bands, ['image'])
        else:
            many = reader.read_many([3, 6], bands)
            assert np.array_equal(many['pair'], spec['pair'][:, :, list(bands)])
            assert np.array_equal(many['valid'], spec['valid'])
        assert np.array_equal(many['image'], spec['image'][:, list(bands)])

    def test_fields(self, reader: StoreReader) -> None:
        assert list(reader.read(0, fields=['valid', 'label'])) == ['valid', 'label']
        with pytest.raises(UnknownNameError, match=r"field 'imag'.*image"):
            reader.read(0, fields=['imag'])

    def test_into_arrays(self, reader: StoreReader) -> None:
        out = {'image': np.full((22, 128, 128), np.nan, np.float32)}
        sample = reader.read(2, out=out)
        assert sample['image'] is not None
        assert np.array_equal(out['image'], arrays()['image'][2])
        some = {'image': np.empty((2, 3, 128, 128), np.float64)}
        reader.read_many([2, 3], [20, 1, 2], ['image'], some)
        assert np.array_equal(some['image'], arrays()['image'][2:4][:, [20, 1, 2]])
        with pytest.raises(ValueError, match='of shape'):
            reader.read(2, [0], out=out)

    def test_results_belong_to_the_caller(self, reader: StoreReader) -> None:
        for array in reader.read(0).values():
            array[...] = 0
        for name, array in reader.read(0).items():
            assert np.array_equal(array, arrays()[name][0])

    def test_bad_items(self, reader: StoreReader) -> None:
        for index in (-1, 11):
            with pytest.raises(IndexError, match='0 to 10'):
                reader.read(index)
        with pytest.raises(IndexError, match='could not be read'):
            reader.read(5)

    def test_bad_bands(self, reader: StoreReader) -> None:
        with pytest.raises(BandMismatchError, match='0 to 21'):
            reader.read(0, [22], ['image'])
        with pytest.raises(BandMismatchError, match='0 to 21'):
            reader.read(0, [-1], ['image'])


class TestMetadata:
    def test_metadata(self, reader: StoreReader) -> None:
        assert len(reader) == 11
        assert reader.spec == SPEC
        assert reader.attributes == SPEC.attributes
        assert list(reader.items) == items()

    def test_shards(self, reader: StoreReader) -> None:
        assert [s.tolist() for s in reader.shards] == [[0, 1, 2, 3], [4, 6, 7], []]

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match='Check the path'):
            StoreReader(tmp_path)

    def test_unfinished(self, tmp_path: Path) -> None:
        create_store(tmp_path, StoreSpec({'a': FieldSpec((), 'int8')}, 1, 1))
        with pytest.raises(FileNotFoundError, match='not finished'):
            StoreReader(tmp_path)


class TestDamage:
    @pytest.fixture
    def copy(self, tmp_path: Path, store: Path) -> Path:
        return Path(shutil.copytree(store, tmp_path / 's'))

    @pytest.mark.parametrize('name', ['image/c.0.0.0.0', 'label/c.0'])
    def test_missing(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(CorruptFileError, match='lacks'):
            StoreReader(copy).read(0)
        # other shards are not affected
        StoreReader(copy).read(4)

    @pytest.mark.parametrize('size', [0, 10, 1000])
    def test_truncated(self, copy: Path, size: int) -> None:
        file = copy / 'image' / 'c.0.0.0.0'
        file.write_bytes(file.read_bytes()[:size])
        with pytest.raises(CorruptFileError, match=r'damaged|truncated'):
            StoreReader(copy).read(3)

    @pytest.mark.parametrize('place', [0, 100])
    def test_index(self, copy: Path, place: int) -> None:
        file = copy / 'image' / 'c.0.0.0.0'
        content = bytearray(file.read_bytes())
        content[place] ^= 1
        file.write_bytes(content)
        with pytest.raises(CorruptFileError, match='index'):
            StoreReader(copy).read(0)

    @pytest.mark.parametrize('byte', range(16))
    def test_header_of_a_chunk(self, copy: Path, byte: int) -> None:
        file = copy / 'valid' / 'c.0.0.0'
        content = bytearray(file.read_bytes())
        content[16 * 4 + 4 + byte] ^= 0xFF
        file.write_bytes(content)
        try:
            StoreReader(copy).read(0)
        except CorruptFileError:
            return
        # what is left are flags that do not change the size of anything
        assert byte < 4

    @pytest.mark.parametrize('content', [b'{', b'[]', b'{"attributes": {}}'])
    def test_metadata(self, copy: Path, content: bytes) -> None:
        (copy / 'zarr.json').write_bytes(content)
        with pytest.raises((CorruptFileError, ValueError), match=r'damaged|no store'):
            StoreReader(copy)


class TestProcesses:
    def test_pickle(self, reader: StoreReader) -> None:
        again = pickle.loads(pickle.dumps(reader))
        assert _sum(again, 3) == _sum(reader, 3)
        assert again.checksum == reader.checksum

    def test_threads(self, store: Path) -> None:
        reader = StoreReader(store, threads=2, cache_mb=0)
        truth = arrays()['image']
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda i: reader.read(i)['image'], PRESENT * 5)
            assert all(
                np.array_equal(image, truth[i])
                for image, i in zip(found, PRESENT * 5, strict=True)
            )

    @pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
    def test_fork_of_a_reader_in_use(self, store: Path) -> None:
        reader = StoreReader(store, threads=2)
        expected = [_sum(reader, index) for index in (0, 4)]
        pid = os.fork()
        if not pid:
            good = [_sum(reader, index) for index in (0, 4)] == expected
            os._exit(0 if good else 1)
        assert os.waitpid(pid, 0)[1] == 0

    def test_memory_of_the_cache_is_bound(self, store: Path) -> None:
        reader = StoreReader(store, cache_mb=1e-3)
        for index in PRESENT:
            reader.read(index)
        memory = reader._chunks._memory
        assert memory._used == sum(array.nbytes for array in memory._held.values())
        assert memory._used <= 1.1e3

    def test_memory_does_not_grow(self, store: Path) -> None:
        reader = StoreReader(store, threads=1)
        tracemalloc.start()
        try:
            for index in PRESENT:
                reader.read(index)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for index in PRESENT * 20:
                reader.read(index)
            gc.collect()
            # a tenth of one of the 140 images
            assert tracemalloc.get_traced_memory()[0] - before < 7e4
        finally:
            tracemalloc.stop()
