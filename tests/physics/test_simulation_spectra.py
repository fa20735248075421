# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra of the simulator against brute force, closed forms and known features."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.integrate import quad

from torchgeo_hsi.errors import UnknownNameError
from torchgeo_hsi.physics.simulation import (
    WATER_ABSORPTION,
    WAVELENGTH,
    Leaf,
    SceneConditions,
    Soil,
    WaterBody,
    canopy_reflectance,
    cloud_reflectance,
    gas_optical_depth,
    leaf_optics,
    material_spectrum,
    soil_reflectance,
    water_reflectance,
)
from torchgeo_hsi.physics.simulation.canopy import _double, _thin_layer
from torchgeo_hsi.physics.simulation.leaf import (
    LEAF_INDEX,
    _pile,
    interface_transmittance,
)
from torchgeo_hsi.physics.simulation.materials import (
    LAND_COVER,
    MATERIALS,
    NODES_PER_MATERIAL,
    spectral_library,
)
from torchgeo_hsi.physics.simulation.spectral_grid import bumps, curve

NAMES = tuple(material.name for material in MATERIALS)
GREEN = ('broadleaf', 'conifer', 'grass', 'crop')


def at(spectrum: np.ndarray, wavelength: float) -> float:
    return float(np.interp(wavelength, WAVELENGTH, spectrum))


def depth(spectrum: np.ndarray, centre: float, left: float, right: float) -> float:
    """Depth of an absorption below the line between its shoulders."""
    weight = (centre - left) / (right - left)
    line = (1 - weight) * at(spectrum, left) + weight * at(spectrum, right)
    return 1 - at(spectrum, centre) / line


class TestLeaf:
    @pytest.mark.parametrize('index', [1.2, 1.4, 1.52])
    def test_surface_for_light_from_a_hemisphere(self, index: float) -> None:
        def flux(angle: float) -> float:
            inner = np.arcsin(np.sin(angle) / index)
            if angle == 0:
                share = 4 * index / (1 + index) ** 2
            else:
                s = 1 - (np.sin(angle - inner) / np.sin(angle + inner)) ** 2
                p = 1 - (np.tan(angle - inner) / np.tan(angle + inner)) ** 2
                share = (s + p) / 2
            return float(share * 2 * np.sin(angle) * np.cos(angle))

        expected = quad(flux, 0, np.pi / 2)[0]
        found = interface_transmittance(np.array([index]), 90.0)[0]
        assert found == pytest.approx(expected, abs=1e-4)

    def test_surface_at_normal_incidence(self) -> None:
        found = interface_transmittance(np.array([1.4]), 0.5)[0]
        assert found == pytest.approx(4 * 1.4 / 2.4**2, abs=1e-5)

    def test_pile_of_plates_one_by_one(self) -> None:
        r, t = np.array([0.12, 0.05]), np.array([0.75, 0.4])
        total_r, total_t = r, t
        for count in (2, 3, 4):
            bounce = 1 - r * total_r
            total_r, total_t = (r + t**2 * total_r / bounce, t * total_t / bounce)
            found_r, found_t = _pile(r, t, count)
            np.testing.assert_allclose(found_r, total_r, rtol=1e-9)
            np.testing.assert_allclose(found_t, total_t, rtol=1e-9)

    def test_nothing_absorbed_nothing_lost(self) -> None:
        empty = Leaf(1.7, 0, 0, 0, 0, 0)
        reflectance, transmittance = leaf_optics(empty)
        np.testing.assert_allclose(reflectance + transmittance, 1, atol=2e-6)

    @pytest.mark.parametrize('structure', [1.0, 1.5, 2.3])
    def test_energy(self, structure: float) -> None:
        reflectance, transmittance = leaf_optics(Leaf(structure))
        assert reflectance.min() > 0
        assert transmittance.min() > 0
        assert (reflectance + transmittance).max() < 1

    def test_single_plate_closed_form(self) -> None:
        # N = 1: the formula of Allen et al. 1969 written out, without absorption
        n = LEAF_INDEX
        outer = interface_transmittance(n, 40.0)
        inner = interface_transmittance(n, 90.0) / n**2
        expected = outer * inner / (1 - (1 - inner) ** 2)
        _, transmittance = leaf_optics(Leaf(1.0, 0, 0, 0, 0, 0))
        np.testing.assert_allclose(transmittance, expected, rtol=1e-5)

    @pytest.mark.parametrize(
        ('change', 'wavelength'),
        [
            ({'chlorophyll': 60}, 0.67),
            ({'carotenoids': 20}, 0.48),
            ({'water': 0.03}, 1.45),
            ({'dry_matter': 0.02}, 2.1),
            ({'brown': 1.0}, 0.6),
        ],
    )
    def test_each_ingredient_absorbs_where_it_should(
        self, change: dict[str, float], wavelength: float
    ) -> None:
        before = sum(leaf_optics(Leaf()))
        after = sum(leaf_optics(Leaf(**change)))
        assert at(after, wavelength) < 0.9 * at(before, wavelength)

    def test_level_of_a_healthy_leaf(self) -> None:
        # a green leaf reflects about half of the infrared and a tenth of green light
        reflectance, _ = leaf_optics(Leaf())
        assert 0.42 < at(reflectance, 0.85) < 0.55
        assert 0.08 < at(reflectance, 0.55) < 0.18
        assert at(reflectance, 0.67) < 0.06


