# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DeepShare against numbers of the published network, and groups of bands."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from models.numbers import check, cube, filled
from models.superresolution.golden import fingerprints
from models.superresolution.golden import published_keys as keys_of
from torch.nn import functional as F

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.superresolution import deepshare as builder
from torchgeo_hsi.models.superresolution.band_groups import (
    group_starts,
    join_groups,
    split_groups,
)
from torchgeo_hsi.physics.resampling import imresize_up

SMALL = {'in_channels': 11, 'n_feats': 16, 'n_subs': 4, 'n_ovls': 1}


@pytest.mark.parametrize(
    'row', fingerprints('deepshare'), ids=lambda r: str(r['options'] | r['inputs'])
)
@pytest.mark.parametrize('grad', [False, True])
def test_fingerprint(row: dict[str, Any], grad: bool) -> None:
    model = filled('deepshare', **row['options'])
    assert len(model.state_dict()) == row['entries']
    assert sum(p.numel() for p in model.parameters()) == row['params']
    x, up = cube(*row['in_shape']), cube(*row['out_shape'])
    with torch.set_grad_enabled(grad):
        check(row, model(x, up=up, **row['inputs']))


@pytest.mark.parametrize(('options', 'keys'), keys_of('deepshare'))
def test_keys(options: dict[str, int], keys: dict[str, tuple[int, ...]]) -> None:
    state = get_model('deepshare', **options).state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == keys


