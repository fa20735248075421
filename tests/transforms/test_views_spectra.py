# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views that change spectra: what changes, and what must not."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transforms.views_bands import near
from transforms.views_data import (
    batch,
    enmap,
    normalized,
    physical,
    seeded,
    spectra,
    statistics,
)

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics import BandSet, get_sensor, resample
from torchgeo_hsi.physics.srf import srf_matrix
from torchgeo_hsi.transforms import (
    BandDropout,
    BandScaling,
    Illumination,
    PhysicalUnits,
    RandomBandSubset,
    RandomSensor,
    SensorNoise,
    SpectralJitter,
    SpectralMixup,
)


class TestSpectralJitter:
    def sample(self, values: Tensor, bands: BandSet) -> dict[str, Tensor]:
        assert bands.fwhm is not None
        return {
            'image': spectra(values),
            'wavelength': torch.tensor(bands.wavelength).float(),
            'fwhm': torch.tensor(bands.fwhm).float(),
        }

    @pytest.mark.parametrize('shift', [-3.0, -0.7, 0.0, 1.3, 2.9])
    def test_linear_spectrum(self, shift: float) -> None:
        bands = enmap()
        where = torch.tensor(bands.wavelength)
        jitter = SpectralJitter((shift - 1e-9, shift + 1e-9), (1.0, 1.3))
        out = jitter(self.sample((3 * where + 1)[None], bands))['image'].flatten()
        want = 3 * (where + shift / 1000) + 1
        # beyond the ends the spectrum is taken to be constant
        gap = (out - want).abs()
        assert gap[2:-2].max() < 2e-5
        assert gap.max() < 3 * 0.0045

    @pytest.mark.parametrize(('shift', 'widen'), [(0.0, 1.3), (1.5, 1.2), (-2.2, 1.0)])
    def test_smooth_spectrum(self, shift: float, widen: float) -> None:
        bands = enmap()
        assert bands.fwhm is not None
        where, width = torch.tensor(bands.wavelength), torch.tensor(bands.fwhm)
        omega = 2 * math.pi / 0.3
        unit = 1 / (8 * math.log(2))

        def seen(centre: Tensor, fwhm: Tensor) -> Tensor:
            # a Gaussian band damps a sine and does not move it
            damp = torch.exp(-(omega**2) * unit * fwhm**2 / 2)
            return damp * torch.sin(omega * centre)

        jitter = SpectralJitter((shift, shift + 1e-9), (widen, widen + 1e-9))
        given = seen(where, width)
        out = jitter(self.sample(given[None], bands))['image'].flatten()
        want = seen(where + shift / 1000, widen * width)
        # at the ends and where bands are missing nobody can know
        step = where.diff()
        inner = torch.ones(len(where), dtype=torch.bool)
        inner[:-1] &= step < 0.015
        inner[1:] &= step < 0.015
        inner[[0, 1, -2, -1]] = False
        inner &= inner.roll(1) & inner.roll(-1)
        assert inner.sum() > 150
        # linear interpolation of 12 nm flattens by at most (12 nm * omega)^2 / 8
        assert (out - want).abs()[inner].max() < (0.012 * omega) ** 2 / 8 + 1e-3
        if shift:
            change = (want - given).abs()[inner].max()
            assert (out - want)[inner].square().mean() < 0.05 * change**2

    def test_same_as_physics_at_the_table(self) -> None:
        bands = enmap(4)
        assert bands.fwhm is not None
        values = torch.rand(1, len(bands), generator=seeded())
        for shift, widen in ((-3.0, 1.0), (0.0, 1.3), (3.0, 1.3)):
            table = SpectralJitter((-3.0, 3.0))._table(bands, torch.device('cpu'))
            matrix = table.between(shift, widen)
            target = BandSet(bands.wavelength + shift / 1000, bands.fwhm * widen)
            want = srf_matrix(bands, target, min_coverage=-1.0)
            torch.testing.assert_close(matrix, want.float(), rtol=0, atol=1e-6)
            assert torch.isfinite(values @ matrix.mT).all()

    def test_means_and_variances_between(self) -> None:
        # evenly spaced bands, in the middle of which nothing is special
        bands = BandSet(np.linspace(0.5, 0.8, 46), np.full(46, 0.0075))
        table = SpectralJitter()._table(bands, torch.device('cpu'))
        where = torch.tensor(bands.wavelength)[22 - 8 : 22 + 9] * 1000
        step = float(where.diff()[0])
        for shift, widen in ((0.4, 1.1), (-2.5, 1.27), (1.9, 1.0), (0.0, 1.3)):
            row = table.between(shift, widen)[22, 22 - 8 : 22 + 9].double()
            mean = (row * where).sum()
            assert abs(mean - where[8] - shift) < 2e-3
            spread = (row * (where - mean) ** 2).sum()
            wanted, widest = (
                (w**2 - 1) * 7.5**2 / (8 * math.log(2)) for w in (widen, 1.3)
            )
            # linear interpolation between two bands cannot be narrower than this
            least = abs(shift) * (step - abs(shift))
            part = (widen**2 - 1) / (1.3**2 - 1)
            most = part * max(widest, 3 * (step - 3)) + (1 - part) * least
            assert wanted - 1e-3 < spread + 1e-9
            assert spread < most + 3**2 / 4

    def test_constant_stays_constant(self) -> None:
        given = self.sample(torch.full((6, 202), 5.0), enmap())
        torch.testing.assert_close(SpectralJitter()(given)['image'], given['image'])

    def test_each_image_has_its_own_draw_and_bands(self) -> None:
        given = batch(4, 40, (2, 2))
        given['wavelength'][2:] += 0.001
        jitter = SpectralJitter(generator=seeded())
        out = jitter(given)
        assert len(jitter._tables) == 2
        assert torch.equal(out['wavelength'], given['wavelength'])
        same = given['image'][:1].repeat(4, 1, 1, 1)
        found = {x.numpy().tobytes() for x in jitter(given | {'image': same})['image']}
        assert len(found) == 4

    def test_draws_are_uniform(self) -> None:
        count = 2000
        where = torch.linspace(0.5, 1.0, 51)
        given = {'image': spectra(where.repeat(count, 1)), 'wavelength': where}
        out = SpectralJitter(widen=(1.0, 1.0), generator=seeded())(given)['image']
        shift = (out.flatten(1) - where)[:, 25] * 1000
        assert -3.01 < shift.min() < -2.97
        assert 2.97 < shift.max() < 3.01
        assert abs(shift.mean()) < 5 * 3 / math.sqrt(3 * count)

    def test_what_it_needs(self) -> None:
        given = batch(2, 40)
        del given['fwhm']
        with pytest.raises(MetadataError, match='how wide'):
            SpectralJitter()(given)
        assert SpectralJitter(widen=(1.0, 1.0))(given)['image'].isfinite().all()
        del given['wavelength']
        with pytest.raises(MetadataError, match='where the bands lie'):
            SpectralJitter()(given)
        with pytest.raises(UnitError, match='nanometres'):
            SpectralJitter()(batch(2, 40) | {'wavelength': torch.full((40,), 500.0)})

    def test_one_band(self) -> None:
        given = {
            'image': torch.rand(2, 1, 3, 3),
            'wavelength': torch.tensor([0.5]),
            'fwhm': torch.tensor([0.01]),
        }
        out = SpectralJitter()(given)['image']
        torch.testing.assert_close(out, given['image'])

    @pytest.mark.parametrize(
        'words',
        [{'widen': (0.9, 1.1)}, {'shift_nm': (1.0, -1.0)}, {'shift_nm': (0.0, 500.0)}],
    )
    def test_bad_arguments(self, words: dict[str, Any]) -> None:
        with pytest.raises(UnitError, match='Expected'):
            SpectralJitter(**words)


