# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The adapter that knows wavelengths."""

import copy
import math
import pickle
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models.spectra import Bands, bands_of, distance, see
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


def run(adapter: WavelengthAdapter, bands: BandSet) -> Tensor:
    image, axes = see(bands)
    with torch.no_grad():
        return adapter(image, *axes)


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


# --- the same spectrum, sampled in other ways ---------------------------------------


def test_order_of_bands_does_not_matter(adapter: WavelengthAdapter) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    order = torch.randperm(202, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        found = adapter(image[:, order], wavelength[order], fwhm[order])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_detector_order_of_enmap(adapter: WavelengthAdapter) -> None:
    bands = get_sensor('enmap_detector').default_bandset
    assert not bands.is_sorted
    expected = run(adapter, bands_of('enmap'))
    torch.testing.assert_close(run(adapter, bands), expected, rtol=1e-4, atol=1e-5)


def test_merged_bands(adapter: WavelengthAdapter) -> None:
    fine = BandSet(np.arange(0.42, 2.44, 0.005), np.full(404, 0.006))
    coarse = BandSet(np.arange(0.4225, 2.44, 0.01), np.full(202, 0.011))
    assert distance(run(adapter, fine), run(adapter, coarse)) < 0.02


@pytest.mark.parametrize('step', [2, 3])
def test_subsets(adapter: WavelengthAdapter, step: int) -> None:
    whole = bands_of('enmap')
    subset = whole.select(range(0, 202, step))
    assert distance(run(adapter, whole), run(adapter, subset)) < 0.05


@pytest.mark.parametrize(
    ('sensor', 'low', 'high', 'limit'),
    [
        # the range of EnMAP, and what lies outside of it
        ('prisma', 0.41, 2.45, 0.12),
        ('prisma', 0.0, 3.0, 0.15),
        ('emit', 0.41, 2.45, 0.12),
        ('desis', 0.41, 0.99, 0.06),
        ('sentinel2', 0.0, 3.0, 0.45),
    ],
)
def test_other_sensors(
    adapter: WavelengthAdapter, sensor: str, low: float, high: float, limit: float
) -> None:
    reach = 0.99 if sensor == 'desis' else 3.0
    expected = run(adapter, bands_of('enmap', high=reach))
    found = run(adapter, bands_of(sensor, low, high))
    error = distance(expected, found)
    assert error < limit


def test_other_wavelengths_are_other_features(adapter: WavelengthAdapter) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        assert distance(expected, adapter(image, wavelength * 1.1, fwhm)) > 0.1


def test_maps_differ(adapter: WavelengthAdapter) -> None:
    maps = run(adapter, bands_of('enmap'))[0].flatten(1)
    values = torch.linalg.eigvalsh(torch.cov(maps.double())).clamp(min=0)
    share = values / values.sum()
    # effective rank: 1 if all maps were alike
    rank = float(torch.exp(-(share * (share + 1e-12).log()).sum()))
    assert rank > 4
    assert 0.3 < float(maps.std()) < 3


def test_pixels_are_not_mixed(adapter: WavelengthAdapter) -> None:
    image = torch.randn(2, 202, 6, 5)
    with torch.no_grad():
        expected = adapter(image)
        torch.testing.assert_close(
            adapter(image[:1, :, 2:3, 4:]), expected[:1, :, 2:3, 4:]
        )
    assert expected.shape == (2, 128, 6, 5)


# --- bands --------------------------------------------------------------------------


def test_bands_of_each_image(adapter: WavelengthAdapter) -> None:
    image = torch.randn(3, 50, 4, 4)
    wavelength = torch.rand(3, 50) + torch.tensor([[0.4], [0.9], [1.4]])
    fwhm = 0.005 + 0.01 * torch.rand(3, 50)
    with torch.no_grad():
        found = adapter(image, wavelength, fwhm)
        rows = zip(image, wavelength, fwhm, strict=True)
        expected = torch.cat([adapter(x[None], w, f) for x, w, f in rows])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        # widths may be the same for all of them
        torch.testing.assert_close(
            adapter(image, wavelength, fwhm[0])[:1], expected[:1], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize('count', [1, 3, 300])
def test_any_number_of_bands(adapter: WavelengthAdapter, count: int) -> None:
    image = torch.randn(1, count, 3, 3)
    maps = adapter(image, torch.linspace(0.4, 2.4, count))
    assert maps.shape == (1, 128, 3, 3)
    assert maps.isfinite().all()


def test_default_bands() -> None:
    image = torch.randn(1, 202, 2, 2)
    torch.manual_seed(0)
    adapter = WavelengthAdapter(202)
    enmap = get_sensor('enmap').default_bandset
    expected = adapter(image, enmap.wavelength, enmap.fwhm)
    torch.testing.assert_close(adapter(image), expected)
    torch.manual_seed(0)
    other = WavelengthAdapter(wavelength=enmap.wavelength, fwhm=enmap.fwhm)
    torch.testing.assert_close(other(image), expected)
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
        (lambda m: m(torch.rand(1, 3, 2, 2), [480.0, 560, 660]), UnitError, 'by 1000'),
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [7, 7]), UnitError, 'FWHM'),
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [1.5, 1]), UnitError, 'FWHM'),
        (
            lambda m: m(torch.rand(1, 2, 2, 2), [0.5, 0.6], [0.0, 0.1]),
            UnitError,
            'FWHM',
        ),
        (lambda m: m(torch.rand(1, 2, 2, 2), [0.5, math.nan]), UnitError, 'nan'),
        (lambda m: m(torch.rand(1, 3, 2, 2), [0.5, 0.6]), BandMismatchError, '3 bands'),
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
        (lambda m: m(torch.rand(1, 3, 2, 2)), BandMismatchError, 'built for 202 bands'),
        (lambda m: m(torch.rand(202, 2, 2)), BandMismatchError, 'height, width'),
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