class TestCanopy:
    leaf = (np.array([0.45, 0.05]), np.array([0.45, 0.02]))
    soil = np.array([0.2, 0.1])

    def _layer(self, leaf: tuple[np.ndarray, np.ndarray], area: float) -> object:
        layer = _thin_layer(leaf, area / 2**14, 30.0, 'spherical')
        for _ in range(14):
            layer = _double(layer)
        return layer

    def test_diffuse_light_follows_the_two_stream_solution(self) -> None:
        area = 2.5
        layer = self._layer(self.leaf, area)
        theta = np.radians(np.arange(2.5, 90, 5))
        share = np.sin(theta) / np.sin(theta).sum()
        slope = float(share @ np.cos(theta) ** 2)
        r, t = self.leaf
        back = (r + t) / 2 + slope * (r - t) / 2
        loss = 1 - ((r + t) / 2 - slope * (r - t) / 2)
        m = np.sqrt(loss**2 - back**2)
        deep = (loss - m) / back
        fade = np.exp(-2 * m * area)
        expected = deep * (1 - fade) / (1 - deep**2 * fade)
        np.testing.assert_allclose(layer.r_dd, expected, rtol=3e-4)

    def test_nothing_absorbed_nothing_lost(self) -> None:
        white = (np.array([0.6]), np.array([0.4]))
        layer = self._layer(white, 3.0)
        np.testing.assert_allclose(layer.r_sd + layer.t_sd + layer.t_ss, 1, atol=1e-3)
        np.testing.assert_allclose(layer.r_dd + layer.t_dd, 1, atol=1e-3)

    def test_beer_lambert_for_spherical_leaves(self) -> None:
        layer = self._layer(self.leaf, 2.0)
        # half of the leaf area is seen from everywhere
        assert layer.t_ss == pytest.approx(
            np.exp(-0.5 * 2.0 / np.cos(np.radians(30))), rel=5e-3
        )
        assert layer.t_oo == pytest.approx(np.exp(-0.5 * 2.0), rel=5e-3)

    def test_dark_leaves_scatter_once(self) -> None:
        dim = (np.array([1e-4]), np.array([0.0]))
        area, black = 2.0, np.array([0.0])
        found = canopy_reflectance(dim, black, area, 0.0, 'spherical')
        # sun and observer in the zenith: the leaf seen is lit by cos² of its angle
        theta = np.radians(np.arange(2.5, 90, 5))
        share = np.sin(theta) / np.sin(theta).sum()
        k = float(share @ np.cos(theta))
        lit = float(share @ np.cos(theta) ** 2)
        expected = 1e-4 * lit * (1 - np.exp(-2 * k * area)) / (2 * k)
        assert found[0] == pytest.approx(expected, rel=1e-3)

    def test_without_leaves_there_is_soil(self) -> None:
        found = canopy_reflectance(self.leaf, self.soil, 1e-6, 30.0)
        np.testing.assert_allclose(found, self.soil, rtol=1e-4)

    def test_dense_canopy_hides_the_soil(self) -> None:
        dark = canopy_reflectance(self.leaf, 0 * self.soil, 12.0, 30.0)
        bright = canopy_reflectance(self.leaf, 4 * self.soil, 12.0, 30.0)
        np.testing.assert_allclose(dark, bright, rtol=0.02)

    def test_flat_leaves_reflect_more_of_the_infrared(self) -> None:
        black = np.zeros(2)
        found = [
            canopy_reflectance(self.leaf, black, 2.0, 30.0, angles)[0]
            for angles in ('planophile', 'spherical', 'erectophile')
        ]
        assert found[0] > found[1] > found[2]


