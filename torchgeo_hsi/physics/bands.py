# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The spectral axis of a cube: which bands, where, how wide, in which order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from .._typing import BoolArray, FloatArray
from ..errors import BandMismatchError, EmptyDataError, UnitError, UnknownNameError
from .units import check_fwhm, check_micrometres, to_micrometres

#: Distance in micrometres beyond the outermost centre at which a band still answers.
_REACH = 0.02

#: Default of ``good``; a default has to be hashable, which no array is.
_ALL_GOOD = cast(BoolArray, ())


@dataclass(frozen=True, eq=False, repr=False)
class BandSet:
    """Names, centres and widths of the bands of a cube, in the order of the cube.

    A band set is immutable; every method that changes the selection or the order
    returns a new one. Use :meth:`indices` to know which channels of the array to take.

    Args:
        wavelength: Band centres in micrometres, shape ``(C,)``.
        fwhm: Full widths at half maximum in micrometres, shape ``(C,)``. Where a
            source gives none, leave it out: nothing is invented.
        names: Unique band names; ``B1`` ... ``BC`` by default.
        good: False for bands that the product marks as bad (the ``bbl`` of ENVI), shape
            ``(C,)``; all True by default.

    Raises:
        UnitError: If centres or widths look like nanometres.
        BandMismatchError: If lengths differ, or names repeat.
        EmptyDataError: If there is no band.

    Example:
        >>> bands = BandSet.from_unit([480, 560, 660], 'nm', fwhm=[7, 7, 7])
        >>> bands.nearest(0.55), bands.between(0.5, 0.7).names
        (1, ('B2', 'B3'))
    """

    wavelength: FloatArray
    fwhm: FloatArray | None = None
    names: tuple[str, ...] = ()
    good: BoolArray = _ALL_GOOD

    def __post_init__(self) -> None:
        """Check the fields and fill the defaults."""
        wavelength = check_micrometres(self.wavelength)
        count = len(wavelength)
        if not count:
            raise EmptyDataError('Expected at least one band, got none.')
        names = tuple(self.names) or tuple(f'B{i + 1}' for i in range(count))
        if len(names) != count or len(set(names)) != count:
            raise BandMismatchError(
                f'Expected {count} unique band names, got {len(names)} of which '
                f'{len(set(names))} are unique.'
            )
        good = np.asarray(self.good, dtype=bool)
        good = good if good.size else np.ones(count, dtype=bool)
        if good.shape != (count,):
            raise BandMismatchError(
                f'Expected {count} good-band flags, got shape {good.shape}.'
            )
        fwhm = None if self.fwhm is None else check_fwhm(self.fwhm, count).copy()
        if fwhm is not None and (fwhm >= wavelength).any():
            # narrow bands in nanometres (DESIS: 2.4) pass the absolute limit
            raise UnitError(
                'Expected FWHMs in micrometres, smaller than the centres, got '
                f'{fwhm.min():g} to {fwhm.max():g}: divide nanometres by 1000.'
            )
        wavelength, good = wavelength.copy(), good.copy()
        for array in (wavelength, fwhm, good):
            if array is not None:
                array.setflags(write=False)
        # a frozen dataclass can only be completed through object.__setattr__
        object.__setattr__(self, 'wavelength', wavelength)
        object.__setattr__(self, 'fwhm', fwhm)
        object.__setattr__(self, 'names', names)
        object.__setattr__(self, 'good', good)

    @classmethod
    def from_unit(
        cls,
        wavelength: ArrayLike,
        unit: str,
        fwhm: ArrayLike | None = None,
        names: Sequence[str] = (),
        good: ArrayLike | None = None,
    ) -> Self:
        """Build a band set from values in any unit of wavelength.

        Args:
            wavelength: Band centres in *unit*, shape ``(C,)``.
            unit: Unit of *wavelength* and *fwhm*, e.g. ``'nm'``.
            fwhm: Full widths at half maximum in *unit*.
            names: Band names.
            good: Good-band flags.

        Returns:
            The band set, in micrometres.

        Raises:
            UnitError: If *unit* is unknown or the result is implausible.
        """
        return cls(
            wavelength=to_micrometres(wavelength, unit),
            fwhm=None if fwhm is None else to_micrometres(fwhm, unit),
            names=tuple(names),
            good=np.ones(0, bool) if good is None else np.asarray(good, dtype=bool),
        )

    def __len__(self) -> int:
        """Return the number of bands."""
        return len(self.wavelength)

    def __eq__(self, other: object) -> bool:
        """Whether two band sets agree in every field."""
        if not isinstance(other, BandSet):
            return NotImplemented
        if self.fwhm is None or other.fwhm is None:
            same_width = self.fwhm is other.fwhm
        else:
            same_width = np.array_equal(self.fwhm, other.fwhm)
        return (
            same_width
            and self.names == other.names
            and np.array_equal(self.wavelength, other.wavelength)
            and np.array_equal(self.good, other.good)
        )

    def __hash__(self) -> int:
        """Hash by names and centres."""
        return hash((self.names, self.wavelength.tobytes()))

    def __repr__(self) -> str:
        """Summarize the bands."""
        low, high = self.wavelength.min(), self.wavelength.max()
        text = f'{len(self)} bands, {low:g} to {high:g} µm'
        if self.fwhm is None:
            text += ', no FWHM'
        if not self.good.all():
            text += f', {int((~self.good).sum())} bad'
        return f'BandSet({text})'

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild through the constructor: unpickled arrays would be writable."""
        return type(self), (self.wavelength, self.fwhm, self.names, self.good)

    @property
    def is_sorted(self) -> bool:
        """Whether the centres increase from band to band.

        False for products in detector order, whose detectors overlap (EnMAP, PRISMA).
        """
        return bool(np.all(np.diff(self.wavelength) > 0))

    def indices(self, bands: Iterable[str | int | float]) -> list[int]:
        """Find the positions of bands.

        Args:
            bands: Names (``'B48'``), positions (``int``, from 0, negative from the
                end), or wavelengths in micrometres (``float``, the nearest band).

        Returns:
            One position for each entry of *bands*, in the same order.

        Raises:
            UnknownNameError: If a name is not in the set.
            BandMismatchError: If a position is out of range, or a wavelength lies
                outside of what the bands see.
            UnitError: If a wavelength looks like nanometres.
        """
        lookup = {name: i for i, name in enumerate(self.names)}
        found = []
        for band in bands:
            if isinstance(band, str):
                if band not in lookup:
                    raise UnknownNameError('band', band, self.names)
                found.append(lookup[band])
            elif isinstance(band, int | np.integer):
                if not -len(self) <= band < len(self):
                    raise BandMismatchError(
                        f'Band position {band} is out of range for {len(self)} bands.'
                    )
                found.append(int(band) % len(self))
            else:
                self._check_reach(float(band))
                found.append(self.nearest(float(band)))
        return found

    def _check_reach(self, wavelength: float) -> None:
        """Refuse a wavelength that the sensor does not see."""
        check_micrometres([wavelength])
        low, high = float(self.wavelength.min()), float(self.wavelength.max())
        widest = 0.0 if self.fwhm is None else float(self.fwhm.max())
        slack = max(_REACH, widest)
        if not low - slack <= wavelength <= high + slack:
            raise BandMismatchError(
                f'No band is near {wavelength:g} µm: the bands span {low:g} to '
                f'{high:g} µm. Choose a wavelength in this range.'
            )

    def select(self, bands: Iterable[str | int | float]) -> 'BandSet':
        """Take bands by name, position or nearest wavelength, in the given order.

        Args:
            bands: See :meth:`indices`.

        Returns:
            The selected bands.

        Raises:
            UnknownNameError: If a name is not in the set.
            BandMismatchError: If a position is out of range, or a band repeats.
            EmptyDataError: If *bands* is empty.
        """
        index = self.indices(bands)
        twice = sorted({i for i in index if index.count(i) > 1})
        if twice:
            raise BandMismatchError(
                'Expected each band once, but more than one entry means '
                f'{", ".join(self.names[i] for i in twice)}.'
            )
        return BandSet(
            wavelength=self.wavelength[index],
            fwhm=None if self.fwhm is None else self.fwhm[index],
            names=tuple(self.names[i] for i in index),
            good=self.good[index],
        )

    def nearest(self, wavelength: float, tolerance: float | None = None) -> int:
        """Find the band whose centre is nearest to a wavelength.

        Args:
            wavelength: Wavelength in micrometres.
            tolerance: Largest distance in micrometres that still counts.

        Returns:
            The position of the band.

        Raises:
            UnitError: If *wavelength* looks like nanometres.
            EmptyDataError: If no band lies within *tolerance*.
        """
        check_micrometres([wavelength])
        distance = np.abs(self.wavelength - wavelength)
        index = int(distance.argmin())
        if tolerance is not None and distance[index] > tolerance:
            raise EmptyDataError(
                f'No band within {tolerance:g} µm of {wavelength:g} µm; the nearest '
                f'is {self.names[index]} at {self.wavelength[index]:g} µm.'
            )
        return index

    def between(self, low: float, high: float) -> 'BandSet':
        """Take the bands whose centres lie in a range, both ends included.

        Args:
            low: Lower end in micrometres.
            high: Upper end in micrometres.

        Returns:
            The selected bands, in the order of the cube.

        Raises:
            UnitError: If an end looks like nanometres.
            EmptyDataError: If no band lies in the range.
        """
        check_micrometres([low, high])
        inside = np.flatnonzero((self.wavelength >= low) & (self.wavelength <= high))
        if not inside.size:
            raise EmptyDataError(
                f'No band between {low:g} and {high:g} µm; the bands span '
                f'{self.wavelength.min():g} to {self.wavelength.max():g} µm.'
            )
        return self.select(inside.tolist())

    def good_only(self) -> 'BandSet':
        """Take the bands that the product does not mark as bad.

        Returns:
            The good bands, in the order of the cube.

        Raises:
            EmptyDataError: If all bands are bad.
        """
        return self.select(np.flatnonzero(self.good).tolist())

    def by_wavelength(self) -> 'BandSet':
        """Order the bands by wavelength.

        Returns:
            The same bands with increasing centres; ``self.indices(result.names)`` is
            the permutation to apply to the channels of the cube.
        """
        return self.select(np.argsort(self.wavelength, kind='stable').tolist())
