# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tables, pictures and a page of a comparison of methods of pansharpening."""

import csv
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._json import json_text
from ._sharpening_runs import PROTOCOLS, SCORES, Protocol, SharpeningRun

_TITLES = {'reduced': 'Reduced resolution', 'full': 'Full resolution'}

#: Share of the errors above the brightest color of an error map.
_BRIGHT = 0.98

_STYLE = (
    'body{font-family:sans-serif;margin:2em;max-width:80em}'
    'table{border-collapse:collapse;margin:1em 0}'
    'td,th{padding:.25em .7em;text-align:right;border-bottom:1px solid #ddd}'
    'td:first-child,th:first-child{text-align:left}'
    '.best{font-weight:bold}.first{background:#f4f4f4}img{max-width:100%}'
)


def write_tables(folder: Path, runs: Sequence[SharpeningRun], document: Any) -> None:
    """Write all numbers as JSON and as CSV.

    Args:
        folder: Where to.
        runs: The runs.
        document: What else is known about them.
    """
    rows = [run.row() for run in runs]
    content = {'document': document, 'runs': rows}
    (folder / 'results.json').write_text(json_text(content), 'utf-8')
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(folder / 'results.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def table_rows(
    runs: Iterable[SharpeningRun], protocol: Protocol
) -> tuple[list[str], list[list[str]]]:
    """Lay out the runs of one pair and protocol.

    Args:
        runs: The runs.
        protocol: The protocol.

    Returns:
        Titles and rows of text.
    """
    header = ['method', *SCORES[protocol], 's', 'MiB']
    rows = []
    for run in runs:
        if run.error is not None:
            rows.append([run.method, run.error, *[''] * (len(header) - 2)])
            continue
        numbers = [run.scores.get(name, math.nan) for name in SCORES[protocol]]
        rows.append(
            [
                run.method,
                *('-' if math.isnan(n) else f'{n:.4f}' for n in numbers),
                '-' if run.seconds is None else f'{run.seconds:.2f}',
                '-' if run.memory is None else f'{run.memory:.0f}',
            ]
        )
    return header, rows


def missing_notes(runs: Iterable[SharpeningRun]) -> list[str]:
    """Say which scores cannot be computed, and why.

    Args:
        runs: The runs of one pair and protocol.

    Returns:
        Sentences, each once.
    """
    return list(dict.fromkeys(note for run in runs for note in run.tell_missing()))


def draw(
    path: Path,
    pair: Mapping[str, Any],
    runs: Sequence[SharpeningRun],
    protocol: Protocol,
    gain: float,
) -> None:
    """Draw what methods make of a pair, and where they err.

    Args:
        path: PNG to write.
        pair: Sample of the pair.
        runs: Runs with their images.
        protocol: With a truth, errors are those of the cube; without one, what the
            sensor of the cube would see otherwise.
        gain: Gain of the cube's sensor.
    """
    from matplotlib.figure import Figure

    shown = [run for run in runs if run.image is not None]
    pictures: list[tuple[str, NDArray[Any], NDArray[Any] | None]] = [
        ('PAN', pair['pan'][0].numpy(), None)
    ]
    bands = _bands(pair)
    limits = _limits(pair['image'].numpy()[bands])
    if 'target' in pair and protocol == 'reduced':
        truth = _picture(pair['target'].numpy()[bands], limits)
        pictures.append(('truth', truth, None))
    errors = [_errors(run.image, pair, protocol, gain) for run in shown]
    for run, error in zip(shown, errors, strict=True):
        picture = _picture(run.image.numpy()[bands], limits)
        pictures.append((run.method, picture, error))
    top = max((float(np.nanquantile(e, _BRIGHT)) for e in errors), default=1.0)
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(2.4 * columns, 5.0 * rows), layout='constrained')
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (title, image, wrong) in enumerate(pictures):
        row, col = divmod(number, columns)
        axes[2 * row, col].imshow(image, cmap='gray')
        axes[2 * row, col].set_title(title, fontsize=9)
        if wrong is not None:
            axes[2 * row + 1, col].imshow(wrong, cmap='magma', vmin=0, vmax=top)
            axes[2 * row + 1, col].set_title(
                f'error, mean {float(np.nanmean(wrong)):.3g}', fontsize=8
            )
    figure.savefig(path, dpi=100)


