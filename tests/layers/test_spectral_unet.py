# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from typing import Any

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.layers import pad_to_multiple
from torchgeo_hsi.models import HSDT, MAN, get_model


@pytest.mark.parametrize(('height', 'width'), [(5, 8), (6, 9), (7, 7), (16, 13)])
def test_mirrors(height: int, width: int) -> None:
    image = torch.arange(2.0 * height * width).reshape(1, 2, height, width)
    padding = ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4))
    expected = np.pad(image.numpy(), padding, mode='reflect')
    np.testing.assert_array_equal(pad_to_multiple(image, 4).numpy(), expected)


@pytest.mark.parametrize(('height', 'width'), [(1, 1), (1, 9), (2, 6)])
def test_repeats_what_is_too_short(height: int, width: int) -> None:
    image = torch.arange(1.0 * height * width).reshape(1, 1, height, width)
    padded = pad_to_multiple(image, 8)
    assert padded.shape[2] == 8
    assert (padded[:, :, height:] == padded[:, :, height - 1 : height]).all()
    torch.testing.assert_close(padded[:, :, :height, :width], image)


def test_leaves_multiples_alone() -> None:
    image = torch.rand(1, 3, 8, 4)
    assert pad_to_multiple(image, 4) is image


def test_nothing_to_pad() -> None:
    with pytest.raises(EmptyDataError, match='are empty'):
        pad_to_multiple(torch.zeros(1, 3, 0, 4), 4)


@pytest.mark.parametrize('name', ['man_s', 'man_v1_s', 'hsdt_s'])
def test_every_parameter_that_learns_gets_a_gradient(name: str) -> None:
    """Several processes wait for all gradients: also with other bands than the query."""
    network = get_model(name).train()
    network(torch.rand(1, 6, 8, 8)).sum().backward()
    missing = [
        n for n, p in network.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert not missing


@pytest.mark.parametrize('kind', [MAN, HSDT])
def test_compiled_networks_take_sizes_that_change(kind: Any) -> None:
    # all kinds of blocks once: to trace the five layers of each half takes a minute
    network = kind(channels=4, num_layers=2, sampled=(1,)).eval()
    compiled = torch.compile(network, backend='aot_eager')
    with torch.inference_mode():
        for size in ((8, 8), (9, 5), (13, 7)):
            image = torch.rand(1, 5, *size)
            torch.testing.assert_close(compiled(image), network(image))
