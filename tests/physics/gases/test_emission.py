# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of plumes and emission rates, against plumes with a known source."""

import math

import numpy as np
import pytest

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.physics.gases import get_gas
from torchgeo_hsi.physics.gases.emission import (
    effective_wind,
    emission_rate,
    plume_mask,
)

METHANE = get_gas('methane')
SIZE = 30.0


def gaussian_plume(rate: float, wind: float, shape: tuple[int, int]) -> np.ndarray:
    """Return the column in ppm m of a steady plume from column 10, by conservation.

    Each section across the wind holds rate / wind kilograms per metre.
    """
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    x = (cols - 9.5) * SIZE
    y = (rows - shape[0] // 2) * SIZE
    spread = 0.08 * np.maximum(x, SIZE) + 20
    line = np.exp(-((y / spread) ** 2) / 2) / (math.sqrt(2 * math.pi) * spread)
    mass = np.where(x > 0, rate / 3600 / wind * line, 0)
    return mass / METHANE.to_mass(1.0)


def test_plume_is_outlined() -> None:
    rng = np.random.default_rng(0)
    truth = gaussian_plume(8000, 3, (60, 80))
    error = np.full(truth.shape, 150.0)
    noisy = truth + error * rng.standard_normal(truth.shape)
    noisy[:4] = np.nan
    found = plume_mask(noisy, error, source=(30, 11))
    assert found.dtype == bool
    assert found.sum() > 40
    assert truth[found].mean() > 4 * truth[~found].mean()
    assert not found[:4].any()
    assert not plume_mask(noisy, error, source=(8, 70)).any()
    np.testing.assert_array_equal(plume_mask(noisy, error), found)
    # noise alone has no such area
    assert not plume_mask(noisy - truth, error).any()
    assert not plume_mask(np.full((9, 9), np.nan), np.ones((9, 9))).any()


def test_mass_and_rate_are_the_formula() -> None:
    column = np.zeros((10, 12))
    column[2:5, 3:9] = 1200
    column[2, 3] = np.nan
    error = np.full(column.shape, 100.0)
    mask = np.zeros(column.shape, bool)
    mask[2:5, 3:9] = True
    found = emission_rate(
        column, mask, METHANE, pixel_size=SIZE, wind=2, wind_error=0.6, error=error
    )
    # molar volume of an ideal gas at 15 degrees C
    moles = 17 * 900 * 1200e-6 * 101325 / (8.314462618 * 288.15)
    assert found.mass == pytest.approx(0.01604 * moles, rel=1e-3)
    assert found.area == 17 * 900
    assert found.length == pytest.approx(math.sqrt(17) * 30)
    assert found.rate == pytest.approx(3600 * 2 * found.mass / found.length)
    assert found.mass_error / found.mass == pytest.approx(100 / 1200 / math.sqrt(17))
    relative = math.hypot(0.3, found.mass_error / found.mass)
    assert found.rate_error / found.rate == pytest.approx(relative)
    plain = emission_rate(column, mask, METHANE, pixel_size=SIZE, wind=2)
    assert plain.mass_error == 0
    assert plain.rate_error == pytest.approx(plain.rate / 2)
    # a heavier gas
    heavy = emission_rate(
        column, mask, get_gas('carbon_dioxide'), pixel_size=SIZE, wind=2
    )
    assert heavy.mass / plain.mass == pytest.approx(44.01 / 16.04, rel=1e-3)


def test_mass_is_that_of_the_source() -> None:
    rate, wind = 5000.0, 4.0
    column = gaussian_plume(rate, wind, (100, 60))
    found = emission_rate(
        column, np.ones(column.shape), METHANE, pixel_size=SIZE, wind=wind
    )
    # 50 columns downwind of the source
    assert found.mass == pytest.approx(rate / 3600 * 50 * SIZE / wind, rel=0.02)


def test_effective_wind() -> None:
    assert effective_wind(5) == pytest.approx(2.14)
    for wind in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match='positive wind'):
            effective_wind(wind)


def test_what_cannot_be() -> None:
    column = np.zeros((5, 6))
    words = {'pixel_size': 30.0, 'wind': 2.0}
    with pytest.raises(EmptyDataError, match='no pixel'):
        emission_rate(column, column > 1, METHANE, **words)
    with pytest.raises(ValueError, match=r'mask of shape \(5, 6\)'):
        emission_rate(column, column[:2], METHANE, **words)
    with pytest.raises(ValueError, match=r'error of shape \(5, 6\), got \(2, 6\)'):
        emission_rate(column, column == 0, METHANE, **words, error=column[:2])
    with pytest.raises(ValueError, match='wind_error of 0 or more'):
        emission_rate(column, column == 0, METHANE, **words, wind_error=-1)
    with pytest.raises(ValueError, match='positive pixel_size'):
        emission_rate(column, column == 0, METHANE, pixel_size=-30, wind=2)
    with pytest.raises(ValueError, match='positive wind'):
        emission_rate(column, column == 0, METHANE, pixel_size=30, wind=0)
    with pytest.raises(ValueError, match='same rows and columns'):
        plume_mask(column, column[:3])
    with pytest.raises(ValueError, match='got row 7, column 0'):
        plume_mask(column, column, source=(7, 0))
