# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a solution costs: the spectral operator, one on grids, a numerical solver."""

import statistics
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from _neural_cells import Case, Clock, Grid, Recipe, make_task, reference
from torch import Tensor

from torchgeo_hsi.metrics.relative_l2 import relative_l2
from torchgeo_hsi.physics.equations import get_equation, reaction_diffusion
from torchgeo_hsi.physics.series import Fourier

#: A numerical solver with settings: parameter and grid to values.
Solver = Callable[[Tensor, Grid], Tensor]

#: Points along space; along time there are as many, or these where space is a plane.
RESOLUTIONS = (64, 128, 256, 512, 1024)
_FRAMES = 16
#: Activations that a layer on a grid holds at once, about.
_HELD = 6


def grid_of(case: Case, size: int) -> Grid:
    """Return the grid of a resolution."""
    axes = len(case.modes)
    return (size, size) if axes == 2 else (_FRAMES, *[size] * (axes - 1))


def time_inference(
    case: Case, recipe: Recipe, sizes: tuple[int, ...], accuracy: float, memory: float
) -> dict[str, Any]:
    """Time a solution at several resolutions, one function at a time.

    Args:
        case: The equation.
        recipe: Depth, clock and device.
        sizes: Resolutions.
        accuracy: Relative error that the numerical solver may have, that of the network.
        memory: GiB that a network on a grid may use; beyond that it is left out.

    Returns:
        Seconds of each part at each resolution, and their ratios.
    """
    tasks = {
        name: make_task(case, name, recipe).eval()
        for name in ('spectral', 'fno_residual_coarse')
    }
    spectral, fno = tasks.values()
    equation = spectral.equation
    solver, setting = equal_solver(case, accuracy)
    parameter = equation.sample(1, torch.Generator().manual_seed(0)).float()
    parameter = parameter.to(recipe.device)
    rows = []
    with torch.no_grad():
        series = spectral.coefficients(parameter)
        for size in sizes:
            grid = grid_of(case, size)
            points = [line.to(series) for line in equation.grid(grid)]
            row: dict[str, Any] = {
                'grid': list(grid),
                'network': seconds_of(lambda: spectral.coefficients(parameter), recipe),
                'evaluation': seconds_of(
                    lambda points=points: equation.evaluate(series, points), recipe
                ),
                'spectral': seconds_of(
                    lambda grid=grid: spectral.solve(parameter, grid), recipe
                ),
                'solver': seconds_of(
                    lambda grid=grid: solver(parameter.cpu(), grid), recipe
                ),
            }
            need = torch.Size(grid).numel() * case.width * 4 * _HELD / 2**30
            if need > memory:
                row['fno'], row['fno_needs_GiB'] = None, round(need, 1)
            else:
                row['fno'] = seconds_of(
                    lambda grid=grid: fno.solve(parameter, grid), recipe
                )
            rows.append(row)
    return {
        'accuracy': accuracy,
        'solver_setting': setting,
        'rows': rows,
        'ratios': ratios(rows),
    }


def seconds_of(work: Callable[[], Any], recipe: Recipe) -> float:
    """Return the median of a few runs, after one that does not count."""
    clock = Clock(recipe)
    times: list[float] = []
    work()
    while len(times) < 5 or (sum(times) < 0.5 and len(times) < 50):
        start = clock.now()
        work()
        times.append(clock.now() - start)
        if sum(times) > 20:
            break
    return float(f'{statistics.median(times):.4g}')


