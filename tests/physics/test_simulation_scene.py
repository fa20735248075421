# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A simulated scene against its own models, computed another way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.physics import BandSet, gaussian_srf, get_sensor
from torchgeo_hsi.physics.simulation import (
    WAVELENGTH,
    EnMAPScene,
    SceneConfig,
    SceneTile,
    enmap_noise,
    material_spectrum,
)
from torchgeo_hsi.physics.simulation.instrument import (
    EMPTY_BANDS,
    draw_bands,
    is_vnir,
    response_matrix,
)
from torchgeo_hsi.physics.simulation.landscape import elevation
from torchgeo_hsi.physics.simulation.recorder import Sky
from torchgeo_hsi.physics.simulation.scene import NODATA, SUN_AZIMUTH, SUN_ZENITH

SIZE = 64


@pytest.fixture(scope='module')
def scene() -> EnMAPScene:
    return EnMAPScene(SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.15))


@pytest.fixture(scope='module')
def tile(scene: EnMAPScene) -> SceneTile:
    return scene.render(0, 0, SIZE, SIZE)


def clear_sky(shape: tuple[int, int]) -> Sky:
    zero, one = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    return Sky(one, zero, zero, one, zero, zero)


class TestBands:
    def test_order_names_and_shift(self) -> None:
        bands = draw_bands(np.random.default_rng(1))
        nominal = get_sensor('enmap').bands
        assert bands.is_sorted
        assert sorted(bands.names) == sorted(nominal.names)
        same = nominal.select(bands.names)
        shift = bands.wavelength - same.wavelength
        vnir = is_vnir(bands)
        for detector in (vnir, ~vnir):
            assert np.ptp(shift[detector]) < 1e-9
            assert 0 < np.abs(shift[detector]).max() < 1e-3

    def test_responses_by_integration(self) -> None:
        bands = draw_bands(np.random.default_rng(1))
        spectrum = material_spectrum('crop', 0.7, 0.3)
        found = response_matrix(bands) @ spectrum
        for band in (3, 50, 75, 140, 200):
            centre = bands.wavelength[band]
            sigma = bands.fwhm[band] / (2 * np.sqrt(2 * np.log(2)))

            def weight(x: float, c: float = centre, s: float = sigma) -> float:
                return float(np.exp(-0.5 * ((x - c) / s) ** 2))

            reach = (centre - 5 * sigma, centre + 5 * sigma)
            top = quad(
                lambda x, w=weight: w(x) * np.interp(x, WAVELENGTH, spectrum),
                *reach,
                limit=400,
            )[0]
            expected = top / quad(weight, *reach, limit=400)[0]
            assert found[band] == pytest.approx(expected, rel=1e-3)

    def test_responses_are_those_of_the_package(self) -> None:
        bands = get_sensor('enmap').bands
        curves = gaussian_srf(WAVELENGTH, bands.wavelength, bands.fwhm).numpy()
        found = response_matrix(bands)
        expected = curves / curves.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_other_bands(self) -> None:
        bands = BandSet([0.5, 0.6], [0.01, 0.01], ('red', 'green'))
        with pytest.raises(BandMismatchError, match='B1 to B224'):
            enmap_noise(bands)


