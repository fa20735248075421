# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of optimizers and schedules."""

import math
from typing import Any

import pytest
import torch
from lightly.utils.lars import LARS
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from torchgeo_hsi.tasks._recipes import (
    Recipe,
    build_optimizer,
    build_schedule,
    global_batch_size,
    rate_factor,
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.token = nn.Parameter(torch.zeros(1, 1, 3))
        self.frozen = nn.Linear(3, 3).requires_grad_(False)


def rates(recipe: Recipe, steps: int, epochs: float) -> list[float]:
    """Step through a training."""
    optimizer = SGD(Net().parameters(), 1.0)
    schedule = build_schedule(optimizer, recipe, steps, epochs)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    return found


class TestSchedule:
    def test_cosine(self) -> None:
        recipe = Recipe('sgd', 1.0, 0.0, 'cosine', warmup_epochs=2)
        found = rates(recipe, steps=50, epochs=10)
        # two epochs of five steps up, forty steps down
        assert found[:10] == pytest.approx([(k + 1) / 11 for k in range(10)])
        down = [0.5 * (1 + math.cos(math.pi * k / 40)) for k in range(40)]
        assert found[10:] == pytest.approx(down)
        assert found[10] == 1

    def test_cosine_is_that_of_torch(self) -> None:
        found = rates(Recipe('sgd', 1.0, 0.0), steps=30, epochs=3)
        optimizer = SGD(Net().parameters(), 1.0)
        theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
        for rate in found:
            assert rate == pytest.approx(optimizer.param_groups[0]['lr'], abs=1e-12)
            optimizer.step()
            theirs.step()

    def test_end_of_cosine(self) -> None:
        assert rate_factor(10, 10, 0, 'cosine', end=0.1) == pytest.approx(0.1)
        assert rate_factor(99, 10, 0, 'cosine', end=0.1) == pytest.approx(0.1)
        assert rate_factor(5, 10, 0, 'cosine', end=0.1) == pytest.approx(0.55)

    def test_steps(self) -> None:
        recipe = Recipe('sgd', 1.0, 0.0, 'steps', milestones=(6, 8))
        found = rates(recipe, steps=30, epochs=10)
        assert found == pytest.approx([1] * 18 + [0.1] * 6 + [0.01] * 6)

    def test_steps_after_a_warmup(self) -> None:
        recipe = Recipe('sgd', 1.0, 0.0, 'steps', warmup_epochs=1, milestones=(3,))
        found = rates(recipe, steps=8, epochs=4)
        assert found == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 0.1, 0.1])

    def test_constant(self) -> None:
        assert rates(Recipe('sgd', 1.0, 0.0, 'constant'), 4, 2) == [1.0] * 4

    def test_warmup_longer_than_the_training(self) -> None:
        found = rates(Recipe('sgd', 1.0, 0.0, warmup_epochs=20), steps=4, epochs=2)
        assert found == pytest.approx([(k + 1) / 41 for k in range(4)])

    def test_part_of_an_epoch(self) -> None:
        """Of 100 steps an epoch, max_steps allows 50: half of the warm-up."""
        found = rates(Recipe('sgd', 1.0, 0.0, warmup_epochs=1), steps=50, epochs=0.5)
        assert found == pytest.approx([(k + 1) / 101 for k in range(50)])

    def test_checkpoints_do_not_hold_the_length(self) -> None:
        recipe = Recipe('sgd', 1.0, 0.0)
        optimizer = SGD(Net().parameters(), 1.0)
        first = build_schedule(optimizer, recipe, 10, 1)
        second = build_schedule(optimizer, recipe, 20, 2)
        for _ in range(5):
            optimizer.step()
            first.step()
        second.load_state_dict(first.state_dict())
        optimizer.step()
        second.step()
        want = 0.5 * (1 + math.cos(math.pi * 6 / 20))
        assert optimizer.param_groups[0]['lr'] == pytest.approx(want)


