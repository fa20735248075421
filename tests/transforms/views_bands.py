# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of views of bands share."""

import math

from torchgeo_hsi.transforms import (
    BandDropout,
    Illumination,
    RandomBandSubset,
    RandomSensor,
    SpectralJitter,
    SpectralMask,
    SpectralMixup,
)

WHOLE = {
    'dropout': BandDropout,
    'mask': SpectralMask,
    'light': Illumination,
    'jitter': SpectralJitter,
    'mixup': SpectralMixup,
    'subset': RandomBandSubset,
    'sensor': RandomSensor,
}


def near(share: float, wanted: float, count: int) -> bool:
    """Whether a share is within five standard deviations."""
    return abs(share - wanted) < 5 * math.sqrt(wanted * (1 - wanted) / count)