class TestNoise:
    @pytest.mark.parametrize(
        ('detector', 'centre', 'snr'), [('VNIR', 0.495, 500), ('SWIR', 2.2, 150)]
    )
    def test_specified_ratios(self, detector: str, centre: float, snr: float) -> None:
        bands = get_sensor('enmap').bands
        model = enmap_noise(bands, sun_zenith=30.0)
        vnir = is_vnir(bands)
        mine = vnir if detector == 'VNIR' else ~vnir
        order = np.argsort(bands.wavelength[mine])
        found = np.interp(centre, bands.wavelength[mine][order], model.snr[mine][order])
        assert found == pytest.approx(snr, rel=0.03)

    def test_shot_noise_grows_with_the_root_of_the_light(self) -> None:
        model = enmap_noise(get_sensor('enmap').bands)
        model = replace(model, read_share=np.zeros(224))
        low, high = model.sigma(np.full(224, 0.1)), model.sigma(np.full(224, 0.4))
        expected = np.sqrt((0.4 + model.path) / (0.1 + model.path))
        np.testing.assert_allclose(high / low, expected, rtol=1e-5)
        at_reference = model.sigma(np.full(224, model.reference))
        np.testing.assert_allclose(
            (model.reference + model.path) / at_reference, model.snr, rtol=1e-5
        )

    def test_water_vapour_and_a_low_sun_cost_signal(self) -> None:
        bands = get_sensor('enmap').bands
        high, low = enmap_noise(bands, 30.0), enmap_noise(bands, 70.0)
        assert (low.snr < high.snr).all()
        snr = dict(zip(bands.names, high.snr, strict=True))
        dip = bands.names[bands.nearest(1.13)]
        beside = bands.names[bands.nearest(1.25)]
        assert snr[dip] < 0.8 * snr[beside]

    def test_recorded_noise_has_the_variance_of_the_model(
        self, scene: EnMAPScene
    ) -> None:
        recorder = scene.recorder
        height, width = 4000, 2
        weights = np.zeros((height, width, len(recorder.library)), np.float32)
        weights[..., 70] = 1.0
        column = np.broadcast_to(np.arange(width), (height, width))
        rng = np.random.default_rng(0)
        image, clean = recorder.record(weights, clear_sky((height, width)), column, rng)
        # along a column of the detector there are no stripes
        found = image.astype(np.float64).std(axis=1) / 1e4
        expected_clean = np.rint(recorder.library[70] * 1e4)
        np.testing.assert_array_equal(clean[:, 0, 0], expected_clean)
        mean = recorder.library[70] * recorder.gain + recorder.stray
        sigma = recorder.noise_model.sigma(mean)
        # rounding to integers adds a twelfth
        expected = np.sqrt(sigma**2 + 1e-8 / 12)
        bright = (mean > 5 * sigma) & ~recorder.detector.dead[:2].any(axis=0)
        assert bright.sum() > 200
        ratio = found[bright] / expected[bright, None]
        # 4000 draws leave 1.1 % of uncertainty
        np.testing.assert_allclose(ratio, 1, atol=0.06)
        assert ratio.mean() == pytest.approx(1, abs=0.01)

    def test_stripes_follow_the_columns(self, scene: EnMAPScene) -> None:
        recorder = scene.recorder
        height, width = 600, 40
        weights = np.zeros((height, width, len(recorder.library)), np.float32)
        weights[..., 70] = 1.0
        column = np.broadcast_to(np.arange(width), (height, width))
        image, _ = recorder.record(
            weights, clear_sky((height, width)), column, np.random.default_rng(0)
        )
        seen = recorder.library[70] * recorder.gain + recorder.stray
        detector = recorder.detector
        expected = seen * detector.gain[:width] + detector.offset[:width]
        band = int(np.argmax(recorder.noise_model.snr))
        found = image[band].mean(axis=0) / 1e4
        assert np.corrcoef(found, expected[:, band])[0, 1] > 0.95

    def test_perfect_instrument(self) -> None:
        config = SceneConfig(24, 24, seed=1, cloud_cover=0, footprint=False, noise=0)
        tile = EnMAPScene(config).render(0, 0, 24, 24)
        assert not tile.defects.any()
        bands = EnMAPScene(config).bands
        # away from the water bands and the overlap, only rounding is left
        quiet = (bands.wavelength > 0.5) & (bands.wavelength < 0.68)
        assert np.abs(tile.image - tile.clean)[quiet].max() <= 10

    def test_dead_pixels_are_interpolated(self) -> None:
        big = EnMAPScene(SceneConfig(128, 128, seed=5, footprint=False, cloud_cover=0))
        tile = big.render(0, 0, 128, 128)
        dead = big.recorder.detector.dead
        columns, bands = np.nonzero(dead)
        assert len(columns) > 0
        for column, band in zip(columns, bands, strict=True):
            assert (tile.defects[band, :, column] == 1).all()
            neighbours = [band - 1, band, band + 1]
            if big.filled[neighbours].all() and not dead[column, neighbours].sum() > 1:
                values = tile.image[neighbours, :, column].astype(int)
                expected = (values[0] + values[2]) / 2
                assert np.abs(values[1] - expected).max() <= 1.5
        assert (tile.defects == 1).sum() == 128 * dead.sum()


