# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the staged training."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from tasks.restoration import Pairs, Residual, loader, registered, trainer
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_hsi.callbacks import StagedTraining
from torchgeo_hsi.errors import MetadataError, UnknownNameError
from torchgeo_hsi.tasks import HSIDenoising
from torchgeo_hsi.transforms import list_noises


class Data(NonGeoDataModule):
    """Pairs whose noise has a name."""

    def __init__(self) -> None:
        super().__init__(Pairs, 4)
        self.noises: list[str] = []

    def setup(self, stage: str) -> None:
        self.train_dataset = Pairs(8)

    def train_dataloader(self) -> Any:
        return loader(self.train_dataset)

    def val_dataloader(self) -> Any:
        return loader(Pairs(4))

    def set_train_noise(self, noise: str) -> None:
        self.noises.append(noise)


class Watch(Callback):
    """Note the learning rate of each step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        self.rates.append(optimizer.param_groups[0]['lr'])


STEPS = [
    {'epoch': 0, 'lr': 1e-3, 'noise': 'gaussian_50'},
    {'epoch': 1, 'lr': 1e-4},
    {'epoch': 3, 'lr': 1e-2, 'noise': 'complex', 'warmup': True},
]


def run(path: Path, stages: Any, epochs: int, **options: Any) -> tuple[Watch, Data]:
    fit = {'ckpt_path': options.pop('ckpt_path', None)}
    staged = StagedTraining(stages, options.pop('stretch', 1.0))
    watch, data = Watch(), Data()
    callbacks = [staged, watch, *options.pop('callbacks', [])]
    with registered(residual=Residual):
        task = HSIDenoising(
            'residual', **({'schedule': 'constant', 'warmup': 0} | options)
        )
        options = {'enable_checkpointing': len(callbacks) > 2}
        trainer(path, epochs, callbacks=callbacks, **options).fit(task, data, **fit)
    return watch, data


def test_steps(tmp_path: Path) -> None:
    watch, data = run(tmp_path, STEPS, 5)
    # two steps in each epoch
    expected = [1e-3] * 2 + [1e-4] * 4 + [5e-3, 1e-2] + [1e-2] * 2
    assert watch.rates == pytest.approx(expected)
    assert data.noises == ['gaussian_50', 'complex']


def test_stretch(tmp_path: Path) -> None:
    watch, data = run(tmp_path, STEPS, 2, stretch=0.34)
    # the second step would replace that with which the stage begins
    assert watch.rates == pytest.approx([1e-3] * 2 + [5e-3, 1e-2])
    assert data.noises == ['gaussian_50', 'complex']


@pytest.mark.parametrize('stretch', [0.05, 0.02])
@pytest.mark.parametrize('name', ['hsdt', 'man'])
def test_stages_keep_their_first_step(name: str, stretch: float) -> None:
    whole, staged = StagedTraining(name), StagedTraining(name, stretch)
    epochs = [step['epoch'] for step in staged.steps]
    assert epochs == sorted(set(epochs))
    starts = [[s for s in t.steps if 'noise' in s] for t in (whole, staged)]
    assert len(starts[1]) == 3
    for before, after in zip(*starts, strict=True):
        assert {**before, 'epoch': after['epoch']} == after
    assert staged.num_epochs > epochs[-1]


def test_steps_of_the_same_epoch() -> None:
    steps = [
        {'epoch': 0, 'lr': 1.0},
        {'epoch': 1, 'lr': 0.5},
        {'epoch': 10, 'lr': 0.1},
        {'epoch': 11, 'noise': 'complex', 'warmup': True},
        {'epoch': 12, 'lr': 0.2},
    ]
    assert StagedTraining(steps, 0.1).steps == [
        {'epoch': 0, 'lr': 0.5},
        # what a stage does not change stays as it was by then
        {'epoch': 1, 'lr': 0.1, 'noise': 'complex', 'warmup': True},
    ]


def test_stages_that_would_be_lost() -> None:
    with pytest.raises(ValueError, match=r'a stretch of 0\.0334 or more') as caught:
        StagedTraining('hsdt', 0.01)
    assert 'two stages begin at epoch 0' in str(caught.value)
    StagedTraining('hsdt', 0.0334)


def test_a_resumed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    keeper = ModelCheckpoint(tmp_path, filename='last')
    run(tmp_path, STEPS, 2, callbacks=[keeper])
    watch, data = run(tmp_path, STEPS, 4, ckpt_path=tmp_path / 'last.ckpt')
    assert watch.rates == pytest.approx([1e-4] * 2 + [5e-3, 1e-2])
    assert data.noises == ['gaussian_50', 'complex']


@pytest.mark.parametrize('name', ['hsdt', 'man'])
def test_recipes(tmp_path: Path, name: str) -> None:
    staged = StagedTraining(name)
    noises = {step['epoch']: step['noise'] for step in staged.steps if 'noise' in step}
    assert noises == {0: 'gaussian_50', 30: 'gaussian_levels', 80: 'complex'}
    assert set(noises.values()) <= set(list_noises())
    assert [s['epoch'] for s in staged.steps if s.get('warmup')] == [30, 80]
    published = {
        'hsdt': {0: 1e-3, 29: 1e-4, 30: 1e-3, 52: 1e-4, 79: 1e-6, 99: 1e-4, 119: 1e-5},
        'man': {0: 1e-3, 1: 5e-4, 29: 1e-4, 30: 5e-4, 60: 1e-5, 84: 5e-4, 109: 1e-6},
    }
    for epoch, rate in published[name].items():
        assert staged._now(epoch, 'lr') == rate
    assert staged.num_epochs == {'hsdt': 120, 'man': 110}[name]
    assert StagedTraining(name, stretch=0.1).num_epochs == staged.num_epochs // 10


def test_only_one_schedule(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match='schedule: constant and warmup: 0'):
        run(tmp_path, 'hsdt', 1, schedule='cosine')


def test_data_without_noise_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Data, 'set_train_noise')
    watch, _ = run(tmp_path, [{'epoch': 0, 'lr': 0.5}], 1)
    assert watch.rates == [0.5] * 2
    with pytest.raises(MetadataError, match='HSIDenoisingDataModule'):
        run(tmp_path, 'man', 1)
    # also if the noise changes in a later epoch only
    steps = [{'epoch': 0, 'lr': 0.5}, {'epoch': 9, 'noise': 'complex'}]
    with pytest.raises(MetadataError, match='HSIDenoisingDataModule'):
        run(tmp_path, steps, 1)


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ([], 'increasing epochs'),
        ([{'lr': 1e-3}], 'increasing epochs'),
        ([{'epoch': 3}, {'epoch': 2}], 'increasing epochs'),
        ([{'epoch': 0.5}], 'increasing epochs'),
        ([{'epoch': 'x'}], 'increasing epochs'),
        ([{'epoch': 0, 'rate': 1e-3}], 'a noise or warmup'),
        ([{'epoch': 0, 'lr': 0.0}], 'positive lr'),
        ([{'epoch': 0, 'lr': 'x'}], 'positive lr'),
        ([{'epoch': 0, 'noise': None}], 'name of a noise'),
    ],
)
def test_stages_are_checked(stages: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StagedTraining(stages)


def test_options_are_checked() -> None:
    with pytest.raises(UnknownNameError, match='hsdt'):
        StagedTraining('hsd')
    steps = [{'epoch': 0, 'lr': 1e-3}, {'epoch': 30, 'noise': 'complx'}]
    with pytest.raises(UnknownNameError, match='Did you mean complex'):
        StagedTraining(steps)
    with pytest.raises(ValueError, match='positive stretch'):
        StagedTraining(stretch=0)
