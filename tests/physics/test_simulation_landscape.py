# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Patterns of the simulator: functions of position, checked point by point."""

import numpy as np
import pytest

from torchgeo_hsi.physics.simulation.footprint import TRACK_ANGLE, Footprint
from torchgeo_hsi.physics.simulation.landscape import (
    elevation,
    large_forms,
    resample,
    sample_surface,
)
from torchgeo_hsi.physics.simulation.materials import CODES, COVER_OF_MATERIAL
from torchgeo_hsi.physics.simulation.mixing import OVERSAMPLING, _blur, mix_surface
from torchgeo_hsi.physics.simulation.random_field import (
    fractal,
    gradient_noise,
    hash_integers,
    uniform,
    voronoi,
    voronoi_parts,
)


def grid(
    left: float, top: float, width: int, height: int, step: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    return (
        left + step * np.arange(width)[None, :],
        top + step * np.arange(height)[:, None],
    )


class TestRandomField:
    def test_hash_is_even_and_without_pattern(self) -> None:
        x, y = np.arange(-200, 200)[None, :], np.arange(-200, 200)[:, None]
        draw = uniform(hash_integers(x, y, 5), 1)
        assert draw.min() >= 0
        assert draw.max() < 1
        assert np.histogram(draw, 20, (0, 1))[0] == pytest.approx(8000, rel=0.05)
        for other in (draw.T, np.roll(draw, 1, 0), np.roll(draw, 1, 1)):
            assert abs(np.corrcoef(draw.ravel(), other.ravel())[0, 1]) < 0.01
        again = uniform(hash_integers(x, y, 6), 1)
        assert abs(np.corrcoef(draw.ravel(), again.ravel())[0, 1]) < 0.01

    def test_noise_on_a_grid_equals_noise_at_points(self) -> None:
        x, y = grid(-7.3, 12.9, 60, 40, 0.137)
        points = gradient_noise(*(a.ravel()[None, :] for a in np.meshgrid(x, y)), 3)
        np.testing.assert_allclose(
            gradient_noise(x, y, 3), points.reshape(40, 60), atol=1e-6
        )

    def test_noise_by_its_definition(self) -> None:
        column, row, fx, fy, seed = -3, 8, 0.3, 0.85, 11

        def corner(dx: int, dy: int) -> float:
            ident = hash_integers(np.array([column + dx]), np.array([row + dy]), seed)
            angle = 2 * np.pi * float(uniform(ident, 0)[0])
            return float(np.cos(angle) * (fx - dx) + np.sin(angle) * (fy - dy))

        def fade(f: float) -> float:
            return 6 * f**5 - 15 * f**4 + 10 * f**3

        upper = (1 - fade(fx)) * corner(0, 0) + fade(fx) * corner(1, 0)
        lower = (1 - fade(fx)) * corner(0, 1) + fade(fx) * corner(1, 1)
        expected = (1 - fade(fy)) * upper + fade(fy) * lower
        x, y = np.array([[column + fx]]), np.array([[row + fy]])
        assert gradient_noise(x, y, seed)[0, 0] == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize('scale', [9.0, 40.0])
    def test_moments_and_scale(self, scale: float) -> None:
        field = fractal(*grid(0, 0, 800, 800), seed=2, scale=scale, octaves=4)
        assert abs(field.mean()) < 0.1
        assert field.std() == pytest.approx(1, abs=0.12)
        far = round(2 * scale)
        near = np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]
        apart = np.corrcoef(field[:, far:].ravel(), field[:, :-far].ravel())[0, 1]
        assert near > 0.75
        assert abs(apart) < 0.25

    def test_a_window_is_a_part_of_the_whole(self) -> None:
        whole = fractal(*grid(-50, 20, 90, 70), seed=9, scale=17.0, octaves=5)
        part = fractal(*grid(-20, 45, 30, 20), seed=9, scale=17.0, octaves=5)
        np.testing.assert_array_equal(part, whole[25:45, 30:60])

    def test_cells_by_brute_force(self) -> None:
        scale, seed = 6.0, 4
        x, y = grid(-13.2, 31.7, 25, 18, 0.9)
        cells = voronoi(x, y, seed, scale)
        columns, rows = np.meshgrid(np.arange(-8, 8), np.arange(1, 14))
        ident = hash_integers(columns, rows, seed)
        px = (columns + 0.15 + 0.7 * uniform(ident, 1)) * scale
        py = (rows + 0.15 + 0.7 * uniform(ident, 2)) * scale
        for i in range(18):
            for j in range(25):
                distance = np.hypot(px - x[0, j], py - y[i, 0]).ravel()
                first, second = np.argsort(distance)[:2]
                assert cells.ident[i, j] == ident.ravel()[first]
                apart = np.hypot(
                    *(p.ravel()[first] - p.ravel()[second] for p in (px, py))
                )
                edge = (distance[second] ** 2 - distance[first] ** 2) / (2 * apart)
                assert cells.edge[i, j] == pytest.approx(edge, abs=2e-3)

    def test_divided_cells_equal_cells(self) -> None:
        x, y = grid(100.125, -7.875, 24 * 4, 20 * 4, 0.25)
        exact = voronoi(x, y, 3, 9.0)
        parts = voronoi_parts(x, y, 3, 9.0, 4)
        np.testing.assert_array_equal(parts.ident, exact.ident)
        thin = exact.edge < 0.3
        np.testing.assert_allclose(parts.edge[thin], exact.edge[thin], atol=1e-5)
        assert parts.edge[~thin].min() > 0.29

    def test_cells_without_edges_nearby(self) -> None:
        x, y = grid(0.125, 0.125, 8, 8, 0.25)
        middle = voronoi(x, y, 1, 500.0)
        assert len(np.unique(voronoi_parts(x, y, 1, 500.0, 4).ident)) == 1
        assert len(np.unique(middle.ident)) == 1


