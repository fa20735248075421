# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From a band model to the bands of a sensor."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..._typing import FloatArray
from ...errors import MetadataError
from ..bands import BandSet
from ..srf import srf_matrix
from .band_model import BandModel

#: Distance in 1/cm of the points that are laid where a table has none.
_STEP = 5.0

#: Bands whose centres are more FWHMs away from the table do not see the gas.
_REACH = 1.5

#: Shortest wavelength in micrometres of clear air beyond a table.
_SHORTEST = 0.2


@lru_cache(maxsize=32)
def band_weights(model: BandModel, bands: BandSet) -> Tensor:
    """Compute how much of each band lies at each wavenumber of a table.

    What is missing to a sum of 1 is where the gas does not absorb. The table counts as a
    sensor whose bands are as wide as its resolution, so that it is not smoothed twice.

    Args:
        model: The band model, N wavenumbers.
        bands: C bands with FWHM.

    Returns:
        Weights of shape ``(C, N)``, float64; do not write to it.

    Raises:
        MetadataError: If *bands* have no FWHM.
    """
    if bands.fwhm is None:
        raise MetadataError(
            'Expected bands with FWHM: without widths nobody knows how much of an '
            'absorption line they see. Pass BandSet(wavelength, fwhm=...).'
        )
    table = 1e4 / model.wavenumber
    weights = torch.zeros(len(bands), len(table), dtype=torch.float64)
    reach = _REACH * bands.fwhm
    low, high = bands.wavelength - reach, bands.wavelength + reach
    rows = np.flatnonzero((high > table.min()) & (low < table.max()))
    if not rows.size:
        return weights
    seen = bands.select(rows.tolist())
    assert seen.fwhm is not None
    fill = _fillers(model.wavenumber, 2 * _REACH * float(seen.fwhm.max()))
    centre = np.concatenate([table, 1e4 / fill])
    source = BandSet(centre, model.resolution * centre**2 / 1e4)
    weights[rows] = srf_matrix(source, seen)[:, : len(table)]
    return weights


def _fillers(wavenumber: FloatArray, margin: float) -> FloatArray:
    """Lay wavenumbers into the gaps of a table and to *margin* µm beyond its ends."""
    first = 1e4 / (1e4 / wavenumber[0] + margin)
    last = 1e4 / max(1e4 / wavenumber[-1] - margin, _SHORTEST)
    every = np.arange(wavenumber[0] - _STEP, first - _STEP, -_STEP)[::-1]
    every = np.concatenate([every, np.arange(wavenumber[0], last + _STEP, _STEP)])
    place = np.searchsorted(wavenumber, every)
    before = wavenumber[np.clip(place - 1, 0, None)]
    after = wavenumber[np.clip(place, None, len(wavenumber) - 1)]
    distance = np.minimum(abs(every - before), abs(every - after))
    return np.asarray(every[distance > 0.9 * _STEP])
