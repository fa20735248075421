# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""BM4D, as its authors distribute it."""

import torch
from torch import Tensor

from ...api import register_model
from ._block_matching import load_package
from ._spectral_scene import SpectralSceneModel, in_gaps


class BM4D(SpectralSceneModel):
    """Denoise a cube as a volume with the package bm4d.

    A shell around the package of the authors (https://doi.org/10.1109/TIP.2012.2210725,
    https://doi.org/10.1109/TIP.2020.3014721), which has to be installed and allows
    non-commercial use only. It takes minutes for an image of 100 x 100 pixels and 200
    bands. Bands are divided by their noise, because the package expects the same noise
    everywhere.

    Raises:
        ImportError: If the package is not installed.

    Example:
        >>> model = BM4D()  # doctest: +SKIP
        >>> model(torch.rand(1, 31, 16, 16), 25.0).shape  # doctest: +SKIP
        torch.Size([1, 31, 16, 16])
    """

    def __init__(self) -> None:
        """Initialize a new BM4D instance."""
        super().__init__()
        self._package = load_package('bm4d')

    def forward(
        self,
        image: Tensor,
        sigma: float | Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Denoise a batch.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            sigma: Standard deviation of the noise, times 255: a number, or those of the
                bands, shape ``(C,)`` or ``(B, C)``; estimated by default.
            valid: True for pixels with data, shape ``(B, H, W)``; all by default. The
                others stay as they are.

        Returns:
            Images of the same shape.

        Raises:
            BandMismatchError: If shapes do not fit.
            EmptyDataError: If an image has no valid pixel.
            UnitError: If *sigma* is not positive.
        """
        moments = self.moments(image, valid)
        noise = self.noise(moments, sigma).expand(len(image), -1)[..., None, None]
        white = in_gaps(image.double(), moments.mean[..., None, None], valid) / noise
        clean = [
            torch.from_numpy(
                self._package.bm4d(cube.permute(1, 2, 0).cpu().numpy(), 1.0)
            )
            for cube in white
        ]
        result = (torch.stack(clean).permute(0, 3, 1, 2).to(noise) * noise).to(
            image.dtype
        )
        return in_gaps(result, image, valid)


@register_model
def bm4d() -> BM4D:
    """Build :class:`BM4D`, which needs the package bm4d.

    Returns:
        The method.

    Raises:
        ImportError: If the package is not installed.
    """
    return BM4D()
