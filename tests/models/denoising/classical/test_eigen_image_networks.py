# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks as denoisers of eigen-images, alone and together with others."""

from pathlib import Path

import pytest
import torch
from models.denoising.classical.painted_fields import gaussian, truth
from torch import Tensor, nn

from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.models import (
    EigenImageNetwork,
    MeanDenoiser,
    SubspaceDenoiser,
    WaveletShrinkage,
    get_model,
)


class Probe(nn.Module):
    """Remember what comes in, and change it by what a function says."""

    def __init__(self, change: float = 0.0, shift: int = 0) -> None:
        super().__init__()
        self.change, self.shift = change, shift

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        self.image, self.sigma = image, sigma
        return image.roll(self.shift, 3) + self.change


def stack(batch: int = 2, images: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Return images, and their means and standard deviations."""
    rng = torch.Generator().manual_seed(0)
    size = torch.logspace(0, 2, images)[:, None, None]
    image = size * (torch.randn(batch, images, 16, 16, generator=rng) + 2)
    return image, image.mean((2, 3)), image.std((2, 3), correction=0)


def test_images_have_mean_0_and_deviation_1() -> None:
    image, center, spread = stack()
    network = EigenImageNetwork(probe := Probe()).eval()
    torch.testing.assert_close(network(image, 51.0, center, spread), image)
    assert probe.image.mean((2, 3)).abs().max() < 1e-5
    spread_inside = probe.image.std((2, 3), correction=0)
    torch.testing.assert_close(spread_inside, torch.ones(2, 3))
    torch.testing.assert_close(probe.sigma, 51.0 / spread)


def test_changes_are_in_units_of_the_noise() -> None:
    image, center, spread = stack()
    level = torch.tensor([[25.5, 51.0, 255.0]])
    network = EigenImageNetwork(Probe(change=2.0)).eval()
    changed = network(image, level, center, spread) - image
    expected = 2 * level / 255
    torch.testing.assert_close(
        changed, expected[..., None, None].expand(image.shape), rtol=1e-3, atol=1e-3
    )


def test_ensemble_is_the_mean_over_all_positions() -> None:
    image, center, spread = stack(1)
    shifted = EigenImageNetwork(Probe(shift=1), ensemble=True).eval()
    result = shifted(image, 255.0, center, spread)
    # turned and flipped, a shift by a column is one in each of four directions
    plain = (image - center[..., None, None]) / spread[..., None, None]
    moves = [plain.roll(by, axis) for axis in (2, 3) for by in (-1, 1)]
    expected = image + torch.stack(moves).mean(0) - plain
    torch.testing.assert_close(result, expected)
    # in training, once
    shifted.train()
    assert not torch.allclose(shifted(image, 255.0, center, spread), expected)


def test_sign_is_drawn_in_training_and_taken_back() -> None:
    torch.manual_seed(0)
    image, center, spread = stack(8)
    network = EigenImageNetwork(probe := Probe(shift=1))
    trained = network(image, 51.0, center, spread)
    plain = (image - center[..., None, None]) / spread[..., None, None]
    signs = (probe.image / plain).mean((2, 3))
    torch.testing.assert_close(signs.abs(), torch.ones(8, 3))
    assert 4 < (signs > 0).sum() < 20
    assert (probe.sigma > 0).all()
    # what is linear does not depend on the sign
    torch.testing.assert_close(trained, network.eval()(image, 51.0, center, spread))


def test_range_is_that_of_the_scene() -> None:
    noisy = gaussian(truth())
    model = get_model('subspace', denoiser=EigenImageNetwork(probe := Probe()), rank=3)
    model.eval()
    torch.testing.assert_close(model(noisy), SubspaceDenoiser(rank=3)(noisy))
    torch.testing.assert_close(
        probe.image.mean((2, 3)), torch.zeros(1, 3), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(
        probe.image.std((2, 3)), torch.ones(1, 3), atol=0.01, rtol=0
    )
    model.observe(noisy)
    model.settle()
    model(noisy[..., :10, :10])
    # a part of the scene is not brought to mean 0 by itself
    assert probe.image.mean((2, 3)).abs().max() > 0.05


def test_no_query_for_a_number_of_images() -> None:
    torch.manual_seed(0)
    model = get_model('subspace', denoiser='hsdt_s').eval()
    network = model.denoiser.network
    with torch.no_grad():
        stack = torch.rand(1, network.num_bands, 16, 16)
        before = network(stack, 30)
        network.head.attn.attn.attn_proj.weight.add_(1)
        torch.testing.assert_close(network(stack, 30), before)


def test_network_by_name_learns() -> None:
    torch.manual_seed(0)
    model = get_model('subspace', denoiser='hsdt_s', rank=4)
    assert isinstance(model.denoiser, EigenImageNetwork)
    clean = truth(12, 16)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(25):
        loss = (model(gaussian(clean)) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize('method', ['subspace', 'robust_subspace'])
def test_network_with_weights(method: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = get_model('man_s', noise_map=True)
    torch.save(network.state_dict(), tmp_path / 'man.pth')
    image = gaussian(truth(12, 16))
    words = {'denoiser': 'man_s', 'weights': tmp_path / 'man.pth', 'ensemble': True}
    by_name = get_model(method, **words).eval()
    module = EigenImageNetwork(network, ensemble=True)
    by_module = get_model(method, denoiser=module).eval()
    with torch.no_grad():
        torch.testing.assert_close(by_name(image), by_module(image))


def test_checkpoint_of_a_training_is_found_in_its_wrappers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = get_model('subspace', denoiser='man_s')
    state = {f'model.{key}': value for key, value in trained.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'last.ckpt')
    model = get_model('subspace', denoiser='man_s', weights=tmp_path / 'last.ckpt')
    for key, value in trained.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value)


def test_mean_of_denoisers() -> None:
    noisy = gaussian(truth(12, 16))
    names = ['wavelet', 'collaborative', 'man_s']
    torch.manual_seed(0)
    both = get_model('subspace', denoiser=names, rank=3).eval()
    assert isinstance(both.denoiser, MeanDenoiser)
    parts = [SubspaceDenoiser(part, rank=3) for part in both.denoiser.denoisers]
    with torch.no_grad():
        expected = torch.stack([part(noisy) for part in parts]).mean(0)
        torch.testing.assert_close(both(noisy), expected)
    assert both.denoiser.needs_range
    assert not MeanDenoiser([WaveletShrinkage()]).needs_range


def test_mean_of_nothing() -> None:
    with pytest.raises(EmptyDataError, match='give one'):
        MeanDenoiser([])
