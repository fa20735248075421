# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The air above the scene: absorption, clouds, cirrus and their shadows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from .random_field import fractal
from .spectral_grid import WATER_ABSORPTION, WAVELENGTH, bumps

type Field = NDArray[np.float32]

_S_CLOUD, _S_BANK, _S_CIRRUS = 910_000_001, 920_000_001, 930_000_001
_S_TEXTURE = 960_000_001

#: Width of the soft edge of a cloud, in standard deviations of its field.
_EDGE = 0.55

#: Opacity at which a pixel counts as cloud, and as haze.
CLOUD_OPACITY, HAZE_OPACITY = 0.30, 0.05

#: Opacity of cirrus that counts as thin, medium and thick.
CIRRUS_OPACITY = (0.01, 0.04, 0.10)


def gas_optical_depth() -> FloatArray:
    """Optical depth of a vertical path through the gases of a summer atmosphere.

    Band positions: Gao and Goetz 1990, https://doi.org/10.1029/JD095iD04p03549, for
    water vapour, and Thompson et al. 2018, https://doi.org/10.1007/s10712-018-9488-9.
    Depths are those of bands as a spectrometer of 10 nm sees them.

    Returns:
        Optical depth on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    vapour = [
        (0.719, 0.075, 0.022), (0.822, 0.085, 0.030), (0.938, 0.34, 0.045),
        (0.945, 0.11, 0.090), (1.128, 0.42, 0.050), (1.135, 0.17, 0.090),
        (1.380, 4.5, 0.058), (1.395, 0.5, 0.110), (1.470, 0.12, 0.070),
        (1.870, 5.5, 0.095), (1.900, 0.75, 0.150), (2.490, 0.55, 0.130),
    ]  # fmt: skip
    oxygen = [(0.687, 0.08, 0.005), (0.7605, 0.32, 0.005), (1.268, 0.02, 0.010)]
    ozone = [(0.602, 0.028, 0.130)]
    carbon_dioxide = [
        (1.575, 0.015, 0.020), (1.607, 0.015, 0.020), (2.006, 0.25, 0.022),
        (2.060, 0.18, 0.022), (1.958, 0.15, 0.020),
    ]  # fmt: skip
    methane = [(1.665, 0.02, 0.020), (2.320, 0.06, 0.050), (2.370, 0.10, 0.050)]
    return bumps([*vapour, *oxygen, *ozone, *carbon_dioxide, *methane])


def diffuse_share() -> FloatArray:
    """Share of skylight in the light that reaches the ground, by wavelength.

    Rayleigh and aerosol scattering of a clear summer day (visibility about 40 km).

    Returns:
        Share on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    optical_depth = 0.0088 * WAVELENGTH**-4.05 + 0.10 * (WAVELENGTH / 0.55) ** -1.3
    return np.asarray(0.03 + 1 - np.exp(-0.75 * optical_depth))


