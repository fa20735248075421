# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the masked autoencoder."""

import math
import time
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from lightly.models import utils
from lightly.models.modules import MaskedVisionTransformerTIMM
from torch import Tensor, nn

from torchgeo_hsi.errors import BandMismatchError
from torchgeo_hsi.models import use_bands
from torchgeo_hsi.models.masked_autoencoder._token_mask import (
    TokenMask,
    draw_ranges,
    draw_tokens,
    num_visible,
    pixel_index,
    sine_cosine_grid,
)
from torchgeo_hsi.models.masked_autoencoder.model import MaskedAutoencoder, Masking

BANDS, SIZE = 80, 16
MODES: tuple[Masking, ...] = ('spatial', 'spectral', 'both')
SMALL: dict[str, Any] = {'decoder_dim': 32, 'decoder_heads': 4}


def make_vit(name: str = 'spec_vit_tiny', bands: int = BANDS, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    plain: dict[str, Any] = {'patch_size': 4} if name.startswith('vit_') else {}
    if name.endswith('_wl'):
        plain['wavelength'] = np.linspace(0.42, 2.45, bands)
    words = {'img_size': SIZE, 'embed_dim': 24, 'depth': 2, 'num_heads': 3}
    return timm.create_model(
        name, in_chans=bands, num_classes=0, **(words | plain | kwargs)
    )


def make(name: str = 'spec_vit_tiny', **kwargs: Any) -> MaskedAutoencoder:
    words = {k: kwargs.pop(k) for k in ('bands', 'img_size') if k in kwargs}
    vit = make_vit(name, **words, **kwargs.pop('vit', {}))
    return MaskedAutoencoder(vit, **(SMALL | {'mask_ratio': 0.75} | kwargs))


def images(count: int = 3, bands: int = BANDS, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, bands, size, size, generator=generator)


def valid_pixels(count: int = 3, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    valid = torch.rand(count, size, size, generator=generator) > 0.3
    # a whole token, and all but one pixel of another one
    valid[0, :4, :4] = False
    valid[0, :4, 4:8] = False
    valid[0, 1, 5] = True
    return valid


def as_patches(image: np.ndarray, size: int = 4) -> np.ndarray:
    """Cut one image into patches by loops: pixel by pixel, bands last."""
    bands, height, width = image.shape
    rows = []
    for top in range(0, height, size):
        for left in range(0, width, size):
            patch = image[:, top : top + size, left : left + size]
            rows.append([patch[:, a, b] for a in range(size) for b in range(size)])
    return np.array(rows).reshape(-1, size * size, bands)


def loss_by_loops(
    found: Tensor, image: Tensor, mask: TokenMask, valid: Tensor, norm_pix: bool
) -> float:
    """Compute the loss from predictions of the asked tokens, one value at a time."""
    total, count = 0.0, 0
    for one in range(len(image)):
        patches = as_patches(image[one].numpy().astype(np.float64))
        good = as_patches(valid[one][None].numpy())[..., 0]
        hidden_tokens = set(mask.hidden[one].tolist())
        for place, token in enumerate(mask.asked[one].tolist()):
            values, ok = patches[token], good[token]
            if not ok.any():
                continue
            if norm_pix:
                numbers = values[ok].ravel()
                values = (values - numbers.mean()) / math.sqrt(
                    numbers.var(ddof=1) + 1e-6
                )
            for pixel in np.nonzero(ok)[0]:
                for band in range(values.shape[1]):
                    bands = mask.bands
                    if token not in hidden_tokens and not (
                        bands is not None and bands[one, band]
                    ):
                        continue
                    error = float(found[one, place, pixel, band]) - values[pixel, band]
                    total, count = total + error**2, count + 1
    return total / count


class TestMask:
    @pytest.mark.parametrize(
        ('tokens', 'ratio', 'count'),
        [(1024, 0.9, 102), (1024, 0.75, 256), (10, 0.9, 1), (4, 0.9, 1), (64, 0.5, 32)],
    )
    def test_ratio_is_exact(self, tokens: int, ratio: float, count: int) -> None:
        assert num_visible(tokens, ratio) == count
        keep, hidden = draw_tokens(5, tokens, ratio)
        assert keep.shape == (5, count)
        for seen, dark in zip(keep, hidden, strict=True):
            assert sorted([*seen.tolist(), *dark.tolist()]) == list(range(tokens))
        assert tokens < 64 or not torch.equal(keep[0], keep[1])

    def test_lightly_loses_a_token_to_rounding(self) -> None:
        # why we count by ourselves; 1 of 10 is to be seen, beside the class token
        keep, _ = utils.random_token_mask((1, 11), mask_ratio=0.9)
        assert keep.shape[1] == 1

    def test_each_token_is_as_likely(self) -> None:
        keep, _ = draw_tokens(4000, 8, 0.75, torch.Generator().manual_seed(0))
        share = torch.bincount(keep.flatten(), minlength=8) / 4000
        torch.testing.assert_close(share, torch.full((8,), 0.25), atol=0.03, rtol=0)

    @pytest.mark.parametrize(
        ('bands', 'ratio', 'ranges'),
        [
            (202, 0.5, 4),
            (202, 0.3, 1),
            (7, 0.9, 3),
            (10, 0.5, 5),
            (5, 0.2, 4),
            (3, 0.5, 9),
        ],
    )
    def test_ranges(self, bands: int, ratio: float, ranges: int) -> None:
        hidden = draw_ranges(50, bands, ratio, ranges)
        assert hidden.shape == (50, bands)
        count = min(max(round(bands * ratio), 1), bands - 1)
        assert (hidden.sum(dim=1) == count).all()
        edges = F.pad(hidden.int(), (1, 0)).diff(dim=1).clamp_min(0).sum(dim=1)
        assert edges.min() >= 1
        assert edges.max() <= ranges
        if ranges <= count and bands - count > ranges:
            assert edges.max() == ranges

    def test_ranges_are_everywhere_and_of_all_lengths(self) -> None:
        hidden = draw_ranges(20000, 12, 0.5, 2, torch.Generator().manual_seed(0))
        # brute force: every choice of lengths, and of places, is as likely
        want, cases = np.zeros(12), 0
        for first in range(1, 6):
            for before in range(7):
                for between in range(7 - before):
                    row = [0] * before + [1] * first + [0] * between + [1] * (6 - first)
                    want += np.array(row + [0] * (12 - len(row)))
                    cases += 1
        share = hidden.float().mean(dim=0).numpy()
        np.testing.assert_allclose(share, want / cases, atol=0.015)

    def test_generator(self) -> None:
        model = make(masking='both')
        first, second, third = (
            model.draw(images(), torch.Generator().manual_seed(seed))
            for seed in (3, 3, 4)
        )
        for one, two in zip(first, second, strict=True):
            assert torch.equal(one, two)
        assert not torch.equal(first.keep, third.keep)
        state = torch.get_rng_state()
        model.draw(images(), torch.Generator())
        assert torch.equal(state, torch.get_rng_state())

    def test_pixels_of_tokens(self) -> None:
        image = torch.arange(8 * 12.0).view(1, 8, 12)
        want = as_patches(image.numpy())[..., 0]
        index = pixel_index(torch.arange(6)[None], (4, 4), 3)[0]
        assert np.array_equal(index.flatten(1).numpy(), want)

    def test_positions_are_those_of_lightly(self) -> None:
        want = utils.get_2d_sine_cosine_positional_embedding(32, 5, cls_token=False)
        np.testing.assert_allclose(sine_cosine_grid(5, 5, 32), want, atol=1e-6)
        # which cannot do this
        assert sine_cosine_grid(2, 7, 32).unique(dim=0).shape == (14, 32)
        with pytest.raises(ValueError, match='multiple of 4, got 6'):
            sine_cosine_grid(2, 2, 6)


class TestEncoder:
    @pytest.mark.parametrize('masking', MODES)
    @pytest.mark.parametrize(
        ('name', 'vit'),
        [
            ('spec_vit_tiny', {}),
            (
                'spec_vit_tiny',
                {
                    'dynamic_img_size': False,
                    'class_token': False,
                    'global_pool': 'avg',
                    'fc_norm': False,
                },
            ),
            ('spec_vit_tiny', {'reg_tokens': 2}),
            ('spec_vit_tiny', {'no_embed_class': True, 'reg_tokens': 1}),
            ('spec_vit_tiny_wl', {}),
            ('vit_tiny_patch16_224', {'pre_norm': True}),
        ],
    )
    def test_visible_pixels_are_enough(
        self, name: str, vit: dict[str, Any], masking: Masking
    ) -> None:
        """Equals: all pixels through the adapter, then dropping tokens."""
        model = make(name, vit=vit, masking=masking).eval()
        image, net = images(), model.backbone
        if name == 'spec_vit_tiny':
            # statistics that are not 0 and 1
            net.train()(image)
            net.eval()
        mask = model.draw(image)
        if mask.bands is not None:
            assert model.band_signal is not None
            image = image.masked_fill(mask.bands[..., None, None], 0)
        found = model.encode(images(), mask)
        x = net._pos_embed(net.patch_embed(image))
        prefix = net.num_prefix_tokens
        keep = mask.keep[..., None].expand(-1, -1, 24)
        x = torch.cat((x[:, :prefix], x[:, prefix:].gather(1, keep)), dim=1)
        want = net.norm(net.blocks(net.norm_pre(x)))
        torch.testing.assert_close(found, want, atol=1e-6, rtol=1e-5)

    def test_equals_lightly(self) -> None:
        """One class token, a square: there lightly is right."""
        model = make().eval()
        peer = MaskedVisionTransformerTIMM(
            deepcopy(model.backbone),
            weight_initialization='skip',
            pos_embed_initialization='skip',
        ).eval()
        mask = model.draw(images())
        with_class = F.pad(mask.keep + 1, (1, 0))
        want = peer.encode(images(), idx_keep=with_class)
        found = model.encode(images(), mask)
        torch.testing.assert_close(found, want, atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize('size', [8, 20])
    def test_other_sizes_take_other_positions(self, size: int) -> None:
        model = make().eval()
        image, net = images(size=size), model.backbone
        every = torch.arange((size // 4) ** 2).expand(3, -1)
        found = model.encode(image, TokenMask(every, every[:, :0]))
        torch.testing.assert_close(
            found, net.forward_features(image), atol=1e-6, rtol=1e-5
        )
        assert model(image)[0].isfinite()

    def test_oblong_images(self) -> None:
        model = make(img_size=(8, 20)).eval()
        image = images()[..., :8, :].repeat(1, 1, 1, 2)[..., :20]
        assert model.grid(image) == (2, 5)
        mask = TokenMask(torch.tensor([[1, 7]] * 3), torch.tensor([[0, 5]] * 3))
        full, hidden = model.reconstruct(image, mask=mask)
        rows = hidden[0, 0].float()
        assert rows[:4, :4].all()
        assert rows[4:, :4].all()
        assert rows.sum() == 32
        assert torch.equal(full[~hidden], image[~hidden])

    @pytest.mark.parametrize('masking', MODES)
    def test_hidden_values_have_no_influence(self, masking: Masking) -> None:
        # smooth, so that no gradient vanishes by chance
        model = make(masking=masking, vit={'act_layer': nn.Tanh})
        image = images().requires_grad_()
        mask = model.draw(image)
        model.encode(image, mask).square().sum().backward()
        assert image.grad is not None
        _, hidden = model.reconstruct(images(), mask=mask)
        assert (image.grad[hidden] == 0).all()
        seen = image.grad[~hidden]
        assert (seen != 0).float().mean() > 0.9

    def test_signal_tells_which_bands_are_hidden(self) -> None:
        model = make(masking='spectral').eval()
        image = images(2)
        bands = torch.zeros(2, BANDS, dtype=torch.bool)
        bands[0, 10:20] = True
        bands[1, 40:50] = True
        image[:] = 0
        every = torch.arange(16).expand(2, -1)
        mask = TokenMask(every, every[:, :0], bands)
        # not in the beginning
        one, two = model.encode(image, mask)
        torch.testing.assert_close(one, two)
        assert model.band_signal is not None
        nn.init.normal_(model.band_signal.weight)
        one, two = model.encode(image, mask)
        assert (one - two).abs().mean() > 0.1

    def test_position_of_oneself_is_kept(self) -> None:
        """Tokens of the decoder know their place, in whatever order they are."""
        model = make().eval()
        mask = model.draw(images())
        tokens = model.encode(images(), mask)
        found = model.decoder(tokens, mask, (4, 4))
        # the plain way: tokens at their places, then all positions
        x = model.decoder.embed(tokens)
        places = torch.cat((torch.zeros(1, 32), sine_cosine_grid(4, 4, 32)))
        full = model.decoder.mask_token.repeat(3, 17, 1)
        index = F.pad(mask.keep + 1, (1, 0))[..., None].expand(-1, -1, 32)
        full = full.scatter(1, index, x) + places
        full = model.decoder.norm(model.decoder.blocks(full))[:, 1:]
        want = full.gather(1, mask.order[..., None].expand(-1, -1, 32))
        torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


class TestLoss:
    @pytest.mark.parametrize('norm_pix', [True, False])
    @pytest.mark.parametrize('masking', MODES)
    @pytest.mark.parametrize('nodata', [True, False])
    def test_by_hand(self, masking: Masking, norm_pix: bool, nodata: bool) -> None:
        model = make(masking=masking, norm_pix=norm_pix).eval()
        image = images() * 2 + 1
        mask = model.draw(image)
        valid = valid_pixels() if nodata else torch.ones(3, SIZE, SIZE).bool()
        given = valid if nodata else None
        loss, _ = model(image, given, mask)
        found = model.decode(model.encode(image, mask, given), mask, image)
        want = loss_by_loops(found.detach(), image, mask, valid, norm_pix)
        assert loss.item() == pytest.approx(want, rel=1e-5)

    def test_equals_lightly_without_nodata(self) -> None:
        model = make().eval()
        image = images()
        mask = model.draw(image)
        found = model.decode(model.encode(image, mask), mask, image).flatten(2)
        target = utils.get_at_index(utils.patchify(image, 4), mask.hidden)
        want = F.mse_loss(found, utils.normalize_mean_var(target))
        torch.testing.assert_close(model(image, mask=mask)[0], want)

    @pytest.mark.parametrize('number', [7e8, math.nan, math.inf])
    @pytest.mark.parametrize('masking', MODES)
    def test_nodata_has_no_influence(self, masking: Masking, number: float) -> None:
        model = make(masking=masking)
        valid = valid_pixels()
        mask = model.draw(images())
        losses, grads, figures = [], [], []
        for value in (0.0, number):
            image = images().masked_fill(~valid.unsqueeze(1), value)
            model.zero_grad()
            twin = deepcopy(model)
            loss, _ = twin(image, valid, mask)
            loss.backward()
            losses.append(loss)
            grads.append([p.grad for p in twin.parameters()])
            full, _ = twin.eval().reconstruct(image, valid, mask)
            figures.append(full.masked_fill(~valid.unsqueeze(1), 0))
        assert losses[0].isfinite()
        torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=0)
        torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=0)
        torch.testing.assert_close(figures[0], figures[1], rtol=0, atol=0)

    def test_nothing_is_valid(self) -> None:
        model = make()
        loss, _ = model(images(), torch.zeros(3, SIZE, SIZE, dtype=torch.bool))
        assert loss.item() == 0
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())

    @pytest.mark.parametrize('masking', MODES)
    @pytest.mark.parametrize('name', ['spec_vit_tiny', 'spec_vit_tiny_wl'])
    def test_all_parameters_learn(self, name: str, masking: Masking) -> None:
        model = make(name, masking=masking)
        model(images())[0].backward()
        idle = {n for n, p in model.named_parameters() if p.grad is None}
        assert not idle

    def test_average_pooling_normalizes(self) -> None:
        model = make(vit={'global_pool': 'avg'})
        model(images())[0].backward()
        assert not [n for n, p in model.named_parameters() if p.grad is None]

    def test_features(self) -> None:
        model = make().eval()
        mask = model.draw(images())
        _, features = model(images(), mask=mask)
        want = model.encode(images(), mask)[:, 1:].mean(dim=1)
        torch.testing.assert_close(features, want)


class TestReconstruct:
    @pytest.mark.parametrize('masking', MODES)
    def test_perfect_predictions_give_the_image(self, masking: Masking) -> None:
        model, image = make(masking=masking), images() * 3 + 2
        mask = model.draw(image)
        target = model._target(image, None, mask).values
        model.decode = lambda *_: target  # type: ignore[method-assign]
        full, hidden = model.reconstruct(image, mask=mask)
        torch.testing.assert_close(full, image, atol=1e-4, rtol=1e-4)
        share = {'spatial': 0.75, 'spectral': 0.5, 'both': 0.875}[masking]
        assert hidden.float().mean() == share

    def test_what_is_seen_stays(self) -> None:
        model, image = make(masking='both').eval(), images()
        full, hidden = model.reconstruct(image)
        assert torch.equal(full[~hidden], image[~hidden])
        assert (full[hidden] != image[hidden]).float().mean() > 0.99


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
    ('masking', 'factor'), [('spatial', 3.0), ('spectral', 4.5), ('both', 2.5)]
)
def test_learns(masking: Masking, factor: float) -> None:
    torch.manual_seed(0)
    model = make(
        masking=masking, mask_ratio=0.5, decoder_dim=64, norm_pix=False, initialize=True
    )
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.9, 0.95))
    losses = []
    for step in range(120):
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
