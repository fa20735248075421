# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What equations are given: damping as it is in their residuals, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics.equations import (
    ColumnPlume,
    DirichletPoisson,
    Equation,
    NavierStokes,
    PeriodicPoisson,
    ReactionDiffusion,
)

ALL = [
    PeriodicPoisson((9, 9)),
    DirichletPoisson((9, 9)),
    ReactionDiffusion((5, 9), 0.05),
    NavierStokes((4, 9, 9), 0.02, 2.0),
    NavierStokes((4, 9, 9), forced=True),
    ColumnPlume((4, 9, 9)),
]


def source() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize('equation', ALL, ids=lambda e: e.name)
def test_damping(equation: Equation) -> None:
    """What of the residual of a wave grows with the square of its frequency."""
    if equation.name == 'dirichlet_poisson':
        assert equation.damping == 0
        return
    left = []
    for k in (1, 3):
        wave = torch.zeros(1, *equation.modes, dtype=torch.float64)
        wave[..., k].view(-1)[0] = tiny = 1e-6
        parameter = torch.zeros(1, equation.parameters, *equation.modes).to(wave)
        residual = equation.residual(parameter, wave)
        left.append(float(residual[..., k].flatten()[0]) / tiny)
    # per unit of the time from 0 to 1
    time = equation.duration if isinstance(equation, NavierStokes) else 1.0
    found = (left[1] - left[0]) * time / (8 * (2 * math.pi) ** 2)
    assert equation.damping == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize(
    'equation', [ReactionDiffusion((4, 5)), NavierStokes((3, 5, 5), duration=1e-3)]
)
def test_one_moment_is_the_first(equation: Equation) -> None:
    parameter = equation.sample(1, source())
    found = equation.solve(parameter, [1, *[8] * (len(equation.axes) - 1)])
    start = equation.to_grid(parameter, equation.grid(8))[:, 0, :1]
    torch.testing.assert_close(found, start, atol=1e-10, rtol=0)
    # a duration of less than a step, too, has one
    assert (
        equation.solve(parameter, 2)[:, 1] != equation.solve(parameter, 2)[:, 0]
    ).any()


@pytest.mark.parametrize('equation', ALL, ids=lambda e: e.name)
def test_solves_for_coefficients_only(equation: Equation) -> None:
    parameter = equation.sample(1, source())
    for wrong in (parameter[:, 0], parameter.repeat(1, 2, *[1] * len(equation.axes))):
        with pytest.raises(BandMismatchError, match='Expected coefficients of shape'):
            equation.solve(wrong, 8)


@pytest.mark.parametrize('size', [0, -4, 8.0, '8', [8, 0], [8.5, 8]])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(BandMismatchError, match='number of points from 1'):
        PeriodicPoisson((5, 5)).grid(size)


def test_sizes_of_numpy() -> None:
    assert len(PeriodicPoisson((5, 5)).grid(np.int64(8))[0]) == 8  # type: ignore[arg-type]


def test_errors() -> None:
    for modes in (31, [31, 0], [31, -1], [5.5, 5], ['a', 'b']):
        with pytest.raises(BandMismatchError, match='2 numbers of modes'):
            PeriodicPoisson(modes)  # type: ignore[arg-type]
    for wind in (3.0, (1.0, 2.0, 3.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match='winds'):
            ColumnPlume(wind=wind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='finite rate'):
        ReactionDiffusion(diffusion=math.nan)
    with pytest.raises(ValueError, match='finite rate'):
        ReactionDiffusion(rate=math.inf)
    with pytest.raises(ValueError, match='viscosity'):
        NavierStokes(viscosity=math.inf)
