# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A plume over a simulated scene, against formulas of diffusion."""

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import quad_vec

from torchgeo_hsi.errors import UnknownNameError
from torchgeo_hsi.physics.gases import get_gas
from torchgeo_hsi.physics.simulation import EnMAPScene, PlumeSource, SceneConfig
from torchgeo_hsi.physics.simulation.scene import NODATA, SUN_ZENITH

SOURCE = PlumeSource(rate=3600.0, wind=2.0, duration=400.0, position=(0.3, 0.5))
SIZE = 64


def puffs(source: PlumeSource, height: int, width: int) -> NDArray[np.float64]:
    """Add up the puffs that a source sends out one after the other."""
    x = (np.arange(width) + 0.5 - source.position[0] * width) * 30
    y = (source.position[1] * height - np.arange(height) - 0.5) * 30
    angle = math.radians(source.wind_from)
    east, north = -math.sin(angle) * source.wind, -math.cos(angle) * source.wind

    def puff(age: float) -> NDArray[np.float64]:
        variance = 30**2 + 2 * source.diffusivity * age
        right = np.exp(-((x - east * age) ** 2) / (2 * variance))
        up = np.exp(-((y - north * age) ** 2) / (2 * variance))
        return up[:, None] * right / (2 * math.pi * variance)

    total, _ = quad_vec(puff, 0, source.duration, epsrel=1e-8)
    return source.rate / 3600 * total


class TestColumn:
    @pytest.mark.parametrize('wind_from', [270.0, 0.0, 215.0])
    def test_puffs(self, wind_from: float) -> None:
        source = replace(SOURCE, wind_from=wind_from, position=(0.45, 0.55))
        expected = puffs(source, SIZE, SIZE)
        found = source.column(SIZE, SIZE)
        np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())

    def test_no_wind(self) -> None:
        source = replace(SOURCE, wind=0.0, position=(0.5, 0.5))
        found = source.column(SIZE, SIZE)
        np.testing.assert_allclose(found, found.T, atol=1e-9)
        np.testing.assert_allclose(found, puffs(source, SIZE, SIZE), atol=2e-5)

    @pytest.mark.parametrize('duration', [200.0, 400.0])
    def test_no_gas_gets_lost(self, duration: float) -> None:
        source = replace(SOURCE, duration=duration)
        mass = source.column(SIZE, SIZE).sum() * 30**2
        assert mass == pytest.approx(duration, rel=2e-4)

    def test_scales_with_the_rate(self) -> None:
        double = replace(SOURCE, rate=7200.0).column(SIZE, SIZE)
        np.testing.assert_allclose(double, 2 * SOURCE.column(SIZE, SIZE), atol=1e-12)

    def test_windows_fit_together(self) -> None:
        whole = SOURCE.column(40, SIZE)
        for window in ((0, 0, 64, 40), (10, 5, 30, 20), (60, 0, 4, 4)):
            left, top, columns, rows = window
            part = SOURCE.column(40, SIZE, window=window)
            np.testing.assert_array_equal(
                part, whole[top : top + rows, left : left + columns]
            )

    def test_source_at_the_edge(self) -> None:
        """The box of the plume reaches beyond the scene."""
        corner = replace(SOURCE, position=(1.0, 0.0))
        found = corner.column(SIZE, SIZE)
        assert found[0, -1] > 0
        # nothing comes back from the other side
        assert found[:, : SIZE // 2].max() < 1e-3 * found.max()
        far = replace(SOURCE, position=(0.0, 0.0), duration=1e-3)
        assert (
            far.column(SIZE, SIZE)[5:, 5:].max() < 1e-6 * far.column(SIZE, SIZE).max()
        )

    def test_finer_pixels(self) -> None:
        """Away from the source, whose size is that of a pixel."""
        coarse = SOURCE.column(32, 32)
        fine = SOURCE.column(96, 96, pixel=10.0).reshape(32, 3, 32, 3).mean((1, 3))
        far = np.s_[:, 18:]
        np.testing.assert_allclose(
            fine[far], coarse[far], atol=0.07 * coarse[far].max()
        )

    def test_enhancement(self) -> None:
        column = SOURCE.column(SIZE, SIZE)
        found = SOURCE.enhancement(SIZE, SIZE)
        assert found.dtype == np.float32
        assert set(np.unique(found[found < 0.01])) == {0}
        thick = found > 0
        # mol/m2 of gas over mol/m3 of air
        air = 101_325 / (8.314462618 * 288.15)
        expected = column / get_gas('methane').molar_mass / air * 1e6
        np.testing.assert_allclose(found[thick], expected[thick], rtol=1e-5)


class TestScene:
    @pytest.fixture(scope='class')
    @staticmethod
    def scenes() -> tuple[EnMAPScene, EnMAPScene]:
        plain = SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.1)
        source = PlumeSource(rate=20_000.0, duration=600.0, position=(0.4, 0.45))
        return EnMAPScene(plain), EnMAPScene(replace(plain, plume=source))

    def test_only_the_plume_differs(
        self, scenes: tuple[EnMAPScene, EnMAPScene]
    ) -> None:
        plain, with_plume = (scene.render(0, 0, SIZE, SIZE) for scene in scenes)
        gas = with_plume.enhancement
        np.testing.assert_array_equal(np.isnan(gas), ~plain.inside)
        assert np.nanmax(gas) > 2000
        assert not np.nan_to_num(plain.enhancement).any()
        for name in ('classes', 'abundances', 'defects', 'cloud', 'shadow', 'cirrus'):
            np.testing.assert_array_equal(
                getattr(plain, name), getattr(with_plume, name)
            )
        seen = np.nan_to_num(gas) > 0
        blind = get_gas('methane').absorption_coefficients(scenes[0].bands).numpy() == 0
        for name in ('image', 'clean'):
            before, after = getattr(plain, name), getattr(with_plume, name)
            np.testing.assert_array_equal(before[:, ~seen], after[:, ~seen])
            np.testing.assert_array_equal(before[blind], after[blind])
            assert (before[:, seen] != after[:, seen]).any()

    def test_light_is_what_the_gas_lets_through(
        self, scenes: tuple[EnMAPScene, EnMAPScene]
    ) -> None:
        plain, with_plume = (scene.render(0, 0, SIZE, SIZE) for scene in scenes)
        bands = scenes[0].bands
        gas = torch.from_numpy(np.nan_to_num(with_plume.enhancement))
        through = get_gas('methane').band_transmittance(
            bands, gas, sun_zenith=SUN_ZENITH
        )
        expected = plain.clean * through.numpy()
        good = plain.clean != NODATA
        # both are rounded to whole numbers
        assert np.abs(with_plume.clean - expected)[good].max() <= 1.001

    def test_windows(self, scenes: tuple[EnMAPScene, EnMAPScene]) -> None:
        scene = scenes[1]
        whole, part = scene.render(0, 0, SIZE, SIZE), scene.render(16, 24, 32, 16)
        for name in ('clean', 'enhancement'):
            np.testing.assert_array_equal(
                getattr(part, name), getattr(whole, name)[..., 24:40, 16:48]
            )


