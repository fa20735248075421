# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""An image of known truth, and noise."""

import torch
from torch import Tensor

NAMES = ('svd', 'hyres', 'fasthyde', 'lrtv', 'robust_subspace')
SIGMA = 30.0


def truth(bands: int = 40, side: int = 48, seed: int = 0) -> Tensor:
    """Draw fields of three materials with smooth spectra and a little shading."""
    rng = torch.Generator().manual_seed(seed)
    wave = torch.linspace(0, 3, bands)
    spectra = torch.stack([0.5 + 0.3 * (wave * k + k).sin() for k in (1.0, 1.7, 2.3)])
    blocks = torch.randint(0, 3, (side // 8 + 1, side // 8 + 1), generator=rng)
    fields = blocks.repeat_interleave(8, 0).repeat_interleave(8, 1)[:side, :side]
    shade = 0.8 + 0.2 * torch.linspace(0, 6, side).sin()
    return (spectra[fields] * shade[:, None]).permute(2, 0, 1)[None].contiguous()


def gaussian(clean: Tensor, sigma: float | Tensor = SIGMA, seed: int = 1) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return clean + sigma / 255 * torch.randn(clean.shape, generator=rng)


def gain(denoised: Tensor, noisy: Tensor, clean: Tensor) -> float:
    """Return by how many dB the error has become smaller."""
    before, after = ((x - clean).square().mean() for x in (noisy, denoised))
    return float(10 * (before / after).log10())
