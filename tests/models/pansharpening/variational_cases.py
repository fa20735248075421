# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes for variational methods of pansharpening."""

import numpy as np
import torch
from data.pansharpening_scene.data import golden_scene
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.physics.resampling import mtf_decimate

Array = NDArray[np.float64]


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def scene(bands: int, height: int, width: int, ratio: int) -> tuple[Tensor, ...]:
    """Cut a part out of the golden scene, with a cube and a PAN of it."""
    fine = golden_scene(32).batch('gt')[:, :bands, : height * ratio, : width * ratio]
    return fine, mtf_decimate(fine, 0.3, ratio), fine.mean(1, keepdim=True)
