# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Equations against solutions that are known, and against each other's numbers."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.physics.equations import (
    ColumnPlume,
    DirichletPoisson,
    Equation,
    GridCalculus,
    NavierStokes,
    PeriodicPoisson,
    ReactionDiffusion,
    gaussian_process,
    get_equation,
    list_equations,
)

ALL = [
    PeriodicPoisson((21, 21)),
    DirichletPoisson((24, 24)),
    ReactionDiffusion((40, 31), 0.005),
    NavierStokes((14, 15, 15), steps=200),
    NavierStokes((14, 15, 15), steps=200, forced=True),
    ColumnPlume((12, 15, 15)),
]


def source() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def fit(equation: Equation, values: Tensor, size: int) -> Tensor:
    """Find coefficients of values on the even grid by least squares, axis by axis."""
    for dim, (axis, x) in enumerate(
        zip(equation.axes, equation.grid(size), strict=True), start=1
    ):
        basis = axis.basis(equation.modes[dim - 1], x)
        values = (values.movedim(dim, -1) @ torch.linalg.pinv(basis).T).movedim(-1, dim)
    return values


@pytest.mark.parametrize('equation', ALL, ids=lambda e: e.name)
class TestAll:
    def test_sample(self, equation: Equation) -> None:
        found = equation.sample(3, source())
        assert found.shape == (3, equation.parameters, *equation.modes)
        assert found.dtype == torch.float64
        assert torch.equal(found, equation.sample(3, source()))
        assert not torch.equal(found[0], found[1])

    def test_solution_leaves_nothing(self, equation: Equation) -> None:
        """The numerical solution, as a series, meets the equation."""
        parameter = equation.sample(2, source())
        size = 32 if equation.name == 'navier_stokes' else 97
        if equation.name == 'poisson_dirichlet':
            # even points do not tell second derivatives near the edge: test_dirichlet
            return
        solution = fit(equation, equation.solve(parameter, size), size)
        left = equation.to_values(equation.residual(parameter, solution))
        scale = equation.to_values(parameter[:, 0]).square().mean().sqrt()
        assert left.square().mean().sqrt() < 2e-3 * scale

    def test_solution_meets_conditions(self, equation: Equation) -> None:
        parameter = equation.sample(2, source())
        points = equation.grid(17)
        given = equation.to_grid(parameter, points)
        solution = equation.solve(parameter, 17)
        if len(equation.axes) == 2 and equation.name.startswith('poisson'):
            expected = torch.zeros(2)
            found = solution[:, 0, 0]
        else:
            found = solution[:, 0]
            expected = torch.zeros_like(found)
            if equation.name != 'column_plume':
                expected = given[:, 0, 0]
        torch.testing.assert_close(
            found, expected.to(found), atol=2e-2, rtol=0, check_stride=False
        )

    def test_any_field_is_made_to_meet_them(self, equation: Equation) -> None:
        parameter = equation.sample(2, source())
        candidate = torch.randn(2, *equation.modes, dtype=torch.float64) * 0.1
        made = equation.constrain(parameter, candidate)
        assert made.shape == candidate.shape
        values = equation.to_values(made)
        given = equation.to_values(parameter[:, 0])
        if equation.name == 'poisson':
            assert values[:, 0, 0].abs().max() < 1e-12
        elif equation.name == 'poisson_dirichlet':
            for edge in (values[:, 0], values[:, -1], values[..., 0], values[..., -1]):
                assert edge.abs().max() < 1e-12
        else:
            # points of Gauss and Lobatto begin at the end of time
            start = (
                given[:, -1] if equation.name != 'column_plume' else 0 * given[:, -1]
            )
            torch.testing.assert_close(values[:, -1], start, atol=1e-10, rtol=0)

    def test_finite_differences_say_the_same(self, equation: Equation) -> None:
        """The residual on a fine grid is that of the series."""
        parameter = equation.sample(1, source())
        candidate = equation.resize(
            equation.resize(
                torch.randn(1, *equation.modes, dtype=torch.float64),
                [5] * len(equation.axes),
            ),
            equation.modes,
        )
        size = 129 if len(equation.axes) == 2 else 65
        points = equation.grid(size)
        calculus = GridCalculus(equation.axes, points)
        values = equation.evaluate(candidate, points)
        found = equation.residual(equation.to_grid(parameter, points), values, calculus)
        expected = equation.evaluate(equation.residual(parameter, candidate), points)
        inner = tuple([slice(None)] + [slice(3, -3)] * len(equation.axes))
        error = (found - expected)[inner].square().mean().sqrt()
        assert error < 0.02 * expected.square().mean().sqrt()

    def test_gradients(self, equation: Equation) -> None:
        parameter = equation.sample(1, source())
        candidate = torch.randn(1, *equation.modes, dtype=torch.float64)
        candidate.requires_grad_()
        made = equation.constrain(parameter, candidate)
        equation.residual(parameter, made).square().sum().backward()
        assert candidate.grad is not None
        assert candidate.grad.isfinite().all()


