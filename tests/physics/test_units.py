# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Units of wavelength."""

import numpy as np
import pytest

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import (
    check_fwhm,
    check_micrometres,
    format_micrometres,
    format_nm,
    to_micrometres,
)


@pytest.mark.parametrize(
    ('value', 'unit'),
    [
        (0.55, 'µm'),
        (0.55, 'μm'),
        (0.55, 'um'),
        (0.55, 'Micrometers'),
        (0.55, ' microns '),
        (550, 'nm'),
        (550, 'Nanometers'),
        (550, 'NANOMETRES'),
        (5500, 'Angstroms'),
        (5500, 'Å'),
        (5.5e-7, 'm'),
        (5.5e-7, 'metres'),
    ],
)
def test_known_units(value: float, unit: str) -> None:
    assert to_micrometres(value, unit) == pytest.approx(0.55, abs=1e-15)


def test_decimals_stay_what_they_are() -> None:
    # neither a product nor a quotient gets all of them right
    assert 555.873 * 1e-3 != 0.555873
    assert 423.874 / 1000 != 0.423874
    nanometres = [555.873, 423.874, 2445.53]
    assert to_micrometres(nanometres, 'nm').tolist() == [0.555873, 0.423874, 2.44553]


@pytest.mark.parametrize('unit', ['', 'Unknown', 'Wavenumber', 'GHz', 'Index', 'cm-1'])
def test_other_units_are_not_guessed(unit: str) -> None:
    with pytest.raises(UnitError, match='unit of the file'):
        to_micrometres([1.0], unit)


def test_check_returns_float64() -> None:
    values = check_micrometres(np.array([0.4, 2.5], dtype=np.float32), 2)
    assert values.dtype == np.float64
    assert values.shape == (2,)
    assert check_micrometres(0.5).shape == (1,)


@pytest.mark.parametrize('values', [[400, 2500], [0.4, 2500], [31.0]])
def test_nanometres_are_refused(values: list[float]) -> None:
    with pytest.raises(UnitError, match=r'look like nanometres.*to_micrometres'):
        check_micrometres(values)


def test_metres_are_refused() -> None:
    with pytest.raises(UnitError, match='Check the unit'):
        check_micrometres([4e-7, 2.5e-6])


@pytest.mark.parametrize('value', [np.nan, np.inf, 0.0, -0.5])
def test_impossible_values(value: float) -> None:
    with pytest.raises(UnitError, match='finite positive'):
        check_micrometres([0.5, value])
    with pytest.raises(UnitError, match='finite positive'):
        check_fwhm([0.01, value])


def test_fwhm_in_nanometres() -> None:
    with pytest.raises(UnitError, match=r'got 6\.5.*nanometres'):
        check_fwhm([6.5, 1.0])


@pytest.mark.parametrize('check', [check_micrometres, check_fwhm])
def test_lengths(check: object) -> None:
    assert callable(check)
    assert len(check([0.5, 0.6])) == 2
    with pytest.raises(BandMismatchError, match='Expected 3 values'):
        check([0.5, 0.6], 3)
    with pytest.raises(BandMismatchError, match='Expected a vector'):
        check([[0.5, 0.6]])


def test_format() -> None:
    assert format_micrometres(0.6413) == '0.641 µm'
    assert format_micrometres([0.6413, 2.2]) == '0.641/2.200 µm'
    assert format_nm(0.6413) == '641 nm'
    assert format_nm([0.6413, 0.5559, 0.4684]) == '641/556/468 nm'
