# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Absorption of gases, against runs of LOWTRAN 7 itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from torchgeo_hsi.errors import (
    CorruptFileError,
    MetadataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics import BandSet, get_sensor
from torchgeo_hsi.physics.gases import (
    BandModel,
    GasAbsorption,
    air_mass,
    get_gas,
    list_gases,
)

METHANE, CARBON_DIOXIDE = get_gas('methane'), get_gas('carbon_dioxide')
ENMAP = get_sensor('enmap').bands

#: Transmittance of one gas as the original Fortran program computes it (LOWTRAN 7,
#: revision 4.2, model 6: U.S. Standard Atmosphere, 1.7 ppm CH4 at the ground, 330 ppm
#: CO2): from sea level to space, straight up and at 60 degrees from the zenith; and along
#: 1 km at 1013.25 hPa and 288.15 K, and at 900 hPa and 300 K, through air with 20 ppm CH4
#: and 1000 ppm CO2. By wavenumber in 1/cm.
LOWTRAN = {
    'methane': {
        4215: (0.8682129, 0.8092259, 0.7852795, 0.8091762),
        4250: (0.8841215, 0.8315369, 0.8100507, 0.8314924),
        4300: (0.9212119, 0.8843313, 0.8690392, 0.8842998),
        4350: (0.8981845, 0.8514270, 0.8322138, 0.8513873),
        4500: (0.9825689, 0.9740040, 0.9703702, 0.9739966),
        6000: (0.9899807, 0.9850299, 0.9829237, 0.9850256),
        6060: (0.9957989, 0.9937139, 0.9928251, 0.9937121),
    },
    'carbon_dioxide': {
        4850: (0.7444093, 0.6385840, 0.7838818, 0.8058218),
        4960: (0.4667379, 0.3141641, 0.5333354, 0.5727294),
        5000: (0.5649481, 0.4199302, 0.6243361, 0.6585840),
        5100: (0.6658437, 0.5390317, 0.7149740, 0.7426922),
        6230: (0.9484153, 0.9221165, 0.9598854, 0.9646176),
        6350: (0.9430612, 0.9141587, 0.9556937, 0.9609103),
        6500: (0.9873720, 0.9807321, 0.9902242, 0.9913934),
    },
}
GROUND = {'methane': 1.7, 'carbon_dioxide': 330.0}
CELL = {'methane': 20.0, 'carbon_dioxide': 1000.0}


