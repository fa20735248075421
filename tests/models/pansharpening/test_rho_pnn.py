# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""rho-PNN: its parts against published numbers, and what it does to images."""

import pytest
import torch
from data.pansharpening_scene.data import GAIN, RATIO, golden_scene, rmse
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models.pansharpening.exp import EXP
from torchgeo_hsi.models.pansharpening.pair import Margins
from torchgeo_hsi.models.pansharpening.rho_pnn.losses import (
    PanStatistics,
    SpectralTarget,
    band_signs,
    spatial_losses,
)
from torchgeo_hsi.models.pansharpening.rho_pnn.method import RhoPNN
from torchgeo_hsi.models.pansharpening.rho_pnn.options import RhoPNNOptions, Sign
from torchgeo_hsi.models.pansharpening.rho_pnn.patches import Candidates, Patch, choose
from torchgeo_hsi.models.pansharpening.rho_pnn.samples import Samples
from torchgeo_hsi.models.pansharpening.rho_pnn.tuning import Tuner
from torchgeo_hsi.physics.local_windows import local_correlation

#: A few iterations: enough to see that everything is called.
QUICK = {'pretrain_epochs': 2, 'base_steps': 3, 'spread': 0, 'on_steps': 2}


def quick(**options: object) -> RhoPNN:
    return RhoPNN(RhoPNNOptions.fast(**{**QUICK, **options}))