def test_periodic_poisson() -> None:
    """``-Lap u = s`` for a wave that everybody can differentiate."""
    equation = PeriodicPoisson((9, 9))
    x, y = equation.grid(16)
    wave = torch.sin(2 * math.pi * (x[:, None] + 2 * y))
    nodes = [axis.nodes(9) for axis in equation.axes]
    at_nodes = torch.sin(2 * math.pi * (nodes[0][:, None] + 2 * nodes[1]))
    parameter = equation.to_coefficients(at_nodes[None])[:, None]
    expected = wave / (4 * math.pi**2 * 5)
    torch.testing.assert_close(
        equation.solve(parameter, 16)[0], expected, atol=1e-12, rtol=0
    )


def test_dirichlet() -> None:
    equation = DirichletPoisson((24, 24))
    nodes = [axis.nodes(24) for axis in equation.axes]
    waves = [torch.sin(math.pi * x) for x in nodes]
    bump = waves[0][:, None] * waves[1]
    parameter = equation.to_coefficients(2 * math.pi**2 * bump[None])[:, None]
    x, y = equation.grid(20)
    expected = torch.sin(math.pi * x)[:, None] * torch.sin(math.pi * y)
    torch.testing.assert_close(
        equation.solve(parameter, 20)[0], expected, atol=1e-9, rtol=0
    )
    left = equation.residual(parameter, equation.to_coefficients(bump[None]))
    assert equation.to_values(left).abs().max() < 1e-8


def test_reaction_without_diffusion_is_logistic() -> None:
    equation = ReactionDiffusion((16, 15), diffusion=0.0, rate=2.0)
    parameter = equation.sample(1, source())
    t, x = equation.grid(9)
    start = equation.evaluate(parameter[:, 0], [t[:1], x])[:, 0]
    grown = start * torch.exp(2 * t[:, None])
    expected = grown / (1 - start + grown)
    torch.testing.assert_close(
        equation.solve(parameter, 9)[0], expected, atol=1e-10, rtol=0
    )


def test_reaction_diffusion_against_scipy() -> None:
    equation = ReactionDiffusion((16, 31), diffusion=0.02)
    parameter = equation.sample(1, source())
    t, x = equation.grid(33)
    start = equation.evaluate(parameter[:, 0], [t[:1], x])[0, 0].numpy()
    k = 2 * np.pi * np.fft.rfftfreq(33, 1 / 33)

    def slope(_: float, u: np.ndarray) -> np.ndarray:
        curved = np.fft.irfft(-(k**2) * np.fft.rfft(u), 33)
        return 0.02 * curved + 5 * u * (1 - u)

    found = solve_ivp(slope, (0, 1), start, t_eval=t.numpy(), rtol=1e-9, atol=1e-10)
    expected = torch.from_numpy(found.y.T)
    torch.testing.assert_close(
        equation.solve(parameter, 33)[0], expected, atol=1e-4, rtol=0
    )