class TestSpectralMixup:
    def test_formula(self) -> None:
        bands = 24
        given = {'image': torch.eye(bands)[None, :, :, None].double()}
        given['target'] = given['image'].repeat(1, 1, 2, 1)
        out = SpectralMixup(generator=seeded())(given)
        # column j of the image is what the unit vector of band j becomes
        mixing = 2 * out['image'][0, :, :, 0].mT - torch.eye(bands)
        assert mixing.min() >= -1e-6
        assert mixing.sum(0).mean() == pytest.approx(1.0, abs=1e-5)
        # numbers from 0 to 1, divided by about half their number
        assert mixing.max() < 2.2 / bands
        assert mixing.std() == pytest.approx(2 / bands / math.sqrt(12), rel=0.1)
        torch.testing.assert_close(out['target'][..., :bands, :], out['image'])

    def test_brightness_stays(self) -> None:
        image = torch.full((200, 30, 1, 1), 7.0)
        means = torch.stack(
            [
                SpectralMixup(generator=seeded(k))({'image': image[:1]})['image'].mean()
                for k in range(50)
            ]
        )
        torch.testing.assert_close(means, torch.full((50,), 7.0))

    def test_target_of_other_bands_stays(self) -> None:
        given = {'image': torch.rand(2, 5, 4, 4), 'target': torch.rand(2, 1, 4, 4)}
        assert SpectralMixup()(given)['target'] is given['target']


