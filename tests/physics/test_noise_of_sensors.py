# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shot noise, striping, and noise that was resampled, by their statistics."""

import math

import numpy as np
import pytest
import torch
from physics.noise_statistics import RARE, seed
from scipy import stats
from scipy.interpolate import BSpline

from torchgeo_hsi.errors import UnitError
from torchgeo_hsi.physics.noise import add_shot, add_striping, draw_resampled, fill_dead


class TestShot:
    def test_poisson(self) -> None:
        noisy = add_shot(torch.full((1, 200, 200), 0.02), 200.0, generator=seed())
        counted = (noisy * 200).numpy().ravel()
        assert np.allclose(counted, counted.round(), atol=1e-4)
        got = np.bincount(counted.round().astype(int), minlength=12)[:12]
        want = stats.poisson(4).pmf(np.arange(12))
        want[-1] = stats.poisson(4).sf(10)
        got[-1] = len(counted) - got[:-1].sum()
        assert stats.chisquare(got, want * len(counted)).pvalue > RARE

    def test_signal_to_noise_grows_with_the_root(self) -> None:
        ratios = []
        for value in (0.1, 0.4):
            noisy = add_shot(torch.full((1, 200, 200), value), 1e4, generator=seed())
            ratios.append(float(noisy.mean() / noisy.std()))
        assert ratios == pytest.approx([math.sqrt(1000), math.sqrt(4000)], rel=0.02)

    def test_read_noise_adds_up(self) -> None:
        photons = torch.tensor([100.0, 400.0])
        noisy = add_shot(
            torch.full((2, 200, 200), 0.5), photons, 10.0, generator=seed()
        )
        want = (0.5 * photons + 100).sqrt() / photons
        assert torch.allclose(noisy.std((-2, -1)), want, rtol=0.02)

    def test_negative_values_stay(self) -> None:
        assert torch.equal(
            add_shot(torch.full((1, 2, 2), -0.1), 10.0), torch.full((1, 2, 2), -0.1)
        )

    def test_physical_numbers(self) -> None:
        cube = torch.rand(2, 30, 30, generator=seed())
        small = add_shot(cube, 500.0, generator=seed(1))
        large = add_shot(1e4 * cube, 500.0, peak=1e4, generator=seed(1))
        assert torch.allclose(large, 1e4 * small, atol=0.5)

    def test_numbers_that_are_not_finite_stay(self) -> None:
        cube = torch.full((1, 2, 3), 0.5)
        cube[0, 0] = torch.tensor([math.nan, math.inf, -math.inf])
        noisy = add_shot(cube, 100.0, 2.0, generator=seed())
        torch.testing.assert_close(noisy[0, 0], cube[0, 0], equal_nan=True)
        assert noisy[0, 1].isfinite().all()

    @pytest.mark.parametrize(
        ('photons', 'read'),
        [(0.0, 0.0), (10.0, -1.0), (math.nan, 0.0), (10.0, math.nan)],
    )
    def test_bad(self, photons: float, read: float) -> None:
        with pytest.raises(UnitError, match='positive number of photons'):
            add_shot(torch.zeros(1, 2, 2), photons, read)


