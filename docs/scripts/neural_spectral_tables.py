# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Print the tables of equations.

They are those of ``docs/neural_spectral/equations.md``: what the modes of each equation
can show, how exact its numerical solution is, and how far the modes of a plume reach.
Takes some minutes on one core.
"""

import math
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from _pages import markdown_row
from torch import Tensor

from torchgeo_hsi.metrics.relative_l2 import relative_l2
from torchgeo_hsi.physics.equations import NavierStokes, get_equation
from torchgeo_hsi.physics.series import Chebyshev

#: Equations by name and options, functions to measure, and a finer reference solution.
CASES: tuple[tuple[str, dict[str, Any], int], ...] = (
    ('periodic_poisson', {}, 16),
    ('dirichlet_poisson', {}, 16),
    *(('reaction_diffusion', {'diffusion': nu}, 16) for nu in (0.005, 0.01, 0.05, 0.1)),
    *(('navier_stokes', {'viscosity': nu}, 8) for nu in (1e-2, 1e-3, 1e-4)),
    ('navier_stokes', {'forced': True}, 8),
    ('column_plume', {}, 16),
)
#: Side of the box of the plume in metres, wind in m/s and its angle, and seconds.
EXTENT, WIND, ANGLE, DURATION = 3840.0, 3.0, 30.0, 480.0
#: Highest frequency of the exact plume, and moments that are compared.
WAVES, MOMENTS = 192, 61


def modes() -> Iterator[str]:
    """Say what the modes can show, and what a numerical solution costs."""
    yield markdown_row(['equation', 'modes', 'best series', 'seconds of the solver'])
    yield markdown_row(['---'] * 4)
    for name, options, count in CASES:
        equation = get_equation(name, **options)
        size = [96, 96] if len(equation.axes) == 2 else [64, 64, 64]
        parameter = equation.sample(count, torch.Generator().manual_seed(0))
        begin = time.perf_counter()
        solution = equation.solve(parameter, size)
        seconds = (time.perf_counter() - begin) / count
        points = equation.grid(size)
        shown = equation.evaluate(equation.fit(solution, points), points)
        error = relative_l2(shown, solution)
        options_text = ', '.join(f'{key}={value:g}' for key, value in options.items())
        yield markdown_row(
            [
                f'`{name}` {options_text}'.strip(),
                ' x '.join(map(str, equation.modes)),
                f'{error.mean():.1e}',
                f'{seconds:.3f}',
            ]
        )


def flows() -> Iterator[str]:
    """Compare reference solutions of flows with finer ones."""
    for name, options, _ in CASES:
        if name != 'navier_stokes':
            continue
        equation = NavierStokes(**options)
        parameter = equation.sample(2, torch.Generator().manual_seed(0))
        finer = NavierStokes(**options, steps=4 * equation.steps, points=128)
        size = (5, 32, 32)
        error = relative_l2(
            equation.solve(parameter, size), finer.solve(parameter, size)
        )
        yield f'{options}: {equation.points} points, {error.max():.1e}'


def floors() -> Iterator[str]:
    """Solve Poisson's equation for the least loss, which no training can better."""
    equation = get_equation('dirichlet_poisson')
    inner = [count - 2 for count in equation.modes]
    parameter = equation.sample(64, torch.Generator().manual_seed(0))
    unit = torch.eye(math.prod(inner), dtype=torch.float64).unflatten(1, inner)
    fields = equation.to_coefficients(torch.nn.functional.pad(unit, (1, 1, 1, 1)))
    nothing = torch.zeros_like(fields)[:, None]
    left = equation.residual(nothing, fields).flatten(1).T
    right = parameter.flatten(1).T
    norms = [
        axis.parseval_weights(count)
        for axis, count in zip(equation.axes, equation.modes, strict=True)
    ]
    reference = equation.solve(parameter, 64)
    for name, weights in (
        ('unit', torch.ones_like(right)),
        ('parseval', (norms[0][:, None] * norms[1]).flatten()[:, None]),
    ):
        root = weights.sqrt()
        pair = left * root[:, :1], right * root
        best = torch.linalg.lstsq(*pair, driver='gelsd').solution
        found = torch.einsum('kb,kxy->bxy', best, fields)
        error = relative_l2(equation.evaluate(found, equation.grid(64)), reference)
        yield f'{name}: {error.mean():.1e}, at most {error.max():.1e}'


def _source(spread: float) -> Tensor:
    """Return the waves of a Gaussian source, given its spread in metres."""
    k = torch.arange(-WAVES, WAVES + 1, dtype=torch.float64)
    waves = torch.exp(-2 * (math.pi * spread / EXTENT * k) ** 2)
    return waves[:, None] * waves


def _fading(k: Tensor, diffusivity: float, step: float | None = None) -> Tensor:
    """Return the rates at which waves turn and fade.

    With the *step* of a grid they are those of central differences.
    """
    speed, angle = WIND * DURATION / EXTENT, math.radians(ANGLE)
    turn = 2 * math.pi * k
    slope = turn if step is None else torch.sin(turn * step) / step
    curved = turn**2 if step is None else (2 * torch.sin(turn * step / 2) / step) ** 2
    drift = speed * (math.sin(angle) * slope[:, None] + math.cos(angle) * slope)
    spreading = diffusivity * DURATION / EXTENT**2
    return 1j * drift + spreading * (curved[:, None] + curved)