class TestLandscape:
    def test_refinement_is_exact_for_planes(self) -> None:
        rows, columns = np.mgrid[-1:5, -1:7].astype(np.float32)
        fine = resample(2 * rows - 3 * columns + 1, 4)
        y = (np.arange(16) + 0.5) / 4 - 0.5
        x = (np.arange(24) + 0.5) / 4 - 0.5
        np.testing.assert_allclose(fine, 2 * y[:, None] - 3 * x[None, :] + 1, atol=1e-5)

    def test_a_window_is_a_part_of_the_whole(self) -> None:
        whole = sample_surface(1000, -2000, 40, 36, 3, 4)
        part = sample_surface(1010, -1990, 12, 9, 3, 4)
        for name in ('material', 'p', 'q'):
            np.testing.assert_array_equal(
                getattr(part, name), getattr(whole, name)[40:76, 40:88], err_msg=name
            )

    def test_everything_occurs_and_variables_stay_in_range(self) -> None:
        found = np.zeros(len(CODES), dtype=int)
        for seed in range(6):
            surface = sample_surface(500 * seed, 900, 120, 120, seed, 2)
            found += np.bincount(surface.material.ravel(), minlength=len(CODES))
            for values in (surface.p, surface.q):
                assert values.min() >= 0
                assert values.max() <= 1
        assert (found > 0).all()
        share = np.bincount(COVER_OF_MATERIAL, found) / found.sum()
        # fields and forests cover most of the country, and water is not rare
        assert share[1:3].sum() == pytest.approx(0.33, abs=0.15)
        assert share[3:7].sum() == pytest.approx(0.5, abs=0.2)
        assert 0.005 < share[0] < 0.15

    def test_rivers_lie_in_valleys(self) -> None:
        x, y = grid(0, 0, 600, 600)
        forms, height = large_forms(x, y, 1), elevation(x, y, 1)
        assert (forms.river < 0).any()
        assert height[forms.river < 0].mean() < 0.2 * height[forms.river > 40].mean()
        # lowland: slopes are small, but there are some
        slope = np.hypot(*np.gradient(height, 30.0))
        assert 0.005 < slope.mean() < 0.1

    def test_water_is_where_the_river_is(self) -> None:
        left, top = 0, 0
        surface = sample_surface(left, top, 300, 300, 1, 1)
        forms = large_forms(*grid(0.5, 0.5, 300, 300), 1)
        water = surface.material == CODES['water']
        assert water[(forms.river < -0.5) & (np.abs(forms.road) > 1)].mean() > 0.9
        assert not water[(forms.river > 1) & (forms.lake < -0.1)].any()

    def test_parcels_are_uniform_and_have_one_crop(self) -> None:
        surface = sample_surface(0, 0, 200, 200, 2, 1)
        cover = COVER_OF_MATERIAL[surface.material]
        field = np.isin(cover, (4, 5, 6))
        same = (cover[:, 1:] == cover[:, :-1])[field[:, 1:] & field[:, :-1]]
        assert same.mean() > 0.9


