# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits of a scene, against those of its label map."""

from collections.abc import Callable

import numpy as np
import pytest
from data.fields.data import make_fields

from torchgeo_hsi.datasets import (
    LabelledScene,
    block_pixel_split,
    leak_report,
    official_pixel_split,
    pixel_folds,
    random_pixel_split,
    region_pixel_split,
)
from torchgeo_hsi.datasets.splits import PixelSplit

#: 0 is no class in the map, and the first class of the scene is 0.
FIELDS = make_fields(size=64, pitch=11, classes=5).astype(np.int64)
HALVES = {'train': 0.5, 'test': 0.5}
LEFT = np.arange(64)[None].repeat(64, axis=0) < 32

SPLITS: dict[str, Callable[..., PixelSplit]] = {
    'block': lambda labels: block_pixel_split(labels, 5, HALVES, trials=10),
    'region': lambda labels: region_pixel_split(labels, 5, HALVES, trials=10),
    'random': lambda labels: random_pixel_split(labels, 5, HALVES),
    'official': lambda labels: official_pixel_split(
        labels, {'train': LEFT, 'test': ~LEFT}, 5
    ),
    'block fold': lambda labels: pixel_folds(labels, 3, 5, trials=10)[1],
    'random fold': lambda labels: pixel_folds(labels, 3, 5, 'random')[1],
}


@pytest.fixture(scope='module')
def scene() -> LabelledScene:
    names, colors = tuple('abcdefghi'), ('#000000',) * 9
    return LabelledScene(
        np.ones((1, 64, 64)), np.ones((64, 64), bool), FIELDS - 1, names, colors
    )


@pytest.mark.parametrize('kind', SPLITS)
def test_scene_is_its_label_map(scene: LabelledScene, kind: str) -> None:
    found, wanted = SPLITS[kind](scene), SPLITS[kind](FIELDS)
    assert (FIELDS == 0).any()
    assert (FIELDS == 1).any()
    np.testing.assert_array_equal(found.codes, wanted.codes)
    np.testing.assert_array_equal(found.labelled, FIELDS > 0)
    np.testing.assert_array_equal(found.labels, scene.labels)


def test_report_of_masks(scene: LabelledScene) -> None:
    masks = {'train': LEFT, 'test': ~LEFT}
    found, wanted = (leak_report(masks, 5, labels) for labels in (scene, FIELDS))
    assert found.totals == {code - 1: n for code, n in wanted.totals.items()}