def _grow(source: Tensor, rate: Tensor) -> Tensor:
    """Solve waves exactly: shape ``(MOMENTS, ...)``."""
    t = torch.linspace(0, 1, MOMENTS, dtype=torch.float64)[:, None, None]
    still = rate.abs() < 1e-12
    grown = -torch.expm1(-rate * t) / rate.masked_fill(still, 1)
    return source * torch.where(still, t + 0j, grown)


def exact_plume(spread: float, diffusivity: float, highest: int = WAVES) -> Tensor:
    """Return the waves of a plume at the end, up to a frequency."""
    k = torch.arange(-highest, highest + 1, dtype=torch.float64)
    kept = slice(WAVES - highest, WAVES + highest + 1)
    return _grow(_source(spread)[kept, kept], _fading(k, diffusivity))[-1]


def grid_plume(spread: float, diffusivity: float, points: int) -> Tensor:
    """Return the same by central differences, as waves that a grid can show."""
    k = torch.arange(-WAVES, WAVES + 1, dtype=torch.float64)
    waves = _grow(_source(spread), _fading(k, diffusivity, 1 / points))[-1]
    return _fold(waves, points).roll((points // 2, points // 2), (-2, -1))


def _fold(waves: Tensor, points: int) -> Tensor:
    """Add up waves that are the same on the points of a grid."""
    k = torch.arange(-WAVES, WAVES + 1)
    index = torch.remainder(k, points)
    rows = waves.new_zeros(*waves.shape[:-2], points, len(k))
    rows.index_add_(-2, index, waves)
    folded = waves.new_zeros(*waves.shape[:-2], points, points)
    return folded.index_add_(-1, index, rows)


def _share(missing: Tensor, exact: Tensor) -> str:
    share = float((missing / exact.abs().square().sum()).clamp_min(0).sqrt())
    return f'{100 * share:.2g} %' if share >= 1e-5 else '< 0.001 %'


def plume_errors(
    spread: float, diffusivity: float, counts: tuple[int, int]
) -> list[str]:
    """Measure what a plume loses.

    Args:
        spread: Spread of its source in metres.
        diffusivity: Diffusivity in m2/s.
        counts: Modes of time, and of each axis of space.

    Returns:
        Errors with these modes in space, also in time, and where the squared residual is
        least, which no training can better.
    """
    k = torch.arange(-WAVES, WAVES + 1, dtype=torch.float64)
    rate = _fading(k, diffusivity)
    source = _source(spread)
    exact = _grow(source, rate)
    kept = slice(WAVES - counts[1] // 2, WAVES + counts[1] // 2 + 1)
    inner = exact[:, kept, kept].flatten(1)
    lost = exact.abs().square().sum() - inner.abs().square().sum()

    t = torch.linspace(0, 1, MOMENTS, dtype=torch.float64)
    basis = Chebyshev().basis(counts[0], t)
    best = (basis @ torch.linalg.pinv(basis)).to(inner) @ inner
    # polynomials that are 0 at first, and the one that leaves least of the equation
    start = Chebyshev().basis(counts[0], torch.zeros(1, dtype=torch.float64))
    allowed = torch.linalg.svd(start)[2][1:].T
    unit = torch.eye(counts[0], dtype=torch.float64)
    slope = Chebyshev().differentiate(unit, 1, 0) @ allowed
    left = slope + rate[kept, kept].reshape(-1, 1, 1) * allowed
    right = torch.zeros(len(left), counts[0], 1, dtype=left.dtype)
    right[:, 0, 0] = source[kept, kept].flatten()
    weights = torch.linalg.lstsq(left, right).solution[..., 0]
    learned = (basis @ allowed).to(weights) @ weights.T
    return [
        _share(lost + (inner - other).abs().square().sum(), exact)
        for other in (inner, best, learned)
    ]


def grid_error(spread: float, diffusivity: float, points: int) -> str:
    """Measure what a plume loses by central differences in space, exact in time."""
    k = torch.arange(-WAVES, WAVES + 1, dtype=torch.float64)
    exact = _grow(_source(spread), _fading(k, diffusivity))
    found = _grow(_source(spread), _fading(k, diffusivity, 1 / points))
    folded = _fold(exact, points), _fold(found, points)
    return _share((folded[0] - folded[1]).abs().square().sum(), folded[0])


def plumes() -> Iterator[str]:
    """Say how errors of a plume grow with the Peclet number."""
    head = ['source', 'K in m²/s', 'Péclet', '31', '12 x 31', 'least residual']
    yield markdown_row([*head, '24 x 63, least residual', '64 points, differences'])
    yield markdown_row(['---'] * 8)
    for spread in (115.0, 30.0):
        for diffusivity in (400.0, 200.0, 50.0, 10.0):
            peclet = WIND * EXTENT / 31 / diffusivity
            cells = plume_errors(spread, diffusivity, (12, 31))
            finer = plume_errors(spread, diffusivity, (24, 63))
            grid = grid_error(spread, diffusivity, 64)
            yield markdown_row(
                [
                    f'{spread:.0f} m',
                    f'{diffusivity:.0f}',
                    f'{peclet:.1f}',
                    *cells,
                    finer[-1],
                    grid,
                ]
            )


def main() -> None:
    """Print all tables."""
    for table in (floors, plumes, modes, flows):
        for row in table():
            sys.stdout.write(f'{row}\n')
            sys.stdout.flush()
        sys.stdout.write('\n')


if __name__ == '__main__':
    main()
