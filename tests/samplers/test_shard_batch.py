# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every sample once, whatever the number of processes and wherever one stops."""

import itertools
import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.connectors.data_connector import _DataConnector
from torch.utils.data import DataLoader

from torchgeo_hsi.errors import EmptyDataError, MetadataError
from torchgeo_hsi.samplers import ShardBatchSampler, _epochs, shard_batch

type World = Callable[[int, int], None]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Play one of several processes."""

    def play(rank: int, processes: int) -> None:
        for module in (_epochs, shard_batch):
            monkeypatch.setattr(module, 'process_rank', lambda: (rank, processes))
        # the seed is the same already
        monkeypatch.setattr(
            'torch.distributed.broadcast_object_list', lambda objects, src: None
        )

    return play


def shards(total: int, size: int = 5) -> list[np.ndarray]:
    return np.split(np.arange(total), np.arange(size, total, size))


def sampler(total: int, batch_size: int, **options: int) -> ShardBatchSampler:
    generator = torch.Generator().manual_seed(3)
    return ShardBatchSampler(shards(total), batch_size, generator=generator, **options)


def deal(
    world: World, make: Callable[[], ShardBatchSampler], processes: int
) -> list[list[list[int]]]:
    """Return the batches of each process."""
    found = []
    for rank in range(processes):
        world(rank, processes)
        one = make()
        batches = list(one)
        assert len(one) - one.state_dict()['batches'] == len(batches)
        found.append(batches)
    return found


@pytest.mark.parametrize('processes', [1, 2, 3, 7])
@pytest.mark.parametrize('batch_size', [1, 2, 4, 9, 100])
@pytest.mark.parametrize('total', [7, 23, 64, 101])
def test_every_sample_once(
    world: World, total: int, batch_size: int, processes: int
) -> None:
    found = deal(world, lambda: sampler(total, batch_size), processes)
    assert len({len(batches) for batches in found}) == 1
    batches = list(itertools.chain(*found))
    assert sorted(itertools.chain(*batches)) == list(range(total))
    sizes = {len(batch) for batch in batches}
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size or (batch_size == 1 and max(sizes) == 2)


@pytest.mark.parametrize(
    ('before', 'after'), [(1, 1), (2, 2), (3, 3), (3, 1), (1, 3), (2, 3)]
)
@pytest.mark.parametrize('batch_size', [1, 4, 6])
@pytest.mark.parametrize('total', [23, 60])
def test_rest_of_an_epoch(
    world: World, total: int, batch_size: int, before: int, after: int
) -> None:
    whole = deal(world, lambda: sampler(total, batch_size), before)
    steps = len(whole[0])
    for used in range(steps + 1):
        world(0, before)
        first = sampler(total, batch_size)
        iter(first).__next__()
        first.used = used
        state = first.state_dict()
        seen = [s for batches in whole for batch in batches[:used] for s in batch]

        def resumed(state: dict[str, int] = state) -> ShardBatchSampler:
            other = ShardBatchSampler(shards(total), batch_size)
            other.load_state_dict(state)
            return other

        rest = deal(world, resumed, after)
        assert len({len(batches) for batches in rest}) == 1
        left = [s for batches in rest for batch in batches for s in batch]
        missing = total - len(seen) - len(left)
        # fewer samples than processes cannot be dealt out evenly
        assert missing == 0 or (after > before and missing < after)
        assert len(set(seen) | set(left)) == len(seen) + len(left)
        if before == after:
            assert rest == [batches[used:] for batches in whole]
        assert max([len(b) for bs in rest for b in bs] or [0]) <= max(2, batch_size)


def test_state_is_the_same_in_all_processes(world: World) -> None:
    states = []
    for rank in range(3):
        world(rank, 3)
        one = sampler(23, 4)
        batches = iter(one)
        next(batches)
        one.used = 1
        states.append(one.state_dict())
    assert states[0] == states[1] == states[2]
    # the first of six batches have four samples
    assert states[0]['samples'] == 12


def test_epochs_differ_and_repeat() -> None:
    one, two = sampler(64, 8), sampler(64, 8)
    epochs = [list(one) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    two.set_epoch(2)
    assert list(two) == epochs[2]
    two.set_epoch(0)
    assert list(two) == epochs[0]
    # an epoch that is repeated starts at its beginning
    two.set_epoch(0)
    assert list(two) == epochs[0]


def test_state_holds_for_its_own_epoch() -> None:
    one = sampler(23, 4)
    first, second = list(one), list(one)
    other = sampler(23, 4)
    next(iter(other))
    other.used = 2
    state = other.state_dict()
    one.load_state_dict(state)
    assert len(one) == 6
    assert list(one) == first[2:]
    assert list(one) == second
    one.load_state_dict(state)
    one.set_epoch(1)
    assert one.state_dict()['samples'] == 0
    assert list(one) == second


def test_state_before_the_first_batch() -> None:
    one = sampler(23, 4)
    assert one.state_dict()['samples'] == 0
    next(iter(one))
    one.used = 3
    state = one.state_dict()
    two = sampler(23, 4)
    two.load_state_dict(state)
    assert two.state_dict() == state


def test_batches_come_from_few_shards() -> None:
    one = ShardBatchSampler(shards(100), 5, buffer_shards=4)
    order = list(itertools.chain(*one))
    for start in range(0, 100, 20):
        assert len({sample // 5 for sample in order[start : start + 20]}) == 4
    # a shard is not read in a row
    assert sum(np.diff(order) == 1) < 20


def test_all_shards_at_once_are_a_full_shuffle() -> None:
    generator = torch.Generator().manual_seed(0)
    one = ShardBatchSampler(shards(20), 20, buffer_shards=4, generator=generator)
    places = np.zeros((20, 20))
    for _ in range(2000):
        (batch,) = one
        places[batch, np.arange(20)] += 1
    # each sample is at each place 100 times, give or take five standard deviations
    assert np.abs(places - 100).max() < 50


def test_in_order_without_shuffling() -> None:
    one = ShardBatchSampler(shards(10), 3, shuffle=False)
    assert list(one) == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    assert list(one) == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]


def test_seed_follows_the_generator() -> None:
    torch.manual_seed(5)
    one = ShardBatchSampler(shards(30), 4)
    torch.manual_seed(5)
    two = ShardBatchSampler(shards(30), 4)
    assert list(one) == list(two)


def test_lightning_leaves_it_alone() -> None:
    class Trainer:
        class _accelerator_connector:
            use_distributed_sampler = is_distributed = True

    class Connector:
        trainer = Trainer

    loader = DataLoader([0] * 10, batch_size=None, sampler=sampler(10, 2))
    ask = _DataConnector._requires_distributed_sampler
    assert not ask(Connector(), loader)  # type: ignore[arg-type]
    assert ask(Connector(), DataLoader([0]))  # type: ignore[arg-type]


def test_bad_input(world: World) -> None:
    with pytest.raises(ValueError, match='positive batch_size'):
        ShardBatchSampler(shards(4), 0)
    with pytest.raises(ValueError, match='positive batch_size and buffer_shards'):
        ShardBatchSampler(shards(4), 1, 0)
    with pytest.raises(EmptyDataError, match='at least one sample'):
        ShardBatchSampler([[]])
    world(0, 8)
    with pytest.raises(EmptyDataError, match='fewer processes'):
        list(sampler(7, 1))


def test_state_of_other_data() -> None:
    state = sampler(23, 4).state_dict()
    with pytest.raises(MetadataError, match='23 samples'):
        sampler(24, 4).load_state_dict(state)
    with pytest.raises(MetadataError, match='same data and options'):
        sampler(23, 4, buffer_shards=2).load_state_dict(state)


def test_too_few_samples_left(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world(0, 1)
    one = sampler(9, 4)
    next(iter(one))
    one.used = 2
    state = one.state_dict()
    world(0, 4)
    two = sampler(9, 4)
    with caplog.at_level(logging.WARNING):
        two.load_state_dict(state)
    assert '3 samples are left' in caplog.text
    assert list(two) == []
