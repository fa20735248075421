# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Picture of a classification: confusion matrix, and F1 score of each class."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from .classification_report import ClassificationReport

#: Classes up to which the shares are written into the matrix.
_WRITTEN = 24

#: Characters of a class name, and of a line of the title.
_NAME = 22
_LINE = 88

_BAR = '#0072b2'
_UNTESTED = '#9a9a9a'


def draw_report(
    report: 'ClassificationReport',
    class_colors: 'Sequence[str] | None' = None,
    suptitle: str | None = None,
) -> 'Figure':
    """Draw a report.

    Args:
        report: The report; its runs are added up.
        class_colors: Color of each class, for the bars.
        suptitle: Title of the whole figure; method and split by default.

    Returns:
        The figure.
    """
    import matplotlib.pyplot as plt

    counts = report.counts.sum(0)
    size = len(counts)
    side = float(np.clip(0.42 * size, 3.2, 11.0))
    fig, (left, right) = plt.subplots(
        1,
        2,
        figsize=(side + 5.2, side + 1.9),
        width_ratios=(side, 2.4),
        layout='constrained',
    )
    names = [textwrap.shorten(n, _NAME, placeholder='…') for n in report.class_names]
    _draw_matrix(left, counts, names)
    _draw_bars(right, report, class_colors)
    scores = '  '.join(
        f'{name} {np.nanmean(values):.3f}'
        + (f' ± {np.nanstd(values):.3f}' if len(values) > 1 else '')
        for name, values in report.scores().items()
    )
    title = report.method if suptitle is None else suptitle
    # a score never stands without its split
    lines = [title, *textwrap.wrap(report.split_line(), _LINE), scores]
    fig.suptitle('\n'.join(line for line in lines if line), fontsize=11, ha='center')
    return fig


def _draw_matrix(ax: Axes, counts: NDArray[np.int64], names: list[str]) -> None:
    """Draw which share of each class is taken for which."""
    tested = counts.sum(1, keepdims=True)
    shares = np.divide(
        counts, tested, out=np.full(counts.shape, np.nan), where=tested > 0
    )
    ax.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    ax.set_facecolor('#ededed')
    if len(counts) <= _WRITTEN:
        for row, column in np.argwhere(counts > 0).tolist():
            share = shares[row, column]
            text = f'{100 * share:.0f}' if share >= 0.005 else '·'
            color = 'white' if share > 0.55 else '#303030'
            ax.text(
                column, row, text, ha='center', va='center', fontsize=8, color=color
            )
    place = np.arange(len(counts))
    ax.set_xticks(place, names, rotation=45, ha='right', fontsize=8)
    ax.set_yticks(place, names, fontsize=8)
    ax.set_xlabel('Predicted')
    ax.set_ylabel('Truth')
    ax.set_title('Share of each class in %', fontsize=10, loc='left')
    ax.tick_params(length=0)


def _draw_bars(
    ax: Axes, report: 'ClassificationReport', colors: 'Sequence[str] | None'
) -> None:
    """Draw the F1 score of each class, and how many pixels it stands on."""
    f1 = report.f1
    tested = report.counts.sum((0, 2))
    place = np.arange(len(tested))
    known = ~np.isnan(f1)
    number = known.sum(0)
    mean = np.divide(
        np.where(known, f1, 0).sum(0),
        number,
        out=np.zeros(len(tested)),
        where=number > 0,
    )
    shown = (
        [to_rgb(color) for color in colors] if colors else [to_rgb(_BAR)] * len(place)
    )
    ax.barh(place, mean, color=shown, edgecolor='#606060', linewidth=0.4, height=0.72)
    for spot, count in enumerate(tested.tolist()):
        words = f'{mean[spot]:.2f}  ({count:,} px)' if count else 'not tested'
        color = 'black' if count else _UNTESTED
        ax.text(1.03, spot, words, va='center', fontsize=8, color=color)
    if len(report.counts) > 1:
        for values in f1:
            ax.plot(values, place, 'o', color='black', markersize=2, clip_on=False)
    ax.set_ylim(len(place) - 0.5, -0.5)
    ax.set_yticks([])
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ['0', '0.5', '1'], fontsize=8)
    ax.set_title('F1', fontsize=10, loc='left')
    for side in ('top', 'right'):
        ax.spines[side].set_visible(False)
