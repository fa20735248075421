# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weighted sum of losses of cubes."""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import UnknownNameError
from .band_psnr import BandPSNRLoss
from .charbonnier import CharbonnierLoss
from .gradient import GradientLoss
from .masked_l1 import MaskedL1Loss
from .masked_mse import MaskedMSELoss
from .spatial_variation import SpatialVariationLoss
from .spectral_angle import SpectralAngleLoss
from .spectral_variation import SpectralVariationLoss

_TERMS: dict[str, type[nn.Module]] = {
    'charbonnier': CharbonnierLoss,
    'gradient': GradientLoss,
    'l1': MaskedL1Loss,
    'mse': MaskedMSELoss,
    'psnr': BandPSNRLoss,
    'sam': SpectralAngleLoss,
    'spatial_tv': SpatialVariationLoss,
    'spectral_tv': SpectralVariationLoss,
}


class RestorationLoss(nn.Module):
    """Weighted sum of losses, by their names.

    ``{'l1': 1.0, 'spatial_tv': 1e-3, 'spectral_tv': 1e-3}`` is the hybrid loss of SSPSR
    and HSISR.

    Args:
        terms: Name of a loss, or weights by name: ``'l1'`` (:class:`MaskedL1Loss`),
            ``'mse'`` (:class:`MaskedMSELoss`), ``'charbonnier'``
            (:class:`CharbonnierLoss`), ``'sam'`` (:class:`SpectralAngleLoss`),
            ``'psnr'`` (:class:`BandPSNRLoss`), ``'gradient'`` (:class:`GradientLoss`),
            ``'spatial_tv'``
            (:class:`SpatialVariationLoss`) and ``'spectral_tv'``
            (:class:`SpectralVariationLoss`).

    Example:
        >>> import torch
        >>> loss = RestorationLoss({'l1': 1.0, 'sam': 0.1})
        >>> loss(torch.full((1, 5, 8, 8), 0.4), torch.full((1, 5, 8, 8), 0.5))
        tensor(0.1000)
    """

    def __init__(self, terms: str | Mapping[str, float] = 'mse') -> None:
        """Initialize a new RestorationLoss instance.

        Raises:
            UnknownNameError: If there is no such loss.
            ValueError: If a weight is negative or not finite, or none is positive.
        """
        super().__init__()
        self.weights = {terms: 1.0} if isinstance(terms, str) else dict(terms)
        for name, weight in self.weights.items():
            if name not in _TERMS:
                raise UnknownNameError('loss', name, _TERMS)
            if not 0 <= weight < math.inf:
                raise ValueError(
                    f'Expected finite weights of 0 or more, got {weight} for {name!r}.'
                )
        if not any(self.weights.values()):
            raise ValueError(
                f'Expected at least one positive weight, got {self.weights}.'
            )
        self.terms = nn.ModuleDict({name: _TERMS[name]() for name in self.weights})

    def forward(
        self, input: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            input: Predicted cubes of shape ``(B, C, H, W)``.
            target: True cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            The weighted sum; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        parts = [
            weight * self.terms[name](input, target, valid)
            for name, weight in self.weights.items()
            if weight
        ]
        total: Tensor = sum(parts[1:], parts[0])
        return total
