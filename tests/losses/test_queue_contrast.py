# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the contrast with a queue."""

import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss
from torch import Tensor

from torchgeo_hsi.losses.queue_contrast import QueueContrastLoss


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pair(rng: torch.Generator, count: int = 4, dim: int = 8) -> tuple[Tensor, Tensor]:
    query = torch.randn(count, dim, generator=rng).requires_grad_()
    return query, torch.randn(count, dim, generator=rng)


def test_by_hand(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(6, 8, 0.2, rng)
    query, key = pair(rng)
    total = 0.0
    for q, k in zip(query, key, strict=True):
        cosines = [float(q @ k / q.norm() / k.norm())]
        cosines += [float(q @ n / q.norm()) for n in loss.queue]
        powers = [math.exp(cosine / 0.2) for cosine in cosines]
        total -= math.log(powers[0] / sum(powers))
    assert float(loss(query, key)) == pytest.approx(total / 4, rel=1e-6)


def test_equals_lightly_until_the_queue_wraps(rng: torch.Generator) -> None:
    ours = QueueContrastLoss(12, 8, 0.1, rng)
    theirs = NTXentLoss(0.1, memory_bank_size=(12, 8))
    theirs.memory_bank.bank.copy_(ours.queue)
    for step in range(5):
        query, key = pair(rng)
        found, want = ours(query, key), theirs(query, key)
        torch.testing.assert_close(found, want)
        (grad,) = torch.autograd.grad(found, query)
        torch.testing.assert_close(grad, torch.autograd.grad(want, query)[0])
        torch.testing.assert_close(ours.queue, theirs.memory_bank.bank)
        assert int(ours.position) == 4 * (step + 1) % 12


def test_queue_wraps_without_a_loss(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(10, 8, generator=rng)
    start = loss.queue.clone()
    keys = torch.cat([(key := pair(rng)[1], loss(pair(rng)[0], key))[0] for _ in '123'])
    keys = F.normalize(keys, dim=1)
    # the last two of twelve have replaced the first two
    want = torch.cat((keys[10:], keys[2:10]))
    torch.testing.assert_close(loss.queue, want)
    assert int(loss.position) == 2
    assert not torch.equal(start, loss.queue)


def test_more_keys_than_places(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(3, 8, generator=rng)
    query, key = pair(rng, count=8)
    loss(query, key)
    unit = F.normalize(key, dim=1)
    # keys 5, 6 and 7 stand where they would, had all come one after the other
    torch.testing.assert_close(loss.queue, unit[[6, 7, 5]])
    assert int(loss.position) == 8 % 3


def test_no_update(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(6, 8, generator=rng)
    before = loss.queue.clone()
    query, key = pair(rng)
    first = loss(query, key, update=False)
    assert torch.equal(loss.queue, before)
    assert int(loss.position) == 0
    # and in the mode in which Lightning validates
    with torch.inference_mode():
        assert torch.equal(loss(query, key, update=False), first)


def test_keys_get_no_gradient(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(6, 8, generator=rng)
    query, key = pair(rng)
    key.requires_grad_()
    loss(query, key).backward()
    assert key.grad is None
    assert query.grad is not None


def test_gradient_is_right(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(6, 5, generator=rng)
    query, key = pair(rng, dim=5)
    loss(query, key).backward()
    assert query.grad is not None
    # by finite differences, against the queue of before
    loss = QueueContrastLoss(6, 5, generator=torch.Generator().manual_seed(0))
    for i, j in ((0, 0), (2, 3), (3, 4)):
        ends = []
        for step in (1e-2, -1e-2):
            moved = query.detach().clone()
            moved[i, j] += step
            ends.append(float(loss(moved, key, update=False)))
        slope = (ends[0] - ends[1]) / 2e-2
        assert float(query.grad[i, j]) == pytest.approx(slope, rel=2e-2, abs=1e-3)


def test_state_goes_through_a_checkpoint(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(10, 8, generator=rng)
    loss(*pair(rng))
    other = QueueContrastLoss(10, 8)
    other.load_state_dict(loss.state_dict())
    query, key = pair(rng)
    for _ in range(3):
        assert torch.equal(loss(query, key), other(query, key))
    assert torch.equal(loss.queue, other.queue)


def test_float32_in_mixed_precision(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(16, 8, generator=rng)
    query, key = pair(rng)
    want = loss(query, key, update=False)
    with torch.autocast('cpu', torch.bfloat16):
        found = loss(query, key, update=False)
    assert found.dtype == torch.float32
    assert torch.equal(found, want)


@pytest.mark.parametrize('words', [{'size': 0}, {'dim': 0}, {'temperature': 0.0}])
def test_bad_numbers(words: dict[str, float]) -> None:
    with pytest.raises(ValueError, match='positive size, dim and temperature'):
        QueueContrastLoss(**words)  # type: ignore[arg-type]


def test_bad_shapes(rng: torch.Generator) -> None:
    loss = QueueContrastLoss(4, 8, generator=rng)
    query, key = pair(rng)
    for wrong in ((query[:, :4], key[:, :4]), (query, key[:2])):
        with pytest.raises(ValueError, match=r'shape \(B, 8\)'):
            loss(*wrong)


def test_says_its_size() -> None:
    assert repr(QueueContrastLoss(12, 8, 0.1)) == (
        'QueueContrastLoss(size=12, temperature=0.1)'
    )
