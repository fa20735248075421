# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mixtures of spectra, and colors of cubes and photographs."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transforms.random_cube import cube

from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnitError
from torchgeo_hsi.physics import BandSet, get_sensor, rgb_response, rgb_to_groups
from torchgeo_hsi.transforms import Downscale, RGBToBands, SpectralMixup, SyntheticRGB


class TestSpectralMixup:
    def matrix(self, **options: Any) -> Tensor:
        """Return the matrices that change spectra from the right, one for each image."""
        bands = 16
        image = torch.eye(bands).double()[None, :, :, None].expand(3, -1, -1, -1)
        generator = torch.Generator().manual_seed(0)
        out = SpectralMixup(generator=generator, **options)({'image': image})
        return out['image'][..., 0].mT

    def test_published_formula_with_numpy(self) -> None:
        draw = torch.Generator().manual_seed(7)
        torch.rand(2, generator=draw)  # which images are mixed
        c = torch.rand(6, 6, generator=draw).numpy()
        c = c / c.sum(0).mean()
        image, target = cube(2, 6, 3, 3).numpy(), cube(2, 6, 6, 6).numpy()

        def mixed(x: np.ndarray) -> np.ndarray:
            spectra = np.moveaxis(x, 1, -1)
            return np.moveaxis((spectra + spectra @ c) / 2, -1, 1)

        mixup = SpectralMixup(generator=torch.Generator().manual_seed(7))
        batch = {'image': image, 'target': target, 'up': target + 1}
        out = mixup({key: torch.from_numpy(value) for key, value in batch.items()})
        for key, value in batch.items():
            np.testing.assert_allclose(out[key].numpy(), mixed(value), rtol=1e-5)

    def test_mixing_and_degradation_commute(self) -> None:
        batch = {'image': cube(2, 6, 8, 8)}
        first, second = (
            SpectralMixup(generator=torch.Generator().manual_seed(1)) for _ in range(2)
        )
        one = second(Downscale(2)(batch))
        other = Downscale(2)(first(batch))
        torch.testing.assert_close(one['image'], other['image'])
        torch.testing.assert_close(one['target'], other['target'])

    def test_one_matrix_for_the_batch_or_one_for_each(self) -> None:
        same = self.matrix()
        assert torch.equal(same[0], same[1])
        each = self.matrix(per='sample')
        assert not torch.equal(each[0], each[1])
        torch.testing.assert_close(
            each.sum(1).mean(1), torch.ones(3).double(), atol=1e-6, rtol=0
        )

    def test_weight_of_the_original(self) -> None:
        half, mixed = self.matrix()[0], self.matrix(keep=0)[0]
        eye = torch.eye(16).double()
        torch.testing.assert_close(half, (eye + mixed) / 2, atol=1e-6, rtol=0)
        assert torch.equal(self.matrix(keep=1)[0], eye)

    def test_sums_of_columns(self) -> None:
        columns = self.matrix(keep=0, normalize='column')[0].sum(0)
        torch.testing.assert_close(columns, torch.ones(16).double(), atol=1e-6, rtol=0)
        means = self.matrix(keep=0)[0].sum(0)
        assert means.mean().item() == pytest.approx(1, abs=1e-6)
        assert means.std() > 0.01
        raw = self.matrix(keep=0, normalize=None)[0]
        assert raw.max() < 1
        assert raw.sum(0).mean().item() == pytest.approx(8, rel=0.1)

    def test_some_of_a_batch(self) -> None:
        batch = {'image': cube(40, 5, 2, 2), 'target': cube(40, 5, 4, 4)}
        for per in ('batch', 'sample'):
            generator = torch.Generator().manual_seed(0)
            out = SpectralMixup(0.5, generator, per=per)(batch)
            same = (out['image'] == batch['image']).flatten(1).all(1)
            assert 10 < same.sum() < 30
            still = (out['target'] == batch['target']).flatten(1).all(1)
            assert torch.equal(same, still)
            none = SpectralMixup(0.0, generator, per=per)(batch)
            assert torch.equal(none['image'], batch['image'])

    @pytest.mark.parametrize(
        ('options', 'error'),
        [
            ({'per': 'band'}, ValueError),
            ({'normalize': 'row'}, ValueError),
            ({'keep': 1.5}, UnitError),
            ({'p': -0.1}, UnitError),
        ],
    )
    def test_arguments_are_checked(
        self, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error, match='Expected'):
            SpectralMixup(**options)


