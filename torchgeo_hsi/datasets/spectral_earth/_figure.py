# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A picture of several dates of one place."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from ..._typing import Sample
from ..plotting import plot_spectrum, true_color


def plot_dates(
    sample: Sample, num_bands: int, show_titles: bool, suptitle: str | None
) -> Figure:
    """Plot the true color and the mean spectrum of each date of a sample.

    Args:
        sample: Sample with ``image`` of shape ``(C, H, W)``, ``(2 * C, H, W)`` or
            ``(T, C, H, W)``.
        num_bands: Bands of one date.
        show_titles: Whether to show titles.
        suptitle: Title of the whole figure.

    Returns:
        The figure. Pixels that are not valid are grey and count nowhere.

    Raises:
        torchgeo.datasets.RGBBandsMissingError: If there is no visible band.
    """
    image = sample['image']
    height, width = image.shape[-2:]
    images = image.reshape(-1, num_bands, height, width)
    dates = len(images)
    if 'valid' in sample:
        valid = sample['valid'].reshape(dates, height, width)
    else:
        valid = torch.ones(dates, height, width, dtype=torch.bool)
    wavelength = sample['wavelength']
    centers = wavelength.reshape(-1, num_bands).expand(dates, num_bands)
    pictures = [
        true_color(*parts) for parts in zip(images, centers, valid, strict=True)
    ]
    fig, axes = plt.subplots(
        2,
        dates,
        squeeze=False,
        sharey='row',
        figsize=(4.2 * dates, 6.4),
        layout='constrained',
    )
    for i, picture in enumerate(pictures):
        axes[0, i].imshow(picture, interpolation='nearest')
        axes[0, i].axis('off')
        plot_spectrum(images[i], centers[i], valid[i], ax=axes[1, i])
        if show_titles:
            axes[0, i].set_title(f'View {i + 1}' if dates > 1 else 'True color')
            axes[1, i].set_title('Mean spectrum of the valid pixels', fontsize=10)
    if suptitle is not None:
        fig.suptitle(suptitle)
    return fig
