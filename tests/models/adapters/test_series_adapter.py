# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The adapter that sees spectra as series of fixed windows."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models.spectra import bands_of, distance, see
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models import SeriesAdapter
from torchgeo_hsi.models.adapters import series_adapter as module
from torchgeo_hsi.physics import BandSet, get_sensor

TERMS = sum(module.TERMS)


@pytest.fixture
def adapter() -> SeriesAdapter:
    torch.manual_seed(0)
    return SeriesAdapter(202).eval()


def run(adapter: SeriesAdapter, bands: BandSet) -> Tensor:
    image, axes = see(bands)
    with torch.no_grad():
        return adapter(image, *axes)


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


# --- the same spectrum, sampled in other ways ---------------------------------------


def test_order_of_bands_does_not_matter(adapter: SeriesAdapter) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    order = torch.randperm(202, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        found = adapter(image[:, order], wavelength[order], fwhm[order])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    other = run(adapter, get_sensor('enmap_detector').default_bandset)
    torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('step', 'limit'), [(2, 0.05), (3, 0.08)])
def test_subsets(adapter: SeriesAdapter, step: int, limit: float) -> None:
    whole = bands_of('enmap')
    subset = whole.select(range(0, 202, step))
    assert distance(run(adapter, whole), run(adapter, subset)) < limit


@pytest.mark.parametrize(
    ('sensor', 'limit'),
    [('prisma', 0.17), ('emit', 0.14), ('desis', 0.08), ('sentinel2', 0.7)],
)
def test_other_sensors(adapter: SeriesAdapter, sensor: str, limit: float) -> None:
    reach = 0.99 if sensor == 'desis' else 3.0
    expected = run(adapter, bands_of('enmap', high=reach))
    assert distance(expected, run(adapter, bands_of(sensor))) < limit


def test_other_wavelengths_are_other_features(adapter: SeriesAdapter) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        assert distance(expected, adapter(image, wavelength * 1.1, fwhm)) > 0.1


def test_maps_differ(adapter: SeriesAdapter) -> None:
    maps = run(adapter, bands_of('enmap'))[0].flatten(1)
    values = torch.linalg.eigvalsh(torch.cov(maps.double())).clamp(min=0)
    share = values / values.sum()
    # effective rank: 1 if all maps were alike
    assert float(torch.exp(-(share * (share + 1e-12).log()).sum())) > 4
    assert 0.3 < float(maps.std()) < 3


# --- bands --------------------------------------------------------------------------


def test_bands_of_each_image(adapter: SeriesAdapter) -> None:
    image = torch.randn(3, 50, 4, 4)
    wavelength = torch.rand(3, 50) + torch.tensor([[0.4], [0.9], [1.4]])
    fwhm = 0.005 + 0.01 * torch.rand(3, 50)
    with torch.no_grad():
        found = adapter(image, wavelength, fwhm)
        rows = zip(image, wavelength, fwhm, strict=True)
        expected = torch.cat([adapter(x[None], w, f) for x, w, f in rows])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('count', [1, 3, 300])
def test_any_number_of_bands(adapter: SeriesAdapter, count: int) -> None:
    maps = adapter(torch.randn(1, count, 3, 3), torch.linspace(0.4, 2.4, count))
    assert maps.shape == (1, 128, 3, 3)
    assert maps.isfinite().all()


