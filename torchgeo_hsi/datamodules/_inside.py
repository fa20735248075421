# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples that show nothing outside of a region."""

import numpy as np
import torch
from affine import Affine
from rasterio.features import geometry_mask
from shapely import MultiPolygon, Polygon

from .._typing import Sample


class InsideRegion:
    """Makes the pixels of a sample invalid that lie outside of a region.

    A grid of windows reaches over the borders of the region that it covers; without
    this the test would count pixels that belong to another split, and show them to the
    network.

    Args:
        region: The region, in the CRS of the dataset.
    """

    def __init__(self, region: Polygon | MultiPolygon) -> None:
        """Initialize a new InsideRegion instance."""
        self.region = region

    def __call__(self, sample: Sample) -> Sample:
        """Change ``valid`` of a sample.

        Args:
            sample: Sample with ``valid`` and ``transform``.

        Returns:
            A new sample.
        """
        transform = Affine(*sample['transform'][:6].tolist())
        shape = sample['valid'].shape
        # a pixel lies inside if its middle does
        inside = geometry_mask([self.region], shape, transform, invert=True).astype(
            np.bool_
        )
        return {**sample, 'valid': sample['valid'] & torch.from_numpy(inside)}
