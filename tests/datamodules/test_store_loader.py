# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches of a store without a copy."""

from pathlib import Path
from typing import Any

import pytest
import torch
from data.stores.data import Numbers, write_store
from torch.utils.data import (
    DataLoader,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from torchgeo_hsi.datamodules import StoreLoader
from torchgeo_hsi.datamodules.store_loader import collate_stored
from torchgeo_hsi.datasets import StoredPatches
from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.samplers import ShardBatchSampler


@pytest.fixture(scope='module')
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('loader') / 'store'
    write_store(path, {'': Numbers(0, 9)})
    return path


def equal(one: Any, two: Any) -> bool:
    assert list(one) == list(two)
    return all(
        torch.equal(one[key], two[key])
        if isinstance(one[key], torch.Tensor)
        else one[key] == two[key]
        for key in one
    )


@pytest.mark.parametrize('dtype', ['stored', 'float32'])
def test_batch_is_what_was_read(store: Path, dtype: Any) -> None:
    samples = StoredPatches(store, dtype=dtype)[[4, 2, 7]]
    batch = collate_stored(samples)
    assert equal(batch, default_collate(samples))
    assert batch['image'].is_contiguous()
    assert batch['image'].data_ptr() == samples[0]['image'].data_ptr()
    samples[1]['image'].fill_(77)
    assert (batch['image'][1] == 77).all()


@pytest.mark.parametrize(
    'change',
    [
        lambda samples: samples[::-1],
        lambda samples: samples[::2],
        lambda samples: [samples[0], samples[0]],
        lambda samples: [{**s, 'image': s['image'][:, 1:]} for s in samples],
        lambda samples: [{**s, 'image': s['image'].mT} for s in samples],
        lambda samples: [{**s, 'image': s['image'].clone()} for s in samples],
        lambda samples: [samples[0], {**samples[1], 'image': torch.ones(2, 8, 8)}],
        lambda samples: samples[:1],
    ],
)
def test_anything_else_is_stacked(store: Path, change: Any) -> None:
    samples = change(StoredPatches(store)[[4, 2, 7]])
    assert equal(collate_stored(samples), default_collate(samples))


def test_samples_that_cannot_be_stacked(store: Path) -> None:
    samples = StoredPatches(store)[[4, 2]]
    samples[1]['image'] = samples[1]['image'][:, 1:]
    with pytest.raises(RuntimeError, match='stack'):
        collate_stored(samples)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_loader(store: Path, num_workers: int) -> None:
    dataset = StoredPatches(store, dtype='stored')
    found = list(StoreLoader(dataset, 4, shuffle=False, num_workers=num_workers))
    wanted = list(DataLoader(dataset, batch_size=3))
    assert len(found) == len(wanted) == 3
    for one, two in zip(found, wanted, strict=True):
        assert equal(one, two)
        assert one['image'].dtype == torch.int16


def test_other_samplers(store: Path) -> None:
    dataset = StoredPatches(store)
    batches = ShardBatchSampler(dataset.shards, 5, shuffle=False)
    loader = StoreLoader(dataset, sampler=batches)
    assert [batch['label'].tolist() for batch in loader] == [
        [*range(5)],
        [*range(5, 9)],
    ]
    singles = StoreLoader(dataset, 4, sampler=SequentialSampler(dataset))
    assert [len(batch['label']) for batch in singles] == [4, 4, 1]
    assert singles.state_dict() == {}
    singles.load_state_dict(loader.state_dict())
    assert len(list(singles)) == 3


def test_own_collation(store: Path) -> None:
    loader = StoreLoader(StoredPatches(store), 5, shuffle=False, collate_fn=len)
    assert list(loader) == [5, 4]


def test_bad_input(store: Path) -> None:
    dataset = StoredPatches(store)
    with pytest.raises(ValueError, match='positive batch_size'):
        StoreLoader(dataset, 0)
    state = StoreLoader(dataset, 2).state_dict()
    with pytest.raises(MetadataError, match='9 samples'):
        StoreLoader(dataset.select([0, 1]), 2).load_state_dict(state)


def test_no_store() -> None:
    with pytest.raises(TypeError, match='Convert it by convert_dataset'):
        StoreLoader(TensorDataset(torch.zeros(3)))  # type: ignore[arg-type]