def _bands(pair: Mapping[str, Any]) -> list[int]:
    """Choose the bands of a picture: those of natural color where that is known."""
    count = len(pair['image'])
    if 'wavelength' in pair:
        centers = pair['wavelength'].numpy()
        return [int(np.abs(centers - x).argmin()) for x in (0.64, 0.555, 0.468)]
    return [int(count * share) for share in (0.15, 0.09, 0.04)]


def _limits(image: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.nanquantile(
        image.reshape(len(image), -1), (0.02, 0.98), axis=1
    )
    return found


def _picture(image: NDArray[Any], limits: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = limits[..., None, None]
    span = np.where(high > low, high - low, 1)
    picture: NDArray[np.float64] = np.clip((image - low) / span, 0, 1)
    return picture.transpose(1, 2, 0)


def _errors(
    image: Any, pair: Mapping[str, Any], protocol: Protocol, gain: float
) -> NDArray[Any]:
    """Return root mean square errors over the bands, one for each pixel."""
    if protocol == 'reduced':
        difference, valid = image - pair['target'], pair.get('pan_valid')
    else:
        from ..physics.resampling import mtf_decimate

        ratio = image.shape[-1] // pair['image'].shape[-1]
        seen = mtf_decimate(image, gain, ratio)
        difference, valid = seen - pair['image'], pair.get('valid')
    error: NDArray[Any] = difference.square().mean(0).sqrt().numpy()
    return error if valid is None else np.where(valid.numpy(), error, np.nan)


def write_page(
    folder: Path, runs: Sequence[SharpeningRun], pictures: Mapping[tuple[str, str], str]
) -> None:
    """Write a page with all tables and pictures.

    Args:
        folder: Where to.
        runs: The runs.
        pictures: File of the picture of each pair and protocol.
    """
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        f'<title>Pansharpening</title><style>{_STYLE}</style><h1>Pansharpening</h1>',
    ]
    for cube in dict.fromkeys(run.cube for run in runs):
        parts.append(f'<h2>{html.escape(cube)}</h2>')
        for protocol in PROTOCOLS:
            own = [r for r in runs if (r.cube, r.protocol) == (cube, protocol)]
            if own:
                parts.append(f'<h3>{_TITLES[protocol]}</h3>' + _table(own, protocol))
                name = pictures.get((cube, protocol))
                if name:
                    parts.append(f'<img src="{html.escape(name)}" alt="Results">')
    (folder / 'index.html').write_text('\n'.join(parts) + '\n', 'utf-8')


def _table(runs: Sequence[SharpeningRun], protocol: Protocol) -> str:
    header, rows = table_rows(runs, protocol)
    best = {}
    for column, (name, more) in enumerate(SCORES[protocol].items(), start=1):
        known = [
            r.scores[name] for r in runs if math.isfinite(r.scores.get(name, math.nan))
        ]
        if known:
            best[column] = f'{(max if more else min)(known):.4f}'
    lines = ['<tr>' + ''.join(f'<th>{name}</th>' for name in header) + '</tr>']
    for number, row in enumerate(rows):
        cells = (
            f'<td{" class=best" if best.get(i) == cell else ""}>{html.escape(cell)}</td>'
            for i, cell in enumerate(row)
        )
        first = ' class=first' if number == 0 else ''
        lines.append(f'<tr{first}>{"".join(cells)}</tr>')
    notes = ''.join(f'<p>{html.escape(note)}</p>' for note in missing_notes(runs))
    return '<table>' + '\n'.join(lines) + '</table>' + notes
