# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Equations and methods of ``neural_spectral.py``, and the training of one of them."""

import ctypes
import math
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchgeo_hsi.metrics.relative_l2 import relative_l2
from torchgeo_hsi.physics.equations import Equation, get_equation
from torchgeo_hsi.tasks import NeuralSpectral

#: Points along each axis.
Grid = tuple[int, ...]


class Case(NamedTuple):
    """An equation, and what it is solved on.

    Grids are the coarse and the fine one of networks on grids. Modes hold the solutions
    to 0.5 % or better; the paper has more of them, see ``PAPER_MODES``. Fields in time
    and space train *time* times as long, and not on a fine grid, where a step takes
    seconds.
    """

    equation: str
    modes: Grid
    grids: tuple[Grid, Grid]
    pairs: int = 1024
    tests: int = 32
    options: tuple[tuple[str, Any], ...] = ()
    width: int = 32
    time: float = 1.0
    fine: bool = True

    def make(self) -> Equation:
        """Make the equation."""
        return get_equation(self.equation, modes=self.modes, **dict(self.options))


_PLANE = ((32, 32), (64, 64))
_BOX = ((24, 32, 32), (32, 48, 48))

CASES: dict[str, Case] = {
    'periodic_poisson': Case('periodic_poisson', (17, 17), _PLANE),
    'dirichlet_poisson': Case('dirichlet_poisson', (18, 18), _PLANE),
    **{
        f'reaction_diffusion_{nu}': Case(
            'reaction_diffusion', (16, 31), _PLANE, options=(('diffusion', nu),)
        )
        for nu in (0.005, 0.01, 0.05, 0.1)
    },
    # a laminar flow, and fewer modes, channels and layers than in the paper
    'navier_stokes': Case(
        'navier_stokes',
        (6, 13, 13),
        _BOX,
        256,
        16,
        (('viscosity', 1e-2),),
        16,
        time=3.0,
        fine=False,
    ),
    'column_plume': Case(
        'column_plume', (8, 17, 17), _BOX, 256, 16, width=16, time=3.0, fine=False
    ),
}

PAPER_MODES: dict[str, Grid] = {
    'periodic_poisson': (31, 31),
    'dirichlet_poisson': (31, 31),
    'reaction_diffusion': (32, 63),
    'navier_stokes': (12, 31, 31),
    'column_plume': (12, 31, 31),
}

#: Model, objective, and which grid it learns on. The first is the published one; the
#: second has sines and cosines coupled, a smooth activation (GELU, as the baselines), and
#: the dual norm of the residual.
METHODS: dict[str, tuple[str, str, int]] = {
    'spectral': ('spectral_operator', 'spectral', 0),
    'spectral_coupled': ('spectral_operator', 'spectral', 0),
    'fno_residual_coarse': ('fourier_neural_operator', 'grid_residual', 0),
    'fno_residual_fine': ('fourier_neural_operator', 'grid_residual', 1),
    'fno_data': ('fourier_neural_operator', 'data', 0),
}

#: Relative errors whose time is looked up.
TARGETS = (0.1, 0.05, 0.02, 0.01)

#: Rates and factors of the output that the search tries, for all methods alike.
RATES, SCALES = (3e-3, 1e-2), (1e-3, 1e-2)

#: Evaluations of a training, and the share of it before the first one.
_MARKS, _FIRST = 12, 1 / 64
#: Error of a network that has diverged.
_LOST = 1e6
#: Seeds of the functions to test with, to choose by, and to learn from.
_TEST, _SEARCH, _PAIRS = 2**20, 2**21, 2**22
#: Functions that are solved, or evaluated, at once.
_CHUNK = 8


class Recipe(NamedTuple):
    """What all methods share."""

    seconds: float
    depth: int = 4
    batch: int = 16
    lr: float = 1e-3
    lr_end: float = 1e-3
    scale: float = 1e-3
    device: str = 'cpu'
    clock: str = 'wall'
    threads: int = 1
    weights: str = 'unit'
    activation: str | None = None


