# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the pansharpening task."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.errors import BandMismatchError, MetadataError, UnknownNameError
from torchgeo_hsi.metrics import d_lambda_k, d_rho, ergas, mean_spectral_angle, q2n
from torchgeo_hsi.models import EXP, GSA
from torchgeo_hsi.physics.resampling import mtf_decimate
from torchgeo_hsi.tasks import HSIPansharpening

RATIO, BANDS, SIZE = 3, 4, 12


class Pairs(Dataset[dict[str, Tensor]]):
    """Pairs of squares whose brightness differs between bands."""

    def __init__(self, count: int = 4, reduced: bool = True, **more: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.rand(count, 1, 9, 9, generator=generator)
        fine = torch.nn.functional.interpolate(coarse, (RATIO * SIZE,) * 2)
        spectrum = torch.tensor([1.0, 1.5, 2.0, 3.0])[:, None, None]
        truth = 1000 + 1000 * fine * spectrum
        self.pan = truth[:, :3].mean(1, keepdim=True)
        self.target = truth
        self.image = mtf_decimate(truth, 0.3, RATIO)
        self.reduced, self.more = reduced, more

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = {'image': self.image[index], 'pan': self.pan[index]}
        if self.reduced:
            sample['target'] = self.target[index]
        return sample | {key: value[index] for key, value in self.more.items()}


def loader(pairs: Pairs, batch_size: int = 2) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(pairs, batch_size=batch_size)


def trainer(folder: Path, epochs: int = 1, **options: Any) -> Trainer:
    words = {'max_epochs': epochs, 'num_sanity_val_steps': 0}
    return quiet_trainer(folder, **(words | options))


def network(**options: Any) -> HSIPansharpening:
    words = {'in_channels': BANDS, 'scale': 10_000.0}
    return HSIPansharpening('hspenet', words, ratio=RATIO, lr=1e-3, **options)


def test_networks_learn(tmp_path: Path) -> None:
    seed_everything(0)
    task, pairs = network(data_range=5000.0), Pairs(8)
    run = trainer(tmp_path, epochs=30, check_val_every_n_epoch=30)
    run.fit(task, loader(pairs, 4), loader(pairs, 4))
    scores = run.callback_metrics
    expected = ergas(EXP()(pairs.image, pairs.pan), pairs.target, ratio=RATIO).mean()
    assert scores['val_ERGAS'] < 0.7 * expected
    assert {'train_loss', 'val_loss', 'val_Q2n', 'val_SAM_deg', 'val_CC'} <= set(scores)


def test_scores_are_those_of_the_output(tmp_path: Path) -> None:
    pairs = Pairs()
    task = HSIPansharpening('gsa', ratio=RATIO)
    (scores,) = trainer(tmp_path).test(task, loader(pairs), verbose=False)
    for prefix, model in (('test_', GSA()), ('test_exp_', EXP())):
        image = model(pairs.image, pairs.pan)
        both = image, pairs.target
        for name, value in (
            ('ERGAS', ergas(*both, ratio=RATIO)),
            ('SAM_deg', mean_spectral_angle(*both, unit='degrees')),
            ('Q2n', q2n(*both)),
        ):
            assert scores[prefix + name] == pytest.approx(float(value.mean()), rel=1e-4)
    assert scores['test_ERGAS'] < scores['test_exp_ERGAS']


def test_scores_without_a_truth(tmp_path: Path) -> None:
    pairs = Pairs(reduced=False)
    task = HSIPansharpening('gsa', ratio=RATIO)
    (scores,) = trainer(tmp_path).test(task, loader(pairs), verbose=False)
    image = GSA()(pairs.image, pairs.pan)
    expected = d_lambda_k(image, pairs.image).mean()
    assert scores['test_full_D_lambda_K'] == pytest.approx(float(expected), rel=1e-4)
    expected = d_rho(image, pairs.image, pairs.pan).mean()
    assert scores['test_full_D_rho'] == pytest.approx(float(expected), rel=1e-4)
    assert scores['test_full_D_rho'] < scores['test_full_exp_D_rho']
    assert 'test_ERGAS' not in scores


def test_invalid_pixels_count_nowhere(tmp_path: Path) -> None:
    valid = torch.ones(4, SIZE, SIZE, dtype=torch.bool)
    valid[:, 3:5, 2:4] = False
    pan_valid = torch.ones(4, RATIO * SIZE, RATIO * SIZE, dtype=torch.bool)
    pan_valid[:, 20:22, 5:9] = False
    found = []
    for value in (0.0, torch.nan):
        pairs = Pairs(valid=valid, pan_valid=pan_valid)
        fine = ~valid.repeat_interleave(RATIO, 1).repeat_interleave(RATIO, 2)
        pairs.image.masked_fill_(~valid[:, None], value)
        pairs.target.masked_fill_((fine | ~pan_valid)[:, None], value)
        pairs.pan.masked_fill_(~pan_valid[:, None], value)
        task = HSIPansharpening('gsa', ratio=RATIO)
        (scores,) = trainer(tmp_path).test(task, loader(pairs), verbose=False)
        found.append(scores)
    assert found[0] == found[1]
    assert torch.tensor(list(found[0].values())).isfinite().all()


def _tiles(pairs: Pairs, half: int) -> list[dict[str, Tensor]]:
    """Cut one pair into two tiles that lie side by side and overlap."""
    tiles = []
    for start, stop in ((0, half + 2), (half - 2, SIZE)):
        fine = slice(RATIO * start, RATIO * stop)
        place = torch.tensor([30.0, 0, 30.0 * start, 0, -30.0, 0, 0, 0, 1])
        tiles.append(
            {
                'image': pairs.image[0, :, :, start:stop],
                'pan': pairs.pan[0, :, :, fine],
                'transform': place,
            }
        )
    return tiles


def test_tiles_of_prediction_share_statistics(tmp_path: Path) -> None:
    pairs = Pairs(1)
    tiles = _tiles(pairs, SIZE // 2)
    task = HSIPansharpening('gsa', ratio=RATIO)
    data: Any = DataLoader(tiles, batch_size=1)  # type: ignore[arg-type]
    predictions = trainer(tmp_path).predict(task, data)
    assert predictions is not None
    whole = GSA()(pairs.image, pairs.pan)[0]
    left, right = (p['image'][0] for p in predictions)
    error = [
        (left[..., :15] - whole[..., :15]).abs().mean(),
        (right[..., -15:] - whole[..., -15:]).abs().mean(),
    ]
    alone = GSA()(tiles[0]['image'][None], tiles[0]['pan'][None])[0]
    assert max(error) < 0.7 * (alone[..., :15] - whole[..., :15]).abs().mean()
    assert predictions[0]['transform'].shape == (1, 9)
    assert not task.model.is_settled


def test_tiles_without_data_are_zeros(tmp_path: Path) -> None:
    valid = torch.ones(4, SIZE, SIZE, dtype=torch.bool)
    valid[1] = False
    pairs = Pairs(reduced=False, valid=valid)
    pairs.image[1] = torch.nan
    task = HSIPansharpening('gsa', ratio=RATIO)
    predictions = trainer(tmp_path).predict(task, loader(pairs))
    assert predictions is not None
    assert (predictions[0]['image'][1] == 0).all()
    assert (predictions[0]['image'][0] > 100).all()


def test_wavelengths_reach_the_method() -> None:
    task = HSIPansharpening('exp')
    pairs = Pairs(1)
    batch = {'image': pairs.image, 'pan': pairs.pan}
    task(batch | {'wavelength': torch.tensor([[0.4, 0.5, 0.6, 0.7]])})
    assert task.model.wavelength == pytest.approx([0.4, 0.5, 0.6, 0.7])


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match='method of pansharpening'):
        HSIPansharpening('hsdt_s')
    with pytest.raises(UnknownNameError, match='Did you mean gsa'):
        HSIPansharpening('gsaa')
    with pytest.raises(ValueError, match='positive data_range'):
        HSIPansharpening(data_range=0.0)
    with pytest.raises(ValueError, match='nothing to learn'):
        trainer(tmp_path).fit(HSIPansharpening('gsa'), loader(Pairs()))
    task = network()
    with pytest.raises(MetadataError, match='at reduced resolution'):
        task.training_step({'image': Pairs().image, 'pan': Pairs().pan}, 0)
    with pytest.raises(MetadataError, match='pairs of image and pan'):
        task({'image': Pairs().image})
    with pytest.raises(BandMismatchError, match='whole number of times'):
        task({'image': Pairs().image, 'pan': Pairs().pan[..., 1:]})
