# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views of one sample, several of it, and their blur."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transforms.views_data import batch, normalized, physical, seeded, statistics
from transforms.views_parts import all_parts

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.transforms import (
    BandDropout,
    Illumination,
    MultiView,
    RandomDihedral,
    RandomResizedCrop,
    SpatialBlur,
    SpectralJitter,
    SpectralMask,
    SpectralView,
)
from torchgeo_hsi.transforms.dihedral import Move, move


class TestSpectralView:
    @pytest.mark.parametrize('rotate', [True, False])
    @pytest.mark.parametrize('holes', [True, False])
    @pytest.mark.parametrize('size', [7, 16])
    def test_same_as_crop_and_flips(self, rotate: bool, holes: bool, size: int) -> None:
        given = batch(12, 3, (15, 11), holes, wavelength=False)
        given |= {
            'mask': (given['image'][:, 0] * 9).long(),
            'target': 2 * given['image'],
            'pan': torch.rand(12, 1, 30, 22, generator=seeded()),
        }
        seed = seeded(3)
        crop = RandomResizedCrop(size, (0.08, 1.0), generator=seed)
        want = RandomDihedral(seed, rotate)(crop(given))
        out = SpectralView(size, rotate=rotate, generator=seeded(3))(given)
        assert out.keys() == want.keys()
        assert torch.equal(out['mask'], want['mask'])
        for key in ('target', 'pan'):
            torch.testing.assert_close(out[key], want[key], rtol=0, atol=1e-5)
        if holes:
            assert torch.equal(out['valid'], want['valid'])
            lost = ~want['valid'].unsqueeze(1).expand_as(out['image'])
            assert (out['image'][lost] == 0).all()
            want['image'] = want['image'].masked_fill(lost, 0.0)
        torch.testing.assert_close(out['image'], want['image'], rtol=0, atol=1e-5)

    @pytest.mark.parametrize('turns', range(4))
    @pytest.mark.parametrize('flip', [False, True])
    def test_moves(self, turns: int, flip: bool) -> None:
        image = torch.rand(2, 4, 5, generator=seeded())
        want = np.rot90(image.numpy(), turns, (-2, -1))
        want = np.flip(want, -1) if flip else want
        assert np.array_equal(move(image, Move(turns, flip)).numpy(), want)

    def test_each_image_draws_its_own(self) -> None:
        one = torch.rand(1, 2, 20, 20, generator=seeded())
        out = SpectralView(8, generator=seeded())({'image': one.repeat(6, 1, 1, 1)})
        parts = {image.numpy().tobytes() for image in out['image']}
        assert len(parts) == 6

    def test_numbers_without_data_change_nothing(self) -> None:
        given = batch(6, 202, (20, 20), holes=True)
        other = dict(given)
        other['image'] = given['image'].masked_fill(
            ~given['valid'].unsqueeze(1), float('nan')
        )
        found = []
        for sample in (given, other):
            seed = seeded(4)
            view = SpectralView(
                12, (0.4, 1.0), blur=1.0, spectral=all_parts(seed), generator=seed
            )
            view.set_statistics(*statistics(202))
            found.append(view(sample))
        first, second = found
        assert 0.05 < first['valid'].float().mean() < 0.95
        assert torch.equal(first['image'], second['image'])
        lost = ~first['valid'].unsqueeze(1).expand_as(first['image'])
        assert (first['image'][lost] == 0).all()
        assert first['image'].isfinite().all()

    def test_a_constant_stays_constant_beside_nodata(self) -> None:
        given = batch(6, 4, (24, 24), holes=True, wavelength=False)
        given['image'] = torch.where(given['valid'].unsqueeze(1), 2.0, -1e6)
        out = SpectralView(20, blur=1.0, generator=seeded())(given)
        pixels = out['image'].movedim(1, -1)[out['valid']]
        assert len(pixels) > 50
        # at most a ten thousandth of a pixel may be invalid, and then it counts as 0
        torch.testing.assert_close(
            pixels, torch.full_like(pixels, 2.0), rtol=2e-4, atol=0
        )

    def test_parts_of_spectra_work_in_physical_units(self) -> None:
        given = batch(3, 5, wavelength=False)
        view = SpectralView(
            8, (1.0, 1.0), (1.0, 1.0), spectral=[Illumination((1.2, 1.2), 0.0)]
        )
        view.set_statistics(*statistics(5))
        view.flip = view_without_flips()
        want = normalized(1.2 * physical(given['image']))
        torch.testing.assert_close(view(given)['image'], want, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16, torch.float16])
    def test_types(self, dtype: torch.dtype) -> None:
        given = batch(2, 202)
        found = {}
        for kind in (dtype, torch.float32):
            parts = all_parts(seeded(1))
            del parts[3]  # draws other noise in double precision
            view = SpectralView(8, blur=1.0, spectral=parts, generator=seeded(1))
            view.set_statistics(*statistics(202))
            image = given['image'].to(dtype).to(kind)
            found[kind] = view({**given, 'image': image})['image']
        assert found[dtype].dtype == dtype
        gap = (found[dtype].float() - found[torch.float32]).abs().max()
        assert (
            gap
            < {torch.float64: 2e-3, torch.bfloat16: 0.05, torch.float16: 5e-3}[dtype]
            * found[torch.float32].abs().max()
        )

    def test_autocast_changes_nothing(self) -> None:
        given = batch(2, 202)
        found = []
        for enabled in (False, True):
            parts = all_parts(seeded(1))
            view = SpectralView(8, blur=1.0, spectral=parts, generator=seeded(1))
            view.set_statistics(*statistics(202))
            with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
                found.append(view(given)['image'])
        assert found[1].dtype == torch.float32
        assert torch.equal(*found)

    def test_nobody_waits_for_the_device(self) -> None:
        # tensors on the meta device have no numbers that could be looked at
        given = batch(3, 202, holes=True)
        given = {
            key: value if key in ('wavelength', 'fwhm') else value.to('meta')
            for key, value in given.items()
        }
        parts = all_parts()
        del parts[3]  # draws noise on the device
        view = SpectralView(8, blur=1.0, spectral=parts)
        view.set_statistics(*statistics(202))
        out = view(given)['image']
        assert out.device.type == 'meta'
        assert out.shape[2:] == (8, 8)

    @pytest.mark.parametrize('shape', [(1, 1), (1, 7), (13, 5)])
    @pytest.mark.parametrize('size', [1, 9])
    def test_odd_sizes(self, shape: tuple[int, int], size: int) -> None:
        parts = [Illumination(), BandDropout(), SpectralMask()]
        view = SpectralView(size, blur=1.0, spectral=parts)
        view.set_statistics(*statistics(1))
        out = view({'image': torch.randn(2, 1, *shape)})['image']
        assert out.shape == (2, 1, size, size)
        assert out.isfinite().all()

    def test_refuses_what_is_no_batch(self) -> None:
        with pytest.raises(BandMismatchError, match=r'\(B, C, H, W\)'):
            SpectralView(8)({'image': torch.rand(3, 8, 8)})

    def test_says_what_it_needs(self) -> None:
        view = SpectralView(8, spectral=[Illumination()])
        with pytest.raises(MetadataError, match='set_statistics'):
            view(batch(2, 5, wavelength=False))
        view.set_statistics(*statistics(4))
        with pytest.raises(BandMismatchError, match='4 bands'):
            view(batch(2, 5, wavelength=False))
        view = SpectralView(8, spectral=[SpectralJitter()])
        view.set_statistics(*statistics(5))
        with pytest.raises(MetadataError, match='no wavelength'):
            view(batch(2, 5, wavelength=False))


