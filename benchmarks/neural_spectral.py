# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Neural spectral methods against Fourier neural operators and numerical solvers.

Each method solves each equation for the same time (``--seconds`` of training, evaluations
not counted), with the same width, depth and modes, so with about as many parameters,
from new functions in each step. Learning rate and factor of the output matter a lot,
and not the same ones suit all, so a search of the same time chooses them for each method
and equation, by other functions than those of the test (``--no-search`` takes ``--lr`` and
``--scale``). The methods: the spectral operator with the residual of its series;
Fourier neural operators with the residual by finite differences on a coarse and on a fine
grid; and one with known solutions, whose cost is reported beside. Boundary and initial
conditions are built in for all of them. Errors are relative to the numerical solution, for
functions that no training has seen; those on grids are compared on the grid on which they
learn.

``--inference`` measures what a solution costs at several resolutions: the network and the
evaluation of its series, a Fourier neural operator, and the numerical solver with the
cheapest setting that is as exact as the trained network (or as ``--accuracy``).

It takes long, so each finished cell is kept beside the results (``--partial``), and a
second call goes on; several calls may share the file. ``--finished`` runs nothing.

    python benchmarks/neural_spectral.py --quick
    python benchmarks/neural_spectral.py --seconds 300 --threads 1
    python benchmarks/neural_spectral.py --seconds 300 --threads 1 --inference --out
