# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of equations anew.

Solutions of each equation, the ringing of narrow plumes, and what an operator has learned
after a minute. No data are needed.
"""

import argparse
import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from _pages import DOCS, save_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from neural_spectral_tables import EXTENT, exact_plume, grid_plume
from torch import Tensor

from torchgeo_hsi.metrics.relative_l2 import relative_l2
from torchgeo_hsi.physics.equations import Equation, get_equation
from torchgeo_hsi.tasks.neural_spectral import NeuralSpectral

IMAGES = DOCS / 'neural_spectral' / 'images'


def save(figure: Figure, name: str) -> None:
    """Write a picture, if it is small enough."""
    # fields take few colors
    save_figure(figure, IMAGES / name, colors=256)


def show(
    figure: Figure,
    ax: Axes,
    field: Tensor,
    title: str,
    names: Sequence[str] = ('x', 'y'),
    colors: str = 'viridis',
    limits: tuple[float, float] | None = None,
) -> None:
    """Draw a function of two variables, the first of them along the bottom."""
    low, high = limits or (None, None)
    image = ax.imshow(
        field.T,
        origin='lower',
        extent=(0, 1, 0, 1),
        cmap=colors,
        vmin=low,
        vmax=high,
        interpolation='bilinear',
    )
    ax.set(title=title, xlabel=names[0], ylabel=names[1], xticks=[0, 1], yticks=[0, 1])
    figure.colorbar(image, ax=ax, shrink=0.75)


def draw_poisson() -> None:
    """Draw sources and solutions of both Poisson equations."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.2), layout='constrained')
    for row, kind in zip(axes, ('periodic', 'Dirichlet'), strict=True):
        equation = get_equation(f'{kind.lower()}_poisson')
        parameter = equation.sample(2, torch.Generator().manual_seed(1))
        source = equation.to_grid(parameter, equation.grid(96))[:, 0]
        solution = equation.solve(parameter, 96)
        for index in range(2):
            show(figure, row[2 * index], source[index], f'source, {kind}')
            show(
                figure, row[2 * index + 1], solution[index], 'solution', colors='magma'
            )
    save(figure, 'poisson.png')


def draw_reaction() -> None:
    """Draw one initial value, and how it grows with more and more diffusion."""
    figure, axes = plt.subplots(1, 5, figsize=(13, 2.7), layout='constrained')
    for ax, diffusion in zip(axes[1:], (0.005, 0.01, 0.05, 0.1), strict=True):
        equation = get_equation('reaction_diffusion', diffusion=diffusion)
        parameter = equation.sample(1, torch.Generator().manual_seed(4))
        solution = equation.solve(parameter, 96)[0]
        show(figure, ax, solution, f'ν = {diffusion}', ('t', 'x'), limits=(0, 1))
    x = equation.grid(96)[1]
    axes[0].plot(x, solution[0], color='0.2')
    axes[0].set(title='initial value', xlabel='x', xticks=[0, 1])
    save(figure, 'reaction_diffusion.png')


def draw_flow() -> None:
    """Draw vorticities of a viscous and a thin fluid, and of a forced one."""
    cases = (
        ('ν = 0.01, T = 3', {'viscosity': 1e-2}),
        ('ν = 0.0001, T = 3', {'viscosity': 1e-4}),
        ('forced, ν = 0.002, T = 50', {'forced': True}),
    )
    figure, axes = plt.subplots(3, 4, figsize=(11, 7.6), layout='constrained')
    for row, (title, options) in zip(axes, cases, strict=True):
        equation = get_equation('navier_stokes', **options)
        parameter = equation.sample(1, torch.Generator().manual_seed(2))
        solution = equation.solve(parameter, (4, 96, 96))[0]
        for index, ax in enumerate(row):
            words = title if index == 0 else f't = {index / 3:.2f}'
            show(figure, ax, solution[index], words, colors='RdBu_r')
    save(figure, 'navier_stokes.png')


def draw_plume() -> None:
    """Draw sources and columns of gas."""
    equation = get_equation('column_plume')
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.2), layout='constrained')
    parameter = equation.sample(2, torch.Generator().manual_seed(3))
    source = equation.to_grid(parameter, equation.grid((2, 96, 96)))[:, 0, 0]
    solution = equation.solve(parameter, (4, 96, 96))
    for index, row in enumerate(axes):
        wind = parameter[index, 1:, 0, 0, 0] * equation.extent / equation.duration
        words = f'source, wind {float(wind.norm()):.1f} m/s'
        # fields are (y, x), and pictures have their first variable along the bottom
        show(figure, row[0], source[index].T, words)
        row[0].arrow(0.2, 0.2, *(0.06 * wind.flip(0)), color='w', head_width=0.03)
        limits = (0.0, float(solution[index].max()))
        for frame, ax in enumerate(row[1:], start=1):
            moment = f't = {frame / 3 * equation.duration:.0f} s'
            column = solution[index, frame].T
            show(figure, ax, column, moment, colors='magma', limits=limits)
    save(figure, 'column_plume.png')


