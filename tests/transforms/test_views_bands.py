# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views that take bands away or light them otherwise."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transforms.views_bands import WHOLE, near
from transforms.views_data import batch, normalized, physical, seeded, statistics

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.transforms import (
    BandDropout,
    Illumination,
    PhysicalUnits,
    RandomBandSubset,
    SpectralMask,
)


@pytest.mark.parametrize('name', WHOLE)
class TestAll:
    def test_generator_decides(self, name: str) -> None:
        given = batch(3)
        given['image'] = physical(given['image'])
        outs = [
            WHOLE[name](p=1.0, generator=seeded(s))(given)['image']
            if name != 'subset'
            else RandomBandSubset(20, generator=seeded(s))(given)['image']
            for s in (1, 1, 2)
        ]
        assert torch.equal(outs[0], outs[1])
        assert outs[0].shape != outs[2].shape or not torch.equal(outs[0], outs[2])

    def test_input_is_left_alone(self, name: str) -> None:
        given = batch(3)
        before = {key: value.clone() for key, value in given.items()}
        WHOLE[name]()(given)
        assert given.keys() == before.keys()
        assert all(torch.equal(given[key], before[key]) for key in before)

    def test_never(self, name: str) -> None:
        given = batch(3)
        if name == 'subset':
            out = RandomBandSubset(202)(given)
        else:
            out = WHOLE[name](p=0.0)(given)
        assert out.keys() == given.keys()
        assert all(torch.equal(out[key], given[key]) for key in given)

    def test_probability(self, name: str) -> None:
        if name in ('subset', 'sensor'):
            return  # for whole batches
        count = 2000
        small = batch(count, 20, (1, 1))
        small['image'] = small['image'].abs() + 1
        words = {'share': 0.5} if name == 'dropout' else {}
        out = WHOLE[name](p=0.3, generator=seeded(), **words)(small)
        changed = (out['image'] != small['image']).flatten(1).any(1)
        share = changed.float().mean().item()
        if name == 'mask':
            assert 0 < share <= 0.3 + 5 * math.sqrt(0.21 / count)
        else:
            assert near(share, 0.3, count)

    def test_bad_probability(self, name: str) -> None:
        if name != 'subset':
            for p in (-0.1, 1.5, math.nan):
                with pytest.raises(UnitError, match='probability'):
                    WHOLE[name](p=p)

    def test_no_batch(self, name: str) -> None:
        with pytest.raises(BandMismatchError, match=r'\(B, C, H, W\)'):
            WHOLE[name]()({'image': torch.rand(3, 8, 8)})


class TestBandDropout:
    @pytest.mark.parametrize('bands', [1, 10, 31, 202])
    def test_number_of_bands(self, bands: int) -> None:
        out = BandDropout(share=0.3, generator=seeded())(
            {'image': torch.ones(50, bands, 2, 2)}
        )
        lost = (out['image'] == 0).flatten(2)
        assert torch.equal(lost.any(2), lost.all(2))
        assert (lost.any(2).sum(1) == math.floor(0.3 * bands + 1e-6)).all()

    def test_each_band_goes_as_often(self) -> None:
        count = 4000
        image = torch.ones(count, 10, 1, 1)
        out = BandDropout(share=(0.0, 1.0), generator=seeded())({'image': image})
        lost = (out['image'] == 0).flatten(1).float()
        # a share of 0 to 1, rounded down to tenths, is 0.45 on average
        for share in lost.mean(0).tolist():
            assert near(share, 0.45, count)
        numbers = lost.sum(1).long().bincount(minlength=10)
        assert len(numbers) == 10
        for number in numbers.tolist():
            assert near(number / count, 0.1, count)

    @pytest.mark.parametrize('share', [-0.1, 1.1, (0.5, 0.2), (0.1, 0.2, 0.3)])
    def test_bad_share(self, share: Any) -> None:
        with pytest.raises(UnitError, match='share'):
            BandDropout(share=share)