def test_taylor_green_vortex() -> None:
    """One pair of waves keeps its form, and fades by what is known."""
    equation = NavierStokes((12, 9, 9), viscosity=0.01, duration=2.0)
    nodes = [axis.nodes(9) for axis in equation.axes[1:]]
    cosines = [torch.cos(2 * math.pi * x) for x in nodes]
    swirl = cosines[0][:, None] * cosines[1]
    parameter = torch.zeros(1, 1, 12, 9, 9, dtype=torch.float64)
    flat = equation.axes[1].transform(equation.axes[2].transform(swirl, 1), 0)
    parameter[0, 0, 0] = flat
    t, x, y = equation.grid(16)
    fade = torch.exp(-0.01 * 8 * math.pi**2 * 2 * t)[:, None, None]
    still = torch.cos(2 * math.pi * x)[:, None] * torch.cos(2 * math.pi * y)
    torch.testing.assert_close(
        equation.solve(parameter, 16)[0], fade * still, atol=1e-5, rtol=0
    )


def test_plume_keeps_its_gas() -> None:
    """Wind and diffusion move gas; the source alone makes it."""
    equation = ColumnPlume((12, 15, 15))
    parameter = equation.sample(2, source())
    total = equation.solve(parameter, 17).mean((2, 3))
    strength = equation.to_grid(parameter, equation.grid(15))[:, 0].mean((2, 3))
    expected = strength[:, :1] * torch.linspace(0, 1, 17, dtype=torch.float64)
    torch.testing.assert_close(total, expected, atol=1e-8, rtol=0)


def test_plume_without_wind_spreads_as_known() -> None:
    equation = ColumnPlume((12, 31, 31), wind=(0.0, 0.0))
    parameter = equation.sample(1, source())
    coefficients = parameter[0, 0, 0]
    found = equation.solve(parameter, 33)[0, -1]
    # one wave after the other: source / rate * (1 - exp(-rate))
    k = torch.arange(31)
    squares = (2 * math.pi * torch.minimum(k, 31 - k).double()) ** 2
    rate = equation.spreading * (squares[:, None] + squares)
    grown = torch.where(rate > 0, -torch.expm1(-rate) / rate.clamp_min(1e-30), 1.0)
    fourier = equation.axes[1]
    x = equation.grid(33)[1]
    expected = fourier.evaluate(fourier.evaluate(coefficients * grown, x, 0), x, 1)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_peclet() -> None:
    """A wind of 3 m/s over 10 km asks for far more than the diffusivity of the air."""
    assert ColumnPlume(extent=10_000, diffusivity=50).peclet == pytest.approx(
        19.35, 1e-3
    )
    assert ColumnPlume().peclet < 2


@pytest.mark.parametrize('kernel', ['periodic', 'squared_exponential'])
def test_gaussian_process(kernel: str) -> None:
    x = torch.arange(8, dtype=torch.float64) / 8
    drawn = gaussian_process((x, x), 0.3, 20_000, kernel, source()).flatten(1)
    found = drawn.T @ drawn / len(drawn)
    distance = x[:, None] - x
    line = torch.sin(math.pi * distance) if kernel == 'periodic' else distance
    one = torch.exp(-(line**2) / (2 * 0.3**2))
    torch.testing.assert_close(found, torch.kron(one, one), atol=0.05, rtol=0)
    assert drawn.mean().abs() < 0.01


def test_names() -> None:
    assert set(list_equations()) >= {equation.name for equation in ALL}
    assert isinstance(get_equation('navier_stokes', viscosity=1e-3), NavierStokes)
    with pytest.raises(UnknownNameError, match='poisson'):
        get_equation('poison')


def test_errors() -> None:
    with pytest.raises(BandMismatchError, match='2 numbers of modes'):
        PeriodicPoisson((31, 31, 31))
    with pytest.raises(ValueError, match='diffusion'):
        ReactionDiffusion(diffusion=-1)
    with pytest.raises(ValueError, match='viscosity'):
        NavierStokes(viscosity=0)
    with pytest.raises(ValueError, match='winds'):
        ColumnPlume(wind=(3.0, 1.0))
    with pytest.raises(ValueError, match='correlation length'):
        gaussian_process((torch.zeros(2),), 0.0, 1)