def keep_memory() -> bool:
    """Let the process keep memory that it frees; networks on fine grids need that.

    By default glibc gives large blocks back at once, and gets them anew, page by page,
    which takes two thirds of the time of a step on 128 x 128 points.

    Returns:
        Whether the C library can do it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # M_MMAP_MAX and M_TRIM_THRESHOLD
    return bool(mallopt(-4, 0)) and bool(mallopt(-1, -1))


class Clock:
    """Seconds of this process, or of the world, with the device at rest.

    Args:
        recipe: Which of them, and the device.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Initialize a new Clock instance; see the class for the arguments."""
        self.device = torch.device(recipe.device)
        self.read = (
            time.process_time if recipe.clock == 'process' else time.perf_counter
        )

    def now(self) -> float:
        """Return the time."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return self.read()


def make_task(case: Case, method: str, recipe: Recipe) -> NeuralSpectral:
    """Build the task of a method."""
    model, objective, grid = METHODS[method]
    words: dict[str, Any] = {'width': case.width, 'depth': recipe.depth}
    words['scale'] = recipe.scale
    if recipe.activation is not None:
        words['activation'] = recipe.activation
    weights = recipe.weights
    if method == 'spectral_coupled':
        words |= {'coupled': True, 'activation': recipe.activation or 'gelu'}
        weights = 'dual' if case.make().damping else 'parseval'
    return NeuralSpectral(
        case.equation,
        {'modes': list(case.modes), **dict(case.options)},
        model,
        words,
        objective,  # type: ignore[arg-type]
        weights,  # type: ignore[arg-type]
        list(case.grids[grid]),
    ).to(recipe.device)


def count_parameters(task: NeuralSpectral) -> int:
    """Count real numbers: complex ones are two."""
    return sum(p.numel() * (1 + p.is_complex()) for p in task.parameters())


@cache
def reference(
    case: Case, grid: Grid, count: int, seed: int = _TEST
) -> tuple[Tensor, Tensor]:
    """Solve for the functions of the test, the same for all methods and seeds.

    The numerical solver starts from the terms that the networks get.
    """
    equation = case.make()
    parameter = equation.sample(count, torch.Generator().manual_seed(seed))
    return parameter.float(), _solve(equation, parameter, grid)


@cache
def pairs(case: Case, count: int, recipe: Recipe) -> tuple[Tensor, Tensor, float]:
    """Solve for the functions that a network learns from, and say how long it took."""
    clock = Clock(recipe)
    start = clock.now()
    equation = case.make()
    parameter = equation.sample(count, torch.Generator().manual_seed(_PAIRS))
    found = _solve(equation, parameter, case.grids[0])
    return parameter.float(), found, clock.now() - start


def _solve(equation: Equation, parameter: Tensor, grid: Grid) -> Tensor:
    parts = [equation.solve(part, grid).float() for part in parameter.split(_CHUNK)]
    return torch.cat(parts)


def mean_error(
    task: NeuralSpectral, case: Case, grid: Grid, count: int, seed: int = _TEST
) -> float:
    """Compare with numerical solutions."""
    parameter, truth = reference(case, grid, count, seed)
    found = [task.solve(part, grid).cpu() for part in parameter.split(_CHUNK)]
    error = float(relative_l2(torch.cat(found), truth).mean())
    return min(error, _LOST) if math.isfinite(error) else _LOST


def _batches(
    case: Case, method: str, seed: int, recipe: Recipe
) -> tuple[Callable[[], dict[str, Tensor]], float]:
    """Return what draws a batch, and the seconds that its solutions took."""
    source = torch.Generator().manual_seed(seed)
    device = recipe.device
    if METHODS[method][1] != 'data':
        equation = case.make()

        def fresh() -> dict[str, Tensor]:
            parameter = equation.sample(recipe.batch, source)
            return {'parameter': parameter.float().to(device)}

        return fresh, 0.0
    parameter, solution, spent = pairs(case, case.pairs, recipe._replace(seconds=0))

    def known() -> dict[str, Tensor]:
        chosen = torch.randint(len(parameter), (recipe.batch,), generator=source)
        return {
            'parameter': parameter[chosen].to(device),
            'solution': solution[chosen].to(device),
        }

    return known, spent