# --- a module like others -----------------------------------------------------------


def test_weights_fit_any_number_of_bands(adapter: WavelengthAdapter) -> None:
    other = WavelengthAdapter(wavelength=np.linspace(0.5, 0.9, 30))
    other.load_state_dict(adapter.state_dict())
    image, axes = torch.randn(1, 4, 2, 2), torch.tensor([0.5, 0.6, 0.7, 0.8])
    torch.testing.assert_close(other(image, axes), adapter(image, axes))
    assert not any('default' in key for key in adapter.state_dict())
    assert sum(p.numel() for p in adapter.parameters()) == 58_112


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_casting_keeps_wavelengths(
    adapter: WavelengthAdapter, dtype: torch.dtype
) -> None:
    image = torch.randn(2, 202, 4, 4)
    with torch.no_grad():
        expected = adapter(image)
        cast = copy.deepcopy(adapter).to(dtype)
        found = cast(image.to(dtype))
    assert found.dtype == dtype
    error = float((found.double() - expected.double()).norm() / expected.norm())
    assert error < (1e-5 if dtype == torch.float64 else 2e-2)


def test_autocast(adapter: WavelengthAdapter) -> None:
    image = torch.randn(2, 202, 4, 4)
    expected = adapter(image).detach()
    with torch.autocast('cpu', torch.bfloat16):
        found = adapter(image)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    error = (found.detach() - expected).norm() / expected.norm()
    assert float(error) < 2e-2


def test_gradients() -> None:
    torch.manual_seed(0)
    adapter = WavelengthAdapter(wavelength=[0.5, 0.7, 1.2], hidden=4).double()
    image = torch.randn(2, 3, 2, 1, dtype=torch.double, requires_grad=True)
    names = ['series.weight', 'generator.0.weight', 'bias', 'norm.weight', 'mix.weight']
    known = dict(adapter.named_parameters())

    def call(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        found = torch.func.functional_call(adapter, given, (x,))
        return found

    inputs = (image, *(known[name] for name in names))
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    adapter(image).sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())


def test_copies(adapter: WavelengthAdapter) -> None:
    image = torch.randn(1, 202, 2, 2)
    for other in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        torch.testing.assert_close(other(image), adapter(image))


def test_no_batch_statistics(adapter: WavelengthAdapter) -> None:
    image = torch.randn(3, 202, 2, 2)
    expected = adapter.eval()(image)
    torch.testing.assert_close(adapter.train()(image[:1]), expected[:1])


def test_meta_device() -> None:
    with torch.device('meta'):
        adapter = WavelengthAdapter(202)
        assert adapter(torch.rand(1, 202, 4, 4)).shape == (1, 128, 4, 4)


def test_compiles_without_a_break(adapter: WavelengthAdapter) -> None:
    compiled = torch.compile(adapter, backend='eager', fullgraph=True)
    image, wavelength = torch.randn(2, 5, 3, 3), torch.linspace(0.5, 1, 5)
    torch.testing.assert_close(compiled(image, wavelength), adapter(image, wavelength))
    image = torch.randn(2, 202, 3, 3)
    torch.testing.assert_close(compiled(image), adapter(image))


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
