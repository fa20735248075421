# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise as a sensor makes it."""

import math

import numpy as np
import pytest
import torch
from transforms.noisy import seed

from torchgeo_hsi.errors import UnitError
from torchgeo_hsi.physics.noise import NoiseCurve
from torchgeo_hsi.transforms import PushbroomStriping, SensorNoise


class TestSensor:
    def test_wavelengths_decide(self) -> None:
        curve = NoiseCurve.of_sensor('enmap')
        given = {
            'image': torch.full((2, 2, 100, 100), 0.25),
            'wavelength': torch.tensor([[0.5, 2.2], [2.2, 1.0]]),
        }
        pair = SensorNoise(curve, generator=seed())(given)
        want = np.stack([curve.sigma(w, 0.25) for w in given['wavelength'].numpy()])
        assert pair['sigma'].numpy() == pytest.approx(255 * want, rel=1e-4)
        got = (pair['image'] - 0.25).std((2, 3)).numpy()
        assert got == pytest.approx(want, rel=0.04)

    def test_scale_of_the_data_module(self) -> None:
        # 0.5 stands for 0.5 * 4000 + 1000 = 3000, which is a reflectance of 0.3
        curve = NoiseCurve.from_snr([0.5], [100])
        given = {
            'image': torch.full((2, 1, 100, 100), 0.5),
            'scale': torch.tensor([4000.0, 2000.0]),
            'offset': torch.tensor([1000.0, 2000.0]),
            'wavelength': torch.full((2, 1), 0.5),
        }
        pair = SensorNoise(curve, generator=seed())(given)
        want = [30 / 4000 * 255, 30 / 2000 * 255]
        assert pair['sigma'].flatten().tolist() == pytest.approx(want, rel=1e-4)
        got = 255 * (pair['image'] - 0.5).std((1, 2, 3))
        assert got.tolist() == pytest.approx(want, rel=0.04)

    def test_one_scale_for_a_sample(self) -> None:
        curve = NoiseCurve.from_snr([0.5], [100])
        given = {
            'image': torch.full((1, 8, 8), 0.75),
            'scale': torch.tensor(4000.0),
            'wavelength': torch.tensor([0.5]),
        }
        sigma = SensorNoise(curve)(given)['sigma']
        assert sigma.tolist() == pytest.approx([30 / 4000 * 255], rel=1e-4)

    def test_value_of_white(self) -> None:
        curve = NoiseCurve.from_snr([0.5], [100])
        given = {
            'image': torch.full((1, 8, 8), 30.0),
            'wavelength': torch.tensor([0.5]),
        }
        sigma = SensorNoise(curve, reflectance=100.0, peak=100.0)(given)['sigma']
        assert sigma.tolist() == pytest.approx([0.003 * 255], rel=1e-4)

    def test_product_on_a_map(self) -> None:
        noise = SensorNoise(
            NoiseCurve.from_snr([0.5], [10]), angle=(-10, 10), generator=seed()
        )
        given = {
            'image': torch.full((60, 1, 50, 50), 0.3),
            'wavelength': torch.full((60, 1), 0.5),
        }
        pair = noise(given)
        residual = 255 * (pair['image'] - 0.3)[:, 0]
        # two thirds of the deviation, which varies from shift to shift
        ratio = residual.std((1, 2)) / (0.03 * 255)
        assert ratio.mean() == pytest.approx(0.667, abs=0.03)
        power = residual.square().mean((1, 2)).sqrt()
        assert torch.allclose(power, pair['sigma'][:, 0], rtol=0.12)
        neighbors = (residual[:, 1:] * residual[:, :-1]).mean() / residual.var()
        assert 0.15 < neighbors < 0.3

    def test_neighboring_bands_without_wavelengths(self) -> None:
        steps = np.linspace(0.4, 2.4, 101)
        curve = NoiseCurve.from_snr(steps, 1 / steps)
        noise = SensorNoise(curve, generator=seed())
        # noise of 0.3 times the wavelength shows which bands were drawn
        sigma = noise({'image': torch.full((300, 5, 1, 1), 0.3)})['sigma'] / 255 / 0.3
        assert torch.allclose(sigma.diff(dim=1), torch.tensor(0.02), atol=1e-4)
        starts = ((sigma[:, 0] - 0.4) / 0.02).round().int()
        assert starts.min() < 5
        assert starts.max() in range(92, 97)

    def test_more_bands_than_the_curve(self) -> None:
        steps = np.linspace(0.4, 2.4, 11)
        noise = SensorNoise(NoiseCurve.from_snr(steps, 1 / steps))
        sigma = noise({'image': torch.full((21, 1, 1), 0.3)})['sigma'] / 255 / 0.3
        assert sigma[[0, -1]].tolist() == pytest.approx([0.4, 2.4], rel=1e-3)

    def test_stored_numbers_need_a_scale(self) -> None:
        with pytest.raises(UnitError, match='divide by the scale'):
            SensorNoise()({'image': torch.full((3, 2, 2), 3000.0)})

    def test_bad(self) -> None:
        with pytest.raises(UnitError, match='reflectance of 1, got 0'):
            SensorNoise(reflectance=0.0)


class TestPushbroom:
    def test_stripes_follow_the_noise(self) -> None:
        noise = PushbroomStriping(0.0, 0.0, (0.5, 0.5), generator=seed())
        given = {
            'image': torch.full((2, 2, 5, 4000), 0.5),
            'sigma': torch.tensor([[10.0, 0.0], [20.0, 40.0]]),
        }
        pair = noise(given)
        got = 255 * (pair['image'] - 0.5).std((2, 3))
        assert torch.allclose(got, given['sigma'] / 2, rtol=0.06, atol=1e-4)
        assert torch.equal(pair['sigma'], given['sigma'])

    def test_levels_of_each_image(self) -> None:
        noise = PushbroomStriping((0.0, 0.02), common=0.0, generator=seed())
        image = torch.ones(300, 2, 1, 200)
        spread = noise({'image': image})['image'].std((1, 2, 3))
        assert spread.min() < 0.001
        assert 0.019 < spread.max() < 0.022
        assert spread.mean() == pytest.approx(0.01, rel=0.15)

    def test_angles(self) -> None:
        noise = PushbroomStriping(0.1, angle=(10.0, 20.0), generator=seed())
        noisy = noise({'image': torch.ones(40, 1, 60, 200)})['image'][:, 0]
        angles = []
        for image in noisy:
            # columns by which the last row has moved
            last, first = image[-1] - 1, image[0] - 1
            fits = [float(first[s:] @ last[: 200 - s]) for s in range(40)]
            angles.append(math.degrees(math.atan(np.argmax(fits) / 59)))
        assert min(angles) > 9.4
        assert max(angles) < 20.6
        assert np.mean(angles) == pytest.approx(15, abs=2)
