# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The Fourier neural operator: grids of any size, edges, and that it learns."""

import inspect
import json
import sys

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from torchgeo_hsi.cli.models import models
from torchgeo_hsi.errors import BandMismatchError, UnknownNameError
from torchgeo_hsi.models import FourierNeuralOperator, SpectralOperator, get_model
from torchgeo_hsi.physics.equations import PeriodicPoisson

FLAT = ('fourier', 'fourier')


@pytest.fixture(autouse=True)
def _needs_neuraloperator() -> None:
    pytest.importorskip('neuralop')
    torch.manual_seed(0)


def waves(size: int, columns: int | None = None) -> Tensor:
    x = torch.arange(size)[:, None] / size
    y = torch.arange(columns or size) / (columns or size)
    two_pi = 2 * torch.pi
    return (torch.sin(two_pi * x) * torch.cos(2 * two_pi * y))[None, None]


@pytest.mark.parametrize(
    'axes', [FLAT, ('chebyshev', 'fourier'), ('chebyshev', 'chebyshev')]
)
@pytest.mark.parametrize('sizes', [(16, 16), (17, 16), (16, 17), (17, 21), (8, 33)])
def test_takes_any_grid(axes: tuple[str, ...], sizes: tuple[int, int]) -> None:
    model = FourierNeuralOperator(axes, (7, 7), width=4, depth=1)
    seen: list[torch.Size] = []
    model.network.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape))
    assert model(torch.rand(2, 1, *sizes)).shape == (2, *sizes)
    # what neuraloperator gets is even on all axes but the last
    assert seen[0][2] % 2 == 0


def test_three_axes_and_fields() -> None:
    axes = ('chebyshev', 'fourier', 'fourier')
    model = FourierNeuralOperator(axes, (4, 5, 5), fields=3, width=4, depth=1)
    assert model(torch.rand(2, 3, 9, 10, 11)).shape == (2, 9, 10, 11)


@pytest.mark.parametrize('size', [32, 33, 64])
def test_periodic_grids_agree(size: int) -> None:
    """One function on other grids gives one function, at the points that they share.

    Coordinates jump at the edge, so they are switched off; squares of waves of the
    network pass the finest wave of the coarse grid but little.
    """
    model = FourierNeuralOperator(FLAT, (7, 7), width=8, depth=2, scale=1.0)
    with torch.no_grad():
        first = model.network.lifting.fcs[0]
        first.weight[:, 1:] = 0
        coarse, fine = model(waves(size)), model(waves(4 * size))
    error = (coarse - fine[:, ::4, ::4]).norm() / coarse.norm()
    assert error < 0.01


def test_odd_grids_keep_their_waves() -> None:
    """neuraloperator 2.0 shifts the waves of odd axes by one; not so through ours."""
    model = FourierNeuralOperator(FLAT, (7, 7), width=8, depth=1, scale=1.0)
    with torch.no_grad():
        model.network.lifting.fcs[0].weight[:, 1:] = 0
        odd, even = model(waves(31, 32)), model(waves(62, 32))
    error = (odd - even[:, ::2]).norm() / odd.norm()
    assert error < 0.01


def test_coordinates_are_those_of_the_equations() -> None:
    model = FourierNeuralOperator(('chebyshev', 'fourier'), (5, 5), width=4, depth=1)
    found = model._coordinates((5, 4), torch.zeros(3, 1, 5, 4))
    assert found.shape == (3, 2, 5, 4)
    torch.testing.assert_close(found[1, 0, :, 2], torch.linspace(0, 1, 5))
    torch.testing.assert_close(found[2, 1, 3], torch.arange(4) / 4)


@pytest.mark.parametrize('size', [16, 17, 64, 101, 256])
def test_padding_has_one_length(size: int) -> None:
    model = FourierNeuralOperator(('chebyshev',) * 2, (5, 5), width=4, depth=1)
    zeros = model._zeros(0, size)
    assert (size + zeros) % 2 == 0
    # the period in units of the box, to the nearest pair of points
    assert abs((size + zeros) / (size - 1) - 1.125) <= 1 / (size - 1)
    none = FourierNeuralOperator(('chebyshev',), (5,), width=4, depth=1, padding=0)
    assert none._zeros(0, size) in (0, 1)


def test_no_padding_of_periodic_axes() -> None:
    model = FourierNeuralOperator(FLAT, (5, 5), width=4, depth=1)
    assert model._zeros(0, 16) == 0