def ratios(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Say how much costs grow, and what is faster than what."""

    def growth(name: str) -> float | None:
        known = [row[name] for row in rows if row[name] is not None]
        return round(known[-1] / known[0], 2) if len(known) > 1 else None

    return {
        'growth': {
            name: growth(name)
            for name in ('network', 'evaluation', 'spectral', 'fno', 'solver')
        },
        'fno_over_spectral': [
            row['fno'] and round(row['fno'] / row['spectral'], 2) for row in rows
        ],
        'solver_over_spectral': [
            round(row['solver'] / row['spectral'], 3) for row in rows
        ],
    }


def equal_solver(case: Case, accuracy: float) -> tuple[Solver, dict[str, Any]]:
    """Find the coarsest setting of the numerical solver with an error that is allowed.

    Where the equation has an exact solution for each wave, that is the solver.
    """
    grid = case.grids[0]
    parameter, truth = reference(case, grid, min(case.tests, 4))
    for setting, solver in sorted(_solvers(case), key=lambda found: _cost(found[0])):
        with torch.no_grad():
            error = float(relative_l2(solver(parameter, grid), truth).mean())
        if error <= accuracy:
            return solver, {**setting, 'error': float(f'{error:.3g}')}
    # the network is better than the finest setting that is tried
    return case.make().solve, {'setting': 'reference'}


def _cost(setting: dict[str, Any]) -> int:
    """Say how much work a setting is: points in all steps, and frames to evaluate."""
    work: int = setting.get('steps', 0) * setting.get('points', 0) ** 2
    return work + setting.get('frames', 0)


def _solvers(case: Case) -> Iterator[tuple[dict[str, Any], Solver]]:
    if case.equation == 'reaction_diffusion':
        for frames in (9, 17, 33, 65):
            for points in (16, 32, 64):
                for stride in (1, 2, 4):
                    steps = stride * (frames - 1)
                    words = {'frames': frames, 'steps': steps, 'points': points}
                    yield words, _reaction_solver(case, frames, steps, points)
    elif case.equation == 'navier_stokes':
        for frames in (9, 17, 33):
            for points in (16, 24, 32, 48):
                for stride in (1, 2, 4, 8):
                    steps = stride * (frames - 1)
                    words = {'frames': frames, 'steps': steps, 'points': points}
                    yield words, _flow_solver(case, frames, steps, points)
    else:
        yield {'setting': 'exact for each wave, or a direct solve'}, case.make().solve


def _reaction_solver(case: Case, frames: int, steps: int, points: int) -> Solver:
    equation = case.make()
    modes = (case.modes[0], min(case.modes[1], points - 1))

    def solve(parameter: Tensor, grid: Grid) -> Tensor:
        given = equation.resize(parameter.flatten(0, 1), modes)[:, None]
        # its own settings are constants
        with mock.patch.multiple(reaction_diffusion, _STEPS=steps, _FINE=points):
            values = equation.solve(given, (frames, points))
        return between_frames(values, grid)

    return solve


def _flow_solver(case: Case, frames: int, steps: int, points: int) -> Solver:
    words = dict(case.options) | {'points': points}
    duration = case.make().duration  # type: ignore[attr-defined]
    equation = get_equation(
        case.equation, modes=case.modes, steps=max(steps / duration, 1e-6), **words
    )

    def solve(parameter: Tensor, grid: Grid) -> Tensor:
        return between_frames(equation.solve(parameter, (frames, points, points)), grid)

    return solve


def between_frames(values: Tensor, grid: Grid) -> Tensor:
    """Evaluate frames on another grid: waves along space, straight lines along time.

    Args:
        values: Frames of shape ``(B, T, N, ...)``, periodic in space.
        grid: The grid.

    Returns:
        Values of shape ``(B, *grid)``.
    """
    frames = values.shape[1]
    place = torch.linspace(0, frames - 1, grid[0], dtype=values.dtype)
    first = place.floor().clamp_max(frames - 2)
    share = (place - first).view(-1, *[1] * (values.ndim - 2))
    start = first.long()
    values = values[:, start] * (1 - share) + values[:, start + 1] * share
    for dim, size in enumerate(grid[1:], start=2):
        points = Fourier().nodes(size, values.dtype)
        values = Fourier().evaluate(Fourier().transform(values, dim), points, dim)
    return values
