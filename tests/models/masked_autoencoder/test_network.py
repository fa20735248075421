# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The masked autoencoder as a network like others."""

import math
import time
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from models.masked_autoencoder.small import (
    BANDS,
    MODES,
    SIZE,
    SMALL,
    images,
    make,
    make_vit,
    valid_pixels,
)
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import use_bands
from torchgeo_hsi.models.masked_autoencoder._token_mask import (
    TokenMask,
    sine_cosine_grid,
)
from torchgeo_hsi.models.masked_autoencoder.model import MaskedAutoencoder, Masking


class TestWavelengths:
    def test_other_bands(self) -> None:
        """The weights of one sensor take and predict the bands of another one."""
        model = make('spec_vit_tiny_wl', masking='both')
        other = torch.linspace(0.45, 2.3, 30)
        image = images(bands=30)
        with use_bands(model.backbone, {'wavelength': other}):
            loss, _ = model(image)
            full, _ = model.reconstruct(image)
        assert loss.isfinite()
        assert full.shape == image.shape
        with pytest.raises(BandMismatchError, match='30'):
            model(image)

    def test_images_with_bands_of_their_own(self) -> None:
        model = make('spec_vit_tiny_wl').eval()
        waves = torch.stack([torch.linspace(0.4, top, 30) for top in (1.0, 1.7, 2.4)])
        image = images(bands=30)
        mask = model.draw(image)
        with use_bands(model.backbone, {'wavelength': waves}):
            found = model.decode(model.encode(image, mask), mask, image)
        for one in range(3):
            alone = TokenMask(mask.keep[one : one + 1], mask.hidden[one : one + 1])
            part = image[one : one + 1]
            with use_bands(model.backbone, {'wavelength': waves[one]}):
                want = model.decode(model.encode(part, alone), alone, part)
            torch.testing.assert_close(found[one], want[0], atol=1e-5, rtol=1e-4)

    def test_predictions_are_functions_of_wavelength(self) -> None:
        model = make('spec_vit_tiny_wl').eval()
        image = images()
        mask = model.draw(image)
        waves = torch.linspace(0.42, 2.45, BANDS)
        turn = torch.randperm(BANDS)
        with use_bands(model.backbone, {'wavelength': waves}):
            want = model.decode(model.encode(image, mask), mask, image)
        with use_bands(model.backbone, {'wavelength': waves[turn]}):
            image = image[:, turn]
            found = model.decode(model.encode(image, mask), mask, image)
        torch.testing.assert_close(found, want[..., turn], atol=1e-5, rtol=1e-4)


class TestInitialize:
    def test_weights_are_kept_unless_asked(self) -> None:
        vit = make_vit()
        want = {key: value.clone() for key, value in vit.state_dict().items()}
        found = MaskedAutoencoder(vit, **SMALL).backbone.state_dict()
        assert all(torch.equal(want[key], found[key]) for key in want)

    def test_as_the_paper(self) -> None:
        vit = make_vit(reg_tokens=1)
        adapter = {k: v.clone() for k, v in vit.spectral_adapter.state_dict().items()}
        model = MaskedAutoencoder(vit, **SMALL, initialize=True)
        torch.testing.assert_close(vit.pos_embed[0, 2:], sine_cosine_grid(4, 4, 24))
        assert not vit.pos_embed[0, :2].any()
        # lightly freezes them
        assert vit.pos_embed.requires_grad
        weight = vit.blocks[0].mlp.fc1.weight
        bound = math.sqrt(6 / sum(weight.shape))
        assert weight.abs().max() <= bound
        assert weight.abs().max() > 0.9 * bound
        proj = vit.patch_embed.proj.weight
        assert proj.abs().max() <= math.sqrt(6 / (24 + 128 * 16))
        state = vit.spectral_adapter.state_dict()
        assert all(torch.equal(adapter[key], state[key]) for key in adapter)
        assert 'backbone.pos_embed' in dict(model.named_parameters())


