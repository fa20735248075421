# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Memory that is used again, and never too early."""

import gc
import multiprocessing
import threading
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from torchgeo_hsi.datasets._shared_ring import RingTensor, SharedRing
from torchgeo_hsi.io._buffers import BufferPool, lease, pooled, scratch, zeros

SIZE = 1 << 18


class Counting(IterableDataset[dict[str, Tensor]]):
    """Batches of equal numbers, and where in the memory of the worker they lie."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        ring = SharedRing()
        for number in range(self.count):
            tensor = ring.empty((SIZE,), torch.float32)
            small = ring.empty((3,), torch.int64)
            tensor.fill_(number)
            small.fill_(number)
            place = torch.tensor(tensor.data_ptr())
            yield {
                'image': ring.mark(tensor),
                'small': ring.mark(small),
                'place': place,
            }


@pytest.mark.parametrize(
    'context', ['fork', pytest.param('spawn', marks=pytest.mark.slow)]
)
def test_memory_is_used_again(context: str) -> None:
    places = []
    loader: Any = DataLoader(
        Counting(40), batch_size=None, num_workers=1, multiprocessing_context=context
    )
    for number, batch in enumerate(loader):
        assert type(batch['image']) is Tensor
        assert (batch['image'] == number).all()
        assert (batch['small'] == number).all()
        places.append(int(batch['place']))
    assert len(set(places)) <= 6


def test_what_is_kept_stays() -> None:
    loader: Any = DataLoader(Counting(40), batch_size=None, num_workers=2)
    kept = []
    for number, batch in enumerate(loader):
        # a view of a view is enough to keep the memory
        kept.append(batch['image'][number:].view(-1)[:9] if number % 3 else batch)
        del batch
        gc.collect()
    for number, value in enumerate(kept):
        image = value['image'] if isinstance(value, dict) else value
        assert (image == number // 2).all()


def test_epochs_that_end_early() -> None:
    loader: Any = DataLoader(
        Counting(30), batch_size=None, num_workers=1, persistent_workers=True
    )
    kept = []
    for _ in range(4):
        for number, batch in enumerate(loader):
            assert (batch['image'] == number).all()
            if number == 7:
                kept.append(batch['image'])
                break
    assert all((image == 7).all() for image in kept)


class Repeating(IterableDataset[Tensor]):
    """Batches that are sent again, and kept by the worker."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __iter__(self) -> Iterator[Tensor]:
        ring, kept = SharedRing(), []
        for number in range(12):
            tensor = ring.mark(ring.empty((SIZE,), self.dtype).fill_(number))
            # a view is enough to keep the memory
            kept.append(tensor if number % 2 else tensor[:])
            yield tensor
            yield kept[number // 2]


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_sent_again(dtype: torch.dtype) -> None:
    loader: Any = DataLoader(Repeating(dtype), batch_size=None, num_workers=1)
    expected = [n for i in range(12) for n in (i, i // 2)]
    for number, tensor in zip(expected, loader, strict=True):
        assert tensor.dtype == dtype
        assert (tensor == number).all()


class Views(IterableDataset[Any]):
    """Batches next to, or instead of, views of them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __iter__(self) -> Iterator[Any]:
        ring = SharedRing()
        for number in range(20):
            tensor = ring.mark(ring.empty((4, SIZE), torch.float32).fill_(number))
            if self.kind == 'beside':
                yield {'image': tensor, 'part': tensor[1]}
            elif self.kind == 'after':
                yield {'image': tensor}
                yield {'part': tensor.view(-1)}
            elif self.kind == 'storage':
                part = torch.empty(0).set_(tensor.untyped_storage(), 5, (9,))
                yield {'image': tensor, 'part': part}
            else:
                yield {'image': tensor, 'part': deepcopy(tensor)}


@pytest.mark.parametrize('kind', ['beside', 'after', 'storage', 'copy'])
def test_views_that_are_sent(kind: str) -> None:
    loader: Any = DataLoader(Views(kind), batch_size=None, num_workers=1)
    parts = [batch['part'] for batch in loader if 'part' in batch]
    gc.collect()
    assert [float(part.mean()) for part in parts] == list(range(20))


def first_image(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**batch, 'first': batch['image'][:9]}


def test_views_of_a_collation() -> None:
    loader: Any = DataLoader(
        Counting(20), batch_size=None, num_workers=1, collate_fn=first_image
    )
    parts = [batch['first'] for batch in loader]
    assert [float(part.mean()) for part in parts] == list(range(20))


def test_a_fork_frees_nothing() -> None:
    pool = BufferPool()
    first = pool.empty((SIZE,), np.float32)
    place = first.ctypes.data
    process = multiprocessing.get_context('fork').Process(
        target=forget, args=([first],)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    assert pool.empty((SIZE,), np.float32).ctypes.data != place


def forget(arrays: list[Any]) -> None:
    calls: list[int] = []
    array = lease(np.zeros(9), calls.append, 1)
    del array
    gc.collect()
    assert calls == [1]
    arrays.clear()


def test_computed_tensors_are_ordinary() -> None:
    ring = SharedRing()
    tensor = ring.mark(ring.empty((SIZE,), torch.float32).fill_(1))
    assert type(tensor) is RingTensor
    assert type(tensor + 1) is Tensor
    assert type(deepcopy(tensor)) is Tensor
    assert tensor.shape == (SIZE,)
    assert tensor.mul_(2) is tensor
    # none of this is a view
    assert not ring._retired
    assert type(tensor[:5]) is Tensor
    assert ring._retired == {0}


def test_pool() -> None:
    pool = BufferPool()
    first = pool.empty((SIZE,), np.float32)
    place = first.ctypes.data
    view = torch.from_numpy(first)[5:]
    view.fill_(3)
    del first
    gc.collect()
    # the view still needs it
    second = pool.empty((SIZE,), np.float32)
    assert second.ctypes.data != place
    second.fill(4)
    assert (view == 3).all()
    del view
    third = pool.empty((SIZE // 2, 2), np.int16)
    assert third.shape == (SIZE // 2, 2)
    del third
    fourth = pool.empty((SIZE,), np.int32)
    assert fourth.ctypes.data == place
    # a buffer that is much too large stays where it is
    del fourth
    assert pool.empty((SIZE // 2,), np.int16).ctypes.data != place


def test_zeros_are_zeros() -> None:
    pool = BufferPool()
    with pooled(pool):
        array = zeros((SIZE,), np.float32)
        place = array.ctypes.data
        array.fill(7)
        del array
        again = zeros((SIZE,), np.float32)
        assert again.ctypes.data == place
        assert not again.any()
    assert zeros((SIZE,), np.float32).ctypes.data != place


def test_scratch_belongs_to_a_thread() -> None:
    mine = scratch('test', 100)
    assert scratch('test', 50).ctypes.data == mine.ctypes.data
    other: list[int] = []
    thread = threading.Thread(
        target=lambda: other.append(scratch('test', 50).ctypes.data)
    )
    thread.start()
    thread.join()
    assert other != [mine.ctypes.data]
