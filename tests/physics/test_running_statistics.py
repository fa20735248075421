# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics in one pass, against numpy with all numbers at once."""

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics import BandSummary, QuantileSketch, RunningStatistics
from torchgeo_hsi.physics.statistics.running import QUANTILES


def make_cubes(dtype: str = 'float32', count: int = 5) -> list[np.ndarray]:
    """Make cubes of four bands and different sizes, whole numbers around 0 and 3000."""
    rng = np.random.default_rng(0)
    cubes = []
    for number in range(count):
        shape = (4, 20 + number, 31 - number)
        noise = rng.normal(size=shape)
        noise[1] += noise[0]
        cube = np.array([3000, 900, 10, 0])[:, None, None] + 300 * noise
        cubes.append(np.rint(cube).astype(dtype))
    return cubes


def make_masks(cubes: list[np.ndarray]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.random(cube.shape[1:]) < 0.8 for cube in cubes]


def gather(cubes: list[np.ndarray], masks: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(
        [c[:, m] for c, m in zip(cubes, masks, strict=True)], axis=1
    ).astype(np.float64)


def run(
    cubes: list[np.ndarray], masks: list[np.ndarray], **options: Any
) -> RunningStatistics:
    running = RunningStatistics(**options)
    for cube, mask in zip(cubes, masks, strict=True):
        running.update(cube, mask)
    return running


class TestRunning:
    @pytest.mark.parametrize('dtype', ['float32', 'float64', 'int16', 'int32'])
    def test_against_numpy(self, dtype: str) -> None:
        cubes = make_cubes(dtype)
        masks = make_masks(cubes)
        pixels = gather(cubes, masks)
        for cube, mask in zip(cubes, masks, strict=True):
            # whatever is there does not count
            cube[:, ~mask] = np.nan if dtype[0] == 'f' else -32768
        got = run(cubes, masks).summary(('a', 'b', 'c', 'd'), [0.4, 0.5, 0.6, 0.7])
        np.testing.assert_allclose(got.mean, pixels.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(got.std, pixels.std(axis=1), rtol=1e-12)
        np.testing.assert_array_equal(got.minimum, pixels.min(axis=1))
        np.testing.assert_array_equal(got.maximum, pixels.max(axis=1))
        want = np.cov(pixels, bias=True)
        np.testing.assert_allclose(got.covariance, want, rtol=1e-10, atol=1e-8)
        assert np.array_equal(got.covariance, got.covariance.T)
        np.testing.assert_allclose(
            np.sqrt(np.diag(got.covariance)), got.std, rtol=1e-12
        )
        assert got.pixels == sum(mask.size for mask in masks)
        assert got.count.tolist() == [pixels.shape[1]] * 4
        np.testing.assert_allclose(got.valid_share, pixels.shape[1] / got.pixels)
        for share in QUANTILES:
            exact = np.quantile(pixels, share, axis=1, method='lower')
            error = np.abs(got.quantiles[share] - exact)
            assert (error <= 0.001 * np.abs(exact) + 1e-9).all()

    def test_bands_that_lack_numbers_of_their_own(self) -> None:
        cubes = make_cubes()
        rng = np.random.default_rng(2)
        holes = [rng.random(cube.shape) < 0.2 for cube in cubes]
        for hole in holes[:2]:
            hole[:] = False
        for hole in holes:
            hole[3] = True
        whole = RunningStatistics()
        for cube, hole in zip(cubes, holes, strict=True):
            whole.update(cube, ~hole)
        got = whole.summary()
        for band in range(3):
            values = np.concatenate(
                [c[band][~h[band]] for c, h in zip(cubes, holes, strict=True)]
            ).astype(np.float64)
            assert got.count[band] == len(values)
            assert got.mean[band] == pytest.approx(values.mean(), rel=1e-12)
            assert got.std[band] == pytest.approx(values.std(), rel=1e-12)
            assert (got.minimum[band], got.maximum[band]) == (
                values.min(),
                values.max(),
            )
            exact = np.quantile(values, 0.25, method='lower')
            assert got.quantiles[0.25][band] == pytest.approx(exact, rel=0.001)
        assert got.count[3] == 0
        empty = [got.mean, got.std, got.minimum, got.maximum, *got.quantiles.values()]
        assert np.isnan([row[3] for row in empty]).all()
        # no pixel has all bands
        assert got.covariance is None

    def test_covariance_is_of_the_pixels_with_all_bands(self) -> None:
        cubes = make_cubes()
        for cube in cubes:
            cube[0, :3] = np.nan
        pixels = np.concatenate([c[:, 3:].reshape(4, -1) for c in cubes], axis=1)
        running = RunningStatistics()
        for cube in cubes:
            running.update(cube)
        want = np.cov(pixels.astype(np.float64), bias=True)
        np.testing.assert_allclose(running.summary().covariance, want, rtol=1e-10)

    def test_digits_do_not_cancel(self) -> None:
        rng = np.random.default_rng(0)
        pixels = 1e8 + rng.normal(size=(2, 50_000))
        running = RunningStatistics(accuracy=None)
        for part in np.array_split(pixels, 7, axis=1):
            running.update(part)
        summary = running.summary()
        np.testing.assert_allclose(summary.std, pixels.std(axis=1), rtol=1e-7)
        want = np.cov(pixels - 1e8, bias=True)
        np.testing.assert_allclose(summary.covariance, want, atol=1e-6)

    def test_how_pixels_are_cut_does_not_matter(self) -> None:
        pixels = gather(cubes := make_cubes(), make_masks(cubes))
        results = []
        for count in (1, 3, 200):
            running = RunningStatistics()
            for part in np.array_split(pixels, count, axis=1):
                running.update(part)
            results.append(running.summary())
        for other in results[1:]:
            np.testing.assert_allclose(other.mean, results[0].mean, rtol=1e-13)
            np.testing.assert_allclose(other.std, results[0].std, rtol=1e-13)
            np.testing.assert_allclose(
                other.covariance, results[0].covariance, rtol=1e-11
            )
            for share in QUANTILES:
                assert np.array_equal(
                    other.quantiles[share], results[0].quantiles[share]
                )

    def test_merge(self) -> None:
        cubes = make_cubes()
        masks = make_masks(cubes)
        whole = run(cubes, masks).summary()
        parts = [run([c], [m]) for c, m in zip(cubes, masks, strict=True)]
        total = RunningStatistics()
        total.merge(RunningStatistics())
        for part in parts:
            # as it comes back from another process
            total.merge(pickle.loads(pickle.dumps(part)))
        got = total.summary()
        np.testing.assert_allclose(got.mean, whole.mean, rtol=1e-14)
        np.testing.assert_allclose(got.covariance, whole.covariance, rtol=1e-12)
        assert np.array_equal(got.count, whole.count)
        assert got.pixels == whole.pixels
        # what was merged is as it was
        again = run(cubes[:1], masks[:1]).summary()
        assert np.array_equal(parts[0].summary().mean, again.mean)

    def test_moments_are_the_same_without_the_rest(self) -> None:
        cubes = make_cubes()
        masks = make_masks(cubes)
        full = run(cubes, masks).moments()
        bare = run(cubes, masks, covariance=False, accuracy=None)
        for a, b in zip(full, bare.moments(), strict=True):
            assert np.array_equal(a, b)
        summary = bare.summary()
        assert summary.covariance is None
        assert summary.quantiles == {}

    def test_constant_band(self) -> None:
        running = RunningStatistics()
        for _ in range(3):
            running.update(np.full((1, 50, 50), 0.1, np.float32))
        summary = running.summary()
        assert summary.std[0] == 0
        assert summary.quantiles[0.5][0] == np.float32(0.1)

    def test_memory_is_that_of_a_few_chunks(self) -> None:
        cube = np.random.default_rng(0).integers(0, 10_000, (50, 256, 256), np.int16)
        running = RunningStatistics()
        running.update(cube)
        tracemalloc.start()
        for _ in range(5):
            running.update(cube)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # all of it as float64 is four times the cube
        assert peak < 2 * cube.nbytes

    def test_bad_input(self) -> None:
        running = RunningStatistics()
        with pytest.raises(EmptyDataError, match=r'No valid pixel.*Check nodata'):
            running.summary()
        running.update(np.ones((3, 4, 4)), np.zeros((4, 4), dtype=bool))
        with pytest.raises(EmptyDataError, match='No valid pixel'):
            running.summary()
        with pytest.raises(BandMismatchError, match='Expected 3 bands in every sample'):
            running.update(np.ones((2, 4, 4)))
        with pytest.raises(BandMismatchError, match=r'mask of shape \(4, 4\) or'):
            running.update(np.ones((3, 4, 4)), np.ones((4, 5), dtype=bool))
        with pytest.raises(BandMismatchError, match='same covariance= and accuracy='):
            running.merge(RunningStatistics(covariance=False))
        running.update(np.ones((3, 4, 4)))
        with pytest.raises(BandMismatchError, match='one value for each of 2 bands'):
            running.summary(('a', 'b'))


class TestSketch:
    @pytest.mark.parametrize('accuracy', [0.05, 0.01, 0.001])
    @pytest.mark.parametrize(
        'kind', ['normal', 'heavy', 'whole', 'negative', 'tiny', 'large whole']
    )
    def test_relative_error_is_bounded(self, accuracy: float, kind: str) -> None:
        rng = np.random.default_rng(0)
        values = {
            'normal': rng.normal(0.2, 0.1, (3, 4001)),
            'heavy': rng.pareto(1, (3, 4001)),
            'whole': rng.integers(-500, 9000, (3, 4001)).astype(np.int16),
            'negative': -rng.gamma(2, 300, (3, 4001)),
            'tiny': rng.random((3, 4001)) * 1e-5,
            'large whole': rng.integers(0, 1 << 20, (3, 4001)),
        }[kind]
        sketch = QuantileSketch(3, accuracy)
        for part in np.array_split(values, 4, axis=1):
            sketch.update(part)
        shares = np.linspace(0, 1, 101)
        want = np.quantile(values, shares, axis=1, method='lower').astype(float)
        error = np.abs(sketch.quantiles(shares) - want)
        assert (error <= accuracy * np.abs(want) * (1 + 1e-9) + 1e-9).all()
        # and the bound is not idle: another accuracy would be told apart
        assert error.max() > 0

    def test_whole_numbers_are_counted_alike_in_any_type(self) -> None:
        values = np.random.default_rng(0).integers(-300, 300, (2, 5000))
        results = []
        for dtype in ('int16', 'int64', 'float32', 'float64'):
            sketch = QuantileSketch(2, 0.01)
            sketch.update(values.astype(dtype))
            results.append(sketch.quantiles([0.1, 0.5, 0.9]))
        assert all(np.array_equal(result, results[0]) for result in results)
        # the table agrees with the logarithm: these are no whole numbers at all
        sketch = QuantileSketch(2, 0.01)
        sketch.update(np.where(values == 300, 300.5, values) * 1.0)
        assert np.array_equal(sketch.quantiles([0.1, 0.5, 0.9]), results[0])

    def test_order_and_parts_do_not_matter(self) -> None:
        values = np.random.default_rng(0).lognormal(0, 3, (2, 900))
        parts = np.array_split(values, 9, axis=1)
        sketches = []
        for order in (range(9), reversed(range(9))):
            total = QuantileSketch(2)
            for i in order:
                part = QuantileSketch(2)
                part.update(parts[i])
                total.merge(part)
            sketches.append(total.quantiles([0, 0.3, 0.7, 1]))
        assert np.array_equal(*sketches)

    def test_masked(self) -> None:
        values = np.arange(1.0, 9.0).reshape(2, 4)
        sketch = QuantileSketch(2, 0.01)
        sketch.update(values, np.array([[True, False, True, False], [False] * 4]))
        found = sketch.quantiles([0, 1])
        np.testing.assert_allclose(found[:, 0], [1, 3], rtol=0.01 + 1e-9)
        assert np.isnan(found[:, 1]).all()

    def test_bad_input(self) -> None:
        with pytest.raises(ValueError, match='between 0 and 1'):
            QuantileSketch(1, 0.0)
        sketch = QuantileSketch(2)
        with pytest.raises(EmptyDataError, match='No number'):
            sketch.quantiles([0.5])
        with pytest.raises(BandMismatchError, match='Expected 2 bands, got 3'):
            sketch.update(np.ones((3, 5)))
        sketch.update(np.ones((2, 5)))
        with pytest.raises(ValueError, match='shares from 0 to 1'):
            sketch.quantiles([1.5])
        with pytest.raises(BandMismatchError, match='accuracy'):
            sketch.merge(QuantileSketch(2, 0.5))


class TestSelect:
    def summary(self) -> BandSummary:
        running = RunningStatistics()
        running.update(make_cubes()[0])
        return running.summary(('a', 'b', 'c', 'd'), [0.4, 0.5, 0.6, 0.7], 'x')

    def test_by_name(self) -> None:
        whole = self.summary()
        part = whole.select(['d', 'a'])
        assert part.names == ('d', 'a')
        assert np.array_equal(part.mean, whole.mean[[3, 0]])
        assert np.array_equal(part.count, whole.count[[3, 0]])
        assert np.array_equal(part.quantiles[0.5], whole.quantiles[0.5][[3, 0]])
        assert np.array_equal(part.covariance, whole.covariance[[3, 0]][:, [3, 0]])
        assert np.array_equal(part.wavelength, [0.7, 0.4])

    def test_by_wavelength(self) -> None:
        whole = self.summary()
        part = whole.select(['B9', 'B1'], [0.6014, 0.3989])
        assert part.names == ('B9', 'B1')
        assert np.array_equal(part.mean, whole.mean[[2, 0]])

    def test_missing(self) -> None:
        whole = self.summary()
        with pytest.raises(BandMismatchError, match=r'not of e \(1 of 2 bands\)'):
            whole.select(['a', 'e'])
        with pytest.raises(BandMismatchError, match='4 bands'):
            whole.select(['B9', 'B1'], [0.61, 0.4])


def test_bands_pooled_in_one_sketch() -> None:
    values = np.random.default_rng(0).normal(50, 200, (4, 999))
    mask = np.random.default_rng(1).random(values.shape) < 0.7
    sketch = QuantileSketch(4)
    sketch.update(values, mask)
    expected = QuantileSketch(1)
    chosen = np.concatenate([values[band][mask[band]] for band in (0, 2, 3)])
    expected.update(chosen[None])
    shares = np.linspace(0, 1, 21)
    np.testing.assert_array_equal(
        sketch.pooled([0, 2, 3]).quantiles(shares), expected.quantiles(shares)
    )
    # the bands themselves stay
    assert sketch.quantiles(shares).shape == (21, 4)