class TestSoil:
    def test_clay_iron_and_carbonate(self) -> None:
        plain = Soil(iron=0, clay=0, carbonate=0, organic=0)
        assert abs(depth(soil_reflectance(plain), 2.206, 2.13, 2.25)) < 0.01
        clay = soil_reflectance(Soil(iron=0, clay=1, carbonate=0))
        assert depth(clay, 2.206, 2.13, 2.25) > 0.08
        lime = soil_reflectance(Soil(iron=0, clay=0, carbonate=1))
        assert depth(lime, 2.34, 2.25, 2.42) > 0.12
        red = soil_reflectance(Soil(iron=1, clay=0))
        assert depth(red, 0.88, 0.75, 1.05) > 0.05
        assert at(red, 0.65) / at(red, 0.47) > 2

    def test_wet_soil_is_darker_most_of_all_in_the_water_bands(self) -> None:
        dry = soil_reflectance(Soil(moisture=0))
        wet = soil_reflectance(Soil(moisture=0.6))
        ratio = wet / dry
        assert ratio.max() < 0.9
        assert at(ratio, 1.45) < 0.7 * at(ratio, 1.25)
        assert at(ratio, 1.94) < 0.3 * at(ratio, 1.65)

    def test_organic_matter_darkens_the_visible(self) -> None:
        ratio = soil_reflectance(Soil(organic=1)) / soil_reflectance(Soil(organic=0))
        assert at(ratio, 0.5) < 0.6
        assert at(ratio, 2.0) > 0.9


class TestWater:
    def test_black_beyond_one_micrometre(self) -> None:
        assert water_reflectance(WaterBody(glint=0))[WAVELENGTH > 1.2].max() < 2e-3

    def test_sediment_brightens_and_humus_darkens(self) -> None:
        clear = water_reflectance(WaterBody(5, 0.3, 1))
        muddy = water_reflectance(WaterBody(5, 0.3, 20))
        brown = water_reflectance(WaterBody(5, 3.0, 1))
        assert (muddy[WAVELENGTH < 0.9] > clear[WAVELENGTH < 0.9]).all()
        assert at(brown, 0.45) < 0.5 * at(clear, 0.45)

    def test_chlorophyll_makes_green_water(self) -> None:
        green = water_reflectance(WaterBody(50, 0.5, 5))
        assert depth(green, 0.676, 0.64, 0.70) > 0.08
        assert at(green, 0.56) > 2 * at(green, 0.44)

    def test_absorption_of_pure_water(self) -> None:
        # k of Hale and Querry 1973, https://doi.org/10.1364/AO.12.000555
        table = {0.7: 3.35e-8, 0.8: 1.25e-7, 1.2: 9.89e-6, 1.6: 8.55e-5}
        table |= {1.8: 1.15e-4, 2.0: 1.1e-3, 2.2: 2.89e-4, 2.4: 9.56e-4}
        for wavelength, k in table.items():
            expected = 4 * np.pi * k / (wavelength * 1e-6)
            assert at(WATER_ABSORPTION, wavelength) == pytest.approx(expected, rel=0.25)


