# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Solvers of equations against formulas, waves and finite differences of numpy."""

from typing import Any

import numpy as np
import pytest
import torch
from tasks.solvers import MODES, make, operator, parameter, values_of

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.equations import list_equations
from torchgeo_hsi.tasks import NeuralSpectral


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
