# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising with noise maps, and from noisy images alone."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from tasks.restoration import BANDS, Pairs, denoising, loader, trainer
from torch import Tensor

from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnitError
from torchgeo_hsi.metrics import mpsnr

pytestmark = pytest.mark.usefixtures('small_networks')


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (torch.tensor(20.0), torch.full((4, BANDS), 20.0)),
        (torch.arange(8.0), torch.arange(8.0).expand(4, BANDS)),
    ],
)
def test_noise_maps_are_told_the_level_of_samples(
    tmp_path: Path, given: Tensor, expected: Tensor
) -> None:
    # that of the samples counts more than that of the task
    denoiser = denoising(model_kwargs={'noise_map': True}, sigma=7.0)
    run = trainer(tmp_path)
    run.test(denoiser, loader(Pairs(4)), verbose=False)
    torch.testing.assert_close(denoiser.model.sigma, torch.full((4, BANDS), 7.0))
    pairs = Pairs(4)
    pairs.more['sigma'] = given
    run.test(denoiser, loader(pairs), verbose=False)
    torch.testing.assert_close(denoiser.model.sigma, expected)


def test_noise_of_values_and_bands(tmp_path: Path) -> None:
    denoiser = denoising(
        model_kwargs={'noise_map': True}, sigma=[float(b) for b in range(8)]
    )
    run = trainer(tmp_path)
    # as many images as bands: still one number for each band
    run.test(denoiser, loader(Pairs(8), 8), verbose=False)
    torch.testing.assert_close(denoiser.model.sigma, torch.arange(8.0).expand(8, 8))
    level = torch.rand(BANDS, 16, 16)
    pairs = Pairs(2)
    pairs.more['sigma'] = level
    run.test(denoiser, loader(pairs, 2), verbose=False)
    assert torch.equal(denoiser.model.sigma, level.expand(2, -1, -1, -1))
    pairs.more['sigma'] = torch.ones(BANDS + 1)
    with pytest.raises(BandMismatchError, match='Expected sigma of shape'):
        run.test(denoiser, loader(pairs, 2), verbose=False)


def test_noise_maps_have_to_be_told(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match='Pass sigma'):
        trainer(tmp_path).test(
            denoising(model_kwargs={'noise_map': True}), loader(Pairs()), verbose=False
        )
    # a network without such a map is never told
    blind = denoising(sigma=7.0)
    trainer(tmp_path).test(blind, loader(Pairs()), verbose=False)
    assert blind.model.sigma is None


@pytest.mark.parametrize('supervision', ['recorrupted', 'neighbors'])
def test_learns_from_noise_alone(tmp_path: Path, supervision: Any) -> None:
    seed_everything(0)
    # pixels have to resemble their neighbors
    smooth = {'size': 32, 'sigma': 40.0}
    denoiser = denoising(supervision=supervision)
    often = {'check_val_every_n_epoch': 25}
    run = trainer(tmp_path, epochs=25, gradient_clip_val=1.0, **often)
    truth = Pairs(8, seed=1, **smooth)
    run.fit(denoiser, loader(Pairs(16, clean=False, **smooth)), loader(truth))
    noisy = mpsnr(truth.image, truth.target).mean()
    assert (run.callback_metrics['val_MPSNR'] - noisy).item() > 2.5


def test_learning_from_noise_needs_no_target(tmp_path: Path) -> None:
    noisy = loader(Pairs(4, clean=False))
    run = trainer(tmp_path)
    run.fit(denoising(supervision='neighbors'), noisy, noisy)
    assert run.callback_metrics['val_loss'] > 0
    assert 'val_MPSNR' not in run.callback_metrics
    (scores,) = run.validate(denoising(supervision='neighbors'), noisy, verbose=False)
    assert scores['val_loss'] > 0
    with pytest.raises(MetadataError, match='pairs of image and target'):
        run.test(denoising(supervision='neighbors'), noisy, verbose=False)
    with pytest.raises(MetadataError, match='supervision="recorrupted"'):
        trainer(tmp_path).fit(denoising(), noisy)


def test_noise_maps_are_told_of_added_noise(tmp_path: Path) -> None:
    denoiser = denoising(
        supervision='recorrupted', model_kwargs={'noise_map': True}, sigma=20.0
    )
    trainer(tmp_path).fit(denoiser, loader(Pairs(4, clean=False)))
    level = torch.full((4, BANDS), 20 * math.sqrt(1.25))
    torch.testing.assert_close(denoiser.model.sigma, level)


@pytest.mark.parametrize('sigma', [-3, [10.0, -1.0], math.nan, [math.inf], []])
def test_sigma_is_checked(sigma: Any) -> None:
    with pytest.raises(UnitError, match='finite sigma of at least 0'):
        denoising(sigma=sigma)
