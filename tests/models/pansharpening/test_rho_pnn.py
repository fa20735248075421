# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""rho-PNN: its parts against published numbers, and what it does to images."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import GAIN, RATIO, golden_scene, rmse
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, EmptyDataError
from torchgeo_hsi.models.pansharpening.exp import EXP
from torchgeo_hsi.models.pansharpening.pair import Margins
from torchgeo_hsi.models.pansharpening.rho_pnn.bands import find_scale, group_bands
from torchgeo_hsi.models.pansharpening.rho_pnn.losses import (
    PanStatistics,
    SpectralTarget,
    band_signs,
    spatial_losses,
)
from torchgeo_hsi.models.pansharpening.rho_pnn.method import RhoPNN, rho_pnn
from torchgeo_hsi.models.pansharpening.rho_pnn.network import RhoNetwork
from torchgeo_hsi.models.pansharpening.rho_pnn.options import RhoPNNOptions, Sign
from torchgeo_hsi.models.pansharpening.rho_pnn.patches import (
    Candidates,
    Patch,
    choose,
    farthest_first,
)
from torchgeo_hsi.models.pansharpening.rho_pnn.samples import Samples
from torchgeo_hsi.models.pansharpening.rho_pnn.switch import Switch, search_weight
from torchgeo_hsi.models.pansharpening.rho_pnn.tuning import Tuner, iteration_caps
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


