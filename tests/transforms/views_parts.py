# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Parts of views that the tests share."""

from collections.abc import Callable

import torch
from torch import nn

from torchgeo_hsi.transforms import (
    BandDropout,
    Illumination,
    MultiView,
    RandomBandSubset,
    RandomSensor,
    SensorNoise,
    SpectralJitter,
    SpectralMask,
    SpectralMixup,
    dino_views,
    intl_views,
    mae_views,
    moco_views,
)

RECIPES: dict[str, Callable[..., MultiView]] = {
    'moco': moco_views,
    'dino': dino_views,
    'mae': mae_views,
    'intl': intl_views,
}


def all_parts(seed: torch.Generator | None = None) -> list[nn.Module]:
    """One of each transform of spectra."""
    return [
        Illumination(offset=20.0, generator=seed),
        SpectralJitter(generator=seed),
        SpectralMixup(0.5, generator=seed),
        SensorNoise(reflectance=10_000.0, generator=seed),
        BandDropout(generator=seed),
        SpectralMask(generator=seed),
        RandomSensor(['sentinel2'], 1.0, generator=seed),
        RandomBandSubset(3, generator=seed),
    ]
