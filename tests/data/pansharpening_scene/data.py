# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The deterministic scene on which methods of pansharpening have golden numbers."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from torchgeo_hsi.physics.resampling import decimate, mtf_kernel

RATIO, GAIN = 6, 0.3

#: Rows and columns that the published evaluation takes, of 192.
INNER = (..., slice(10, -11), slice(10, -11))


#: Sums in single precision that the published weights were divided by, by their phase;
#: they depend on the order of summation, and 500 of a million rounded pixels on them.
_SUMS = {2: 0.9998025894165039, 1: 0.9999014139175415}

#: One side of the published filter that doubles the number of samples.
_SIDE = (
    *(1.0, 0.610668182370, 0.0, -0.145397186478, 0.0, 0.043619155884, 0.0),
    *(-0.010385513306, 0.0, 0.001615524292, 0.0, -0.000120162964),
)


class GoldenScene(NamedTuple):
    """Numbers of the scene, as float64 of shapes (C, H, W), (H, W) and (C, h, w)."""

    gt: NDArray[np.float64]
    pan: NDArray[np.float64]
    lr: NDArray[np.float64]
    ms: NDArray[np.float64]

    def batch(self, name: str) -> Tensor:
        """Return one of the images as a batch of one."""
        image = torch.from_numpy(getattr(self, name))
        return image[None, None] if image.ndim == 2 else image[None]


@lru_cache(maxsize=4)
def golden_scene(bands: int) -> GoldenScene:
    """Make the scene, 192 x 192 pixels with a ratio of 6."""
    b = np.arange(bands)[:, None, None]
    i, j = np.arange(192)[:, None], np.arange(192)
    gt = 6000 + 40 * b
    gt = gt + (1200 + 5 * b) * np.sin(2 * np.pi * (i / 29 + b / 400)) * np.cos(
        2 * np.pi * j / 37
    )
    gt = gt + 800 * ((i // 7 + j // 11) % 3) * (0.5 + b / 318)
    gt = np.round(gt + 300 * np.sin(2 * np.pi * (i * j) / 997))
    pan = np.round(gt[:26].mean(0))
    image = torch.from_numpy(gt)
    # in single precision, as published: its rounding shows in what is cut off
    padded = F.pad(image.float()[:, None], (20,) * 4, mode='replicate')
    blurred = F.conv2d(padded, mtf_kernel(GAIN, RATIO).float()[None, None])[:, 0]
    lr = np.trunc(decimate(blurred, RATIO).double().numpy())
    return GoldenScene(gt, pan, lr, _published_up(lr))


def _published_up(lr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate as published, with some weights in single precision."""
    size = lr.shape[-1]
    triple = np.zeros((3 * size, size))
    for row in range(3 * size):
        place, phase = divmod(row, 3)
        if phase == 1:
            triple[row, place] = 1
            continue
        # samples lie in the middle of three, so phase 0 is 2 / 3 behind the one before
        thirds = 2 if phase == 0 else 1
        weights = torch.sinc(torch.arange(-30.0, 31.0) + thirds / 3) / _SUMS[thirds]
        for step, weight in zip(range(-30, 31), weights.tolist(), strict=True):
            index = (place - (phase == 0) - step) % (2 * size)
            triple[row, min(index, 2 * size - 1 - index)] += weight
    double = np.zeros((6 * size, 3 * size))
    for row in range(6 * size):
        for sample in range(3 * size):
            # the way around the border may be shorter
            step = abs((row - 1 - 2 * sample + 3 * size) % (6 * size) - 3 * size)
            if step < len(_SIDE):
                double[row, sample] = _SIDE[step]
    matrix = double @ triple
    result: NDArray[np.float64] = np.round(np.clip(matrix @ lr @ matrix.T, 0, 65536))
    return result


def rmse(first: Tensor, second: Tensor) -> float:
    """Compute the root mean square error of the whole image."""
    return float((first - second).square().mean().sqrt())


def ergas(result: Tensor, truth: Tensor) -> float:
    """Compute the ERGAS where the evaluation looks."""
    squares = (result[INNER] - truth[INNER]).square().mean((-2, -1))
    return float(
        (squares / truth[INNER].mean((-2, -1)) ** 2).mean().sqrt() * 100 / RATIO
    )