def lowtran(name: str, column: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = LOWTRAN[name]
    return 1e4 / np.array(list(rows)), np.array([row[column] for row in rows.values()])


def numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


class TestLowtran:
    @pytest.mark.parametrize('name', list_gases())
    @pytest.mark.parametrize(('column', 'path'), [(0, 1.0), (1, 2.0)])
    def test_through_the_atmosphere(self, name: str, column: int, path: float) -> None:
        wavelength, expected = lowtran(name, column)
        found = get_gas(name).optical_depth(
            wavelength, path=path, background=GROUND[name]
        )
        # methane thins out above 10 km, and the program bends rays
        np.testing.assert_allclose(found, -np.log(expected), rtol=0.006)

    @pytest.mark.parametrize('name', list_gases())
    def test_a_layer_at_the_ground(self, name: str) -> None:
        wavelength, expected = lowtran(name, 2)
        layer = 1000 * CELL[name]
        found = get_gas(name).optical_depth(wavelength, layer, background=0.0)
        np.testing.assert_allclose(found, -np.log(expected), rtol=2e-3)

    @pytest.mark.parametrize('name', list_gases())
    def test_other_pressure_and_temperature(self, name: str) -> None:
        _, expected = lowtran(name, 3)
        model = get_gas(name).model
        at = np.searchsorted(model.wavenumber, list(LOWTRAN[name]))
        density = 900 / 1013.25 * 273.15 / 300
        amount = 1e5 * CELL[name] * 1e-6 * density
        amount = amount * (900 / 1013.25) ** model.pressure_power
        amount *= (273.15 / 300) ** model.temperature_power
        found = model.depth(torch.from_numpy(amount))[at]
        np.testing.assert_allclose(found, -np.log(expected), rtol=2e-3)


class TestOtherSources:
    def test_shape_of_the_methane_band(self) -> None:
        found = METHANE.absorption_coefficients(ENMAP)
        strong = ENMAP.wavelength[(found > 0.6 * found.max()).numpy()]
        # the strong branches of the octad: Thompson et al. 2015, doi:10.5194/amt-8-4383-2015
        assert 2.29 < strong.min() < strong.max() < 2.39
        assert 1e-5 < found.max() < 3e-5
        weak = found[(ENMAP.wavelength > 1.6) & (ENMAP.wavelength < 1.71)]
        assert 2e-7 < weak.max() < 2e-6

    def test_shape_of_the_carbon_dioxide_bands(self) -> None:
        found = CARBON_DIOXIDE.absorption_coefficients(ENMAP)
        strong = ENMAP.wavelength[(found > 0.3 * found.max()).numpy()]
        assert 1.95 < strong.min() < strong.max() < 2.08
        assert 2e-7 < found.max() < 2e-6
        assert not found[ENMAP.wavelength < 1.4].any()

    def test_methane_in_the_air(self) -> None:
        """The column of the standard atmosphere is its weight over gravity."""
        model = METHANE.model
        flat = BandModel(
            model.wavenumber, model.coefficient, model.power, *np.zeros((2, 172))
        )
        # atm cm of a mole fraction of 1: moles of air times the molar volume
        moles = 101_325 / (9.80665 * 0.0289644)
        expected = moles * 22.41396954e-3 * 100
        # gravity gets weaker with height
        np.testing.assert_allclose(flat.column_weight, expected, rtol=4e-3)


class TestBandTransmittance:
    PLUME = torch.tensor([[0.0, 500.0], [5000.0, 20_000.0]], dtype=torch.float64)

    def test_by_integration(self) -> None:
        """Wide bands, so that the resolution of the table does not matter."""
        bands = BandSet([2.2, 2.32], [0.06, 0.08])
        found = METHANE.band_transmittance(bands, 8000.0, sun_zenith=40.0)
        path = 1 + 1 / math.cos(math.radians(40))
        x = np.linspace(1.9, 2.7, 80_001)
        clear = np.exp(-METHANE.optical_depth(x, path=path))
        dark = np.exp(-METHANE.optical_depth(x, 8000.0, path=path))
        for row, (centre, fwhm) in enumerate(
            zip((2.2, 2.32), (0.06, 0.08), strict=True)
        ):
            response = np.exp(-4 * np.log(2) * ((x - centre) / fwhm) ** 2)
            expected = (response @ dark) / (response @ clear)
            assert float(found[row]) == pytest.approx(expected, abs=3e-4)

    def test_no_plume_and_no_absorption(self) -> None:
        found = METHANE.band_transmittance(ENMAP, self.PLUME)
        assert found.shape == (224, 2, 2)
        assert found.dtype == torch.float64
        assert (found[:, 0, 0] == 1).all()
        assert (found[ENMAP.wavelength < 1.58] == 1).all()
        assert (found <= 1).all()
        assert (found > 0.7).all()
        peak = ENMAP.nearest(2.346)
        assert (found[peak].flatten().diff() < 0).all()

    def test_types(self) -> None:
        bands = ENMAP.between(2.3, 2.32)
        assert METHANE.band_transmittance(bands, 5.0).shape == (len(bands),)
        assert METHANE.band_transmittance(bands, 5).dtype == torch.float64
        whole = METHANE.band_transmittance(bands, torch.tensor([5, 6]))
        assert whole.dtype == torch.float32
        assert METHANE.band_transmittance(bands, torch.zeros(0, 3)).shape == (2, 0, 3)

    def test_many_pixels_are_cut_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plume = torch.linspace(0, 4000, 35, dtype=torch.float64).reshape(5, 7)
        whole = METHANE.band_transmittance(ENMAP, plume)
        monkeypatch.setattr('torchgeo_hsi.physics.gases.absorption._CHUNK', 8)
        torch.testing.assert_close(METHANE.band_transmittance(ENMAP, plume), whole)

    def test_nodata_stays_nodata(self) -> None:
        found = METHANE.band_transmittance(ENMAP, torch.tensor([math.nan, 100.0]))
        peak = ENMAP.nearest(2.346)
        assert found[peak, 0].isnan()
        assert found[peak, 1] < 1

    def test_gradient_is_the_coefficient(self) -> None:
        plume = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        bands = ENMAP.between(2.1, 2.45)
        slope = torch.autograd.functional.jacobian(
            lambda x: METHANE.band_transmittance(bands, x).log()[:, 0], plume
        )
        expected = METHANE.absorption_coefficients(bands)
        torch.testing.assert_close(-slope[:, 0], expected, rtol=1e-9, atol=1e-15)

    def test_sun_view_and_background(self) -> None:
        bands = ENMAP.between(2.34, 2.35)

        def seen(**options: float) -> float:
            return float(METHANE.band_transmittance(bands, 2000.0, **options)[0])

        assert seen(sun_zenith=60.0) < seen(sun_zenith=30.0) < seen(sun_zenith=0.0)
        assert seen(view_zenith=40.0) < seen()
        assert seen(sun_zenith=30.0, view_zenith=60.0) == pytest.approx(
            seen(sun_zenith=60.0, view_zenith=30.0), rel=1e-12
        )
        assert seen(background=3.0) > seen() > seen(background=1.0)


class TestCoefficients:
    def test_by_differences(self) -> None:
        step = 1.0
        for gas in (METHANE, CARBON_DIOXIDE):
            change = -gas.band_transmittance(ENMAP, step, sun_zenith=50.0).log() / step
            found = gas.absorption_coefficients(ENMAP, sun_zenith=50.0)
            torch.testing.assert_close(found, change, rtol=1e-3, atol=1e-13)

    def test_mean_slope(self) -> None:
        found = METHANE.absorption_coefficients(ENMAP, enhancement=4000.0)
        through = METHANE.band_transmittance(ENMAP, 4000.0)
        torch.testing.assert_close(torch.exp(-4000 * found), through)
        tangent = METHANE.absorption_coefficients(ENMAP)
        seen = tangent > 1e-8
        assert (found[seen] < tangent[seen]).all()
        assert (found[seen] > 0.8 * tangent[seen]).all()

    def test_beer_lambert(self) -> None:
        """A power of 1 is the law of Beer and Lambert, whatever the background."""
        nodes = np.arange(4000.0, 4500.0, 5)
        one = np.ones(len(nodes))
        model = BandModel(nodes, -2 * one, one, 0 * one, 0 * one)
        gas = GasAbsorption('dye', 'Dye', 'X', 0.05, 0.0, model)
        bands = BandSet([2.35], [0.01])
        # 0.01 per atm cm; 1e-4 atm cm for each ppm m at 273.15 K; both ways
        expected = 0.01 * 1e-4 * 273.15 / 288.15 * 2
        for background in (0.0, 5.0):
            found = gas.absorption_coefficients(
                bands, sun_zenith=0.0, background=background
            )
            assert float(found) == pytest.approx(expected, rel=1e-9)
        found = gas.absorption_coefficients(bands, sun_zenith=0.0, enhancement=3e5)
        assert float(found) == pytest.approx(expected, rel=1e-9)

    def test_bands_in_any_order(self) -> None:
        mixed = ENMAP.select(['B212', 'B10', 'B205', 'B152'])
        whole = METHANE.absorption_coefficients(ENMAP)
        found = METHANE.absorption_coefficients(mixed)
        torch.testing.assert_close(
            found, whole[ENMAP.indices(mixed.names)], rtol=1e-3, atol=1e-9
        )

    def test_other_sensors(self) -> None:
        for name in ('prisma', 'emit', 'aviris', 'sentinel2', 'desis'):
            bands = get_sensor(name).bands
            found = METHANE.absorption_coefficients(bands)
            assert found.isfinite().all()
            assert (found >= 0).all()
            assert bool(found.any()) == (bands.wavelength.max() > 1.7), name
        # B12 sees 0.2 µm, in which methane is a tenth
        wide = METHANE.absorption_coefficients(get_sensor('sentinel2').bands)
        assert 1e-7 < wide[-1] < 5e-6

    def test_infinite_slope(self) -> None:
        with pytest.raises(ValueError, match='background of more than 0'):
            METHANE.absorption_coefficients(ENMAP, background=0.0)
        found = METHANE.absorption_coefficients(
            ENMAP, background=0.0, enhancement=100.0
        )
        assert found.isfinite().all()


class TestFineSpectrum:
    def test_between_and_beyond_the_bands(self) -> None:
        low, high = METHANE.wavelength_range
        assert (round(low, 3), round(high, 3)) == (1.630, 2.433)
        found = METHANE.optical_depth([0.5, 1.6, 1.66, 1.9, 2.1, 2.35, 2.44, 3.0])
        assert (found > 0).tolist() == [False, False, True, False, False, True] + [
            False
        ] * 2

    def test_nanometres(self) -> None:
        with pytest.raises(UnitError):
            METHANE.optical_depth([2300.0])


class TestUnits:
    def test_ideal_gas(self) -> None:
        # 1 ppm of the 42.29 mol in a cubic metre, 16.04 g each
        assert METHANE.to_moles(1.0) == pytest.approx(4.2293e-5, rel=1e-4)
        assert METHANE.to_mass(1000.0) == pytest.approx(6.785e-4, rel=1e-3)
        assert METHANE.to_mass(1.0, 500.0) == pytest.approx(
            METHANE.to_mass(1.0) * 500 / 1013.25
        )
        assert METHANE.to_mass(1.0, temperature=144.075) == pytest.approx(
            METHANE.to_mass(2.0)
        )

    def test_there_and_back(self) -> None:
        plume = torch.tensor([1.0, 250.0], dtype=torch.float64)
        again = METHANE.from_mass(METHANE.to_mass(plume, 900.0, 300.0), 900.0, 300.0)
        torch.testing.assert_close(again, plume)


class TestErrors:
    def test_unknown_gas(self) -> None:
        assert list_gases() == ['carbon_dioxide', 'methane']
        with pytest.raises(UnknownNameError, match='Did you mean methane'):
            get_gas('methan')

    def test_angles(self) -> None:
        assert air_mass(0.0) == 2
        for angles in ((-1.0, 0.0), (80.0, 0.0), (30.0, 90.0), (math.nan, 0.0)):
            with pytest.raises(ValueError, match='zenith from 0 to 75 degrees'):
                air_mass(*angles)

    def test_bands_without_width(self) -> None:
        with pytest.raises(MetadataError, match='FWHM'):
            METHANE.absorption_coefficients(BandSet([2.3]))

    @pytest.mark.parametrize('amount', [-1.0, torch.tensor([0.0, -0.5])])
    def test_negative_plume(self, amount: torch.Tensor | float) -> None:
        with pytest.raises(ValueError, match='0 ppm m or more'):
            METHANE.band_transmittance(ENMAP, amount)

    @pytest.mark.parametrize('background', [-1.0, math.nan])
    def test_background(self, background: float) -> None:
        with pytest.raises(ValueError, match='background of 0 ppm or more'):
            METHANE.optical_depth([2.3], background=background)

    def test_gas_of_nothing(self) -> None:
        with pytest.raises(ValueError, match='positive molar mass'):
            GasAbsorption('x', 'X', 'X', 0.0, 1.0, METHANE.model)

    @pytest.mark.parametrize(
        ('columns', 'message'),
        [
            (
                (numbers('1 2'), numbers('1 2'), numbers('1 1'), (0.0,), (0.0,)),
                'length',
            ),
            ((numbers('2 1'), *[numbers('1 1')] * 4), 'increase'),
            (
                (numbers('1 2'), numbers('1 2'), numbers('0 1'), *[(0.0, 0.0)] * 2),
                'powers',
            ),
        ],
    )
    def test_band_model(
        self, columns: tuple[tuple[float, ...], ...], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            BandModel(*map(np.array, columns))

    def test_tables(self, tmp_path: Path) -> None:
        lines = ['# title: Gas', '# formula: G', '# molar_mass: 0.02', '# source: me']
        head = 'wavenumber_cm1,coefficient,power,pressure_power,temperature_power'
        rows = ['4000,-1,1,0,0', '4005,-1,1,0,0']
        path = tmp_path / 'gas.csv'
        path.write_text('\n'.join([*lines, '# background: 2', head, *rows]))
        gas = GasAbsorption.from_csv(path)
        assert (gas.name, gas.background, len(gas.model.wavenumber)) == ('gas', 2.0, 2)
        path.write_text('\n'.join([*lines, head, *rows]))
        with pytest.raises(MetadataError, match='background'):
            GasAbsorption.from_csv(path)
        path.write_text('\n'.join([*lines, '# background: 2', head, rows[0], '4005,x']))
        with pytest.raises(CorruptFileError, match='wavenumber_cm1'):
            GasAbsorption.from_csv(path)