def train_cell(
    case: Case, method: str, seed: int, recipe: Recipe, search: bool = False
) -> dict[str, Any]:
    """Train a method for a given time, and follow its error.

    Evaluations do not count, nor do solutions to learn from, which are reported beside.
    The learning rate falls with the time that has passed, to the same share for all.

    Args:
        case: The equation.
        method: The method.
        seed: Seed of weights and functions.
        recipe: What all methods share, and rate and scale of this one.
        search: Whether this is about rate and scale: other functions, and no curve.

    Returns:
        Curve of seconds, steps and errors, and what follows from it.
    """
    warnings.filterwarnings('ignore', message='.*self.log.*')
    torch.manual_seed(seed)
    draw, data_seconds = _batches(case, method, seed, recipe)
    task = make_task(case, method, recipe)
    optimizer = torch.optim.Adam(task.parameters(), recipe.lr)
    grid = case.grids[METHODS[method][2]]
    clock = Clock(recipe)
    source = _SEARCH if search else _TEST
    # the last one is the end
    shares = [] if search else [1 - i / (_MARKS - 1) for i in range(_MARKS - 1)]
    marks = [recipe.seconds * _FIRST**share for share in shares]
    spent, steps, curve, loss = 0.0, 0, [], math.nan
    while spent < recipe.seconds:
        start = clock.now()
        share = spent / recipe.seconds
        for group in optimizer.param_groups:
            group['lr'] = recipe.lr * recipe.lr_end**share
        value = task.training_step(draw(), steps)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        steps += 1
        spent += clock.now() - start
        loss = float(value.detach())
        if not math.isfinite(loss):
            break
        if marks and spent >= marks[0] and spent < recipe.seconds:
            marks = [mark for mark in marks if mark > spent]
            error = mean_error(task, case, grid, case.tests)
            curve.append((spent, steps, error))
    curve.append((spent, steps, mean_error(task, case, grid, case.tests, source)))
    return {
        'lr': recipe.lr,
        'scale': recipe.scale,
        'parameters': count_parameters(task),
        'grid': list(grid),
        'steps': steps,
        'seconds': round(spent, 2),
        'seconds_per_step': round(spent / steps, 5),
        'data_seconds': round(data_seconds, 2),
        'loss': loss,
        'curve': [[round(s, 3), n, _short(e)] for s, n, e in curve],
        'error': _short(curve[-1][2]),
        'reached': reached(curve),
        'other_grids': {} if search else _other_grids(task, case),
    }


def _other_grids(task: NeuralSpectral, case: Case) -> dict[str, float]:
    """Evaluate on grids that the network has not seen."""
    double = tuple(2 * size for size in case.grids[1])
    grids = [*case.grids, double] if len(double) == 2 else case.grids
    return {
        'x'.join(map(str, grid)): _short(
            mean_error(task, case, grid, min(case.tests, _CHUNK))
        )
        for grid in dict.fromkeys(grids)
    }


def _short(value: float) -> float:
    return float(f'{value:.4g}')


def reached(curve: Sequence[tuple[float, int, float]]) -> dict[str, float | None]:
    """Look up when an error was reached, between evaluations on logarithmic scales.

    Args:
        curve: Seconds, steps and errors.

    Returns:
        Seconds for each of ``TARGETS``, None where it was not reached.
    """
    found: dict[str, float | None] = {}
    for target in TARGETS:
        found[f'{target:.0%}'] = None
        before: tuple[float, float] | None = None
        for seconds, _, error in curve:
            if error <= target:
                when = seconds
                if before is not None:
                    share = math.log(before[1] / target) / math.log(before[1] / error)
                    when = before[0] * (seconds / before[0]) ** share
                found[f'{target:.0%}'] = round(when, 3)
                break
            before = (seconds, error)
    return found
