# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What comes out of a store is what the dataset gave."""

import pickle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.hyspecnet.data import write_hyspecnet
from data.spectral_earth.data import TREE, write_tree
from data.spectral_earth_downstream.data import write_downstream
from data.stores.data import Numbers, write_store
from torch.utils.data import DataLoader, Subset

from tests.datasets.stored_values import Listed, Values, same
from torchgeo_hsi.datasets import (
    HSIHySpecNet11k,
    SpectralEarth,
    SpectralEarthCDL,
    SpectralEarthCORINE,
    StoredPatches,
)
from torchgeo_hsi.datasets._store_parts import decode_samples, sample_parts
from torchgeo_hsi.datasets._store_samples import encode_samples, plan_store
from torchgeo_hsi.datasets.stored_patches import holds_store
from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnknownNameError,
)
from torchgeo_hsi.io.store import FieldSpec, StoreSpec, create_store
from torchgeo_hsi.physics import BandSet


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('tree')
    write_tree(folder / 'files')
    files = SpectralEarth(folder / 'files', item='patch', georeference=True)
    write_store(folder / 'store', {'': files}, shard_mb=0.3)
    return folder


@pytest.fixture(scope='module')
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('numbers') / 'store'
    parts = {'train': Numbers(0, 11), 'val': Numbers(11, 4)}
    write_store(path, parts, missing=(2, 12))
    return path


class TestSamples:
    @pytest.mark.parametrize('dtype', ['float32', 'int16'])
    def test_pretraining(self, tree: Path, dtype: Any) -> None:
        files = SpectralEarth(tree / 'files', item='patch', georeference=True)
        store = StoredPatches(
            tree / 'store', dtype='stored' if dtype == 'int16' else dtype
        )
        assert len(store) == len(files) == sum(map(len, TREE.values()))
        assert not store[0]['valid'].all()
        for i, sample in enumerate(files):
            same(store[i], sample, getattr(torch, dtype))
        assert store.bandset == files.bandset

    def test_images_of_integers(self, tree: Path, tmp_path: Path) -> None:
        files = SpectralEarth(tree / 'files', item='patch', dtype='int16')
        write_store(tmp_path / 'store', {'': files})
        same(StoredPatches(tmp_path / 'store', dtype='stored')[1], files[1])
        same(StoredPatches(tmp_path / 'store')[1], files[1], torch.float32)

    def test_downstream(self, tmp_path: Path) -> None:
        write_downstream(tmp_path, 'cdl')
        files = {s: SpectralEarthCDL(tmp_path, s) for s in ('train', 'val')}
        write_store(tmp_path / 'store', files)
        for split, wanted in files.items():
            store = StoredPatches(tmp_path / 'store', split)
            assert len(store) == len(wanted)
            for i, sample in enumerate(wanted):
                same(store[i], sample)
            assert store.files == wanted.files
            assert store.scenes == wanted.scenes
            assert store.classes == wanted.classes
        assert store.attributes['ignore_index'] == wanted.ignore_index
        figure = store.plot(store[0], suptitle='A patch')
        assert figure.get_suptitle() == 'A patch'
        plt.close(figure)

    def test_labels_of_whole_patches(self, tmp_path: Path) -> None:
        write_downstream(tmp_path, 'corine')
        files = SpectralEarthCORINE(tmp_path, num_classes=43, return_mask=True)
        write_store(tmp_path / 'store', {'train': files})
        store = StoredPatches(tmp_path / 'store')
        for i, sample in enumerate(files):
            same(store[i], sample)

    def test_hyspecnet(self, tmp_path: Path) -> None:
        write_hyspecnet(tmp_path)
        files = HSIHySpecNet11k(str(tmp_path), 'train')
        write_store(tmp_path / 'store', {'train': files})
        store = StoredPatches(tmp_path / 'store', 'train')
        for i, sample in enumerate(files):
            same(store[i], sample)
        assert store.scenes == files.scenes

    def test_all_kinds_of_entries(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)

        def make(number: int) -> Values:
            return {
                'image': torch.from_numpy(rng.random((2, 9, 9), np.float32)),
                'pan': torch.from_numpy(rng.random((1, 18, 18))),
                'valid': torch.from_numpy(rng.random((9, 9)) < 0.5),
                'label': torch.tensor(number),
                'score': torch.tensor([number / 3, np.nan], dtype=torch.float64),
                'wavelength': torch.tensor([0.5, 0.6]) + number * 1e-7,
                'flag': number % 2 == 0,
                'note': f'Größe {number}',
                'weight': number / 7,
                # as the item itself has
                'index': 40 + number,
                'name': 'mine',
            }

        samples = [make(i) for i in range(7)]
        write_store(tmp_path / 's', {'train': Listed(samples, files=[*'abcdefg'])})
        store = StoredPatches(tmp_path / 's', 'train')
        for i, sample in enumerate(samples):
            same(store[i], sample)
        assert store.files == [*'abcdefg']
        with pytest.raises(MetadataError, match='does not describe its bands'):
            _ = store.bandset
        with pytest.raises(MetadataError, match='Leave out bands'):
            StoredPatches(tmp_path / 's', bands=[0])

    @pytest.mark.parametrize(
        'value', [0.5, 40000.0, -32769.0, float('nan'), float('inf'), -0.0]
    )
    def test_what_int16_cannot_hold(self, value: float) -> None:
        image = torch.arange(128.0).reshape(2, 8, 8)
        image[1, 3, 4] = value
        spec = plan_store(Listed([{'image': image}]))
        assert spec.fields['image'].dtype == 'float32'
        arrays, items = encode_samples(spec, [{'image': image}])
        (sample,) = decode_samples(sample_parts(spec), arrays, [items[0] or {}])
        assert sample['image'].numpy().tobytes() == image.numpy().tobytes()
        whole = plan_store(Listed([{'image': torch.ones(2, 8, 8)}]))
        assert whole.fields['image'].dtype == 'int16'
        with pytest.raises(MetadataError, match='whole numbers that fit into int16'):
            encode_samples(whole, [{'image': image}])

    def test_equal_wavelengths_are_kept_once(self, tree: Path) -> None:
        items = StoredPatches(tree / 'store')._reader.items
        assert len(set(items.column('sample.wavelength'))) == 1


