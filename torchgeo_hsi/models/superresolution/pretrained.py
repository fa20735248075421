# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The methods for scenes of any sensor, with weights that ship."""

from ..._typing import PathLike
from ..api import register_model
from .band_windows import band_window_superresolution
from .base import SuperResolver
from .subspace import subspace_superresolution

#: Word for the weights that ship.
SHIPPED = 'shipped'

#: Bands of a window of DeepShare, and channels of its features.
_WINDOW, _WIDTH = 32, 32


@register_model
def pretrained_superresolution(
    scale: int = 2, ensemble: bool = False, weights: PathLike | None = SHIPPED
) -> SuperResolver:
    """Build a method with a network that has been trained.

    This is what ``torchgeo-hsi restore superresolve`` does where no method is named. It
    needs no training, and takes any sensor and any number of bands: for a scale of 2,
    ESSAformer enlarges the images of a subspace (:class:`SubspaceSuperResolver`); for a
    scale of 4, DeepShare enlarges windows of bands (:class:`BandWindowSuperResolver`).

    Args:
        scale: Factor of rows and columns, 2 or 4.
        ensemble: Whether the result for a scale of 2 is the mean over the eight turns
            and reflections of the images, which takes eight times as long.
        weights: A file with other weights of the network; None for random ones.

    Returns:
        The method.

    Raises:
        ValueError: If there are no weights for the scale, or no ensemble.

    Example:
        >>> import torch
        >>> model = pretrained_superresolution(scale=2).eval()
        >>> model(torch.rand(1, 50, 16, 16)).shape
        torch.Size([1, 50, 32, 32])
    """
    if scale == 2:
        weights = 'eigen' if weights == SHIPPED else weights
        return subspace_superresolution(weights=weights, ensemble=ensemble)
    if scale != 4:
        raise ValueError(
            f'Weights ship for a scale of 2 and 4, not of {scale}. Train a network of '
            'your own, or take bicubic.'
        )
    if ensemble:
        raise ValueError('There is no ensemble for a scale of 4. Leave ensemble out.')
    return band_window_superresolution(
        weights='windows' if weights == SHIPPED else weights,
        in_channels=_WINDOW,
        scale=4,
        n_feats=_WIDTH,
        residual=True,
    )