class TestStriping:
    def test_gain(self) -> None:
        cube = torch.full((20, 3, 400), 0.5)
        factor = (add_striping(cube, 0.02, common=0.0, generator=seed()) / cube)[:, 0]
        noise = (factor - 1).numpy()
        assert stats.kstest(noise.ravel(), stats.norm(0, 0.02).cdf).pvalue > RARE

    @pytest.mark.parametrize('common', [0.0, 0.2, 1.0])
    def test_bands_have_a_share_in_common(self, common: float) -> None:
        noise = add_striping(torch.ones(4, 1, 9000), 0.01, 0.0, common, 0.0, seed())
        got = np.corrcoef((noise - 1)[:, 0])
        want = np.where(np.eye(4), 1, common)
        assert abs(got - want).max() < 5 / math.sqrt(9000)
        assert np.allclose(noise.std((-2, -1)), 0.01, rtol=0.05)

    def test_offset_of_each_band(self) -> None:
        offset = torch.tensor([0.01, 0.0, 0.03])
        noise = add_striping(torch.zeros(3, 4, 2000), 0.5, offset, generator=seed())
        assert torch.equal(noise.amax(-2), noise.amin(-2))
        assert torch.allclose(noise[:, 0].std(-1), offset, rtol=0.08)

    def test_lean(self) -> None:
        # of the triangle of sides 3, 4 and 5: down by 4 and left by 3 is the same column
        angle = math.degrees(math.asin(0.6))
        cube = torch.ones(1, 40, 60, dtype=torch.float64)
        slash = add_striping(cube, 0.1, angle=angle, generator=seed())[0]
        assert torch.allclose(slash[4:, :-3], slash[:-4, 3:], atol=1e-12)
        assert not torch.allclose(slash[4:, 3:], slash[:-4, :-3], atol=0.1)
        back = add_striping(cube, 0.1, angle=-angle, generator=seed())[0]
        assert torch.allclose(back[4:, 3:], back[:-4, :-3], atol=1e-12)

    def test_what_lies_between_columns_is_interpolated(self) -> None:
        noise = add_striping(torch.ones(100, 60, 60), 0.1, angle=10, generator=seed())
        assert noise.var().item() == pytest.approx(0.01 * 2 / 3, rel=0.05)

    def test_dead_elements(self) -> None:
        cube = torch.rand(40, 5, 500, generator=seed())
        filled = fill_dead(cube, 0.05, generator=seed(1))
        dead = filled != cube
        assert torch.equal(dead.all(-2), dead.any(-2))
        assert not dead[[0, -1]].any()
        middle = (cube[:-2] + cube[2:]) / 2
        assert torch.equal(filled[1:-1][dead[1:-1]], middle[dead[1:-1]])
        number = int(dead[1:-1, 0].sum())
        assert stats.binomtest(number, 38 * 500, 0.05).pvalue > RARE

    def test_dead_elements_lean_like_stripes(self) -> None:
        cube = torch.rand(3, 30, 30, generator=seed())
        dead = fill_dead(cube, 0.1, 45.0, seed(1))[1] != cube[1]
        assert dead.any()
        assert torch.equal(dead[1:, :-1], dead[:-1, 1:])

    def test_two_bands_have_no_neighbors(self) -> None:
        cube = torch.rand(2, 4, 4, generator=seed())
        assert torch.equal(fill_dead(cube, 1.0), cube)

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'gain': -0.1}, 'gain to be at least 0'),
            ({'gain': math.nan}, 'gain to be at least 0'),
            ({'offset': -0.1}, 'offset to be at least 0'),
            ({'common': 1.5}, 'common to be a share'),
            ({'angle': 90.0}, 'between -90 and 90'),
        ],
    )
    def test_bad(self, options: dict[str, float], message: str) -> None:
        with pytest.raises(UnitError, match=message):
            add_striping(torch.zeros(3, 2, 2), **options)

    def test_bad_share(self) -> None:
        with pytest.raises(UnitError, match='from 0 to 1, got 2'):
            fill_dead(torch.zeros(3, 2, 2), 2.0)


class TestResampled:
    @pytest.mark.parametrize('angle', [7.0, -20.0, 70.0])
    def test_neighbors(self, angle: float) -> None:
        noise, _ = draw_resampled((200, 80, 80), torch.empty(0), angle, seed())
        # linear weights of two points, multiplied and averaged over all places between
        # pixels, are the cubic B-spline of their distance
        spline = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
        turn = math.radians(angle)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), (0, 3)):
            u = math.cos(turn) * right + math.sin(turn) * down
            v = math.cos(turn) * down - math.sin(turn) * right
            want = float(np.nan_to_num(spline(u)) * np.nan_to_num(spline(v)))
            one, other = noise[:, down:, right:], noise[:, : 80 - down, : 80 - right]
            assert float((one * other).mean()) == pytest.approx(want, abs=0.012)

    def test_deviation_of_each_pixel(self) -> None:
        noise, sigma = draw_resampled((4000, 9, 11), torch.empty(0), 25.0, seed())
        assert torch.allclose(noise.std(0), sigma, rtol=0.06)
        assert noise.mean(0).abs().max() < 5 / math.sqrt(4000)

    def test_axes_before_the_image(self) -> None:
        noise, sigma = draw_resampled(
            (2, 3, 4, 5), torch.empty(0).double(), 5.0, seed()
        )
        assert noise.shape == (2, 3, 4, 5)
        assert sigma.shape == (4, 5)
        assert noise.dtype == torch.float64
        assert len(noise.unique()) == 120

    def test_bad_angle(self) -> None:
        with pytest.raises(UnitError, match='between -90 and 90 degrees, got -90'):
            draw_resampled((1, 2, 2), torch.empty(0), -90.0)
