# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From mixtures to stored numbers: light, air, instrument and processing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ..bands import BandSet
from .atmosphere import cloud_reflectance, diffuse_share
from .instrument import (
    Detector,
    band_transmittance,
    enmap_noise,
    is_vnir,
    response_matrix,
)
from .materials import SceneConditions, spectral_library

type Field = NDArray[np.float32]

# rows that are computed at a time, so that they stay in the cache
_ROWS = 8

# bright clouds exceed 1, but no reflectance gets near the limit of int16
_DN_MAX = 20_000

# a cloud lets some of the sun through to its shadow
_SHADOW_DEPTH = 0.80


@dataclass(frozen=True)
class Sky:
    """What happens to the light of each pixel.

    Args:
        sunlight: Light on the slope, relative to level ground.
        vapour: Excess of water vapour in the correction, relative to the mean.
        cloud: Opacity of clouds.
        texture: Brightness of clouds.
        shadow: Opacity of clouds before the sun.
        cirrus: Opacity of cirrus.
    """

    sunlight: Field
    vapour: Field
    cloud: Field
    texture: Field
    shadow: Field
    cirrus: Field

    def rows(self, part: slice) -> 'Sky':
        """Cut out some rows."""
        return Sky(**{name: field[part] for name, field in vars(self).items()})

    @property
    def is_clear(self) -> bool:
        """Whether there is no cloud and no shadow."""
        return not (self.cloud.any() or self.shadow.any() or self.cirrus.any())


class Recorder:
    """Turns mixtures of materials into the numbers of a product.

    Args:
        bands: Bands of the scene.
        conditions: Sun, soil and season.
        columns: Columns of the detector.
        noise: Factor on noise and stripes.
        rng: Source of the residuals of atmospheric correction and calibration.
    """

    def __init__(
        self,
        bands: BandSet,
        conditions: SceneConditions,
        columns: int,
        noise: float,
        rng: np.random.Generator,
    ) -> None:
        """Initialize a new Recorder instance; see the class for the arguments."""
        response = response_matrix(bands)

        def seen(spectra: FloatArray) -> Field:
            return np.asarray(spectra @ response.T).astype(np.float32)

        self.noise_model = enmap_noise(bands, conditions.sun_zenith)
        self.noise = noise
        #: Spectra that pixels are mixed from, shape ``(materials x nodes, C)``.
        self.library = seen(spectral_library(conditions))
        self.cloud, self.sky = seen(cloud_reflectance()), seen(diffuse_share())
        through = band_transmittance(bands, conditions.sun_zenith)
        # saturated bands carry no signal whose error could grow further
        self.depth = np.minimum(-np.log(through), 3).astype(np.float32)
        # too much water vapour was corrected: spikes in its bands
        vapour = rng.normal(0.065, 0.02)
        self.gain = np.exp(vapour * self.depth) * _detector_gain(bands, rng)
        # light that strays within the spectrometer, divided by a small transmittance
        stray = abs(rng.normal(0.0012, 0.0004)) * (1 / through - 1)
        self.stray = np.minimum(stray, 0.12).astype(np.float32)
        self.gain = self.gain.astype(np.float32)
        self.detector = Detector.draw(rng, columns, self.noise_model, noise)

    def record(
        self,
        weights: Field,
        sky: Sky,
        column: NDArray[np.int64],
        rng: np.random.Generator,
        through: Field | None = None,
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Record a window.

        Args:
            weights: Weights of the library, shape ``(H, W, materials x nodes)``.
            sky: Light of each pixel.
            column: Column of the detector that saw each pixel.
            rng: Source of the noise.
            through: Share of the light that a plume lets through, shape ``(H, W, C)``,
                or None.

        Returns:
            Stored numbers of shape ``(C, H, W)`` as recorded, and without noise,
            stripes, clouds and residuals.
        """
        height, width = column.shape
        shape = (self.library.shape[1], height, width)
        image, clean = np.empty(shape, np.int16), np.empty(shape, np.int16)
        for start in range(0, height, _ROWS):
            part = slice(start, start + _ROWS)
            values = weights[part] @ self.library
            values *= sky.sunlight[part, :, None]
            if through is not None:
                values *= through[part]
            clean[:, part] = _to_dn(values).transpose(2, 0, 1)
            self._cover(values, sky.rows(part))
            self._measure(values, column[part], rng)
            image[:, part] = _to_dn(values).transpose(2, 0, 1)
        return image, clean

    def _cover(self, values: Field, sky: Sky) -> None:
        """Add clouds, shadows, and what atmospheric correction leaves behind."""
        if not sky.is_clear:
            lost = np.float32(_SHADOW_DEPTH) * sky.shadow[..., None]
            values *= 1 - lost * (1 - self.sky)
            values += sky.cloud[..., None] * (
                sky.texture[..., None] * self.cloud - values
            )
            # ice is white in all windows
            values += sky.cirrus[..., None] * (np.float32(0.75) - values)
        values *= 1 + sky.vapour[..., None] * self.depth
        values *= self.gain
        values += self.stray

    def _measure(
        self, values: Field, column: NDArray[np.int64], rng: np.random.Generator
    ) -> None:
        """Add noise, stripes and dead pixels."""
        if self.noise > 0:
            grain = rng.standard_normal(values.shape, dtype=np.float32)
            grain *= self.noise_model.sigma(values)
            grain *= np.float32(self.noise)
            values *= self.detector.gain[column]
            values += self.detector.offset[column]
            values += grain
        # the product fills dead pixels from the bands beside them
        row, col, band = np.nonzero(self.detector.dead[column])
        before, after = values[row, col, band - 1], values[row, col, band + 1]
        values[row, col, band] = (before + after) / 2


def _detector_gain(bands: BandSet, rng: np.random.Generator) -> FloatArray:
    """Gains by which the two detectors disagree in their overlap."""
    vnir, wavelength = is_vnir(bands), bands.wavelength
    edge = np.where(vnir, wavelength - 0.86, 1.05 - wavelength)
    share = np.clip(edge / 0.13, 0, 1) * np.where(vnir, -0.6, 0.4)
    return np.asarray(1 + rng.normal(0.055, 0.015) * share)


def _to_dn(reflectance: Field) -> NDArray[np.int16]:
    """Convert to stored numbers; the product has no negative reflectance."""
    scaled = reflectance * np.float32(1e4)
    np.rint(scaled, out=scaled)
    np.clip(scaled, 0, _DN_MAX, out=scaled)
    return scaled.astype(np.int16)
