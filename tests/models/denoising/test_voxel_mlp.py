# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import torch
from torch import nn

from torchgeo_hsi.layers import VolumeConv
from torchgeo_hsi.models.denoising._voxel_mlp import VoxelGates, VoxelMLP, fuse, tanh_

CHANNELS = 6


def mlp(seed: int) -> VoxelMLP:
    torch.manual_seed(seed)
    module = VoxelMLP(CHANNELS)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module.double()


def plain(module: VoxelMLP, x: torch.Tensor) -> torch.Tensor:
    inner, outer = module.w_1, module.w_2
    hidden = torch.tanh(x @ inner.weight.flatten(1).T + inner.bias)
    return hidden @ outer.weight.flatten(1).T + outer.bias


def test_formula_and_halves() -> None:
    module, x = mlp(0), torch.randn(1, 3, 2, 2, CHANNELS).double()
    torch.testing.assert_close(module(x), plain(module, x))
    torch.testing.assert_close(torch.cat(module.halves(x), -1), plain(module, x))


def test_gates_by_sigmoids_alone() -> None:
    first, second, x = mlp(0), mlp(1), torch.randn(3, 2, 2, CHANNELS).double()
    expected = plain(first, x).tanh(), plain(second, x).sigmoid()
    with torch.no_grad():
        for halves in (False, True):
            found = VoxelGates(first, second, halves=halves)(x)
            assert all(len(parts) == 1 + halves for parts in found)
            for parts, wanted in zip(found, expected, strict=True):
                torch.testing.assert_close(torch.cat(parts, -1), wanted)


def test_tanh() -> None:
    x = torch.linspace(-20, 20, 1001)
    torch.testing.assert_close(tanh_(x.clone()), x.tanh(), rtol=0, atol=3e-7)


def test_fusion() -> None:
    torch.manual_seed(0)
    mix = VolumeConv(2 * CHANNELS, CHANNELS, 1).double()
    conv = VolumeConv(CHANNELS, CHANNELS, 3, padding=1).double()
    x, skip = torch.randn(2, 2, 5, 4, 4, CHANNELS).double()
    with torch.no_grad():
        weight = conv(mix(torch.cat((x, skip), -1)).tanh()).sigmoid()
        expected = (1 - weight) * x + weight * skip
        out = fuse(x, skip, nn.Sequential(mix, nn.Tanh(), conv), torch.tanh_)
    assert out is x
    torch.testing.assert_close(out, expected)
