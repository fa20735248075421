# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band statistics against numpy, and the published ones against their checksums."""

import hashlib
import io
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from torchgeo_hsi.datamodules import compute_statistics, spectral_earth_statistics
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.physics import get_sensor

type Samples = list[dict[str, torch.Tensor]]


def make_samples(
    count: int = 7, bands: int = 5, offset: float = 2000, spread: float = 400
) -> Samples:
    """Make samples of different sizes, with numbers in pixels without data."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for number in range(count):
        shape = (3 + number, 9 - number)
        image = offset + spread * torch.randn(bands, *shape, generator=generator)
        valid = torch.rand(shape, generator=generator) < 0.7
        image[:, ~valid] = torch.tensor([0.0, -32768.0, 1e9, torch.nan])[number % 4]
        samples.append({'image': image, 'valid': valid})
    return samples


def by_numpy(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Gather all valid pixels, and let numpy do it in float64."""
    pixels = np.concatenate(
        [s['image'].numpy()[:, s['valid'].numpy()] for s in samples], axis=1
    ).astype(np.float64)
    return pixels.mean(axis=1), pixels.std(axis=1)


class TestCompute:
    def test_valid_pixels_only(self) -> None:
        samples = make_samples()
        mean, std = compute_statistics(samples)
        want_mean, want_std = by_numpy(samples)
        # as exact as float32 can hold it
        np.testing.assert_array_equal(mean, want_mean.astype(np.float32))
        np.testing.assert_allclose(std, want_std.astype(np.float32), rtol=2e-7)
        assert mean.dtype == std.dtype == torch.float32
        assert mean.shape == std.shape == (5,)

    def test_every_pixel_counts_alike(self) -> None:
        # the mean of the means would be 50, the deviation within both is 0
        small = {'image': torch.full((1, 1, 1), 100.0)}
        large = {'image': torch.zeros(1, 3, 3)}
        mean, std = compute_statistics([small, large])
        assert mean.tolist() == [10]
        # of the population: 10 pixels, and not 9
        np.testing.assert_allclose(std, [np.sqrt(900)])

    def test_samples_without_valid_count_completely(self) -> None:
        samples = make_samples()
        for sample in samples:
            sample['image'] = sample['image'].nan_to_num(3.0)
            sample['valid'] = torch.ones_like(sample['valid'])
        want = compute_statistics(samples)
        got = compute_statistics([{'image': sample['image']} for sample in samples])
        torch.testing.assert_close(got, want, rtol=0, atol=0)

    def test_digits_do_not_cancel(self) -> None:
        # float32 sums of squares of these have no digit of the deviation left
        samples = make_samples(offset=1e6, spread=0.5)
        _, std = compute_statistics(samples)
        np.testing.assert_allclose(std, by_numpy(samples)[1], rtol=1e-6)
        assert (std < 1).all()

    def test_order_does_not_matter(self) -> None:
        samples = make_samples()
        forth, back = compute_statistics(samples), compute_statistics(samples[::-1])
        torch.testing.assert_close(forth, back, rtol=1e-6, atol=0)

    def test_bands_are_kept_apart(self) -> None:
        image = torch.arange(4.0).view(4, 1, 1) + torch.zeros(4, 2, 2)
        mean, std = compute_statistics([{'image': image}] * 3)
        assert mean.tolist() == [0, 1, 2, 3]
        assert std.tolist() == [0, 0, 0, 0]

    def test_integers(self) -> None:
        image = torch.tensor([[[30_000, 32_000]]], dtype=torch.int16)
        mean, std = compute_statistics([{'image': image}] * 2)
        assert (mean.tolist(), std.tolist()) == ([31_000], [1000])

    def test_samples_without_a_valid_pixel_are_left_out(self) -> None:
        samples = make_samples()
        empty = {**samples[0], 'valid': torch.zeros_like(samples[0]['valid'])}
        got = compute_statistics([empty, *samples, empty])
        want = compute_statistics(samples)
        torch.testing.assert_close(got, want, rtol=0, atol=0)

    @pytest.mark.parametrize('count', [0, 1, 3])
    def test_nothing_valid_at_all(self, count: int) -> None:
        image = torch.ones(5, 4, 4)
        sample = {'image': image, 'valid': torch.zeros(4, 4, dtype=torch.bool)}
        with pytest.raises(EmptyDataError, match=r'No valid pixel.*Check nodata'):
            compute_statistics([sample] * count)

    def test_samples_are_left_as_they_are(self) -> None:
        samples = make_samples(offset=0)
        before = [{k: v.clone() for k, v in sample.items()} for sample in samples]
        compute_statistics(samples)
        torch.testing.assert_close(samples, before, rtol=0, atol=0, equal_nan=True)

    def test_one_sample_at_a_time(self) -> None:
        alive: list[int] = []

        def samples() -> Iterator[dict[str, torch.Tensor]]:
            for _ in range(20):
                alive.append(tracemalloc.get_traced_memory()[0])
                # numpy's memory is traced, torch's is not
                yield {'image': torch.from_numpy(np.ones((8, 256, 256)))}

        tracemalloc.start()
        try:
            compute_statistics(samples())
        finally:
            tracemalloc.stop()
        # the sample before may still be there, but not all of them
        assert max(alive) < 3 * 8 * 256 * 256 * 8


class TestSpectralEarth:
    def names(self) -> tuple[str, ...]:
        return get_sensor('enmap').default_bandset.by_wavelength().names

    def test_are_the_published_ones(self) -> None:
        # checksums of mu.npy and sigma.npy in github.com/AABNassim/spectral_earth
        published = {
            'mean': 'cab077d33dbbac742858cebe08acf472',
            'std': 'aac906983416341846ddef3f87ba7002',
        }
        found = spectral_earth_statistics(self.names())
        for name, checksum in published.items():
            file = io.BytesIO()
            np.save(file, getattr(found, name).numpy())
            digest = hashlib.md5(file.getvalue(), usedforsecurity=False)
            assert digest.hexdigest() == checksum, name

    def test_follow_the_names(self) -> None:
        names = self.names()
        mean, std = spectral_earth_statistics(names)
        chosen = [names[i] for i in (150, 3, 77)]
        some = spectral_earth_statistics(chosen)
        assert torch.equal(some.mean, mean[[150, 3, 77]])
        assert torch.equal(some.std, std[[150, 3, 77]])

    def test_bands_that_were_left_out(self) -> None:
        with pytest.raises(BandMismatchError, match=r'B130, B161, .*202 default'):
            spectral_earth_statistics(['B1', 'B130', 'B161'])
