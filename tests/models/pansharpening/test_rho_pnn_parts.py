# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Parts of rho-PNN against published numbers."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from data.pansharpening_scene.data import GAIN, RATIO, golden_scene
from numpy.typing import NDArray

from torchgeo_hsi.models.pansharpening.rho_pnn.bands import find_scale, group_bands
from torchgeo_hsi.models.pansharpening.rho_pnn.losses import (
    PanStatistics,
    SpectralTarget,
    spatial_losses,
)
from torchgeo_hsi.models.pansharpening.rho_pnn.method import RhoPNN, rho_pnn
from torchgeo_hsi.models.pansharpening.rho_pnn.network import RhoNetwork
from torchgeo_hsi.models.pansharpening.rho_pnn.options import RhoPNNOptions
from torchgeo_hsi.models.pansharpening.rho_pnn.patches import farthest_first
from torchgeo_hsi.models.pansharpening.rho_pnn.switch import Switch, search_weight
from torchgeo_hsi.models.pansharpening.rho_pnn.tuning import iteration_caps
from torchgeo_hsi.physics.local_windows import local_correlation


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


def test_bands_that_are_alike_form_groups() -> None:
    alike = [0.999, 0.5, 0.999, 0.999, 0.999, 0.999, float('nan'), float('nan')]
    options = RhoPNNOptions(group=3)
    found = group_bands([0, 1, 2, 3, 4, 5, 6, 8], alike, options)
    assert found == [[0, 1], [2, 3, 4], [5, 6], [8]]
    single = group_bands([0, 1, 2], alike, RhoPNNOptions())
    assert single == [[0], [1], [2]]


def test_farthest_points_first() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0], [4.0]])
    assert farthest_first(points, 3) == [2, 0, 3]


@pytest.mark.parametrize(
    ('middle', 'expected'), [(6500, 65536), (0.3, 3), (0, 1), (200, 2000), (1e6, 1e7)]
)
def test_scale(middle: float, expected: float) -> None:
    cube = torch.full((1, 1, 3, 3), float(middle))
    assert find_scale(cube) == pytest.approx(expected)


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
