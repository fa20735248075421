# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise models, checked by their statistics."""

import math

import numpy as np
import pytest
import torch
from physics.noise_statistics import RARE, columns_hit, is_even, seed
from scipy import stats

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics.noise import (
    add_deadlines,
    add_gaussian,
    add_impulses,
    add_shot,
    add_stripes,
    add_striping,
    correlated_sigma,
    draw_bands,
    draw_level,
    fill_dead,
)


class TestLevels:
    def test_number(self) -> None:
        assert draw_level(30, (2, 3), torch.empty(0)).tolist() == [[30] * 3] * 2

    def test_range(self) -> None:
        drawn = draw_level((10, 70), (5000,), torch.empty(0), seed()).numpy()
        assert stats.kstest(drawn, stats.uniform(10, 60).cdf).pvalue > RARE

    def test_list(self) -> None:
        drawn = draw_level([10, 30, 50, 70], (4000,), torch.empty(0), seed()).numpy()
        values, counts = np.unique(drawn, return_counts=True)
        assert values.tolist() == [10, 30, 50, 70]
        assert is_even(counts)

    @pytest.mark.parametrize(
        'level', [-1, (70, 10), (10, 20, 30), [], [10, -10], math.nan, (0, math.inf)]
    )
    def test_bad(self, level: object) -> None:
        with pytest.raises(UnitError, match='Expected the level to be a number'):
            draw_level(level, (1,), torch.empty(0))


class TestBands:
    @pytest.mark.parametrize(
        ('bands', 'share', 'count'),
        [
            (31, 1 / 3, 10),
            (3, 1 / 3, 1),
            (2, 1 / 3, 0),
            (202, 1 / 3, 67),
            (31, 0.33, 10),
        ],
    )
    def test_number_is_rounded_down(self, bands: int, share: float, count: int) -> None:
        (drawn,) = draw_bands((50, bands), share, torch.empty(0), seed())
        assert drawn.sum(1).tolist() == [count] * 50

    def test_sets_share_no_band(self) -> None:
        sets = draw_bands((50, 31), 1 / 3, torch.empty(0), seed(), parts=3)
        assert torch.stack(sets).sum(0).max() == 1

    def test_bands_are_equally_likely(self) -> None:
        (drawn,) = draw_bands((3000, 6), 1 / 3, torch.empty(0), seed())
        assert is_even(drawn.sum(0).numpy())
        # and so are pairs of them, so bands of a sample are no neighbors by habit
        pairs = (drawn.float().T @ drawn.float()).numpy()
        assert is_even(pairs[np.triu_indices(6, 1)])

    def test_too_many(self) -> None:
        with pytest.raises(UnitError, match=r'at most 1 / 3, got 0\.4'):
            draw_bands((31,), 0.4, torch.empty(0), parts=3)


