# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options of SpectralEarth's downstream data modules."""

from pathlib import Path
from typing import Any

import pytest
from datamodules.spectral_earth_downstream.parts import every, make

from torchgeo_hsi import datamodules
from torchgeo_hsi.datamodules import (
    SpectralEarthCDLDataModule,
    SpectralEarthCORINEDataModule,
)
from torchgeo_hsi.errors import UnknownNameError


@every
def test_defaults_are_those_of_the_authors(row: Any) -> None:
    name, _, batch_size, scale, classes, _ = row
    module = getattr(datamodules, name)()
    assert module.batch_size == module.official_batch_size == batch_size
    assert module.crop_scale == module.official_crop_scale == (scale, 1.0)
    assert module.image_size == 128
    assert module.split_by == 'official'
    assert module.fraction == 1
    assert len(module.class_names) == len(set(module.class_names)) == classes
    assert len(module.class_colors) == classes
    assert module.ignore_index == (None if 'CORINE' in name else classes)


@every
def test_own_values_win(row: Any) -> None:
    module = getattr(datamodules, row[0])(batch_size=3, crop_scale=(0.5, 0.7))
    assert (module.batch_size, module.crop_scale) == (3, (0.5, 0.7))


def test_corine_43() -> None:
    module = SpectralEarthCORINEDataModule(num_classes=43)
    assert len(module.class_names) == len(module.class_colors) == 43
    # the class itself still has nineteen
    assert len(SpectralEarthCORINEDataModule.class_names) == 19


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'batch_size': 0}, 'positive batch_size, got 0'),
        ({'batch_size': -1}, 'positive batch_size, got -1'),
        ({'image_size': 0}, 'positive size'),
        ({'crop_scale': (0.9, 0.4)}, 'scale'),
        ({'crop_scale': (0.0, 1.0)}, 'scale'),
    ],
)
def test_bad_sizes(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SpectralEarthCDLDataModule(**options)


@pytest.mark.parametrize(
    'options', [{'split_by': 'tile'}, {'fraction': 0.0}, {'fraction': 1.5}]
)
def test_bad_options(options: dict[str, Any], root: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make('SpectralEarthCDLDataModule', root, **options).setup('fit')


def test_bad_number_of_classes(root: Path) -> None:
    with pytest.raises((ValueError, UnknownNameError)):
        make('SpectralEarthCORINEDataModule', root, num_classes=44)


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='download'):
        make('SpectralEarthCDLDataModule', tmp_path).setup('fit')