class TestMaterials:
    @pytest.mark.parametrize('name', NAMES)
    def test_reflectance_is_physical_everywhere(self, name: str) -> None:
        for p in (0.0, 0.5, 1.0):
            for q in (0.0, 1.0):
                spectrum = material_spectrum(name, p, q)
                assert spectrum.shape == WAVELENGTH.shape
                assert spectrum.min() > 0
                assert spectrum.max() < 0.75
                # no steps: neighbours 1 nm apart are alike
                assert np.abs(np.diff(spectrum)).max() < 0.02

    @pytest.mark.parametrize('name', GREEN)
    def test_vegetation(self, name: str) -> None:
        spectrum = material_spectrum(name, 0.8, 0.2)
        window = (WAVELENGTH > 0.66) & (WAVELENGTH < 0.80)
        edge = WAVELENGTH[window][np.diff(spectrum[window], prepend=0.0)[1:].argmax()]
        assert 0.695 <= edge <= 0.74
        assert at(spectrum, 0.85) > 5 * at(spectrum, 0.67)
        assert at(spectrum, 0.55) > at(spectrum, 0.67)
        for centre, left, right in ((0.975, 0.9, 1.06), (1.2, 1.08, 1.28)):
            assert depth(spectrum, centre, left, right) > 0.01
        assert at(spectrum, 1.45) < 0.6 * at(spectrum, 1.65)
        assert at(spectrum, 1.94) < 0.35 * at(spectrum, 1.65)

    def test_dry_vegetation_shows_cellulose(self) -> None:
        straw = material_spectrum('straw', 0.8, 0.5)
        assert depth(straw, 2.09, 2.03, 2.21) > 0.01
        assert depth(material_spectrum('crop', 0.8, 0.2), 2.09, 2.03, 2.21) < 0.0
        # no red edge is left
        assert at(straw, 0.75) < 1.6 * at(straw, 0.66)

    def test_built_surfaces(self) -> None:
        new, old = material_spectrum('asphalt', 0), material_spectrum('asphalt', 1)
        assert (new < old).all()
        assert depth(new, 2.31, 2.24, 2.45) > 0.03
        tiles = material_spectrum('tiles', 0.7, 0.8)
        assert at(tiles, 0.62) > 2 * at(tiles, 0.5)
        assert depth(material_spectrum('concrete'), 2.335, 2.27, 2.42) > 0.03
        assert depth(material_spectrum('metal', 0.5, 0), 1.02, 0.7, 1.35) > 0.1
        assert depth(material_spectrum('metal', 0.5, 1), 1.72, 1.65, 1.79) > 0.1

    def test_clouds_are_white_and_lose_light_in_the_water_bands(self) -> None:
        cloud = cloud_reflectance()
        assert 0.6 < at(cloud, 0.5) < 0.9
        assert at(cloud, 0.5) == pytest.approx(at(cloud, 0.8), rel=0.03)
        assert at(cloud, 1.25) > at(cloud, 1.65) > at(cloud, 2.2) > at(cloud, 1.94)

    def test_gases_absorb_in_their_bands(self) -> None:
        gases = gas_optical_depth()
        assert gases.min() >= 0
        for centre, beside in ((0.7605, 0.775), (0.94, 0.87), (1.13, 1.05)):
            assert at(gases, centre) > 10 * at(gases, beside)
        # nothing comes through at 1.38 and 1.87 µm
        assert at(gases, 1.38) > 4
        assert at(gases, 1.87) > 4

    def test_library_has_all_nodes_of_all_materials(self) -> None:
        conditions = SceneConditions(sun_zenith=40)
        library = spectral_library(conditions)
        assert library.shape == (len(MATERIALS) * NODES_PER_MATERIAL, len(WAVELENGTH))
        expected = material_spectrum('crop', 0.25, 0.5, conditions)
        row = NAMES.index('crop') * NODES_PER_MATERIAL + 1 * 3 + 1
        np.testing.assert_array_equal(library[row], expected)
        assert {material.cover for material in MATERIALS} == set(range(len(LAND_COVER)))

    def test_unknown_material(self) -> None:
        with pytest.raises(UnknownNameError, match='Did you mean broadleaf'):
            material_spectrum('broadleef')

    @pytest.mark.parametrize(('p', 'q'), [(-0.1, 0.5), (0.5, 1.1)])
    def test_variables_out_of_range(self, p: float, q: float) -> None:
        with pytest.raises(ValueError, match='between 0 and 1'):
            material_spectrum('soil', p, q)


def test_bumps_and_curves() -> None:
    one = bumps([(1.0, 0.5, 0.1)])
    assert at(one, 1.0) == pytest.approx(0.5)
    assert at(one, 1.05) == pytest.approx(0.25, rel=1e-6)
    line = curve({0.5: 1.0, 1.0: 2.0, 2.0: 4.0})
    assert at(line, 0.4) == 1
    assert at(line, 1.0) == pytest.approx(2)
    assert (np.diff(line) >= 0).all()


@pytest.mark.realdata
def test_trees_look_like_those_of_a_real_scene(potsdam: Path) -> None:
    spectra = []
    for label_path in sorted((potsdam / 'labels').glob('*.tif')):
        with rasterio.open(label_path) as src:
            labels = src.read(1)
        with rasterio.open(potsdam / 'images' / label_path.name) as src:
            centres = [float(src.tags(i)['wavelength']) / 1e3 for i in src.indexes]
            # class 4: trees
            spectra.append(src.read()[:, labels == 4])
    real = np.concatenate(spectra, axis=1).mean(axis=1) / 1e4
    wavelength = np.array(centres)
    # outside of the bands of water vapour, where the product is not trusted
    usable = (wavelength > 0.5) & (wavelength < 2.3)
    for low, high in ((0.89, 1.0), (1.1, 1.17), (1.3, 1.53), (1.72, 2.05)):
        usable &= (wavelength < low) | (wavelength > high)
    trees = (material_spectrum('broadleaf') + material_spectrum('conifer')) / 2
    simulated = np.interp(wavelength, WAVELENGTH, trees)
    a, b = real[usable], simulated[usable]
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert angle < 0.10
    assert 0.7 < b.mean() / a.mean() < 1.3