class TestRandomBandSubset:
    def test_everything_changes_together(self) -> None:
        given = batch(3, 50)
        given['image'] = given['wavelength'][..., None, None].expand(-1, -1, 4, 4)
        given |= dict(zip(('mean', 'std'), statistics(50), strict=True))
        numbers = set()
        for seed in range(30):
            out = RandomBandSubset(5, 9, seeded(seed))(given)
            count = out['image'].shape[1]
            numbers.add(count)
            assert torch.equal(out['image'][..., 0, 0], out['wavelength'])
            assert out['fwhm'].shape == (3, count)
            index = torch.searchsorted(given['wavelength'][0], out['wavelength'][0])
            assert (index.diff() > 0).all()
            assert torch.equal(out['std'], given['std'][index])
            assert torch.equal(out['mean'], given['mean'][index])
        assert numbers == {5, 6, 7, 8, 9}

    def test_statistics_follow(self) -> None:
        given = batch(3, 50)
        given['image'] = torch.zeros(3, 50, 2, 2)
        units = PhysicalUnits(
            [RandomBandSubset(5, 9), Illumination((2.0, 2.0), 0.0)], *statistics(50)
        )
        out = units(given)
        mean, std = statistics(50)
        index = torch.searchsorted(given['wavelength'][0], out['wavelength'][0])
        want = (mean / std)[index]
        torch.testing.assert_close(out['image'][0, :, 0, 0], want)
        assert out.keys() == given.keys()

    def test_bad_arguments(self) -> None:
        for words in ((0, 5), (5, 4)):
            with pytest.raises(BandMismatchError, match='least <= most'):
                RandomBandSubset(*words)
        with pytest.raises(BandMismatchError, match='at least 32 bands, got 5'):
            RandomBandSubset()(batch(2, 5, wavelength=False))


class TestRandomSensor:
    @pytest.mark.parametrize('name', ['prisma', 'desis', 'emit', 'sentinel2', 'enmap'])
    def test_same_as_physics(self, name: str) -> None:
        given = batch(2)
        given['image'] = physical(given['image'])
        given |= dict(zip(('mean', 'std'), statistics(202), strict=True))
        out = RandomSensor([name], 1.0)(given)
        centres = out['wavelength'][0].double().numpy()
        table = get_sensor(name).default_bandset
        found = [int(np.abs(table.wavelength - c).argmin()) for c in centres]
        assert np.abs(table.wavelength[found] - centres).max() < 1e-6
        target = table.select(found)
        # physics itself refuses bands that are not covered
        want = resample(given['image'], enmap(), target)
        torch.testing.assert_close(out['image'], want, rtol=1e-4, atol=0.05)
        assert out['mean'].shape == out['std'].shape == (len(found),)
        mean = resample(given['mean'][:, None, None], enmap(), target).flatten()
        torch.testing.assert_close(out['mean'], mean, rtol=1e-4, atol=0.05)
        assert torch.equal(
            out['fwhm'][1].double(), torch.tensor(target.fwhm).float().double()
        )
        rest = [k for k in range(len(table)) if k not in found and table.good[k]]
        for k in rest:
            with pytest.raises(BandMismatchError):
                srf_matrix(enmap(), table.select([k]))

    def test_nominal_bands_are_taken_over(self) -> None:
        given = batch(2)
        out = RandomSensor(['enmap'], 1.0)(given)
        assert out['image'].shape == given['image'].shape
        order = out['wavelength'][0].argsort()
        torch.testing.assert_close(out['image'][:, order], given['image'])
        assert torch.equal(out['wavelength'][:, order], given['wavelength'])

    def test_sensors_and_probability(self) -> None:
        given = batch(1, 202, (1, 1))
        sensor = RandomSensor(['prisma', 'desis'], 0.6, seeded())
        numbers = [sensor(given)['image'].shape[1] for _ in range(400)]
        counts = {number: numbers.count(number) / 400 for number in set(numbers)}
        assert len(counts) == 3
        assert near(counts.pop(202), 0.4, 400)
        assert all(near(share, 0.3, 400) for share in counts.values())

    def test_images_of_different_bands(self) -> None:
        given = batch(3)
        given['wavelength'][1] += 0.0005
        out = RandomSensor(['sentinel2'], 1.0)(given)
        for k, shift in enumerate((0.0, 0.0005, 0.0)):
            source = enmap()
            moved = BandSet(source.wavelength + shift, source.fwhm)
            target = BandSet(out['wavelength'][k].double(), out['fwhm'][k].double())
            want = resample(given['image'][k], moved, target)
            torch.testing.assert_close(out['image'][k], want, rtol=1e-3, atol=1e-3)

    def test_statistics_of_what_it_makes(self) -> None:
        # fully correlated bands: mean and deviation are exact
        mean, std = statistics(202)
        light = torch.randn(5000, generator=seeded())
        image = (mean[:, None] + std[:, None] * light).view(1, 202, 50, 100)
        given = {**batch(1), 'image': normalized(image)}
        out = PhysicalUnits([RandomSensor(['prisma'], 1.0)], mean, std)(given)['image']
        scale = light.view(1, 1, 50, 100).expand_as(out)
        torch.testing.assert_close(out, scale, rtol=0, atol=2e-3)

    def test_what_it_needs(self) -> None:
        with pytest.raises(MetadataError, match='where the bands lie'):
            RandomSensor(p=1.0)(batch(2, 5, wavelength=False))
        given = {
            'image': torch.rand(1, 2, 3, 3),
            'wavelength': torch.tensor([2.3, 2.31]),
            'fwhm': torch.tensor([0.01, 0.01]),
        }
        with pytest.raises(EmptyDataError, match='No band of'):
            RandomSensor(['desis'], 1.0)(given)
        with pytest.raises(EmptyDataError, match='at least one sensor'):
            RandomSensor([])
        with pytest.raises(UnknownNameError, match='prisma'):
            RandomSensor(['prism'])