def path_reflectance() -> FloatArray:
    """Light scattered by the air into the sensor, as a reflectance of the ground.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    rayleigh = 0.0088 * WAVELENGTH**-4.05
    aerosol = 0.10 * (WAVELENGTH / 0.55) ** -1.3
    return np.asarray(0.33 * rayleigh + 0.09 * aerosol)


def cloud_reflectance(radius: float = 10.0) -> FloatArray:
    """Reflectance of a thick cloud of water droplets.

    Absorption by droplets: Twomey and Bohren 1980,
    https://doi.org/10.1175/1520-0469(1980)037<2086:SAFCOA>2.0.CO;2; reflectance of a
    thick layer by similarity: King 1987,
    https://doi.org/10.1175/1520-0469(1987)044<1734:DOTSSA>2.0.CO;2.

    Args:
        radius: Effective radius of the droplets in micrometres.

    Returns:
        Reflectance on :data:`~torchgeo_hsi.physics.simulation.WAVELENGTH`.
    """
    absorbed = 1 - np.exp(-0.85 * WATER_ABSORPTION * radius * 1e-6)
    asymmetry = 0.86
    similarity = np.sqrt(absorbed / (1 - (1 - absorbed) * asymmetry))
    thick = (1 - similarity) * (1 - 0.139 * similarity) / (1 + 1.17 * similarity)
    # a real cloud is not quite opaque, and its sides lie in shadow
    return np.asarray(0.80 * thick)


@dataclass(frozen=True)
class Clouds:
    """Clouds as a function of position.

    Args:
        seed: Seed of the scene.
        threshold: Clouds are where the field is above; infinite for none.
        shadow: Columns and rows from a shadow to the cloud that casts it.
    """

    seed: int
    threshold: float
    shadow: tuple[float, float]

    @classmethod
    def cast(
        cls,
        cover: float,
        x: FloatArray,
        y: FloatArray,
        inside: NDArray[np.bool_],
        seed: int,
        shadow: tuple[float, float],
    ) -> 'Clouds':
        """Make clouds that cover a given share of the scene.

        Args:
            cover: Share of the imaged pixels, 0 to 1.
            x: Columns at which to look, shape ``(1, W)``.
            y: Rows, shape ``(H, 1)``.
            inside: Pixels that are imaged, shape ``(H, W)``.
            seed: Seed of the scene.
            shadow: Columns and rows from a shadow to its cloud.

        Returns:
            The clouds.
        """
        if cover <= 0:
            return cls(seed, np.inf, shadow)
        field = _cloud_field(x, y, seed)[inside]
        # the field at which the opacity reaches that of a cloud
        edge = float(np.quantile(field, 1 - cover))
        return cls(seed, edge - _EDGE * _opacity_inverse(CLOUD_OPACITY), shadow)

    def opacity(self, x: FloatArray, y: FloatArray) -> Field:
        """Opacity of the clouds, 0 to 1.

        Args:
            x: Columns, shape ``(1, W)``.
            y: Rows, shape ``(H, 1)``.
        """
        shape = np.broadcast_shapes(x.shape, y.shape)
        if np.isinf(self.threshold):
            return np.zeros(shape, dtype=np.float32)
        excess = (_cloud_field(x, y, self.seed) - self.threshold) / _EDGE
        return np.asarray(1 - np.exp(-(np.maximum(excess, 0) ** 1.5))).astype(
            np.float32
        )

    def shadow_opacity(self, x: FloatArray, y: FloatArray) -> Field:
        """Opacity of the clouds between the ground and the sun, 0 to 1.

        Args:
            x: Columns, shape ``(1, W)``.
            y: Rows, shape ``(H, 1)``.
        """
        return self.opacity(x + self.shadow[0], y + self.shadow[1])

    def texture(self, x: FloatArray, y: FloatArray) -> Field:
        """Brightness of the clouds: their lumps have lit and dark sides.

        Args:
            x: Columns, shape ``(1, W)``.
            y: Rows, shape ``(H, 1)``.
        """
        if np.isinf(self.threshold):
            return np.ones(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
        lumps = fractal(x, y, self.seed + _S_TEXTURE, 14, 4, 0.6)
        return np.asarray(np.clip(0.86 + 0.11 * lumps, 0.45, 1.15))

    def cirrus(self, x: FloatArray, y: FloatArray) -> Field:
        """Opacity of thin ice clouds, 0 to about 0.15.

        Args:
            x: Columns, shape ``(1, W)``.
            y: Rows, shape ``(H, 1)``.
        """
        if np.isinf(self.threshold):
            return np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
        # streaks: the field is stretched along the wind
        along, across = 0.9 * x + 0.44 * y, 0.9 * y - 0.44 * x
        field = fractal(along / 4, across, self.seed + _S_CIRRUS, 60, 4)
        return np.asarray(0.045 * np.maximum(field - 1.5, 0)).astype(np.float32)


def _cloud_field(x: FloatArray, y: FloatArray, seed: int) -> Field:
    puffs = fractal(x, y, seed + _S_CLOUD, 40, 6, 0.5)
    return np.asarray(puffs + 0.8 * fractal(x, y, seed + _S_BANK, 190, 2))


def _opacity_inverse(opacity: float) -> float:
    """Excess of the field, in widths of the edge, that gives an opacity."""
    return float((-np.log(1 - opacity)) ** (1 / 1.5))
