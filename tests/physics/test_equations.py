# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Equations against solutions that are known, and against each other's numbers."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from torchgeo_hsi.errors import BandMismatchError, NameClashError, UnknownNameError
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
    register_equation,
)

ALL = [
    PeriodicPoisson((21, 21)),
    DirichletPoisson((24, 24)),
    ReactionDiffusion((40, 31), 0.005),
    NavierStokes((14, 15, 15)),
    NavierStokes((14, 15, 15), duration=3.0, viscosity=0.01, forced=True),
    ColumnPlume((12, 15, 15)),
]


def source() -> torch.Generator:
    return torch.Generator().manual_seed(3)


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
        if equation.name == 'dirichlet_poisson':
            # even points do not tell second derivatives near the edge: test_dirichlet
            return
        solution = equation.fit(equation.solve(parameter, size), equation.grid(size))
        left = equation.to_values(equation.residual(parameter, solution))
        scale = equation.to_values(parameter[:, 0]).square().mean().sqrt()
        assert left.square().mean().sqrt() < 2e-3 * scale

    def test_solution_meets_conditions(self, equation: Equation) -> None:
        parameter = equation.sample(2, source())
        points = equation.grid(17)
        given = equation.to_grid(parameter, points)
        solution = equation.solve(parameter, 17)
        if len(equation.axes) == 2 and equation.name.endswith('poisson'):
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
        if equation.name == 'periodic_poisson':
            assert values[:, 0, 0].abs().max() < 1e-12
        elif equation.name == 'dirichlet_poisson':
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


def navier_stokes_by_numpy(
    start: np.ndarray, viscosity: float, time: float, force: np.ndarray
) -> np.ndarray:
    """Solve with complex waves, a padded product, and a solver of SciPy for the time."""
    n = len(start)
    k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
    kx, ky = k[:, None], k[None]
    square = kx**2 + ky**2
    inverse = np.divide(1, square, where=square > 0, out=np.zeros_like(square))
    wide = 2 * n

    def on_grid(waves: np.ndarray) -> np.ndarray:
        padded = np.zeros((wide, wide), complex)
        index = np.fft.fftfreq(n, 1 / n).astype(int)
        padded[np.ix_(index, index)] = waves
        return np.fft.ifft2(padded, norm='forward').real

    def slope(_: float, flat: np.ndarray) -> np.ndarray:
        waves = np.fft.fft2(flat.reshape(n, n), norm='forward')
        stream = waves * inverse
        u, v = on_grid(1j * ky * stream), on_grid(-1j * kx * stream)
        wx, wy = on_grid(1j * kx * waves), on_grid(1j * ky * waves)
        product = np.fft.fft2(u * wx + v * wy, norm='forward')
        index = np.fft.fftfreq(n, 1 / n).astype(int)
        change = -viscosity * square * waves - product[np.ix_(index, index)]
        return (np.fft.ifft2(change, norm='forward').real + force).ravel()

    found = solve_ivp(slope, (0, time), start.ravel(), rtol=1e-8, atol=1e-9)
    return found.y[:, -1].reshape(n, n)


@pytest.mark.parametrize('forced', [False, True])
def test_navier_stokes_against_scipy(forced: bool) -> None:
    equation = NavierStokes((6, 15, 15), 5e-3, 2.0, forced)
    parameter = equation.sample(1, source())
    _, x, y = equation.grid(33)
    start = equation.to_grid(parameter, [torch.zeros(1).double(), x, y])[0, 0, 0]
    phase = 2 * np.pi * (x.numpy()[:, None] + y.numpy())
    force = forced * 0.1 * (np.sin(phase) + np.cos(phase))
    expected = navier_stokes_by_numpy(start.numpy(), 5e-3, 2.0, force)
    found = equation.solve(parameter, (3, 33, 33))[0, -1].numpy()
    assert np.linalg.norm(found - expected) < 2e-4 * np.linalg.norm(expected)