class TestOptimizer:
    @pytest.mark.parametrize(
        ('name', 'cls'), [('sgd', SGD), ('adamw', AdamW), ('lars', LARS)]
    )
    def test_kinds(self, name: Any, cls: type[Optimizer]) -> None:
        optimizer = build_optimizer(Net(), Recipe(name, 0.4, 1e-4), 64)  # type: ignore[arg-type]
        assert type(optimizer) is cls
        assert optimizer.param_groups[0]['lr'] == pytest.approx(0.4 * 64 / 256)
        if name != 'adamw':
            assert optimizer.param_groups[0]['momentum'] == 0.9

    def test_betas(self) -> None:
        recipe = Recipe('adamw', 1e-3, 0.05, betas=(0.9, 0.95))
        optimizer = build_optimizer(Net(), recipe, 256)  # type: ignore[arg-type]
        assert optimizer.param_groups[0]['betas'] == (0.9, 0.95)

    def test_what_decays(self) -> None:
        net = Net()
        optimizer = build_optimizer(net, Recipe('adamw', 1e-3, 0.05), 256)  # type: ignore[arg-type]
        decay = {
            id(p): group['weight_decay']
            for group in optimizer.param_groups
            for p in group['params']
        }
        assert decay == {
            id(net.conv.weight): 0.05,
            id(net.token): 0.05,
            id(net.conv.bias): 0.0,
            id(net.norm.weight): 0.0,
            id(net.norm.bias): 0.0,
        }

    def test_everything_decays(self) -> None:
        recipe = Recipe('sgd', 1.0, 1e-4, decay_all=True)
        optimizer = build_optimizer(Net(), recipe, 256)  # type: ignore[arg-type]
        (group,) = optimizer.param_groups
        assert len(group['params']) == 5
        assert group['weight_decay'] == 1e-4

    def test_nothing_decays(self) -> None:
        optimizer = build_optimizer(Net(), Recipe('sgd', 1.0, 0.0), 256)  # type: ignore[arg-type]
        (group,) = optimizer.param_groups
        assert len(group['params']) == 5

    def test_rate_as_it_is(self) -> None:
        recipe = Recipe('sgd', 0.3, 0.0, scale_lr=False)
        optimizer = build_optimizer(Net(), recipe, None)  # type: ignore[arg-type]
        assert optimizer.param_groups[0]['lr'] == 0.3

    def test_batch_that_nobody_knows(self) -> None:
        with pytest.raises(ValueError, match='Set scale_lr=False'):
            build_optimizer(Net(), Recipe('sgd', 0.3, 0.0), None)  # type: ignore[arg-type]


class TestBatch:
    @pytest.mark.parametrize(
        ('world', 'accumulate', 'want'), [(1, 1, 64), (4, 1, 256), (2, 3, 384)]
    )
    def test_all_processes_and_added_gradients(
        self, world: int, accumulate: int, want: int
    ) -> None:
        class Loader:
            batch_size = 64

        class Inner:
            batch_size = None
            batch_sampler = Loader()

        class Batches:
            batch_size = None
            batch_sampler = None
            dataset = Loader()

        class Told:
            world_size = world
            accumulate_grad_batches = accumulate

        for loader in (Loader(), Inner(), Batches()):
            told: Any = Told()
            told.train_dataloader = loader
            assert global_batch_size(told) == want
        told.train_dataloader = [1, 2]
        assert global_batch_size(told) is None


class TestRecipe:
    @pytest.mark.parametrize(
        ('words', 'message'),
        [
            ({'optimizer': 'adam'}, 'Expected the optimizer sgd, adamw, lars, got'),
            (
                {'schedule': 'step'},
                'Expected the schedule cosine, steps, constant, got',
            ),
            ({'lr': 0.0}, 'Expected a positive lr'),
            ({'weight_decay': -1.0}, 'Expected a positive lr'),
            ({'warmup_epochs': -1.0}, 'Expected a positive lr'),
        ],
    )
    def test_bad_values(self, words: dict[str, Any], message: str) -> None:
        good = {'optimizer': 'sgd', 'lr': 1.0, 'weight_decay': 0.0}
        with pytest.raises(ValueError, match=message):
            Recipe(**(good | words))
