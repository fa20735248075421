# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training of solvers of equations, and the figures of it."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from tasks.solvers import MODES, make, operator, parameter, values_of

from torchgeo_hsi.datamodules import EquationDataModule
from torchgeo_hsi.tasks import NeuralSpectral
from torchgeo_hsi.tasks._recipes import rate_factor


def trainer(**words: Any) -> Trainer:
    return quiet_trainer(**({'max_epochs': 2} | words))


def data(**words: Any) -> EquationDataModule:
    options: dict[str, Any] = {
        'batch_size': 4,
        'steps_per_epoch': 3,
        'test_size': 5,
        'val_size': 2,
        'resolution': 12,
    }
    return EquationDataModule(**(options | words))


class Rates(Callback):
    """Write down the learning rate of each step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]['lr'])


@pytest.mark.filterwarnings('ignore:The .* does not have many workers')
class TestTraining:
    def test_learns_without_solutions(self) -> None:
        options = {'width': 32, 'depth': 2}
        task = make(model_kwargs=options, lr=3e-3, lr_end=0.1)
        module = data(batch_size=16, steps_per_epoch=120)
        run = trainer(max_epochs=1)
        before = run.test(task, module, verbose=False)[0]['test_relative_l2']
        run.fit(task, module)
        after = run.test(task, module, verbose=False)[0]['test_relative_l2']
        assert before > 0.9
        assert after < 0.35

    def test_scores(self) -> None:
        task, module, run = make(), data(), trainer()
        (found,) = run.test(task, module, verbose=False)
        batch = module.test_dataset[:5]  # type: ignore[index]
        u = task.solve(batch['parameter'], 12).numpy()
        error = np.sqrt(((u - batch['solution'].numpy()) ** 2).sum((1, 2)))
        size = np.sqrt((batch['solution'].numpy() ** 2).sum((1, 2)))
        assert found['test_relative_l2'] == pytest.approx(
            (error / size).mean(), rel=1e-4
        )
        around = sum(np.roll(u, step, dim) for step in (1, -1) for dim in (1, 2))
        left = (4 * u - around) * 12**2 - values_of(task, batch['parameter'], 12)
        assert found['test_residual'] == pytest.approx(np.abs(left).mean(), rel=1e-3)
        assert set(found) == {'test_loss', 'test_relative_l2', 'test_residual'}

    def test_rate(self) -> None:
        rates = Rates()
        run = trainer(callbacks=[rates], accumulate_grad_batches=1)
        run.fit(make(lr=0.01, lr_end=0.1), data())
        assert rates.seen == pytest.approx([0.01 * 0.1 ** (k / 6) for k in range(6)])

    def test_rate_rises_first(self) -> None:
        found = [
            rate_factor(step, 10, 4, 'exponential', end=0.25) for step in range(11)
        ]
        assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
        assert found[4:8:3] == pytest.approx([1, 0.5])
        assert found[10] == pytest.approx(0.25)

    def test_mixed_precision_is_exact(self) -> None:
        losses = []
        for precision in ('32-true', 'bf16-mixed'):
            run = trainer(precision=precision, max_steps=2)
            run.fit(make(), data())
            losses.append(float(run.callback_metrics['train_loss']))
        assert losses[0] == losses[1]

    @pytest.mark.parametrize('maker', [make, operator])
    def test_checkpoint(self, maker: Any, tmp_path: Path) -> None:
        task = maker('reaction_diffusion', weights='parseval')
        run = trainer(max_steps=1)
        run.fit(task, data())
        run.save_checkpoint(tmp_path / 'task.ckpt')
        again = NeuralSpectral.load_from_checkpoint(tmp_path / 'task.ckpt')
        assert again.hparams == task.hparams
        source = parameter(task)
        assert torch.equal(again.solve(source, 8), task.solve(source, 8))

    def test_from_data(self) -> None:
        task, run = operator(objective='data'), trainer(max_epochs=1)
        run.fit(task, data(train_solutions=4, train_resolution=8))
        assert math.isfinite(float(run.callback_metrics['val_relative_l2']))

    @pytest.mark.parametrize('resolution', [None, 20, [9, 10]])
    def test_predict(self, resolution: Any) -> None:
        task = make('reaction_diffusion', predict_resolution=resolution)
        batches = trainer().predict(task, data())
        assert batches is not None
        first: Any = batches[0]
        sizes: dict[Any, tuple[int, int]] = {None: (12, 12), 20: (20, 20)}
        expected = (9, 10) if isinstance(resolution, list) else sizes[resolution]
        assert first['prediction'].shape == (4, *expected)
        assert first['solution'].shape == (4, 12, 12)
        wanted = task.solve(first['parameter'], list(expected))
        assert torch.equal(first['prediction'], wanted)

    def test_predict_without_solutions(self) -> None:
        task = make()
        found = task.predict_step({'parameter': parameter(task)}, 0)
        assert set(found) == {'parameter', 'prediction'}
        assert found['prediction'].shape == (2, 12, 12)


class TestFigure:
    @pytest.mark.parametrize('name', sorted(MODES))
    def test_draws(self, name: str) -> None:
        task = make(name)
        source = parameter(task)
        solution = torch.rand(2, *[12] * len(MODES[name]))
        figure = task.plot({'parameter': source, 'solution': solution})
        panels = [ax for ax in figure.axes if ax.images or ax.lines]
        # two functions of two variables, or three rows of four moments each
        assert len(panels) == (8 if len(MODES[name]) == 2 else 2 * (1 + 3 * 4))
        titles = [ax.get_title() for ax in panels]
        error, target = task.solve(source, 12)[0] - solution[0], solution[0]
        if error.ndim == 3:
            # of the last moment
            error, target = error[-1], target[-1]
        expected = error.norm() / target.norm()
        assert f'error {float(expected):.2%}' in ' '.join(titles)
        plt.close(figure)

    def test_draws_what_has_diverged(self) -> None:
        task = make()
        with torch.no_grad():
            task.model.head.bias.fill_(torch.nan)
        batch = {'parameter': parameter(task), 'solution': torch.rand(2, 12, 12)}
        figure = task.plot(batch)
        figure.canvas.draw()
        plt.close(figure)

    def test_shows_values(self) -> None:
        task = make('reaction_diffusion')
        source = parameter(task)
        figure = task.plot({'parameter': source}, rows=1)
        (line,) = figure.axes[0].lines
        given = task.equation.to_grid(source, task.equation.grid(12))[0, 0, 0]
        assert np.allclose(np.asarray(line.get_ydata())[:-1], given.numpy(), atol=1e-5)
        (picture,) = figure.axes[1].images
        # time goes to the right
        shown = np.asarray(picture.get_array())
        assert np.allclose(shown, task.solve(source, 12)[0].T.numpy(), atol=1e-6)
        plt.close(figure)