def test_settings_of_flows() -> None:
    """Settings of the paper, with a force and without."""
    free, forced = NavierStokes(), NavierStokes(forced=True)
    assert (free.duration, forced.duration) == (3, 50)
    assert (free.viscosity, forced.viscosity) == (0.01, 0.002)
    assert (free.modes[0], forced.modes[0]) == (12, 18)
    assert NavierStokes(viscosity=1e-4).points == 96


@pytest.mark.parametrize('equation', ALL, ids=lambda e: e.name)
def test_solutions_do_not_depend_on_where_they_are_wanted(equation: Equation) -> None:
    """Every second point of a finer grid is a point of the coarser one."""
    parameter = equation.sample(1, source())
    sizes = [8 if axis.name == 'fourier' else 5 for axis in equation.axes]
    finer = [2 * n if n == 8 else 2 * n - 1 for n in sizes]
    coarse, fine = (equation.solve(parameter, size) for size in (sizes, finer))
    fine = fine[(slice(None), *[slice(None, None, 2)] * len(sizes))]
    # steps in time depend a little on the frames
    torch.testing.assert_close(coarse, fine, atol=1e-5, rtol=1e-4)


def test_fit() -> None:
    """Values of a series on any grid give the series back."""
    equation = ReactionDiffusion((6, 9))
    series = torch.randn(2, 6, 9, dtype=torch.float64)
    points = [torch.linspace(0, 1, 20).double(), torch.rand(30).double()]
    found = equation.fit(equation.evaluate(series, points), points)
    torch.testing.assert_close(found, series, atol=1e-8, rtol=0)
    with pytest.raises(BandMismatchError, match='at least 9 points along axis 2'):
        equation.fit(torch.zeros(1, 6, 8), [points[0][:6], points[1][:8]])


def test_second_differences_see_a_sawtooth() -> None:
    """A slope of slopes would not, so that a network could hide one from its loss."""
    equation = DirichletPoisson((5, 5))
    points = equation.grid(9)
    calculus = GridCalculus(equation.axes, points)
    sawtooth = (1 - 2 * (torch.arange(9) % 2)).double()[None, :, None].expand(1, 9, 9)
    assert calculus.differentiate(sawtooth, 2, 1).abs().min() > 100
    cube = (points[0] ** 3)[None, :, None].expand(1, 9, 9)
    expected = (6 * points[0])[None, :, None].expand(1, 9, 9)
    torch.testing.assert_close(calculus.differentiate(cube, 2, 1), expected)


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


def test_register() -> None:
    class Other(PeriodicPoisson):
        name = 'poisson_of_a_test'

    assert register_equation(Other) is Other
    assert isinstance(get_equation('poisson_of_a_test', modes=(5, 5)), Other)
    with pytest.raises(NameClashError, match="'column_plume'"):
        register_equation(Other, name='column_plume')


def test_names() -> None:
    assert set(list_equations()) >= {equation.name for equation in ALL}
    assert isinstance(get_equation('navier_stokes', viscosity=1e-3), NavierStokes)
    with pytest.raises(UnknownNameError, match='poisson'):
        get_equation('poison')


def test_errors() -> None:
    with pytest.raises(BandMismatchError, match='2 numbers of modes'):
        PeriodicPoisson((31, 31, 31))
    with pytest.raises(BandMismatchError, match='or 2 for the axes'):
        PeriodicPoisson().grid((8, 8, 8))
    with pytest.raises(ValueError, match='diffusion'):
        ReactionDiffusion(diffusion=-1)
    with pytest.raises(ValueError, match='viscosity'):
        NavierStokes(viscosity=0)
    with pytest.raises(ValueError, match='winds'):
        ColumnPlume(wind=(3.0, 1.0))
    with pytest.raises(ValueError, match='correlation length'):
        gaussian_process((torch.zeros(2),), 0.0, 1)
