# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pictures of splits: a map, and what each class has in each split."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..._typing import BoolArray

if TYPE_CHECKING:
    from .report import LeakReport

#: Colours of Okabe and Ito (https://jfly.uni-koeln.de/color/) that differ in lightness
#: as well; splits with other names get the ones behind.
_NAMED = {'train': '#0072b2', 'val': '#f0c419', 'test': '#d55e00'}
_OTHERS = ('#009e73', '#cc79a7', '#56b4e9', '#5c4a32')

#: Labels in no split: those of the guard, and those that nobody uses.
_LEFT_OUT = '#c9c9c9'
_HATCH = '#6f6f6f'
_NOTHING = '#f4f4f2'

#: Classes that get a bar; more would not be legible.
_BARS = 24


def draw_report(
    report: 'LeakReport',
    class_names: Sequence[str] | Mapping[int, str] | None,
    suptitle: str | None,
) -> Figure:
    """Draw a report.

    Args:
        report: The report.
        class_names: Name of each class, by its code.
        suptitle: Title of the whole figure.

    Returns:
        The figure.
    """
    codes = _cropped(report.picture) if report.boxes is None else report.picture
    height, width = _extent(report, codes)
    bars = min(len(report.totals), _BARS)
    # room for the map, for a line of each class, and for the titles
    tall = float(np.clip(4.6 * height / width, 2.6, 4.8))
    tall = max(tall, 0.30 * bars + 0.6 if bars else 0)
    fig = plt.figure(figsize=(10.2 if bars else 5.6, tall + 1.5), layout='constrained')
    grid = fig.add_gridspec(1, 2 if bars else 1, width_ratios=(1, 1) if bars else None)
    ax = fig.add_subplot(grid[0, 0])
    if report.boxes is None:
        _draw_pixels(ax, codes, split_colors(report.names))
    else:
        _draw_boxes(ax, report)
    ax.set_title(_leak_lines(report), fontsize=10, loc='left')
    ax.set_anchor('NW')
    if bars:
        right = fig.add_subplot(grid[0, 1])
        _draw_bars(right, report, class_names, tall)
    fig.legend(
        handles=_handles(report),
        loc='outside lower left',
        ncols=len(report.names) + 2,
        frameon=False,
        fontsize=9,
        handlelength=1.4,
    )
    if suptitle is not None:
        fig.suptitle(suptitle, fontsize=13, x=0.01, ha='left')
    return fig


def _cropped(picture: NDArray[np.int8]) -> NDArray[np.int8]:
    """Cut a map to what it shows, with a margin."""
    cuts = []
    for axis in (0, 1):
        filled = np.flatnonzero((picture != -1).any(axis=1 - axis))
        margin = 1 + (filled[-1] - filled[0]) // 25
        cuts.append(slice(max(filled[0] - margin, 0), filled[-1] + margin + 1))
    return picture[tuple(cuts)]


def _extent(report: 'LeakReport', codes: NDArray[np.int8]) -> tuple[float, float]:
    if report.boxes is None:
        return float(codes.shape[0]), float(codes.shape[1])
    low, high = report.boxes[:, :2].min(axis=0), report.boxes[:, 2:].max(axis=0)
    return float(high[1] - low[1]), float(high[0] - low[0])


def _leak_lines(report: 'LeakReport') -> str:
    size = report.window
    thing = 'patches' if size is None else f'{size} × {size} windows'
    return '\n'.join(
        f'{name}: {share:.1%} of the {thing} touch {report.names[0]}'
        for name, share in report.touching.items()
    )


def split_colors(names: Sequence[str]) -> list[str]:
    """Choose a colour for each split.

    Args:
        names: Names of the splits.

    Returns:
        Colours, those of training, validation and test always the same.
    """
    others = [name for name in names if name not in _NAMED]
    return [
        _NAMED.get(name) or _OTHERS[others.index(name) % len(_OTHERS)] for name in names
    ]


def _draw_pixels(ax: Axes, codes: NDArray[np.int8], colors: Sequence[str]) -> None:
    rgb = np.empty((*codes.shape, 3))
    rgb[:] = to_rgb(_NOTHING)
    for number, color in enumerate(colors):
        rgb[codes == number] = to_rgb(color)
    left_out = codes == -2
    rgb[left_out] = to_rgb(_LEFT_OUT)
    ax.imshow(rgb, interpolation='nearest')
    if left_out.any():
        _hatch(ax, left_out)
    ax.set_xticks([])
    ax.set_yticks([])


