# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Probes while a network learns."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from callbacks.pretraining import Unlabelled, contrast, make_trainer
from cli.probe_data import RowsDataModule
from helpers.processes import Nursery
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from torchgeo_hsi.callbacks import RepresentationReport
from torchgeo_hsi.callbacks._aside import check_whole_network
from torchgeo_hsi.callbacks._evaluation import evaluation_batches
from torchgeo_hsi.callbacks.online_probe import OnlineProbe
from torchgeo_hsi.errors import EmptyDataError, MetadataError
from torchgeo_hsi.models.probes import collect_features, run_probes

ROOT = Path(__file__).parents[2]


def numbers() -> list[Any]:
    """Draw from all sources of random numbers."""
    return [float(torch.rand(())), float(np.random.rand()), random.random()]  # noqa: NPY002


def train(folder: Path, *callbacks: Any, **options: Any) -> tuple[Any, Trainer, Any]:
    task = contrast(generator=True)
    trainer = make_trainer(folder, *callbacks, **options)
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    trainer.fit(task, datamodule=Unlabelled())
    return task, trainer, numbers()


def same(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_training_cannot_tell(tmp_path: Path) -> None:
    plain, _, then = train(tmp_path)
    probed, trainer, now = train(tmp_path, OnlineProbe(RowsDataModule()))
    assert then == now
    assert same(plain, probed)
    assert probed.training
    assert not probed.frozen.training
    # the classes differ by two standard deviations in all bands
    scores = trainer.callback_metrics
    for probe in ('knn', 'linear'):
        assert scores[f'probe/{probe}_OverallAccuracy'] == 1
    other, _, _ = train(tmp_path, max_epochs=3)
    assert not same(plain, other)


def test_data_module_of_the_training(tmp_path: Path) -> None:
    """Labels of the data that are trained on, too."""
    states = []
    for probed in (False, True):
        data = Unlabelled()
        task = contrast(generator=True)
        callbacks = [OnlineProbe(data, linear=False)] if probed else []
        trainer = make_trainer(tmp_path, *callbacks)
        torch.manual_seed(3)
        trainer.fit(task, datamodule=data)
        # it asks its trainer whether to augment
        assert data.trainer is trainer  # type: ignore[attr-defined]
        states.append((task, trainer.callback_metrics))
    assert same(states[0][0], states[1][0])
    assert states[1][1]['probe/knn_OverallAccuracy'] == 1


def test_modes_come_back_in_the_midst_of_a_training(tmp_path: Path) -> None:
    class Watch(OnlineProbe):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            pl_module.backbone.norm.eval()
            before = [part.training for part in pl_module.modules()]
            super().on_train_epoch_end(trainer, pl_module)
            assert before == [part.training for part in pl_module.modules()]
            assert len(set(before)) == 2

    train(tmp_path, Watch(RowsDataModule(), linear=False), max_epochs=1)


def test_scores_are_those_of_the_offline_probe(tmp_path: Path) -> None:
    data = RowsDataModule(kind='several')
    probe = OnlineProbe(data, knn=3, pool='avg', on='test', prefix='p/', seed=5)
    task, trainer, _ = train(tmp_path, probe)
    device = torch.device('cpu')
    train_set, test_set = (
        collect_features(task.backbone, evaluation_batches(data, split, device), 'avg')
        for split in ('train', 'test')
    )
    want = run_probes(train_set, test_set, 3, seed=5)
    found = {k: float(v) for k, v in trainer.callback_metrics.items() if k[:2] == 'p/'}
    assert found == {
        f'p/{p}_{k}': v for p, part in want.items() for k, v in part.items()
    }


def test_when_and_where(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name='log', version='')
    seen: list[int] = []

    class Count(OnlineProbe):
        def probe(self, trainer: Any, task: Any) -> dict[str, float]:
            seen.append(trainer.global_step)
            return {'probe/knn_OverallAccuracy': float(len(seen))}

    best = ModelCheckpoint(
        tmp_path / 'best', monitor='probe/knn_OverallAccuracy', mode='max'
    )
    probe = Count(RowsDataModule(), every_n_epochs=2)
    options = {'logger': logger, 'max_epochs': 5, 'enable_checkpointing': True}
    train(tmp_path, probe, best, **options)
    # 2 steps an epoch; not in the sanity check
    assert seen == [0, 4, 8, 10]
    assert best.best_model_score == 4
    rows = (tmp_path / 'log' / 'metrics.csv').read_text().splitlines()
    column = rows[0].split(',').index('probe/knn_OverallAccuracy')
    values = [row.split(',')[column] for row in rows[1:]]
    assert [float(value) for value in values if value] == [1, 2, 3, 4]
    # a training that goes on knows what random weights know
    more = make_trainer(tmp_path, probe, max_epochs=6)
    seen.clear()
    more.fit(contrast(), datamodule=Unlabelled(), ckpt_path=best.best_model_path)
    assert seen == [12]
    # one that ends by its steps is probed at its end
    seen.clear()
    train(tmp_path, Count(RowsDataModule(), 9, at_start=False), max_steps=3)
    assert seen == [3]


def test_few_labels(tmp_path: Path) -> None:
    probe = OnlineProbe(RowsDataModule(), shots=1, knn=1, linear=False)
    _, trainer, _ = train(tmp_path, probe, max_epochs=1)
    assert trainer.callback_metrics['probe/knn_OverallAccuracy'] > 0.9


def test_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = RowsDataModule()
    for words, message in (
        ({'every_n_epochs': 0}, 'every_n_epochs'),
        ({'knn': -1}, 'knn of 0 or more'),
        ({'knn': 0, 'linear': False}, 'nothing to probe'),
        ({'on': 'train'}, "on='val' or 'test'"),
    ):
        with pytest.raises(ValueError, match=message):
            OnlineProbe(data, **words)  # type: ignore[arg-type]
    with pytest.raises(
        MetadataError, match=r"no part 'encoder', only backbone.*network="
    ):
        train(tmp_path, OnlineProbe(data, network='encoder'))
    with pytest.raises(EmptyDataError, match=r'no test data.*on= of OnlineProbe'):
        train(tmp_path, OnlineProbe(RowsDataModule(test=False), on='test'))
    trainer = make_trainer(tmp_path)
    monkeypatch.setattr(trainer.strategy, '__class__', FSDPStrategy)
    with pytest.raises(MetadataError, match=r'FSDPStrategy.*torchgeo-hsi probe'):
        check_whole_network(trainer, 'OnlineProbe')


def test_windows_of_all_processes() -> None:
    from torchgeo_hsi.callbacks._evaluation import _all_windows
    from torchgeo_hsi.samplers._epochs import EpochSampler

    class Numbers(EpochSampler[int]):
        def draw(self, count: int, generator: torch.Generator) -> list[int]:
            return torch.randint(9, (count,), generator=generator).tolist()

    sampler = Numbers(7)
    loader = torch.utils.data.DataLoader(list(range(9)), 2, sampler=sampler)
    found: list[Tensor] = list(_all_windows(loader))
    # the same as the first epoch of a single process
    assert torch.cat(found).tolist() == list(sampler)


def test_yaml(tmp_path: Path) -> None:
    config = {
        'model': {
            'class_path': 'callbacks.pretraining.Contrast',
            'init_args': {'model_kwargs': {'img_size': 16, 'patch_size': 8}},
        },
        'data': {'class_path': 'callbacks.pretraining.Unlabelled'},
        'trainer': {
            'max_epochs': 1,
            'accelerator': 'cpu',
            'logger': False,
            'enable_checkpointing': False,
            'default_root_dir': str(tmp_path),
            'callbacks': [
                {
                    'class_path': 'torchgeo_hsi.callbacks.online_probe.OnlineProbe',
                    'init_args': {
                        'knn': 5,
                        'datamodule': {
                            'class_path': 'cli.probe_data.RowsDataModule',
                            'init_args': {'kind': 'several'},
                        },
                    },
                },
                {
                    'class_path': 'torchgeo_hsi.callbacks.ScoreFile',
                    'init_args': {'path': str(tmp_path / 'scores.json')},
                },
            ],
        },
    }
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config), encoding='utf-8')
    from torchgeo.main import main

    from torchgeo_hsi.callbacks import read_scores

    main(['fit', '--config', str(path)])
    fit = read_scores(tmp_path / 'scores.json')['fit']
    assert fit['probe/knn_OverallF1Score'] > 0.9


