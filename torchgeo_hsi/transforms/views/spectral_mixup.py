# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random mixtures of bands."""

import torch
from torch import nn

from ..._typing import Sample
from ._common import (
    IMAGES,
    Source,
    check_batch,
    check_probability,
    chosen,
    has_bands,
    map_some,
)


class SpectralMixup(nn.Module):
    """Add to each band a random mixture of all bands.

    A matrix *C* of numbers from 0 to 1, divided by the mean of the sums of its columns,
    is drawn for a batch, and the spectra *x* become ``(x + x C) / 2``, which keeps their
    brightness on average. ``image`` and, if it has the same bands, ``target`` are mixed
    by the same matrix. Images are in physical units, see
    :class:`~torchgeo_hsi.transforms.PhysicalUnits`.

    * https://arxiv.org/abs/2101.07589

    Example:
        >>> import torch
        >>> pair = {'image': torch.rand(2, 8, 4, 4), 'target': torch.rand(2, 8, 16, 16)}
        >>> {key: tuple(value.shape) for key, value in SpectralMixup()(pair).items()}
        {'image': (2, 8, 4, 4), 'target': (2, 8, 16, 16)}
    """

    physical = True

    def __init__(
        self, p: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Initialize a new SpectralMixup instance.

        Args:
            p: Probability with which an image is changed.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If *p* is no probability.
        """
        super().__init__()
        self.p = check_probability(p)
        self.generator: Source = generator

    def forward(self, batch: Sample) -> Sample:
        """Mix the bands.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` in physical units, and
                maybe ``target`` of shape ``(B, C, H', W')``.

        Returns:
            A new batch.

        Raises:
            BandMismatchError: If the images have another shape.
        """
        image = check_batch(batch)
        bands = image.shape[1]
        pick = chosen(self.p, len(image), self.generator).nonzero().flatten().tolist()
        mixing = torch.rand(bands, bands, generator=self.generator)
        mixing /= mixing.sum(0).mean()
        matrix = ((torch.eye(bands) + mixing) / 2).mT.to(image.device)
        keys = [key for key in IMAGES if has_bands(batch, key)]
        return batch | {key: map_some(batch[key], matrix, pick) for key in keys}

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'p={self.p:g}'
