# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reports of features that spread, and of features that collapse."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from callbacks.pretraining import Unlabelled, contrast, make_trainer
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from torchgeo_hsi.callbacks._aside import aside
from torchgeo_hsi.callbacks._spectrum_figure import draw_representation
from torchgeo_hsi.callbacks.representation_report import RepresentationReport
from torchgeo_hsi.errors import HSIWarning, MetadataError
from torchgeo_hsi.metrics.alignment import alignment
from torchgeo_hsi.metrics.effective_rank import effective_rank, eigen_spectrum
from torchgeo_hsi.metrics.uniformity import uniformity


def train(
    folder: Path, *callbacks: Any, data: Any = None, task: Any = None, **options: Any
) -> tuple[Any, Trainer]:
    task = contrast(generator=True) if task is None else task
    trainer = make_trainer(folder, *callbacks, **options)
    torch.manual_seed(3)
    trainer.fit(task, datamodule=Unlabelled() if data is None else data)
    return task, trainer


def scores(trainer: Trainer) -> dict[str, float]:
    start = 'representation/'
    found = trainer.callback_metrics.items()
    return {k.removeprefix(start): float(v) for k, v in found if k.startswith(start)}


@pytest.mark.parametrize('validation', [True, False])
def test_training_cannot_tell(tmp_path: Path, validation: bool) -> None:
    states = []
    for callbacks in ((), (RepresentationReport(),)):
        data = Unlabelled(validation)
        task, trainer = train(tmp_path, *callbacks, data=data)
        states.append((task.state_dict(), torch.get_rng_state()))
    assert torch.equal(states[0][1], states[1][1])
    for key, value in states[0][0].items():
        assert torch.equal(value, states[1][0][key]), key
    assert set(scores(trainer)) == {
        'effective_rank',
        'rank_share',
        'uniformity',
        'alignment',
    }
    assert (tmp_path / 'representation.png').stat().st_size > 10_000


def test_numbers_are_those_of_the_metrics(tmp_path: Path) -> None:
    report = RepresentationReport()
    task, trainer = train(tmp_path, report, max_epochs=1)
    found = scores(trainer)
    data = trainer.datamodule  # type: ignore[attr-defined]
    dataset = data.val_dataset
    images = torch.stack([dataset[i]['image'] for i in range(len(dataset))])
    batches = [(part - 3400) / 400 for part in images.split(10)]
    task.eval()
    with torch.no_grad():
        whole = torch.cat([task.backbone(part) for part in batches])
    assert found['effective_rank'] == pytest.approx(
        float(effective_rank(whole)), rel=1e-3
    )
    possible = min(whole.shape[1], len(whole) - 1)
    assert found['rank_share'] == pytest.approx(found['effective_rank'] / possible)
    assert found['uniformity'] == pytest.approx(float(uniformity(whole)), abs=1e-5)
    assert report.ranks[0] == pytest.approx(found['effective_rank'])
    torch.testing.assert_close(
        report.spectra[0].double(), eigen_spectrum(whole), rtol=1e-3, atol=1e-6
    )
    # its views are drawn by a generator of their own, which is given back
    with aside(trainer, task):
        views = [task.views({'image': part}) for part in batches]
        pairs = [[task.backbone(v['image']) for v in two] for two in views]
    one, other = (torch.cat(column) for column in zip(*pairs, strict=True))
    assert float(alignment(one, other)) == pytest.approx(found['alignment'], abs=0.05)


def test_last_batches_of_training(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watch(RepresentationReport):
        def _look(self, trainer: Any, task: Any, batch: Any) -> None:
            seen.append(trainer.fit_loop.batch_idx)
            super()._look(trainer, task, batch)

    data = Unlabelled(validation=False, batch_size=4)
    train(tmp_path, Watch(batches=2, every_n_epochs=2), data=data, max_epochs=4)
    assert seen == [4, 5, 4, 5]
    seen.clear()
    data = Unlabelled(batch_size=4)
    train(tmp_path, Watch(batches=3, file=None), data=data, max_epochs=1)
    # and not in the sanity check
    assert len(seen) == 3


def test_loggers_and_checkpoints(tmp_path: Path) -> None:
    loggers = [CSVLogger(tmp_path, 'csv', ''), TensorBoardLogger(tmp_path, 'tb', '')]
    best = ModelCheckpoint(
        tmp_path / 'best', monitor='representation/effective_rank', mode='max'
    )
    report = RepresentationReport(file='figures/rank.png')
    train(tmp_path, report, best, logger=loggers, enable_checkpointing=True)
    assert best.best_model_score is not None
    rows = (tmp_path / 'csv' / 'metrics.csv').read_text().splitlines()
    assert 'representation/uniformity' in rows[0]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / 'tb')).Reload()
    assert 'representation/spectrum' in events.Tags()['images']
    assert 'representation/alignment' in events.Tags()['scalars']
    assert (tmp_path / 'figures' / 'rank.png').is_file()
    # a training that goes on draws on
    again = RepresentationReport(file=None)
    make_trainer(tmp_path, again, max_epochs=3).fit(
        contrast(), datamodule=Unlabelled(), ckpt_path=best.best_model_path
    )
    assert sorted(again.ranks) == [0, 1, 2]
    known = min(again.ranks)
    assert again.ranks[known] == report.ranks[known]


