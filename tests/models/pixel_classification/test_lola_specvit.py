# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of LoLA-SpecViT."""

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, CorruptFileError
from torchgeo_hsi.models import (
    LoLASpecViT,
    add_lora,
    get_model,
    lola_specvit,
    lora_layers,
    merge_lora,
    trainable_share,
)
from torchgeo_hsi.models.pixel_classification._spectral_front import BandDropout

SMALL: dict[str, Any] = {
    'components': 5,
    'dims': (12, 24),
    'heads': (2, 4),
    'depths': (1, 2),
    'attention_window': 3,
}
BANDS = 8


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def model(window: int = 9, **kwargs: Any) -> LoLASpecViT:
    """A small one, with statistics that are not those of the beginning."""
    torch.manual_seed(0)
    made = LoLASpecViT(BANDS, 3, window, **(SMALL | kwargs))
    made.fit_spectra([{'image': rand(BANDS, 20, 20, seed=3)}])
    made.train()(rand(16, BANDS, window, window, seed=4))
    return made.eval()


@pytest.mark.parametrize('window', [1, 3, 5, 7, 9, 11, 15, 21])
def test_windows(window: int) -> None:
    made = model(window)
    assert made(rand(2, BANDS, window, window)).shape == (2, 3)
    # one map of all pixels, and each window on its own
    image = rand(2, BANDS, 13, 11)
    with torch.no_grad():
        found = made.dense(image, chunk=50)
        padded = F.pad(image, (window // 2,) * 4)
        for row, column in ((0, 0), (5, 6), (12, 10)):
            one = padded[..., row : row + window, column : column + window]
            torch.testing.assert_close(
                found[..., row, column], made(one), rtol=0, atol=1e-5
            )


def test_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    image = rand(1, BANDS, 40, 10)
    with torch.no_grad():
        whole = made.dense(image)
        monkeypatch.setattr(sys.modules[LoLASpecViT.__module__], '_STRIP', 1)
        torch.testing.assert_close(made.dense(image), whole, rtol=0, atol=1e-5)
        # without the front end's way, as other classifiers do it
        made.training = True
        torch.testing.assert_close(made.dense(image), whole, rtol=0, atol=1e-5)


def test_structure() -> None:
    # grids of 7, 4 and 2 tokens, as published; the head is not of the backbone
    made = lola_specvit(in_channels=30, num_classes=9)
    sizes = [p.numel() for p in made.parameters()]
    assert 36e6 < sum(sizes) < 40e6
    grids = []
    for block in made.backbone.levels:
        block.register_forward_hook(lambda m, i, o: grids.append(o.shape[1]))
    made.eval()(rand(1, 30, 15, 15))
    assert sorted(set(grids), reverse=True) == [7, 4, 2]
    assert len(grids) == 3 + 4 + 19 + 2
    assert not any('head' in key for key, _ in made.backbone.named_parameters())
    tiny: Any = get_model('lola_specvit_tiny')
    assert sum(p.numel() for p in tiny.parameters()) < 1e6


def test_spectral_length_is_kept() -> None:
    made = model()
    for layer, length in zip(made.backbone.front.layers[::3], (7, 5, 3), strict=True):
        assert isinstance(layer, torch.nn.Conv3d)
        assert layer.kernel_size[0] == length
        assert layer(rand(1, layer.in_channels, 5, 9, 9)).shape[2] == 5


def test_gate_depends_on_the_window() -> None:
    # weights of channels: sigmoid(W2 relu(W1 mean)), written out
    front = model().backbone.front
    features = rand(2, 12, front.size, front.size).double()
    front.double()
    with torch.no_grad():
        weights = [w.flatten(1).numpy() for w in front.gate.parameters()]
        means = features.numpy().mean(axis=(2, 3))
        hidden = np.maximum(means @ weights[0].T, 0)
        gate = 1 / (1 + np.exp(-hidden @ weights[1].T))
        want = features.numpy() * gate[..., None, None]
        np.testing.assert_allclose(front.weigh(features), want, atol=1e-12)


def test_windows_are_not_standardized() -> None:
    # the level of a window says something
    made, windows = model(), rand(4, BANDS, 9, 9)
    assert not torch.allclose(made(windows), made(windows + 1), atol=1e-3)
    assert not torch.allclose(made(windows), made(windows * 3), atol=1e-3)
    level = torch.linspace(-2, 2, 4)[:, None, None, None]
    uniform = level * torch.ones(4, BANDS, 9, 9)
    assert made(uniform).std(dim=0).min() > 1e-4


def test_all_learns_from_scratch() -> None:
    made = model().train()
    before = {k: p.detach().clone() for k, p in made.named_parameters()}
    assert trainable_share(made) == 1
    optimizer = torch.optim.SGD(made.parameters(), 0.1)
    # drop path may leave a branch out once
    for step in range(3):
        loss = F.cross_entropy(
            made(rand(8, BANDS, 9, 9, seed=step)), torch.arange(8) % 3
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    grads = {k: p.grad is not None for k, p in made.named_parameters()}
    assert all(grads.values()), [k for k, there in grads.items() if not there]
    matrices = {k: p for k, p in made.named_parameters() if p.ndim > 1}
    still = [k for k, p in matrices.items() if torch.equal(p, before[k])]
    assert still == []


@pytest.mark.parametrize('loaded', [False, True])
def test_low_rank_adaptation_starts_as_it_was(loaded: bool, tmp_path: Path) -> None:
    trunk = model()
    adapted = copy.deepcopy(trunk)
    if loaded:
        torch.save(trunk.state_dict(), tmp_path / 'trunk.pth')
        adapted = LoLASpecViT(BANDS, 3, 9, **SMALL)
        adapted.load_state_dict(torch.load(tmp_path / 'trunk.pth', weights_only=True))
    add_lora(adapted.backbone, rank=4, alpha=8, dropout=0.1)
    ups = [p for k, p in adapted.named_parameters() if '.lora_B.' in k]
    assert len(ups) == 3 * 5
    assert all(not up.any() for up in ups)
    windows = rand(6, BANDS, 9, 9)
    torch.testing.assert_close(
        adapted.eval()(windows), trunk(windows), rtol=0, atol=1e-6
    )


def test_low_rank_adaptation_takes_attention_and_swiglu() -> None:
    made = model()
    add_lora(made.backbone, rank=2)
    names = {name.rpartition('.')[2] for name in lora_layers(made)}
    assert names == {'qkv', 'proj', 'fc1_g', 'fc1_x', 'fc2'}
    learns = {k for k, p in made.named_parameters() if p.requires_grad}
    assert {k for k in learns if '.lora_' not in k} == {'head.weight', 'head.bias'}


@pytest.mark.parametrize('name', ['lola_specvit', 'lola_specvit_tiny'])
def test_share_of_low_rank_adaptation(name: str) -> None:
    made: Any = get_model(name, num_classes=9)
    add_lora(made.backbone, rank=16, alpha=32)
    assert trainable_share(made) < 0.2


def test_low_rank_adaptation_is_merged_exactly() -> None:
    made = model().double()
    add_lora(made.backbone, rank=4, alpha=8)
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if '.lora_B.' in key:
                parameter.copy_(rand(*parameter.shape))
    windows = rand(6, BANDS, 9, 9).double()
    with torch.no_grad():
        before = made(windows)
        assert (before - model().double()(windows)).abs().max() > 1e-2
        assert merge_lora(made) == 15
        torch.testing.assert_close(made(windows), before, rtol=0, atol=1e-12)
    assert made.state_dict().keys() == model().state_dict().keys()


def test_state_is_all_there_is() -> None:
    # what is kept aside is not changed by training, and brings back the same outputs
    made, windows = model(), rand(4, BANDS, 9, 9)
    best = copy.deepcopy(made.state_dict())
    before = made(windows)
    with torch.no_grad():
        for tensor in (*made.parameters(), *made.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.1)
    assert not torch.allclose(made(windows), before)
    made.load_state_dict(best)
    assert torch.equal(made(windows), before)


@pytest.mark.parametrize('whiten', [0, 0.5, 1])
def test_components(whiten: float) -> None:
    # against a decomposition of the same pixels
    scales = torch.tensor([9.0, 5, 3, 2, 1, 0.5, 0.2, 0.1])[:, None, None]
    image = rand(BANDS, 30, 30) * scales
    made = LoLASpecViT(BANDS, 3, 9, **SMALL, whiten=whiten)
    made.fit_spectra([{'image': image}])
    found = made.reduce(image[None])[0].flatten(1).numpy()
    pixels = image.flatten(1).double().numpy().T
    pixels -= pixels.mean(axis=0)
    _, sizes, vectors = np.linalg.svd(pixels, full_matrices=False)
    deviation = sizes[:5] / np.sqrt(len(pixels))
    want = pixels @ vectors[:5].T / deviation
    want *= (deviation / deviation[0]) ** (1 - whiten)
    # the smallest component comes first, and signs are free
    np.testing.assert_allclose(np.abs(found[::-1].T), np.abs(want), atol=1e-4)
    again = made.reduction.projection.clone()  # type: ignore[union-attr]
    made.fit_spectra([{'image': rand(BANDS, 30, 30, seed=1)}])
    assert torch.equal(made.reduction.projection, again)  # type: ignore[union-attr]
    plain = LoLASpecViT(BANDS, 3, 9, **(SMALL | {'components': 0}))
    plain.fit_spectra([{'image': image}])
    assert plain.is_fitted


def test_band_dropout() -> None:
    drop, x = BandDropout(0.25), torch.ones(4000, 6, 1, 1)
    torch.manual_seed(0)
    found = drop(x)
    # 24000 draws, of which the mean has a deviation of 0.0037
    assert found.mean().item() == pytest.approx(1, abs=0.015)
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    whole = drop(torch.ones(50, 6, 3, 3)).flatten(2)
    assert torch.equal(whole.amin(dim=2), whole.amax(dim=2))
    assert torch.equal(drop.eval()(x), x)
    assert torch.equal(BandDropout(0)(x), x)


def test_trunk(tmp_path: Path) -> None:
    trunk, windows = model(), rand(4, BANDS, 9, 9)
    plain, wrapped = tmp_path / 'plain.pth', tmp_path / 'wrapped.ckpt'
    torch.save(trunk.state_dict(), plain)
    torch.save(
        {'state_dict': {f'model.{k}': v for k, v in trunk.state_dict().items()}},
        wrapped,
    )
    for path in (plain, wrapped):
        other = LoLASpecViT(BANDS, 7, 9, **SMALL)
        head = other.head.weight.detach().clone()
        other.load_trunk(path)
        assert other.is_fitted
        reduced = trunk.reduce(windows)
        assert torch.equal(other.reduce(windows), reduced)
        assert torch.equal(other.eval().backbone(reduced), trunk.backbone(reduced))
        assert torch.equal(other.head.weight, head)


def test_wrong_trunks(tmp_path: Path) -> None:
    trunk, path = model(), tmp_path / 'trunk.pth'
    torch.save(trunk.state_dict(), path)
    with pytest.raises(BandMismatchError, match='same in_channels'):
        LoLASpecViT(BANDS + 1, 3, 9, **SMALL).load_trunk(path)
    with pytest.raises(BandMismatchError, match='none'):
        LoLASpecViT(BANDS, 3, 9, **(SMALL | {'components': 0})).load_trunk(path)
    with pytest.raises(CorruptFileError, match='depths, dims and heads'):
        LoLASpecViT(BANDS, 3, 9, **(SMALL | {'depths': (1, 1)})).load_trunk(path)
    with pytest.raises(CorruptFileError, match='another shape'):
        LoLASpecViT(BANDS, 3, 15, **SMALL).load_trunk(path)
    add_lora(trunk.backbone, 2)
    torch.save(trunk.state_dict(), path)
    with pytest.raises(CorruptFileError, match='merge_lora'):
        model().load_trunk(path)
    torch.save({'layer.weight': torch.zeros(2)}, path)
    with pytest.raises(CorruptFileError, match='missing'):
        model().load_trunk(path)
    with pytest.raises(FileNotFoundError):
        model().load_trunk(tmp_path / 'none.pth')


def test_wrong_arguments() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({'depths': (1, 2, 3)}, 'same levels'),
        ({'heads': (5, 4)}, 'heads that divide'),
        ({'heads': (0, 4)}, 'heads that divide'),
        ({'depths': (0, 1)}, 'at least one block'),
        ({'attention_window': 0}, 'attention_window'),
        ({'band_dropout': 1.0}, 'band dropout'),
        ({'window': 8}, 'odd window'),
        ({'whiten': 1.5}, 'whiten from 0 to 1'),
    ]
    for words, message in wrong:
        with pytest.raises(ValueError, match=message):
            LoLASpecViT(BANDS, 3, **({'window': 9} | SMALL | words))
    with pytest.raises(BandMismatchError, match='components'):
        LoLASpecViT(3, 3, 9, **SMALL)
    with pytest.raises(BandMismatchError, match=r'\(batch, 8, 9, 9\)'):
        model()(rand(2, BANDS, 7, 7))
