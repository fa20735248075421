# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.layers import SceneModel, ScenePool


class Pooled(SceneModel):
    """Two pools, of which the second one depends on the first, at half resolution."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.first = ScenePool()
        self.conv = nn.Conv2d(3, 2, 2, stride=2)
        self.second = ScenePool()
        self.drop = nn.Dropout(0.5)

    def forward(self, image: Tensor, gain: float = 1.0) -> Tensor:
        height, width = image.shape[-2:]
        padded = nn.functional.pad(image, (0, width % 2, 0, height % 2), value=9.0)
        x = self.conv(padded * self.first(image)[..., None, None].tanh()).exp() * gain
        out: Tensor = image + self.drop(self.second(x)).sum(1)[:, None, None, None]
        return out


@pytest.fixture
def model() -> Pooled:
    torch.manual_seed(0)
    return Pooled().double().eval()


def image(height: int = 24, width: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(1, 3, height, width, dtype=torch.float64, generator=generator)


def observe(model: SceneModel, scene: Tensor, size: int) -> None:
    height, width = scene.shape[-2:]
    for row, col in product(range(0, height, size), range(0, width, size)):
        model.observe(scene[..., row : row + size, col : col + size])


def test_pool_is_the_mean_by_default() -> None:
    x = torch.rand(2, 3, 4, 5, 6)
    torch.testing.assert_close(ScenePool()(x), x.mean((3, 4)))
    assert not ScenePool().state_dict()


def test_one_tile_is_the_whole_scene(model: Pooled) -> None:
    scene = image()
    whole = model(scene)
    model.observe(scene)
    model.settle()
    assert model.is_settled
    torch.testing.assert_close(model(scene), whole, rtol=1e-12, atol=0)


def test_first_pool_is_exact_after_one_pass_and_all_after_two(model: Pooled) -> None:
    scene = image()
    pooled = scene.mean((-2, -1))[0]
    whole = model(scene)
    observe(model, scene, 4)
    model.settle()
    torch.testing.assert_close(model.first.mean, pooled, rtol=1e-12, atol=0)
    once = (model(scene) - whole).abs().max()
    assert once > 1e-6
    observe(model, scene, 4)
    model.settle()
    torch.testing.assert_close(model(scene), whole, rtol=1e-12, atol=0)


def test_tiles_agree_only_when_settled(model: Pooled) -> None:
    scene = image()
    tiles = scene[..., :8, :8], scene[..., 8:, 8:]

    def bias(tile: Tensor) -> Tensor:
        return (model(tile) - tile).mean()

    assert (bias(tiles[0]) - bias(tiles[1])).abs() > 1e-6
    observe(model, scene, 4)
    model.settle()
    torch.testing.assert_close(bias(tiles[0]), bias(tiles[1]), rtol=1e-12, atol=0)


def test_only_valid_pixels_count(model: Pooled) -> None:
    scene = image()
    damaged = scene.clone()
    damaged[..., :10, :6] = 1e6
    valid = torch.ones(1, 24, 20, dtype=torch.bool)
    valid[:, :10, :6] = False
    model.observe(damaged, valid)
    model.settle()
    expected = scene[0, :, valid[0]].mean(1)
    torch.testing.assert_close(model.first.mean, expected, rtol=1e-12, atol=0)


def test_padding_does_not_count(model: Pooled) -> None:
    odd = image(7, 9)
    weights: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor]) -> None:
        weights.append(inputs[0])

    model.second.register_forward_pre_hook(keep)
    model.observe(odd)
    model.settle()
    features = weights[0][0]
    share = torch.ones(4, 5, dtype=torch.float64)
    share[-1] /= 2
    share[:, -1] /= 2
    expected = (features * share).sum((1, 2)) / share.sum()
    torch.testing.assert_close(model.second.mean, expected, rtol=1e-12, atol=0)


def test_batches_count_as_their_images(model: Pooled) -> None:
    scene = image(16, 8)
    model.observe(torch.cat([scene[..., :8, :], scene[..., 8:, :]]))
    model.settle()
    expected = scene.mean((-2, -1))[0]
    torch.testing.assert_close(model.first.mean, expected, rtol=1e-12, atol=0)


def test_forgets(model: Pooled) -> None:
    scene = image()
    before = model(scene[..., :8, :8])
    observe(model, scene, 8)
    model.settle()
    model.forget()
    assert not model.is_settled
    torch.testing.assert_close(model(scene[..., :8, :8]), before)
    with pytest.raises(EmptyDataError, match='observe'):
        model.settle()


def test_observing_changes_nothing_else(model: Pooled) -> None:
    model.train()
    keys = set(model.state_dict())
    observe(model, image(), 8)
    assert model.training
    assert model.drop.training
    model.settle()
    assert set(model.state_dict()) == keys
    assert not model.first.mean.requires_grad


def test_further_arguments_reach_the_network(model: Pooled) -> None:
    model.observe(image(), gain=1.0)
    model.settle()
    plain = model.second.mean.clone()
    model.forget()
    model.observe(image(), gain=3.0)
    model.settle()
    torch.testing.assert_close(model.second.mean, 3 * plain)


def test_scene_without_a_valid_pixel(model: Pooled) -> None:
    model.observe(image(), torch.zeros(1, 24, 20, dtype=torch.bool))
    with pytest.raises(EmptyDataError, match='no valid pixel'):
        model.settle()


def test_mask_of_another_shape(model: Pooled) -> None:
    with pytest.raises(BandMismatchError, match='Expected valid of shape'):
        model.observe(image(), torch.ones(1, 8, 8, dtype=torch.bool))


def test_image_of_another_scene(model: Pooled) -> None:
    model.observe(image())
    model.settle()
    with pytest.raises(BandMismatchError, match='forget'):
        model.first(torch.rand(1, 5, 4, 4))


def test_local_network_does_nothing() -> None:
    class Local(SceneModel):
        def forward(self, image: Tensor) -> Tensor:
            raise AssertionError

    model = Local()
    model.observe(image())
    model.settle()
    model.forget()
    assert not model.is_settled


def test_compiles_in_one_graph(model: Pooled) -> None:
    scene = image()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(scene), model(scene))
    model.observe(scene)
    model.settle()
    torch.testing.assert_close(compiled(scene), model(scene))


def test_autocast_keeps_the_precision_of_the_mean(model: Pooled) -> None:
    pool = ScenePool()
    x = (torch.arange(64.0).reshape(1, 1, 8, 8) + 1000).bfloat16()
    pool.observe(torch.ones(1, 8, 8, dtype=torch.bool))
    with torch.autocast('cpu', torch.bfloat16):
        pool(x)
    pool.settle()
    assert pool.mean is not None
    assert pool.mean.dtype == torch.float32
    torch.testing.assert_close(pool.mean, x.float().mean((0, 2, 3)))
