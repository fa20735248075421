# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Real cubes: what is held back from all trainings, and how restored ones are scored."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import torch
from scipy.io import loadmat
from torch import Tensor

from torchgeo_hsi.metrics import mean_spectral_angle, mpsnr, mssim
from torchgeo_hsi.transforms.noise import get_noise

#: Real cubes; see "Real data" in CONTRIBUTING.md.
DATA = Path(
    os.environ.get('TORCHGEO_HSI_DATA', Path(__file__).parents[2] / 'shared' / 'data')
)

#: Cubes that no weights of ours have been trained on.
HELD_BACK = (
    'abu-urban-4',
    'abu-airport-3',
    'jasper_ridge',
    'enmap_96_0',
    'enmap_128_128',
)
NOISES = ('gaussian_30', 'gaussian_50', 'gaussian_70', 'gaussian_blind', 'mixture')

NODATA = -32768


class Scores(NamedTuple):
    """How close a denoised cube is to the truth.

    Args:
        mpsnr: Mean over bands of the peak signal-to-noise ratio in dB.
        mssim: Mean over bands of the structural similarity.
        sam: Mean spectral angle in degrees.
    """

    mpsnr: float
    mssim: float
    sam: float


@cache
def list_cubes() -> tuple[str, ...]:
    """List the names of all real cubes."""
    aviris = [path.stem for path in sorted((DATA / 'aviris').glob('*.mat'))]
    tiles = sorted((DATA / 'enmap_potsdam' / 'images').glob('*.tif'))
    return (*aviris, *('enmap_' + tile.stem.partition('tile_')[2] for tile in tiles))


def read_cube(name: str) -> Tensor:
    """Read a cube as it is in its file, without bands that lack data.

    Args:
        name: One of :func:`list_cubes`.

    Returns:
        Cube of shape ``(C, H, W)``, float32.
    """
    if name.startswith('enmap_'):
        stem = name.removeprefix('enmap_')
        path = DATA / 'enmap_potsdam' / 'images' / f'enmap_potsdam_tile_{stem}.tif'
        with rasterio.open(path) as file:
            cube = file.read()
        cube = cube[(cube != NODATA).all((1, 2))]
    else:
        content = loadmat(DATA / 'aviris' / f'{name}.mat')
        if 'Y' in content:
            # MATLAB counts pixels down the columns
            cube = content['Y'].reshape(-1, 100, 100).swapaxes(1, 2)
        else:
            cube = content['data'].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(cube, dtype=np.float32))


def scaled(cube: Tensor, quantile: float = 0.999) -> Tensor:
    """Scale a cube so that its lowest number is 0 and a quantile is 1.

    The highest number of these cubes is often a single defect; with ``quantile=1`` it
    counts, as in most papers.
    """
    low = cube.min()
    high = np.quantile(cube.numpy(), quantile)
    return (cube - low) / float(high - low)


def noisy_pair(
    name: str, noise: str, seed: int = 0, quantile: float = 0.999
) -> tuple[Tensor, Tensor]:
    """Make a noisy cube, always the same for a seed.

    Args:
        name: One of :func:`list_cubes`.
        noise: Name of the noise.
        seed: Seed of the noise.
        quantile: Quantile of the cube that becomes 1.

    Returns:
        Noisy and clean cube, shape ``(1, C, H, W)``.
    """
    clean = scaled(read_cube(name), quantile)
    transform = get_noise(noise)
    transform.reseed(seed)
    return transform({'image': clean})['image'][None], clean[None]


def score(denoised: Tensor, clean: Tensor) -> Scores:
    """Score a denoised cube, without clamping it.

    Args:
        denoised: Cube of shape ``(1, C, H, W)``.
        clean: The truth.

    Returns:
        The scores.
    """
    return Scores(
        float(mpsnr(denoised, clean)),
        float(mssim(denoised, clean)),
        float(mean_spectral_angle(denoised, clean, unit='degrees')),
    )


def evaluate(
    denoise: Callable[[Tensor], Tensor],
    cubes: tuple[str, ...] = HELD_BACK,
    noises: tuple[str, ...] = NOISES,
    seed: int = 0,
    verbose: bool = True,
) -> dict[str, dict[str, Scores]]:
    """Score a method on cubes that were held back.

    Args:
        denoise: Takes a noisy cube of shape ``(1, C, H, W)`` and returns it denoised.
        cubes: Names of cubes.
        noises: Names of noises.
        seed: Seed of the noise.
        verbose: Whether to print the scores.

    Returns:
        Scores by noise and cube; ``'mean'`` is the mean of the cubes.
    """
    table: dict[str, dict[str, Scores]] = {}
    for noise in noises:
        table[noise] = {}
        for cube in cubes:
            noisy, clean = noisy_pair(cube, noise, seed)
            with torch.inference_mode():
                table[noise][cube] = score(denoise(noisy), clean)
        mean = np.mean(list(table[noise].values()), axis=0).tolist()
        table[noise]['mean'] = Scores(*mean)
        if verbose:
            cells = '  '.join(
                f'{name} {s.mpsnr:.2f}/{s.mssim:.3f}/{s.sam:.2f}'
                for name, s in table[noise].items()
            )
            print(f'{noise:15s} {cells}', flush=True)
    return table
