# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The picture of a classification says what the report says."""

import numpy as np
import pytest

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.metrics.classification_report import ClassificationReport

NAMES = ('water', 'forest', 'a class with a name that is much too long')
MATRIX = [[8, 2, 0], [1, 299, 0], [0, 0, 0]]


def texts(axes: object) -> list[str]:
    return [text.get_text() for text in axes.texts]  # type: ignore[attr-defined]


def test_matrix_and_bars() -> None:
    report = ClassificationReport(MATRIX, NAMES, 'block', (0.0,), 4, 9, method='svm')
    figure = report.plot()
    matrix, bars = figure.axes
    shown = matrix.images[0].get_array()
    assert shown is not None
    np.testing.assert_allclose(shown[:2], [[0.8, 0.2, 0], [1 / 300, 299 / 300, 0]])
    # nothing is said of a class that is not tested
    assert np.isnan(np.asarray(shown)[2]).all()
    assert texts(matrix) == ['80', '20', '·', '100']
    widths = [bar.get_width() for bar in bars.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([16 / 19, 598 / 601, 0])
    assert texts(bars) == ['0.84  (10 px)', '1.00  (300 px)', 'not tested']
    assert all(len(label.get_text()) <= 22 for label in matrix.get_yticklabels())


def test_scores_stand_beside_their_split() -> None:
    report = ClassificationReport(
        [MATRIX, MATRIX], NAMES, 'random', (0.97, 0.99), None, 9, method='svm'
    )
    title = report.plot().get_suptitle().splitlines()
    assert title[0] == 'svm'
    assert '98% of the 9-pixel test windows touch training' in title[1]
    assert title[1].startswith('random split')
    assert title[2].startswith('OA 0.990 ± 0.000')
    assert report.plot(suptitle='Potsdam').get_suptitle().startswith('Potsdam')


def test_colors() -> None:
    report = ClassificationReport(MATRIX, NAMES, 'block')
    figure = report.plot(['#ff0000', '#00ff00', '#0000ff'])
    colors = [bar.get_facecolor()[:3] for bar in figure.axes[1].patches]
    assert colors == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    with pytest.raises(BandMismatchError, match='each of 3 classes, got 1'):
        report.plot(['#ff0000'])


def test_many_classes() -> None:
    names = [f'class {k}' for k in range(40)]
    figure = ClassificationReport(np.eye(40, dtype=int) * 5, names, 'block').plot()
    # numbers would not be legible
    assert texts(figure.axes[0]) == []
