# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The method for scenes of which nothing is known: a subspace, and weights that ship."""

from ..api import register_model
from .classical import RobustSubspaceDenoiser, robust_subspace


@register_model
def pretrained_subspace(
    network: str = 'hsdt_s',
    weights: str = 'eigen',
    collaborative: bool = False,
    ensemble: bool = False,
    rank: int | None = None,
) -> RobustSubspaceDenoiser:
    """Build :class:`RobustSubspaceDenoiser` with a network that has been trained.

    This is what ``torchgeo-hsi restore denoise`` does where no method is named. It
    needs no training, takes any sensor and any number of bands, and estimates the noise
    by itself.

    Args:
        network: Name of the network for the eigen-images, ``'hsdt_s'`` or ``'man_s'``.
        weights: Name of its weights, see :func:`list_weights`, or a file.
        collaborative: Whether the result is the mean with that of
            :class:`CollaborativeFilter`, which is better where the noise is strong, and
            takes ten times as long.
        ensemble: Whether the network sees the images in eight positions.
        rank: Dimension of the subspace; found by default.

    Returns:
        The method.

    Raises:
        UnknownNameError: If there is no such network, or no such weights of it.

    Example:
        >>> import torch
        >>> model = pretrained_subspace()
        >>> model.eval()(torch.rand(1, 50, 32, 32)).shape
        torch.Size([1, 50, 32, 32])
    """
    denoiser = ['collaborative', network] if collaborative else network
    return robust_subspace(denoiser, weights, rank, ensemble)
