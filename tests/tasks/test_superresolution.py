# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the super-resolution task."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from tasks.restoration import BANDS, Half, loader, registered, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.callbacks import StagedTraining
from torchgeo_hsi.errors import (
    BandMismatchError,
    MetadataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.layers import ScenePool, self_ensemble
from torchgeo_hsi.losses import RestorationLoss
from torchgeo_hsi.metrics import (
    cross_correlation,
    ergas,
    mean_spectral_angle,
    mpsnr,
    mssim,
    rmse,
)
from torchgeo_hsi.models import Bicubic, SuperResolver
from torchgeo_hsi.physics.resampling import imresize_down, imresize_up
from torchgeo_hsi.physics.rgb import conversion_matrix
from torchgeo_hsi.tasks import HSISuperResolution

SIZE = 16
WAVELENGTH = torch.linspace(0.42, 0.70, BANDS)


class Convolutions(SuperResolver):
    """What two convolutions add to interpolation, in two branches."""

    rgb_channels = 4

    def __init__(self, scale: int = 2, branches: bool = True) -> None:
        super().__init__(scale)
        self.spectral = self._branch(BANDS)
        self.rgb = self._branch(self.rgb_channels)

    @staticmethod
    def _branch(bands: int) -> nn.Module:
        options: dict[str, Any] = {'padding': 1, 'padding_mode': 'reflect'}
        last = nn.Conv2d(32, bands, 3, **options)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Conv2d(bands, 32, 3, **options), nn.ReLU(), last)

    def enlarge(self, image: Tensor, modality: str = 'spectral') -> Tensor:
        up = imresize_up(image, self.scale)
        branch = self.rgb if modality == 'rgb' else self.spectral
        fine: Tensor = up + branch(up)
        return fine


class Plain(Convolutions):
    """The same without a branch for colors."""

    def enlarge(self, image: Tensor) -> Tensor:  # type: ignore[override]
        return super().enlarge(image)


class WithoutMean(SuperResolver):
    """Takes the mean of the scene away."""

    needs_scene = True

    def __init__(self, scale: int = 2) -> None:
        super().__init__(scale)
        self.pool = ScenePool()

    def enlarge(self, image: Tensor) -> Tensor:
        return imresize_up(image - self.pool(image)[..., None, None], self.scale)


def plain_network(scale: int = 2) -> Plain:
    return Plain(scale)


@pytest.fixture(autouse=True)
def models() -> Iterator[None]:
    with registered(
        convolutions=Convolutions,
        plain=plain_network,
        without_mean=WithoutMean,
        half=Half,
    ):
        yield


class Pairs(Dataset[dict[str, Tensor]]):
    """Sharp squares of a few spectra, and what is left of them."""

    def __init__(self, count: int = 8, seed: int = 0, **more: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, 3, 11, 11, generator=generator)
        fine = nn.functional.interpolate(coarse, (2 * SIZE,) * 2)
        spectra = torch.rand(3, BANDS, generator=torch.Generator().manual_seed(99))
        self.target = torch.einsum('nkhw,kc->nchw', fine, spectra) / 2
        self.image = imresize_down(self.target, 2)
        self.more = more

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = {'image': self.image[index], 'target': self.target[index]}
        return sample | self.more


def task(**options: Any) -> HSISuperResolution:
    return HSISuperResolution(**({'model': 'convolutions', 'lr': 3e-3} | options))


def test_fit_beats_interpolation(tmp_path: Path) -> None:
    seed_everything(0)
    pairs, held_back = Pairs(32), Pairs(seed=1)
    run, network = trainer(tmp_path, epochs=20, check_val_every_n_epoch=20), task()
    run.fit(network, loader(pairs), loader(held_back))
    bicubic = mpsnr(imresize_up(held_back.image, 2), held_back.target).mean()
    scores = run.callback_metrics
    assert scores['val_MPSNR'] > bicubic + 0.5
    names = ('MSSIM', 'SAM_deg', 'ERGAS', 'CC', 'RMSE', 'loss')
    assert {'train_loss', *(f'val_{name}' for name in names)} <= scores.keys()


@pytest.mark.parametrize('ensemble', [False, True])
def test_scores_are_those_of_the_output(tmp_path: Path, ensemble: bool) -> None:
    torch.manual_seed(0)
    pairs, network = Pairs(6), task(ensemble=ensemble)
    nn.init.normal_(network.model.spectral[2].weight, std=0.1)
    (scores,) = trainer(tmp_path).test(network, loader(pairs), verbose=False)
    with torch.no_grad():
        model = network.model.eval()
        enlarged = self_ensemble(model, pairs.image) if ensemble else model(pairs.image)
    for prefix, image in (
        ('test_', enlarged),
        ('test_bicubic_', imresize_up(pairs.image, 2)),
    ):
        both = image, pairs.target
        expected = {
            'MPSNR': mpsnr(*both),
            'MSSIM': mssim(*both),
            'SAM_deg': mean_spectral_angle(*both, unit='degrees'),
            'ERGAS': ergas(*both, ratio=2),
            'CC': cross_correlation(*both),
            'RMSE': rmse(*both),
        }
        for name, value in expected.items():
            assert scores[prefix + name] == pytest.approx(value.mean().item(), rel=1e-4)
    error = (enlarged - pairs.target).abs().mean().item()
    assert scores['test_loss'] == pytest.approx(error, rel=1e-5)


