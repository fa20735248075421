# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Solvers of equations against formulas, waves and finite differences of numpy."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.datamodules import EquationDataModule
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.equations import list_equations
from torchgeo_hsi.tasks import NeuralSpectral
from torchgeo_hsi.tasks._recipes import rate_factor

SMALL: dict[str, Any] = {'width': 8, 'depth': 1}
MODES = {
    'periodic_poisson': [7, 7],
    'dirichlet_poisson': [7, 7],
    'reaction_diffusion': [6, 9],
    'navier_stokes': [5, 7, 7],
    'column_plume': [5, 7, 7],
}


def make(equation: str = 'periodic_poisson', **words: Any) -> NeuralSpectral:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        'equation_options': {'modes': MODES[equation]},
        # large outputs, so that something is left to see
        'model_kwargs': SMALL | {'scale': 1.0},
        'resolution': 12,
    }
    return NeuralSpectral(equation, **(options | words))


def operator(equation: str = 'periodic_poisson', **words: Any) -> NeuralSpectral:
    pytest.importorskip('neuralop')
    words = {'objective': 'grid_residual'} | words
    return make(equation, model='fourier_neural_operator', **words)


def parameter(task: NeuralSpectral, count: int = 2) -> Tensor:
    return task.equation.sample(count, torch.Generator().manual_seed(1)).float()


def values_of(task: NeuralSpectral, source: Tensor, size: int) -> NDArray[Any]:
    """The given field on a grid, from its waves."""
    x = torch.arange(size) / size
    found: NDArray[Any] = task.equation.to_grid(source, [x, x])[:, 0].double().numpy()
    return found


class TestLoss:
    def test_spectral_is_integral_of_residual(self) -> None:
        task = make(weights='parseval')
        source = parameter(task)
        loss = task.loss({'parameter': source}).item()
        u = task.solve(source, size=32).double().numpy()
        k = 2 * np.pi * np.fft.fftfreq(32, 1 / 32)
        square = k[:, None] ** 2 + k**2
        curved = np.fft.ifft2(np.fft.fft2(u) * square).real
        expected = ((curved - values_of(task, source, 32)) ** 2).mean()
        assert loss == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize('maker', [make, operator])
    def test_grid_residual_is_of_finite_differences(self, maker: Any) -> None:
        task = maker(objective='grid_residual')
        source = parameter(task)
        loss = task.loss({'parameter': source}).item()
        u = task.solve(source, size=12).double().numpy()
        around = sum(np.roll(u, step, dim) for step in (1, -1) for dim in (1, 2))
        left = (4 * u - around) * 12**2 - values_of(task, source, 12)
        assert loss == pytest.approx((left**2).mean(), rel=1e-3)

    @pytest.mark.parametrize('maker', [make, operator])
    def test_data_is_relative_error(self, maker: Any) -> None:
        task = maker(objective='data')
        source = parameter(task)
        target = torch.rand(2, 10, 10)
        loss = task.loss({'parameter': source, 'solution': target}).item()
        error = (task.solve(source, size=10) - target).flatten(1).norm(dim=1)
        expected = error / target.flatten(1).norm(dim=1)
        assert loss == pytest.approx(float(expected.mean()), rel=1e-5)

    def test_unit_weights(self) -> None:
        task = make()
        source = parameter(task)
        residual = task.equation.residual(source, task.coefficients(source))
        expected = float((residual**2).sum().detach() / 2)
        assert task.loss({'parameter': source}).item() == pytest.approx(expected)

    @pytest.mark.parametrize('name', sorted(MODES))
    def test_is_computed_where_the_batch_is(self, name: str) -> None:
        task = make(name, weights='parseval')
        source = parameter(task).to('meta')
        # numbers from another device would be refused
        assert task.to('meta').loss({'parameter': source}).is_meta

    def test_dual_weights_know_the_equation(self) -> None:
        task = make('reaction_diffusion', weights='dual')
        source = parameter(task)
        residual = task.equation.residual(source, task.coefficients(source)).detach()
        k = 2 * np.pi * np.fft.fftfreq(residual.shape[2], 1 / residual.shape[2])
        # pi / 2 of the first polynomial, half of it of others; the same of waves
        weights = np.full(residual.shape[1:], np.pi / 8)
        weights[0] *= 2
        weights[:, 0] *= 2
        weights /= 1 + 0.01 * k**2  # the diffusion by default
        expected = float((residual.numpy() ** 2 * weights).sum() / len(source))
        loss = task.loss({'parameter': source}).item()
        assert loss == pytest.approx(expected, rel=1e-4)
        with pytest.raises(ValueError, match="Use 'parseval'"):
            make('dirichlet_poisson', weights='dual')

    def test_no_solutions(self) -> None:
        task = make(objective='data')
        with pytest.raises(EmptyDataError, match='train_solutions'):
            task.loss({'parameter': parameter(task)})


