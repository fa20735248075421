# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of real cubes anew.

An AVIRIS scene and an EnMAP tile that no weights have been trained on, with the mixture of
noises of the literature: noisy, restored, truth and spectra. The files of "Real data" in
CONTRIBUTING.md have to be there.
"""

import rasterio
import torch
from _pages import DOCS, save_figure
from _real_cubes import DATA, NODATA, noisy_pair
from torch import Tensor

from torchgeo_hsi.callbacks import draw_restoration
from torchgeo_hsi.cli._methods import METHODS
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.models import get_model

NOISE = 'mixture'
CUBES = {'aviris.png': 'abu-urban-4', 'enmap.png': 'enmap_96_0'}


def wavelengths(name: str) -> dict[str, Tensor]:
    """Return the wavelengths of a cube, if its file knows them."""
    stem = name.removeprefix('enmap_')
    path = DATA / 'enmap_potsdam' / 'images' / f'enmap_potsdam_tile_{stem}.tif'
    if not path.exists():
        return {}
    with open_cube(path) as reader:
        assert reader.info.bands is not None
        centers = torch.tensor(reader.info.bands.wavelength.tolist())
    # as in read_cube: without the bands that lack data
    with rasterio.open(path) as file:
        kept = centers[torch.from_numpy((file.read() != NODATA).all((1, 2)))]
    return {'wavelength': kept}


def main() -> None:
    """Make all pictures."""
    model = get_model(METHODS['denoiser']).eval()
    for file, name in CUBES.items():
        noisy, clean = noisy_pair(name, NOISE)
        with torch.inference_mode():
            restored = model(noisy)
        sample = {'image': noisy[0], 'target': clean[0]}
        sample |= wavelengths(name)
        picture = DOCS / 'denoising' / 'images' / file
        save_figure(draw_restoration(sample, restored[0]), picture, dpi=64, colors=128)


if __name__ == '__main__':
    main()
