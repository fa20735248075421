# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of pansharpening anew.

Jasper Ridge at a quarter of its resolution, with a PAN of its visible bands, and what
methods make of it. The files of "Real data" in CONTRIBUTING.md have to be there.
"""

import numpy as np
import torch
from _pages import DOCS, save_figure
from _sharpening_pairs import RATIO, RealPair, make_pair
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.models import get_model

#: Rows and columns that are shown.
SHOWN = slice(16, 80)

METHODS = ('gsa', 'mtf_glp_fs', 'rho_pnn')


def _shown(pair: RealPair) -> list[int]:
    """Return the bands of a picture: red, green and blue."""
    assert pair.wavelength is not None
    return [int((pair.wavelength - x).abs().argmin()) for x in (0.64, 0.555, 0.468)]


def picture(cube: Tensor, pair: RealPair) -> NDArray[np.float64]:
    """Show three visible bands, stretched like those of the truth."""
    bands = _shown(pair)
    low, high = np.quantile(pair.target[bands].flatten(1), (0.01, 0.99), axis=1)
    values = (cube[bands].numpy().transpose(1, 2, 0) - low) / (high - low)
    return np.clip(values, 0, 1)


def main() -> None:
    """Make all pictures."""
    pair = make_pair('jasper_ridge')
    coarse = slice(SHOWN.start // RATIO, SHOWN.stop // RATIO)
    images = {
        'cube': picture(pair.image[:, coarse, coarse], pair),
        'PAN': pair.pan[0, SHOWN, SHOWN].numpy(),
    }
    for name in METHODS:
        model = get_model(name).eval()
        image, sharp = pair.image, torch.zeros_like(pair.target)
        # one network after the other would be tuned for an hour to bands not shown
        chosen = sorted(_shown(pair)) if name == 'rho_pnn' else list(range(len(image)))
        with torch.inference_mode():
            sharp[chosen] = model(image[None, chosen], pair.pan[None])[0]
        images[name] = picture(sharp[:, SHOWN, SHOWN], pair)
    images['truth'] = picture(pair.target[:, SHOWN, SHOWN], pair)
    figure = Figure(figsize=(9, 1.8), layout='constrained')
    for axis, (title, image) in zip(
        figure.subplots(1, len(images)), images.items(), strict=True
    ):
        axis.imshow(image, cmap='gray', interpolation='nearest')
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    save_figure(figure, DOCS / 'pansharpening' / 'images' / 'scene.png', dpi=110)


if __name__ == '__main__':
    main()
