# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra as series: against numpy's least squares, and on the bands of real sensors."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import BandSet, get_sensor, project
from torchgeo_hsi.physics.series import (
    WATER_BANDS,
    Legendre,
    SpectrumSeries,
    find_windows,
)


def smooth(wavelength: np.ndarray | torch.Tensor) -> torch.Tensor:
    """A spectrum without gas lines: hills of 0.3 micrometres and more."""
    w = torch.tensor(np.asarray(wavelength, dtype=np.float64))
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
        made = SpectrumSeries(wavelength, window, 6, Legendre(), smoothness=0.0)
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
        made = SpectrumSeries(wavelength, bands_per_term=6, smoothness=0.001)
        coefficients = made.fit(torch.from_numpy(np.sin(4 * wavelength)))
        where = np.linspace(0.55, 1.15, 30)
        found, _ = made.evaluate(coefficients, where, derivative=order)
        expected = 4 * np.cos(4 * where) if order == 1 else -16 * np.sin(4 * where)
        np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)

    def test_noise_is_averaged(self, enmap: SpectrumSeries) -> None:
        """Three bands for each term: about a third of the variance stays."""
        bands = get_sensor('enmap').default_bandset
        made = SpectrumSeries(bands.wavelength, None, 3, smoothness=1e-4)
        noise = torch.randn(4000, 202, generator=torch.Generator().manual_seed(0))
        values, inside = made.evaluate(made.fit(noise), bands.wavelength)
        kept = values[:, inside].var() / noise.var()
        assert 0.25 < kept < 0.42


def gaussian_hills(
    wavelength: np.ndarray, fwhm: np.ndarray | float = 0.0
) -> torch.Tensor:
    """Hills of 40 nm, as bands see them: the widths add up in squares."""
    total = np.full(len(wavelength), 0.3)
    for centre, height in ((0.55, 0.1), (0.7, -0.15), (0.86, 0.2), (1.1, -0.1)):
        width = np.sqrt(0.04**2 + np.square(fwhm))
        offset = (wavelength - centre) / width
        total += height * 0.04 / width * np.exp(-4 * np.log(2) * offset**2)
    return torch.tensor(total)


class TestWidths:
    """With FWHMs: the spectrum in front of the sensor."""

    bands = BandSet(np.arange(0.42, 1.25, 0.0065), np.full(128, 0.012))

    def test_spectrum_in_front_of_the_sensor(self) -> None:
        made = SpectrumSeries.of(self.bands, bands_per_term=1.2, smoothness=1e-4)
        seen = gaussian_hills(self.bands.wavelength, 0.012)
        where = np.linspace(0.45, 1.2, 90)
        found, inside = made.evaluate(made.fit(seen), where)
        truth = gaussian_hills(where)
        assert inside.all()
        assert (found - truth).abs().max() < 2e-4
        # which the bands did not see
        blind = SpectrumSeries(self.bands.wavelength, None, 1.2, smoothness=1e-4)
        points, _ = blind.evaluate(blind.fit(seen), where)
        assert (points - truth).abs().max() > 5e-3

    @pytest.mark.parametrize('width', [0.006, 0.012, 0.03])
    def test_bands_of_other_widths(self, width: float) -> None:
        target = BandSet(np.linspace(0.47, 1.18, 50), np.full(50, width))
        made = SpectrumSeries.of(self.bands, bands_per_term=1.2, smoothness=1e-4)
        matrix, inside = made.resampling_matrix(target)
        cube = gaussian_hills(self.bands.wavelength, 0.012)[:, None, None]
        found = project(cube, matrix)[:, 0, 0]
        assert inside.all()
        error = (found - gaussian_hills(target.wavelength, width)).abs().max()
        assert error < 3e-4

    def test_bands_that_look_out_of_a_window(self) -> None:
        made = SpectrumSeries.of(self.bands)
        low = self.bands.wavelength[0]
        _, inside = made.evaluation_matrix([low, low], fwhm=[0.012, 0.2])
        assert inside.tolist() == [True, False]

    def test_own_bands(self) -> None:
        """Bands come back, but for noise."""
        made = SpectrumSeries.of(self.bands)
        matrix, _ = made.resampling_matrix(self.bands)
        seen = gaussian_hills(self.bands.wavelength, 0.012)
        assert (matrix @ seen - seen).abs().max() < 2e-3
        assert float(matrix.square().sum(1).mean()) < 0.6


