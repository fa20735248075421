# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Real cubes for pansharpening, with panchromatic images made of their bands."""

from dataclasses import dataclass

import numpy as np
import rasterio
import torch
from _real_cubes import DATA, NODATA, read_cube
from scipy.io import loadmat
from torch import Tensor

from torchgeo_hsi.physics import get_sensor, pan_weights, simulate_pan
from torchgeo_hsi.physics.resampling import mtf_decimate

RATIO, GAIN = 4, 0.3

#: Bands of the cubes without wavelengths that make the PAN: about the visible ones.
_VISIBLE = slice(2, 33)

#: EnMAP tiles that make a square of 64 x 64 pixels: row, column.
_SQUARE = ((160, 128), (160, 160), (192, 128), (192, 160))


@dataclass(frozen=True)
class RealPair:
    """A pair at reduced resolution.

    Args:
        name: Name of the cube.
        image: Cube of shape ``(C, h, w)``.
        pan: PAN of shape ``(1, H, W)``.
        target: Truth of shape ``(C, H, W)``.
        wavelength: Band centers in micrometres, or None.
        source: How the PAN was made.
    """

    name: str
    image: Tensor
    pan: Tensor
    target: Tensor
    wavelength: Tensor | None
    source: str

    def sample(self) -> dict[str, Tensor]:
        """Return the pair as datasets do."""
        found = {'image': self.image, 'pan': self.pan, 'target': self.target}
        if self.wavelength is not None:
            found['wavelength'] = self.wavelength
        return found


def make_pair(name: str, ratio: int = RATIO) -> RealPair:
    """Make a pair of a real cube.

    Args:
        name: ``'jasper_ridge'``, ``'enmap'``, or one of the ABU scenes.
        ratio: Ratio of pixel sizes.

    Returns:
        The pair, cropped so that the ratio divides it.
    """
    if name == 'enmap':
        cube, wavelength, fwhm = _enmap()
        weights = pan_weights(wavelength, fwhm)
        source = 'spectral responses of EnMAP, 0.4 to 0.7 µm'
    elif name == 'jasper_ridge':
        cube, wavelength = read_cube(name), _jasper_bands()
        weights = pan_weights(wavelength)
        source = 'nominal AVIRIS bands, 0.4 to 0.7 µm'
    else:
        cube, wavelength = read_cube(name), None
        weights = torch.zeros(len(cube))
        weights[_VISIBLE] = 1 / (_VISIBLE.stop - _VISIBLE.start)
        source = 'mean of bands 2 to 32, as the file has no wavelengths'
    height, width = (length // ratio * ratio for length in cube.shape[1:])
    cube = cube[:, :height, :width].contiguous()
    pan = simulate_pan(cube, weights)
    return RealPair(
        name, mtf_decimate(cube, GAIN, ratio), pan, cube, wavelength, source
    )


def _enmap() -> tuple[Tensor, Tensor, Tensor]:
    """Read four tiles of Potsdam that make a square."""
    tiles, centers, widths = {}, [], []
    for place in _SQUARE:
        name = f'enmap_potsdam_tile_{place[0]}_{place[1]}.tif'
        with rasterio.open(DATA / 'enmap_potsdam' / 'images' / name) as file:
            tiles[place] = file.read()
            tags = [file.tags(band) for band in file.indexes]
        centers = [float(tag['wavelength']) / 1000 for tag in tags]
        widths = [float(tag['fwhm']) / 1000 for tag in tags]
    rows = sorted({row for row, _ in _SQUARE})
    cols = sorted({col for _, col in _SQUARE})
    whole = np.concatenate(
        [np.concatenate([tiles[row, col] for col in cols], 2) for row in rows], 1
    )
    order = np.argsort(centers)
    # bands of two detectors overlap, and bands of water lack data
    order = order[(whole[order] != NODATA).all((1, 2))]
    return (
        torch.from_numpy(whole[order].astype(np.float32)),
        torch.tensor(np.array(centers)[order], dtype=torch.float32),
        torch.tensor(np.array(widths)[order], dtype=torch.float32),
    )


def _jasper_bands() -> Tensor:
    """Return the nominal wavelengths of the bands that were kept."""
    kept = loadmat(DATA / 'aviris' / 'jasper_ridge.mat')['SlectBands'].ravel() - 1
    centers = np.asarray(get_sensor('aviris').bands.wavelength)
    return torch.tensor(centers[kept], dtype=torch.float32)