@pytest.mark.parametrize('modes', [(15, 15), (31, 31)])
def test_as_many_parameters_as_the_spectral_operator(modes: tuple[int, int]) -> None:
    counts = [
        sum(p.numel() * (1 + p.is_complex()) for p in kind(FLAT, modes).parameters())
        for kind in (FourierNeuralOperator, SpectralOperator)
    ]
    assert 0.9 < counts[0] / counts[1] < 1.1


def test_scale() -> None:
    model = FourierNeuralOperator(FLAT, (5, 5), width=4, depth=1, scale=1.0)
    x = torch.rand(1, 1, 16, 16)
    one = model(x)
    model.scale = 1e-3
    torch.testing.assert_close(model(x), one * 1e-3)


@pytest.mark.slow
def test_learns_poisson_from_data() -> None:
    equation = PeriodicPoisson((11, 11))
    model = FourierNeuralOperator(FLAT, (11, 11), width=16, depth=2, scale=1e-2)
    source = torch.Generator().manual_seed(1)
    points = equation.grid(24, torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)

    def error(parameter: Tensor) -> Tensor:
        truth = equation.solve(parameter, 24).flatten(1)
        given = equation.to_grid(parameter, points)
        found = equation.constrain_values(given, model(given), points).flatten(1)
        return ((found - truth).norm(dim=1) / truth.norm(dim=1)).mean()

    for _ in range(200):
        loss = error(equation.sample(16, source).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert error(equation.sample(32, source).float()) < 0.15


def test_by_name() -> None:
    model = get_model('fourier_neural_operator', modes=(5, 5), width=4, depth=1)
    assert isinstance(model, FourierNeuralOperator)
    other = get_model('spectral_operator', modes=(5, 5), width=4, depth=1)
    assert isinstance(other, SpectralOperator)


@pytest.mark.parametrize('kind', [FourierNeuralOperator, SpectralOperator])
def test_builders_hand_all_arguments_on(kind: type) -> None:
    names = {
        FourierNeuralOperator: 'fourier_neural_operator',
        SpectralOperator: 'spectral_operator',
    }
    words = inspect.signature(kind).parameters
    given = {'axes': ('chebyshev',), 'modes': (6,), 'fields': 2, 'width': 3}
    given |= {'depth': 1, 'activation': 'tanh', 'padding': 0.5, 'scale': 0.25}
    given |= {'coupled': True}
    given = {key: value for key, value in given.items() if key in words}
    assert set(given) == set(words)
    model = get_model(names[kind], **given)
    assert (model.modes, model.fields, model.scale) == ((6,), 2, 0.25)
    assert getattr(model, 'padding', 0.5) == 0.5


def test_listed_as_neural_operators() -> None:
    result = CliRunner().invoke(models, ['*_operator', '--json'])
    rows = {row['name']: row for row in json.loads(result.output)}
    names = ['fourier_neural_operator', 'neural_operator', 'spectral_operator']
    assert set(rows) == set(names) - {'neural_operator'}
    for name, row in rows.items():
        assert row['kind'] == 'neural operator'
        numbers = get_model(name, width=64).parameters()
        assert row['parameters'] == sum(
            p.numel() * (1 + p.is_complex()) for p in numbers
        )
    table = CliRunner().invoke(models, ['spectral_operator']).output
    assert table.splitlines()[1].split()[-1] == '-'


def test_errors() -> None:
    with pytest.raises(BandMismatchError, match='each of 2 axes'):
        FourierNeuralOperator(FLAT, (5,))
    with pytest.raises(UnknownNameError, match='fourier'):
        FourierNeuralOperator(('furier',), (5,))
    with pytest.raises(ValueError, match='activation'):
        FourierNeuralOperator(('fourier',), (5,), activation='sine')
    with pytest.raises(ValueError, match='padding'):
        FourierNeuralOperator(('fourier',), (5,), padding=-1)
    model = FourierNeuralOperator(FLAT, (5, 5), fields=2, width=4, depth=1)
    for shape in ((1, 1, 16, 16), (1, 2, 16), (2, 16, 16)):
        with pytest.raises(BandMismatchError, match=r'\(batch, 2, \.\.\.\)'):
            model(torch.rand(shape))


def test_without_neuraloperator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'neuralop.models', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[operator\]'):
        FourierNeuralOperator(('fourier',), (5,))
