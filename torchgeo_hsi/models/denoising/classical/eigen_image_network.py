# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Networks for the images of a subspace."""

import torch
from torch import Tensor, nn

from ....layers import self_ensemble
from ._spectral_scene import SIGMA_SCALE


class EigenImageNetwork(nn.Module):
    """A restoration network that denoises eigen-images.

    Eigen-images differ by orders of magnitude in what they hold, and have the same
    noise. A network gets each of them with mean 0 and standard deviation 1 and is told
    how strong its noise is in that unit; what it changes is taken in units of the
    noise, so it learns the same for a bright image and for a faint one. The sign of an
    eigen-image means nothing; in training it is drawn at random.

    Any network with a noise map will do whose result is its input plus a correction:
    :class:`~torchgeo_hsi.models.HSDT` and :class:`~torchgeo_hsi.models.MAN`. Their
    bands are the eigen-images, strongest first.

    Example:
        >>> from torchgeo_hsi.models import get_model
        >>> network = EigenImageNetwork(get_model('hsdt_s', noise_map=True))
        >>> stack = torch.randn(1, 6, 16, 16)
        >>> network(stack, 255.0, torch.zeros(1, 6), torch.ones(1, 6)).shape
        torch.Size([1, 6, 16, 16])
    """

    #: It wants to be told the mean and the spread of the images.
    needs_range = True

    def __init__(self, network: nn.Module, ensemble: bool = False) -> None:
        """Initialize a new EigenImageNetwork instance.

        Args:
            network: Takes images of shape ``(B, K, H, W)`` and *sigma*, 255 times the
                standard deviation of their noise, of shape ``(B, K)``.
            ensemble: Whether the result is the mean over the eight turns and
                reflections of the images, except in training. It takes eight times as
                long.
        """
        super().__init__()
        self.network = network
        self.ensemble = ensemble

    def forward(
        self, stack: Tensor, sigma: float | Tensor, center: Tensor, spread: Tensor
    ) -> Tensor:
        """Denoise eigen-images.

        Args:
            stack: Eigen-images of shape ``(B, K, H, W)``.
            sigma: 255 times the standard deviation of their noise, a number or of shape
                ``(B, K)``.
            center: Mean of each image, shape ``(B, K)``.
            spread: Standard deviation of each image with its noise, same shape.

        Returns:
            Images of the same shape.
        """
        shape = stack.shape[:2]
        level = torch.as_tensor(sigma, dtype=stack.dtype, device=stack.device)
        level = level.expand(shape)
        center, spread = (part.to(stack).expand(shape) for part in (center, spread))
        if self.training:
            spread = spread * (2 * torch.randint_like(spread, 2) - 1)
        plain = (stack - center[..., None, None]) / spread[..., None, None]
        change = self._change(plain, level / spread.abs())
        # taken back as a multiple of the noise
        unit = spread.sign() * level / SIGMA_SCALE
        return stack + change * unit[..., None, None]

    def _change(self, plain: Tensor, sigma: Tensor) -> Tensor:
        def change(image: Tensor) -> Tensor:
            found: Tensor = self.network(image, sigma) - image
            return found

        if self.training or not self.ensemble:
            return change(plain)
        return self_ensemble(change, plain)