class TestPlaces:
    @pytest.mark.parametrize('seed', [0, 1, 2])
    @pytest.mark.parametrize('crop_size', [None, 5])
    @pytest.mark.parametrize('timestamps', ['random', 'first', 'last', 'pair'])
    def test_like_the_files(
        self, tree: Path, timestamps: Any, crop_size: int | None, seed: int
    ) -> None:
        options: Any = {'timestamps': timestamps, 'crop_size': crop_size, 'seed': seed}
        files = SpectralEarth(tree / 'files', **options)
        store = StoredPatches(tree / 'store', item='location', **options)
        assert len(store) == store.num_locations == len(TREE)
        for i, wanted in enumerate(files):
            found = store[i]
            same({key: found[key] for key in wanted}, wanted)

    def test_all_dates(self, tree: Path) -> None:
        files = SpectralEarth(tree / 'files', timestamps='all')
        store = StoredPatches(tree / 'store', item='location', timestamps='all')
        for i, wanted in enumerate(files):
            found = store[i]
            same({key: found[key] for key in wanted}, wanted)
        figure = store.plot(store[3])
        assert len(figure.axes) == 6
        plt.close(figure)

    def test_random_dates_differ(self, tree: Path) -> None:
        torch.manual_seed(0)
        store = StoredPatches(tree / 'store', item='location', dtype='stored')
        seen = {int(store[3]['image'].long().sum()) for _ in range(30)}
        assert len(seen) == 3

    def test_select(self, tree: Path) -> None:
        store = StoredPatches(tree / 'store', item='location', timestamps='all')
        part = store.select([3, 1])
        assert [len(part[i]['image']) for i in range(2)] == [3, 2]
        assert [name.split('/')[0] for name in part.files] == ['0420708', '0000007']
        with pytest.raises(EmptyDataError, match='at least one'):
            store.select([])
        with pytest.raises(IndexError, match='0 to 4'):
            store.select([5])

    def test_shards_by_the_first_patch(self, tree: Path) -> None:
        store = StoredPatches(tree / 'store', item='location')
        numbers = np.concatenate(store.shards)
        assert sorted(numbers) == list(range(len(store)))
        items = store._reader.spec.shard_items
        starts = np.cumsum([0, *map(len, TREE.values())])[:-1]
        for shard in store.shards:
            assert len({starts[i] // items for i in shard}) == 1

    def test_unknown_places(self, numbers: Path) -> None:
        with pytest.raises(MetadataError, match="item='patch'"):
            StoredPatches(numbers, item='location')


class TestReading:
    def test_bands(self, tree: Path) -> None:
        bands = ['B72', 'B44', 0.55]
        files = SpectralEarth(tree / 'files', bands, item='patch', georeference=True)
        store = StoredPatches(tree / 'store', bands=bands)
        assert store.bandset == files.bandset
        for i, sample in enumerate(files):
            # that of all bands
            valid = StoredPatches(tree / 'store')[i]['valid']
            assert not (valid & ~sample['valid']).any()
            same(store[i], {**sample, 'valid': valid})
        with pytest.raises(UnknownNameError, match='B999'):
            StoredPatches(tree / 'store', bands=['B999'])

    def test_splits_and_missing_samples(self, numbers: Path) -> None:
        def labels(split: str | None) -> list[int]:
            store = StoredPatches(numbers, split)
            assert len(store) == len([*store])
            return [int(sample['label']) for sample in store]

        train = [0, 1, *range(3, 11)]
        assert labels('train') == train
        assert labels('val') == [11, 13, 14]
        assert labels(None) == [*train, 11, 13, 14]
        with pytest.raises(UnknownNameError, match=r'Known: train, val'):
            StoredPatches(numbers, 'test')

    def test_shards(self, numbers: Path) -> None:
        store = StoredPatches(numbers, 'train')
        items = store._reader.spec.shard_items
        assert sorted(np.concatenate(store.shards)) == list(range(len(store)))
        for shard in store.shards:
            labels = [int(store[int(i)]['label']) for i in shard]
            assert len({label // items for label in labels}) == 1

    def test_many_at_once(self, numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = StoredPatches(numbers, 'train')
        calls = []
        read = store._reader.read_many

        def count(items: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(list(items))
            return read(items, *args, **kwargs)

        monkeypatch.setattr(store._reader, 'read_many', count)
        assert [int(s['label']) for s in store[[3, -1, 3]]] == [4, 10, 4]
        assert calls == [[4, 10, 4]]
        batches = list(DataLoader(Subset(store, [1, 2, 5]), batch_size=2))
        assert [b['label'].tolist() for b in batches] == [[1, 3], [6]]
        assert calls[1:] == [[1, 3], [6]]

    def test_index(self, numbers: Path) -> None:
        store = StoredPatches(numbers, 'val')
        assert int(store[-1]['label']) == 14
        assert int(store[np.int64(1)]['label']) == 13  # type: ignore[call-overload]
        for index in (3, -4):
            with pytest.raises(IndexError, match='3 samples'):
                store[index]

    def test_samples_are_the_callers_own(self, tree: Path) -> None:
        store = StoredPatches(tree / 'store')
        sample = store[0]
        for value in sample.values():
            value.zero_()
        assert store[0]['wavelength'].all()
        assert store[0]['image'].any()

    def test_in_other_processes(self, numbers: Path) -> None:
        store = pickle.loads(pickle.dumps(StoredPatches(numbers, 'val')))
        loader = DataLoader(store, batch_size=2, num_workers=1)
        assert [b['label'].tolist() for b in loader] == [[11, 13], [14]]

    def test_transforms(self, numbers: Path) -> None:
        store = StoredPatches(
            numbers, transforms=lambda s: {'twice': 2 * s['label']}, crop_size=3
        )
        assert store[3] == {'twice': torch.tensor(8)}

    def test_random_crops(self, numbers: Path) -> None:
        store = StoredPatches(numbers, crop_size=3)
        assert store[0]['image'].shape == (2, 3, 3)


class TestBadInput:
    @pytest.mark.parametrize(
        ('options', 'error', 'match'),
        [
            ({'dtype': 'int16'}, ValueError, "'float32' or 'stored'"),
            ({'item': 'scene'}, ValueError, 'item'),
            ({'timestamps': 'pair'}, ValueError, "item='location'"),
            ({'crop_size': 9}, ValueError, '8 or less'),
            ({'crop_size': 0}, ValueError, '1 or more'),
        ],
    )
    def test_options(
        self, numbers: Path, options: Any, error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            StoredPatches(numbers, **options)

    def test_no_store(self, tmp_path: Path, numbers: Path) -> None:
        with pytest.raises(FileNotFoundError):
            StoredPatches(tmp_path)
        assert holds_store(numbers)
        assert holds_store(str(numbers))
        assert holds_store('s3://bucket/store')
        assert not holds_store(tmp_path)
        assert not holds_store(tmp_path / 'nothing')
        assert not holds_store(None)

    def test_store_of_something_else(self, tmp_path: Path) -> None:
        spec = StoreSpec({'image': FieldSpec((2, 4, 4), 'int16')}, 2, 2)
        with pytest.raises(MetadataError, match='Expected a store of samples'):
            sample_parts(spec)
        create_store(tmp_path / 'begun', spec)
        with pytest.raises(FileNotFoundError, match='not finished'):
            StoredPatches(tmp_path / 'begun')

    def test_nothing_that_can_be_read(self, tmp_path: Path) -> None:
        write_store(tmp_path / 'store', {'': Numbers(0, 2)}, missing=(0, 1))
        with pytest.raises(EmptyDataError, match='could be read'):
            StoredPatches(tmp_path / 'store')

    def test_samples_that_differ(self) -> None:
        image = torch.ones(2, 8, 8)
        for other, match in (
            ({'image': torch.ones(2, 8, 9)}, r'image \(2, 8, 9\) float32'),
            ({'image': image.double()}, 'float64'),
            ({'image': image, 'mask': image}, 'no mask'),
            ({}, 'no image'),
        ):
            with pytest.raises(MetadataError, match=match):
                plan_store(Listed([{'image': image}, other]))

    def test_samples_that_no_store_holds(self) -> None:
        image = torch.ones(2, 8, 8)
        for value, match in (
            ([1, 2], "'crs' list"),
            (torch.ones(3, dtype=torch.complex64), 'complex64'),
            (torch.ones(0, 4), r"'crs' of \(0, 4\)"),
        ):
            with pytest.raises(MetadataError, match=match):
                plan_store(Listed([{'image': image, 'crs': value}]))
        with pytest.raises(MetadataError, match='samples with an image'):
            plan_store(Listed([{'mask': image}]))
        with pytest.raises(ValueError, match='positive shard_mb'):
            plan_store(Listed([{'image': image}]), shard_mb=0)

    def test_pairs_of_dates(self) -> None:
        pairs = Listed(
            [{'image': torch.ones(4, 8, 8)}], bandset=BandSet(np.array([0.5, 0.6]))
        )
        with pytest.raises(BandMismatchError, match='single dates'):
            plan_store(pairs)

    def test_damaged_samples(self) -> None:
        good: Any = {'image': torch.ones(2, 8, 8)}
        bad: Any = OSError('broken')
        spec = plan_store(Listed([bad, good, bad, good]))
        assert spec.items == 4
        with pytest.raises(MetadataError, match='broken'):
            plan_store(Listed([bad, bad]))
