# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""SpecVisionTransformer: published layout, timm's interface, copies."""

import copy
import io
import pickle
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from timm.models import VisionTransformer
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import SpectralAdapter, SpecVisionTransformer

TINY: dict[str, Any] = {
    'in_chans': 80,
    'img_size': 32,
    'embed_dim': 24,
    'depth': 4,
    'num_heads': 3,
}


def tiny(**kwargs: Any) -> SpecVisionTransformer:
    torch.manual_seed(0)
    return SpecVisionTransformer(**{**TINY, **kwargs}).eval()


def images(size: int = 32, bands: int = 80) -> Tensor:
    return torch.rand(1, bands, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ('name', 'dim', 'depth', 'heads', 'parameters'),
    [
        ('tiny', 192, 12, 3, 5_985_344),
        ('small', 384, 12, 6, 22_531_328),
        ('base', 768, 12, 12, 87_473_792),
        ('large', 1024, 24, 16, 305_516_416),
        ('huge', 1280, 32, 16, 633_672_832),
        ('giant', 1536, 40, 24, 1_138_043_264),
    ],
)
def test_published_layout(
    name: str, dim: int, depth: int, heads: int, parameters: int
) -> None:
    with torch.device('meta'):
        model = timm.create_model(f'spec_vit_{name}')
    assert isinstance(model, VisionTransformer)
    assert sum(p.numel() for p in model.parameters()) == parameters
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert len(shapes) == 27 + 12 * depth
    assert shapes['cls_token'] == (1, 1, dim)
    assert shapes['pos_embed'] == (1, 1025, dim)
    assert shapes['patch_embed.proj.weight'] == (dim, 128, 4, 4)
    assert shapes[f'blocks.{depth - 1}.attn.qkv.weight'] == (3 * dim, dim)
    assert model.blocks[0].attn.num_heads == heads
    assert model.norm.eps == 1e-6


def test_is_a_transformer_over_the_adapter() -> None:
    model = tiny(num_classes=3)
    plain = VisionTransformer(
        img_size=32,
        patch_size=4,
        in_chans=128,
        num_classes=3,
        embed_dim=24,
        depth=4,
        num_heads=3,
    ).eval()
    state = model.state_dict()
    plain.load_state_dict(
        {k: v for k, v in state.items() if not k.startswith('spectral_adapter.')}
    )
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(model(x), plain(model.spectral_adapter(x)))


def test_trainers_see_the_number_of_bands() -> None:
    model = tiny()
    assert model.patch_embed.proj.in_channels == 80
    assert model.in_chans == 80
    # the projection alone takes bands, too
    assert model.patch_embed.proj(images()).shape == (1, 24, 8, 8)
    assert next(model.named_children())[0] == 'spectral_adapter'
    assert list(model.named_children())[-1][0] == 'head'
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names)) == len(list(model.parameters()))


@pytest.mark.parametrize('how', ['deepcopy', 'pickle', 'save'])
def test_copies_have_an_adapter_of_their_own(how: str) -> None:
    model, x = tiny(), images()
    if how == 'deepcopy':
        twin = copy.deepcopy(model)
    elif how == 'pickle':
        twin = pickle.loads(pickle.dumps(model))
    else:
        buffer = io.BytesIO()
        torch.save(model, buffer)
        buffer.seek(0)
        twin = torch.load(buffer, weights_only=False)
    with torch.no_grad():
        expected = model(x)
        torch.testing.assert_close(twin(x), expected)
        # changing one changes that one only
        twin.spectral_adapter[6].weight.mul_(2)
        assert not torch.allclose(twin(x), expected)
        torch.testing.assert_close(model(x), expected)


def test_another_adapter_is_taken_over() -> None:
    model, x = tiny(), images()
    other = SpectralAdapter(80).eval()
    with torch.no_grad():
        before = model(x)
        model.spectral_adapter = other
        assert not torch.allclose(model(x), before)
        model.spectral_adapter = nn.Sequential(other)
        assert torch.isfinite(model(x)).all()
    assert 'spectral_adapter.0.0.weight' in model.state_dict()


def test_to_moves_everything() -> None:
    model = tiny().double()
    assert model(images().double()).dtype == torch.float64
    model = tiny(device='meta')
    assert all(p.is_meta for p in model.parameters())


