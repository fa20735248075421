# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maps between bands for the batches of a training, computed once for each band set."""

import numpy as np
import torch
from torch import Tensor

from ..._typing import FloatArray, Sample
from ...errors import EmptyDataError, MetadataError
from ...physics import BandSet, srf_matrix
from ...physics._kernels import UNIT_VARIANCE, SourceGrid, normal_cdf, usable_bands
from ._common import band_numbers

#: Width in micrometres of bands that count as infinitely narrow.
_NARROW = 1e-6


def band_sets(batch: Sample, name: str) -> tuple[list[BandSet], list[int]]:
    """Collect the different bands of the images of a batch.

    Args:
        batch: Batch with ``wavelength``, and maybe ``fwhm``.
        name: Name of who asks, for messages.

    Returns:
        The different bands, and for each image which of them it has.

    Raises:
        MetadataError: If the batch has no wavelengths.
        BandMismatchError: If there is not one for each band.
        UnitError: If they look like nanometres.
    """
    centre, width = band_numbers(batch), band_numbers(batch, 'fwhm')
    if centre is None:
        raise MetadataError(
            f'{name} has to know where the bands lie, but the batch has no wavelength. '
            'Use a dataset that gives wavelength (and fwhm) in micrometres, or leave '
            'this transform out.'
        )
    # the only copy from a GPU that is waited for: a few numbers
    parts = [centre.cpu()] if width is None else [centre.cpu(), width.cpu()]
    count = len(batch['image'])
    table = torch.stack([part.expand(count, -1) for part in parts], 1).numpy()
    found, which = np.unique(table, axis=0, return_inverse=True)
    sets = [BandSet(*_decimal(row)) for row in found]
    return sets, which.flatten().tolist()


def _decimal(numbers: FloatArray) -> FloatArray:
    """Return the decimal numbers that float32 stands for, so that bands are found."""
    text = np.char.mod('%.7g', numbers.astype(np.float64))
    decimal: FloatArray = text.astype(np.float64)
    return decimal


def covered(source: BandSet, target: BandSet, least: float = 0.8) -> BandSet:
    """Leave out the bands of a target that a source does not see.

    Args:
        source: Bands of the cube.
        target: Bands to make, with FWHM.
        least: Share of a response that has to lie where the source has bands.

    Returns:
        Those of the target that are covered.

    Raises:
        EmptyDataError: If there are none.
    """
    grid = SourceGrid.of(source, usable_bands(source, True))
    assert target.fwhm is not None
    centre = torch.tensor(target.wavelength)[:, None]
    sigma = torch.tensor(target.fwhm)[:, None] * UNIT_VARIANCE**0.5
    share = normal_cdf((grid.high - centre) / sigma)
    share = (share - normal_cdf((grid.low - centre) / sigma)).sum(1)
    keep = ((share >= least) & torch.tensor(target.good)).nonzero().flatten().tolist()
    if not keep:
        raise EmptyDataError(
            f'No band of {target} lies where the images have bands ({source}).'
        )
    return target.select(keep)


def shifted(bands: BandSet, shift: float, widen: float) -> Tensor:
    """Return the map to bands that are shifted and wider, as many as there are.

    Args:
        bands: Bands of the cube.
        shift: By how much centres move, in micrometres.
        widen: Factor on widths.

    Returns:
        Matrix of shape ``(C, C)``, float64.
    """
    centre: FloatArray = np.asarray(bands.wavelength + shift)
    width = np.full(len(bands), _NARROW) if bands.fwhm is None else bands.fwhm * widen
    target = BandSet(centre, width, bands.names)
    # beyond the first and the last band the spectrum counts as constant
    return srf_matrix(bands, target, use_good_only=False, min_coverage=-1.0)
