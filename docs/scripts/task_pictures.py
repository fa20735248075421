# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the overviews of tasks anew.

Two come from runs, whose folder is the argument: ``torchgeo-hsi run`` of
``configs/potsdam_segmentation.yaml`` and ``torchgeo fit`` of
``configs/pretraining/mae_small.yaml``. The third one is drawn from the results of
``benchmarks/graph_augmentation.py``.
"""

import sys
from pathlib import Path

from _pages import DOCS, read_result, save_figure, save_small
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

IMAGES = DOCS / 'tasks' / 'images'

#: Pictures that runs write, with the last one of several, and the width in pixels.
WRITTEN = {
    'potsdam.png': ('potsdam/land_cover.png', 900),
    'mae.png': ('pretraining/mae_small/figures/*.png', 900),
}

#: Objectives as the picture calls them, and their colors.
OBJECTIVES = {'grace': ('GRACE', '#0072b2'), 'bgrl': ('BGRL', '#d55e00')}


def copy_written(output: Path) -> None:
    """Copy the pictures of runs in fewer pixels and colors.

    Args:
        output: Folder of the runs.

    Raises:
        FileNotFoundError: If a run has not written its picture.
    """
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, (pattern, width) in WRITTEN.items():
        found = sorted(output.glob(pattern))
        if not found:
            raise FileNotFoundError(f'No {pattern} in {output}.')
        with Image.open(found[-1]) as image:
            save_small(image, IMAGES / name, width)


def draw_views() -> Figure:
    """Draw the scores of graphs by what their views change."""
    found = read_result('graph_augmentation')['scenes']['potsdam']['superpixel']
    names = list(found['grace'])
    figure, axis = plt.subplots(figsize=(9, 3.6), layout='constrained')
    for k, (objective, (title, color)) in enumerate(OBJECTIVES.items()):
        scores = [found[objective][name]['20']['AA'] for name in names]
        axis.bar(
            [i + 0.38 * (k - 0.5) for i in range(len(names))],
            [mean for mean, _ in scores],
            0.36,
            yerr=[spread for _, spread in scores],
            color=color,
            label=title,
            error_kw={'lw': 0.8, 'capsize': 2, 'alpha': 0.7},
        )
    for name, style in (('untrained', '--'), ('features', ':')):
        level = found[name]['20']['AA'][0]
        label = {'untrained': 'encoder without training', 'features': 'plain features'}
        axis.axhline(level, color='0.25', ls=style, lw=1.2, label=label[name])
    axis.set_xticks(range(len(names)), [name.replace('_', '\n') for name in names])
    axis.set_ylim(0.25, 0.5)
    axis.set_ylabel('average accuracy')
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(ncols=4, frameon=False, loc='upper left', fontsize=9)
    return figure


def main() -> None:
    """Make all pictures; those of runs only where their folder is given."""
    save_figure(draw_views(), IMAGES / 'graph_views.png', dpi=100, colors=64)
    if len(sys.argv) > 1:
        copy_written(Path(sys.argv[1]))


if __name__ == '__main__':
    plt.switch_backend('Agg')
    main()
