# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small scenes for super-resolution, and methods of which one knows what they do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.layers import ScenePool
from torchgeo_hsi.models import SuperResolver

BANDS, HEIGHT, WIDTH = 5, 75, 91


class Repeat(SuperResolver):
    """Repeat each pixel, and remember what comes in."""

    def __init__(self, scale: int = 2) -> None:
        super().__init__(scale)
        self.seen: list[Tensor] = []

    def enlarge(self, image: Tensor) -> Tensor:
        self.seen.append(image.clone())
        image = image.repeat_interleave(self.scale, 2)
        return image.repeat_interleave(self.scale, 3)


class Centered(Repeat):
    """Take the mean of the scene away."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.pool = ScenePool()

    def enlarge(self, image: Tensor) -> Tensor:
        return super().enlarge(image - self.pool(image)[..., None, None])


def cube(dtype: str = 'int16', seed: int = 0) -> NDArray[Any]:
    values = np.random.default_rng(seed).uniform(100, 6000, (BANDS, HEIGHT, WIDTH))
    return values.astype(dtype)


def finer(values: NDArray[Any], scale: int) -> NDArray[Any]:
    return values.repeat(scale, -2).repeat(scale, -1)