def test_any_size_of_image() -> None:
    model = timm.create_model('spec_vit_tiny', in_chans=80).eval()
    fixed = timm.create_model('spec_vit_tiny', in_chans=80, dynamic_img_size=False)
    fixed.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert model(images(64)).shape == (1, 192)
        assert model.forward_features(torch.rand(1, 80, 32, 64)).shape == (1, 129, 192)
        # at its own size the position embedding is used as it is
        torch.testing.assert_close(model(images(128)), fixed.eval()(images(128)))
    with pytest.raises(AssertionError, match="doesn't match model"):
        fixed(images(64))


@pytest.mark.parametrize('global_pool', ['token', 'avg'])
def test_pooling(global_pool: str) -> None:
    model = tiny(global_pool=global_pool, num_classes=3)
    x = images()
    with torch.no_grad():
        tokens = model.forward_features(x)
        pooled = tokens[:, 0] if global_pool == 'token' else tokens[:, 1:].mean(1)
        torch.testing.assert_close(model(x), model.head(model.fc_norm(pooled)))
    model.reset_classifier(7)
    assert model(x).shape == (1, 7)


def test_other_sizes() -> None:
    model = timm.create_model('spec_vit_tiny', in_chans=80, img_size=64, patch_size=8)
    assert model.pos_embed.shape == (1, 65, 192)
    assert model(images(64)).shape == (1, 192)


def test_set_input_size() -> None:
    model = tiny(dynamic_img_size=False)
    model.set_input_size(img_size=(64, 32))
    assert model.pos_embed.shape == (1, 16 * 8 + 1, 24)
    assert model(torch.rand(1, 80, 64, 32)).shape == (1, 24)
    model.set_input_size(patch_size=(8, 8))
    assert model.patch_embed.proj.weight.shape == (24, 128, 8, 8)
    assert model.patch_embed.proj.in_channels == 80
    assert model.pos_embed.shape == (1, 8 * 4 + 1, 24)
    assert model(torch.rand(1, 80, 64, 32)).shape == (1, 24)


def test_features_only() -> None:
    model = timm.create_model(
        'spec_vit_tiny', in_chans=80, features_only=True, out_indices=(2, 5, 11)
    ).eval()
    maps = model(images(64))
    assert [m.shape for m in maps] == [(1, 192, 16, 16)] * 3
    assert model.feature_info.reduction() == [4, 4, 4]


def test_intermediate_layers() -> None:
    model, x = tiny(dynamic_img_size=True), images(48)
    with torch.no_grad():
        (tokens,) = model.get_intermediate_layers(x, n=1, norm=True)
        torch.testing.assert_close(tokens, model.forward_features(x)[:, 1:])
        (grid,) = model.get_intermediate_layers(x, n=[1], reshape=True)
    assert grid.shape == (1, 24, 12, 12)


def test_other_number_of_bands() -> None:
    with pytest.raises(BandMismatchError, match=r'built for 80 bands, got 202.*=202'):
        tiny()(images(bands=202))
    with pytest.raises(BandMismatchError, match='at least 75 bands, got 13'):
        timm.create_model('spec_vit_small', in_chans=13)


def test_pretrained_tells_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r'No pretrained weights.*overlay'):
        timm.create_model('spec_vit_tiny', pretrained=True)


def test_layer_decay() -> None:
    model = tiny(num_classes=2)
    groups = param_groups_layer_decay(model, layer_decay=0.5)
    scale = {id(p): g['lr_scale'] for g in groups for p in g['params']}
    stem = [model.spectral_adapter[0].weight, model.patch_embed.proj.weight]
    assert {scale[id(p)] for p in stem} == {0.5**5}
    assert scale[id(model.head.weight)] == 1


def test_gradient_checkpointing_changes_nothing() -> None:
    model = tiny().train()
    x = torch.cat([images(), images().flip(1)])
    grads = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().mean().backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    for plain, checkpointed in zip(*grads, strict=True):
        torch.testing.assert_close(checkpointed, plain)


@pytest.mark.filterwarnings('ignore')
def test_trace_export_and_autocast() -> None:
    model, x = tiny(), images()
    with torch.no_grad():
        expected = model(x)
        for program in (
            torch.export.export(model, (x,)).module(),
            torch.jit.trace(model, x),
        ):
            torch.testing.assert_close(program(x), expected)
        with torch.autocast('cpu', torch.bfloat16):
            half = model(x)
    torch.testing.assert_close(half.float(), expected, rtol=0.1, atol=0.1)


def test_dpt() -> None:
    model = smp.DPT(
        encoder_name='tu-spec_vit_tiny', encoder_weights=None, in_channels=80, classes=3
    ).eval()
    with torch.no_grad():
        assert model(images(64)).shape == (1, 3, 64, 64)
