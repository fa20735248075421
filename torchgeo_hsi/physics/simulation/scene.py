# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A scene of EnMAP, computed window by window."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ..bands import BandSet
from .atmosphere import CIRRUS_OPACITY, CLOUD_OPACITY, HAZE_OPACITY, Clouds
from .footprint import Footprint
from .instrument import EMPTY_BANDS, draw_bands
from .landscape import elevation, large_forms
from .materials import SceneConditions
from .mixing import mix_surface
from .plume import PlumeSource
from .random_field import fractal
from .recorder import Recorder, Sky

#: Value of pixels outside of the swath, and of empty bands.
NODATA = -32768

#: Smallest scene in pixels: one town block, one field, one wood.
MIN_SIZE = 16

#: Zenith angle and azimuth of the sun in degrees, on 15 July, 10:45 UTC, at Potsdam.
SUN_ZENITH, SUN_AZIMUTH = 31.6, 163.0

#: Size of a pixel in metres.
PIXEL = 30.0

# share of the topographic effect that the correction leaves
_TOPOGRAPHY_LEFT = 0.6

# height of the clouds in metres
_CLOUD_BASE = 1600.0

_S_VAPOUR = 950_000_001
_CANDIDATES = 20
_WORLD = 40_000


@dataclass(frozen=True)
class SceneConfig:
    """What scene to simulate.

    Args:
        height: Rows.
        width: Columns.
        seed: Seed; the same one always gives the same scene.
        cloud_cover: Share of the imaged pixels under cloud, 0 to 0.9.
        footprint: Whether the swath is tilted as in a real product, so that the corners
            of the raster are empty (30 % of a square).
        noise: Factor on noise and stripes; 0 for a perfect instrument.
        plume: A plume of gas over the scene, or None.

    Raises:
        ValueError: If a value is out of its range.
    """

    height: int = 256
    width: int = 256
    seed: int = 0
    cloud_cover: float = 0.05
    footprint: bool = True
    noise: float = 1.0
    plume: PlumeSource | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if min(self.height, self.width) < MIN_SIZE:
            raise ValueError(
                f'Expected a size of at least {MIN_SIZE} pixels, got {self.height} x '
                f'{self.width}.'
            )
        if not 0 <= self.cloud_cover <= 0.9:
            raise ValueError(
                'Expected cloud_cover as a share from 0 to 0.9, got '
                f'{self.cloud_cover:g}.'
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f'Expected a seed from 0 to 2**31 - 1, got {self.seed}.')
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f'Expected noise of 0 or more, got {self.noise:g}.')
        Footprint.fit(self.height, self.width, self.footprint)
        if self.plume is not None:
            # better now than when half of the scene is written
            self.plume.side(PIXEL)


@dataclass(frozen=True)
class SceneTile:
    """A window of a scene.

    Args:
        image: Reflectance x 10 000, int16 of shape ``(C, H, W)``, as the product has it.
        clean: The same without noise, stripes, clouds and residuals of the atmosphere;
            a plume is part of the signal and stays.
        abundances: Share of each class, float32 of shape ``(K, H, W)``; NaN outside.
        classes: Class with the largest share, uint8; 255 outside of the swath.
        defects: 1 for dead pixels of the detector, 255 outside, shape ``(C, H, W)``.
        inside: True in the swath, shape ``(H, W)``.
        cloud: True under clouds.
        haze: True under the thin edges of clouds.
        shadow: True in the shadow of clouds.
        cirrus: 0 for none, 1 for thin, 2 for medium, 3 for thick, uint8.
        enhancement: Gas of the plume in ppm m, float32; 0 without plume, NaN outside.
    """

    image: NDArray[np.int16]
    clean: NDArray[np.int16]
    abundances: NDArray[np.float32]
    classes: NDArray[np.uint8]
    defects: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    cloud: NDArray[np.bool_]
    haze: NDArray[np.bool_]
    shadow: NDArray[np.bool_]
    cirrus: NDArray[np.uint8]
    enhancement: NDArray[np.float32]


