# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pictures of pairs of a cube and a panchromatic image."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._typing import Sample
from ._spectrum import to_array, usable
from .plotting import composite, sample_views


def plot_pair(
    sample: Sample, *, show_titles: bool = True, suptitle: str | None = None
) -> Figure:
    """Draw cube, panchromatic image, and truth and prediction where there are some.

    Args:
        sample: Sample with ``image`` and ``pan``; used if present are ``target``,
            ``prediction``, ``valid``, ``pan_valid`` and ``wavelength``.
        show_titles: Whether to show a title above each panel.
        suptitle: Title of the whole figure.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.

    Raises:
        torchgeo.datasets.RGBBandsMissingError: If no known wavelength is visible.
        UnitError: If the wavelengths look like nanometres.
    """
    pan = to_array(sample['pan'])
    fine = usable(pan, sample.get('pan_valid'))
    panels: list[tuple[str, NDArray[np.float32]]] = [
        _first('Cube', sample, 'image', 'valid'),
        ('Panchromatic', composite(pan, (0, 0, 0), fine)),
    ]
    for key in ('target', 'prediction'):
        if key in sample:
            panels.append(_first(key.capitalize(), sample, key, 'pan_valid'))
    fig = plt.figure(figsize=(3.6 * len(panels), 4.2), layout='constrained')
    for number, (title, picture) in enumerate(panels):
        ax = fig.add_subplot(1, len(panels), number + 1)
        ax.imshow(picture, interpolation='nearest')
        ax.axis('off')
        if show_titles:
            height, width = picture.shape[:2]
            ax.set_title(f'{title}\n{height} x {width} pixels', fontsize=11)
    if suptitle is not None:
        fig.suptitle(suptitle, fontsize=13)
    return fig


def _first(
    title: str, sample: Sample, key: str, mask: str
) -> tuple[str, NDArray[np.float32]]:
    """Return the true-color view of a cube."""
    part: Sample = {'image': sample[key]}
    if mask in sample:
        part['valid'] = sample[mask]
    if 'wavelength' in sample:
        part['wavelength'] = sample['wavelength']
    return title, sample_views(part)[0][1]