def scene(bands: int = 2, size: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    cube = 6000 + 500 * torch.rand(1, bands, size, size, generator=generator)
    fine = RATIO * size
    return cube, 6000 + 500 * torch.rand(1, 1, fine, fine, generator=generator)


def test_bands_have_signs() -> None:
    """Opposite images are as good as equal ones, unless a sign is asked for."""
    pan = scene()[1] / 6000
    statistics = PanStatistics(pan, RATIO)
    both = torch.cat([pan, -pan])
    torch.testing.assert_close(spatial_losses(both, statistics), 0 * torch.ones(2))
    signed = spatial_losses(both, statistics, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(signed, torch.tensor([0.0, 2.0]))
    signs = band_signs(both, pan.expand(2, -1, -1, -1), RATIO, 2)
    assert signs.tolist() == [1, -1]


@pytest.mark.parametrize(('sign', 'expected'), [('any', -1), ('band', 1)])
def test_signs_are_kept(sign: Sign, expected: int) -> None:
    """What has become the opposite of the PAN only comes back if it has to."""
    cube, pan = scene(size=8)
    cube[:, 1] = torch.nn.functional.avg_pool2d(pan, RATIO)[:, 0]
    model = quick(sign=sign)
    patch = Patch(cube, pan, Margins(0, 0, 0, 0), model.views)
    samples = model._samples([patch], [1], 6000.0)
    image = (samples.up - 0.6 * (samples.pan - samples.pan.mean())).requires_grad_()
    adam = torch.optim.Adam([image], 1e-3)
    for _ in range(100):
        adam.zero_grad()
        samples.losses(image).spatial.mean().backward()
        adam.step()
    rho = local_correlation(image.detach(), samples.pan, RATIO / 2).mean()
    assert expected * rho > 0.2


def make_samples(bands: int = 1, count: int = 1) -> Samples:
    images = golden_scene(32)
    part = slice(0, bands * 8, 8)
    lr, up, pan = (
        images.batch(name).float()[..., :size, :size] / 65536
        for name, size in (('lr', 16), ('ms', 96), ('pan', 96))
    )
    up, lr = up[0, part, None], lr[0, part, None]
    pans = pan.expand_as(up)
    up, lr, pans = (x.repeat_interleave(count, 0) for x in (up, lr, pans))
    target = SpectralTarget(lr, RATIO, GAIN, 61)
    return Samples(up, pans, PanStatistics(pans, RATIO), target, bands)


def test_group_shares_its_weights() -> None:
    cube, pan = scene(3)
    cube[:, 1:] = 1.1 * cube[:, :1] + 0.1 * cube[:, 1:]
    model = quick(group=3, group_correlation=0.5)
    assert torch.isfinite(model(cube, pan)).all()
    assert [record.band for record in model.records] == [0, 1, 2]


def test_search_leaves_everything_as_it_was() -> None:
    tuner = Tuner(RhoPNNOptions(), torch.device('cpu'))
    samples = make_samples()
    tuner._step(samples.losses(tuner.forward(samples.up, samples.pan)), 0.0)
    weights, moments = tuner.state(), tuner.adam.state_dict()['state'][0]
    mean, step = moments['exp_avg'].clone(), float(moments['step'])
    # no weight is bearable, so the last one is taken
    assert tuner._search(samples, before=0.0) == 0.25
    after = tuner.adam.state_dict()['state'][0]
    for name, value in tuner.state().items():
        assert torch.equal(value, weights[name])
    assert torch.equal(after['exp_avg'], mean)
    assert float(after['step']) == step


@pytest.mark.parametrize(
    ('bands', 'count', 'expected'),
    [
        (1, 3, [[0, 1, 2], [0, 1, 2]]),
        (2, 4, [[0, 1, 6, 7], [2, 3, 4, 5]]),
        (4, 2, [[0, 3, 4, 7], [1, 2, 5, 6]]),
    ],
)
def test_bands_of_a_group_take_turns(
    bands: int, count: int, expected: list[list[int]]
) -> None:
    samples = make_samples(bands, count)
    samples.least = torch.arange(float(len(samples)))
    found = [samples.turn(step).least.tolist() for step in (0, 1)]
    assert found == expected


def test_result_is_better_than_interpolation() -> None:
    images = golden_scene(32)
    lr, pan, gt = (
        images.batch(name).float()[..., :size, :size]
        for name, size in (('lr', 16), ('pan', 96), ('gt', 96))
    )
    lr, gt = lr[:, 5:8], gt[:, 5:8]
    options = RhoPNNOptions.fast(pretrain_on_steps=15)
    model = RhoPNN(options)
    found, plain = model(lr, pan), EXP()(lr, pan)
    inner = (..., slice(9, -9), slice(9, -9))
    assert rmse(found[inner], gt[inner]) < 0.85 * rmse(plain[inner], gt[inner])
    rho = [float(local_correlation(x, pan, 3).mean()) for x in (plain, found)]
    assert 1 - rho[1] < 0.8 * (1 - rho[0])
    assert [record.band for record in model.records] == [0, 1, 2]
    for record in model.records:
        assert record.final < record.upper
        assert record.iterations == len(record.on) == len(record.spatial)
        assert any(record.on)
        assert record.seconds > 0


@pytest.mark.usefixtures('alone')
def test_the_seed_alone_decides() -> None:
    cube, pan = scene()
    first = quick()(cube, pan)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(quick()(cube, pan), first)
    other = RhoPNN(RhoPNNOptions.fast(**QUICK), seed=1)
    assert not torch.equal(other(cube, pan), first)


def test_nothing_is_kept_between_images() -> None:
    cube, pan = scene()
    model = quick()
    first = model(cube, pan)
    model(*scene(3, 12))
    assert torch.equal(model(cube, pan), first)
    both = model(torch.cat([cube, cube * 2]), torch.cat([pan, pan * 2]))
    torch.testing.assert_close(both[:1], first)


def test_works_where_the_caller_predicts() -> None:
    cube, pan = scene()
    model = quick()
    expected = model(cube, pan)
    assert not expected.requires_grad
    with torch.no_grad():
        assert torch.equal(model(cube, pan), expected)
    with torch.inference_mode():
        assert torch.equal(model(cube.clone(), pan.clone()), expected)


def test_band_without_contrast_stays_as_it_is() -> None:
    cube, pan = scene(3)
    cube[:, 0] = 0
    cube[:, 2] = 5000
    model = quick()
    found = model(cube, pan)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[:, [0, 2]], EXP()(cube, pan)[:, [0, 2]])
    assert [record.min_spec > 0 for record in model.records] == [False, True, False]


def test_gaps_change_nothing_elsewhere() -> None:
    cube, pan = scene(2, 24)
    valid = torch.ones(1, 24, 24, dtype=torch.bool)
    valid[:, :12] = False
    other = cube.clone()
    other[:, :, :10] = torch.nan
    model = quick(patch=12, patches=1)
    found = model(cube, pan, valid=valid)
    assert torch.isfinite(found).all()
    assert torch.isfinite(model(other, pan, valid=valid)).all()
    # the patch without gaps has been chosen
    assert model.records[0].min_spec > 1e-3


@pytest.mark.parametrize('size', [(1, 1), (3, 2), (9, 11), (12, 30)])
def test_small_images(size: tuple[int, int]) -> None:
    cube = 1000 * torch.rand(1, 2, *size)
    pan = 1000 * torch.rand(1, 1, *(RATIO * n for n in size))
    found = quick()(cube, pan)
    assert found.shape == (1, 2, *pan.shape[-2:])
    assert torch.isfinite(found).all()


def test_image_too_small_for_the_network() -> None:
    with pytest.raises(ValueError, match='4 x 4'):
        quick()(torch.rand(1, 2, 1, 1), torch.rand(1, 1, 2, 2))


def test_bfloat16_learns() -> None:
    samples = make_samples()
    options = RhoPNNOptions(precision='bfloat16', lr=1e-4)
    tuner = Tuner(options, torch.device('cpu'))
    with torch.autocast('cpu', enabled=False):
        (record,) = tuner.tune(samples, [0], 30)
    assert record.spectral[-1] < 0.5 * record.spectral[0]
    assert tuner.network.conv1.weight.dtype == torch.float32


def halves(cube: Tensor, pan: Tensor, margin: int) -> list[tuple]:
    """Cut a scene into a left and a right tile with margins."""
    middle = cube.shape[-1] // 2
    end = middle + margin
    left = cube[..., :end], pan[..., : RATIO * end], Margins(right=margin)
    start = middle - margin
    right = cube[..., start:], pan[..., RATIO * start :], Margins(left=margin)
    return [left, right]


def test_tiles_are_parts_of_the_scene() -> None:
    cube, pan = scene(3, 100)
    cube, pan = cube[:, :, :20], pan[:, :, : 20 * RATIO]
    model = quick(patch=20, pretrain_epochs=1, base_steps=1)
    tiles = halves(cube, pan, 40)
    assert not model.is_settled
    for low, high, margins in tiles:
        model.observe(low, high, margins=margins)
    model.settle()
    assert model.is_settled
    assert len(model.records) == 3
    parts = [model(low, high, margins=margins) for low, high, margins in tiles]
    whole = model(cube, pan)
    torch.testing.assert_close(torch.cat(parts, -1), whole, rtol=0, atol=0.05)
    assert (whole - EXP()(cube, pan)).abs().max() > 5
    with pytest.raises(BandMismatchError, match='settled on a scene with 3 bands'):
        model(cube[:, :2], pan)
    model.forget()
    assert not model.is_settled
    with pytest.raises(EmptyDataError, match='observe'):
        model.settle()


def test_tiles_of_another_scene() -> None:
    cube, pan = scene(3)
    model = quick()
    model.observe(cube, pan)
    with pytest.raises(BandMismatchError, match='had 3 bands'):
        model.observe(cube[:, :2], pan)


def patch_of(level: float, size: int = 4) -> Patch:
    generator = torch.Generator().manual_seed(7)
    cube = level + torch.rand(1, 4, size, size, generator=generator)
    pan = level + torch.rand(1, 1, 3 * size, 3 * size, generator=generator)
    return Patch(cube, pan, Margins(), EXP().views)


def test_one_patch_of_each_kind_is_chosen() -> None:
    levels = [0, 1000, 3, 2000, 1003, 2003]
    patches = [patch_of(level) for level in levels]
    chosen = choose(patches, 3)
    kinds = sorted(int(patch.cube.mean()) // 1000 for patch in chosen)
    assert kinds == [0, 1, 2]
    assert choose(patches, None) == patches
    assert choose(patches, 9) == patches
    # no patch twice, also where all are the same
    same = [patch_of(5)] * 4
    assert len({id(p) for p in choose([Patch(**vars(p)) for p in same], 3)}) == 3


def test_candidates_are_the_most_different() -> None:
    candidates = Candidates(size=4, most=3)
    for level in (0, 1, 2, 1000, 1001, 2000):
        candidates.add(patch_of(level))
    levels = [int(patch.cube.mean()) // 1000 for patch in candidates.patches]
    assert sorted(levels) == [0, 1, 2]


def test_tiles_fill_an_image() -> None:
    area = patch_of(1, size=14)
    tiles = area.tiles(5)
    assert len(tiles) == 4
    torch.testing.assert_close(tiles[-1].inner, area.inner[..., 9:, 9:])
    torch.testing.assert_close(tiles[1].pan, area.pan[..., :15, 27:])
    # what is interpolated from a part is that of the whole
    whole = EXP()(area.cube, area.pan)
    for tile, place in ((tiles[0], slice(0, 15)), (tiles[-1], slice(27, 42))):
        expected = whole[:, 2:3, place, place]
        torch.testing.assert_close(tile.band(2), expected, rtol=0, atol=1e-5)


def test_scale_changes_units_only() -> None:
    cube, pan = scene()
    first = RhoPNN(RhoPNNOptions.fast(**QUICK), scale=65536)(cube, pan)
    second = RhoPNN(RhoPNNOptions.fast(**QUICK), scale=1)(cube / 65536, pan / 65536)
    torch.testing.assert_close(first / 65536, second, rtol=0, atol=1e-5)


def test_can_be_moved_and_has_nothing_to_train() -> None:
    model = quick().to('cpu').float()
    assert not list(model.parameters())
    assert torch.isfinite(model(*scene())).all()
