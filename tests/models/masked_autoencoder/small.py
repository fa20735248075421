# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small masked autoencoder, and images for it."""

from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor

from torchgeo_hsi.models.masked_autoencoder.model import MaskedAutoencoder, Masking

BANDS, SIZE = 80, 16

MODES: tuple[Masking, ...] = ('spatial', 'spectral', 'both')

SMALL: dict[str, Any] = {'decoder_dim': 32, 'decoder_heads': 4}


def make_vit(name: str = 'spec_vit_tiny', bands: int = BANDS, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    plain: dict[str, Any] = {'patch_size': 4} if name.startswith('vit_') else {}
    if name.endswith('_wl'):
        plain['wavelength'] = np.linspace(0.42, 2.45, bands)
    words = {'img_size': SIZE, 'embed_dim': 24, 'depth': 2, 'num_heads': 3}
    return timm.create_model(
        name, in_chans=bands, num_classes=0, **(words | plain | kwargs)
    )


def make(name: str = 'spec_vit_tiny', **kwargs: Any) -> MaskedAutoencoder:
    words = {k: kwargs.pop(k) for k in ('bands', 'img_size') if k in kwargs}
    vit = make_vit(name, **words, **kwargs.pop('vit', {}))
    return MaskedAutoencoder(vit, **(SMALL | {'mask_ratio': 0.75} | kwargs))


def images(count: int = 3, bands: int = BANDS, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, bands, size, size, generator=generator)


def valid_pixels(count: int = 3, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    valid = torch.rand(count, size, size, generator=generator) > 0.3
    # a whole token, and all but one pixel of another one
    valid[0, :4, :4] = False
    valid[0, :4, 4:8] = False
    valid[0, 1, 5] = True
    return valid


def as_patches(image: np.ndarray, size: int = 4) -> np.ndarray:
    """Cut one image into patches by loops: pixel by pixel, bands last."""
    bands, height, width = image.shape
    rows = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            patch = image[:, top : top + size, left : left + size]
            rows.append([patch[:, a, b] for a in range(size) for b in range(size)])
    return np.array(rows).reshape(-1, size * size, bands)
