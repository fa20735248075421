# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Draw how many directions features fill, epoch by epoch."""

from collections.abc import Mapping

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

#: Least share of the variance that is drawn.
_LEAST = 1e-8


def draw_representation(
    spectra: Mapping[int, Tensor], ranks: Mapping[int, float]
) -> Figure:
    """Draw eigen-spectra of features, and their effective rank.

    Args:
        spectra: Epochs, and eigenvalues of shape ``(F,)``, the largest first.
        ranks: Epochs, and effective ranks.

    Returns:
        The figure: the share that each direction has of the variance, on logarithmic
        axes with a color for the epoch, and the curve of the rank. Close it with
        ``matplotlib.pyplot.close``.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not spectra or not ranks:
        raise ValueError('Expected the eigen-spectrum of at least one epoch, got none.')
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    left, right = axes
    epochs = sorted(spectra)
    scale = Normalize(min(epochs), max(max(epochs), min(epochs) + 1))
    colors = mpl.colormaps['viridis']
    for epoch in epochs:
        _draw_spectrum(left, spectra[epoch], colors(scale(epoch)))
    left.set(xscale='log', yscale='log', ylim=(_LEAST, 2))
    left.set_xlabel('Direction')
    left.set_ylabel('Share of the variance')
    figure.colorbar(ScalarMappable(scale, colors), ax=left, label='Epoch')
    right.plot(sorted(ranks), [ranks[e] for e in sorted(ranks)], '.-', color='0.2')
    right.set_ylim(bottom=0)
    right.set_xlabel('Epoch')
    right.set_ylabel('Effective rank')
    right.grid(color='0.9')
    return figure


def _draw_spectrum(ax: Axes, spectrum: Tensor, color: object) -> None:
    values = spectrum.double().numpy()
    share = values / max(values.sum(), np.finfo(float).tiny)
    seen = share > _LEAST
    ax.plot(np.arange(1, len(share) + 1)[seen], share[seen], color=color, lw=1.2)
