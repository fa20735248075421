# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Coarse images of fine ones, against loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transforms.random_cube import cube

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnknownNameError,
)
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.resampling import (
    box_down,
    gaussian_down,
    imresize_down,
    mtf_sigma,
)
from torchgeo_hsi.transforms import (
    Downscale,
    GaussianNoise,
    RandomDihedral,
    SensorNoise,
)

PLACE = torch.tensor([30.0, 0, 1000, 0, -30, 2000, 0, 0, 1])


KERNELS: dict[str, dict[str, Any]] = {
    'bicubic': {},
    'gaussian': {'sigma': 1.3},
    'mtf': {'gain': 0.25},
    'box': {},
}


def place_of(height: int, width: int) -> dict[str, Tensor]:
    bounds = [1000, 1000 + 30 * width, 30, 2000 - 30 * height, 2000, 30, 0, 1, 1]
    return {'transform': PLACE, 'bounds': torch.tensor(bounds, dtype=torch.float64)}


class TestDownscale:
    def test_kernels(self) -> None:
        image = cube(5, 12, 18)
        expected = {
            'bicubic': imresize_down(image, 3),
            'gaussian': gaussian_down(image, 3, 1.3),
            'mtf': gaussian_down(image, 3, mtf_sigma(0.25, 3)),
            'box': box_down(image, 3),
        }
        for kernel, options in KERNELS.items():
            sample = {'image': image}
            pair = Downscale(3, kernel, **options)(sample)
            torch.testing.assert_close(pair['image'], expected[kernel])
            assert torch.equal(pair['target'], image)
            assert pair['valid'].shape == (4, 6)
            assert pair['target_valid'].shape == (12, 18)
            assert pair['valid'].all()
            assert pair['target_valid'].all()
            assert set(sample) == {'image'}

    @pytest.mark.parametrize('kernel', KERNELS)
    def test_batches_are_as_their_samples(self, kernel: str) -> None:
        transform = Downscale(2, kernel, **KERNELS[kernel])
        samples = []
        for seed in range(3):
            valid = cube(10, 12, seed=seed + 9) > 0.05
            samples.append(
                {'image': cube(4, 10, 12, seed=seed), 'valid': valid} | place_of(10, 12)
            )
        batch = {key: torch.stack([s[key] for s in samples]) for key in samples[0]}
        together = transform(batch)
        for number, sample in enumerate(samples):
            alone = transform(sample)
            assert alone.keys() == together.keys()
            for key, value in alone.items():
                torch.testing.assert_close(together[key][number], value)

    def test_place(self) -> None:
        sample = {'image': cube(3, 11, 9), 'crs': 'EPSG:32632'} | place_of(11, 9)
        pair = Downscale(4)(sample)
        assert pair['image'].shape == (3, 2, 2)
        assert pair['target'].shape == (3, 8, 8)
        assert torch.equal(pair['target'], sample['image'][:, :8, :8])
        assert pair['transform'].tolist() == [120, 0, 1000, 0, -120, 2000, 0, 0, 1]
        assert pair['bounds'][:6].tolist() == [1000, 1240, 120, 1760, 2000, 120]
        assert pair['crs'] == 'EPSG:32632'

    @pytest.mark.parametrize('kernel', KERNELS)
    @pytest.mark.parametrize('scale', [2, 3, 4])
    def test_gaps_do_not_bleed(self, kernel: str, scale: int) -> None:
        transform = Downscale(scale, kernel, **KERNELS[kernel])
        image = cube(2, 12 * scale, 12 * scale)
        valid = torch.ones(image.shape[-2:], dtype=torch.bool)
        valid[6 * scale + 1, 5 * scale] = False
        dirty = image.masked_fill(~valid, torch.nan)
        pair = transform({'image': dirty})
        assert torch.equal(pair['target_valid'], valid)
        assert pair['image'].isfinite().all()
        assert pair['target'].isfinite().all()
        # whatever had been in the gap, valid pixels are the same to 1 % of it
        other = transform({'image': image.masked_fill(~valid, 2.0)})
        error = (pair['image'] - other['image']).abs().amax(0)
        assert error[pair['valid']].max() < 0.02
        assert not pair['valid'][6, 5]
        assert error[6, 5] > 0.01
        # and no more are lost than have to be
        reach = {'box': 0, 'bicubic': 2}.get(kernel, math.ceil(3.1 * 1.3 / scale) + 1)
        lost = (~pair['valid']).nonzero() - torch.tensor([6, 5])
        assert lost.abs().max() <= reach
        assert torch.equal(
            transform({'image': image, 'valid': valid})['valid'], pair['valid']
        )

    def test_loops_of_validity(self) -> None:
        # bicubic: fine pixels within two coarse ones, but for the smallest weights
        valid = cube(16, 20) > 0.03
        found = Downscale(2)({'image': cube(2, 16, 20), 'valid': valid})['valid']
        for i in range(8):
            for j in range(10):
                seen = []
                for y in range(2 * i - 3, 2 * i + 5):
                    for x in range(2 * j - 3, 2 * j + 5):
                        y1 = y if y >= 0 else -1 - y
                        x1 = x if x >= 0 else -1 - x
                        y1 = y1 if y1 < 16 else 31 - y1
                        x1 = x1 if x1 < 20 else 39 - x1
                        seen.append(bool(valid[y1, x1]))
                assert bool(found[i, j]) == all(seen)

    def test_noise_is_of_the_coarse_image(self) -> None:
        image = torch.full((4, 128, 128), 0.5)
        noise = GaussianNoise(25.5, generator=torch.Generator().manual_seed(0))
        pair = Downscale(2, noise=noise)({'image': image})
        assert torch.equal(pair['target'], image)
        assert pair['image'].std().item() == pytest.approx(0.1, rel=0.02)
        torch.testing.assert_close(pair['sigma'], torch.full((4,), 25.5))

    def test_noise_by_name_and_seed(self) -> None:
        transform = Downscale(2, 'mtf', noise='non_iid')
        image = {'image': cube(6, 16, 16)}
        outs = []
        for seed in (3, 3, 4):
            transform.reseed(seed)
            outs.append(transform(image))
        assert torch.equal(outs[0]['image'], outs[1]['image'])
        assert not torch.equal(outs[0]['image'], outs[2]['image'])
        assert not torch.equal(outs[0]['sigma'], outs[2]['sigma'])
        # without noise there is nothing to start over
        Downscale(2).reseed(0)

    def test_noise_of_a_sensor(self) -> None:
        bands = get_sensor('enmap').default_bandset
        sample = {
            'image': cube(202, 8, 8),
            'wavelength': torch.tensor(bands.wavelength).float(),
            'fwhm': torch.tensor(bands.fwhm).float(),
        }
        pair = Downscale(2, noise=SensorNoise())(sample)
        assert pair['image'].shape == (202, 4, 4)
        assert not torch.equal(pair['image'], Downscale(2)(sample)['image'])
        assert torch.equal(pair['wavelength'], sample['wavelength'])

    def test_widths_of_each_band(self) -> None:
        image = cube(2, 3, 8, 8)
        sigmas = [0.5, 1.0, 2.0]
        found = Downscale(2, 'gaussian', sigma=sigmas)({'image': image})['image']
        torch.testing.assert_close(found, gaussian_down(image, 2, sigmas))
        gains = [0.2, 0.3, 0.4]
        found = Downscale(2, 'mtf', gain=gains)({'image': image})['image']
        wanted = [mtf_sigma(gain, 2) for gain in gains]
        torch.testing.assert_close(found, gaussian_down(image, 2, wanted))
        with pytest.raises(BandMismatchError, match='each of 4 bands, got 3'):
            Downscale(2, 'mtf', gain=gains)({'image': cube(4, 8, 8)})

    def test_what_no_longer_fits_is_left_out(self) -> None:
        sample = {'image': cube(3, 8, 8), 'up': cube(3, 8, 8), 'sigma': torch.ones(3)}
        assert set(Downscale(2)(sample)) == {'image', 'target', 'valid', 'target_valid'}

    @pytest.mark.parametrize('kernel', KERNELS)
    def test_flipped_pairs_are_pairs(self, kernel: str) -> None:
        transform = Downscale(4, kernel, **KERNELS[kernel])
        batch = {'image': cube(2, 3, 24, 24), 'valid': cube(2, 24, 24) > 0.005}
        for seed in range(5):
            first, second = (
                RandomDihedral(torch.Generator().manual_seed(seed)) for _ in range(2)
            )
            moved = transform(first(batch))
            pair = second(transform(batch))
            torch.testing.assert_close(moved['image'], pair['image'])
            torch.testing.assert_close(moved['target'], pair['target'])
            assert torch.equal(moved['target_valid'], pair['target_valid'])
            assert torch.equal(moved['valid'], pair['valid'])
            assert 0 < pair['valid'].float().mean() < 1

    def test_types(self) -> None:
        half = cube(3, 16, 16).half()
        pair = Downscale(2, 'mtf')({'image': half})
        assert pair['image'].dtype == pair['target'].dtype == torch.float16
        expected = gaussian_down(half.float(), 2, mtf_sigma(0.3, 2))
        torch.testing.assert_close(pair['image'], expected.half())
        whole = torch.randint(0, 10000, (3, 16, 16), dtype=torch.int16)
        pair = Downscale(2)({'image': whole})
        assert pair['image'].dtype == torch.float32
        torch.testing.assert_close(pair['image'], imresize_down(whole.float(), 2))

    def test_shows_itself(self) -> None:
        assert 'scale=2' in repr(Downscale(2))
        assert 'gain=0.3' in repr(Downscale(2, 'mtf'))
        assert 'sigma=[1.0, 2.0]' in repr(Downscale(2, 'gaussian', sigma=[1, 2]))
        for number in (np.float32(1.5), torch.tensor(1.5)):
            assert Downscale(2, 'gaussian', sigma=number).sigma == (1.5,)

    @pytest.mark.parametrize(
        ('build', 'error', 'message'),
        [
            (lambda: Downscale(1), ValueError, 'scale of 2'),
            (lambda: Downscale(2.5), ValueError, 'scale of 2'),  # type: ignore[arg-type]
            (lambda: Downscale(2, 'lanczos'), ValueError, 'one of bicubic'),  # type: ignore[arg-type]
            (lambda: Downscale(2, 'gaussian'), ValueError, 'Expected sigma='),
            (lambda: Downscale(2, sigma=1.0), ValueError, 'with no other one'),
            (lambda: Downscale(2, 'gaussian', sigma=-1), ValueError, 'positive sigma'),
            (lambda: Downscale(2, 'gaussian', sigma=[]), ValueError, 'got none'),
            (lambda: Downscale(2, 'mtf', gain=[]), ValueError, 'a gain, or one'),
            (lambda: Downscale(2, 'mtf', gain=1.5), ValueError, 'between 0 and 1'),
            (lambda: Downscale(2, noise='loud'), UnknownNameError, 'loud'),
        ],
    )
    def test_arguments_are_checked(
        self, build: Any, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=message):
            build()

    def test_samples_are_checked(self) -> None:
        with pytest.raises(MetadataError, match='target'):
            Downscale(2)({'image': cube(3, 8, 8), 'target': cube(3, 8, 8)})
        with pytest.raises(EmptyDataError, match='at least 4 x 4'):
            Downscale(4)({'image': cube(3, 8, 3)})
        with pytest.raises(BandMismatchError, match='valid of shape'):
            Downscale(2)({'image': cube(3, 8, 8), 'valid': torch.ones(4, 4)})
        with pytest.raises(BandMismatchError, match='image of shape'):
            Downscale(2)({'image': cube(8, 8)})
