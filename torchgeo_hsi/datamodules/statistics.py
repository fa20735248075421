# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean and standard deviation of bands, with their source."""

import pickle
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .._typing import PathLike, Sample
from ..errors import BandMismatchError, EmptyDataError
from ..physics.statistics import band_statistics


class Statistics(NamedTuple):
    """Mean and standard deviation of each band.

    Args:
        mean: Means, float32 of shape ``(C,)``.
        std: Standard deviations, float32 of shape ``(C,)``.
    """

    mean: Tensor
    std: Tensor


def spectral_earth_statistics(bands: Sequence[str]) -> Statistics:
    """Return the band statistics of SpectralEarth, for reflectance x 10 000.

    They are those that the published weights were trained with: over 538 974 EnMAP
    patches, for the 202 kept bands.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        bands: Names of EnMAP bands, e.g. those of ``EnMAPL2A.bandset``.

    Returns:
        The statistics of these bands, in this order.

    Raises:
        BandMismatchError: If there are none for a band.
    """
    known = set(band_statistics('enmap_spectral_earth').names)
    missing = [name for name in bands if name not in known]
    if missing:
        raise BandMismatchError(
            f'There are no SpectralEarth statistics for {", ".join(missing)}, which it '
            "leaves out. Use statistics='train', or the 202 default bands."
        )
    found = band_statistics('enmap_spectral_earth', bands)
    return Statistics(torch.from_numpy(found.mean), torch.from_numpy(found.std))


def compute_statistics(samples: Iterable[Sample]) -> Statistics:
    """Compute band statistics over the valid pixels of samples.

    One pass in float64, in which means and deviations of samples are merged, so memory
    does not grow and digits do not cancel.

    * https://doi.org/10.2307/2683386

    Args:
        samples: Samples with ``image`` of shape ``(C, H, W)`` and, if there are invalid
            pixels, ``valid`` of shape ``(H, W)``.

    Returns:
        The statistics; the standard deviation is that of the population.

    Raises:
        EmptyDataError: If there is no valid pixel.
    """
    count = 0
    mean = square = torch.zeros(0, dtype=torch.float64)
    for sample in samples:
        pixels = sample['image'].double().flatten(1)
        if 'valid' in sample:
            pixels = pixels[:, sample['valid'].flatten()]
        number = pixels.shape[1]
        if not number:
            continue
        if not count:
            mean = torch.zeros(len(pixels), dtype=torch.float64)
            square = torch.zeros_like(mean)
        own = pixels.mean(1)
        delta, total = own - mean, count + number
        square = square + (pixels - own[:, None]).square().sum(1)
        square = square + delta.square() * count * number / total
        mean, count = mean + delta * number / total, total
    if not count:
        raise EmptyDataError(
            'No valid pixel to compute statistics of. Check nodata, the selected bands '
            'and quality=: clouds may flag everything.'
        )
    return Statistics(mean.float(), (square / count).sqrt().float())


def read_statistics(path: PathLike) -> Statistics | None:
    """Read the band statistics that a data module left in a checkpoint.

    Args:
        path: Checkpoint of Lightning.

    Returns:
        The statistics; None if there are none, or those of several data modules, or if
        nothing can be read without running code from the file.
    """
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        return None
    found = [
        Statistics(*(torch.as_tensor(state[key]) for key in Statistics._fields))
        for state in checkpoint.values()
        if isinstance(state, dict) and set(state) == set(Statistics._fields)
    ]
    return found[0] if len(found) == 1 else None
