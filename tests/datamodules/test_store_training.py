# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training on a store: no sample twice, none missing, exact resume."""

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from data.stores.data import Numbers, write_store
from datamodules.distributed_training import Seen, Witness, train, work
from helpers.processes import Nursery, free_port
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from torchgeo_hsi._compat import pending_loader_states
from torchgeo_hsi.datamodules import StoreLoader
from torchgeo_hsi.datasets import StoredPatches

TRAIN = {f'sample_{i}' for i in range(23)}
VAL = {f'sample_{i}' for i in range(100, 105)}


@pytest.fixture(scope='module')
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('training') / 'store'
    write_store(path, {'train': Numbers(0, 23), 'val': Numbers(100, 5)})
    return path


@pytest.fixture(scope='module')
def alone(store: Path) -> Seen:
    """Train for three epochs, with a checkpoint after each batch."""
    task, _ = train(store, epochs=3, checkpoints=str(store.parent / 'alone'))
    assert len(task.seen) == 18
    return task.seen


def complete(seen: Seen, *epochs: int) -> None:
    """Check that each sample is in each epoch exactly once."""
    for epoch in epochs:
        names = Counter(name for e, batch in seen if e == epoch for name in batch)
        assert names == Counter(TRAIN), epoch


class TestOneProcess:
    def test_every_sample_once(self, alone: Seen) -> None:
        complete(alone, 0, 1, 2)
        assert {len(batch) for _, batch in alone} == {3, 4}
        assert alone[:6] != [(0, batch) for _, batch in alone[6:12]]

    @pytest.mark.parametrize(
        ('step', 'options'),
        [
            (1, {}),
            (5, {}),
            # the last batch of an epoch
            (6, {}),
            (7, {}),
            (16, {}),
            (4, {'num_workers': 2}),
            (8, {'num_workers': 2}),
        ],
    )
    def test_resume(
        self, store: Path, alone: Seen, step: int, options: dict[str, Any]
    ) -> None:
        path = store.parent / 'alone' / f'step={step}.ckpt'
        with warnings.catch_warnings():
            warnings.filterwarnings('error', message='.*not resumable')
            task, _ = train(store, seed=9, epochs=3, resume=str(path), **options)
        assert task.seen == alone[step:]

    def test_batches_read_ahead_do_not_count(
        self, store: Path, alone: Seen, tmp_path: Path
    ) -> None:
        task, _ = train(store, num_workers=2, checkpoints=str(tmp_path))
        assert task.seen == alone[:12]
        again, _ = train(store, seed=1, resume=str(tmp_path / 'step=3.ckpt'))
        assert again.seen == alone[3:12]

    @pytest.mark.parametrize('on_train_end', [True, False])
    def test_checkpoints_of_lightning(
        self, store: Path, alone: Seen, tmp_path: Path, on_train_end: bool
    ) -> None:
        """After training epochs, and after validation in the middle of them."""
        saver = ModelCheckpoint(
            tmp_path, '{step}', save_top_k=-1, save_on_train_epoch_end=on_train_end
        )
        interval: dict[str, Any] = {} if on_train_end else {'val_check_interval': 2}
        train(store, callbacks=(saver,), **interval)
        paths = sorted(tmp_path.iterdir())
        assert len(paths) == (2 if on_train_end else 6)
        for path in paths[:2]:
            step = int(path.stem.split('=')[1])
            task, _ = train(store, seed=7, epochs=3, resume=str(path), **interval)
            assert task.seen == alone[step:]

    @pytest.mark.parametrize('num_workers', [0, 2])
    def test_signal_in_the_middle_of_a_step(
        self, store: Path, alone: Seen, tmp_path: Path, num_workers: int
    ) -> None:
        """As Lightning does when SLURM announces the end of a job."""

        class Signal(Callback):
            def on_before_backward(self, trainer: Trainer, *others: Any) -> None:
                trainer.save_checkpoint(tmp_path / f'{trainer.global_step}.ckpt')

        train(store, callbacks=(Signal(),), num_workers=num_workers)
        for step in (0, 3, 5, 6, 11):
            task, _ = train(store, seed=8, resume=str(tmp_path / f'{step}.ckpt'))
            assert task.seen == alone[step:12]

    def test_error_in_the_middle_of_a_step(
        self, store: Path, alone: Seen, tmp_path: Path
    ) -> None:
        class Failure(Callback):
            def on_train_batch_start(self, trainer: Trainer, *others: Any) -> None:
                if trainer.global_step == 8:
                    raise FloatingPointError

        saver = ModelCheckpoint(tmp_path, 'error', save_on_exception=True)
        with pytest.raises(FloatingPointError):
            train(store, callbacks=(Failure(), saver))
        task, _ = train(store, seed=8, resume=str(tmp_path / 'error.ckpt'))
        assert task.seen == alone[8:12]

    def test_training_goes_on_after_its_end(
        self, store: Path, alone: Seen, tmp_path: Path
    ) -> None:
        _, trainer = train(store, epochs=1)
        trainer.save_checkpoint(tmp_path / 'end.ckpt')
        task, _ = train(store, seed=2, epochs=3, resume=str(tmp_path / 'end.ckpt'))
        assert task.seen == alone[6:]

    def test_limited_epochs(self, store: Path, alone: Seen, tmp_path: Path) -> None:
        task, _ = train(store, limit_train_batches=4, checkpoints=str(tmp_path))
        assert task.seen == alone[:4] + alone[6:10]
        path = str(tmp_path / 'step=3.ckpt')
        again, _ = train(store, seed=1, resume=path, limit_train_batches=4)
        assert again.seen == task.seen[3:]

    def test_max_steps(self, store: Path, alone: Seen) -> None:
        task, _ = train(store, epochs=-1, max_steps=9)
        assert task.seen == alone[:9]

    def test_another_batch_size(self, store: Path, alone: Seen) -> None:
        path = str(store.parent / 'alone' / 'step=2.ckpt')
        task, _ = train(store, seed=3, batch_size=3, resume=path)
        complete([*alone[:2], *task.seen], 0, 1)

    def test_overfit_batches(self, store: Path) -> None:
        task, _ = train(store, overfit_batches=2)
        names = [[f'sample_{i}' for i in range(start, start + 4)] for start in (0, 4)]
        assert task.seen == [(e, batch) for e in range(2) for batch in names]

    def test_validation_in_order(self, store: Path) -> None:
        task, _ = train(store, epochs=1)
        assert task.validated == sorted(VAL)

    def test_loader_without_a_data_module(self, store: Path, tmp_path: Path) -> None:
        def fit(epochs: int, **options: Any) -> Witness:
            loader = StoreLoader(
                StoredPatches(store, 'train'), 4, buffer_shards=2, num_workers=2
            )
            trainer = Trainer(
                accelerator='cpu',
                max_epochs=epochs,
                logger=False,
                callbacks=[ModelCheckpoint(tmp_path, '{step}', every_n_train_steps=4)],
                enable_progress_bar=False,
            )
            task = Witness()
            trainer.fit(task, loader, **options)
            return task

        task = fit(1)
        complete(task.seen, 0)
        again = fit(2, ckpt_path=str(tmp_path / 'step=4.ckpt'))
        assert again.seen[:2] == task.seen[4:]
        complete(again.seen, 1)

    def test_loader_of_a_loop(self, store: Path) -> None:
        """Without Lightning, epochs count themselves."""
        loader = StoreLoader(StoredPatches(store, 'train'), batch_size=5)
        batches = iter(loader)
        seen = [name for _ in range(2) for name in next(batches)['name']]
        state = loader.state_dict()
        other = StoreLoader(StoredPatches(store, 'train'), batch_size=5)
        other.load_state_dict(state)
        seen += [name for batch in other for name in batch['name']]
        assert Counter(seen) == Counter(TRAIN)
        assert Counter(n for b in other for n in b['name']) == Counter(TRAIN)

    def test_state_that_waits_for_a_loader(self, store: Path, alone: Seen) -> None:
        """Lightning counts batches before it hands over a state."""
        waiting = []

        class Data(StoreLoader):
            def __len__(self) -> int:
                waiting.append(pending_loader_states(trainer))
                return super().__len__()

        path = str(store.parent / 'alone' / 'step=2.ckpt')
        trainer = Trainer(
            accelerator='cpu', max_epochs=1, logger=False, enable_checkpointing=False
        )
        trainer.fit(Witness(), Data(StoredPatches(store, 'train'), 4), ckpt_path=path)
        assert waiting[0][0]['batches'] == 2
        assert waiting[-1] == []
        assert pending_loader_states(None) == []