@pytest.mark.parametrize('bands', [8, 9, 14, 15, 31, 102, 128])
@pytest.mark.parametrize(('size', 'overlap'), [(8, 2), (8, 0), (5, 4), (1, 0)])
def test_groups(bands: int, size: int, overlap: int) -> None:
    """Groups hold all bands, overlap as they should, and are joined by their mean."""
    starts = group_starts(bands, size, overlap)
    assert len(starts) == max(1, -(-(bands - overlap) // (size - overlap)))
    assert starts[0] == 0
    assert starts[-1] == bands - size
    steps = [b - a for a, b in pairwise(starts)]
    assert all(step == size - overlap for step in steps[:-1])
    assert all(0 < step <= size - overlap for step in steps)
    x = torch.rand(2, bands, 3, 2, dtype=torch.float64)
    groups = split_groups(x, starts, size)
    torch.testing.assert_close(join_groups(groups, starts, bands), x)
    # other values in each group: the mean of those that hold a band
    groups = torch.rand(2, len(starts), size, 3, 2, dtype=torch.float64)
    joined = join_groups(groups, starts, bands)
    for band in range(bands):
        held = [
            groups[:, g, band - s] for g, s in enumerate(starts) if s <= band < s + size
        ]
        torch.testing.assert_close(joined[:, band], sum(held) / len(held))


def test_groups_of_the_published_sizes() -> None:
    assert group_starts(31, 8, 2) == [0, 6, 12, 18, 23]
    assert len(group_starts(128, 8, 2)) == 21


@pytest.mark.parametrize('scale', [2, 4, 8])
@pytest.mark.parametrize('shape', [(1, 11, 1, 1), (2, 11, 3, 5)])
def test_any_shape(scale: int, shape: tuple[int, ...]) -> None:
    model = filled('deepshare', **SMALL, scale=scale)
    assert len(model.branch1.upsample) == 2 * (scale.bit_length() - 2)
    x = cube(*shape)
    with torch.inference_mode():
        y = model(x)
        alone = torch.cat([model(image[None]) for image in x])
    assert y.shape == (*shape[:2], scale * shape[2], scale * shape[3])
    torch.testing.assert_close(y, alone)
    torch.testing.assert_close(model(x).detach(), y)


def test_one_group() -> None:
    model = get_model('deepshare', in_channels=8, n_feats=16, scale=2)
    assert model.starts == [0]
    assert model(torch.rand(1, 8, 3, 3)).shape == (1, 8, 6, 6)


@pytest.mark.parametrize('modality', ['spectral', 'rgb'])
def test_interpolated_image(modality: str) -> None:
    """It is made where it is not given."""
    model = filled('deepshare', **SMALL, scale=2)
    x = cube(1, 11 if modality == 'spectral' else model.rgb_channels, 4, 5)
    with torch.inference_mode():
        found = model(x, modality=modality)
        given = model(x, up=imresize_up(x, 2), modality=modality)
        other = model(x, up=imresize_up(x, 2) + 1, modality=modality)
    torch.testing.assert_close(found, given)
    assert (found - other).abs().max() > 1e-3


def test_residual() -> None:
    """Before it has learned anything, the residual network interpolates."""
    model = get_model('deepshare', **SMALL, scale=2, residual=True)
    for bands, modality in ((11, 'spectral'), (4, 'rgb')):
        x = torch.rand(1, bands, 6, 5)
        found = model(x, modality=modality)
        torch.testing.assert_close(found, imresize_up(x, 2), rtol=0, atol=0)
    plain = get_model('deepshare', **SMALL, scale=2)
    assert plain.state_dict().keys() == model.state_dict().keys()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled('deepshare', **SMALL, scale=2)
    x = cube(2, 11, 4, 4)
    sizes = []
    model.branch1.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    with torch.inference_mode():
        whole = model(x)
        module = __import__(builder.__module__, fromlist=['_CHUNK'])
        monkeypatch.setattr(module, '_CHUNK', 16 * 64 * 3)
        torch.testing.assert_close(model(x), whole)
    assert sizes == [8, 3, 3, 2]


@pytest.mark.parametrize('modality', ['spectral', 'rgb'])
def test_gradients_reach_their_part(modality: str) -> None:
    model = get_model('deepshare', **SMALL, scale=4).train()
    x = torch.rand(2, 11 if modality == 'spectral' else 4, 3, 3)
    model(x, modality=modality).square().mean().backward()
    for name, parameter in model.named_parameters():
        own = ('_RGB' in name) == (modality == 'rgb') or name.startswith('branch')
        assert (parameter.grad is not None) == own, name


def test_mixed_precision() -> None:
    torch.manual_seed(0)
    model = get_model('deepshare', **SMALL, scale=2)
    x = torch.rand(1, 11, 8, 8)
    exact = model(x).detach()
    with torch.autocast('cpu', torch.bfloat16):
        y = model(x)
    assert (y - exact).abs().max() < 0.05 * exact.abs().max()
    y.float().square().mean().backward()
    with torch.inference_mode():
        half = model.half()(x.half())
    assert (half - exact).abs().max() < 0.01 * exact.abs().max()


@pytest.mark.parametrize('scale', [2, 4, 8])
def test_context(scale: int) -> None:
    """Without channel attention, pixels beyond the context change nothing."""
    model = filled('deepshare', in_channels=4, n_feats=16, n_subs=4, scale=scale)
    for name, module in model.named_modules():
        if name.endswith('conv_du'):
            torch.nn.init.zeros_(module[2].weight)
    x = cube(1, 4, 1, 40)
    other = F.pad(x[..., 1:], (1, 0))
    with torch.inference_mode():
        change = (model(x) - model(other)).abs()[0].amax((0, 1))
    reach = int(change.nonzero().max()) // scale
    assert reach <= model.context
    if scale == 2:
        assert reach >= model.context - 2


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r'powers of 2, not by 3\. Take'):
        get_model('deepshare', scale=3)
    with pytest.raises(BandMismatchError, match='7 bands are too few for groups of 8'):
        get_model('deepshare', in_channels=7)
    with pytest.raises(ValueError, match='overlap from 0 to 7'):
        get_model('deepshare', n_ovls=8)
    model = get_model('deepshare', **SMALL, scale=2)
    with pytest.raises(BandMismatchError, match="11 channels for the modality 'spec"):
        model(torch.rand(1, 4, 3, 3))
    with pytest.raises(BandMismatchError, match="4 channels for the modality 'rgb'"):
        model(torch.rand(1, 11, 3, 3), modality='rgb')
    with pytest.raises(BandMismatchError, match=r'11 bands, or 4 .*in_channels=5'):
        model(torch.rand(1, 5, 3, 3))
    with pytest.raises(ValueError, match="'spectral' or 'rgb', got 'pan'"):
        model(torch.rand(1, 11, 3, 3), modality='pan')
    with pytest.raises(BandMismatchError, match='Make it by imresize_up'):
        model(torch.rand(1, 11, 3, 3), up=torch.rand(1, 11, 3, 3))
