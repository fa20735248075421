# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Telling networks the bands of a batch."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from torchgeo_hsi.errors import BandMismatchError, HSIWarning, UnitError
from torchgeo_hsi.models import WavelengthAdapter, use_bands
from torchgeo_hsi.models.adapters._bands import read_bands

RGB = {'wavelength': torch.tensor([0.665, 0.56, 0.49])}
NIR = {'wavelength': torch.tensor([0.85, 1.2, 1.6]), 'fwhm': torch.full((3,), 0.02)}


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    # two parts
    first, second = WavelengthAdapter(), WavelengthAdapter(128)
    return nn.Sequential(first, nn.Conv2d(128, 3, 1), second).eval()


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))


def test_both_parts_use_the_bands(network: nn.Sequential, image: Tensor) -> None:
    with use_bands(network, NIR):
        found = network(image)
    inside = network[1](network[0](image, *NIR.values()))
    torch.testing.assert_close(found, network[2](inside, *NIR.values()))


def test_nested_and_restored(network: nn.Sequential, image: Tensor) -> None:
    with use_bands(network, RGB):
        outer = network(image)
        with use_bands(network, NIR):
            inner = network(image)
        # no wavelengths, nothing changes
        with use_bands(network, {'image': image}):
            torch.testing.assert_close(network(image), outer)
        torch.testing.assert_close(network(image), outer)
    assert not torch.allclose(inner, outer)
    with pytest.raises(BandMismatchError, match='has to know the wavelengths'):
        network(image)


def test_restored_behind_an_error(network: nn.Sequential, image: Tensor) -> None:
    with pytest.raises(ZeroDivisionError), use_bands(network, RGB):
        raise ZeroDivisionError
    with pytest.raises(BandMismatchError):
        network(image)


def test_does_nothing_without_such_parts() -> None:
    with use_bands(nn.Linear(1, 1), {'wavelength': 'whatever'}):
        pass


def test_methods_and_what_is_no_network(network: nn.Sequential, image: Tensor) -> None:
    with use_bands(network.forward, RGB):
        assert network.forward(image).shape == (2, 128, 4, 4)
    with pytest.raises(TypeError, match='Expected a network'), use_bands(abs, RGB):
        pass


def test_rows_that_are_the_same() -> None:
    rows = NIR['wavelength'].expand(4, -1)
    bands = read_bands(rows, NIR['fwhm'].expand(4, -1))
    assert bands.wavelength.shape == (3,)
    assert bands.fwhm is not None
    assert bands.fwhm.shape == (3,)
    shifted = rows + torch.tensor([[0.0], [0.0], [0.1], [0.0]])
    bands = read_bands(shifted, NIR['fwhm'].expand(4, -1))
    assert bands.fwhm is not None
    assert bands.wavelength.shape == bands.fwhm.shape == (4, 3)


@pytest.mark.parametrize(
    ('sample', 'error'),
    [
        ({'wavelength': 1000 * RGB['wavelength']}, UnitError),
        ({'wavelength': RGB['wavelength'], 'fwhm': torch.ones(2)}, BandMismatchError),
        ({'wavelength': torch.ones(1, 1, 1)}, BandMismatchError),
    ],
)
def test_errors(
    network: nn.Sequential, sample: dict[str, Tensor], error: type[Exception]
) -> None:
    with pytest.raises(error), use_bands(network, sample):
        pass


def test_copies_know_nothing_of_the_batch(
    network: nn.Sequential, image: Tensor
) -> None:
    with use_bands(network, RGB):
        teacher = copy.deepcopy(network)
        expected = network(image)
    with pytest.raises(BandMismatchError):
        teacher(image)
    with use_bands(teacher, RGB):
        torch.testing.assert_close(teacher(image), expected)


def test_state_dict_knows_nothing_of_the_batch(network: nn.Sequential) -> None:
    keys = set(network.state_dict())
    with use_bands(network, RGB):
        assert set(network.state_dict()) == keys


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path / "group"}', rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures('process_group')
def test_distributed(network: nn.Sequential, image: Tensor) -> None:
    wrapped = DistributedDataParallel(network)
    with use_bands(wrapped, RGB):
        found = wrapped(image)
    found.sum().backward()
    with use_bands(network, RGB):
        torch.testing.assert_close(found, network(image))


def test_compiled_network(network: nn.Sequential, image: Tensor) -> None:
    count = 0

    def backend(graph: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        nonlocal count
        count += 1
        return graph

    compiled = torch.compile(network, backend=backend, fullgraph=True)
    bands = [{'wavelength': RGB['wavelength'] + 0.01 * i} for i in range(4)]
    for sample in bands:
        with use_bands(compiled, sample):
            found = compiled(image)
        with use_bands(network, sample):
            torch.testing.assert_close(found, network(image))
    # the bands are an input of the graph
    assert count == 1


def test_wavelengths_that_were_rounded() -> None:
    """Precision bf16-true casts batches: 8 of 20 EnMAP bands would be at one place."""
    exact = torch.linspace(2.0, 2.2, 20)
    with pytest.warns(HSIWarning, match='bfloat16.*bf16-mixed'):
        read_bands(exact.bfloat16())
    read_bands(exact.half())
