# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Print the tables of super-resolution.

They are those of ``docs/superresolution/results.md``, made of the figures that the
benchmarks have written to ``benchmarks/results``.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from _pages import read_result

#: Title of each score, and its digits.
SCORES = {
    'MPSNR': ('MPSNR (dB)', 2),
    'MSSIM': ('MSSIM', 3),
    'SAM_deg': ('SAM (°)', 2),
    'ERGAS': ('ERGAS', 2),
    'CC': ('CC', 3),
    'RMSE': ('RMSE', 4),
    'seconds': ('s', 2),
}

#: How the page calls what the benchmark calls otherwise.
TITLES = {'bicubic': '`bicubic`', 'shipped': '`pretrained_superresolution`'}

type Rows = list[dict[str, Any]]


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """Make a table."""
    rows = [head, ['---'] * len(head), *lines]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows).replace(
        ' --- ', '---'
    )


def methods(rows: Rows) -> list[str]:
    """Return the methods in the order in which they were run."""
    return list(dict.fromkeys(row['method'] for row in rows))


def scores(rows: Rows, scale: int) -> str:
    """Make a table of the mean scores of each method."""
    part = [row for row in rows if row['scale'] == scale]
    lines = []
    for method in methods(part):
        own = [row for row in part if row['method'] == method]
        cells = [
            f'{mean(row[key] for row in own):.{digits}f}'
            for key, (_, digits) in SCORES.items()
        ]
        lines.append([TITLES.get(method, method), *cells])
    return markdown(['method', *(title for title, _ in SCORES.values())], lines)


def cubes(rows: Rows, scale: int) -> str:
    """Make a table of what ships against interpolation, cube by cube."""
    plain, shipped = (
        {r['cube']: r for r in rows if r['scale'] == scale and r['method'] == method}
        for method in ('bicubic', 'shipped')
    )
    keys = ('MPSNR', 'MSSIM', 'SAM_deg')
    lines = [
        [name]
        + [
            f'{before[key]:.{SCORES[key][1]}f} → {shipped[name][key]:.{SCORES[key][1]}f}'
            for key in keys
        ]
        for name, before in plain.items()
    ]
    return markdown(['cube', *(SCORES[key][0] for key in keys)], lines)


def variants(result: dict[str, Any], scale: int) -> str:
    """Make a table of what each training gains over interpolation, seed by seed."""
    known = {
        row['method']
        for row in result['rows']
        if 'seed' in row and row['scale'] == scale
    }
    lines = []
    for key, gain in result['gains'].items():
        name = key.removeprefix(f'x{scale} ')
        if name not in known or not key.startswith(f'x{scale} '):
            continue
        cells = [
            ', '.join(f'{value:+.2f}' for value in gain[score])
            for score in ('MPSNR', 'SAM_deg')
        ]
        lines.append([name, *cells, f'{mean(gain["MPSNR"]):+.2f}'])
    return markdown(
        ['trained on', 'MPSNR (dB), each seed', 'SAM (°), each seed', 'MPSNR, mean'],
        sorted(lines, key=lambda line: line[0].count(',')),
    )


def speed(result: dict[str, Any]) -> str:
    """Make a table of time and memory against the official network."""
    lines = []
    for row in result['sizes']:
        wall, peak = row['seconds'], row['peak_mib']
        lines.append(
            [
                f'{row["pixels"]:,}',
                f'{wall["baseline"]:.2f} → {wall["ours"]:.2f}',
                f'{row["speedup"]:.2f}',
                f'{peak["baseline"]} → {peak["ours"]}',
                f'{1 / row["memory_ratio"]:.1f}',
            ]
        )
    head = ['coarse pixels', 's', 'times faster', 'MiB', 'times less memory']
    return markdown(head, lines)


def tables() -> dict[str, str]:
    """Make all tables, by the name that marks their place in the page."""
    result = read_result('superresolution_quality')
    rows = result['rows']
    makers: dict[str, Callable[[int], str]] = {
        'scores': lambda scale: scores(rows, scale),
        'cubes': lambda scale: cubes(rows, scale),
        'variants': lambda scale: variants(result, scale),
    }
    made = {
        f'{name} x{scale}': maker(scale)
        for scale in dict.fromkeys(row['scale'] for row in rows)
        for name, maker in makers.items()
    }
    return made | {'speed': speed(read_result('superresolution_speed'))}


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--page', type=Path, help='page whose marks are replaced')
    args = parser.parse_args()
    made = tables()
    if args.page is None:
        for name, table in made.items():
            sys.stdout.write(f'{name}\n\n{table}\n\n')
        return
    text = args.page.read_text('utf-8')
    for name, table in made.items():
        text = text.replace(f'<!-- TABLE {name} -->', table)
    args.page.write_text(text, 'utf-8')


if __name__ == '__main__':
    main()
