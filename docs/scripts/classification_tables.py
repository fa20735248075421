# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Print the tables of classification.

They are those of ``docs/classification/results.md``, made of the figures that the
benchmarks have written to ``benchmarks/results``. ``--figure`` draws the scores, too.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from _pages import DOCS, markdown_row, read_result

PICTURE = DOCS / 'classification' / 'images' / 'leakage.png'

#: Scenes as the page calls them.
SCENES = {'potsdam': 'Potsdam (EnMAP)', 'jasper': 'Jasper Ridge (AVIRIS)'}
SCORES = ('OA', 'AA', 'kappa')

type Entry = dict[str, Any]


def cell(entry: Entry | None, score: str) -> str:
    """Write the mean and the standard deviation of a score."""
    if entry is None:
        return '-'
    return f'{entry[score]:.3f} ± {entry[f"{score}_sd"]:.2f}'


def scores(table: list[Entry], scene: str, score: str) -> str:
    """Compare methods on one scene: random pixels, then blocks."""
    mine = {
        (e['method'], e['shots'], e['split']): e for e in table if e['scene'] == scene
    }
    shots = sorted({number for _, number, _ in mine})
    head = [f'{number}, {kind}' for number in shots for kind in ('random', 'block')]
    rows = [markdown_row(['method', *head]), markdown_row(['---'] * (len(head) + 1))]
    for method in dict.fromkeys(method for method, *_ in mine):
        cells = [
            cell(mine.get((method, number, kind)), score)
            for number in shots
            for kind in ('random', 'block')
        ]
        rows.append(markdown_row([f'`{method}`', *cells]))
    return '\n'.join(rows)


def touching(table: list[Entry], scene: str) -> str:
    """Say how many test windows touch training, by the number of labels."""
    parts = []
    for shots in dict.fromkeys(e['shots'] for e in table):
        shares = [
            e['touching']
            for e in table
            if (e['scene'], e['shots'], e['split']) == (scene, shots, 'random')
            # windows of 1 and 3 pixels hardly touch anything
            and e['method'] not in ('spectral_cnn', 'spectralformer')
        ]
        if shares:
            parts.append(f'{shots} labels: {min(shares):.0%} to {max(shares):.0%}')
    return '; '.join(parts)


def draw(table: list[Entry], path: Path) -> None:
    """Draw the average accuracy of each method with random pixels and with blocks."""
    scenes = [s for s in SCENES if any(e['scene'] == s for e in table)]
    figure, axes = plt.subplots(1, len(scenes), figsize=(9, 4), squeeze=False)
    for ax, scene in zip(axes[0], scenes, strict=True):
        mine = [e for e in table if e['scene'] == scene]
        methods = list(dict.fromkeys(e['method'] for e in mine))
        for number, method in enumerate(methods):
            for kind, style in (('random', ':'), ('block', '-')):
                own = [e for e in mine if (e['method'], e['split']) == (method, kind)]
                ax.plot(
                    [e['shots'] for e in own],
                    [e['AA'] for e in own],
                    style,
                    color=f'C{number}',
                    marker='o',
                    markersize=3,
                    label=method if kind == 'block' else None,
                )
        ax.set_xscale('log')
        ticks = sorted({e['shots'] for e in mine})
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel('labels of each class')
        ax.set_ylabel('average accuracy')
        ax.set_title(SCENES[scene])
    axes[0][0].legend(fontsize=7)
    figure.suptitle(
        'solid: labels in other blocks; dotted: labels anywhere', fontsize=9
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def tell(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f'{text}\n')


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--figure', action='store_true', help='draw the scores as well')
    args = parser.parse_args()
    table = read_result('pixel_classification')['table']
    for scene, title in SCENES.items():
        for score in SCORES:
            tell(f'\n{title}: {score} with 5 to 100 labels of each class\n')
            tell(scores(table, scene, score))
        tell(f'\ntest windows that touch training, random: {touching(table, scene)}')
    if args.figure:
        draw(table, PICTURE)


if __name__ == '__main__':
    main()
