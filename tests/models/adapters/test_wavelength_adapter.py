# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The adapter that knows wavelengths."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models.spectra import Bands, bands_of, distance, run, see
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models import SpectralAdapter, WavelengthAdapter
from torchgeo_hsi.models.adapters.wavelength_adapter import (
    band_weights,
    fourier_features,
)
from torchgeo_hsi.physics import BandSet, get_sensor


@pytest.fixture
def adapter() -> WavelengthAdapter:
    torch.manual_seed(0)
    return WavelengthAdapter(202).eval()


def widths(low: float, high: float, count: int) -> tuple[Tensor, Tensor]:
    edges = torch.linspace(math.log(low), math.log(high), count + 1, dtype=torch.double)
    return (edges[1:] + edges[:-1]) / 2, edges.diff()


# --- quadrature ---------------------------------------------------------------------


def test_weights_of_gapless_bands_are_their_widths() -> None:
    position, width = widths(0.4, 2.5, 200)
    torch.testing.assert_close(band_weights(position, width), width)


def test_weights_integrate_like_the_trapezoidal_rule() -> None:
    rng = np.random.default_rng(0)
    position = np.sort(rng.uniform(-0.9, 0.9, 60))
    values = np.sin(3 * position)
    weights = band_weights(torch.tensor(position), torch.zeros(60).double()).numpy()
    np.testing.assert_allclose(weights @ values, np.trapezoid(values, position))


def test_weights_follow_the_order() -> None:
    position, width = widths(0.4, 2.5, 50)
    position[20:] -= 0.3
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    expected = band_weights(position, width)[order]
    torch.testing.assert_close(band_weights(position[order], width[order]), expected)


def test_a_band_that_comes_twice_counts_once() -> None:
    position, width = widths(0.4, 2.5, 50)
    once = band_weights(position, width)
    twice = band_weights(
        torch.cat([position, position[7:8]]), torch.cat([width, width[7:8]])
    )
    torch.testing.assert_close(twice[7] + twice[-1], once[7])
    torch.testing.assert_close(twice.sum(), once.sum())


def test_wide_gaps_are_not_filled() -> None:
    position = torch.tensor([0.0, 0.01, 3.0])
    weights = band_weights(position, torch.full((3,), 0.01))
    assert weights[1] == pytest.approx(0.005 + 0.205)
    # alone, a band stands for what it sees
    assert float(band_weights(position[:1], torch.tensor([0.02]))) == pytest.approx(
        0.02
    )


def test_fourier_features_are_averages_over_the_response() -> None:
    centre, width = 0.2, 0.03
    sigma = width / math.sqrt(8 * math.log(2))
    u = torch.linspace(centre - 8 * sigma, centre + 8 * sigma, 4001, dtype=torch.double)
    response = torch.exp(-((u - centre) ** 2) / (2 * sigma**2))
    narrow = fourier_features(u, torch.zeros_like(u))
    expected = (response / response.sum()) @ narrow
    found = fourier_features(
        torch.tensor([centre]).double(), torch.tensor([width]).double()
    )
    torch.testing.assert_close(found[0], expected, rtol=1e-6, atol=1e-6)
    assert narrow.square().mean() == pytest.approx(1, abs=0.15)


# --- bands --------------------------------------------------------------------------


def test_merged_bands(adapter: WavelengthAdapter) -> None:
    fine = BandSet(np.arange(0.42, 2.44, 0.005), np.full(404, 0.006))
    coarse = BandSet(np.arange(0.4225, 2.44, 0.01), np.full(202, 0.011))
    assert distance(run(adapter, fine), run(adapter, coarse)) < 0.02


def test_bands_by_wavelength(adapter: WavelengthAdapter) -> None:
    image = torch.randn(1, 202, 2, 2)
    enmap = get_sensor('enmap').default_bandset
    torch.manual_seed(0)
    other = WavelengthAdapter(wavelength=enmap.wavelength, fwhm=enmap.fwhm)
    torch.testing.assert_close(other(image), adapter(image))
    assert '202 bands, 0.418416 to 2.4453 µm' in repr(adapter)
    assert 'no default bands' in repr(WavelengthAdapter())


@pytest.mark.parametrize(
    ('count', 'known'),
    [(12, True), (234, True), (235, True), (224, False), (100, False)],
)
def test_default_bands_are_not_guessed(count: int, known: bool) -> None:
    adapter, image = WavelengthAdapter(count), torch.randn(1, count, 2, 2)
    if known:
        assert adapter(image).isfinite().all()
    else:
        with pytest.raises(BandMismatchError, match='wavelength= and fwhm='):
            adapter(image)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [7, 7]), UnitError, 'FWHM'),
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [1.5, 1]), UnitError, 'FWHM'),
        (
            lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [0.0, 0.1]),
            UnitError,
            'FWHM',
        ),
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, math.nan]), UnitError, 'nan'),
        (
            lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [0.01]),
            BandMismatchError,
            'Expected 2 FWHMs',
        ),
        (
            lambda m: m(torch.rand(3, 2, 2, 2), torch.rand(2, 2) + 0.4),
            BandMismatchError,
            r'\(3, 2\)',
        ),
        (
            lambda m: m(
                torch.rand(3, 2, 2, 2),
                torch.rand(3, 2) + 1,
                torch.rand(2, 2) * 0.1 + 0.1,
            ),
            BandMismatchError,
            '3 and 2 rows',
        ),
        (lambda m: m(torch.rand(1, 2, 2, 2), 0.5), BandMismatchError, 'shape'),
        (lambda m: WavelengthAdapter(fwhm=[0.01]), BandMismatchError, 'wavelengths'),
        (lambda m: WavelengthAdapter(3, [0.5]), BandMismatchError, '3 wavelengths'),
        (lambda m: WavelengthAdapter(1, [500.0]), UnitError, 'by 1000'),
    ],
)
def test_errors(
    adapter: WavelengthAdapter,
    call: Callable[[WavelengthAdapter], Tensor],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        call(adapter)


# --- size and time ------------------------------------------------------------------


def test_size(adapter: WavelengthAdapter) -> None:
    assert sum(p.numel() for p in adapter.parameters()) == 58_112


def _best(call: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.slow
def test_faster_than_convolutions(adapter: WavelengthAdapter) -> None:
    image = torch.randn(1, 202, 128, 128)
    other = SpectralAdapter(202).eval()
    with torch.no_grad():
        ratio = _best(lambda: other(image)) / _best(lambda: adapter(image))
    assert ratio > 1.5


def test_spectra_are_what_they_should_be() -> None:
    image, axes = see(bands_of('desis'))
    assert image.shape == (1, 235, 20, 20)
    assert float(image.std(dim=(2, 3)).mean()) == pytest.approx(1, abs=0.01)
    bands: Bands = axes
    assert len(bands[0]) == 235
