# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How noisy a sensor is: variance that grows with the light, wavelength by wavelength."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ..._typing import FloatArray
from ...errors import BandMismatchError, UnitError, UnknownNameError
from ..sensors import get_sensor
from ..simulation.instrument import enmap_noise
from ..units import check_micrometres

#: Sensors whose noise is modelled.
_SENSORS = ('enmap',)


@dataclass(frozen=True, eq=False, repr=False)
class NoiseCurve:
    """Variance of the noise of a sensor, for each wavelength and reflectance.

    The variance at a reflectance *x* is ``slope * max(x, floor) + fixed``: shot noise
    of the photons from the ground and the air, and the noise of the read-out.

    Args:
        wavelength: Wavelengths in micrometres, increasing, shape ``(N,)``.
        slope: Variance that each unit of reflectance adds, shape ``(N,)``.
        fixed: Variance at a reflectance of 0, shape ``(N,)``.
        floor: Reflectance at which no light is left (below 0, as the air shines, too),
            shape ``(N,)``.

    Raises:
        UnitError: If the wavelengths do not increase or are no micrometres, or a
            variance is negative or not finite.
        BandMismatchError: If the lengths differ.

    Example:
        >>> curve = NoiseCurve.of_sensor('enmap')
        >>> sigma = curve.sigma([0.495, 2.2], reflectance=0.3)
        >>> [round(0.3 / s) for s in sigma]
        [416, 149]
    """

    wavelength: FloatArray
    slope: FloatArray
    fixed: FloatArray
    floor: FloatArray

    def __post_init__(self) -> None:
        """Check the fields."""
        wavelength = check_micrometres(self.wavelength)
        if (np.diff(wavelength) <= 0).any():
            raise UnitError('Expected wavelengths that increase: sort the curve.')
        object.__setattr__(self, 'wavelength', wavelength)
        for name in ('slope', 'fixed', 'floor'):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape != wavelength.shape:
                raise BandMismatchError(
                    f'Expected one {name} for each of the {len(wavelength)} '
                    f'wavelengths, got shape {value.shape}.'
                )
            object.__setattr__(self, name, value)
        least = self.slope * self.floor + self.fixed
        # pure shot noise ends at 0, give or take the rounding
        good = (self.slope >= 0) & (least >= -1e-9 * abs(self.fixed))
        if not (good & np.isfinite(least)).all():
            raise UnitError(
                'Expected a variance of at least 0 at every reflectance, got a slope '
                'below 0, a fixed variance below -slope * floor, or what is not finite.'
            )

    def __repr__(self) -> str:
        """Show the range, as hundreds of numbers say nothing."""
        low, high = self.wavelength[[0, -1]]
        return f'NoiseCurve({len(self.wavelength)} wavelengths, {low:.3f} to {high:.3f} µm)'

    @classmethod
    def of_sensor(cls, name: str = 'enmap') -> Self:
        """Return the noise of a sensor.

        Args:
            name: Only ``'enmap'`` so far, see
                :func:`torchgeo_hsi.physics.simulation.enmap_noise`.

        Returns:
            The curve, at the bands that the sensor keeps by default.

        Raises:
            UnknownNameError: If the noise of the sensor is not known.
        """
        if name not in _SENSORS:
            raise UnknownNameError('noise curve of a sensor', name, _SENSORS)
        sensor = get_sensor(name)
        bands = sensor.bands
        kept = np.isin(bands.names, sensor.default_bands)
        model = enmap_noise(bands)
        slope, fixed = model.variance()
        curve = (slope[kept], fixed[kept], -model.path[kept])
        order = np.argsort(bands.wavelength[kept])
        return cls(bands.wavelength[kept][order], *(part[order] for part in curve))

    @classmethod
    def from_snr(
        cls,
        wavelength: ArrayLike,
        snr: ArrayLike,
        reflectance: float = 0.3,
        read_share: ArrayLike = 0.0,
    ) -> Self:
        """Build a curve from signal-to-noise ratios, as data sheets give them.

        Args:
            wavelength: Wavelengths in micrometres, increasing, shape ``(N,)``.
            snr: Signal-to-noise ratio at *reflectance*, shape ``(N,)``.
            reflectance: Reflectance that the ratios belong to.
            read_share: Share of that variance that does not depend on the light: 0 for
                pure shot noise, 1 for noise that is the same everywhere.

        Returns:
            The curve.

        Raises:
            UnitError: If a ratio or the reflectance is not positive, or a share not
                between 0 and 1.
            BandMismatchError: If the lengths differ.

        Example:
            >>> curve = NoiseCurve.from_snr([0.5, 2.2], [500, 150])
            >>> curve.sigma([0.5], reflectance=0.3)
            array([0.0006])
        """
        ratio = np.asarray(snr, dtype=np.float64)
        share = np.broadcast_to(np.asarray(read_share, np.float64), ratio.shape)
        if not (ratio > 0).all() or not 0 < reflectance < np.inf:
            raise UnitError(
                'Expected positive signal-to-noise ratios at a positive reflectance, '
                f'got {snr!r} at {reflectance}.'
            )
        if not ((share >= 0) & (share <= 1)).all():
            raise UnitError(f'Expected read_share from 0 to 1, got {read_share!r}.')
        variance = (reflectance / ratio) ** 2
        slope = variance * (1 - share) / reflectance
        return cls(
            np.asarray(wavelength), slope, variance * share, np.zeros_like(slope)
        )

    def at(self, wavelength: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Interpolate the curve.

        Args:
            wavelength: Wavelengths in micrometres, shape ``(C,)``; outside of the curve,
                its ends are taken.

        Returns:
            Slope, fixed variance and floor at them.

        Raises:
            UnitError: If the wavelengths are no micrometres.
        """
        centers = check_micrometres(wavelength)
        slope, fixed, floor = (
            np.interp(centers, self.wavelength, part)
            for part in (self.slope, self.fixed, self.floor)
        )
        return slope, fixed, floor

    def sigma(self, wavelength: ArrayLike, reflectance: ArrayLike) -> FloatArray:
        """Compute the standard deviation of the noise.

        Args:
            wavelength: Wavelengths in micrometres, shape ``(C,)``.
            reflectance: Reflectances, of a shape that broadcasts against ``(C,)``.

        Returns:
            Standard deviations of the reflectance.

        Raises:
            UnitError: If the wavelengths are no micrometres.
        """
        slope, fixed, floor = self.at(wavelength)
        light = np.maximum(np.asarray(reflectance, np.float64), floor)
        return np.asarray(np.sqrt(slope * light + fixed))
