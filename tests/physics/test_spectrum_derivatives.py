# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Derivatives of spectra: against functions whose derivatives are known."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics import BandSet, get_sensor
from torchgeo_hsi.physics.series import (
    derivative_matrix,
    derivative_spectra,
    red_edge_position,
)

GRID = BandSet(np.arange(0.42, 1.25, 0.0065))
EDGE, SLOPE = 0.7173, 0.011


def leaf(wavelength: NDArray[np.float64], edge: float = EDGE) -> NDArray[np.float64]:
    return 0.04 + 0.42 / (1 + np.exp(-(wavelength - edge) / SLOPE))


@pytest.mark.parametrize(('order', 'limit'), [(1, 0.002), (2, 0.03)])
def test_known_function(order: int, limit: float) -> None:
    spectrum = torch.tensor(np.sin(6 * GRID.wavelength))[:, None, None]
    found, inside = derivative_spectra(spectrum, GRID, order, smoothness=0.001)
    wave = (np.cos, lambda x: -np.sin(x))[order - 1](6 * GRID.wavelength)
    truth = torch.tensor(6**order * wave)
    assert inside.all()
    # the ends are straight, so the second derivative is 0 there
    error = (found[:, 0, 0] - truth).abs()[6:-6].max() / 6**order
    assert error < limit


def test_smoothed_spectrum() -> None:
    spectrum = torch.tensor(leaf(GRID.wavelength))
    found, _ = derivative_spectra(spectrum, GRID, 0, dim=0, smoothness=0.001)
    torch.testing.assert_close(found, spectrum, atol=3e-4, rtol=0)


def test_bands_in_water_vapour() -> None:
    bands = get_sensor('emit').default_bandset
    cube = torch.rand(2, len(bands), 3, 4)
    found, inside = derivative_spectra(cube, bands)
    assert found.shape == cube.shape
    hidden = (bands.wavelength > 1.36) & (bands.wavelength < 1.44)
    assert not inside[torch.tensor(hidden)].any()
    assert (found[:, ~inside] == 0).all()
    matrix, again = derivative_matrix(bands)
    assert torch.equal(inside, again)
    expected = torch.einsum('mc,bchw->bmhw', matrix.float(), cube)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_less_noise_than_differences() -> None:
    """And less error than a filter of Savitzky and Golay with the same noise."""
    rng = np.random.default_rng(0)
    wavelength = GRID.wavelength
    noisy = leaf(wavelength) + 0.003 * rng.normal(size=(400, len(wavelength)))
    share = np.exp(-(wavelength - EDGE) / SLOPE)
    truth = 0.42 / SLOPE * share / (1 + share) ** 2
    step = wavelength[1] - wavelength[0]

    def rmse(found: NDArray[np.float64]) -> float:
        return float(np.sqrt(((found - truth)[:, 5:-5] ** 2).mean()))

    found, _ = derivative_spectra(torch.tensor(noisy), GRID, dim=1, smoothness=0.006)
    differences = rmse(np.gradient(noisy, wavelength, axis=1))
    filters = [savgol_filter(noisy, n, 2, 1, step) for n in (3, 5, 7, 9, 11)]
    assert rmse(found.numpy()) < 0.6 * differences
    assert rmse(found.numpy()) < 1.1 * min(rmse(f) for f in filters)


def test_weights() -> None:
    spectrum = torch.tensor(leaf(GRID.wavelength))
    broken = spectrum.clone()
    broken[30] = 5
    weights = torch.ones(len(GRID))
    weights[30] = 0
    found, _ = derivative_spectra(broken, GRID, 1, weights, dim=0)
    expected, _ = derivative_spectra(spectrum, GRID, dim=0)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


class TestRedEdge:
    @pytest.mark.parametrize('edge', [0.700, 0.7121, 0.7268])
    def test_known_edge(self, edge: float) -> None:
        spectra = torch.tensor(leaf(GRID.wavelength, edge)).float()
        found = red_edge_position(spectra[:, None, None].expand(-1, 2, 3), GRID)
        assert found.shape == (2, 3)
        assert found.dtype == torch.float32
        # steps of the bands are 6.5 nm
        assert (found - edge).abs().max() < 1e-4

    def test_nan(self) -> None:
        spectra = torch.tensor(leaf(GRID.wavelength)).repeat(2, 1)
        spectra[0] = torch.nan
        found = red_edge_position(spectra, GRID, dim=1)
        assert found.isnan().tolist() == [True, False]

    def test_no_bands_there(self) -> None:
        bands = GRID.between(0.72, 1.2)
        with pytest.raises(BandMismatchError, match='without a gap'):
            red_edge_position(torch.rand(len(bands)), bands, dim=0)


def test_bands_without_data() -> None:
    spectrum = torch.tensor(np.sin(6 * GRID.wavelength))
    weights = torch.ones(len(GRID))
    weights[[3, 60]] = 0
    gaps = spectrum.masked_fill(weights == 0, torch.nan)
    found, _ = derivative_spectra(gaps, GRID, weights=weights, dim=0)
    expected, _ = derivative_spectra(spectrum, GRID, dim=0)
    assert (found - expected)[8:].abs().max() < 0.05


def test_errors() -> None:
    with pytest.raises(ValueError, match='low below high'):
        red_edge_position(torch.rand(len(GRID)), GRID, 0.75, 0.68, dim=0)
    with pytest.raises(BandMismatchError, match='dimension -3'):
        derivative_spectra(torch.rand(5, 2, 2), GRID)
    with pytest.raises(ValueError, match='order 0 or more'):
        derivative_spectra(torch.rand(len(GRID), 2, 2), GRID, -1)