class TestGaussian:
    def test_distribution(self) -> None:
        noise = add_gaussian(torch.full((4, 64, 64), 0.5), 30, generator=seed()) - 0.5
        assert (
            stats.kstest(noise.numpy().ravel(), stats.norm(0, 30 / 255).cdf)[1] > RARE
        )

    def test_pixels_and_bands_are_independent(self) -> None:
        noise = add_gaussian(torch.zeros(2, 8, 64, 64), 30, generator=seed())
        for axis in range(4):
            one, other = (noise.narrow(axis, k, noise.shape[axis] - 1) for k in (0, 1))
            r = np.corrcoef(one.flatten(), other.flatten())[0, 1]
            assert abs(r) < 5 / math.sqrt(one.numel())

    def test_each_band_has_its_level(self) -> None:
        sigma = torch.tensor([[0.0, 10, 70], [50, 30, 0]])
        noise = add_gaussian(torch.zeros(2, 3, 90, 90), sigma, generator=seed())
        got = 255 * noise.std((-2, -1))
        assert torch.allclose(got, sigma, rtol=0.05, atol=0)

    def test_scale_of_the_data(self) -> None:
        cube = torch.rand(3, 40, 40, generator=seed())
        small = add_gaussian(cube, 30, generator=seed(1))
        large = add_gaussian(1e4 * cube, 30, peak=1e4, generator=seed(1))
        assert torch.allclose(large, 1e4 * small, rtol=1e-5, atol=1e-2)

    def test_wrong_number_of_bands(self) -> None:
        with pytest.raises(BandMismatchError, match='31 bands of the cube, got 30'):
            add_gaussian(torch.zeros(31, 2, 2), torch.ones(30))

    def test_negative(self) -> None:
        with pytest.raises(UnitError, match='at least 0, got -1'):
            add_gaussian(torch.zeros(2, 2, 2), torch.tensor([1.0, -1.0]))
        with pytest.raises(UnitError, match='at least 0, got nan'):
            add_gaussian(torch.zeros(2, 2, 2), math.nan)

    def test_correlated_levels(self) -> None:
        want = [
            23.08 * math.exp(-((b / 31 - 0.5) ** 2) / (4 * 0.157**2)) for b in range(31)
        ]
        assert correlated_sigma(31).tolist() == pytest.approx(want, rel=1e-6)

    @pytest.mark.parametrize(
        'options', [{'beta': -1.0}, {'eta': 0.0}, {'beta': math.nan}, {'eta': math.nan}]
    )
    def test_bad_curve(self, options: dict[str, float]) -> None:
        with pytest.raises(UnitError, match='beta of at least 0 and eta above 0'):
            correlated_sigma(31, **options)


class TestStripes:
    def test_numbers_of_columns(self) -> None:
        # floor(0.05 * 64) = 3 to floor(0.15 * 64) - 1 = 8
        noise = add_stripes(torch.zeros(100, 31, 2, 64), generator=seed())
        numbers, counts = np.unique(columns_hit(noise), return_counts=True)
        assert numbers.tolist() == [3, 4, 5, 6, 7, 8]
        assert is_even(counts)

    def test_shifts(self) -> None:
        noise = add_stripes(torch.zeros(20, 31, 3, 64), generator=seed())
        assert torch.equal(noise.amax(-2), noise.amin(-2))
        shift = noise[..., 0, :].numpy()
        uniform = stats.uniform(-0.25, 0.5).cdf
        assert stats.kstest(shift[shift != 0], uniform).pvalue > RARE

    def test_columns_are_equally_likely(self) -> None:
        noise = add_stripes(torch.zeros(100, 31, 1, 40), generator=seed())
        assert is_even((noise != 0).sum((0, 1, 2)).numpy())

    def test_only_chosen_bands(self) -> None:
        bands = torch.tensor([True, False, True])
        noise = add_stripes(torch.zeros(5, 3, 4, 64), bands, generator=seed())
        assert (columns_hit(noise).reshape(5, 3) > 0).all(0).tolist() == bands.tolist()
        assert not noise[:, 1].any()

    def test_narrow_image(self) -> None:
        noise = add_stripes(torch.ones(3, 4, 1), generator=seed())
        assert noise.shape == (3, 4, 1)

    @pytest.mark.parametrize('columns', [(0.2, 0.1), (-0.1, 0.1), (0.1, 1.1)])
    def test_bad_columns(self, columns: tuple[float, float]) -> None:
        with pytest.raises(UnitError, match='shares of the columns'):
            add_stripes(torch.zeros(1, 2, 2), columns=columns)

    def test_bad_strength(self) -> None:
        with pytest.raises(UnitError, match='strength of at least 0, got -1'):
            add_stripes(torch.zeros(1, 2, 2), strength=-1.0)

    def test_bands_of_another_cube(self) -> None:
        with pytest.raises(BandMismatchError, match='each of the 3 bands'):
            add_stripes(torch.zeros(3, 2, 2), torch.ones(4, dtype=torch.bool))


def test_value_of_dead_columns() -> None:
    with pytest.raises(UnitError, match='finite value of dead pixels, got nan'):
        add_deadlines(torch.zeros(1, 2, 2), value=math.nan)