class TestTile:
    def test_shapes_and_nodata(self, scene: EnMAPScene, tile: SceneTile) -> None:
        assert tile.image.shape == (224, SIZE, SIZE)
        assert tile.image.dtype == np.int16
        empty = np.isin(scene.bands.names, EMPTY_BANDS)
        assert empty.sum() == 6
        data = tile.image != NODATA
        assert not data[empty].any()
        np.testing.assert_array_equal(
            data[~empty], np.broadcast_to(tile.inside, (218, SIZE, SIZE))
        )
        assert 0.6 < tile.inside.mean() < 0.75
        assert not tile.inside[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        assert tile.image[data].min() >= 0
        np.testing.assert_array_equal(tile.clean[0] != NODATA, tile.inside)
        assert (tile.clean[:, tile.inside] >= 0).all()

    def test_abundances_and_classes(self, tile: SceneTile) -> None:
        inside = tile.inside
        np.testing.assert_allclose(tile.abundances[:, inside].sum(axis=0), 1, atol=1e-5)
        assert np.isnan(tile.abundances[:, ~inside]).all()
        np.testing.assert_array_equal(
            tile.classes[inside], tile.abundances[:, inside].argmax(axis=0)
        )
        assert (tile.classes[~inside] == 255).all()
        assert len(np.unique(tile.classes[inside])) >= 5

    def test_clouds_are_bright_and_as_many_as_asked_for(self, tile: SceneTile) -> None:
        assert tile.cloud.sum() / tile.inside.sum() == pytest.approx(0.15, abs=0.02)
        blue = 10
        rise = tile.image[blue].astype(int) - tile.clean[blue]
        assert rise[tile.cloud].mean() > 1000
        clear = tile.inside & ~tile.cloud & ~tile.haze & ~tile.shadow
        clear &= tile.cirrus == 0
        assert abs(rise[clear].mean()) < 60
        assert not (tile.cloud & tile.haze).any()
        assert not (tile.cloud & tile.shadow).any()

    def test_shadows_are_dark_most_of_all_in_the_infrared(
        self, scene: EnMAPScene, tile: SceneTile
    ) -> None:
        only = tile.shadow & ~tile.haze & (tile.cirrus == 0)
        assert only.sum() > 20
        ratio = tile.image[:, only].astype(float).sum(axis=1)
        ratio /= tile.clean[:, only].astype(float).sum(axis=1)
        blue, infrared = scene.bands.nearest(0.45), scene.bands.nearest(0.87)
        assert ratio[infrared] < 0.75
        assert ratio[infrared] < ratio[blue]

    def test_shadows_lie_away_from_the_sun(self, scene: EnMAPScene) -> None:
        dx, dy = scene.clouds.shadow
        # from the shadow to the cloud is towards the sun, here to the south-south-east
        assert np.degrees(np.arctan2(dx, -dy)) == pytest.approx(SUN_AZIMUTH)
        reach = 30 * np.hypot(dx, dy)
        assert reach == pytest.approx(1600 * np.tan(np.radians(SUN_ZENITH)))
        x, y = np.arange(40.0)[None, :], np.arange(30.0)[:, None]
        np.testing.assert_array_equal(
            scene.clouds.shadow_opacity(x, y), scene.clouds.opacity(x + dx, y + dy)
        )

    def test_slopes_to_the_sun_are_brighter(self, scene: EnMAPScene) -> None:
        x = scene.left + np.arange(50)[None, :] + 0.5
        y = scene.top + np.arange(40)[:, None] + 0.5
        light = scene._sunlight(x, y)
        zenith, azimuth = np.radians(SUN_ZENITH), np.radians(SUN_AZIMUTH)
        sun = np.array(
            [
                np.sin(zenith) * np.sin(azimuth),
                np.sin(zenith) * np.cos(azimuth),
                np.cos(zenith),
            ]
        )
        seed = scene.config.seed
        for i, j in ((0, 0), (17, 33), (39, 49)):
            px, py = x[:, j : j + 1], y[i : i + 1]
            east = elevation(px + 0.5, py, seed) - elevation(px - 0.5, py, seed)
            north = elevation(px, py - 0.5, seed) - elevation(px, py + 0.5, seed)
            east, north = east.item() / 30, north.item() / 30
            normal = np.array([-east, -north, 1.0])
            cosine = normal @ sun / np.linalg.norm(normal)
            expected = 1 + 0.6 * (cosine / np.cos(zenith) - 1)
            assert light[i, j] == pytest.approx(expected, abs=1e-5)

    def test_clean_spectra_are_mixtures(self, tile: SceneTile) -> None:
        # pure pixels of a class are alike, whatever else the scene holds
        pure = tile.abundances.max(axis=0) > 0.98
        water = pure & (tile.classes == 0)
        assert water.sum() > 3
        swir = tile.clean[200, water]
        assert swir.max() < 150

    def test_windows_fit_together(self, scene: EnMAPScene, tile: SceneTile) -> None:
        part = scene.render(20, 8, 24, 40)
        window = (slice(None), slice(8, 48), slice(20, 44))
        for name in ('clean', 'abundances', 'defects'):
            np.testing.assert_array_equal(
                getattr(part, name), getattr(tile, name)[window], err_msg=name
            )
        for name in ('classes', 'inside', 'cloud', 'shadow', 'haze', 'cirrus'):
            np.testing.assert_array_equal(
                getattr(part, name), getattr(tile, name)[window[1:]], err_msg=name
            )

    def test_same_seed_same_scene(self, scene: EnMAPScene, tile: SceneTile) -> None:
        again = EnMAPScene(scene.config).render(0, 0, SIZE, SIZE)
        other = EnMAPScene(replace(scene.config, seed=4)).render(0, 0, SIZE, SIZE)
        for name, array in vars(tile).items():
            assert getattr(again, name).tobytes() == array.tobytes(), name
        assert (other.image != tile.image).mean() > 0.5
        assert (other.classes != tile.classes).mean() > 0.2

    def test_global_random_state_is_left_alone(self) -> None:
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        EnMAPScene(SceneConfig(16, 16)).render(0, 0, 16, 16)
        np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002

    @pytest.mark.parametrize(
        'window', [(-1, 0, 4, 4), (0, 0, SIZE + 1, 4), (60, 60, 8, 2), (0, 0, 0, 4)]
    )
    def test_window_outside(
        self, scene: EnMAPScene, window: tuple[int, int, int, int]
    ) -> None:
        with pytest.raises(ValueError, match='window inside 64 rows and 64 columns'):
            scene.render(*window)

    def test_no_clouds(self) -> None:
        config = SceneConfig(32, 32, seed=2, cloud_cover=0.0, footprint=False)
        tile = EnMAPScene(config).render(0, 0, 32, 32)
        for name in ('cloud', 'haze', 'shadow', 'cirrus'):
            assert not getattr(tile, name).any()
        assert tile.inside.all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'height': 8}, 'at least 16 pixels'),
        ({'cloud_cover': -0.1}, 'cloud_cover as a share'),
        ({'cloud_cover': 30}, 'cloud_cover as a share'),
        ({'cloud_cover': float('nan')}, 'cloud_cover as a share'),
        ({'seed': -1}, 'seed from 0'),
        ({'noise': -1.0}, 'noise of 0 or more'),
        ({'noise': float('inf')}, 'noise of 0 or more'),
        ({'height': 40, 'width': 400}, 'footprint=False'),
    ],
)
def test_bad_arguments(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneConfig(**options)