def view_without_flips() -> RandomDihedral:
    class Still(RandomDihedral):
        def draw(self, count: int, square: bool = True) -> list[Move]:
            return [Move()] * count

    return Still()


class TestMultiView:
    def test_dates_in_turn(self) -> None:
        dates = [{'image': torch.full((1, 1, 4, 4), float(k))} for k in range(3)]
        views = MultiView([SpectralView(4) for _ in range(40)], generator=seeded())
        seen = [float(view['image'].mean()) for view in views(dates)]
        assert seen[:2] == [0.0, 1.0]
        assert set(seen[2:]) == {0.0, 1.0, 2.0}
        seen = [float(view['image'].mean()) for view in views(dates[:1])]
        assert set(seen) == {0.0}
        assert len(views(dates[0])) == len(views) == 40

    def test_dates_by_chance(self) -> None:
        dates = [{'image': torch.full((1, 1, 4, 4), float(k))} for k in range(2)]
        views = MultiView([SpectralView(4)], 'random', seeded())
        seen = [float(views(dates)[0]['image'].mean()) for _ in range(400)]
        # five standard deviations
        assert abs(np.mean(seen) - 0.5) < 5 * 0.5 / 400**0.5

    def test_statistics_reach_all_parts(self) -> None:
        views = MultiView(
            [nn.Sequential(SpectralView(4, spectral=[Illumination()])), SpectralView(4)]
        )
        views.set_statistics(*statistics(3))
        assert len(views({'image': torch.randn(2, 3, 8, 8)})) == 2

    def test_bad_arguments(self) -> None:
        with pytest.raises(EmptyDataError, match='at least one view'):
            MultiView([])
        with pytest.raises(ValueError, match="'cycle' or 'random'"):
            MultiView([SpectralView(4)], 'first')  # type: ignore[arg-type]
        with pytest.raises(EmptyDataError, match='at least one date'):
            MultiView([SpectralView(4)])([])

    def test_nothing_enters_a_checkpoint(self) -> None:
        views = MultiView([SpectralView(4, spectral=all_parts())])
        views.set_statistics(*statistics(5))
        assert not views.state_dict()
        assert not list(views.parameters())

    def test_copies_do_the_same(self) -> None:
        views = MultiView([SpectralView(8, blur=0.5, spectral=all_parts())] * 2)
        views.set_statistics(*statistics(202))
        given = batch(2, 202)
        found = []
        for one in (views, copy.deepcopy(views), pickle.loads(pickle.dumps(views))):
            torch.manual_seed(0)
            found.append(one(given)[1]['image'])
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    def test_shows_what_it_does(self) -> None:
        text = repr(MultiView([SpectralView(8, blur=0.5, spectral=all_parts())]))
        for word in (
            "dates='cycle'",
            'size=8',
            'sigma=',
            'gain=',
            'shift_nm=',
            'least',
        ):
            assert word in text


