# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pictures of solutions beside numerical ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..physics.equations import Equation

#: Moments that are shown of functions of time and two places.
_MOMENTS = (0.25, 0.5, 0.75, 1.0)
#: Side of a panel in inches.
_SIDE = 2.3


@dataclass(frozen=True)
class _Panel:
    """A picture or a line, and what is written beside it."""

    values: NDArray[np.float32]
    title: str
    #: Names of the axes, that along the bottom first.
    names: tuple[str, ...]
    limits: tuple[float, float]
    colors: str = 'viridis'
    #: Whether it has a scale of colors.
    bar: bool = True


def draw_fields(
    equation: Equation,
    parameter: Tensor,
    prediction: Tensor,
    reference: Tensor | None = None,
) -> Figure:
    """Draw given fields, numerical solutions, those of a network, and errors.

    Functions of two variables get a row each, those of time and two places a row for
    each of these, with a few moments.

    Args:
        equation: The equation.
        parameter: Coefficients of shape ``(B, P, *modes)``.
        prediction: Solutions of a network on an even grid, shape ``(B, M_1, ...)``.
        reference: Numerical solutions of the same shape, if known.

    Returns:
        The figure.

    Raises:
        ValueError: If the equation has one variable, or more than three.
    """
    if not 2 <= len(equation.axes) <= 3:
        raise ValueError(
            f'Pictures show functions of 2 or 3 variables, and {equation.name} has '
            f'{len(equation.axes)}.'
        )
    points = equation.grid(list(prediction.shape[1:]))
    given = equation.to_grid(parameter[:, :1].double(), points)[:, 0].float()
    lines: list[list[_Panel | None]] = []
    for index in range(len(prediction)):
        target = None if reference is None else reference[index]
        lines += _rows(equation, given[index], prediction[index], target)
    columns = max(len(line) for line in lines)
    figure, axes = plt.subplots(
        len(lines),
        columns,
        figsize=(_SIDE * columns + 1.0, _SIDE * len(lines) + 0.3),
        squeeze=False,
        layout='constrained',
    )
    for panels, row in zip(lines, axes, strict=True):
        for panel, ax in zip([*panels, *[None] * columns], row, strict=False):
            _draw(figure, ax, panel)
    figure.suptitle(equation.name.replace('_', ' '))
    return figure


def _rows(
    equation: Equation, given: Tensor, prediction: Tensor, reference: Tensor | None
) -> Iterator[list[_Panel | None]]:
    """Lay out one function."""
    names = equation.variables
    fields = list(_fields(prediction, reference))
    if prediction.ndim == 2:
        first = given[0] if names[0] == 't' else given
        panels: list[_Panel | None] = [_panel(first, 'given', names, _limits(first))]
        yield panels + [
            _panel(values, title, names, limits, colors)
            for title, values, limits, colors in fields
        ]
        return
    frames = [round(moment * (len(prediction) - 1)) for moment in _MOMENTS]
    for row, (title, values, limits, colors) in enumerate(fields):
        line: list[_Panel | None] = [None]
        if row == 0:
            line = [_panel(given[0], 'given', names[1:], _limits(given[0]))]
        for frame in frames:
            moment = f'{names[0]} = {frame / (len(prediction) - 1):.2f}'
            if title.startswith('error') and reference is not None:
                title = _share(values[frame], reference[frame])
            panel = _panel(
                values[frame], f'{title}, {moment}', names[1:], limits, colors
            )
            # one scale for the whole line
            line.append(replace(panel, bar=frame == frames[-1]))
        yield line


def _fields(
    prediction: Tensor, reference: Tensor | None
) -> Iterator[tuple[str, Tensor, tuple[float, float], str]]:
    """Yield what is shown: its title, values, limits and colors."""
    if reference is None:
        yield 'network', prediction, _limits(prediction), 'viridis'
        return
    limits = _limits(torch.stack([prediction, reference]))
    yield 'numerical', reference, limits, 'viridis'
    yield 'network', prediction, limits, 'viridis'
    error = prediction - reference
    size = max(map(abs, _limits(error)))
    yield _share(error, reference), error, (-size, size), 'RdBu_r'


def _share(error: Tensor, reference: Tensor) -> str:
    """Write an error as a share of what is right."""
    return f'error {float(error.norm() / reference.norm().clamp_min(1e-30)):.2%}'


def _panel(
    values: Tensor,
    title: str,
    names: tuple[str, ...],
    limits: tuple[float, float],
    colors: str = 'viridis',
) -> _Panel:
    """Put the first axis along the bottom, or x, where rows come first."""
    if values.ndim == 1:
        return _Panel(values.numpy(), title, names[-1:], limits)
    if names == ('y', 'x'):
        return _Panel(values.numpy(), title, ('x', 'y'), limits, colors)
    return _Panel(values.T.numpy(), title, names, limits, colors)


def _draw(figure: Figure, ax: Axes, panel: _Panel | None) -> None:
    if panel is None:
        ax.axis('off')
        return
    ax.set_title(panel.title, fontsize=9)
    ax.set_xlabel(panel.names[0], fontsize=8)
    ax.tick_params(labelsize=7)
    ax.set_xticks([0, 0.5, 1])
    if panel.values.ndim == 1:
        # periodic: the first value comes again
        closed = np.append(panel.values, panel.values[0])
        ax.plot(np.linspace(0, 1, len(closed)), closed, color='0.2')
        return
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel(panel.names[1], fontsize=8)
    norm = Normalize(*panel.limits)
    ax.imshow(
        panel.values, cmap=panel.colors, norm=norm, origin='lower', extent=(0, 1, 0, 1)
    )
    if not panel.bar:
        return
    bar = figure.colorbar(ScalarMappable(norm, panel.colors), ax=ax, shrink=0.8)
    bar.ax.tick_params(labelsize=7)


def _limits(values: Tensor) -> tuple[float, float]:
    """Return the range of what is finite: a network may have diverged."""
    values = values[values.isfinite()]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return low, max(high, low + 1e-12)
