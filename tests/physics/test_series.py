# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Series against numpy's polynomials, sums of waves, and known derivatives."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.physics.series import (
    Chebyshev,
    Fourier,
    Legendre,
    Series,
    get_series,
    list_series,
)

X = torch.linspace(0, 1, 101, dtype=torch.float64)
ALL: list[Series] = [Fourier(), Chebyshev(), Legendre()]
CASES = [(Fourier(), 31), (Fourier(), 32), (Chebyshev(), 30), (Legendre(), 30)]


def wave(x: Tensor) -> Tensor:
    return torch.exp(torch.sin(2 * math.pi * x))


def wave_slope(x: Tensor) -> Tensor:
    return 2 * math.pi * torch.cos(2 * math.pi * x) * wave(x)


def curve(x: Tensor) -> Tensor:
    return torch.exp(x) * torch.sin(5 * x)


def curve_slope(x: Tensor) -> Tensor:
    return torch.exp(x) * (torch.sin(5 * x) + 5 * torch.cos(5 * x))


def function(series: Series) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    return (wave, wave_slope) if series.name == 'fourier' else (curve, curve_slope)


def close(found: Tensor, expected: Tensor, atol: float = 1e-8) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


class TestBasis:
    @pytest.mark.parametrize('count', [1, 2, 5, 8])
    def test_chebyshev(self, count: int) -> None:
        expected = np.polynomial.chebyshev.chebvander(2 * X.numpy() - 1, count - 1)
        close(Chebyshev().basis(count, X), torch.from_numpy(expected), 1e-12)

    @pytest.mark.parametrize('count', [1, 2, 5, 8])
    def test_legendre(self, count: int) -> None:
        expected = np.polynomial.legendre.legvander(2 * X.numpy() - 1, count - 1)
        close(Legendre().basis(count, X), torch.from_numpy(expected), 1e-12)

    @pytest.mark.parametrize('count', [1, 2, 3, 8, 9])
    def test_fourier(self, count: int) -> None:
        columns = [np.cos(2 * np.pi * k * X.numpy()) for k in range(count // 2 + 1)]
        sines = range((count - 1) // 2, 0, -1)
        columns += [-np.sin(2 * np.pi * k * X.numpy()) for k in sines]
        expected = torch.from_numpy(np.stack(columns, axis=1))
        close(Fourier().basis(count, X), expected, 1e-12)

    @pytest.mark.parametrize('series', ALL, ids=str)
    def test_orthogonal(self, series: Series) -> None:
        """Integrals of products are 0, or the weights of Parseval."""
        # the rule of Gauss and Chebyshev for the one with a weight, else Gauss
        if series.name == 'chebyshev':
            k = np.arange(1, 201)
            x, w = (
                (1 + np.cos((2 * k - 1) * np.pi / 400)) / 2,
                np.full(200, np.pi / 400),
            )
        else:
            nodes, weights = np.polynomial.legendre.leggauss(200)
            x, w = (1 + nodes) / 2, weights / 2
        basis = series.basis(9, torch.from_numpy(x)).numpy()
        gram = torch.from_numpy((basis * w[:, None]).T @ basis)
        close(gram, torch.diag(series.parseval_weights(9)), 1e-10)


class TestTransform:
    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_there_and_back(self, series: Series, count: int) -> None:
        values = torch.randn(3, count, 2, dtype=torch.float64)
        found = series.inverse(series.transform(values, 1), 1)
        close(found, values, 1e-10)

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_is_the_sum_of_the_basis(self, series: Series, count: int) -> None:
        coefficients = torch.randn(2, count, dtype=torch.float64)
        basis = series.basis(count, series.nodes(count))
        close(series.inverse(coefficients), coefficients @ basis.T, 1e-10)

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_anywhere(self, series: Series, count: int) -> None:
        u, _ = function(series)
        coefficients = series.transform(u(series.nodes(count)))
        close(series.evaluate(coefficients, X), u(X), 1e-10)

    @pytest.mark.parametrize('series', ALL, ids=str)
    def test_gradients(self, series: Series) -> None:
        values = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(series.transform, values)
        assert torch.autograd.gradcheck(series.inverse, values)

    @pytest.mark.parametrize('series', ALL, ids=str)
    def test_half_precision_of_double(self, series: Series) -> None:
        values = torch.randn(16)
        found = series.transform(values)
        assert found.dtype == torch.float32
        close(found.double(), series.transform(values.double()), 1e-5)


class TestCalculus:
    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_derivative(self, series: Series, count: int) -> None:
        u, slope = function(series)
        coefficients = series.transform(u(series.nodes(count)))
        found = series.evaluate(series.differentiate(coefficients), X)
        close(found, slope(X))

    @pytest.mark.parametrize('series', [Chebyshev(), Legendre()], ids=str)
    @pytest.mark.parametrize('order', [0, 1, 2, 3])
    def test_derivatives_of_polynomials(self, series: Series, order: int) -> None:
        power = np.polynomial.Polynomial([1.0, -2.0, 0.5, 3.0, 1.5, -1.0])
        x = series.nodes(6)
        coefficients = series.transform(torch.from_numpy(power(x.numpy())))
        found = series.evaluate(series.differentiate(coefficients, order), X)
        close(found, torch.from_numpy(power.deriv(order)(X.numpy())))

    def test_second_derivative_of_waves(self) -> None:
        x = Fourier().nodes(9)
        coefficients = Fourier().transform(torch.cos(6 * math.pi * x))
        found = Fourier().evaluate(Fourier().differentiate(coefficients, 2), X)
        close(found, -((6 * math.pi) ** 2) * torch.cos(6 * math.pi * X))

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_antiderivative(self, series: Series, count: int) -> None:
        u, _ = function(series)
        coefficients = series.transform(u(series.nodes(count)))
        if series.name == 'fourier':
            coefficients[0] = 0
        found = series.integrate(coefficients)
        back = series.evaluate(series.differentiate(found), X)
        close(back, series.evaluate(coefficients, X))
        assert abs(series.evaluate(found, X[:1]).item()) < 1e-12

    def test_integral_of_a_known_function(self) -> None:
        for series in (Chebyshev(), Legendre()):
            coefficients = series.transform(torch.exp(series.nodes(20)))
            found = series.evaluate(series.integrate(coefficients), X)
            close(found, torch.exp(X) - 1, 1e-12)

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_product(self, series: Series, count: int) -> None:
        a, b = torch.randn(2, 3, count, dtype=torch.float64)
        found = series.evaluate(series.multiply(a, b), X)
        expected = series.evaluate(a, X) * series.evaluate(b, X)
        close(found, expected, 1e-7)

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_sum_of_different_lengths(self, series: Series, count: int) -> None:
        a = torch.randn(count, dtype=torch.float64)
        b = torch.randn(count - 5, dtype=torch.float64)
        found = series.evaluate(series.add(a, b), X)
        close(found, series.evaluate(a, X) + series.evaluate(b, X), 1e-10)

    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_parseval(self, series: Series, count: int) -> None:
        if series.name == 'fourier' and count % 2 == 0:
            count -= 1
        u = torch.randn(4, count, dtype=torch.float64)
        if series.name == 'chebyshev':
            k = torch.arange(1, 401, dtype=torch.float64)
            x = (1 + torch.cos((2 * k - 1) * math.pi / 800)) / 2
            w = torch.full_like(x, math.pi / 800)
        else:
            nodes, weights = np.polynomial.legendre.leggauss(400)
            x, w = torch.from_numpy((1 + nodes) / 2), torch.from_numpy(weights / 2)
        expected = (series.evaluate(u, x).square() * w).sum(-1)
        close(series.square_norm(u), expected, 1e-10)


class TestResize:
    @pytest.mark.parametrize(('series', 'count'), CASES)
    def test_more_terms_change_nothing(self, series: Series, count: int) -> None:
        u = torch.randn(2, count, 3, dtype=torch.float64)
        wide = series.resize(u, count + 6, 1)
        assert wide.shape == (2, count + 6, 3)
        close(series.evaluate(wide, X, 1), series.evaluate(u, X, 1), 1e-10)
        if series.name != 'fourier' or count % 2:
            assert torch.equal(series.resize(wide, count, 1), u)

    def test_even_waves(self) -> None:
        u = torch.randn(8, dtype=torch.float64)
        wide = Fourier().resize(u, 13)
        close(Fourier().evaluate(wide, X), Fourier().evaluate(u, X), 1e-10)

    def test_fewer_terms_are_the_lowest(self) -> None:
        x = Fourier().nodes(15)
        low, high = torch.sin(2 * math.pi * x), torch.cos(12 * math.pi * x)
        cut = Fourier().resize(Fourier().transform(low + high), 5)
        close(Fourier().evaluate(cut, X), torch.sin(2 * math.pi * X), 1e-10)


@pytest.mark.parametrize('series', ALL, ids=str)
class TestWhatIsKept:
    def test_is_not_given_away(self, series: Series) -> None:
        expected = series.nodes(6).clone()
        series.nodes(6).zero_()
        assert torch.equal(series.nodes(6), expected)

    def test_is_for_gradients(self, series: Series) -> None:
        """A validation, of which no gradients are wanted, may come first."""
        u = torch.ones(41, dtype=torch.float64)
        with torch.inference_mode():
            series.transform(series.differentiate(u))
            series.integrate(series.inverse(u))
        u.requires_grad_()
        found = (
            series.transform(series.differentiate(u)),
            series.integrate(series.inverse(u)),
        )
        for one in found:
            (slope,) = torch.autograd.grad(one.square().sum(), u)
            assert slope.isfinite().all()

    def test_is_for_all_devices(self, series: Series) -> None:
        with torch.device('meta'):
            series.transform(series.differentiate(torch.ones(43)))
        found = series.transform(series.differentiate(torch.ones(43)))
        assert found.isfinite().all()


def test_whole_numbers() -> None:
    coefficients = torch.tensor([1, 0, 2])
    for series in ALL:
        found = series.evaluate(coefficients, X)
        torch.testing.assert_close(found, series.evaluate(coefficients.float(), X))


def test_equal_by_kind() -> None:
    assert Fourier() == Fourier()
    assert len({Fourier(), Fourier(), Legendre()}) == 2
    assert repr(Chebyshev()) == 'Chebyshev()'


def test_names() -> None:
    assert list_series() == ['chebyshev', 'fourier', 'legendre']
    assert get_series('legendre') == Legendre()
    with pytest.raises(UnknownNameError, match='fourier'):
        get_series('furier')


@pytest.mark.parametrize('series', ALL, ids=str)
def test_errors(series: Series) -> None:
    u = torch.ones(5, dtype=torch.float64)
    with pytest.raises(ValueError, match='integrate'):
        series.differentiate(u, -1)
    with pytest.raises(BandMismatchError, match='at least'):
        series.nodes(0)
    with pytest.raises(BandMismatchError, match='at least'):
        series.transform(u[:0])
