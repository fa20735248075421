# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What networks and methods of super-resolution share."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ...errors import BandMismatchError, EmptyDataError
from ...layers import SceneModel
from ...physics.gaps import fill_gaps


def without_gaps(image: Tensor, valid: Tensor) -> Tensor:
    """Put the nearest pixel where there is no data.

    Args:
        image: Images of shape ``(B, C, h, w)``.
        valid: True for pixels with data, shape ``(B, h, w)``.

    Returns:
        The images.

    Raises:
        BandMismatchError: If *valid* has another shape.
        EmptyDataError: If an image has no valid pixel.
    """
    if valid.shape == image[:, 0].shape and bool(valid.all()):
        return image
    return fill_gaps(image, valid)[0]


class SuperResolver(SceneModel):
    """A network or method that gives a cube more and smaller pixels.

    Subclasses say their ``scale`` and implement :meth:`enlarge`. Nothing else of them has
    to know about nodata.

    The fine pixels of a coarse one cover the same area, so image corners stay where they
    are: the convention of :func:`~torchgeo_hsi.physics.resampling.imresize_up`, and not
    that of pansharpening.

    Example:
        >>> class Repeat(SuperResolver):
        ...     def enlarge(self, image):
        ...         for axis in (-2, -1):
        ...             image = image.repeat_interleave(self.scale, axis)
        ...         return image
        >>> Repeat(scale=3)(torch.rand(1, 5, 8, 8)).shape
        torch.Size([1, 5, 24, 24])
    """

    #: Coarse pixels around a tile that change it.
    context: int = 8

    #: Number of bands of the input; None if any will do.
    in_channels: int | None = None

    def __init__(self, scale: int) -> None:
        """Initialize a new SuperResolver instance.

        Args:
            scale: Factor of rows and columns.

        Raises:
            ValueError: If *scale* is no whole number from 2 on.
        """
        super().__init__()
        if scale != int(scale) or scale < 2:
            raise ValueError(f'Expected a scale of 2 or a larger number, got {scale}.')
        self.scale = int(scale)

    @abstractmethod
    def enlarge(self, image: Tensor) -> Tensor:
        """Enlarge images without gaps.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.
        """

    def forward(
        self, image: Tensor, valid: Tensor | None = None, **inputs: Any
    ) -> Tensor:
        """Enlarge a batch.

        Args:
            image: Images of shape ``(B, C, h, w)``.
            valid: True for pixels with data, shape ``(B, h, w)``; all by default. Gaps
                are filled with the nearest pixel; what comes out for them means nothing.
            **inputs: More arguments of :meth:`enlarge`.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.

        Raises:
            BandMismatchError: If the shapes or the number of bands do not fit.
            EmptyDataError: If an image has no valid pixel.
        """
        self.check(image)
        if valid is not None:
            image = without_gaps(image, valid)
        return self.enlarge(image, **inputs)

    def check(self, image: Tensor) -> None:
        """Refuse what is no batch of images, or has another number of bands.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Raises:
            BandMismatchError: If they are not.
            EmptyDataError: If they have no pixels.
        """
        if image.ndim != 4:
            raise BandMismatchError(
                'Expected images of shape (batch, bands, height, width), got '
                f'{tuple(image.shape)}. For a single image, add an axis: image[None].'
            )
        if image.numel() == 0:
            raise EmptyDataError(
                f'Images of shape {tuple(image.shape)} are empty. Leave out tiles '
                'without rows, columns or bands.'
            )
        if self.in_channels not in (None, image.shape[1]):
            raise BandMismatchError(
                f'Expected {self.in_channels} bands, got {image.shape[1]}. Build the '
                f'network with in_channels={image.shape[1]}, or choose bands.'
            )
        if not torch.is_floating_point(image):
            raise BandMismatchError(
                f'Expected floating point images, got {image.dtype}. Convert them '
                'first, with image.float().'
            )
