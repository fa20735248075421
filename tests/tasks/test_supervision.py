# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of learning from noisy images alone."""

import pytest
import torch
from torch import Tensor

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.losses import MaskedMSELoss
from torchgeo_hsi.tasks._supervision import (
    draw_neighbors,
    estimate_sigma,
    neighbor_loss,
    recorrupted_loss,
    take_neighbors,
)


def noisy(sigma: Tensor, size: int = 48) -> Tensor:
    """Return two mixtures of three spectra with noise of each band."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, size, size, generator=generator)
    spectra = torch.rand(3, len(sigma), generator=generator)
    clean = torch.einsum('nkhw,kc->nchw', maps, spectra)
    noise = torch.randn(clean.shape, generator=generator)
    return clean + sigma[:, None, None] / 255 * noise


def test_estimated_noise() -> None:
    sigma = torch.linspace(10, 40, 60)
    image = noisy(sigma)
    valid = torch.ones(2, 48, 48, dtype=torch.bool)
    valid[0, :, 30:] = False
    image[0, :, :, 30:] = torch.nan
    # a regression sees the noise of the others, too; it is a little too high
    torch.testing.assert_close(estimate_sigma(image, valid), sigma, rtol=0.15, atol=0)
    assert not estimate_sigma(image, torch.zeros_like(valid)).any()


def test_recorrupted_loss_is_that_with_the_truth() -> None:
    """Of all factors, the best one is that which the clean image would choose."""
    torch.manual_seed(0)
    sigma = torch.full((1, 4), 51.0)
    truth = torch.rand(1, 4, 200, 200)
    image = truth + 0.2 * torch.randn(truth.shape)
    valid = torch.ones(1, 200, 200, dtype=torch.bool)
    factor = torch.tensor(0.5, requires_grad=True)
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return factor * x

    # the loss is a parabola of the factor: its slope and curvature give the minimum
    loss = recorrupted_loss(network, MaskedMSELoss(), image, valid, sigma, {})
    (slope,) = torch.autograd.grad(loss, factor)
    power = seen[0].square().mean()
    best = 0.5 - slope.item() / (2 * power.item())
    clean = (truth.square().mean() / (truth.square().mean() + 1.25 * 0.04)).item()
    assert best == pytest.approx(clean, rel=0.01)
    # with noise that is not independent, the best would be to change nothing
    assert abs(best - 1) > 0.1
    added = (seen[0] - image).std().item()
    assert added == pytest.approx(0.5 * 0.2, rel=0.01)


def test_recorrupted_noise_stays_where_data_are() -> None:
    image = torch.full((1, 4, 8, 8), 0.5)
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    valid[..., 5:] = False
    seen = []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    sigma = torch.full((1, 4, 8, 8), 25.0)
    recorrupted_loss(network, MaskedMSELoss(), image, valid, sigma, {})
    assert (seen[0][..., 5:] == 0.5).all()
    assert (seen[0][..., :5] != 0.5).all()


def test_neighbors_lie_in_the_same_row_of_a_square() -> None:
    torch.manual_seed(0)
    # rows and columns as values; the odd last row and column are in no square
    rows, cols = torch.meshgrid(torch.arange(9), torch.arange(11), indexing='ij')
    place = torch.stack((rows, cols)).expand(3, -1, -1, -1).float()
    choice = draw_neighbors(torch.ones(3, 9, 11))
    first, second = take_neighbors(place, *choice)
    assert first.shape == (3, 2, 4, 5)
    torch.testing.assert_close(first[:, 0], second[:, 0])
    assert ((first[:, 1] - second[:, 1]).abs() == 1).all()
    torch.testing.assert_close(first // 2, second // 2)
    square = torch.stack(
        torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing='ij')
    )
    torch.testing.assert_close(first // 2, square.expand(3, -1, -1, -1))
    # each of the four ordered pairs of a square is drawn
    kinds = 2 * (first[:, 0] % 2) + first[:, 1] % 2
    assert set(kinds.flatten().tolist()) == {0, 1, 2, 3}


def test_neighbor_loss_of_what_is_known() -> None:
    torch.manual_seed(0)
    sigma = torch.full((6,), 25.5)
    image = noisy(sigma)
    valid = torch.ones(2, 48, 48, dtype=torch.bool)
    valid[:, :, 20] = False
    image[:, :, :, 20] = torch.inf
    calls: list[Tensor] = []

    def network(x: Tensor) -> Tensor:
        calls.append(x)
        return torch.zeros_like(x)

    loss = neighbor_loss(network, MaskedMSELoss(), image, valid, {}, share=0.5)
    assert [tuple(x.shape[-2:]) for x in calls] == [(48, 48), (24, 24)]
    # both terms are the mean square of the data, the second with a weight of 1
    known = image.masked_fill(~valid[:, None], 0).square().sum()
    power = known / (6 * valid.sum())
    assert loss.item() == pytest.approx(2 * power.item(), rel=0.05)


def test_inputs_go_with_the_pixels() -> None:
    image = torch.rand(2, 4, 8, 8)
    valid = torch.ones(2, 8, 8, dtype=torch.bool)
    seen = []

    def network(x: Tensor, sigma: Tensor, valid: Tensor) -> Tensor:
        seen.append((x.shape, sigma.shape, valid.shape))
        return x

    for sigma in (torch.ones(2, 4), torch.rand(2, 4, 8, 8)):
        inputs = {'sigma': sigma, 'valid': valid}
        neighbor_loss(network, MaskedMSELoss(), image, valid, inputs, share=1)
        shape = (2, 4) if sigma.ndim == 2 else (2, 4, 4, 4)
        assert seen[-1] == ((2, 4, 4, 4), shape, (2, 4, 4))


def test_images_without_neighbors() -> None:
    image, valid = torch.rand(1, 4, 1, 8), torch.ones(1, 1, 8, dtype=torch.bool)
    with pytest.raises(EmptyDataError, match='2 x 2 pixels'):
        neighbor_loss(lambda x: x, MaskedMSELoss(), image, valid, {}, share=1)