def draw_peclet() -> None:
    """Draw a plume along the wind: exact, by 31 waves, and by differences."""
    figure, axes = plt.subplots(
        1, 3, figsize=(12, 3.2), layout='constrained', sharex=True
    )
    x = torch.linspace(-0.15, 0.5, 400, dtype=torch.float64)
    for ax, (spread, diffusivity) in zip(
        axes, ((115.0, 10.0), (30.0, 200.0), (30.0, 10.0)), strict=True
    ):
        for name, waves, color in (
            ('exact', exact_plume(spread, diffusivity), '0.2'),
            ('31 modes', exact_plume(spread, diffusivity, 15), 'tab:blue'),
            ('differences, 64 points', grid_plume(spread, diffusivity, 64), 'tab:red'),
        ):
            k = torch.arange(len(waves), dtype=torch.float64) - len(waves) // 2
            angle = math.radians(30)
            turns = (math.sin(angle) * k[:, None] + math.cos(angle) * k).flatten()
            phase = torch.exp(2j * math.pi * x[:, None] * turns)
            profile = (phase @ waves.flatten()).real
            style = '--' if name.startswith('diff') else '-'
            ax.plot(x * EXTENT, profile, style, color=color, label=name)
        ax.axhline(0, color='0.7', lw=0.8, zorder=0)
        ax.set(title=f'source {spread:.0f} m, K = {diffusivity:.0f} m²/s')
        ax.set(xlabel='metres along the wind', yticks=[])
    axes[0].set_ylabel('column')
    axes[0].legend(fontsize=8)
    save(figure, 'peclet.png')


def train(weights: str, steps: int) -> tuple[NeuralSpectral, list[tuple[int, float]]]:
    """Train an operator for the periodic Poisson equation, and score it on the way."""
    torch.manual_seed(0)
    task = NeuralSpectral(
        'periodic_poisson',
        {'modes': [15, 15]},
        model_kwargs={'width': 32, 'depth': 4},
        weights=weights,
    )
    equation: Equation = task.equation
    source = torch.Generator().manual_seed(1)
    parameter = equation.sample(32, torch.Generator().manual_seed(0))
    expected = equation.solve(parameter, 64).float()
    optimizer = torch.optim.Adam(task.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.03 ** (1 / steps))
    curve = []
    for step in range(steps + 1):
        if step % 20 == 0:
            error = relative_l2(task.solve(parameter, 64), expected)
            curve.append((step, float(error.mean())))
        loss = task.loss({'parameter': equation.sample(16, source).float()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    return task, curve


def draw_learning(steps: int) -> None:
    """Draw how the error falls, and what is left of it."""
    figure, ax = plt.subplots(figsize=(6, 3.2), layout='constrained')
    for weights in ('unit', 'parseval'):
        task, curve = train(weights, steps)
        ax.semilogy(*zip(*curve, strict=True), label=f"weights='{weights}'")
        if weights == 'unit':
            kept = task
    ax.axhline(0.01, color='0.6', lw=0.8, ls='--')
    ax.set(xlabel='steps of 16 functions', ylabel='relative error (L2)')
    ax.legend()
    save(figure, 'learning.png')
    parameter = kept.equation.sample(2, torch.Generator().manual_seed(5))
    batch = {'parameter': parameter, 'solution': kept.equation.solve(parameter, 64)}
    save(kept.plot({key: value.float() for key, value in batch.items()}), 'learned.png')


def main() -> None:
    """Make the pictures that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--steps', type=int, default=400, help='steps of training')
    parser.add_argument('--only', nargs='*', help='names of pictures')
    arguments = parser.parse_args()
    pictures = {
        'poisson': draw_poisson,
        'reaction_diffusion': draw_reaction,
        'navier_stokes': draw_flow,
        'column_plume': draw_plume,
        'peclet': draw_peclet,
        'learning': lambda: draw_learning(arguments.steps),
    }
    for name in arguments.only or pictures:
        pictures[name]()


if __name__ == '__main__':
    main()
