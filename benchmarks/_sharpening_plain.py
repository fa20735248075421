# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Plain formulations of pansharpening, as baselines where there is no authors' code."""

from collections.abc import Callable

import numpy as np
import torch
from _sharpening_peers import RATIO, Inputs
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from torchgeo_hsi.physics.resampling import (
    atrous_lowpass,
    decimate,
    interpolate,
    mtf_kernel,
)

type Array = NDArray[np.float64]


def product(first: Array, second: Array) -> Array:
    """Multiply hypercomplex numbers, the units along the first dimension."""
    if len(first) == 1:
        return first * second
    (p, r), (s, u) = np.split(first, 2), np.split(second, 2)
    return np.concatenate(
        [
            product(p, s) - product(_conjugate(u), r),
            product(_conjugate(p), _conjugate(u)) + product(s, _conjugate(r)),
        ]
    )


def _conjugate(x: Array) -> Array:
    return np.concatenate([x[:1], -x[1:]])


def q2n_by_recursion(image: Tensor, truth: Tensor) -> float:
    """Compute Q2n of images of whole blocks, one block and one product at a time."""
    bands, height, width = truth.shape[1:]
    empty = (1 << (bands - 1).bit_length()) - bands
    scores = []
    for row in range(0, height, 32):
        for col in range(0, width, 32):
            place = (0, slice(None), slice(row, row + 32), slice(col, col + 32))
            z, y = (x[place].double().round().numpy() for x in (truth, image))
            mean, deviation = z.mean((1, 2)), z.std((1, 2), ddof=1)
            scale = (x[:, None, None] for x in (mean, np.maximum(deviation, 1e-10)))
            offset, spread = scale
            parts = [(x - offset) / spread + 1 for x in (z, y)]
            ones = [np.ones((empty, 32, 32))]
            scores.append(
                _block_score(*(np.concatenate([part, *ones]) for part in parts))
            )
    return float(np.mean(scores))


def _block_score(z: Array, y: Array) -> float:
    y = _conjugate(y)
    k = 1024 / 1023
    a, b = z.mean((1, 2)), y.mean((1, 2))
    squares = (a**2).sum() + (b**2).sum()
    variance = k * ((z**2 + y**2).mean((1, 2)).sum() - squares)
    bias = 2 * np.sqrt((a**2).sum() * (b**2).sum()) / squares
    covariance = k * (product(z, y).mean((1, 2)) - product(a, b))
    return float(np.linalg.norm(covariance) * bias * 2 / variance)


def gsa(inputs: Inputs) -> Tensor:
    """Sharpen by GSA, with a covariance for each band."""
    cube, pan, up = (x - x.mean((2, 3), keepdim=True) for x in inputs[:3])
    ones = torch.ones_like(cube[:, :1])
    unknowns = torch.cat([cube, ones], 1).flatten(2).mT
    low = decimate(atrous_lowpass(pan, RATIO), RATIO).flatten(2).mT
    weights = torch.linalg.lstsq(unknowns, low).solution[0, :, 0]
    intensity = (torch.cat([up, torch.ones_like(pan)], 1) * weights[:, None, None]).sum(
        1, keepdim=True
    )
    intensity = intensity - intensity.mean()
    bands = []
    for band in up.split(1, 1):
        table = torch.cov(torch.cat([intensity.flatten(1), band.flatten(1)]))
        bands.append(band + table[0, 1] / table[0, 0] * (pan - intensity))
    return torch.cat(bands, 1) + inputs.up.mean((2, 3), keepdim=True)


def mtf_glp_fs(inputs: Inputs) -> Tensor:
    """Sharpen by MTF-GLP-FS, with a PAN for each band."""
    up, (pans, lows) = inputs.up, _pans(inputs)
    bands = []
    for band, pan, low in zip(
        up.split(1, 1), pans.split(1, 1), lows.split(1, 1), strict=True
    ):
        table = torch.cov(torch.cat([x.flatten(1) for x in (band, low, pan)]))
        bands.append(band + table[0, 2] / table[1, 2] * (pan - low))
    return torch.cat(bands, 1)


def mtf_glp_hpm_r(inputs: Inputs) -> Tensor:
    """Sharpen by MTF-GLP-HPM-R, with a PAN for each band."""
    up, (pans, lows) = inputs.up, _pans(inputs)
    bands = []
    for band, pan, low in zip(
        up.split(1, 1), pans.split(1, 1), lows.split(1, 1), strict=True
    ):
        table = torch.cov(torch.cat([x.flatten(1) for x in (band, low)]))
        haze = band.mean() * table[1, 1] / table[0, 1] - pan.mean()
        bands.append(band * ((pan + haze) / (low + haze)).clamp(0, 10))
    return torch.cat(bands, 1)


def _pans(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Return the PAN, and its low-pass, as often as there are bands."""
    count = inputs.cube.shape[1]
    pans = inputs.pan.repeat(1, count, 1, 1)
    kernel = mtf_kernel(0.3, RATIO).to(pans).repeat(count, 1, 1, 1)
    padded = F.pad(pans, (20,) * 4, mode='replicate')
    small = decimate(F.conv2d(padded, kernel, groups=count), RATIO)
    return pans, interpolate(small, RATIO, boundary='circular')


#: Plain formulations by our name of the method.
PLAIN: dict[str, Callable[[Inputs], Tensor]] = {
    'gsa': gsa,
    'mtf_glp_fs': mtf_glp_fs,
    'mtf_glp_hpm_r': mtf_glp_hpm_r,
}