class TestSolve:
    def test_resolution_does_not_matter(self) -> None:
        task = make()
        source = parameter(task)
        coarse, fine = (task.solve(source, size=size) for size in (8, 32))
        assert torch.allclose(coarse, fine[:, ::4, ::4], atol=1e-5)
        assert not fine.requires_grad

    def test_points(self) -> None:
        task = make('dirichlet_poisson')
        source = parameter(task)
        points = [torch.tensor([0.1, 0.77]), torch.tensor([0.0, 0.3, 0.5])]
        found = task.solve(source, points=points)
        assert found.shape == (2, 2, 3)
        # sums of Chebyshev polynomials, term by term
        series = task.coefficients(source)[0].detach().numpy()
        x, y = (2 * line.double().numpy() - 1 for line in points)
        expected = np.polynomial.chebyshev.chebgrid2d(x, y, series)
        assert np.abs(found[0].numpy() - expected).max() < 1e-4

    def test_points_outside(self) -> None:
        # time has an end; a periodic place is anywhere
        task = make('reaction_diffusion')
        source = parameter(task)
        t, x = torch.tensor([0.0, 1.0]), torch.tensor([0.2])
        again = task.solve(source, points=[t, x + 1])
        assert torch.allclose(again, task.solve(source, points=[t, x]), atol=1e-4)
        with pytest.raises(ValueError, match=r'points of t in \[0, 1\]'):
            task.solve(source, points=[t + 0.5, x])
        with pytest.raises(BandMismatchError, match=r'each axis .* \(t, x\)'):
            task.solve(source, points=[t])

    def test_size_of_each_axis(self) -> None:
        task = make('reaction_diffusion')
        source = parameter(task)
        assert task.solve(source, size=[5, 20]).shape == (2, 5, 20)
        assert task.solve(source.double(), size=7).dtype == torch.float32

    @pytest.mark.parametrize('maker', [make, operator])
    @pytest.mark.parametrize('name', sorted(MODES))
    def test_meets_conditions(self, name: str, maker: Any) -> None:
        task = maker(name)
        source = parameter(task)
        u = task.solve(source, size=12).numpy()
        assert np.abs(u).max() > 1e-3
        if name == 'periodic_poisson':
            assert np.abs(u[:, 0, 0]).max() < 1e-6
        elif name == 'dirichlet_poisson':
            edges = np.stack([u[:, 0], u[:, -1], u[:, :, 0], u[:, :, -1]])
            assert np.abs(edges).max() < 1e-5
        elif name == 'column_plume':
            assert np.abs(u[:, 0]).max() < 1e-5
        else:
            grid = task.equation.grid(12)
            given = task.equation.to_grid(source, grid)[:, 0, 0].numpy()
            assert np.abs(u[:, 0] - given).max() < 1e-4

    def test_operator_runs_on_the_grid(self) -> None:
        task = operator()
        source = parameter(task)
        even = [torch.arange(16) / 16] * 2
        assert torch.allclose(
            task.solve(source, points=even), task.solve(source, size=16)
        )
        with pytest.raises(BandMismatchError, match='evenly spaced'):
            task.solve(source, points=[torch.linspace(0, 1, 16)] * 2)
        with pytest.raises(ValueError, match='has no coefficients'):
            task.coefficients(source)

    def test_both_or_none(self) -> None:
        task = make()
        with pytest.raises(ValueError, match='both or none'):
            task.solve(parameter(task))
        with pytest.raises(ValueError, match='both or none'):
            task.solve(parameter(task), 8, [torch.rand(2)] * 2)

    def test_other_modes(self) -> None:
        with pytest.raises(BandMismatchError, match='Resize'):
            make().solve(torch.zeros(1, 1, 5, 5), size=8)

    def test_autocast_changes_nothing(self) -> None:
        task = make()
        source = parameter(task)
        expected = task.solve(source, size=8)
        with torch.autocast('cpu', torch.bfloat16):
            assert torch.equal(task.solve(source, size=8), expected)


def trainer(**words: Any) -> Trainer:
    options: dict[str, Any] = {
        'accelerator': 'cpu',
        'logger': False,
        'enable_checkpointing': False,
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'max_epochs': 2,
    }
    return Trainer(**(options | words))


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


def test_all_equations_are_tested() -> None:
    # those that users add are not ours to test
    assert set(MODES) <= set(list_equations())


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ({'objective': 'pinn'}, 'spectral, grid_residual, data'),
        ({'weights': 'none'}, 'parseval'),
        ({'lr': 0.0}, 'positive lr'),
        ({'lr_end': 0.0}, 'lr_end above 0'),
        ({'resolution': 2}, '4 points'),
        ({'predict_resolution': [2, 9]}, '4 points'),
    ],
)
def test_errors(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**words)


def test_coefficients_are_needed() -> None:
    with pytest.raises(ValueError, match='knows values on grids only'):
        operator(objective='spectral')


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match='spectral_operator'):
        make(model='spectral_operatr')
    with pytest.raises(UnknownNameError, match='periodic_poisson'):
        NeuralSpectral('poisson')
