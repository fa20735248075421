# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Print the tables of neural solvers.

They are those of ``docs/neural_spectral/results.md``, made of the figures that
``benchmarks/neural_spectral.py`` has written. ``--figure`` draws errors over time, and
the time of a solution over its resolution.
"""

import argparse
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from _pages import DOCS, markdown_row, read_result
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

IMAGES = DOCS / 'neural_spectral' / 'images'

#: Equations and methods as the page calls them.
EQUATIONS = {
    'periodic_poisson': 'Poisson, periodic',
    'dirichlet_poisson': 'Poisson, Dirichlet',
    'reaction_diffusion_0.005': 'reaction-diffusion, ν = 0.005',
    'reaction_diffusion_0.01': 'reaction-diffusion, ν = 0.01',
    'reaction_diffusion_0.05': 'reaction-diffusion, ν = 0.05',
    'reaction_diffusion_0.1': 'reaction-diffusion, ν = 0.1',
    'navier_stokes': 'Navier-Stokes, ν = 0.01',
    'column_plume': 'column plume',
}
METHODS = {
    'spectral': 'spectral, as published',
    'spectral_coupled': 'spectral, coupled',
    'fno_residual_coarse': 'FNO, residual, coarse',
    'fno_residual_fine': 'FNO, residual, fine',
    'fno_data': 'FNO, data',
}
COLORS = dict(
    zip(METHODS, ('#0072b2', '#009e73', '#d55e00', '#e69f00', '#999999'), strict=True)
)

type Entry = dict[str, Any]


def errors(table: list[Entry]) -> str:
    """Compare final errors: equations down, methods across."""
    found = {(e['equation'], e['method']): e for e in table}
    methods = [m for m in METHODS if any(m == method for _, method in found)]
    rows = [markdown_row(['equation', *(METHODS[m] for m in methods)])]
    rows.append(markdown_row(['---'] * (len(methods) + 1)))
    for name, title in EQUATIONS.items():
        mine = [found.get((name, m)) for m in methods]
        if not any(mine):
            continue
        best = min(e['error'] for e in mine if e)
        cells = []
        for entry in mine:
            if entry is None:
                cells.append('-')
                continue
            text = f'{entry["error"]:.1%} ± {entry["error_sd"]:.1%}'
            cells.append(f'**{text}**' if entry['error'] == best else text)
        rows.append(markdown_row([title, *cells]))
    return '\n'.join(rows)


def costs(table: list[Entry]) -> str:
    """List steps, weights, and seconds to given errors."""
    targets = list(table[0]['reached'])
    heads = ['equation', 'method', 'grid', 'weights', 's/step', 'steps']
    rows = [markdown_row([*heads, *(f's to {t}' for t in targets), 'rate', 'scale'])]
    rows.append(markdown_row(['---'] * (len(heads) + len(targets) + 2)))
    for entry in table:
        grid = 'x'.join(map(str, entry['grid']))
        times = [entry['reached'][t] for t in targets]
        rows.append(
            markdown_row(
                [
                    EQUATIONS[entry['equation']],
                    METHODS[entry['method']],
                    '-' if entry['method'].startswith('spectral') else grid,
                    f'{entry["parameters"] / 1e6:.2f} M',
                    f'{entry["seconds_per_step"]:.3f}',
                    f'{entry["steps"]:.0f}',
                    *('-' if s is None else f'{s:.1f}' for s in times),
                    f'{entry["lr"]:g}',
                    f'{entry["scale"]:g}',
                ]
            )
        )
    return '\n'.join(rows)


def times(entry: Entry) -> str:
    """Compare the time of a solution at each resolution."""
    columns = ('network', 'evaluation', 'spectral', 'fno', 'solver')
    rows = [
        markdown_row(['grid', *columns]),
        markdown_row(['---'] * (len(columns) + 1)),
    ]
    for row in entry['rows']:
        cells = ['-' if row[c] is None else f'{1000 * row[c]:.2f}' for c in columns]
        rows.append(markdown_row(['x'.join(map(str, row['grid'])), *cells]))
    return '\n'.join(rows)


def draw_training(content: dict[str, Any]) -> None:
    """Draw the error of each cell over its seconds of training."""
    cells = content['cells']
    names = [n for n in EQUATIONS if any(c['equation'] == n for c in cells)]
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, panels = plt.subplots(
        lines,
        columns,
        figsize=(3 * columns, 2.7 * lines),
        squeeze=False,
        layout='constrained',
    )
    for axes in panels.flat[len(names) :]:
        axes.remove()
    for axes, name in zip(panels.flat, names, strict=False):
        _draw_equation(axes, [c for c in cells if c['equation'] == name])
        axes.set_title(EQUATIONS[name], fontsize=9)
    handles = [plt.Line2D([], [], color=COLORS[m], label=METHODS[m]) for m in METHODS]
    figure.legend(handles=handles, loc='outside lower center', ncols=5, fontsize=8)
    figure.savefig(IMAGES / 'training.png', dpi=110)
    plt.close(figure)


def _draw_equation(axes: Axes, cells: list[Entry]) -> None:
    for cell in cells:
        seconds, _, error = np.array(cell['curve']).T
        axes.loglog(seconds, 100 * error, color=COLORS[cell['method']], lw=1.3)
    axes.set_xlabel('seconds of training', fontsize=8)
    axes.set_ylabel('relative error (%)', fontsize=8)
    axes.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100]))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_formatter('')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, which='major', alpha=0.3)


def draw_inference(content: dict[str, Any]) -> None:
    """Draw the time of a solution over the number of points."""
    found = content['inference']
    figure, panels = plt.subplots(
        1,
        len(found),
        figsize=(3.6 * len(found), 3),
        squeeze=False,
        layout='constrained',
    )
    styles = {
        'network': ('#0072b2', '--', 'spectral, network only'),
        'spectral': ('#0072b2', '-', 'spectral, with evaluation'),
        'fno': ('#d55e00', '-', 'FNO'),
        'solver': ('#444444', '-', 'numerical solver, as exact'),
    }
    for axes, (name, entry) in zip(panels.flat, found.items(), strict=True):
        for key, (color, style, label) in styles.items():
            rows = [row for row in entry['rows'] if row[key] is not None]
            axes.loglog(
                [row['grid'][-1] for row in rows],
                [1000 * row[key] for row in rows],
                style,
                color=color,
                marker='.',
                label=label,
            )
        axes.set_title(EQUATIONS[name], fontsize=9)
        axes.set_xlabel('points along an axis', fontsize=8)
        axes.set_ylabel('milliseconds of a solution', fontsize=8)
        axes.grid(visible=True, alpha=0.3)
    panels[0, 0].legend(fontsize=7)
    figure.savefig(IMAGES / 'inference.png', dpi=110)
    plt.close(figure)


def main() -> None:
    """Print the tables, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--figure', action='store_true', help='draw, too')
    args = parser.parse_args()
    content = read_result('neural_spectral')
    out = [errors(content['training']), costs(content['training'])]
    for name, entry in content['inference'].items():
        words = ', '.join(f'{k} {v}' for k, v in entry['solver_setting'].items())
        accuracy = f'{entry["accuracy"]:.1%}'
        out.append(f'**{EQUATIONS[name]}**, solver as exact as {accuracy}: {words}')
        out.append(times(entry))
    sys.stdout.write('\n\n'.join(out) + '\n')
    if args.figure:
        draw_training(content)
        draw_inference(content)


if __name__ == '__main__':
    main()
