# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The kinds of batches of a training, and their order."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from datamodules.superresolution.parts import BANDS, drawn, module
from helpers.trainers import quiet_trainer

from torchgeo_hsi.datamodules import HSISuperResolutionDataModule
from torchgeo_hsi.datamodules import _superresolution_batches as batches
from torchgeo_hsi.datamodules._superresolution_images import ColorImages
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
)
from torchgeo_hsi.models import Bicubic
from torchgeo_hsi.tasks import HSISuperResolution
from torchgeo_hsi.transforms import Downscale


def everything(root: Path, **options: Any) -> HSISuperResolutionDataModule:
    kinds = {
        'mixup': True,
        'rgb': str(root / 'photographs'),
        'coarse': str(root / 'c.tif'),
    }
    return module(root, **(kinds | options))


@pytest.mark.parametrize('damage', ['cut', 'noise', 'empty', 'huge', 'gray'])
def test_images_that_cannot_be_used(tmp_path: Path, damage: str) -> None:
    path = str(tmp_path / 'photo.tif')
    side, count = 20_000 if damage == 'huge' else 64, 1 if damage == 'gray' else 3
    profile = {'driver': 'GTiff', 'width': side, 'height': side, 'count': count}
    # blocks that are left out take no room
    sparse = {'tiled': True, 'sparse_ok': True, 'compress': 'deflate'}
    with rasterio.open(path, 'w', dtype='uint8', **profile, **sparse) as file:
        if damage != 'huge':
            file.write(np.random.default_rng(0).integers(0, 255, (count, 64, 64), 'u1'))
    content = Path(path).read_bytes()
    changed = {'cut': content[:-2000], 'noise': b'noise' * 99, 'empty': b''}
    Path(path).write_bytes(changed.get(damage, content))
    error = {'huge': MetadataError, 'gray': BandMismatchError}
    with pytest.raises(error.get(damage, CorruptFileError), match=r'photo\.tif'):
        ColorImages(path).read(0)


def test_kinds_come_as_often_as_the_cycle_says(root: Path) -> None:
    data = everything(root, length=10)
    data.setup('fit')
    sampler = data.train_sampler
    kinds = [[batch.kind for batch in sampler] for _ in range(8)]
    # five batches per epoch, eight per cycle, which epochs do not begin anew
    assert [len(epoch) for epoch in kinds] == [5] * 8
    order = [kind for epoch in kinds for kind in epoch]
    counts = {'spectral': 1, 'mixup': 1, 'rgb': 3, 'coarse': 3}
    for start in range(0, 40, 8):
        assert Counter(order[start : start + 8]) == counts
    assert order[:4] != ['rgb'] * 3 + ['coarse']
    cycle = {'rgb': 2, 'coarse': 0, 'mixup': 4}
    data = everything(root, cycle=cycle, length=28)
    found = Counter(batch.kind for batch in _sampler(data))
    assert found == {'spectral': 2, 'mixup': 8, 'rgb': 4}


def _sampler(data: HSISuperResolutionDataModule) -> Any:
    data.setup('fit')
    return data.train_sampler


def test_an_epoch_covers_the_cubes(root: Path) -> None:
    # 40 x 32 + 32 x 32 pixels in crops of 16 x 16
    assert len(_sampler(module(root, length=None, batch_size=1))) == 9
    assert len(_sampler(module(root, length=None, batch_size=1, mixup=True))) == 18


@pytest.mark.parametrize('workers', [0, 2])
def test_seed_tells_everything(root: Path, workers: int) -> None:
    found = []
    for count in (0, workers):
        torch.manual_seed(3)
        data = everything(root, num_workers=count, noise='gaussian_30', length=16)
        found.append(drawn(data))
    assert len(found[0]) == 8
    for one, other in zip(*found, strict=True):
        assert one['modality'] == other['modality']
        assert torch.equal(one['image'], other['image'])


def test_processes_train_with_the_same_kind(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler = _sampler(everything(root, length=64))
    shares = []
    for rank in range(2):
        for part in (batches, batches.EpochSampler.__iter__.__globals__):
            if isinstance(part, dict):
                monkeypatch.setitem(part, 'process_rank', lambda rank=rank: (rank, 2))
            else:
                monkeypatch.setattr(part, 'process_rank', lambda rank=rank: (rank, 2))
        sampler._is_agreed = True
        sampler.set_epoch(1)
        shares.append(list(sampler))
    assert [len(share) for share in shares] == [16, 16]
    assert [b.kind for b in shares[0]] == [b.kind for b in shares[1]]
    assert all(a.crops != b.crops for a, b in zip(*shares, strict=True))


def test_one_run_with_everything(root: Path, tmp_path: Path) -> None:
    """From files to a finer scene, with the task and the network of the paper."""
    torch.manual_seed(0)
    data = everything(
        root,
        val=str(root / 'c.tif'),
        test=str(root / 'c.tif'),
        predict=str(root / 'c.tif'),
        length=16,
        tile_size=16,
        overlap=8,
    )
    words = {'in_channels': BANDS, 'n_feats': 16}
    loss = {'l1': 1.0, 'spatial_tv': 1e-3, 'spectral_tv': 1e-3}
    task = HSISuperResolution('deepshare', words, loss=loss)
    trainer = quiet_trainer(tmp_path, max_epochs=2)
    trainer.fit(task, data)
    assert np.isfinite(float(trainer.callback_metrics['val_MPSNR']))
    (scores,) = trainer.test(task, data, verbose=False)
    with torch.no_grad():
        sample = data.test_dataset[0]
        plain = Bicubic(2)(sample['image'][None])[0]
    error = (plain - sample['target']).square().mean().sqrt()
    assert scores['test_bicubic_RMSE'] == pytest.approx(error.item(), rel=1e-4)
    tiles = trainer.predict(task, data)
    assert {tuple(tile['image'].shape[-2:]) for tile in tiles} == {(32, 32)}


def test_what_does_not_go_together(root: Path) -> None:
    for options, words in (
        ({'cycle': {'colour': 1}}, 'Expected a cycle of'),
        ({'cycle': {'rgb': -1}}, 'whole numbers'),
        ({'rgb_options': {'band': 1}}, 'Expected rgb_options out of'),
        ({'eval_patch_size': 15}, 'multiple of scale'),
        ({'patch_size': 0}, 'positive patch_size'),
        ({'tile_size': 12}, 'tile_size'),
        ({'degradation': 'cubic'}, 'Expected one of'),
        ({'degradation': Downscale(4)}, 'one of scale 4'),
        ({'degradation': Downscale(2), 'noise': 'gaussian_10'}, 'its own noise'),
    ):
        with pytest.raises(ValueError, match=words):
            module(root, **options)
    with pytest.raises(EmptyDataError, match='no batch of 2'):
        module(root, length=1).setup('fit')
    with pytest.raises(EmptyDataError, match='No batch is left'):
        module(root, cycle={'spectral': 0}).setup('fit')
    with pytest.raises(MetadataError, match='train=, got none'):
        module(root, train=None).setup('fit')