class TestArguments:
    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'rate': 0.0}, 'positive rate, got 0'),
            ({'rate': math.inf}, 'positive rate'),
            ({'duration': -5.0}, 'positive duration'),
            ({'diffusivity': math.nan}, 'positive diffusivity'),
            ({'wind': -1.0}, '0 m/s or more'),
            ({'wind_from': math.inf}, 'wind_from in degrees'),
            ({'position': (0.5, 1.5)}, 'two shares from 0 to 1'),
            ({'position': (0.5,)}, 'two shares from 0 to 1'),
            ({'position': 0.5}, 'two shares from 0 to 1'),
            ({'rate': 'much'}, "a number as rate, got 'much'"),
            ({'wind': None}, 'a number as wind, got None'),
        ],
    )
    def test_bad_numbers(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            PlumeSource(**options)

    def test_numbers_of_numpy(self) -> None:
        """They can be written into the description of a product."""
        words: Any = {'rate': np.float32(500.0), 'wind': np.int64(2)}
        source = PlumeSource(**words)
        assert json.loads(json.dumps(asdict(source)))['rate'] == 500
        assert source == PlumeSource(rate=500.0, wind=2.0)
        # as YAML reads 5e2
        assert PlumeSource.of({'rate': '5e2', 'wind': 2}) == source

    def test_unknown_gas(self) -> None:
        with pytest.raises(UnknownNameError):
            PlumeSource(5)  # type: ignore[arg-type]
        with pytest.raises(UnknownNameError, match='Did you mean methane'):
            PlumeSource('metane')

    def test_too_long(self) -> None:
        with pytest.raises(ValueError, match='at most 1501 pixels'):
            PlumeSource(wind=20.0, duration=36_000.0).column(64, 64)
        with pytest.raises(ValueError, match='at most 1501 pixels'):
            SceneConfig(plume=PlumeSource(wind=20.0, duration=36_000.0))

    def test_of(self) -> None:
        source = PlumeSource(position=(0.2, 0.3))
        assert PlumeSource.of(None) is None
        assert PlumeSource.of(source) is source
        assert PlumeSource.of({'position': [0.2, 0.3]}) == source
        assert PlumeSource.of(asdict(source)) == source
        for bad in ({'speed': 3}, 'methane'):
            with pytest.raises(ValueError, match='Expected a plume with some of gas'):
                PlumeSource.of(bad)  # type: ignore[arg-type]


def test_scenes_without_plume_need_no_torch() -> None:
    code = (
        'import sys; from torchgeo_hsi.physics.simulation import *; '
        'PlumeSource(); EnMAPScene(SceneConfig(16, 16)).render(0, 0, 16, 16); '
        'sys.exit("torch" in sys.modules)'
    )
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
