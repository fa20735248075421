# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The mask, and what the encoder sees of an image."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightly.models import utils
from lightly.models.modules import MaskedVisionTransformerTIMM
from models.masked_autoencoder.small import BANDS, MODES, as_patches, images, make
from torch import nn

from torchgeo_hsi.models.masked_autoencoder._token_mask import (
    TokenMask,
    draw_ranges,
    draw_tokens,
    num_visible,
    pixel_index,
    sine_cosine_grid,
)
from torchgeo_hsi.models.masked_autoencoder.model import Masking


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
