# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The loss over hidden patches, and what is put back together."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightly.models import utils
from models.masked_autoencoder.small import (
    MODES,
    SIZE,
    as_patches,
    images,
    make,
    valid_pixels,
)
from torch import Tensor

from torchgeo_hsi.models.masked_autoencoder._token_mask import TokenMask
from torchgeo_hsi.models.masked_autoencoder.model import Masking


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
