# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""BM3D, as its authors distribute it."""

import torch
from torch import Tensor, nn

from ._block_matching import load_package
from ._spectral_scene import SIGMA_SCALE, check_image, given_noise


class BM3D(nn.Module):
    """Denoise each image on its own with the package bm3d.

    A shell around the package of the authors (https://doi.org/10.1109/TIP.2007.901238,
    https://doi.org/10.1109/TIP.2020.3014721), which has to be installed and allows
    non-commercial use only. :class:`CollaborativeFilter` needs neither.

    Raises:
        ImportError: If the package is not installed.

    Example:
        >>> model = BM3D()  # doctest: +SKIP
        >>> model(torch.rand(1, 6, 32, 32), 25.0).shape  # doctest: +SKIP
        torch.Size([1, 6, 32, 32])
    """

    def __init__(self) -> None:
        """Initialize a new BM3D instance."""
        super().__init__()
        self._package = load_package('bm3d')

    def forward(self, image: Tensor, sigma: float | Tensor) -> Tensor:
        """Denoise a batch.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            sigma: Standard deviation of the noise, times 255: one number, or those of
                all images, shape ``(C,)`` or ``(B, C)``.

        Returns:
            Images of the same shape; those of less than 8 pixels in height or width
            stay as they are.

        Raises:
            BandMismatchError: If shapes do not fit.
            UnitError: If *sigma* is not positive.
        """
        check_image(image)
        level = given_noise(sigma, image) / SIGMA_SCALE
        if min(image.shape[-2:]) < 8:
            # a block of the package has 8 x 8 pixels
            return image
        levels = level.expand(len(image), -1).flatten().tolist()
        # the package thinks of numbers in [0, 1]
        bands = image.detach().double().flatten(0, 1)
        low, high = bands.amin((1, 2)), bands.amax((1, 2))
        width = (high - low).clamp_min(1e-12)
        unit = ((bands - low[:, None, None]) / width[:, None, None]).cpu().numpy()
        clean = [
            torch.from_numpy(self._package.bm3d(band, sigma_psd=std / scale))
            for band, std, scale in zip(unit, levels, width.tolist(), strict=True)
        ]
        result = torch.stack(clean).to(bands) * width[:, None, None]
        return (result + low[:, None, None]).view_as(image).to(image.dtype)
