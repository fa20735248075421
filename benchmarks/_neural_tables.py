# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What ``neural_spectral.py`` prints and sums up."""

from typing import Any

import numpy as np
from _neural_cells import TARGETS

#: What the paper says; its tables are not readable to us, so nothing else is quoted.
PAPER = {
    'source': 'Neural Spectral Methods, ICLR 2024, https://arxiv.org/abs/2312.05225',
    'claims': [
        'one to two orders better in speed and accuracy than other learned methods',
        'ten times faster than numerical solvers of equal accuracy',
        'the cost of a solution does not depend on its resolution',
    ],
    'settings': 'modes 31 x 31 (Poisson), 32 x 64 (reaction-diffusion), 12 x 31 x 31 '
    '(Navier-Stokes); width 64 and depth 4, or 32 and 10; batch 16; 30,000 to 200,000 '
    'steps of Adam; grids of 64 to 256 points; one A100; four seeds',
}


def show(row: dict[str, Any]) -> None:
    """Print a cell."""
    times = ', '.join(
        f'{t} in {s:.1f} s' for t, s in row['reached'].items() if s is not None
    )
    print(
        f'{row["equation"]:24s} {row["method"]:20s} seed {row["seed"]}: error '
        f'{row["error"]:.4f} after {row["steps"]} steps of {row["seconds_per_step"]:.3f} '
        f's, {row["parameters"] / 1e6:.2f} M parameters, lr {row["lr"]:g}, scale '
        f'{row["scale"]:g}; {times or "no target reached"}',
        flush=True,
    )


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds, and compare with the spectral operator."""
    table: list[dict[str, Any]] = []
    for equation, method in dict.fromkeys((r['equation'], r['method']) for r in rows):
        mine = [
            row
            for row in rows
            if (row['equation'], row['method']) == (equation, method)
        ]
        errors = [row['error'] for row in mine]
        entry: dict[str, Any] = {'equation': equation, 'method': method}
        entry['seeds'] = len(mine)
        entry['error'] = float(f'{np.mean(errors):.4g}')
        entry['error_sd'] = float(f'{np.std(errors):.3g}')
        for name in ('parameters', 'steps', 'seconds_per_step', 'data_seconds'):
            entry[name] = round(float(np.mean([row[name] for row in mine])), 5)
        for name in ('grid', 'lr', 'scale'):
            entry[name] = mine[0][name]
        entry['other_grids'] = {
            grid: float(f'{np.mean([row["other_grids"][grid] for row in mine]):.4g}')
            for grid in mine[0]['other_grids']
        }
        # only where all seeds get there
        entry['reached'] = {
            target: None if None in times else round(float(np.mean(times)), 2)
            for target in mine[0]['reached']
            if (times := [row['reached'][target] for row in mine])
        }
        table.append(entry)
    for entry in table:
        _compare(entry, table)
    return table


def _compare(entry: dict[str, Any], table: list[dict[str, Any]]) -> None:
    """Add ratios of a method to the spectral operator, of the same equation."""
    ours = [
        e
        for e in table
        if (e['equation'], e['method']) == (entry['equation'], 'spectral')
    ]
    if not ours or entry is ours[0]:
        return
    entry['error_over_spectral'] = round(entry['error'] / ours[0]['error'], 2)
    entry['parameters_over_spectral'] = round(
        entry['parameters'] / ours[0]['parameters'], 3
    )
    entry['time_over_spectral'] = {
        target: round(seconds / ours[0]['reached'][target], 2)
        for target, seconds in entry['reached'].items()
        if seconds and ours[0]['reached'][target]
    }


def print_training(table: list[dict[str, Any]]) -> None:
    """Print the errors as Markdown."""
    targets = [f'{target:.0%}' for target in TARGETS]
    heads = ['equation', 'method', 'grid', 'error', *[f's to {t}' for t in targets]]
    heads += ['s/step', 'lr', 'scale', 'parameters', 'error ratio']
    print('\n| ' + ' | '.join(heads) + ' |')
    print('|' + '---|' * len(heads))
    for entry in table:
        cells = [
            entry['equation'],
            f'`{entry["method"]}`',
            'x'.join(map(str, entry['grid'])),
            f'{entry["error"]:.2%} ± {entry["error_sd"]:.2%}',
            *[
                '-' if entry['reached'][t] is None else f'{entry["reached"][t]:.1f}'
                for t in targets
            ],
            f'{entry["seconds_per_step"]:.3f}',
            f'{entry["lr"]:g}',
            f'{entry["scale"]:g}',
            f'{entry["parameters"] / 1e6:.2f} M',
            str(entry.get('error_over_spectral', 1)),
        ]
        print('| ' + ' | '.join(cells) + ' |')


def print_inference(name: str, entry: dict[str, Any]) -> None:
    """Print times of an equation as Markdown."""
    print(
        f'\n{name}: milliseconds of one solution; the solver is as exact as '
        f'{entry["accuracy"]:.2%}: {entry["solver_setting"]}'
    )
    columns = ('network', 'evaluation', 'spectral', 'fno', 'solver')
    print('| grid | ' + ' | '.join(columns) + ' | fno / spectral | solver / spectral |')
    print('|' + '---|' * (len(columns) + 3))
    kept = entry['ratios']
    for row, fno, solver in zip(
        entry['rows'],
        kept['fno_over_spectral'],
        kept['solver_over_spectral'],
        strict=True,
    ):
        times = ['-' if row[c] is None else f'{row[c] * 1000:.2f}' for c in columns]
        grid = 'x'.join(map(str, row['grid']))
        print(f'| {grid} | {" | ".join(times)} | {fno or "-"} | {solver} |')
    print(f'growth: {kept["growth"]}')


def beside_the_paper(
    table: list[dict[str, Any]], inference: dict[str, Any]
) -> dict[str, Any]:
    """Put what was measured beside what the paper claims."""
    grids = [e for e in table if e['method'].startswith('fno_residual')]
    ours: dict[str, Any] = {
        'error of grid residuals over that of the spectral operator, equal time': {
            f'{e["equation"]}, {e["method"]}': e.get('error_over_spectral')
            for e in grids
        },
        'time of grid residuals over that of the spectral operator, equal error': {
            f'{e["equation"]}, {e["method"]}': e.get('time_over_spectral')
            for e in grids
        },
        'time of the numerical solver over that of the spectral operator': {
            name: entry['ratios']['solver_over_spectral']
            for name, entry in inference.items()
        },
        'growth of the time of a solution, finest over coarsest resolution': {
            name: entry['ratios']['growth'] for name, entry in inference.items()
        },
    }
    return {'paper': PAPER, 'ours': ours}