class TestTwoProcesses:
    @pytest.fixture(scope='class')
    @staticmethod
    def found(
        store: Path, alone: Seen, tmp_path_factory: Any, together: Nursery
    ) -> dict[str, list[Any]]:
        folder = tmp_path_factory.mktemp('two')
        saved = str(folder / 'saved')
        jobs: dict[str, Any] = {
            'whole': {'checkpoints': saved},
            'rest': {'resume': f'{saved}/step=2.ckpt'},
            'workers': {'resume': f'{saved}/step=4.ckpt', 'num_workers': 2},
            # of one process, which has used less than two processes would have
            'more': {
                'resume': str(store.parent / 'alone' / 'step=2.ckpt'),
                'epochs': 3,
            },
        }
        (folder / 'jobs.json').write_text(json.dumps(jobs))
        meeting = {'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(free_port())}
        both = ((rank, store, folder / 'jobs.json') for rank in range(2))
        assert 'not resumable' not in together(work, *both, **meeting)
        return {
            name: [
                json.loads((folder / f'{name}_{rank}.json').read_text())
                for rank in range(2)
            ]
            for name in jobs
        } | {'folder': [folder]}

    def test_no_sample_twice_none_missing(self, found: dict[str, list[Any]]) -> None:
        first, second = (part['seen'] for part in found['whole'])
        # 23 samples are six batches, three for each process
        assert len(first) == len(second) == 6
        complete([*first, *second], 0, 1)
        sizes = {len(batch) for _, batch in (*first, *second)}
        assert sizes == {3, 4}

    def test_exact_resume(self, found: dict[str, list[Any]]) -> None:
        for rank in range(2):
            whole = found['whole'][rank]['seen']
            assert found['rest'][rank]['seen'] == whole[2:]
            assert found['workers'][rank]['seen'] == whole[4:]

    def test_validation_counts_each_sample_once(
        self, found: dict[str, list[Any]]
    ) -> None:
        names = [name for part in found['workers'] for name in part['validated']]
        assert Counter(names) == Counter(VAL)

    def test_two_processes_go_on(
        self, alone: Seen, found: dict[str, list[Any]]
    ) -> None:
        first, second = (part['seen'] for part in found['more'])
        assert len(first) == len(second)
        complete([*alone[:2], *first, *second], 0, 1, 2)

    def test_one_process_goes_on(
        self, store: Path, found: dict[str, list[Any]]
    ) -> None:
        path = found['folder'][0] / 'saved' / 'step=2.ckpt'
        task, _ = train(store, seed=5, epochs=3, resume=str(path))
        before = [
            (epoch, batch)
            for part in found['whole']
            for epoch, batch in part['seen'][:2]
        ]
        complete([*before, *task.seen], 0, 1, 2)
