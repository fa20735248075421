# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoisers of eigen-images by name, and how they are called."""

from collections.abc import Callable
from inspect import signature

from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import UnknownNameError
from ...api import get_builder, get_model, list_models
from .bm3d import BM3D
from .collaborative_filter import CollaborativeFilter
from .eigen_image_network import EigenImageNetwork
from .mean_denoiser import MeanDenoiser
from .wavelet_shrinkage import WaveletShrinkage

#: Least standard deviation of an eigen-image; with its noise it has about 1.
_LEAST = 0.5

#: Denoisers that need no training, by name.
DENOISERS: dict[str, Callable[[], nn.Module]] = {
    'bm3d': BM3D,
    'collaborative': CollaborativeFilter,
    'wavelet': WaveletShrinkage,
}


def build_denoiser(
    denoiser: str | list[str] | nn.Module,
    weights: PathLike | None = None,
    ensemble: bool = False,
) -> nn.Module:
    """Build a denoiser of eigen-images.

    Args:
        denoiser: A name of :data:`DENOISERS`, the name of a network with an option
            ``noise_map``, a list of names, or a module.
        weights: Weights of the network.
        ensemble: Whether the network sees the images in eight positions.

    Returns:
        A module for :func:`denoise_images`.

    Raises:
        UnknownNameError: If neither a denoiser nor a network has this name.
        ValueError: If *weights* or *ensemble* are given without the name of a network.
    """
    if isinstance(denoiser, nn.Module):
        _check_options(weights, ensemble, 'a module. Load them into it before')
        return denoiser
    names = [denoiser] if isinstance(denoiser, str) else denoiser
    if all(name in DENOISERS for name in names):
        _check_options(weights, ensemble, f'{denoiser!r}, which has none; leave it out')
    parts = [
        DENOISERS[name]() if name in DENOISERS else _network(name, weights, ensemble)
        for name in names
    ]
    return parts[0] if isinstance(denoiser, str) else MeanDenoiser(parts)


def denoise_images(
    denoiser: nn.Module,
    stack: Tensor,
    sigma: float | Tensor,
    center: Tensor,
    power: Tensor,
) -> Tensor:
    """Denoise images, and tell what the denoiser wants to know.

    Args:
        denoiser: The denoiser.
        stack: Images of shape ``(B, K, H, W)``.
        sigma: 255 times the standard deviation of their noise, a number or of shape
            ``(B, K)``.
        center: Mean of each image, shape ``(B, K)`` or ``(1, K)``.
        power: Mean square of each image with its noise, same shape.

    Returns:
        Images of the same shape.
    """
    given = stack.dtype
    # a network has a precision of its own
    like = next((p for p in denoiser.parameters() if p.is_floating_point()), stack)
    stack = stack.to(like.dtype)
    if isinstance(sigma, Tensor):
        sigma = sigma.to(like.dtype)
    if getattr(denoiser, 'needs_range', False):
        spread = (power - center.square()).clamp_min(_LEAST**2).sqrt()
        clean: Tensor = denoiser(stack, sigma, center, spread)
    else:
        clean = denoiser(stack, sigma)
    return clean.to(given)


def _network(name: str, weights: PathLike | None, ensemble: bool) -> EigenImageNetwork:
    parameters = {
        known: signature(get_builder(known)).parameters for known in list_models()
    }
    networks = [known for known, words in parameters.items() if 'noise_map' in words]
    if name not in networks:
        raise UnknownNameError('denoiser', name, [*DENOISERS, *networks])
    # images have no place in a spectrum that a query could be learned for
    words = {'flex': True} if 'flex' in parameters[name] else {}
    network = get_model(name, weights=weights, noise_map=True, **words)
    return EigenImageNetwork(network, ensemble)


def _check_options(weights: PathLike | None, ensemble: bool, got: str) -> None:
    if weights is not None or ensemble:
        option = 'ensemble=True' if weights is None else 'weights'
        raise ValueError(
            f'Expected {option} only with the name of a network, got {got}.'
        )
