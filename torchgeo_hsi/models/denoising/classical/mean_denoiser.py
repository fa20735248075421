# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several denoisers of images together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....errors import EmptyDataError


class MeanDenoiser(nn.Module):
    """The mean of what several denoisers make of the same images.

    Methods that find the same structure in different ways, such as a filter that looks
    for similar blocks and a network, err in different places. Their mean is better than
    each of them, if none is much worse.

    Example:
        >>> from torchgeo_hsi.models import CollaborativeFilter, WaveletShrinkage
        >>> both = MeanDenoiser([CollaborativeFilter(), WaveletShrinkage()])
        >>> both(torch.rand(1, 4, 24, 24), 30).shape
        torch.Size([1, 4, 24, 24])
    """

    def __init__(self, denoisers: Sequence[nn.Module]) -> None:
        """Initialize a new MeanDenoiser instance.

        Args:
            denoisers: Denoisers of images, see :class:`SubspaceDenoiser`.

        Raises:
            EmptyDataError: If there is none.
        """
        super().__init__()
        if not denoisers:
            raise EmptyDataError('The mean of no denoisers is nothing; give one.')
        self.denoisers = nn.ModuleList(denoisers)

    @property
    def needs_range(self) -> bool:
        """Whether one of them wants to be told the mean and spread of the images."""
        return any(getattr(part, 'needs_range', False) for part in self.denoisers)

    def forward(
        self,
        stack: Tensor,
        sigma: float | Tensor,
        center: Tensor | None = None,
        spread: Tensor | None = None,
    ) -> Tensor:
        """Denoise images.

        Args:
            stack: Images of shape ``(B, K, H, W)``.
            sigma: 255 times the standard deviation of their noise, a number or of shape
                ``(B, K)``.
            center: Mean of each image, shape ``(B, K)``, if one needs it.
            spread: Standard deviation of each image, same shape, if one needs it.

        Returns:
            Images of the same shape.
        """
        results = [
            part(stack, sigma, center, spread)
            if getattr(part, 'needs_range', False)
            else part(stack, sigma)
            for part in self.denoisers
        ]
        return torch.stack(results).mean(0)
