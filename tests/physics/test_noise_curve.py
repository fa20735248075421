# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of sensors: from ratios to variances and to noisy cubes."""

import math

import numpy as np
import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, UnitError, UnknownNameError
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.noise import NoiseCurve, add_sensor_noise
from torchgeo_hsi.physics.simulation import enmap_noise


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def parts(curve: NoiseCurve, wavelength: list[float]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(part) for part in curve.at(wavelength))


class TestCurve:
    def test_is_that_of_the_simulator(self) -> None:
        bands = get_sensor('enmap').bands
        curve = NoiseCurve.of_sensor('enmap')
        assert len(curve.wavelength) == 202
        for reflectance in (-0.2, 0.0, 0.05, 0.3, 0.9):
            want = enmap_noise(bands).sigma(np.full(len(bands), reflectance))
            where = np.isin(bands.wavelength, curve.wavelength)
            got = curve.sigma(bands.wavelength[where], reflectance)
            assert got == pytest.approx(want[where], rel=1e-3)

    @pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
    def test_from_ratios(self, share: float) -> None:
        curve = NoiseCurve.from_snr([0.5, 1.0], [200, 100], 0.2, share)
        assert curve.sigma([0.5, 1.0], 0.2) == pytest.approx([0.001, 0.002])
        # shot noise doubles at four times the light, that of the read-out stays
        want = 0.001 * math.sqrt(share + 4 * (1 - share))
        assert curve.sigma([0.5], 0.8) == pytest.approx([want])
        assert curve.sigma([0.5], 0.0) == pytest.approx([0.001 * math.sqrt(share)])

    def test_interpolation(self) -> None:
        curve = NoiseCurve([0.5, 1.0], [1.0, 3.0], [0.0, 1.0], [0.0, 0.0])
        assert [part.tolist() for part in curve.at([0.4, 0.75, 2.0])] == [
            [1, 2, 3],
            [0, 0.5, 1],
            [0, 0, 0],
        ]

    def test_short_text(self) -> None:
        text = repr(NoiseCurve.of_sensor('enmap'))
        assert text == 'NoiseCurve(202 wavelengths, 0.418 to 2.445 µm)'

    def test_unknown_sensor(self) -> None:
        with pytest.raises(UnknownNameError, match='enmap'):
            NoiseCurve.of_sensor('prisma')

    @pytest.mark.parametrize(
        ('arguments', 'error', 'message'),
        [
            (([1.0, 0.5], [1, 1], [0, 0], [0, 0]), UnitError, 'sort the curve'),
            (([500, 900], [1, 1], [0, 0], [0, 0]), UnitError, 'micrometres'),
            (
                ([0.5, 1.0], [1], [0, 0], [0, 0]),
                BandMismatchError,
                'one slope for each',
            ),
            (
                ([0.5, 1.0], [1, -1], [0, 0], [0, 0]),
                UnitError,
                'variance of at least 0',
            ),
            (
                ([0.5, 1.0], [1, 1], [0, 0], [-1, 0]),
                UnitError,
                'variance of at least 0',
            ),
            (([0.5], [float('nan')], [0], [0]), UnitError, 'what is not finite'),
        ],
    )
    def test_bad(
        self, arguments: tuple[list[float], ...], error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            NoiseCurve(*arguments)

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'snr': [0.0]}, 'positive signal-to-noise'),
            ({'snr': [1.0], 'reflectance': 0.0}, 'positive reflectance'),
            ({'snr': [1.0], 'reflectance': float('nan')}, 'positive reflectance'),
            ({'snr': [1.0], 'read_share': 2.0}, 'read_share from 0 to 1'),
        ],
    )
    def test_bad_ratios(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(UnitError, match=message):
            NoiseCurve.from_snr([0.5], **options)


class TestNoise:
    @pytest.mark.parametrize('reflectance', [-0.5, 0.0, 0.1, 0.4])
    def test_deviation(self, reflectance: float) -> None:
        wavelength = [0.5, 0.95, 1.6, 2.2]
        curve = NoiseCurve.of_sensor('enmap')
        cube = torch.full((4, 200, 200), reflectance)
        noisy, sigma = add_sensor_noise(
            cube, parts(curve, wavelength), 1, generator=seed()
        )
        want = torch.from_numpy(curve.sigma(wavelength, reflectance)).float()
        # the error of a deviation of 40 000 numbers is 0.35 %
        assert torch.allclose((noisy - cube).std((-2, -1)), want, rtol=0.018)
        assert torch.allclose(sigma[:, 0, 0], want, rtol=1e-5)
        assert (noisy - cube).mean((-2, -1)).div(want).abs().max() < 5 / 200

    def test_level_of_each_sample(self) -> None:
        curve = NoiseCurve.from_snr([0.5], [100])
        level = torch.tensor([1.0, 4.0])
        cube = torch.full((2, 1, 100, 100), 0.3)
        noisy, sigma = add_sensor_noise(
            cube, parts(curve, [0.5]), level, generator=seed()
        )
        assert torch.allclose(sigma[:, 0, 0, 0], 0.003 * level)
        got = (noisy - cube).std((-3, -2, -1))
        assert torch.allclose(got, 0.003 * level, rtol=0.04)

    def test_stored_numbers_are_no_reflectances(self) -> None:
        curve = NoiseCurve.from_snr([0.5], [100])
        with pytest.raises(UnitError, match='got 3000: divide by the scale'):
            add_sensor_noise(torch.full((1, 2, 2), 3000.0), parts(curve, [0.5]))

    def test_wrong_number_of_bands(self) -> None:
        curve = NoiseCurve.from_snr([0.5], [100])
        with pytest.raises(
            BandMismatchError, match='3 bands of the cube, got that of 1'
        ):
            add_sensor_noise(torch.zeros(3, 2, 2), parts(curve, [0.5]))

    def test_product_on_a_map(self) -> None:
        curve = NoiseCurve.from_snr([0.5, 1.0], [100, 50])
        cube = torch.full((400, 2, 12, 12), 0.3)
        noisy, sigma = add_sensor_noise(
            cube, parts(curve, [0.5, 1.0]), 2.0, angle=10.0, generator=seed()
        )
        got = (noisy - cube).std(0)
        assert torch.allclose(got, sigma[0], rtol=0.18)
        assert torch.allclose(got / sigma[0], torch.tensor(1.0), atol=0.18)
        share = sigma / torch.tensor([0.006, 0.012]).view(2, 1, 1)
        assert share.min() > 0.49
        assert share.max() < 1.01