def test_invalid_pixels_count_nowhere(tmp_path: Path) -> None:
    valid = torch.ones(SIZE, SIZE, dtype=torch.bool)
    valid[:, 12:] = False
    fine = torch.ones(2 * SIZE, 2 * SIZE, dtype=torch.bool)
    fine[:5] = False
    found = []
    for value in (0.0, torch.nan):
        pairs = Pairs(4, valid=valid, target_valid=fine)
        pairs.image[..., 12:] = value
        pairs.target[..., 24:] = value
        pairs.target[..., :5, :] = value
        run = trainer(tmp_path)
        found += run.test(task(model='bicubic'), loader(pairs), verbose=False)
    assert found[0] == found[1]
    assert np.isfinite(list(found[0].values())).all()
    # an image without any data does no harm
    pairs = Pairs(4, valid=torch.zeros_like(valid))
    network = task()
    trainer(tmp_path).fit(network, loader(pairs))
    assert all(p.isfinite().all() for p in network.parameters())


def batches(*content: dict[str, Any]) -> DataLoader[Any]:
    """Return a loader of batches that are made already."""
    return DataLoader(list(content), batch_size=None)  # type: ignore[arg-type]


def colors(count: int = 4) -> dict[str, Any]:
    pairs = Pairs(count)
    image, target = pairs.image[:, :4], pairs.target[:, :4]
    return {'image': image, 'target': target, 'modality': 'rgb'}


def coarse(count: int = 4) -> dict[str, Any]:
    wavelength = WAVELENGTH.expand(count, -1)
    image = Pairs(count).image
    return {'image': image, 'wavelength': wavelength, 'modality': 'coarse'}


def changed(before: dict[str, Tensor], network: HSISuperResolution) -> set[str]:
    """Name the branches that have learned."""
    after = network.state_dict()
    names = [n for n, v in before.items() if not torch.equal(v, after[n])]
    return {name.split('.')[1] for name in names}


def copy_of(network: HSISuperResolution) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_each_kind_of_batch_trains_its_branch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pairs = Pairs(4)
    spectral = {'image': pairs.image, 'target': pairs.target}
    for batch, expected in (
        (spectral, {'spectral'}),
        (colors(), {'rgb'}),
        (coarse(), {'spectral', 'rgb'}),
    ):
        network = task(consistency_share=1.0)
        for branch in (network.model.spectral, network.model.rgb):
            nn.init.normal_(branch[2].weight, std=0.1)
        before = copy_of(network)
        trainer(tmp_path).fit(network, batches(batch))
        assert changed(before, network) == expected


def test_consistency_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    network = task(loss='l1')
    nn.init.normal_(network.model.rgb[2].weight, std=0.1)
    batch = coarse()
    matrix = conversion_matrix(WAVELENGTH, n_groups=4).numpy()
    with torch.no_grad():
        found = network._consistency(batch)
        fine = network.model(batch['image']).numpy()
        mixed = np.einsum('bchw,cn->bnhw', batch['image'].numpy(), matrix)
        other = network.model(torch.from_numpy(mixed).float(), modality='rgb').numpy()
    expected = np.abs(np.einsum('bchw,cn->bnhw', fine, matrix) - other).mean()
    assert found.item() == pytest.approx(expected, rel=1e-5)
    # interpolation is linear, so that two branches that interpolate agree
    with torch.no_grad():
        assert task()._consistency(batch) < 1e-6