class TestMixing:
    def test_abundances_are_the_shares_of_the_parts(self) -> None:
        mixture = mix_surface(300, 400, 10, 8, 5)
        surface = sample_surface(299, 399, 12, 10, 5, OVERSAMPLING)
        cover = COVER_OF_MATERIAL[surface.material]
        shares = np.zeros((10, 12, 9))
        for row in range(10):
            for column in range(12):
                part = cover[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                shares[row, column] = np.bincount(part.ravel(), minlength=9) / 16
        kernel = np.array([0.17, 0.66, 0.17])
        expected = np.zeros((8, 10, 9))
        for i in range(3):
            for j in range(3):
                weight = kernel[i] * kernel[j]
                expected += weight * shares[i : i + 8, j : j + 10]
        np.testing.assert_allclose(mixture.abundances, expected, atol=1e-5)
        np.testing.assert_allclose(mixture.abundances.sum(axis=2), 1, atol=1e-5)

    def test_brightness_varies_about_one(self) -> None:
        mixture = mix_surface(0, 0, 64, 64, 2)
        total = mixture.weights.sum(axis=2)
        assert mixture.weights.min() >= 0
        assert total.mean() == pytest.approx(1, abs=0.01)
        assert 0.002 < total.std() < 0.1

    def test_weights_of_a_class_go_with_its_share(self) -> None:
        mixture = mix_surface(0, 0, 64, 64, 2)
        by_material = mixture.weights.reshape(64, 64, len(CODES), -1).sum(axis=3)
        by_cover = np.zeros_like(mixture.abundances)
        for material, cover in enumerate(COVER_OF_MATERIAL):
            by_cover[..., cover] += by_material[..., material]
        np.testing.assert_allclose(by_cover, mixture.abundances, atol=0.12)

    def test_blur_keeps_the_sum(self) -> None:
        spot = np.zeros((9, 9, 1), dtype=np.float32)
        spot[4, 4] = 1
        assert _blur(spot).sum() == pytest.approx(1, abs=1e-6)
        assert _blur(spot).shape == (7, 7, 1)
        assert _blur(spot)[3, 3, 0] == pytest.approx(0.66**2, abs=1e-6)


class TestFootprint:
    def test_corners_touch_the_raster(self) -> None:
        swath = Footprint.fit(300, 260, tilted=True)
        angle = np.radians(TRACK_ANGLE)
        wide = swath.across * np.cos(angle) + swath.along * np.sin(angle)
        high = swath.across * np.sin(angle) + swath.along * np.cos(angle)
        assert (wide, high) == pytest.approx((260, 300))

    def test_share_of_a_square(self) -> None:
        swath = Footprint.fit(400, 400, tilted=True)
        inside = swath.contains(*grid(0.5, 0.5, 400, 400))
        expected = 1 / (np.cos(np.radians(13)) + np.sin(np.radians(13))) ** 2
        assert inside.mean() == pytest.approx(expected, abs=0.005)
        # descending track: to the south it goes west
        border = [np.flatnonzero(inside[row]).min() for row in (100, 200, 300)]
        drift = 100 * np.tan(np.radians(13))
        np.testing.assert_allclose(-np.diff(border), drift, atol=1)

    def test_columns_follow_the_track(self) -> None:
        swath = Footprint.fit(200, 200, tilted=True)
        column = swath.column(*grid(0.5, 0.5, 200, 200))
        assert column.min() == 0
        assert column.max() == swath.columns - 1
        # one step along the track leaves the column as it is
        row, col = 60, 110
        step = 50
        down = row + round(step * np.cos(np.radians(13)))
        left = col - round(step * np.sin(np.radians(13)))
        assert abs(column[down, left] - column[row, col]) <= 1

    def test_without_tilt_everything_is_inside(self) -> None:
        swath = Footprint.fit(20, 50, tilted=False)
        assert swath.contains(*grid(0.5, 0.5, 50, 20)).all()
        np.testing.assert_array_equal(
            swath.column(*grid(0.5, 0.5, 50, 20))[7], np.arange(50)
        )

    def test_narrow_raster(self) -> None:
        with pytest.raises(ValueError, match='similar height and width'):
            Footprint.fit(100, 400, tilted=True)
