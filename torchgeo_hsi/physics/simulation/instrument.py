# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The EnMAP instrument: bands, responses, noise, stripes and dead pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ...errors import BandMismatchError
from ..bands import BandSet
from ..sensors import get_sensor
from .atmosphere import gas_optical_depth, path_reflectance
from .spectral_grid import WAVELENGTH

#: Bands of the VNIR detector, B1 to B91; the others are those of the SWIR detector.
VNIR_BANDS = 91

#: Bands in the water vapour window that a scene of a moist atmosphere lacks.
EMPTY_BANDS = tuple(f'B{n}' for n in range(130, 136))

#: Signal-to-noise ratio at a wavelength in micrometres, for 30 % albedo, sun at 30°:
#: Storch et al. 2020, https://doi.org/10.5194/isprs-annals-V-1-2020-41-2020.
SNR_ANCHORS = {'VNIR': (0.495, 500.0), 'SWIR': (2.200, 150.0)}

#: Albedo and zenith angle of the sun in degrees of the reference radiance.
_ALBEDO, _REFERENCE_SUN = 0.30, 30.0

#: Variance of the read-out at the anchor, relative to that of the photons.
_READ_SHARE = {'VNIR': 0.06, 'SWIR': 0.5}

# share of photons that become electrons: silicon and prism coatings fall off at both
# ends (Guanter et al. 2015, https://doi.org/10.3390/rs70708830, figure 8)
_EFFICIENCY = {
    'VNIR': ([0.40, 0.45, 0.50, 0.60, 0.70, 0.80, 0.90, 1.0], [22, 55, 78, 85, 75, 58, 36, 14]),
    'SWIR': ([0.90, 1.00, 1.20, 1.60, 2.10, 2.30, 2.5], [52, 68, 80, 84, 80, 72, 55]),
}  # fmt: skip


def is_vnir(bands: BandSet) -> NDArray[np.bool_]:
    """Tell which bands belong to the VNIR detector.

    Args:
        bands: Bands of EnMAP, named ``B1`` to ``B224``.

    Returns:
        True for VNIR, False for SWIR.

    Raises:
        BandMismatchError: If a band has another name.
    """
    try:
        numbers = np.array([int(name.removeprefix('B')) for name in bands.names])
    except ValueError as error:
        raise BandMismatchError(
            f'Expected bands named B1 to B224, got {", ".join(bands.names[:4])}, ...'
        ) from error
    return np.asarray(numbers <= VNIR_BANDS)


def draw_bands(rng: np.random.Generator) -> BandSet:
    """Draw the bands of a scene: each detector is shifted against its nominal table.

    Args:
        rng: Source of randomness.

    Returns:
        All 224 bands, in the order of wavelength.
    """
    nominal = get_sensor('enmap').bands
    vnir = is_vnir(nominal)
    # the shifts of the scene of 2022-07-24, give or take
    shift = np.where(vnir, rng.normal(-0.20, 0.06), rng.normal(0.30, 0.08)) / 1000
    bands = BandSet(nominal.wavelength + shift, nominal.fwhm, nominal.names)
    return bands.by_wavelength()