class TestPhysicalUnits:
    def test_noise_leaves_no_traces(self) -> None:
        given = batch(2)
        units = PhysicalUnits(
            [SensorNoise(reflectance=10_000.0, generator=seeded())], *statistics(202)
        )
        out = units(given)
        assert out.keys() == given.keys()
        other = {**given, 'image': physical(given['image'])}
        want = SensorNoise(reflectance=10_000.0, generator=seeded())(other)['image']
        torch.testing.assert_close(physical(out['image']), want, rtol=1e-3, atol=0.5)
        assert not torch.equal(out['image'], given['image'])

    def test_order_of_units(self) -> None:
        seen: list[float] = []

        class Look(nn.Module):
            def __init__(self, physical: bool) -> None:
                super().__init__()
                self.physical = physical

            def forward(self, given: dict[str, Tensor]) -> dict[str, Tensor]:
                seen.append(given['image'].item())
                return given

        class Double(BandScaling):
            def draw(self, given: dict[str, Tensor]) -> tuple[Tensor, None]:
                return torch.full((1, 1), 2.0), None

        mean, std = torch.tensor([100.0]), torch.tensor([10.0])
        parts = [Look(False), Look(True), Double(), Double(), Look(True), Look(False)]
        units = PhysicalUnits(parts, mean, std)
        out = units({'image': torch.full((1, 1, 1, 1), 3.0)})['image'].item()
        assert seen == pytest.approx([3.0, 130.0, 520.0, 42.0])
        assert out == pytest.approx(42.0)

    def test_nothing_physical_needs_no_statistics(self) -> None:
        given = batch(2, 5, wavelength=False)
        out = PhysicalUnits([BandDropout(share=0.4)])(given)['image']
        assert ((out == 0) | (out == given['image'])).all()

    def test_statistics_of_the_batch_go_first(self) -> None:
        given = batch(2, 5, wavelength=False)
        given |= {'mean': torch.full((2, 5), 8.0), 'std': torch.full((2, 5), 4.0)}
        units = PhysicalUnits([Illumination((3.0, 3.0), 0.0)], *statistics(5))
        want = 3 * given['image'] + 2 * 8.0 / 4.0
        torch.testing.assert_close(units(given)['image'], want)

    def test_target_of_the_same_bands(self) -> None:
        given = batch(2, 202)
        given['target'] = given['image'].clone()
        out = PhysicalUnits([SpectralMixup()], *statistics(202))(given)
        torch.testing.assert_close(out['image'], out['target'])
        assert not torch.equal(out['image'], given['image'])

    def test_bad_statistics(self) -> None:
        with pytest.raises(BandMismatchError, match='one mean'):
            PhysicalUnits([], torch.ones(3), torch.ones(4))
        with pytest.raises(UnitError, match='positive'):
            PhysicalUnits([], torch.ones(3), torch.zeros(3))
