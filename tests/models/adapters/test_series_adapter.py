# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The adapter that sees spectra as series of fixed windows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from models.spectra import bands_of, distance, see

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models import SeriesAdapter
from torchgeo_hsi.models.adapters import series_adapter as module


@pytest.fixture
def adapter() -> SeriesAdapter:
    torch.manual_seed(0)
    return SeriesAdapter(202).eval()


# --- the fit ------------------------------------------------------------------------


def test_fit_is_penalized_least_squares() -> None:
    """Against numpy: one window, rows for bands, for curvature and for size."""
    centre = np.linspace(0.6, 1.0, 40)
    terms, low, high, margin = 12, 0.5, 1.1, 0.02
    adapter = SeriesAdapter(windows=[(low, high)], terms=[terms], smoothness=0.03)
    found, covered = adapter.fit_matrix(
        torch.tensor(centre), torch.full((40,), 0.01, dtype=torch.double)
    )

    def chebyshev(wavelength: np.ndarray) -> np.ndarray:
        z = 2 * (wavelength - low + margin) / (high - low + 2 * margin) - 1
        return np.polynomial.chebyshev.chebvander(z, terms - 1)

    # the response of a band, sampled finely
    offset = np.linspace(-4, 4, 401)
    weight = np.exp(-0.5 * offset**2)
    weight /= weight.sum()
    sigma = 0.01 / np.sqrt(8 * np.log(2))
    seen = np.stack([weight @ chebyshev(c + sigma * offset) for c in centre])
    # all bands stand for the same stretch but the outermost ones, for half a width there
    step = centre[1] - centre[0]
    stretch = np.full(40, step)
    stretch[[0, -1]] = step / 2 + 0.005
    fine = np.linspace(low - margin, high + margin, 20_001)
    values = chebyshev(fine)
    second = np.gradient(np.gradient(values, fine, axis=0), fine, axis=0)
    trapezoid = np.full(len(fine), 1 / (len(fine) - 1))
    trapezoid[[0, -1]] /= 2
    penalty = 0.03**4 * (second.T * trapezoid) @ second
    penalty += module._RETURN**-4 * (values.T * trapezoid) @ values
    shares = stretch / stretch.sum()
    normal = (seen.T * shares) @ seen + penalty
    expected = np.linalg.solve(normal, seen.T * shares)
    expected *= np.sqrt(1 + np.arange(terms))[:, None]
    np.testing.assert_allclose(found.numpy(), expected, atol=4e-3 * abs(expected).max())
    np.testing.assert_allclose(covered.numpy(), stretch.sum() / (high - low), rtol=1e-3)


def test_smooth_spectra_are_found_whatever_the_bands(adapter: SeriesAdapter) -> None:
    """Coefficients are those of the function itself, computed by interpolation."""

    def spectrum(wavelength: np.ndarray) -> np.ndarray:
        return np.sin(4 * wavelength) + 0.3 * wavelength

    nodes = np.polynomial.chebyshev.chebpts1(200)
    low, high = module.WINDOWS[0][0] - 0.02, module.WINDOWS[0][1] + 0.02
    truth = np.polynomial.chebyshev.chebfit(
        nodes, spectrum(low + (high - low) * (nodes + 1) / 2), 20
    )
    for name in ('aviris', 'emit'):
        bands = bands_of(name)
        assert bands.fwhm is not None
        matrix, _ = adapter.fit_matrix(
            torch.tensor(bands.wavelength), torch.tensor(bands.fwhm)
        )
        found = matrix.numpy() @ spectrum(bands.wavelength)
        found = found[:21] / np.sqrt(1 + np.arange(21))
        np.testing.assert_allclose(found, truth, atol=5e-3)


def test_windows_without_bands(adapter: SeriesAdapter) -> None:
    image, axes = see(bands_of('desis'))
    matrix, covered = adapter.fit_matrix(*axes)
    first = module.TERMS[0]
    assert (matrix[first:] == 0).all()
    assert matrix[:first].abs().sum() > 0
    assert covered[1:].tolist() == [0, 0]
    assert 0.6 < float(covered[0]) < 0.75
    # the learned offset for what is missing
    with torch.no_grad():
        before = adapter(image, *axes)
        adapter.missing.weight.normal_()
        assert distance(before, adapter(image, *axes)) > 0.1
        _, covered = adapter.fit_matrix(*see(bands_of('emit'))[1])
    assert float(covered.min()) > 0.99


@pytest.mark.parametrize('wavelength', [[1.4], [1.38, 1.87, 2.7], [0.3]])
def test_no_band_in_any_window(adapter: SeriesAdapter, wavelength: list[float]) -> None:
    image = torch.randn(1, len(wavelength), 2, 2)
    maps = adapter(image, wavelength)
    assert maps.isfinite().all()
    torch.testing.assert_close(maps, adapter(image * 5, wavelength))


# --- arguments ----------------------------------------------------------------------


def test_size(adapter: SeriesAdapter) -> None:
    count = 128 * (3 + sum(module.TERMS) + 1 + 2 + 128 + 1)
    assert sum(p.numel() for p in adapter.parameters()) == count
    assert '0.41 to 1.29 µm: 64 terms' in repr(adapter)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda: SeriesAdapter(smoothness=0), UnitError, 'above 0'),
        (lambda: SeriesAdapter(terms=[4]), BandMismatchError, '3 windows and 1'),
        (
            lambda: SeriesAdapter(windows=[(400, 900)], terms=[4]),
            UnitError,
            'in micrometres',
        ),
    ],
)
def test_errors(
    call: Callable[[], SeriesAdapter], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_matrices_are_kept(adapter: SeriesAdapter) -> None:
    wavelength = torch.linspace(0.41, 2.41, 77)
    # what was kept in inference mode can be trained with
    with torch.inference_mode():
        expected = adapter(torch.ones(1, 77, 1, 1), wavelength)
    before = module._fit.cache_info()
    found = adapter(torch.ones(1, 77, 1, 1), wavelength.clone())
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert module._fit.cache_info().misses == before.misses
    adapter(torch.ones(1, 77, 1, 1), wavelength + 0.001)
    assert module._fit.cache_info().misses == before.misses + 1