class TestSpectralMask:
    def lost(self, mask: SpectralMask, given: dict[str, Tensor]) -> Tensor:
        out = mask(given | {'image': torch.ones_like(given['image'])})['image']
        assert ((out == 0) | (out == 1)).all()
        return (out == 0).flatten(2).all(2)

    def test_a_range_of_wavelengths(self) -> None:
        given = batch(500, 202, (1, 1))
        # bands in any order
        order = torch.randperm(202, generator=seeded())
        where = given['wavelength'][:, order]
        mask = SpectralMask(width_um=(0.1, 0.2), generator=seeded())
        lost = self.lost(mask, given | {'wavelength': where})
        assert lost.any(1).float().mean() > 0.8
        for place, gone in zip(where, lost, strict=True):
            if gone.any():
                low, high = place[gone].min(), place[gone].max()
                assert high - low <= 0.2 + 1e-6
                inside = (place >= low) & (place <= high)
                assert torch.equal(inside, gone)

    def test_widths(self) -> None:
        count = 3000
        where = torch.linspace(0.4, 2.4, 201).repeat(count, 1)
        given = {'image': torch.ones(count, 201, 1, 1), 'wavelength': where}
        mask = SpectralMask(width_um=(0.1, 0.3), generator=seeded())
        lost = self.lost(mask, given)
        inner = ~lost[:, 0] & ~lost[:, -1]
        width = lost[inner].sum(1) * 0.01
        # bands are 10 nm apart, so a range of w holds w / 0.01 of them on average
        error = 5 * (0.2 / 12**0.5) / len(width) ** 0.5
        assert abs(width.mean() - 0.2) < error + 0.001
        assert 0.09 < width.min() < 0.12
        assert 0.28 < width.max() < 0.32

    def test_all_bands_go_as_often(self) -> None:
        given = {
            'image': torch.ones(4000, 101, 1, 1),
            'wavelength': torch.linspace(0.4, 2.4, 101),
        }
        lost = self.lost(SpectralMask(width_um=(0.2, 0.2), generator=seeded()), given)
        for share in lost[:, 10:-10].float().mean(0).tolist():
            assert near(share, 0.1, 4000)

    def test_count(self) -> None:
        given = {
            'image': torch.ones(200, 201, 1, 1),
            'wavelength': torch.linspace(0.4, 2.4, 201),
        }
        lost = self.lost(SpectralMask(width_um=(0.05, 0.05), count=3), given)
        starts = (lost.int().diff(dim=1) == 1).sum(1) + lost[:, 0]
        assert starts.max() == 3
        with pytest.raises(UnitError, match='at least 1'):
            SpectralMask(count=0)

    def test_by_index_where_nobody_knows(self) -> None:
        given = {'image': torch.ones(300, 211, 1, 1)}
        lost = self.lost(SpectralMask(width_um=(0.1, 0.1), generator=seeded()), given)
        runs = lost.sum(1)
        inner = ~lost[:, 0] & ~lost[:, -1]
        # 2.1 µm in 210 steps
        assert set(runs[inner].tolist()) <= {10, 11}

    def test_something_is_left(self) -> None:
        given = {'image': torch.ones(50, 3, 1, 1), 'wavelength': torch.full((3,), 0.5)}
        assert not self.lost(SpectralMask(), given).any()
        assert not self.lost(SpectralMask(), {'image': torch.ones(9, 1, 1, 1)}).any()

    def test_nanometres(self) -> None:
        with pytest.raises(UnitError, match='width_um'):
            SpectralMask(width_um=(50.0, 300.0))

    def test_wrong_number_of_wavelengths(self) -> None:
        given = {'image': torch.ones(2, 3, 1, 1), 'wavelength': torch.rand(2, 4)}
        with pytest.raises(BandMismatchError, match='one for each band'):
            SpectralMask()(given)


class TestIllumination:
    def test_gain_of_normalized_data(self) -> None:
        given = batch(5, 7, wavelength=False)
        units = PhysicalUnits([Illumination((0.8, 1.25), 0.0, generator=seeded())])
        units.set_statistics(*statistics(7))
        out = physical(units(given)['image'])
        ratio = (out / physical(given['image'])).flatten(1)
        torch.testing.assert_close(
            ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=0
        )
        want = normalized(
            physical(given['image']) * ratio.median(1).values[:, None, None, None]
        )
        torch.testing.assert_close(units_out(units, given), want, rtol=0, atol=2e-3)

    def test_logarithms_are_uniform(self) -> None:
        count = 5000
        given = {
            'image': torch.ones(count, 3, 1, 1, dtype=torch.float64),
            'wavelength': torch.tensor([0.5, 1.0, 1.5]),
        }
        light = Illumination((0.8, 1.25), 0.1, generator=seeded())
        logs = light(given)['image'].flatten(1).log()
        gain, tilt = logs[:, 1], (logs[:, 2] - logs[:, 0]) / 2
        for drawn, bound in ((gain, math.log(1.25)), (tilt, 0.1)):
            assert 0.99 * bound < drawn.abs().max() <= bound * (1 + 1e-5)
            assert abs(drawn.mean()) < 5 * bound / math.sqrt(3 * count)
            assert abs(drawn.std() / (bound / math.sqrt(3)) - 1) < 0.05
        assert abs(np.corrcoef(gain, tilt)[0, 1]) < 5 / math.sqrt(count)
        # linear in wavelength
        torch.testing.assert_close(logs[:, 1], (logs[:, 0] + logs[:, 2]) / 2)

    def test_tilt_by_wavelength(self) -> None:
        where = torch.tensor([0.4, 2.4, 0.9])
        given = {'image': torch.ones(9, 3, 1, 1), 'wavelength': where}
        logs = Illumination((1.0, 1.0), 0.2)(given)['image'].flatten(1).log()
        torch.testing.assert_close(logs[:, 0], -logs[:, 1])
        torch.testing.assert_close(logs[:, 2], -0.5 * logs[:, 1])

    def test_offset(self) -> None:
        light = Illumination((1.0, 1.0), 0.0, 100.0, generator=seeded())
        out = light({'image': torch.zeros(4000, 2, 1, 1)})['image'].flatten(1)
        assert torch.equal(out[:, 0], out[:, 1])
        assert 99 < out.abs().max() <= 100
        assert abs(out.mean()) < 5 * 100 / math.sqrt(3 * 4000)

    def test_one_band(self) -> None:
        given = {'image': torch.ones(3, 1, 2, 2), 'wavelength': torch.tensor([0.5])}
        out = Illumination((1.0, 1.0))(given)['image']
        assert torch.equal(out, given['image'])

    @pytest.mark.parametrize(
        'words',
        [
            {'gain': (0.0, 1.0)},
            {'gain': (2.0, 1.0)},
            {'tilt': -0.1},
            {'offset': -1.0},
            {'tilt': math.inf},
        ],
    )
    def test_bad_arguments(self, words: dict[str, Any]) -> None:
        with pytest.raises(UnitError, match='Expected'):
            Illumination(**words)


def units_out(units: PhysicalUnits, given: dict[str, Tensor]) -> Tensor:
    """Apply transforms again, with the same seed."""
    for part in units.transforms:
        part.generator = seeded()
    out: Tensor = units(given)['image']
    return out
