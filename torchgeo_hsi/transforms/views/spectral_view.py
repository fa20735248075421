# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One view of images for learning without labels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ..crop import RandomResizedCrop, resize
from ..dihedral import RandomDihedral
from ._common import check_batch
from .physical_units import PhysicalUnits, fill_invalid_
from .spatial_blur import SpatialBlur


class SpectralView(nn.Module):
    """Make a random view of each image of a batch.

    A random part of the image is resized, flipped, rotated and maybe blurred, and
    *spectral* transforms follow, in the units of the sensor, see
    :class:`~torchgeo_hsi.transforms.PhysicalUnits`. Images come and go normalized, and
    nothing is clipped. There is no jitter of colors, gray or solarization: what a
    spectrum says would be lost.

    Example:
        >>> import torch
        >>> view = SpectralView(96, blur=0.5, generator=torch.Generator().manual_seed(0))
        >>> view({'image': torch.randn(2, 202, 128, 128)})['image'].shape
        torch.Size([2, 202, 96, 96])
    """

    def __init__(
        self,
        size: int,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        rotate: bool = True,
        blur: float = 0.0,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        spectral: Sequence[nn.Module] | None = None,
        generator: torch.Generator | None = None,
        blur_kernel: int = 13,
    ) -> None:
        """Initialize a new SpectralView instance.

        Args:
            size: Rows and columns of the view.
            scale: Smallest and largest share of the area that is seen.
            ratio: Smallest and largest ratio of width to height of what is seen.
            rotate: Whether to rotate by 90 degrees, too, and not only to flip.
            blur: Probability of a Gaussian blur.
            blur_sigma: Smallest and largest standard deviation of the blur in pixels.
            spectral: Transforms of the spectra, in this order, e.g.
                :class:`~torchgeo_hsi.transforms.BandDropout` or
                :class:`~torchgeo_hsi.transforms.SensorNoise`.
            generator: Source of randomness, on the CPU, of crop, flips and blur;
                *spectral* have their own. Torch's own by default.
            blur_kernel: Rows and columns that the blur reaches, odd.

        Raises:
            ValueError: If a size, a range or a probability is none.
        """
        super().__init__()
        self.size = size
        self.crop = RandomResizedCrop(size, scale, ratio, generator)
        self.flip = RandomDihedral(generator, rotate)
        self.blur = (
            SpatialBlur(blur, blur_sigma, blur_kernel, generator) if blur else None
        )
        self.spectral = PhysicalUnits(spectral) if spectral else None

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Say by what images were normalized.

        Args:
            mean: Mean of each band, shape ``(C,)``.
            std: Standard deviation of each band, shape ``(C,)``.
        """
        if self.spectral is not None:
            self.spectral.set_statistics(mean, std)

    def forward(self, batch: Sample) -> Sample:
        """Make a view of a batch.

        Args:
            batch: Batch with normalized ``image`` of shape ``(B, C, H, W)``, and maybe
                ``valid`` of shape ``(B, H, W)``, ``wavelength`` and ``fwhm``.

        Returns:
            A new batch with ``image`` of shape ``(B, C', size, size)``, 0 in pixels
            that are not valid.

        Raises:
            BandMismatchError: If the images have another shape.
            MetadataError: If a transform lacks wavelengths or statistics.
        """
        image = check_batch(batch)
        boxes, moves = self.crop.draw(batch), self.flip.draw(len(image))
        sample = resize(batch, boxes, self.size, moves)
        # these are new images, so that they may be changed
        fill_invalid_(sample['image'], sample)
        if self.blur is not None:
            self.blur.change_(sample)
        if self.spectral is not None:
            sample = self.spectral.change(sample, own=True)
        return sample