@pytest.fixture
def alone() -> Iterator[None]:
    """Check that the global source of random numbers stays where it is."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state())


def test_network_has_published_layout() -> None:
    shapes = {k: tuple(v.shape) for k, v in RhoNetwork().state_dict().items()}
    assert shapes == {
        'conv1.weight': (48, 2, 7, 7),
        'conv1.bias': (48,),
        'conv2.weight': (32, 48, 7, 7),
        'conv2.bias': (32,),
        'conv3.weight': (1, 32, 5, 5),
        'conv3.bias': (1,),
    }
    assert sum(v.numel() for v in RhoNetwork().parameters()) == 80849


def _mirrored_conv(image: NDArray[np.float64], layer: torch.nn.Conv2d) -> NDArray:
    """Correlate channels with kernels, one shift after the other."""
    weight = layer.weight.detach().numpy().astype(float)
    assert layer.bias is not None
    half = weight.shape[-1] // 2
    padded = np.pad(image, ((0, 0), (half, half), (half, half)), mode='reflect')
    height, width = image.shape[1:]
    out = np.tile(layer.bias.detach().numpy()[:, None, None], (1, height, width))
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            part = padded[:, i : i + height, j : j + width]
            out = out + np.einsum('oc,chw->ohw', weight[:, :, i, j], part)
    return out


def test_network_against_loops() -> None:
    network = RhoNetwork(torch.Generator().manual_seed(1))
    up, pan = torch.rand(1, 1, 14, 11), torch.rand(1, 1, 14, 11)
    image = torch.cat([up, pan], 1)[0].numpy().astype(float)
    first = np.maximum(_mirrored_conv(image, network.conv1), 0)
    second = np.maximum(_mirrored_conv(first, network.conv2), 0)
    expected = _mirrored_conv(second, network.conv3)[0] + up[0, 0].numpy()
    with torch.no_grad():
        found = network(up, pan)[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.usefixtures('alone')
def test_first_weights_are_as_wide_as_torch_makes_them() -> None:
    network = RhoNetwork(torch.Generator().manual_seed(0))
    for layer in (network.conv1, network.conv2):
        bound = layer.weight[0].numel() ** -0.5
        assert float(layer.weight.detach().abs().max()) <= 1.0001 * bound
        spread = float(layer.weight.detach().std())
        assert spread == pytest.approx(bound / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    ('name', 'band', 'expected'),
    [
        ('ms', 0, 0.00166593876),
        ('gt', 0, 0.00016267308),
        ('ms', 31, 0.00191404251),
        ('gt', 31, 0.00019416882),
    ],
)
def test_spectral_loss_is_the_published_one(
    name: str, band: int, expected: float
) -> None:
    images = golden_scene(32)
    low, high = (images.batch(n)[:, band : band + 1] / 65536 for n in ('lr', name))
    target = SpectralTarget(low, RATIO, GAIN, 61)
    # single precision there, which differences of 1e-4 feel
    assert target.losses(high).tolist() == pytest.approx([expected], abs=1.5e-7)


@pytest.mark.parametrize(
    ('name', 'band', 'expected'),
    [('ms', 0, 0.5049233078), ('gt', 0, 0.0031792209), ('ms', 31, 0.5090268721)],
)
def test_spatial_loss_is_the_published_one(
    name: str, band: int, expected: float
) -> None:
    images = golden_scene(32)
    high = images.batch(name)[:, band : band + 1] / 65536
    statistics = PanStatistics(images.batch('pan') / 65536, RATIO)
    found = spatial_losses(high, statistics)
    assert found.tolist() == pytest.approx([expected], abs=3e-6)


def test_correlation_is_that_of_the_metric() -> None:
    first, second = torch.rand(2, 1, 20, 20).double(), torch.rand(2, 1, 20, 20).double()
    found = PanStatistics(second, 5).correlation(first)
    torch.testing.assert_close(found, local_correlation(first, second, 2.5))


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


def test_small_images_are_compared_to_their_border() -> None:
    target = SpectralTarget(torch.ones(1, 1, 9, 9), RATIO, GAIN, 61)
    assert not target.is_valid
    assert target.cube.shape == (1, 1, 9, 9)
    assert float(target.losses(torch.ones(1, 1, 54, 54))) == pytest.approx(
        1 - 0.9987691697, abs=1e-6
    )


def test_iteration_caps_are_the_published_ones() -> None:
    cube = golden_scene(32).lr[-8:].reshape(8, -1)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in pairwise(cube)]
    caps = iteration_caps(correlations, 80, 30)
    assert (min(caps), max(caps)) == (2471, 2489)
    assert round(float(np.mean(caps[1:])), 1) == 2479.6
    assert caps[0] == caps[1]


def test_iteration_caps_of_bands_that_say_nothing() -> None:
    assert iteration_caps([], 20, 30) == [620]
    assert iteration_caps([1.0, 1.0], 20, 30) == [620] * 3
    assert iteration_caps([float('nan'), 0.9], 20, 30) == [620] * 3


def test_switch_follows_the_table() -> None:
    switch = Switch(0.585, 0.65)
    # without a weight, nothing is ever on
    assert [switch.update(x) for x in (0.5, 0.9)] == [0, 0]
    switch.weight = 0.5
    table = [
        (0.64, 0),  # between, and it was off
        (0.59, 0),
        (0.584, 0.5),  # below the lower threshold
        (0.586, 0.5),  # between, and it was on
        (0.65, 0.5),  # not above
        (0.6501, 0),  # above the upper threshold
        (0.6, 0),
        (0.58, 0.5),
        (0.9, 0),
    ]
    assert [switch.update(share) for share, _ in table] == [beta for _, beta in table]


def test_proportional_weight() -> None:
    switch = Switch(0.6, 0.7, 'proportional', weight=2.0)
    found = [switch.update(x) for x in (0.8, 0.7, 0.65, 0.6, 0.1)]
    assert found == pytest.approx([0, 0, 1, 2, 2])
    # the weight holds the loss between the thresholds, so the lower one is not waited for
    assert [switch.is_reached(x) for x in (0.71, 0.69)] == [False, True]
    assert [Switch(0.6, 0.7).is_reached(x) for x in (0.69, 0.59)] == [False, True]


@pytest.mark.parametrize(
    ('bearable', 'expected', 'calls'),
    [(9, 2, [2]), (1.2, 1, [2, 1]), (0.6, 0.5, [2, 1, 0.5]), (0, 0.25, [2, 1, 0.5])],
)
def test_weight_is_halved_until_it_can_be_borne(
    bearable: float, expected: float, calls: list[float]
) -> None:
    seen = []

    def attempt(weight: float) -> float:
        seen.append(weight)
        return 1.0 if weight <= bearable else 1.1

    assert search_weight(2.0, 1.007, 3, 1.0, attempt) == expected
    assert seen == calls


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


def test_bands_that_are_alike_form_groups() -> None:
    alike = [0.999, 0.5, 0.999, 0.999, 0.999, 0.999, float('nan'), float('nan')]
    options = RhoPNNOptions(group=3)
    found = group_bands([0, 1, 2, 3, 4, 5, 6, 8], alike, options)
    assert found == [[0, 1], [2, 3, 4], [5, 6], [8]]
    single = group_bands([0, 1, 2], alike, RhoPNNOptions())
    assert single == [[0], [1], [2]]


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


def test_farthest_points_first() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0], [4.0]])
    assert farthest_first(points, 3) == [2, 0, 3]


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


@pytest.mark.parametrize(
    ('middle', 'expected'), [(6500, 65536), (0.3, 3), (0, 1), (200, 2000), (1e6, 1e7)]
)
def test_scale(middle: float, expected: float) -> None:
    cube = torch.full((1, 1, 3, 3), float(middle))
    assert find_scale(cube) == pytest.approx(expected)


def test_scale_changes_units_only() -> None:
    cube, pan = scene()
    first = RhoPNN(RhoPNNOptions.fast(**QUICK), scale=65536)(cube, pan)
    second = RhoPNN(RhoPNNOptions.fast(**QUICK), scale=1)(cube / 65536, pan / 65536)
    torch.testing.assert_close(first / 65536, second, rtol=0, atol=1e-5)


def test_presets() -> None:
    full, reduced = RhoPNNOptions.full(), RhoPNNOptions.reduced()
    assert full.lower == pytest.approx(0.585)
    assert reduced.lower == pytest.approx(0.558)
    for options, n1 in ((full, 80), (reduced, 20)):
        assert options.base_steps == n1 == 4 * options.on_steps
    assert full.kernel(6) == 61
    assert full.kernel(4) == 41
    assert isinstance(rho_pnn('reduced'), RhoPNN)


@pytest.mark.parametrize(
    'options',
    [
        {'upper': 1.5},
        {'lr': 0.0},
        {'kernel_size': 60},
        {'control': 'other'},
        {'precision': 'float8'},
        {'group': 0},
        {'decay': 1.0},
    ],
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RhoPNNOptions(**options)  # type: ignore[arg-type]


def test_unknown_options() -> None:
    with pytest.raises(ValueError, match='no option colour'):
        rho_pnn('full', colour=3)
    with pytest.raises(ValueError, match='fast, full, reduced'):
        rho_pnn('faster')  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='positive scale'):
        RhoPNN(scale=-1)


def test_can_be_moved_and_has_nothing_to_train() -> None:
    model = quick().to('cpu').float()
    assert not list(model.parameters())
    assert torch.isfinite(model(*scene())).all()
