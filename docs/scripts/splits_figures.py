# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the page on splits anew.

They are maps of splits of the EnMAP tiles of Potsdam, and of the scores that
``benchmarks/block_split.py`` wrote.
"""

import matplotlib as mpl
from _pages import DOCS, read_result, save_figure
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

IMAGES = DOCS / 'images'

NAMES = ('roof', 'pavement', 'low vegetation', 'tree', 'soil', 'water')
KINDS = {'random': ('Random pixels', '#cc79a7'), 'block': ('Blocks', '#0072b2')}


def save(figure: Figure, name: str) -> None:
    """Write a picture, if it is small enough."""
    save_figure(figure, IMAGES / name)


def draw_scores(result: dict) -> Figure:
    """Draw the scores of both splits.

    Args:
        result: What the benchmark wrote.

    Returns:
        The figure.
    """
    panels = {'oa': 'Overall accuracy', 'aa': 'Average accuracy', 'kappa': 'Kappa'}
    models = {'svm': 'SVM on\nspectra', 'cnn': 'CNN on\n15 × 15 windows'}
    figure, axes = plt.subplots(
        1, 3, figsize=(9, 3.4), sharey=True, layout='constrained'
    )
    for ax, (score, title) in zip(axes, panels.items(), strict=True):
        for k, (kind, (label, color)) in enumerate(KINDS.items()):
            for place, model in enumerate(models):
                found = result['splits'][kind][model][score]
                x = place + 0.36 * (k - 0.5)
                ax.bar(x, found['mean'], 0.32, color=color, label=label)
                seeds = found['seeds']
                spread = [
                    x + 0.16 * (i / max(len(seeds) - 1, 1) - 0.5)
                    for i in range(len(seeds))
                ]
                ax.plot(spread, seeds, 'o', ms=2.6, mfc='white', mec='0.15', mew=0.6)
                ax.text(
                    x,
                    max(seeds) + 0.02,
                    f'{found["mean"]:.2f}',
                    ha='center',
                    fontsize=9,
                )
        ax.set_xticks(range(len(models)), list(models.values()), fontsize=9)
        ax.set_title(title, fontsize=10, loc='left')
        ax.tick_params(length=0)
        ax.spines[['top', 'right', 'left']].set_visible(False)
        ax.set_ylim(0, 0.86)
        ax.grid(axis='y', color='0.9')
        ax.set_axisbelow(True)
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(
        unique.values(),
        unique.keys(),
        loc='outside lower left',
        ncols=2,
        frameon=False,
        fontsize=9,
    )
    return figure


def main() -> None:
    """Make all pictures."""
    import block_split

    from torchgeo_hsi.datasets import leak_report

    labels = block_split.read_scene(block_split.DATA / 'enmap_potsdam').labels
    for kind, (label, _) in KINDS.items():
        report = leak_report(block_split.make_split(kind, labels, 0))
        save(report.plot(NAMES, suptitle=label), f'splits_{kind}.png')
    result = read_result('block_split')
    save(draw_scores(result), 'splits_scores.png')


if __name__ == '__main__':
    mpl.use('Agg')
    main()