"""

import argparse
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import torch
from _neural_cells import (
    CASES,
    METHODS,
    PAPER_MODES,
    RATES,
    SCALES,
    Case,
    Recipe,
    keep_memory,
    train_cell,
)
from _neural_inference import RESOLUTIONS, time_inference
from _neural_store import Cells, key_of
from _neural_tables import (
    beside_the_paper,
    print_inference,
    print_training,
    show,
    summarize,
)
from common import HERE, finish, header, option_parser

#: Seed of the networks of the search.
_SEARCH_SEED = 1000

#: Equations whose solutions are timed.
TIMED = ('periodic_poisson', 'reaction_diffusion_0.01', 'navier_stokes')


def choose_recipe(
    args: argparse.Namespace, name: str, method: str, recipe: Recipe, cells: Cells
) -> Recipe | None:
    """Choose rate and scale of a method for an equation, by short trainings.

    Returns:
        The recipe, or None where the search is not finished.
    """
    case = args.cases[name]
    # a few steps of the fine grid would say nothing, and its network is the same
    method = method.replace('fine', 'coarse')
    best: tuple[float, Recipe] | None = None
    for lr, scale in product(args.rates, SCALES):
        trial = recipe._replace(
            lr=lr, scale=scale, seconds=recipe.seconds * args.search_share * case.time
        )
        key = key_of(name, method, 'search', case, trial)
        cells.read()
        if key not in cells.rows:
            if args.finished:
                return None
            row = {'equation': name, 'method': method, 'seed': _SEARCH_SEED}
            row |= train_cell(case, method, _SEARCH_SEED, trial, search=True)
            cells.add(key, row)
            show(row)
        error = cells.rows[key]['error']
        if best is None or error < best[0]:
            best = error, recipe._replace(lr=lr, scale=scale)
    assert best is not None
    return best[1]


def run_training(
    args: argparse.Namespace, recipe: Recipe, cells: Cells
) -> list[dict[str, Any]]:
    """Train all cells that are not finished."""
    wanted = []
    for (name, case), method in product(args.cases.items(), args.methods):
        if method == 'fno_residual_fine' and not case.fine:
            continue
        chosen: Recipe | None = recipe
        if args.search:
            chosen = choose_recipe(args, name, method, recipe, cells)
        if chosen is None:
            continue
        chosen = chosen._replace(seconds=recipe.seconds * case.time)
        for seed in range(args.seed, args.seed + args.seeds):
            key = key_of(name, method, seed, case, chosen)
            wanted.append(key)
            cells.read()
            if key in cells.rows or args.finished:
                continue
            row = {'equation': name, 'method': method, 'seed': seed}
            row |= train_cell(case, method, seed, chosen)
            cells.add(key, row)
            show(row)
    return [cells.rows[key] for key in wanted if key in cells.rows]


def run_inference(
    args: argparse.Namespace, recipe: Recipe, cells: Cells, table: list[dict[str, Any]]
) -> dict[str, Any]:
    """Time solutions of all equations that are not finished."""
    found: dict[str, Any] = {}
    sizes = tuple(args.resolutions)
    for name, case in args.cases.items():
        if name not in args.timed:
            continue
        accuracy = min(
            (
                e['error']
                for e in table
                if e['equation'] == name and e['method'].startswith('spectral')
            ),
            default=args.accuracy,
        )
        words = (recipe, sizes, accuracy, args.memory)
        key = key_of(name, 'inference', case, *words)
        cells.read()
        if key not in cells.rows:
            if args.finished:
                continue
            cells.add(key, time_inference(case, *words))
        found[name] = cells.rows[key]
        print_inference(name, found[name])
    return found


def shrink(case: Case) -> Case:
    """Make an equation that is done in seconds."""
    axes = len(case.modes)
    modes = tuple(min(size, 9) for size in case.modes)
    grids = tuple((size,) * axes for size in ((16, 24) if axes == 2 else (8, 12)))
    return case._replace(modes=modes, grids=grids, pairs=32, tests=4)


def settings(args: argparse.Namespace) -> tuple[dict[str, Case], Recipe]:
    """Return equations and what all methods share."""
    cases = {name: CASES[name] for name in args.equations}
    if args.paper_modes:
        cases = {
            name: case._replace(modes=PAPER_MODES[case.equation])
            for name, case in cases.items()
        }
    if args.quick:
        cases = {name: shrink(case) for name, case in cases.items()}
    if args.width:
        cases = {n: case._replace(width=args.width) for n, case in cases.items()}
    recipe = Recipe(
        args.seconds,
        args.depth,
        args.batch,
        args.lr,
        args.lr_end,
        args.scale,
        args.device,
        args.clock,
        args.threads,
        args.weights,
        args.activation,
    )
    return cases, recipe


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    add = parser.add_argument
    add('--equations', nargs='+', choices=list(CASES))
    add('--methods', nargs='+', choices=list(METHODS), default=list(METHODS))
    add('--seeds', type=int, help='networks of each method, 3 by default')
    add('--seconds', type=float, help='training of each cell, 300 by default')
    add('--width', type=int, help='channels; 32, or 16 of fields in time and space')
    add('--depth', type=int, help='spectral layers, 4 by default')
    add('--batch', type=int, default=16)
    add('--lr', type=float, default=1e-3)
    add('--lr-end', type=float, default=1e-3, help='share of the rate at the end')
    add('--scale', type=float, default=1e-3, help='factor of what networks give')
    add('--weights', default='unit', help='of the coefficients of residuals')
    add('--activation', help='of both networks; relu and gelu by default')
    add('--no-search', dest='search', action='store_false', help='of rate and scale')
    add('--search-share', type=float, default=0.15, help='of the time, for each trial')
    add('--paper-modes', action='store_true', help='as many modes as in the paper')
    add('--device', default='cpu')
    add(
        '--clock',
        choices=('wall', 'process'),
        default='wall',
        help='process: time of the processor, for a busy machine and one thread',
    )
    add('--inference', action='store_true', help='also time solutions')
    add('--timed', nargs='+', choices=list(CASES), default=list(TIMED))
    add('--resolutions', nargs='+', type=int)
    add('--accuracy', type=float, default=0.01, help='where no network is trained')
    add('--memory', type=float, default=8, help='GiB for a network on a grid')
    add('--partial', type=Path, help='file of finished cells')
    add('--finished', action='store_true', help='run nothing, tabulate')


def fill_defaults(args: argparse.Namespace) -> None:
    """Set what was not given, and is less for ``--quick``."""
    quick = ('periodic_poisson', 'navier_stokes')
    defaults: dict[str, Any] = {
        'equations': list(quick if args.quick else CASES),
        'seeds': 1 if args.quick else 3,
        'seconds': 0.4 if args.quick else 300.0,
        'width': 8 if args.quick else None,
        'depth': 2 if args.quick else 4,
        'resolutions': [16, 32] if args.quick else list(RESOLUTIONS),
    }
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.partial is None and not args.quick:
        args.partial = HERE / 'results' / 'neural_spectral.partial.json'
    args.inference |= args.quick
    args.rates = RATES[:1] if args.quick else RATES


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = option_parser('neural_spectral', __doc__)
    add_options(parser)
    args = parser.parse_args()
    if args.clock == 'process' and (args.threads != 1 or args.device != 'cpu'):
        parser.error('--clock process needs --threads 1 and --device cpu')
    fill_defaults(args)
    return args


def main() -> None:
    """Train, time, and compare."""
    args = parse()
    torch.set_num_threads(args.threads)
    kept = keep_memory()
    warnings.filterwarnings('ignore', module='lightning|tltorch|neuralop')
    args.cases, recipe = settings(args)
    result = header('neural_spectral', args)
    result['keeps_memory'] = kept
    result['recipe'] = recipe._asdict()
    result['cases'] = {name: case._asdict() for name, case in args.cases.items()}
    result['search'] = {'rates': args.rates, 'scales': SCALES} if args.search else None
    cells = Cells(args.partial)
    rows = run_training(args, recipe, cells)
    table = summarize(rows)
    print_training(table)
    inference = run_inference(args, recipe, cells, table) if args.inference else {}
    result['training'] = table
    result['inference'] = inference
    result['claims'] = beside_the_paper(table, inference)
    result['cells'] = rows
    finish(result, args.out)


if __name__ == '__main__':
    main()
