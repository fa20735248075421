# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits that come with a scene."""

from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.datasets import leak_report, official_pixel_split
from torchgeo_hsi.errors import EmptyDataError

LABELS = np.kron(np.arange(1, 7).reshape(2, 3), np.ones((6, 6), int))
LABELS[:, 0] = 0


def masks() -> dict[str, np.ndarray]:
    train = np.zeros(LABELS.shape, dtype=bool)
    train[::2] = True
    return {'train': train, 'test': ~train}


def test_pixels() -> None:
    given = masks()
    split = official_pixel_split(LABELS, given, 3)
    assert (split.names, split.method, split.guard) == (
        ('train', 'test'),
        'official',
        0,
    )
    for name, mask in given.items():
        # those without a label are in no split
        assert np.array_equal(split.mask(name), mask & (LABELS > 0))
    assert leak_report(split).touching == {'test': 1.0}


def test_validation() -> None:
    given = masks()
    split = official_pixel_split(LABELS, given, 3, val_split_pct=0.2)
    assert split.names == ('train', 'val', 'test')
    assert np.array_equal(split.mask('test'), given['test'] & (LABELS > 0))
    assert not (split.mask('val') & ~given['train']).any()
    for code in range(1, 7):
        whole = int((given['train'] & (code == LABELS)).sum())
        assert (split.mask('val') & (code == LABELS)).sum() == round(0.2 * whole)
        assert (split.mask('train') & (code == LABELS)).sum() == whole - round(
            0.2 * whole
        )


def test_official_validation() -> None:
    given = masks()
    given = {'train': given['train'], 'val': given['test'] & (LABELS < 3)} | {
        'test': given['test'] & (LABELS >= 3)
    }
    split = official_pixel_split(LABELS, given, 3)
    assert split.names == ('train', 'val', 'test')
    with pytest.raises(ValueError, match='official val already'):
        official_pixel_split(LABELS, given, 3, val_split_pct=0.1)


@pytest.mark.parametrize(
    ('change', 'error', 'text'),
    [
        ({'masks': {'train': LABELS > 0}}, ValueError, 'at least training and test'),
        ({'val_split_pct': 1.0}, ValueError, 'less than 1'),
        (
            {'masks': {'train': LABELS > 2, 'test': LABELS > 5}},
            ValueError,
            r'in train and in test.*cannot be tested',
        ),
        (
            {'masks': {'train': LABELS > 2, 'test': LABELS == 0}},
            EmptyDataError,
            'No labelled pixel is in test',
        ),
        (
            {'masks': {'train': LABELS > 2, 'test': np.ones((2, 2))}},
            ValueError,
            r'mask of test of shape \(12, 18\), got \(2, 2\)',
        ),
    ],
)
def test_errors(change: dict[str, Any], error: type[Exception], text: str) -> None:
    words: dict[str, Any] = {'masks': masks(), 'window': 3}
    with pytest.raises(error, match=text):
        official_pixel_split(LABELS, **(words | change))