def test_collapse_warns_once(tmp_path: Path) -> None:
    report = RepresentationReport(collapse=0.5)
    with pytest.warns(HSIWarning, match='have collapsed: they fill .* of 23') as found:
        train(tmp_path, report, max_epochs=3)
    mine = [warning for warning in found if 'collapsed' in str(warning.message)]
    assert len(mine) == 1


def test_divergence(tmp_path: Path) -> None:
    task = contrast()

    class Break(RepresentationReport):
        def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            super().on_validation_epoch_start(trainer, pl_module)
            pl_module.backbone.norm.weight.data[0] = torch.nan

    with pytest.warns(HSIWarning, match='NaN or infinite.*diverged'):
        make_trainer(tmp_path, Break()).validate(task, datamodule=Unlabelled())


def test_a_task_without_views(tmp_path: Path) -> None:
    task = contrast()
    del task.views

    report = RepresentationReport()
    trainer = make_trainer(tmp_path, report)
    task.validation_step = lambda batch, batch_idx: None  # type: ignore[method-assign]
    task.setup = lambda stage: None  # type: ignore[method-assign]
    trainer.validate(task, datamodule=Unlabelled())
    assert set(scores(trainer)) == {'effective_rank', 'rank_share', 'uniformity'}
    assert not report.ranks


def test_spectra_are_thinned_out() -> None:
    report = RepresentationReport()
    for epoch in range(200):
        report._remember(epoch, float(epoch), torch.rand(8))
    assert len(report.ranks) == 200
    assert 16 <= len(report.spectra) <= 33
    assert {0, 199} <= set(report.spectra)
    gaps = np.diff(sorted(report.spectra))
    assert set(gaps[:-1]) == {8}


def test_figure() -> None:
    spectra = {0: torch.tensor([1.0, 0.1, 0.0]), 5: torch.zeros(3)}
    figure = draw_representation(spectra, {0: 2.0, 5: 0.0})
    lines = figure.axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [1 / 1.1, 0.1 / 1.1])
    assert len(lines[1].get_ydata()) == 0
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == 'log'
    assert figure.axes[1].lines[0].get_xydata().tolist() == [[0, 2], [5, 0]]
    plt.close(figure)
    with pytest.raises(ValueError, match='at least one epoch'):
        draw_representation({}, {})


def test_wrong_use(tmp_path: Path) -> None:
    for words, message in (
        ({'every_n_epochs': 0}, 'every_n_epochs'),
        ({'batches': 0}, 'batches of 1'),
        ({'collapse': 1.0}, 'collapse from 0'),
    ):
        with pytest.raises(ValueError, match=message):
            RepresentationReport(**words)  # type: ignore[arg-type]
    with pytest.raises(MetadataError, match="no part 'encoder'"):
        train(tmp_path, RepresentationReport(network='encoder'))


@pytest.mark.parametrize('axis', [True, False])
def test_images_without_data_do_not_count(tmp_path: Path, axis: bool) -> None:
    """Their features, all the same, would look like a collapse."""

    class Holes(Unlabelled):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            batch = super().on_after_batch_transfer(batch, dataloader_idx)
            valid = torch.ones(len(batch['image']), 16, 16, dtype=torch.bool)
            valid[::2] = False
            batch['image'] = batch['image'] * valid[:, None]
            return batch | {'valid': valid[:, None] if axis else valid}

    task, trainer = train(tmp_path, RepresentationReport(), data=Holes(), max_epochs=1)
    dataset = trainer.datamodule.val_dataset  # type: ignore[attr-defined]
    images = torch.stack([dataset[i]['image'] for i in range(len(dataset))])
    # batches of ten: the even numbers of a batch are those of all
    with torch.no_grad():
        known = task.eval().backbone((images[1::2] - 3400) / 400)
    found = scores(trainer)
    want = float(effective_rank(known))
    assert found['effective_rank'] == pytest.approx(want, rel=1e-3)
    assert found['rank_share'] == pytest.approx(want / (len(known) - 1), rel=1e-3)
    assert found['uniformity'] == pytest.approx(float(uniformity(known)), abs=1e-5)
