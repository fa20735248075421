# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The report: numbers, JSON and pictures."""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from data.fields.data import make_fields
from matplotlib.colors import to_rgb

from torchgeo_hsi.datasets import block_patch_split, block_pixel_split, leak_report
from torchgeo_hsi.datasets.splits._figure import split_colors
from torchgeo_hsi.errors import EmptyDataError, OutputError

PAIR = {'train': np.eye(9, dtype=bool), 'test': np.eye(9, k=3, dtype=bool)}


def test_counts_add_up(tmp_path: Path) -> None:
    labels = make_fields()
    split = block_pixel_split(labels, 7)
    report = leak_report(split)
    for code, total in report.totals.items():
        assert total == (labels == code).sum()
        parts = sum(found.get(code, 0) for found in report.counts.values())
        assert parts + (split.left_out & (labels == code)).sum() == total
    assert report.left_out == split.left_out.sum()
    text = report.to_json(tmp_path / 'report.json')
    assert (tmp_path / 'report.json').read_text() == text
    found = json.loads(text)
    assert found['totals'] == {str(code): n for code, n in report.totals.items()}
    assert found['touching'] == {'val': 0, 'test': 0}
    assert found['single_region'] == [1, 7, 9]
    with pytest.raises(OutputError, match=r'could not be written.*as it was'):
        report.to_json(tmp_path / 'report.json' / 'in_a_file.json')


def test_masks_and_labels_of_anybody() -> None:
    labels = np.ones((9, 9), dtype=int)
    labels[:2] = 2
    labels[0, 0] = 0
    report = leak_report(PAIR, 3, labels, least=2)
    assert report.counts == {'train': {1: 7, 2: 1}, 'test': {1: 4, 2: 2}}
    assert report.lost == {'train': (2,), 'test': ()}
    assert report.untestable == (2,)
    assert report.regions == {1: 1, 2: 1}
    # two columns lie between the diagonals, and windows reach over one each
    assert report.touching['test'] == 1
    assert leak_report(PAIR, 2).touching['test'] == 0


def colors_of(figure: Any) -> set[tuple[float, ...]]:
    picture = figure.axes[0].images[0].get_array()
    return {tuple(color) for color in np.unique(picture.reshape(-1, 3), axis=0)}


def test_colors_follow_names() -> None:
    train, val, test = split_colors(['train', 'val', 'test'])
    assert split_colors(['train', 'test']) == [train, test]
    found = split_colors(['fit', 'train', 'val', 'exam', 'test'])
    assert found[1:3] == [train, val]
    assert len(set(found)) == 5


@pytest.mark.parametrize('kind', ['pixels', 'masks', 'patches', 'many classes'])
def test_plot(kind: str) -> None:
    if kind == 'patches':
        x, y = np.meshgrid(np.arange(9.0), np.arange(9.0))
        boxes = np.stack([x, y, x + 2, y + 2], axis=-1).reshape(-1, 4)
        report = leak_report(block_patch_split(boxes, counts=np.ones((81, 3))))
    elif kind == 'masks':
        report = leak_report(PAIR, 3)
    elif kind == 'many classes':
        labels = np.kron(np.arange(400).reshape(20, 20), np.ones((6, 6), int)) % 40
        report = leak_report(block_pixel_split(labels, 3))
    else:
        report = leak_report(block_pixel_split(make_fields(), 7))
    figure = report.plot(['background', 'corn'], suptitle='Fields')
    figure.canvas.draw()
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[0] == f'train ({report.sizes["train"]:,})'
    assert len(figure.axes) == (1 if kind == 'masks' else 2)
    if kind == 'patches':
        assert len(figure.axes[0].collections) == 4
    else:
        shown = {to_rgb(color) for color in split_colors(report.names)}
        assert shown <= colors_of(figure)
    if kind == 'pixels':
        ticks = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
        assert ticks[:2] == ['corn', 'class 2']
        rows = [patch.get_width() for patch in figure.axes[1].patches[:12]]
        want = [
            report.counts['train'].get(code, 0) / n for code, n in report.totals.items()
        ]
        np.testing.assert_allclose(rows, want)
    if kind == 'many classes':
        assert len(figure.axes[1].get_yticklabels()) == 24
    plt.close(figure)


@pytest.mark.parametrize(
    ('splits', 'options', 'error', 'match'),
    [
        ({'train': PAIR['train']}, {'window': 3}, ValueError, 'at least two splits'),
        (PAIR, {}, ValueError, 'Pass window='),
        (PAIR, {'window': 0}, ValueError, 'at least 1 pixel'),
        (PAIR, {'window': 3, 'labels': np.ones((4, 4))}, ValueError, 'same shape'),
        (
            {'train': np.zeros((9, 9), bool), 'test': PAIR['test']},
            {'window': 3},
            EmptyDataError,
            "no pixel in 'train'",
        ),
        ({'train': np.ones((1, 4)), 'test': []}, {}, ValueError, 'left below right'),
        (
            {'train': [[0, 0, 1, 1]], 'test': []},
            {},
            EmptyDataError,
            "no patch in 'test'",
        ),
        (
            {'train': [[0, 0, 1, 1]], 'test': [[2, 0, 3, 1]]},
            {'counts': {'train': [[1, 2]]}},
            ValueError,
            "for 'test'",
        ),
        (
            {'train': [[0, 0, 1, 1]], 'test': [[2, 0, 3, 1]]},
            {'counts': {'train': [[1, 2]], 'test': [[1]]}},
            ValueError,
            'as many classes',
        ),
    ],
)
def test_bad_splits(
    splits: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        leak_report(splits, **options)