def _hatch(ax: Axes, mask: BoolArray) -> None:
    """Hatch the pixels of a mask."""
    # finer than the pixels, so that the outline follows them
    fine = max(1, min(4, 1600 // max(mask.shape)))
    dense = np.pad(mask.repeat(fine, axis=0).repeat(fine, axis=1), 1)
    places = [(np.arange(size) - 0.5) / fine - 0.5 for size in dense.shape]
    drawn = ax.contourf(
        places[1],
        places[0],
        dense.astype(float),
        levels=[0.5, 1.5],
        colors='none',
        hatches=['////'],
    )
    drawn.set_edgecolor(_HATCH)
    drawn.set_linewidth(0)


def _draw_boxes(ax: Axes, report: 'LeakReport') -> None:
    assert report.boxes is not None
    left, low, right, high = report.boxes.T
    corners = np.stack(
        [
            np.column_stack([left, low]),
            np.column_stack([right, low]),
            np.column_stack([right, high]),
            np.column_stack([left, high]),
        ],
        axis=1,
    )
    # thin lines tell neighbours apart, unless there are thousands
    line = 0.5 if len(corners) <= 2000 else 0
    colors = split_colors(report.names)
    for number in (-2, *range(len(report.names))):
        mine = report.picture == number
        ax.add_collection(
            PolyCollection(
                corners[mine],
                facecolors=_LEFT_OUT if number < 0 else colors[number],
                edgecolors='white' if number >= 0 else _HATCH,
                linewidths=line,
                hatch='////' if number < 0 and len(corners) <= 2000 else None,
            )
        )
    ax.autoscale_view()
    ax.set_aspect('equal')
    ax.set_facecolor(_NOTHING)
    ax.set_xticks([])
    ax.set_yticks([])


def _draw_bars(
    ax: Axes,
    report: 'LeakReport',
    class_names: Sequence[str] | Mapping[int, str] | None,
    tall: float,
) -> None:
    """Draw for each class how its pixels are shared out."""
    # the most frequent ones, if there are too many
    codes = sorted(report.totals, key=lambda code: -report.totals[code])[:_BARS]
    codes = [code for code in report.totals if code in set(codes)]
    place = np.arange(len(codes))
    start = np.zeros(len(codes))
    total = np.array([report.totals[code] for code in codes], dtype=float)
    colors = split_colors(report.names)
    for name, color in zip(report.names, colors, strict=True):
        found = report.counts[name]
        part = np.array([found.get(code, 0) for code in codes]) / total
        ax.barh(place, part, left=start, color=color, height=0.72)
        start += part
    ax.barh(
        place,
        np.maximum(1 - start, 0),
        left=start,
        color=_LEFT_OUT,
        edgecolor=_HATCH,
        hatch='////',
        linewidth=0,
        height=0.72,
    )
    untestable = set(report.untestable)
    for spot, code in enumerate(codes):
        words = f'{report.totals[code]:,}'
        words += '  not testable' if code in untestable else ''
        ax.text(1.015, spot, words, va='center', fontsize=8.5)
    ax.set_yticks(place, [_name(class_names, code) for code in codes], fontsize=9)
    # few bars stay as thin as many
    ax.set_ylim(max(len(codes), tall / 0.42) - 0.4, -0.6)
    ax.xaxis.tick_top()
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ['0', '25', '50', '75', '100 %'], fontsize=8)
    ax.tick_params(length=0)
    for side in ('top', 'right', 'left', 'bottom'):
        ax.spines[side].set_visible(False)
    more = len(report.totals) - len(codes)
    title = 'Share of the labels of each class, and their number'
    title += f' ({more} rarer classes are not shown)' if more else ''
    ax.set_title(title, fontsize=10, loc='left')


def _name(class_names: Sequence[str] | Mapping[int, str] | None, code: int) -> str:
    if isinstance(class_names, Mapping):
        return class_names.get(code, f'class {code}')
    if class_names is not None and 0 <= code < len(class_names):
        return class_names[code]
    return f'class {code}'


def _handles(report: 'LeakReport') -> list[Patch]:
    handles = [
        Patch(facecolor=color, label=f'{name} ({report.sizes[name]:,})')
        for name, color in zip(report.names, split_colors(report.names), strict=True)
    ]
    if report.left_out:
        handles.append(
            Patch(
                facecolor=_LEFT_OUT,
                edgecolor=_HATCH,
                hatch='////',
                linewidth=0,
                label=f'left out ({report.left_out:,})',
            )
        )
    if report.boxes is None:
        handles.append(Patch(facecolor=_NOTHING, edgecolor='0.7', label='no label'))
    return handles