def test_consistency_counts_in_the_first_part_only(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = task(consistency_share=0.5)
    nn.init.normal_(network.model.rgb[2].weight, std=0.1)
    states: list[dict[str, Tensor]] = []

    class Watch(Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            states.append(copy_of(network))

    run = trainer(tmp_path, callbacks=[Watch()])
    before = copy_of(network)
    run.fit(network, batches(*[coarse()] * 4))
    assert run.global_step == 4
    steps = [before, *states]
    moved = [
        any(not torch.equal(a[name], b[name]) for name in a)
        for a, b in itertools.pairwise(steps)
    ]
    assert moved == [True, True, False, False]


def test_cubes_without_wavelengths() -> None:
    batch = coarse()
    del batch['wavelength']
    with pytest.raises(MetadataError, match='visible_bands'):
        task()._consistency(batch)
    network = task(visible_bands=[6, 3, 0], loss='l1')
    assert network._consistency(batch) < 1e-6


def test_networks_without_colors(tmp_path: Path) -> None:
    for batch in (colors(), coarse()):
        with pytest.raises(MetadataError, match='no RGB branch'):
            trainer(tmp_path).fit(task(model='plain'), batches(batch))
    with pytest.raises(UnknownNameError, match='spectral'):
        trainer(tmp_path).fit(task(), batches(colors() | {'modality': 'RGBs'}))


def test_other_channels_than_those_of_the_branch(tmp_path: Path) -> None:
    batch = colors()
    batch |= {key: batch[key][:, :3] for key in ('image', 'target')}
    with pytest.raises(BandMismatchError, match='rgb_channels=4 to the data module'):
        trainer(tmp_path).fit(task(), batches(batch))


@pytest.mark.parametrize('precision', ['bf16-mixed', '32-true'])
def test_mixed_precision_spoils_no_score(tmp_path: Path, precision: Any) -> None:
    run = trainer(tmp_path, precision=precision)
    (scores,) = run.test(task(model='bicubic'), loader(Pairs(4)), verbose=False)
    pairs = Pairs(4)
    plain = imresize_up(pairs.image, 2)
    assert scores['test_MSSIM'] == pytest.approx(mssim(plain, pairs.target).mean())
    for prefix in ('test_', 'test_bicubic_'):
        mean = mpsnr(plain, pairs.target).mean().item()
        assert scores[f'{prefix}MPSNR'] == pytest.approx(mean, rel=1e-5)


def test_prediction_in_physical_units(tmp_path: Path) -> None:
    valid = torch.ones(SIZE, SIZE, dtype=torch.bool)
    valid[2, 3] = False
    number = torch.tensor(3000.0), torch.tensor(-50.0)
    pairs = Pairs(2, valid=valid, scale=number[0], offset=number[1])
    (result,) = trainer(tmp_path).predict(task(model='bicubic'), loader(pairs))
    filled = Bicubic(2)(pairs.image, valid.expand(2, -1, -1))
    assert torch.allclose(result['image'], 3000 * filled - 50, rtol=1e-4)
    expected = valid.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(result['valid'], expected.expand(2, -1, -1))


def test_the_whole_scene_is_seen_before(tmp_path: Path) -> None:
    pairs = Pairs(4)
    network = task(model='without_mean')
    first, second = trainer(tmp_path).predict(network, loader(pairs, 2))
    mean = pairs.image.mean((0, 2, 3), keepdim=True)
    found = torch.cat([first['image'], second['image']])
    assert torch.allclose(found, imresize_up(pairs.image - mean, 2), atol=1e-5)
    assert not network.model.is_settled


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match='method of super-resolution'):
        task(model='half')
    with pytest.raises(ValueError, match='enlarges 4 times'):
        task(model_kwargs={'scale': 4})
    with pytest.raises(ValueError, match='consistency_share'):
        task(consistency_share=1.5)
    for wrong in ([1, 2], [0.65, 0.55, 0.45]):
        with pytest.raises(BandMismatchError, match='red, green'):
            task(visible_bands=wrong)
    with pytest.raises(BandMismatchError, match='the same scale'):
        trainer(tmp_path).test(task(scale=3), loader(Pairs()), verbose=False)
    pairs = Pairs()
    with pytest.raises(MetadataError, match='finer target'):
        trainer(tmp_path).fit(task(), batches({'image': pairs.image}))
    pairs.image *= 10_000
    with pytest.raises(UnitError, match='HSISuperResolutionDataModule'):
        trainer(tmp_path).fit(task(), loader(pairs))
    with pytest.raises(ValueError, match='nothing to learn'):
        trainer(tmp_path).fit(task(model='bicubic'), loader(Pairs()))


def test_learning_rate_in_steps(tmp_path: Path) -> None:
    rates = []

    class Watch(Callback):
        def on_train_batch_end(self, run: Any, *args: Any) -> None:
            rates.append(run.optimizers[0].param_groups[0]['lr'])

    stages = [{'epoch': 0, 'lr': 1e-4}, {'epoch': 2, 'lr': 3e-5}]
    network = task(schedule='constant', lr=1e-4)
    callbacks = [StagedTraining(stages), Watch()]
    run = trainer(tmp_path, epochs=3, callbacks=callbacks)
    run.fit(network, loader(Pairs(4)))
    assert rates == pytest.approx([1e-4, 1e-4, 3e-5])


def test_checkpoint_brings_the_scale(tmp_path: Path) -> None:
    network = task(scale=3)
    assert network.hparams['model_kwargs'] == {'scale': 3}
    run = trainer(tmp_path)
    run.strategy.connect(network)
    run.save_checkpoint(tmp_path / 'last.ckpt')
    again = HSISuperResolution.load_from_checkpoint(tmp_path / 'last.ckpt')
    assert again.model.scale == 3
    assert isinstance(again.criterion, RestorationLoss)