def test_dead_columns() -> None:
    # ceil(0.05 * 50) = 3 to ceil(0.15 * 50) - 1 = 7
    cube = 0.1 + torch.rand(100, 31, 3, 50, generator=seed())
    dead = add_deadlines(cube, generator=seed(1))
    numbers, counts = np.unique(columns_hit(cube - dead), return_counts=True)
    assert numbers.tolist() == [3, 4, 5, 6, 7]
    assert is_even(counts)
    assert not dead[dead != cube].any()
    assert is_even((dead == 0).all(-2).sum((0, 1)).numpy())


class TestImpulses:
    def test_shares(self) -> None:
        noisy = add_impulses(torch.full((400, 40, 50), 0.5), generator=seed()).numpy()
        lost = (noisy != 0.5).mean((1, 2))
        amounts = np.array([0.1, 0.3, 0.5, 0.7])
        which = abs(lost[:, None] - amounts).argmin(1)
        # 5 standard deviations of 2000 pixels
        assert abs(lost - amounts[which]).max() < 5 * 0.5 / math.sqrt(2000)
        assert is_even(np.bincount(which))
        salt, pepper = (noisy == 1).sum(), (noisy == 0).sum()
        assert salt + pepper == (noisy != 0.5).sum()
        assert stats.binomtest(salt, salt + pepper).pvalue > RARE

    def test_pixels_are_independent(self) -> None:
        lost = (
            add_impulses(torch.full((1, 200, 200), 0.5), None, [0.5], 1, seed()) != 0.5
        )
        for axis in (1, 2):
            one, other = (lost.narrow(axis, k, 199).flatten() for k in (0, 1))
            assert abs(np.corrcoef(one, other)[0, 1]) < 5 / 200

    def test_only_chosen_bands(self) -> None:
        bands = torch.tensor([[True, False], [False, True]])
        noisy = add_impulses(torch.full((2, 2, 20, 20), 0.5), bands, [1.0], 9.0, seed())
        assert torch.equal((noisy == 0.5).all(-1).all(-1), ~bands)
        assert set(noisy[bands].flatten().tolist()) == {0.0, 9.0}

    @pytest.mark.parametrize('amounts', [[], [1.5], [-0.1]])
    def test_bad_amounts(self, amounts: list[float]) -> None:
        with pytest.raises(UnitError, match='shares of the pixels'):
            add_impulses(torch.zeros(1, 2, 2), None, amounts)


FUNCTIONS = {
    'gaussian': lambda x, g: add_gaussian(x, 30, generator=g),
    'stripes': lambda x, g: add_stripes(x, generator=g),
    'deadlines': lambda x, g: add_deadlines(x, generator=g),
    'impulses': lambda x, g: add_impulses(x, generator=g),
    'shot': lambda x, g: add_shot(x, 100.0, 5.0, generator=g),
    'striping': lambda x, g: add_striping(x, 0.1, 0.1, angle=5, generator=g),
    'dead': lambda x, g: fill_dead(x, 0.5, generator=g),
}


@pytest.mark.parametrize('name', FUNCTIONS)
class TestAll:
    @pytest.mark.parametrize(
        ('given', 'want'),
        [
            (torch.float32, torch.float32),
            (torch.float64, torch.float64),
            (torch.bfloat16, torch.bfloat16),
            (torch.int16, torch.float32),
        ],
    )
    def test_type(self, name: str, given: torch.dtype, want: torch.dtype) -> None:
        cube = (torch.rand(5, 20, 20, generator=seed()) * 3).to(given)
        before = cube.clone()
        noisy = FUNCTIONS[name](cube, seed(1))
        assert noisy.dtype == want
        assert torch.equal(cube, before)
        assert not torch.equal(noisy, cube.to(want))

    def test_generator_decides(self, name: str) -> None:
        cube = torch.rand(2, 6, 20, 20, generator=seed())
        state = torch.random.get_rng_state()
        first, again, other = (FUNCTIONS[name](cube, seed(n)) for n in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(state, torch.random.get_rng_state())

    def test_samples_of_a_batch_differ(self, name: str) -> None:
        cube = torch.rand(1, 6, 20, 20, generator=seed()).expand(2, -1, -1, -1)
        one, other = FUNCTIONS[name](cube, seed(1))
        assert not torch.equal(one, other)
