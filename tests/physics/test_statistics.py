# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Published statistics of bands."""

from importlib.resources import files

import numpy as np
import pytest

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.statistics import band_statistics, list_band_statistics


def test_spectral_earth() -> None:
    table = band_statistics('enmap_spectral_earth')
    assert table.names == get_sensor('enmap').default_bands
    # as published: 202 values each, see the header of the table
    for values, low, high, mean in (
        (table.mean, 813.04, 3217.19, 2066.87),
        (table.std, 1096.36, 1718.47, 1436.91),
    ):
        assert values.dtype == np.float32
        assert values.min() == pytest.approx(low, abs=0.01)
        assert values.max() == pytest.approx(high, abs=0.01)
        assert values.mean() == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize('name', list_band_statistics())
def test_every_table_is_sound(name: str) -> None:
    table = band_statistics(name)
    assert len(set(table.names)) == len(table.names) == len(table.mean) > 1
    assert np.isfinite(table.mean).all()
    assert (table.std > 0).all()
    text = (files('torchgeo_hsi.physics.statistics') / f'{name}.csv').read_text('utf-8')
    assert text.startswith('#'), 'a table says where its numbers come from'
    assert '://' in text or 'github.com' in text


def test_selection_keeps_the_order_asked_for() -> None:
    whole = band_statistics('enmap_spectral_earth')
    part = band_statistics('enmap_spectral_earth', ['B44', 'B1'])
    assert part.names == ('B44', 'B1')
    assert part.mean[1] == whole.mean[0]
    assert part.std[0] == whole.std[whole.names.index('B44')]
    assert band_statistics('enmap_spectral_earth', []).mean.shape == (0,)


def test_tables_cannot_be_changed_by_a_caller() -> None:
    band_statistics('enmap_spectral_earth').mean[:] = 0
    assert band_statistics('enmap_spectral_earth').mean.min() > 800


def test_unknown_names() -> None:
    with pytest.raises(BandMismatchError, match='no band B130, X'):
        band_statistics('enmap_spectral_earth', ['B1', 'B130', 'X'])
    with pytest.raises(UnknownNameError, match='enmap_spectral_earth'):
        band_statistics('enmap')