class Watch(Callback):
    """Writes what a process has found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        found = {k: float(v) for k, v in trainer.callback_metrics.items()}
        sums = [float(p.detach().double().sum()) for p in pl_module.parameters()]
        path = self.folder / f'{trainer.global_rank}.json'
        path.write_text(json.dumps(found | {'sum': sum(sums)}))


def train_with_two(folder: Path) -> None:
    """Train with two processes, which Lightning forks."""
    probe = OnlineProbe(RowsDataModule(), knn=3, linear=False)
    report = RepresentationReport()
    words: dict[str, Any] = {'max_epochs': 1, 'strategy': 'ddp_fork', 'devices': 2}
    trainer = make_trainer(folder, probe, report, Watch(folder), **words)
    trainer.fit(contrast(), datamodule=Unlabelled(batch_size=6))


def test_two_processes(tmp_path: Path, together: Nursery) -> None:
    together(train_with_two, (tmp_path,))
    one, other = (
        yaml.safe_load((tmp_path / f'{rank}.json').read_text()) for rank in range(2)
    )
    names = [name for name in one if name.startswith(('probe/', 'representation/'))]
    assert {'probe/knn_OverallAccuracy', 'representation/alignment'} <= set(names)
    assert {name: one[name] for name in names} == {name: other[name] for name in names}
    assert one['sum'] == other['sum']
    assert (tmp_path / 'representation.png').is_file()