def test_default_bands(adapter: SeriesAdapter) -> None:
    image = torch.randn(1, 202, 2, 2)
    enmap = get_sensor('enmap').default_bandset
    expected = adapter(image, enmap.wavelength, enmap.fwhm)
    torch.testing.assert_close(adapter(image), expected)
    assert '0.41 to 1.29 µm: 64 terms' in repr(adapter)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda m: m(torch.rand(1, 3, 2, 2), [480.0, 560, 660]), UnitError, 'by 1000'),
        (lambda m: m(torch.rand(1, 3, 2, 2), [0.5, 0.6]), BandMismatchError, '3 bands'),
        (lambda m: m(torch.rand(1, 3, 2, 2)), BandMismatchError, 'built for 202 bands'),
        (lambda m: m(torch.rand(202, 2, 2)), BandMismatchError, 'height, width'),
        (lambda m: SeriesAdapter(smoothness=0), UnitError, 'above 0'),
        (lambda m: SeriesAdapter(terms=[4]), BandMismatchError, '3 windows and 1'),
        (
            lambda m: SeriesAdapter(windows=[(400, 900)], terms=[4]),
            UnitError,
            'in micrometres',
        ),
    ],
)
def test_errors(
    adapter: SeriesAdapter,
    call: Callable[[SeriesAdapter], Tensor],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        call(adapter)


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


# --- a module like others -----------------------------------------------------------


def test_weights_fit_any_number_of_bands(adapter: SeriesAdapter) -> None:
    other = SeriesAdapter(wavelength=np.linspace(0.5, 0.9, 30))
    other.load_state_dict(adapter.state_dict())
    image, axes = torch.randn(1, 4, 2, 2), torch.tensor([0.5, 0.6, 0.7, 0.8])
    torch.testing.assert_close(other(image, axes), adapter(image, axes))
    count = 128 * (3 + TERMS + 1 + 2 + 128 + 1)
    assert sum(p.numel() for p in adapter.parameters()) == count


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_casting_keeps_wavelengths(adapter: SeriesAdapter, dtype: torch.dtype) -> None:
    image, _ = see(bands_of('enmap'))
    with torch.no_grad():
        expected = adapter(image)
        found = copy.deepcopy(adapter).to(dtype)(image.to(dtype))
    assert found.dtype == dtype
    error = float((found.double() - expected.double()).norm() / expected.norm())
    assert error < (1e-5 if dtype == torch.float64 else 3e-2)


def test_autocast(adapter: SeriesAdapter) -> None:
    image, _ = see(bands_of('enmap'))
    expected = adapter(image).detach()
    with torch.autocast('cpu', torch.bfloat16):
        found = adapter(image)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert float((found.detach() - expected).norm() / expected.norm()) < 2e-2


def test_gradients() -> None:
    torch.manual_seed(0)
    adapter = SeriesAdapter(
        wavelength=[0.5, 0.7, 1.2], windows=[(0.4, 1.3)], terms=[5]
    ).double()
    image = torch.randn(2, 3, 2, 1, dtype=torch.double, requires_grad=True)
    names = ['coefficients.weight', 'missing.weight', 'norm.weight', 'mix.weight']
    known = dict(adapter.named_parameters())

    def call(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(adapter, given, (x,))

    inputs = (image, *(known[name] for name in names))
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    adapter(image).sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())


def test_copies(adapter: SeriesAdapter) -> None:
    image = torch.randn(1, 202, 2, 2)
    for other in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        torch.testing.assert_close(other(image), adapter(image))


def test_meta_device() -> None:
    with torch.device('meta'):
        adapter = SeriesAdapter(202, windows=[(0.41, 1.3)], terms=[33])
        assert adapter(torch.rand(1, 202, 4, 4)).shape == (1, 128, 4, 4)
    # what was computed there is of use elsewhere
    adapter = SeriesAdapter(202, windows=[(0.41, 1.3)], terms=[33])
    assert adapter(torch.rand(1, 202, 4, 4)).isfinite().all()


def test_compiles_without_a_break(adapter: SeriesAdapter) -> None:
    compiled = torch.compile(adapter, backend='eager', fullgraph=True)
    image, wavelength = torch.randn(2, 5, 3, 3), torch.linspace(0.5, 1, 5)
    with torch.no_grad():
        torch.testing.assert_close(
            compiled(image, wavelength),
            adapter(image, wavelength),
            rtol=1e-3,
            atol=1e-4,
        )
        image = torch.randn(2, 202, 3, 3)
        torch.testing.assert_close(
            compiled(image), adapter(image), rtol=1e-3, atol=1e-4
        )
