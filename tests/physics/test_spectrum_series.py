# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra as series: against numpy's least squares, and on the bands of real sensors."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.series import (
    WATER_BANDS,
    Legendre,
    SpectrumSeries,
    find_windows,
)


def smooth(wavelength: np.ndarray | torch.Tensor) -> torch.Tensor:
    """A spectrum without gas lines: hills of 0.3 micrometres and more."""
    w = torch.as_tensor(np.asarray(wavelength, dtype=np.float64))
    return 0.3 + 0.2 * torch.sin(3 * w) + 0.1 * torch.exp(-(((w - 0.75) / 0.2) ** 2))


@pytest.fixture(scope='module')
def enmap() -> SpectrumSeries:
    return SpectrumSeries.of(get_sensor('enmap').default_bandset)


class TestWindows:
    def test_of_enmap(self, enmap: SpectrumSeries) -> None:
        assert len(enmap.windows) == 3
        for (_, high), (low, _) in zip(enmap.windows, enmap.windows[1:], strict=False):
            assert any(high <= a and b <= low for a, b in WATER_BANDS)

    def test_gaps(self) -> None:
        wavelength = np.r_[np.arange(0.5, 0.7, 0.01), np.arange(0.9, 1.2, 0.01)]
        found = find_windows(wavelength)
        np.testing.assert_allclose(found, [(0.5, 0.69), (0.9, 1.19)])
        # no order is asked for, and twice the same band is one
        again = find_windows(np.r_[wavelength[::-1], 0.5])
        np.testing.assert_allclose(again, found)

    def test_nothing_but_water(self) -> None:
        assert find_windows([1.36, 1.40]) == []


class TestFit:
    def test_like_least_squares(self) -> None:
        rng = np.random.default_rng(0)
        wavelength = np.sort(rng.uniform(0.5, 1.2, 60))
        spectra = rng.normal(size=(4, 60))
        weights = rng.uniform(0.1, 1, 60)
        window = [(0.5, 1.2)]
        made = SpectrumSeries(wavelength, window, 6, Legendre(), ridge=0.0)
        x = 2 * (wavelength - 0.5) / 0.7 - 1
        basis = np.polynomial.legendre.legvander(x, made.num_terms - 1)
        root = np.sqrt(weights)
        expected = np.linalg.lstsq(
            basis * root[:, None], (spectra * root).T, rcond=None
        )
        found = made.fit(torch.from_numpy(spectra), torch.from_numpy(weights))
        np.testing.assert_allclose(found.numpy(), expected[0].T, atol=1e-8)

    def test_weights_of_each_spectrum(self, enmap: SpectrumSeries) -> None:
        spectra = torch.rand(3, 202, dtype=torch.float64)
        weights = torch.rand(3, 202, dtype=torch.float64)
        found = enmap.fit(spectra, weights)
        one_by_one = [enmap.fit(s, w) for s, w in zip(spectra, weights, strict=True)]
        torch.testing.assert_close(found, torch.stack(one_by_one), atol=1e-9, rtol=0)

    def test_bands_without_data_do_not_count(self, enmap: SpectrumSeries) -> None:
        spectra = smooth(enmap.wavelength)[None].repeat(2, 1)
        weights = torch.ones_like(spectra)
        spectra[1, 10:14] = 1e4
        weights[1, 10:14] = 0
        found = enmap.fit(spectra, weights)
        values, inside = enmap.evaluate(found, enmap.wavelength)
        torch.testing.assert_close(
            values[1, inside], values[0, inside], atol=1e-5, rtol=0
        )

    def test_any_axis(self, enmap: SpectrumSeries) -> None:
        cube = torch.rand(2, 202, 4, 5)
        found = enmap.fit(cube, dim=1)
        assert found.shape == (2, enmap.num_terms, 4, 5)
        expected = enmap.fit(cube.movedim(1, -1)).movedim(-1, 1)
        torch.testing.assert_close(found, expected)
        values, _ = enmap.evaluate(found, [0.6, 0.9], dim=1)
        assert values.shape == (2, 2, 4, 5)

    def test_order_of_bands_does_not_matter(self) -> None:
        wavelength = np.linspace(0.5, 1.2, 50)
        order = np.random.default_rng(1).permutation(50)
        a = SpectrumSeries(wavelength).fit(smooth(wavelength))
        b = SpectrumSeries(wavelength[order]).fit(smooth(wavelength)[order])
        torch.testing.assert_close(a, b, atol=1e-9, rtol=0)


class TestEvaluate:
    def test_other_sensor(self, enmap: SpectrumSeries) -> None:
        """From the bands of EnMAP to those of PRISMA, where both see the ground."""
        prisma = np.asarray(get_sensor('prisma').default_bandset.wavelength)
        found, inside = enmap.evaluate(enmap.fit(smooth(enmap.wavelength)), prisma)
        # the others lie at water vapour, or beyond the bands of EnMAP
        assert inside.float().mean() > 0.7
        error = (found - smooth(prisma))[inside].abs().max()
        assert error < 1e-4
        assert (found[~inside] == 0).all()

    @pytest.mark.parametrize('order', [1, 2])
    def test_derivative(self, order: int) -> None:
        wavelength = np.linspace(0.5, 1.2, 120)
        made = SpectrumSeries(wavelength, bands_per_term=6)
        coefficients = made.fit(torch.from_numpy(np.sin(4 * wavelength)))
        where = np.linspace(0.55, 1.15, 30)
        found, _ = made.evaluate(coefficients, where, derivative=order)
        expected = 4 * np.cos(4 * where) if order == 1 else -16 * np.sin(4 * where)
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)

    def test_noise_is_averaged(self, enmap: SpectrumSeries) -> None:
        """Three bands for each term: about a third of the variance stays."""
        noise = torch.randn(4000, 202, dtype=torch.float64)
        values, inside = enmap.evaluate(enmap.fit(noise), enmap.wavelength)
        kept = values[:, inside].var() / noise.var()
        assert 0.25 < kept < 0.42


def test_errors() -> None:
    with pytest.raises(UnitError, match='micrometres'):
        SpectrumSeries([500.0, 600.0, 700.0])
    with pytest.raises(BandMismatchError, match='two coefficients'):
        SpectrumSeries([0.5, 0.6, 0.7])
    made = SpectrumSeries(np.linspace(0.5, 1.2, 30))
    with pytest.raises(BandMismatchError, match='Expected 30 bands'):
        made.fit(torch.ones(2, 31))
    with pytest.raises(BandMismatchError, match='weights of shape'):
        made.fit(torch.ones(2, 30), torch.ones(1, 30))
