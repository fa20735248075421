# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What holds for each adapter that takes the bands of any sensor."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from models.spectra import bands_of, distance, run, see
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.models import SeriesAdapter, WavelengthAdapter
from torchgeo_hsi.physics import get_sensor

ADAPTERS = [WavelengthAdapter, SeriesAdapter]


@pytest.fixture(params=ADAPTERS, ids=lambda kind: kind.__name__)
def adapter(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = request.param(202).eval()
    return module


# --- the same spectrum, sampled in other ways ---------------------------------------


def test_order_of_bands_does_not_matter(adapter: nn.Module) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    order = torch.randperm(202, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        found = adapter(image[:, order], wavelength[order], fwhm[order])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    detectors = get_sensor('enmap_detector').default_bandset
    assert not detectors.is_sorted
    torch.testing.assert_close(run(adapter, detectors), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('step', [2, 3])
def test_subsets(adapter: nn.Module, step: int) -> None:
    whole = bands_of('enmap')
    limit = 0.08 if isinstance(adapter, SeriesAdapter) and step == 3 else 0.05
    subset = whole.select(range(0, 202, step))
    assert distance(run(adapter, whole), run(adapter, subset)) < limit


@pytest.mark.parametrize(
    ('kind', 'sensor', 'low', 'high', 'limit'),
    [
        # the range of EnMAP, and what lies outside of it
        (WavelengthAdapter, 'prisma', 0.41, 2.45, 0.12),
        (WavelengthAdapter, 'prisma', 0.0, 3.0, 0.15),
        (WavelengthAdapter, 'emit', 0.41, 2.45, 0.12),
        (WavelengthAdapter, 'desis', 0.41, 0.99, 0.06),
        (WavelengthAdapter, 'sentinel2', 0.0, 3.0, 0.45),
        (SeriesAdapter, 'prisma', 0.0, 3.0, 0.17),
        (SeriesAdapter, 'emit', 0.0, 3.0, 0.14),
        (SeriesAdapter, 'desis', 0.0, 3.0, 0.08),
        (SeriesAdapter, 'sentinel2', 0.0, 3.0, 0.7),
    ],
)
def test_other_sensors(
    kind: type[nn.Module], sensor: str, low: float, high: float, limit: float
) -> None:
    torch.manual_seed(0)
    adapter = kind(202).eval()
    reach = 0.99 if sensor == 'desis' else 3.0
    expected = run(adapter, bands_of('enmap', high=reach))
    assert distance(expected, run(adapter, bands_of(sensor, low, high))) < limit


def test_other_wavelengths_are_other_features(adapter: nn.Module) -> None:
    image, (wavelength, fwhm) = see(bands_of('enmap'))
    with torch.no_grad():
        expected = adapter(image, wavelength, fwhm)
        assert distance(expected, adapter(image, wavelength * 1.1, fwhm)) > 0.1


def test_maps_differ(adapter: nn.Module) -> None:
    maps = run(adapter, bands_of('enmap'))[0].flatten(1)
    values = torch.linalg.eigvalsh(torch.cov(maps.double())).clamp(min=0)
    share = values / values.sum()
    # effective rank: 1 if all maps were alike
    assert float(torch.exp(-(share * (share + 1e-12).log()).sum())) > 4
    assert 0.3 < float(maps.std()) < 3


def test_pixels_are_not_mixed(adapter: nn.Module) -> None:
    image = torch.randn(2, 202, 6, 5)
    with torch.no_grad():
        expected = adapter(image)
        torch.testing.assert_close(
            adapter(image[:1, :, 2:3, 4:]), expected[:1, :, 2:3, 4:]
        )
    assert expected.shape == (2, 128, 6, 5)


# --- bands --------------------------------------------------------------------------


def test_bands_of_each_image(adapter: nn.Module) -> None:
    image = torch.randn(3, 50, 4, 4)
    wavelength = torch.rand(3, 50) + torch.tensor([[0.4], [0.9], [1.4]])
    fwhm = 0.005 + 0.01 * torch.rand(3, 50)
    # the fit of series solves equations
    close = (1e-3, 1e-4) if isinstance(adapter, SeriesAdapter) else (1e-4, 1e-5)
    rtol, atol = close
    with torch.no_grad():
        found = adapter(image, wavelength, fwhm)
        rows = zip(image, wavelength, fwhm, strict=True)
        expected = torch.cat([adapter(x[None], w, f) for x, w, f in rows])
        torch.testing.assert_close(found, expected, rtol=rtol, atol=atol)
        # widths may be the same for all of them
        found = adapter(image, wavelength, fwhm[0])[:1]
        torch.testing.assert_close(found, expected[:1], rtol=rtol, atol=atol)


@pytest.mark.parametrize('count', [1, 3, 300])
def test_any_number_of_bands(adapter: nn.Module, count: int) -> None:
    maps = adapter(torch.randn(1, count, 3, 3), torch.linspace(0.4, 2.4, count))
    assert maps.shape == (1, 128, 3, 3)
    assert maps.isfinite().all()


def test_default_bands(adapter: nn.Module) -> None:
    image = torch.randn(1, 202, 2, 2)
    enmap = get_sensor('enmap').default_bandset
    expected = adapter(image, enmap.wavelength, enmap.fwhm)
    torch.testing.assert_close(adapter(image), expected)


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda m: m(torch.rand(1, 3, 2, 2), [480.0, 560, 660]), UnitError, 'by 1000'),
        (lambda m: m(torch.rand(1, 3, 2, 2), [0.5, 0.6]), BandMismatchError, '3 bands'),
        (lambda m: m(torch.rand(1, 3, 2, 2)), BandMismatchError, 'built for 202 bands'),
        (lambda m: m(torch.rand(202, 2, 2)), BandMismatchError, 'height, width'),
    ],
)
def test_errors(
    adapter: nn.Module,
    call: Callable[[nn.Module], Tensor],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        call(adapter)


# --- a module like others -----------------------------------------------------------


def test_weights_fit_any_number_of_bands(adapter: nn.Module) -> None:
    kind: type[nn.Module] = type(adapter)
    other = kind(wavelength=np.linspace(0.5, 0.9, 30))
    other.load_state_dict(adapter.state_dict())
    image, axes = torch.randn(1, 4, 2, 2), torch.tensor([0.5, 0.6, 0.7, 0.8])
    torch.testing.assert_close(other(image, axes), adapter(image, axes))
    assert not any('default' in key for key in adapter.state_dict())


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_casting_keeps_wavelengths(adapter: nn.Module, dtype: torch.dtype) -> None:
    image, _ = see(bands_of('enmap'))
    with torch.no_grad():
        expected = adapter(image)
        found = copy.deepcopy(adapter).to(dtype)(image.to(dtype))
    assert found.dtype == dtype
    error = float((found.double() - expected.double()).norm() / expected.norm())
    assert error < (1e-5 if dtype == torch.float64 else 3e-2)


def test_autocast(adapter: nn.Module) -> None:
    image, _ = see(bands_of('enmap'))
    expected = adapter(image).detach()
    with torch.autocast('cpu', torch.bfloat16):
        found = adapter(image)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert float((found.detach() - expected).norm() / expected.norm()) < 2e-2


@pytest.mark.parametrize(
    ('kind', 'arguments', 'names'),
    [
        (WavelengthAdapter, {'hidden': 4}, ['series', 'generator.0', 'bias']),
        (
            SeriesAdapter,
            {'windows': [(0.4, 1.3)], 'terms': [5]},
            ['coefficients', 'missing'],
        ),
    ],
)
def test_gradients(
    kind: type[nn.Module], arguments: dict[str, object], names: list[str]
) -> None:
    torch.manual_seed(0)
    adapter = kind(wavelength=[0.5, 0.7, 1.2], **arguments).double()
    image = torch.randn(2, 3, 2, 1, dtype=torch.double, requires_grad=True)
    known = dict(adapter.named_parameters())
    keys = [
        name if name in known else f'{name}.weight' for name in (*names, 'norm', 'mix')
    ]

    def call(x: Tensor, *values: Tensor) -> Tensor:
        given = dict(zip(keys, values, strict=True))
        return torch.func.functional_call(adapter, given, (x,))

    inputs = (image, *(known[key] for key in keys))
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True)
    adapter(image).sum().backward()
    assert all(p.grad is not None for p in adapter.parameters())


