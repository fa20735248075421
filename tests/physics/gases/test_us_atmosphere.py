# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The standard atmosphere against its published table."""

import numpy as np
import pytest

from torchgeo_hsi.physics.gases import standard_atmosphere


@pytest.mark.parametrize(
    ('height', 'pressure', 'temperature'),
    [
        # U.S. Standard Atmosphere, 1976, table I, geometric heights
        (0, 1013.25, 288.150),
        (1000, 898.76, 281.651),
        (5000, 540.48, 255.676),
        (11_000, 227.00, 216.774),
        (20_000, 55.293, 216.650),
        (30_000, 11.970, 226.509),
        (50_000, 0.79779, 270.650),
        (70_000, 0.052209, 219.585),
        (80_000, 0.010524, 198.639),
    ],
)
def test_table(height: float, pressure: float, temperature: float) -> None:
    found = standard_atmosphere(height)
    assert float(found[0]) == pytest.approx(pressure, rel=2e-4)
    assert float(found[1]) == pytest.approx(temperature, abs=2e-3)


def test_arrays() -> None:
    pressure, temperature = standard_atmosphere(
        np.linspace(0, 86_000, 43).reshape(1, -1)
    )
    assert pressure.shape == temperature.shape == (1, 43)
    assert (np.diff(pressure) < 0).all()


@pytest.mark.parametrize('height', [-1.0, 90_000.0, np.nan])
def test_out_of_range(height: float) -> None:
    with pytest.raises(ValueError, match='heights from 0 to 86000 m'):
        standard_atmosphere(height)
