# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Bands that are not quite where the table says."""

import math
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import MetadataError
from ...physics import BandSet
from ._common import (
    Source,
    check_batch,
    check_bounds,
    check_probability,
    chosen,
    map_some,
    uniform,
)
from ._resampling import band_sets, shifted

#: Largest step of the table of shifts in nanometres, and as a share of the widths.
_STEP, _SHARE = 3.0, 0.5

#: Band sets whose tables are kept, the latest ones.
_KEPT = 16


class SpectralJitter(nn.Module):
    """Resample spectra as if bands lay a bit elsewhere and were a bit wider.

    Centres shift with temperature and across the detector (smile), and widths differ
    from instrument to instrument. Each image draws a shift and a factor on the widths,
    and each band becomes what a band so shifted and widened would see, by
    :func:`torchgeo_hsi.physics.srf_matrix`; ``wavelength`` and ``fwhm`` stay as they
    were, so that a network has to live with the difference. Images are in physical
    units, see :class:`~torchgeo_hsi.transforms.PhysicalUnits`.

    Maps are computed once for each set of bands, for a few shifts and widths, and
    interpolated between these. Shifts come out exactly. Between two bands spectra are
    taken to be linear, which smooths a bit, so bands are at least as wide as was drawn.

    Example:
        >>> import torch
        >>> batch = {'image': torch.linspace(0, 1, 5).view(1, 5, 1, 1),
        ...          'wavelength': torch.linspace(0.5, 0.54, 5)}
        >>> jitter = SpectralJitter(shift_nm=(2.0, 2.0), widen=(1.0, 1.0))
        >>> jitter(batch)['image'].flatten()[:4]
        tensor([0.0500, 0.3000, 0.5500, 0.8000])
    """

    physical = True

    def __init__(
        self,
        shift_nm: tuple[float, float] = (-3.0, 3.0),
        widen: tuple[float, float] = (1.0, 1.3),
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new SpectralJitter instance.

        Args:
            shift_nm: Smallest and largest shift of the centres in nanometres.
            widen: Smallest and largest factor on the widths, at least 1: nothing is
                sharpened.
            p: Probability with which an image is changed.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If a range is not in order, a factor below 1, or *p* no
                probability.
        """
        super().__init__()
        self.shift_nm = check_bounds(shift_nm, 'shift_nm', -100.0, 100.0)
        self.widen = check_bounds(widen, 'widen', 1.0)
        self.p = check_probability(p)
        self.generator: Source = generator
        self._tables: dict[bytes, _Table] = {}

    def forward(self, batch: Sample) -> Sample:
        """Resample a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` in physical units,
                ``wavelength`` and, unless only centres shift, ``fwhm`` of shape
                ``(B, C)`` or ``(C,)`` in micrometres.

        Returns:
            A new batch.

        Raises:
            MetadataError: If the batch lacks wavelengths or widths.
            BandMismatchError: If there is not one for each band.
        """
        image = check_batch(batch)
        sets, which = band_sets(batch, 'SpectralJitter')
        if self.widen[1] > 1 and 'fwhm' not in batch:
            raise MetadataError(
                'SpectralJitter has to know how wide the bands are, but the batch has no '
                'fwhm. Use a dataset that gives fwhm in micrometres, or set '
                'widen=(1.0, 1.0).'
            )
        count, source = len(image), self.generator
        pick = chosen(self.p, count, source).nonzero().flatten().tolist()
        shift = uniform((count,), self.shift_nm, source).tolist()
        widen = uniform((count,), self.widen, source).tolist()
        if not pick:
            return dict(batch)
        tables = [self._table(bands, image.device) for bands in sets]
        matrix = torch.stack(
            [tables[which[k]].between(shift[k], widen[k]) for k in pick]
        )
        return {**batch, 'image': map_some(image, matrix, pick)}

    def _table(self, bands: BandSet, device: torch.device) -> '_Table':
        """Return the maps of a band set."""
        width = b'' if bands.fwhm is None else bands.fwhm.tobytes()
        key = bands.wavelength.tobytes() + width
        table = self._tables.get(key)
        if table is None:
            table = _Table.of(bands, self.shift_nm, self.widen)
            while len(self._tables) >= _KEPT:
                del self._tables[next(iter(self._tables))]
        # megabytes, which stay on the device
        self._tables[key] = table._replace(maps=table.maps.to(device))
        return self._tables[key]

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'shift_nm={self.shift_nm}, widen={self.widen}, p={self.p:g}'


class _Table(NamedTuple):
    """Maps of a band set for a few shifts and widths, shape ``(S, W, C, C)``."""

    shifts: list[float]
    squares: list[float]
    maps: Tensor

    @classmethod
    def of(
        cls, bands: BandSet, shift: tuple[float, float], widen: tuple[float, float]
    ) -> Self:
        """Compute the maps; shifts are in nanometres."""
        shifts = _shifts(bands, *shift)
        widths = sorted(set(widen))
        rows = [[shifted(bands, s / 1000, w) for w in widths] for s in shifts]
        maps = torch.stack([torch.stack(row) for row in rows]).float()
        # variances of responses are interpolated, not widths
        return cls(shifts, [width**2 for width in widths], maps)

    def between(self, shift: float, widen: float) -> Tensor:
        """Interpolate between the maps, shape ``(C, C)``."""
        left, right, share = _between(self.shifts, shift)
        low, high, part = _between(self.squares, widen**2)
        found = torch.lerp(self.maps[left], self.maps[right], share)
        return torch.lerp(found[low], found[high], part)


def _shifts(bands: BandSet, low: float, high: float) -> list[float]:
    """Choose the shifts of a table, in nanometres."""
    widths = np.diff(np.sort(bands.wavelength)) if bands.fwhm is None else bands.fwhm
    typical = 1000 * float(np.median(widths)) if len(widths) else _STEP
    step = min(max(_SHARE * typical, 0.5), _STEP)
    found = np.linspace(low, high, math.ceil((high - low) / step - 1e-9) + 1).tolist()
    # the response of a band that does not move is the sharpest
    return sorted({*found, 0.0}) if low < 0 < high else found


def _between(nodes: list[float], value: float) -> tuple[int, int, float]:
    """Find the nodes on both sides of a number, and the weight of the right one."""
    right = min(int(np.searchsorted(nodes, value)), len(nodes) - 1)
    left = max(right - 1, 0)
    if left == right:
        return left, right, 0.0
    share = (value - nodes[left]) / (nodes[right] - nodes[left])
    return left, right, min(max(share, 0.0), 1.0)
