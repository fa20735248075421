# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A scene with labels: what fits together, and what does not."""

from typing import Any

import numpy as np
import pytest
from pyproj import CRS

from torchgeo_hsi.datasets import LabelledScene
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics import BandSet


def make(**changes: Any) -> LabelledScene:
    words: dict[str, Any] = {
        'image': np.ones((3, 4, 5), dtype=np.int16),
        'valid': np.ones((4, 5), dtype=bool),
        'labels': np.arange(20).reshape(4, 5) % 3 - 1,
        'class_names': ('a', 'b'),
        'class_colors': ('#000000', '#ffffff'),
    }
    return LabelledScene(**words | changes)


def test_shape() -> None:
    scene = make()
    assert scene.shape == (3, 4, 5)
    assert scene.num_classes == 2


def test_one_line() -> None:
    bands = BandSet(np.linspace(0.4, 0.8, 3))
    scene = make(name='Fields', bands=bands, crs=CRS.from_epsg(32633))
    assert repr(scene) == (
        'LabelledScene(Fields: BandSet(3 bands, 0.4 to 0.8 µm, no FWHM), 4 x 5 pixels, '
        'int16, 13 labels of 2 classes, EPSG:32633)'
    )
    assert repr(make()) == (
        'LabelledScene(scene: 3 bands, no wavelengths, 4 x 5 pixels, int16, '
        '13 labels of 2 classes, no CRS)'
    )


def test_nodata_has_no_label() -> None:
    valid = np.ones((4, 5), dtype=bool)
    valid[0] = False
    scene = make(valid=valid)
    assert (scene.labels[0] == -1).all()
    assert (scene.labels[1:] == make().labels[1:]).all()


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'valid': np.ones((5, 4), dtype=bool)}, r'valid of its rows and columns'),
        ({'labels': np.full((4, 5), 2)}, 'from 0 to 1'),
        ({'class_colors': ('#000000',)}, 'a color for each of 2'),
        ({'official': {'train': np.ones((2, 2), bool)}}, 'train of its rows'),
    ],
)
def test_what_does_not_fit(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(BandMismatchError, match=text):
        make(**changes)


def test_no_labels() -> None:
    with pytest.raises(EmptyDataError, match='both data and a label'):
        make(labels=np.full((4, 5), -1))
    with pytest.raises(EmptyDataError, match='without data'):
        make(valid=np.zeros((4, 5), dtype=bool))