def response_matrix(bands: BandSet) -> FloatArray:
    """Compute the weights that turn a spectrum into the values of bands.

    Args:
        bands: Bands with FWHM.

    Returns:
        Matrix of shape ``(C, wavelengths)`` whose rows sum to 1.
    """
    assert bands.fwhm is not None
    # as physics.gaussian_srf, which needs torch
    offset = (WAVELENGTH - bands.wavelength[:, None]) / bands.fwhm[:, None]
    response = np.exp(-4 * np.log(2) * offset**2)
    return np.asarray(response / response.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class NoiseModel:
    """Noise that grows with the light, and that of the read-out.

    Args:
        reference: Reflectance to which *snr* belongs.
        snr: Signal-to-noise ratio of each band at that reflectance.
        path: Light from the air in each band, as a reflectance.
        read_share: Share of the variance that does not depend on the light, at the
            reference.
    """

    reference: float
    snr: FloatArray
    path: FloatArray
    read_share: FloatArray

    def variance(self) -> tuple[FloatArray, FloatArray]:
        """Return the variance of the noise as a linear function of the reflectance.

        Returns:
            Variance that each unit of reflectance adds, and variance at a reflectance
            of 0, one of each for every band. Below ``-path`` no light is left that
            could make less noise.
        """
        full = self.reference + self.path
        variance = (full / self.snr) ** 2
        slope = variance * (1 - self.read_share) / full
        return slope, variance * self.read_share + self.path * slope

    def sigma(self, reflectance: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the standard deviation of the noise.

        Args:
            reflectance: Reflectance with the bands on the last axis.

        Returns:
            Standard deviation of the reflectance, of the same shape.
        """
        slope, fixed = (part.astype(np.float32) for part in self.variance())
        # in place: this runs for every number of a scene
        result = np.maximum(reflectance, -self.path.astype(np.float32))
        result = np.asarray(result, dtype=np.float32)
        result *= slope
        result += fixed
        return np.sqrt(result, out=result)


def band_transmittance(bands: BandSet, sun_zenith: float) -> FloatArray:
    """Compute the share of light that gases let through, down and up.

    Args:
        bands: Bands with FWHM.
        sun_zenith: Zenith angle of the sun in degrees.

    Returns:
        Transmittance of each band, at least 1e-4.
    """
    path = 1 + 1 / np.cos(np.radians(sun_zenith))
    through = response_matrix(bands) @ np.exp(-path * gas_optical_depth())
    return np.asarray(np.maximum(through, 1e-4))


def enmap_noise(bands: BandSet, sun_zenith: float = _REFERENCE_SUN) -> NoiseModel:
    """Build the noise model of EnMAP.

    The number of photons follows from the spectrum of the sun (a black body of
    5772 K), the gases, the width of the band and the efficiency of the detector; its
    level from the specified signal-to-noise ratios, 500 at 495 nm and 150 at 2200 nm.

    Args:
        bands: Bands of EnMAP with FWHM.
        sun_zenith: Zenith angle of the sun in degrees.

    Returns:
        The noise model.

    Raises:
        BandMismatchError: If the bands are not those of EnMAP.
    """
    vnir = is_vnir(bands)
    path = response_matrix(bands) @ path_reflectance()
    snr, share = np.empty(len(bands)), np.empty(len(bands))
    dimmer = np.cos(np.radians(sun_zenith)) / np.cos(np.radians(_REFERENCE_SUN))
    for detector, mine in (('VNIR', vnir), ('SWIR', ~vnir)):
        centre, target = SNR_ANCHORS[detector]
        read = _READ_SHARE[detector]
        # as if the anchor were a band of this detector
        width = np.interp(centre, *_sorted(bands, mine))
        anchor = BandSet(np.array([centre]), np.array([width]), ('B1',))
        scale = target**2 * (1 + read) / _photons(anchor, detector, _REFERENCE_SUN)
        some = BandSet(
            bands.wavelength[mine],
            None if bands.fwhm is None else bands.fwhm[mine],
            tuple(np.array(bands.names)[mine].tolist()),
        )
        photons = scale * dimmer * _photons(some, detector, sun_zenith)
        floor = read * target**2 * (1 + read)
        snr[mine] = photons / np.sqrt(photons + floor)
        share[mine] = floor / (photons + floor)
    return NoiseModel(_ALBEDO, snr, path, share)


def _sorted(bands: BandSet, mine: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    assert bands.fwhm is not None
    order = np.argsort(bands.wavelength[mine])
    return bands.wavelength[mine][order], bands.fwhm[mine][order]


def _photons(bands: BandSet, detector: str, sun_zenith: float) -> FloatArray:
    """Photons that a bright target sends to each band, in arbitrary units."""
    assert bands.fwhm is not None
    wl = bands.wavelength
    # Planck's law; one power of the wavelength less, as photons are counted
    sun = wl**-4 / (np.exp(14387.77 / (wl * 5772)) - 1)
    seen = _ALBEDO * band_transmittance(bands, sun_zenith)
    seen = seen + response_matrix(bands) @ path_reflectance()
    return np.asarray(sun * seen * bands.fwhm * np.interp(wl, *_EFFICIENCY[detector]))


@dataclass(frozen=True)
class Detector:
    """What is wrong with the columns of the detectors.

    Args:
        gain: Residual gain of each column and band, about 1, ``(columns, C)``.
        offset: Residual offset in reflectance.
        dead: Dead pixels of the detectors, which the product interpolates.
    """

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    dead: NDArray[np.bool_]

    @classmethod
    def draw(
        cls, rng: np.random.Generator, columns: int, noise: NoiseModel, strength: float
    ) -> 'Detector':
        """Draw the residuals of the calibration.

        Args:
            rng: Source of randomness.
            columns: Columns of the detectors.
            noise: Noise model; offsets are a share of the noise at a dark target.
            strength: Factor on gain and offset; 0 for a perfect calibration.

        Returns:
            The columns.
        """
        count = len(noise.snr)
        shape = (columns, count)
        # dust on the slit darkens a column in all bands, the rest is random
        slit = rng.normal(0, 0.0012, (columns, 1))
        gain = 1 + strength * (slit + rng.normal(0, 0.0025, shape))
        dark = noise.sigma(np.zeros(count))
        offset = strength * 0.35 * dark * rng.normal(0, 1, shape)
        dead = rng.random(shape) < 2e-4 * (strength > 0)
        # the first and the last band have no neighbours to be interpolated from
        dead[:, [0, -1]] = False
        return cls(gain.astype(np.float32), offset.astype(np.float32), dead)
