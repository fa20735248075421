# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classical methods of pansharpening: scale, batches, gaps and degenerate images."""

import pytest
import torch
from models.pansharpening.classical_cases import METHODS, random_scene

from torchgeo_hsi.models.pansharpening import MeasuringPansharpener
from torchgeo_hsi.models.pansharpening.component_substitution import (
    BDSD,
    BDSDPC,
    PRACS,
    Brovey,
)
from torchgeo_hsi.models.pansharpening.multiresolution import AWLP
from torchgeo_hsi.physics.resampling import interpolate


@pytest.mark.parametrize('method', METHODS)
def test_scale_of_numbers_does_not_matter(method: type[MeasuringPansharpener]) -> None:
    scene = random_scene(4, 10, 8, seed=1)
    digital = method()(*scene)
    reflectance = method()(scene.cube * 1e-4, scene.pan * 1e-4)
    torch.testing.assert_close(reflectance * 1e4, digital, rtol=1e-8, atol=1e-6)
    single = method()(scene.cube.float() * 1e-4, scene.pan.float() * 1e-4)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double() * 1e4, digital, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize('method', METHODS)
def test_images_of_a_batch_do_not_mix(method: type[MeasuringPansharpener]) -> None:
    scenes = [random_scene(4, 8, 6, seed=seed) for seed in (0, 1)]
    both = method()(*(torch.cat(images) for images in zip(*scenes, strict=True)))
    for result, scene in zip(both, scenes, strict=True):
        torch.testing.assert_close(result, method()(*scene)[0], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('method', METHODS)
class TestDegenerateInput:
    """Images that give statistics nothing to work with."""

    def close(self, result: torch.Tensor, expected: torch.Tensor) -> None:
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)

    def test_constant_bands_stay(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        scene = random_scene(4, 8, 8, seed=2)
        for value in (1700.3, 0.0, -5.0):
            cube = scene.cube.clone()
            cube[:, 1] = value
            result = method()(cube.to(dtype), scene.pan.to(dtype))
            assert result.isfinite().all()
            if method not in (AWLP, Brovey, BDSD, BDSDPC):
                self.close(result[:, 1], torch.full_like(result[:, 1], value))

    def test_nothing_but_constants(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        pan = random_scene(2, 8, 8).pan.to(dtype)
        for value in (0.0, 0.3, 1234.5):
            cube = torch.full((1, 2, 8, 8), value, dtype=dtype)
            assert method()(cube, pan).isfinite().all()
            result = method()(cube, torch.full_like(pan, 0.7))
            if method is not BDSD and method is not BDSDPC:
                self.close(result, torch.full_like(result, value))

    def test_constant_pan_adds_nothing(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        cube = random_scene(4, 8, 8, seed=2).cube.to(dtype)
        for value in (0.0, 0.1, 4321.7):
            pan = torch.full((1, 1, 48, 48), value, dtype=dtype)
            result = method()(cube, pan)
            if method in (BDSD, BDSDPC):
                # they sharpen bands by bands, too
                assert result.isfinite().all()
            else:
                self.close(result, interpolate(cube, 6))

    def test_one_band(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        scene = random_scene(1, 8, 8, seed=2)
        result = method()(scene.cube.to(dtype), scene.pan.to(dtype))
        assert result.isfinite().all()
        assert result.shape == (1, 1, 48, 48)

    def test_same_band_twice(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        scene = random_scene(2, 8, 8, seed=2)
        cube = scene.cube[:, [0, 1, 0, 1]].to(dtype)
        result = method()(cube, scene.pan.to(dtype))
        self.close(result[:, :2] / result[:, 2:], torch.ones_like(result[:, :2]))
        expected = method()(cube[:, :2], scene.pan.to(dtype))
        if method is not BDSDPC:
            # with twice as many bands, all weights halve
            torch.testing.assert_close(result[:, :2], expected, rtol=2e-3, atol=1.0)

    def test_means_of_zero_and_negative_numbers(
        self, method: type[MeasuringPansharpener], dtype: torch.dtype
    ) -> None:
        scene = random_scene(3, 8, 8, seed=4)
        cube, pan = scene.cube.clone(), scene.pan - scene.pan.mean()
        cube[:, 1] -= cube[:, 1].mean()
        cube[:, 2] -= 5000
        assert method()(cube.to(dtype), pan.to(dtype)).isfinite().all()


@pytest.mark.parametrize('method', METHODS)
def test_gaps_count_nowhere(method: type[MeasuringPansharpener]) -> None:
    scene = random_scene(3, 10, 8, seed=5)
    valid, pan_valid = scene.cube[:, 0] == 0, scene.pan[:, 0] == 0
    valid[:], pan_valid[:] = True, True
    valid[:, 4:6, 2:4], pan_valid[:, :7, 30:] = False, False
    results = []
    for value in (torch.nan, 1e9):
        cube = scene.cube.masked_fill(~valid[:, None], value)
        pan = scene.pan.masked_fill(~pan_valid[:, None], value)
        results.append(method()(cube, pan, valid=valid, pan_valid=pan_valid))
    assert results[0].isfinite().all()
    assert results[0].abs().max() < 1e5
    torch.testing.assert_close(results[0], results[1])


def test_share_of_pracs() -> None:
    scene = random_scene(3, 10, 8, seed=6)
    nothing = PRACS(beta=0.0)(*scene)
    torch.testing.assert_close(nothing, interpolate(scene.cube, 6))
    half, whole = PRACS(beta=0.5)(*scene), PRACS(beta=1.0)(*scene)
    torch.testing.assert_close(2 * (half - nothing), whole - nothing)
