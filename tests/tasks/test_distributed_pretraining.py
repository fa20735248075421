# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Two processes learn what one learns from all of their images."""

from pathlib import Path

import pytest
import torch
from helpers.processes import Nursery, free_port
from tasks import distributed_intl, distributed_mae
from tasks.distributed_pretraining import BATCH, STEPS, train, work
from tasks.pretraining import State

from torchgeo_hsi.models.masked_autoencoder.model import Masking


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory, together: Nursery) -> Path:
    """Train with two processes."""
    folder = tmp_path_factory.mktemp('two')
    meeting = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
    together(work, (0, folder), (1, folder), **meeting)
    return folder


def results(folder: Path, name: str) -> list[State]:
    return [
        torch.load(folder / f'{name}_{rank}.pt', weights_only=True) for rank in range(2)
    ]


def check_equal(folder: Path, name: str, want: State) -> None:
    """Check the mean of the losses, and all that both have learned."""
    first, second = results(folder, name)
    loss = (first.pop('loss') + second.pop('loss')) / 2
    torch.testing.assert_close(loss, want.pop('loss'), rtol=1e-6, atol=0)
    for found in (first, second):
        torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('name', ['moco', 'dino'])
def test_equal_one_process(folder: Path, name: str) -> None:
    check_equal(folder, name, train(name, 0, 1))


@pytest.mark.parametrize('masking', distributed_mae.CASES)
def test_masked_autoencoder(folder: Path, masking: Masking) -> None:
    check_equal(folder, masking, distributed_mae.train(masking, 0, 1))


@pytest.mark.parametrize('name', distributed_intl.CASES)
def test_intl(folder: Path, name: str) -> None:
    """With gradients: its loss is that of all embeddings, in both processes."""
    want = distributed_intl.train(name, 0, 1)
    for found in results(folder, name):
        torch.testing.assert_close(found, want, atol=1e-6, rtol=1e-6)


def test_queue_has_the_keys_of_both(folder: Path) -> None:
    (state, _) = results(folder, 'moco')
    queue = state['criterion.queue']
    # 24 keys in a queue of 20
    assert int(state['criterion.position']) == STEPS * BATCH % len(queue)
    assert len(queue.unique(dim=0)) == len(queue)


def test_processes_agree_after_views_by_chance(folder: Path) -> None:
    first, second = results(folder, 'moco_chance')
    assert not torch.equal(first.pop('loss'), second.pop('loss'))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_exact_resume(folder: Path) -> None:
    for whole, again in zip(
        results(folder, 'moco_chance'),
        results(folder, 'moco_again_chance'),
        strict=True,
    ):
        torch.testing.assert_close(again, whole, rtol=0, atol=0)