class TestErrors:
    @pytest.mark.parametrize(
        'name',
        ['resnet18', 'spec_resnet18', 'swin_tiny_patch4_window7_224', 'mixer_s16_224'],
    )
    def test_no_vision_transformer(self, name: str) -> None:
        net = timm.create_model(name, in_chans=BANDS, num_classes=0)
        with pytest.raises(
            TypeError, match=r'plain vision transformer.*spec_vit_small'
        ):
            MaskedAutoencoder(net)

    @pytest.mark.parametrize(
        'vit', [{'pos_embed': 'none'}, {'global_pool': 'map'}], ids=str
    )
    def test_odd_vision_transformers(self, vit: dict[str, Any]) -> None:
        with pytest.raises(TypeError, match='position embeddings, and pooling'):
            make(vit=vit)

    @pytest.mark.parametrize('size', [15, 18])
    def test_sides_that_are_no_multiple(self, size: int) -> None:
        with pytest.raises(ValueError, match=rf'multiples of 4.*got {size} x {size}'):
            make()(images(size=size))

    def test_fixed_size(self) -> None:
        with pytest.raises(
            ValueError, match=r'takes images of 16 x 16.*img_size=\(8, 8\)'
        ):
            make(vit={'dynamic_img_size': False})(images(size=8))

    def test_shape(self) -> None:
        with pytest.raises(
            BandMismatchError, match=r'\(B, C, H, W\), got \(80, 16, 16\)'
        ):
            make()(images()[0])

    def test_bands(self) -> None:
        with pytest.raises(BandMismatchError, match='built for 80 bands, got 90'):
            make()(images(bands=90))

    @pytest.mark.parametrize(
        'option',
        [
            {'masking': 'temporal'},
            {'mask_ratio': 1.0},
            {'mask_ratio': 0.0},
            {'spectral_ratio': 1.5},
            {'spectral_ranges': 0},
            {'decoder_dim': 30},
            {'decoder_heads': 5},
        ],
        ids=str,
    )
    def test_options(self, option: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match='Expected'):
            make(**option)


def smooth(count: int, seed: int) -> Tensor:
    """Spectra of few materials, in fields that change slowly."""
    generator = torch.Generator().manual_seed(seed)
    wave = torch.linspace(0, 1, BANDS)
    spectra = torch.stack([torch.sin((k + 1) * 2 * wave + k) for k in range(3)])
    share = torch.randn(count, 3, 2, 2, generator=generator)
    share = F.interpolate(share, size=SIZE, mode='bilinear')
    image = torch.einsum('nkhw,kc->nchw', share, spectra)
    return image / image.std(dim=(0, 2, 3), keepdim=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('masking', 'steps', 'factor'),
    [('spatial', 100, 3.0), ('spectral', 40, 3.0), ('both', 100, 2.5)],
)
def test_learns(masking: Masking, steps: int, factor: float) -> None:
    torch.manual_seed(0)
    model = make(
        masking=masking, mask_ratio=0.5, decoder_dim=64, norm_pix=False, initialize=True
    )
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.9, 0.95))
    losses = []
    for step in range(steps):
        loss, _ = model(smooth(16, step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:2]) / factor


@pytest.mark.parametrize('masking', MODES)
@pytest.mark.parametrize('name', ['spec_vit_tiny', 'spec_vit_tiny_wl'])
def test_half_precision(name: str, masking: Masking) -> None:
    model = make(name, masking=masking)
    valid = valid_pixels()
    want, _ = model(images(), valid, mask := model.draw(images()))
    with torch.autocast('cpu', torch.bfloat16):
        loss, _ = model(images(), valid, mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, want, rtol=0.02, atol=0)
    loss.backward()
    half = deepcopy(model).bfloat16()
    loss, _ = half(images().bfloat16(), valid, mask)
    torch.testing.assert_close(loss, want, rtol=0.03, atol=0)
    full, _ = half.reconstruct(images().bfloat16(), valid, mask)
    assert full.isfinite().all()


def test_checkpointing_changes_nothing() -> None:
    model = make().eval()
    mask = model.draw(images())
    grads = []
    for enable in (False, True):
        model.backbone.set_grad_checkpointing(enable)
        model.zero_grad()
        model(images(), mask=mask)[0].backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(*grads)


def test_copies_are_complete() -> None:
    model = make('spec_vit_tiny_wl')
    twin = deepcopy(model)
    assert twin._band_parts[0] is twin.backbone.spectral_adapter
    assert not any('_band_parts' in key for key in model.state_dict())


@pytest.mark.slow
def test_faster_than_running_the_adapter_on_everything() -> None:
    vit = make_vit(bands=202, img_size=64, embed_dim=192, num_heads=3)
    model = MaskedAutoencoder(vit, decoder_dim=64, decoder_heads=4)
    image = torch.randn(4, 202, 64, 64)
    mask = model.draw(image)

    def seconds(run: Any) -> float:
        times = []
        for _ in range(4):
            start = time.process_time()
            run().square().mean().backward()
            times.append(time.process_time() - start)
        return min(times)

    def plain() -> Tensor:
        tokens = vit._pos_embed(vit.patch_embed(image))[:, 1:]
        keep = mask.keep[..., None].expand(-1, -1, 192)
        found: Tensor = vit.norm(vit.blocks(tokens.gather(1, keep)))
        return found

    # 0.1 of the pixels; the rest of the network is small here
    assert seconds(lambda: model.encode(image, mask)) < 0.5 * seconds(plain)