class TestSmoothness:
    def test_like_the_formula(self) -> None:
        """Least squares with rows for the second derivative, by numpy."""
        wavelength = np.sort(np.random.default_rng(0).uniform(0.5, 1.2, 40))
        spectra = np.random.default_rng(1).normal(size=40)
        made = SpectrumSeries(wavelength, [(0.5, 1.2)], 4, Legendre(), smoothness=0.05)
        terms = made.num_terms
        basis = np.polynomial.legendre.legvander(
            2 * (wavelength - 0.5) / 0.7 - 1, terms - 1
        )
        points, weights = np.polynomial.legendre.leggauss(30)
        second = (
            np.stack(
                [
                    np.polynomial.legendre.legval(
                        points, np.polynomial.legendre.legder(np.eye(terms)[k], 2)
                    )
                    for k in range(terms)
                ],
                axis=1,
            )
            * (2 / 0.7) ** 2
        )
        rows = np.r_[
            basis / np.sqrt(40), second * 0.05**2 * np.sqrt(weights / 2)[:, None]
        ]
        right = np.r_[spectra / np.sqrt(40), np.zeros(30)]
        expected = np.linalg.lstsq(rows, right, rcond=None)[0]
        found = made.fit(torch.tensor(spectra))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)

    def test_gaps_are_bridged(self) -> None:
        """Where a few bands are missing nothing rings."""
        wavelength = np.arange(0.45, 1.3, 0.0065)
        wavelength = np.delete(wavelength, [40, 41, 80, 81])
        made = SpectrumSeries(wavelength, [(0.45, 1.3)])
        values, _ = made.evaluate(
            made.fit(smooth(wavelength)), np.arange(0.45, 1.29, 1e-3)
        )
        truth = smooth(np.arange(0.45, 1.29, 1e-3))
        assert (values - truth).abs().max() < 1e-3

    def test_straight_lines_stay(self, enmap: SpectrumSeries) -> None:
        line = 0.2 + 0.1 * enmap.wavelength
        made = SpectrumSeries.of(get_sensor('enmap').default_bandset, smoothness=0.05)
        values, inside = made.evaluate(made.fit(line), enmap.wavelength)
        torch.testing.assert_close(values[inside], line[inside], atol=1e-7, rtol=0)


def test_what_does_not_count_may_be_anything(enmap: SpectrumSeries) -> None:
    spectra = smooth(enmap.wavelength).repeat(2, 1)
    spectra[0, 7] = torch.nan
    weights = torch.ones_like(spectra)
    weights[0, 7] = 0
    weights[1] = 0
    found = enmap.fit(spectra, weights)
    assert found.isfinite().all()
    assert (found[1] == 0).all()
    # the same for one weight for each band
    torch.testing.assert_close(enmap.fit(spectra[0], weights[0]), found[0])


@pytest.mark.parametrize('dtype', [torch.int16, torch.uint16, torch.float16])
def test_whole_numbers_are_no_matrices(
    enmap: SpectrumSeries, dtype: torch.dtype
) -> None:
    spectra = (1e4 * smooth(enmap.wavelength)).to(dtype)
    found = enmap.fit(spectra)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, enmap.fit(spectra.float()))
    assert found.abs().max() > 1000


def test_errors() -> None:
    with pytest.raises(UnitError, match='micrometres'):
        SpectrumSeries([500.0, 600.0, 700.0])
    with pytest.raises(BandMismatchError, match='two coefficients'):
        SpectrumSeries([0.5, 0.6])
    made = SpectrumSeries(np.linspace(0.5, 1.2, 30))
    with pytest.raises(BandMismatchError, match='Expected 30 bands'):
        made.fit(torch.ones(2, 31))
    with pytest.raises(BandMismatchError, match='30 weights'):
        made.fit_matrix(torch.ones(2))
    with pytest.raises(BandMismatchError, match='fwhm'):
        SpectrumSeries(np.linspace(0.5, 1.2, 30), fwhm=[0.01])
    with pytest.raises(UnitError, match='smoothness'):
        SpectrumSeries(np.linspace(0.5, 1.2, 30), smoothness=-1)
    with pytest.raises(UnitError, match='Divide nanometres'):
        SpectrumSeries(np.linspace(0.5, 1.2, 30), smoothness=4)
    with pytest.raises(ValueError, match='bands_per_term above 0'):
        SpectrumSeries(np.linspace(0.5, 1.2, 30), bands_per_term=0)
    for weights in (-torch.ones(30), torch.full((2, 30), torch.nan)):
        with pytest.raises(ValueError, match='weight 0'):
            made.fit(torch.ones(2, 30), weights)
    with pytest.raises(BandMismatchError, match='weights of shape'):
        made.fit(torch.ones(2, 30), torch.ones(1, 30))