def blur_by_hand(image: np.ndarray, valid: np.ndarray, sigma: float, reach: int) -> Any:
    height, width = image.shape
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            total = weights = 0.0
            for a in range(max(i - reach, 0), min(i + reach + 1, height)):
                for b in range(max(j - reach, 0), min(j + reach + 1, width)):
                    if valid[a, b]:
                        square = (a - i) ** 2 + (b - j) ** 2
                        weight = np.exp(-square / (2 * sigma**2))
                        total += weight * image[a, b]
                        weights += weight
            out[i, j] = total / weights if valid[i, j] else 0.0
    return out


class TestBlur:
    @pytest.mark.parametrize('shape', [(5, 9), (1, 1), (40, 3), (21, 70)])
    @pytest.mark.parametrize('kernel', [1, 5, 13])
    @pytest.mark.parametrize('holes', [False, True])
    def test_same_as_by_hand(
        self, shape: tuple[int, int], kernel: int, holes: bool
    ) -> None:
        given = batch(2, 1, shape, holes, wavelength=False)
        given['image'] = given['image'].double()
        blur = SpatialBlur(1.0, (1.3, 1.3), kernel)
        out = blur(given)['image']
        for k in range(2):
            valid = given['valid'][k] if holes else torch.ones(shape, dtype=torch.bool)
            image = given['image'][k, 0].numpy()
            want = blur_by_hand(image, valid.numpy(), 1.3, kernel // 2)
            np.testing.assert_allclose(out[k, 0].numpy(), want, atol=1e-7)

    def test_many_bands_are_blurred_alike(self) -> None:
        image = torch.randn(1, 1, 20, 20, generator=seeded()).repeat(1, 77, 1, 1)
        out = SpatialBlur(1.0)({'image': image})['image']
        torch.testing.assert_close(out, out[:, :1].expand_as(out))

    @pytest.mark.parametrize('holes', [False, True])
    def test_channels_last(self, holes: bool) -> None:
        given = batch(2, 202, (9, 12), holes)
        other = given['image'].to(memory_format=torch.channels_last)
        blur = SpatialBlur(1.0, (1.0, 1.0))
        found = blur({**given, 'image': other})['image']
        torch.testing.assert_close(found, blur(given)['image'])

    def test_probability_and_widths(self) -> None:
        count = 3000
        image = torch.zeros(count, 1, 13, 13)
        image[:, :, 6, 6] = 1.0
        out = SpatialBlur(0.3, (0.5, 1.0), generator=seeded())({'image': image})
        peak = out['image'][:, 0, 6, 6]
        share = (peak < 1).float().mean()
        # five standard deviations
        assert abs(share - 0.3) < 5 * (0.3 * 0.7 / count) ** 0.5
        line = out['image'][peak < 1][:, 0, 6]
        place = torch.arange(13.0) - 6
        sigma = ((line * place**2).sum(1) / line.sum(1)).sqrt()
        # a Gaussian of half a pixel is hardly sampled
        assert 0.45 < sigma.min() < 0.55
        assert 0.95 < sigma.max() < 1.01
        assert abs(sigma.mean() - 0.75) < 0.02

    @pytest.mark.parametrize(
        'words',
        [
            {'p': 1.1},
            {'sigma': (0.0, 1.0)},
            {'sigma': (2.0, 1.0)},
            {'sigma': (1.0, 2.0, 3.0)},
            {'kernel': 4},
            {'kernel': -1},
        ],
    )
    def test_bad_arguments(self, words: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match='Expected'):
            SpatialBlur(**words)


def test_gradient_flows_through_a_view() -> None:
    image = torch.randn(2, 5, 12, 12, requires_grad=True)
    view = SpectralView(8, spectral=[Illumination(), BandDropout()])
    view.set_statistics(*statistics(5))
    out: Tensor = view({'image': image})['image']
    out.sum().backward()
    assert image.grad is not None