class TestRGBToBands:
    def test_channels(self) -> None:
        photo = cube(2, 3, 4, 5)
        sample = {'image': photo, 'target': cube(2, 3, 8, 10), 'valid': photo[:, 0] > 0}
        out = RGBToBands()(sample)
        table = rgb_to_groups().float()
        for key in ('image', 'target'):
            expected = torch.stack(
                [
                    sum(sample[key][:, k] * table[k, n] for k in range(3))
                    for n in range(8)
                ],
                1,
            )
            torch.testing.assert_close(out[key], expected)
        assert out['valid'] is sample['valid']
        published = RGBToBands(exact=False)(sample)['image']
        torch.testing.assert_close(
            published[:, 2] - out['image'][:, 2], 0.1 * photo[:, 1]
        )

    def test_full_scale(self) -> None:
        photo = torch.randint(0, 256, (3, 6, 6), dtype=torch.uint8)
        out = RGBToBands(5)({'image': photo})['image']
        assert out.shape == (5, 6, 6)
        expected = RGBToBands(5)({'image': photo.float() / 255})['image']
        torch.testing.assert_close(out, expected)
        floating = RGBToBands(5, peak=255)({'image': photo.float()})['image']
        torch.testing.assert_close(floating, expected)
        assert out.min() >= 0
        assert out.max() <= 1 + 1e-6

    def test_other_order_and_more_bands(self) -> None:
        four = cube(4, 6, 6)
        out = RGBToBands(bands=[2, 1, 0])({'image': four})['image']
        torch.testing.assert_close(
            out, RGBToBands()({'image': four[[2, 1, 0]]})['image']
        )

    def test_bands_are_others(self) -> None:
        numbers = torch.tensor([0.66, 0.56, 0.49])
        out = RGBToBands()({'image': cube(3, 4, 4), 'wavelength': numbers})
        assert set(out) == {'image'}

    def test_checks(self) -> None:
        with pytest.raises(BandMismatchError, match='Pass bands='):
            RGBToBands()({'image': cube(1, 4, 4)})
        with pytest.raises(UnitError, match='positive peak'):
            RGBToBands(peak=0)
        with pytest.raises(ValueError, match='red, green and blue'):
            RGBToBands(bands=[0, 1])
        with pytest.raises(ValueError, match='at least 3 channels'):
            RGBToBands(2)
        assert 'n=8' in repr(RGBToBands())


class TestSyntheticRGB:
    @pytest.fixture
    def batch(self) -> dict[str, Tensor]:
        bands = get_sensor('enmap').default_bandset
        assert bands.fwhm is not None
        shift = torch.tensor([0.0, 0.0, 0.003])[:, None]
        return {
            'image': cube(3, 202, 4, 4),
            'target': cube(3, 202, 8, 8),
            'valid': torch.ones(3, 4, 4, dtype=torch.bool),
            'wavelength': torch.tensor(bands.wavelength).float() + shift,
            'fwhm': torch.tensor(bands.fwhm).float().expand(3, -1),
        }

    def test_each_scene_by_its_own_bands(self, batch: dict[str, Tensor]) -> None:
        transform = SyntheticRGB()
        out = transform(batch)
        for number in range(3):
            weights = rgb_response(batch['wavelength'][number], batch['fwhm'][number])
            for key in ('image', 'target'):
                expected = torch.einsum(
                    'chw,ck->khw', batch[key][number].double(), weights
                )
                torch.testing.assert_close(out[key][number], expected.float())
            sample = {key: value[number] for key, value in batch.items()}
            alone = transform(sample)
            for key, value in alone.items():
                torch.testing.assert_close(out[key][number], value)
        expected = torch.tensor([0.6646, 0.5598, 0.4927]).expand(3, -1)
        torch.testing.assert_close(out['wavelength'], expected)
        assert out['fwhm'].shape == (3, 3)
        assert out['valid'] is batch['valid']
        # the same maps again
        assert torch.equal(transform(batch)['image'], out['image'])

    def test_same_bands_for_the_batch(self, batch: dict[str, Tensor]) -> None:
        batch['wavelength'] = batch['wavelength'][0].expand(3, -1)
        out = SyntheticRGB()(batch)
        weights = rgb_response(batch['wavelength'][0], batch['fwhm'][0]).float()
        expected = torch.einsum('bchw,ck->bkhw', batch['image'], weights)
        torch.testing.assert_close(out['image'], expected)

    def test_without_wavelengths(self) -> None:
        image = cube(2, 6, 4, 4)
        with pytest.raises(MetadataError, match='thirds=True'):
            SyntheticRGB()({'image': image})
        out = SyntheticRGB(thirds=True)({'image': image})
        torch.testing.assert_close(out['image'][:, 0], image[:, 4:].mean(1))
        out = SyntheticRGB(bands=[5, 3, [0, 1]])({'image': image})
        torch.testing.assert_close(out['image'][:, 2], image[:, :2].mean(1))
        torch.testing.assert_close(out['image'][:, :2], image[:, [5, 3]])
        assert set(out) == {'image'}

    def test_other_camera_and_no_colors(self, batch: dict[str, Tensor]) -> None:
        camera = BandSet([1.6, 1.2, 1.0], [0.05] * 3)
        out = SyntheticRGB(camera)(batch)
        torch.testing.assert_close(out['wavelength'][0], torch.tensor([1.6, 1.2, 1.0]))
        far = {key: value[:, 120:] for key, value in batch.items() if key != 'valid'}
        with pytest.raises(BandMismatchError, match='Choose visible bands'):
            SyntheticRGB()(far)
        assert 'thirds' in repr(SyntheticRGB())

    def test_to_the_channels_of_a_network(self, batch: dict[str, Tensor]) -> None:
        out = RGBToBands()(SyntheticRGB()(batch))
        assert out['image'].shape == (3, 8, 4, 4)
        assert out['target'].shape == (3, 8, 8, 8)