class EnMAPScene:
    """A simulated scene of EnMAP.

    Everything but the noise is a function of position, so windows can be rendered one
    by one and fit together. The noise belongs to a window: render the same windows to
    get the same noise.

    Args:
        config: What to simulate.

    Example:
        >>> scene = EnMAPScene(SceneConfig(height=32, width=32, seed=1))
        >>> tile = scene.render(0, 0, 32, 16)
        >>> tile.image.shape
        (224, 16, 32)
    """

    def __init__(self, config: SceneConfig) -> None:
        """Initialize a new EnMAPScene instance."""
        self.config = config
        rng = np.random.default_rng([config.seed, 0])
        self.conditions = SceneConditions.draw(rng, SUN_ZENITH)
        self.bands: BandSet = draw_bands(rng)
        #: False for bands without data.
        self.filled = ~np.isin(self.bands.names, EMPTY_BANDS)
        self.swath = Footprint.fit(config.height, config.width, config.footprint)
        self.recorder = Recorder(
            self.bands, self.conditions, self.swath.columns, config.noise, rng
        )
        self.left, self.top = self._choose_place(rng)
        self.clouds = self._cast_clouds()

    def _choose_place(self, rng: np.random.Generator) -> tuple[int, int]:
        """Choose the part of the world where a scene has most kinds of cover."""
        config, best = self.config, (-1.0, (0, 0))
        for x, y in rng.integers(-_WORLD, _WORLD, (_CANDIDATES, 2)).tolist():
            columns = x + np.linspace(0, config.width, 16)[None, :]
            rows = y + np.linspace(0, config.height, 16)[:, None]
            forms = large_forms(columns, rows, config.seed)
            wet = (forms.river < 0) | (forms.lake > 0)
            built = ~wet & (forms.town.density > 0.06)
            wood = ~wet & ~built & (forms.forest > 0)
            shares = np.array([wet.mean(), built.mean(), wood.mean(), 0.0])
            shares[3] = 1 - shares.sum()
            # rivers and towns are small, so a little of them is enough
            score = float(np.minimum(shares / (0.05, 0.14, 0.27, 0.30), 1).sum())
            best = max(best, (score, (x, y)))
        return best[1]

    def _cast_clouds(self) -> Clouds:
        config = self.config
        azimuth = np.radians(SUN_AZIMUTH)
        reach = _CLOUD_BASE * np.tan(np.radians(SUN_ZENITH)) / PIXEL
        step = max(1, max(config.height, config.width) // 400)
        x = np.arange(0.5, config.width, step)[None, :]
        y = np.arange(0.5, config.height, step)[:, None]
        return Clouds.cast(
            config.cloud_cover,
            self.left + x,
            self.top + y,
            self.swath.contains(x, y),
            config.seed,
            # towards the sun: east and, as rows count to the south, minus north
            (reach * np.sin(azimuth), -reach * np.cos(azimuth)),
        )

    def render(self, column: int, row: int, width: int, height: int) -> SceneTile:
        """Compute a window of the scene.

        Args:
            column: First column of the window.
            row: First row of the window.
            width: Columns of the window.
            height: Rows of the window.

        Returns:
            The window.

        Raises:
            ValueError: If the window leaves the scene.
        """
        config = self.config
        if not (
            0 <= column < column + width <= config.width
            and 0 <= row < row + height <= config.height
        ):
            raise ValueError(
                f'Expected a window inside {config.height} rows and {config.width} '
                f'columns, got rows {row} to {row + height} and columns {column} to '
                f'{column + width}.'
            )
        x = column + np.arange(width)[None, :] + 0.5
        y = row + np.arange(height)[:, None] + 0.5
        mixture = mix_surface(
            self.left + column, self.top + row, width, height, config.seed
        )
        sky = self._sky(self.left + x, self.top + y)
        detector = self.swath.column(x, y)
        # a generator for each window, so that windows may come in any order
        key = np.random.SeedSequence([config.seed, 1, row, column])
        rng = np.random.Generator(np.random.SFC64(key))
        gas = self._gas((column, row, width, height))
        image, clean = self.recorder.record(
            mixture.weights, sky, detector, rng, self._through(gas)
        )
        image[~self.filled] = NODATA
        dead = self.recorder.detector.dead[detector].transpose(2, 0, 1)
        inside = self.swath.contains(x, y)
        return self._tile(image, clean, mixture.abundances, dead, sky, inside, gas)

    def _gas(self, window: tuple[int, int, int, int]) -> NDArray[np.float32]:
        """Compute the enhancement of a window in ppm m."""
        config = self.config
        if config.plume is None:
            return np.zeros((window[3], window[2]), dtype=np.float32)
        return config.plume.enhancement(config.height, config.width, PIXEL, window)

    def _through(self, gas: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Compute the light that a plume lets through, shape ``(H, W, C)``."""
        plume = self.config.plume
        if plume is None or not gas.any():
            return None
        import torch

        through = plume.absorption.band_transmittance(
            self.bands, torch.from_numpy(gas), sun_zenith=SUN_ZENITH
        )
        return np.ascontiguousarray(through.numpy().transpose(1, 2, 0))

    def _tile(
        self,
        image: NDArray[np.int16],
        clean: NDArray[np.int16],
        abundances: NDArray[np.float32],
        dead: NDArray[np.bool_],
        sky: Sky,
        inside: NDArray[np.bool_],
        gas: NDArray[np.float32],
    ) -> SceneTile:
        """Put together what belongs to a window, and empty what is outside."""
        outside = ~inside
        classes = abundances.argmax(axis=-1).astype(np.uint8)
        defects = dead.astype(np.uint8)
        for array, value in ((image, NODATA), (clean, NODATA), (defects, 255)):
            array[:, outside] = value
        classes[outside] = 255
        abundances[outside] = np.nan
        gas[outside] = np.nan
        cloud = sky.cloud >= CLOUD_OPACITY
        dark = (1 - sky.cloud) * sky.shadow >= CLOUD_OPACITY
        return SceneTile(
            image=image,
            clean=clean,
            abundances=np.ascontiguousarray(abundances.transpose(2, 0, 1)),
            classes=classes,
            defects=defects,
            inside=inside,
            cloud=inside & cloud,
            haze=inside & ~cloud & (sky.cloud >= HAZE_OPACITY),
            shadow=inside & ~cloud & dark,
            cirrus=np.digitize(sky.cirrus, CIRRUS_OPACITY).astype(np.uint8) * inside,
            enhancement=gas,
        )

    def _sky(self, x: FloatArray, y: FloatArray) -> Sky:
        """Compute the light of each pixel, in the coordinates of the world."""
        seed = self.config.seed
        return Sky(
            sunlight=self._sunlight(x, y),
            vapour=0.012 * fractal(x, y, seed + _S_VAPOUR, 90, 3),
            cloud=self.clouds.opacity(x, y),
            texture=self.clouds.texture(x, y),
            shadow=self.clouds.shadow_opacity(x, y),
            cirrus=self.clouds.cirrus(x, y),
        )

    def _sunlight(self, x: FloatArray, y: FloatArray) -> NDArray[np.float32]:
        """Light on slopes, relative to level ground, as far as it stays uncorrected."""
        seed = self.config.seed
        # half a pixel to each side: the slope over one pixel
        east = elevation(x + 0.5, y, seed) - elevation(x - 0.5, y, seed)
        south = elevation(x, y + 0.5, seed) - elevation(x, y - 0.5, seed)
        east, south = east / PIXEL, south / PIXEL
        zenith, azimuth = np.radians(SUN_ZENITH), np.radians(SUN_AZIMUTH)
        # the normal of the ground times the direction of the sun; north is minus south
        toward = -east * np.sin(azimuth) + south * np.cos(azimuth)
        cosine = (np.cos(zenith) + np.sin(zenith) * toward) / np.sqrt(
            1 + east**2 + south**2
        )
        light = 1 + _TOPOGRAPHY_LEFT * (cosine / np.cos(zenith) - 1)
        return np.asarray(np.clip(light, 0.3, 1.6), dtype=np.float32)
