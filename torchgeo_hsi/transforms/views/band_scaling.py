# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What transforms that multiply bands have in common."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ._common import Source, check_batch, check_probability, scale_bands


class BandScaling(nn.Module, ABC):
    """Base of transforms that multiply each band by a number and add another one.

    A subclass has to define :meth:`draw`, and says by ``physical`` whether images are in
    physical units or normalized. Several of them in a
    :class:`~torchgeo_hsi.transforms.PhysicalUnits` go through the images once.
    """

    physical: bool = True

    def __init__(
        self, p: float = 1.0, generator: torch.Generator | None = None
    ) -> None:
        """Initialize a new BandScaling instance.

        Args:
            p: Probability with which an image is changed.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If *p* is no probability.
        """
        super().__init__()
        self.p = check_probability(p)
        self.generator: Source = generator

    @abstractmethod
    def draw(self, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """Draw what bands are multiplied by, and what is added to them.

        Args:
            batch: Batch as of :meth:`forward`; its images need not be up to date.

        Returns:
            Factors of shape ``(B, C)``, and what is added, ``(B, C)`` or ``(B, 1)``, or
            None if that is nothing.
        """

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``, and maybe
                ``wavelength`` of shape ``(B, C)`` or ``(C,)`` in micrometres.

        Returns:
            A new batch.

        Raises:
            BandMismatchError: If the images have another shape, or there is not one
                wavelength for each band.
        """
        image = scale_bands(check_batch(batch), *self.draw(batch))
        return {**batch, 'image': image}