def test_copies(adapter: nn.Module) -> None:
    image = torch.randn(1, 202, 2, 2)
    for other in (copy.deepcopy(adapter), pickle.loads(pickle.dumps(adapter))):
        torch.testing.assert_close(other(image), adapter(image))


def test_no_batch_statistics(adapter: nn.Module) -> None:
    image = torch.randn(3, 202, 2, 2)
    expected = adapter(image)
    torch.testing.assert_close(adapter.train()(image[:1]), expected[:1])


@pytest.mark.parametrize(
    ('kind', 'arguments'),
    [
        (WavelengthAdapter, {}),
        (SeriesAdapter, {'windows': [(0.41, 1.3)], 'terms': [33]}),
    ],
)
def test_meta_device(kind: type[nn.Module], arguments: dict[str, object]) -> None:
    with torch.device('meta'):
        adapter = kind(202, **arguments)
        assert adapter(torch.rand(1, 202, 4, 4)).shape == (1, 128, 4, 4)
    # what was computed there is of use elsewhere
    adapter = kind(202, **arguments)
    assert adapter(torch.rand(1, 202, 4, 4)).isfinite().all()


def test_compiles_without_a_break(adapter: nn.Module) -> None:
    compiled = torch.compile(adapter, backend='eager', fullgraph=True)
    image, wavelength = torch.randn(2, 5, 3, 3), torch.linspace(0.5, 1, 5)
    close = {'rtol': 1e-3, 'atol': 1e-4}
    with torch.no_grad():
        found = compiled(image, wavelength)
        torch.testing.assert_close(found, adapter(image, wavelength), **close)
        image = torch.randn(2, 202, 3, 3)
        torch.testing.assert_close(compiled(image), adapter(image), **close)
