# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the denoising task."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from tasks.restoration import BANDS, Pairs, denoising, loader, registered, trainer
from torch import Tensor

from torchgeo_hsi.errors import (
    BandMismatchError,
    NodataWarning,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.layers import SceneModel
from torchgeo_hsi.metrics import mean_spectral_angle, mpsnr, mssim
from torchgeo_hsi.models import get_model
from torchgeo_hsi.tasks import HSIDenoising

pytestmark = pytest.mark.usefixtures('small_networks')


@pytest.mark.parametrize('loss', ['mse', {'charbonnier': 1.0, 'sam': 0.01}])
def test_fit_denoises(tmp_path: Path, loss: Any) -> None:
    seed_everything(0)
    denoiser = denoising(loss=loss)
    # scores of the last epoch alone
    often = {'check_val_every_n_epoch': 25}
    run = trainer(tmp_path, epochs=25, gradient_clip_val=1.0, **often)
    run.fit(denoiser, loader(Pairs(32)), loader(Pairs(seed=1)))
    noisy = mpsnr(Pairs(seed=1).image, Pairs(seed=1).target).mean()
    scores = run.callback_metrics
    assert (scores['val_MPSNR'] - noisy).item() > 3
    assert {'train_loss', 'val_loss', 'val_MSSIM', 'val_SAM_deg'} <= scores.keys()


def test_scores_are_those_of_the_output(tmp_path: Path) -> None:
    pairs = Pairs(6)
    denoiser = denoising(model='half')
    (scores,) = trainer(tmp_path).test(denoiser, loader(pairs), verbose=False)
    for prefix, image in (('test_', pairs.image / 2), ('test_noisy_', pairs.image)):
        both = image, pairs.target
        expected = {
            'MPSNR': mpsnr(*both),
            'MPSNR_clamped': mpsnr(*both, clamp=(0, 1)),
            'MSSIM': mssim(*both),
            'SAM_deg': mean_spectral_angle(*both, unit='degrees'),
        }
        for name, value in expected.items():
            assert scores[prefix + name] == pytest.approx(value.mean().item(), rel=1e-5)
    error = (pairs.image / 2 - pairs.target).square().mean().item()
    assert scores['test_loss'] == pytest.approx(error, rel=1e-5)


def test_invalid_pixels_reach_nothing(tmp_path: Path) -> None:
    valid = torch.ones(16, 16, dtype=torch.bool)
    valid[:, 10:] = False
    pairs = Pairs(6, valid=valid)
    run, denoiser = trainer(tmp_path), denoising(model='half')
    (scores,) = run.test(denoiser, loader(pairs), verbose=False)
    pairs.target[..., 10:] = torch.nan
    pairs.image[..., 10:] = 1e9
    (dirty,) = run.test(denoiser, loader(pairs), verbose=False)
    assert dirty == scores
    assert denoiser.model.valid is not None


def test_methods_without_parameters_do_not_learn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='nothing to learn'):
        trainer(tmp_path).fit(denoising(model='half'), loader(Pairs()))


def test_predict_gives_physical_units(tmp_path: Path) -> None:
    more = {
        'scale': torch.tensor(8000.0),
        'offset': torch.tensor(-50.0),
        'transform': torch.tensor([30.0, 0, 7e5, 0, -30, 5e6]),
        'wavelength': torch.linspace(0.4, 1, BANDS),
        'valid': torch.ones(16, 16, dtype=torch.bool),
    }
    pairs = Pairs(3, clean=False, **more)
    found: Any = trainer(tmp_path).predict(denoising(model='half'), loader(pairs, 3))
    torch.testing.assert_close(found[0]['image'], pairs.image / 2 * 8000 - 50)
    for name in ('transform', 'wavelength', 'valid'):
        torch.testing.assert_close(found[0][name][1], more[name])
    assert set(found[0]) == {'image', 'transform', 'wavelength', 'valid'}
    # without a scale the values are those of the network
    plain: Any = trainer(tmp_path).predict(denoising(model='half'), loader(Pairs(3), 3))
    torch.testing.assert_close(plain[0]['image'], pairs.image / 2)


class Centered(SceneModel):
    """Subtracts the mean of the scene."""

    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        from torchgeo_hsi.layers import ScenePool

        self.pool = ScenePool()

    def forward(self, image: Tensor) -> Tensor:
        return image - self.pool(image)[..., None, None]


def test_predict_looks_at_the_whole_scene_first(tmp_path: Path) -> None:
    pairs = Pairs(5)
    with registered(centered=Centered):
        denoiser = denoising(model='centered')
        found: Any = trainer(tmp_path).predict(denoiser, loader(pairs, 2))
        image = torch.cat([batch['image'] for batch in found])
        mean = pairs.image.mean((0, 2, 3))[:, None, None]
        torch.testing.assert_close(image, pairs.image - mean)
        # each image for itself again
        assert not denoiser.model.is_settled


def test_masks_of_numbers_are_masks(tmp_path: Path) -> None:
    valid = torch.ones(16, 16, dtype=torch.uint8)
    valid[:, 10:] = 0
    denoiser = denoising(model='half')
    run = trainer(tmp_path)
    (scores,) = run.test(denoiser, loader(Pairs(4, valid=valid)), verbose=False)
    assert torch.equal(denoiser.model.valid, valid.bool().expand(4, -1, -1))
    (same,) = run.test(denoiser, loader(Pairs(4, valid=valid.bool())), verbose=False)
    assert scores == same


def test_small_images_do_not_end_a_training(tmp_path: Path) -> None:
    run, denoiser = trainer(tmp_path), denoising()
    small = loader(Pairs(2, size=6))
    with pytest.warns(NodataWarning, match='do not count in MSSIM'):
        run.fit(denoiser, loader(Pairs(4)), small)
    assert run.callback_metrics['val_MSSIM'].isnan()
    assert run.callback_metrics['val_MPSNR'].isfinite()


def test_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    seed_everything(0)
    denoiser = denoising(
        loss={'l1': 1.0, 'gradient': 0.1}, model_kwargs={'bands': BANDS}
    )
    keeper = ModelCheckpoint(tmp_path, filename='best', monitor='val_MPSNR', mode='max')
    options = {'callbacks': [keeper], 'enable_checkpointing': True}
    run = trainer(tmp_path, epochs=2, **options)
    run.fit(denoiser, loader(Pairs()), loader(Pairs()))
    again = HSIDenoising.load_from_checkpoint(
        tmp_path / 'best.ckpt', map_location='cpu'
    )
    image = Pairs().image
    torch.testing.assert_close(again(image), denoiser(image))
    assert again.criterion.weights == {'l1': 1.0, 'gradient': 0.1}


def test_checkpoint_remembers_the_bands_of_weights(tmp_path: Path) -> None:
    torch.save(get_model('hsdt_s', num_bands=12).state_dict(), tmp_path / 'h12.pth')
    denoiser = HSIDenoising('hsdt_s', weights=str(tmp_path / 'h12.pth'))
    path = tmp_path / 'c.ckpt'
    run = trainer(tmp_path)
    run.fit(denoiser, loader(Pairs(2), 2))
    run.save_checkpoint(path)
    # the weights need not be there any more
    (tmp_path / 'h12.pth').unlink()
    again = HSIDenoising.load_from_checkpoint(path, map_location='cpu')
    assert again.model.num_bands == 12
    image = Pairs(2).image
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(image), denoiser.eval()(image))
    run.predict(again, loader(Pairs(2)), ckpt_path=path)
    with pytest.raises(BandMismatchError, match=r"model_kwargs=\{'num_bands': 12\}"):
        run.predict(HSIDenoising('hsdt_s'), loader(Pairs(2)), ckpt_path=path)


def test_average_of_the_weights(tmp_path: Path) -> None:
    """Lightning's own callback averages our networks, too."""
    seed_everything(0)
    denoiser = denoising(lr=1e-2, schedule='constant', warmup=0.0)
    history: list[dict[str, Tensor]] = []

    class Keep(EMAWeightAveraging):
        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            history.append(copy.deepcopy(denoiser.state_dict()))
            super().on_train_batch_end(*args, **kwargs)

    average = Keep(decay=0.5)
    run = trainer(tmp_path, epochs=3, callbacks=[average])
    run.fit(denoiser, loader(Pairs()), loader(Pairs()))
    name = 'model.layers.0.weight'
    expected = history[0][name]
    for state in history[1:]:
        expected = 0.5 * expected + 0.5 * state[name]
    assert len(history) == 6
    torch.testing.assert_close(denoiser.state_dict()[name], expected)
    assert not torch.equal(history[-1][name], expected)


def test_schedule(tmp_path: Path) -> None:
    denoiser = denoising(lr=1.0, warmup=0.2)
    run = trainer(tmp_path, epochs=5)
    rates: list[float] = []
    denoiser.on_train_batch_start = lambda *args: rates.append(
        denoiser.optimizers().param_groups[0]['lr']
    )
    run.fit(denoiser, loader(Pairs(8)))
    # ten steps: two rise, the others fall like a cosine
    falling = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert rates == pytest.approx([1 / 3, 2 / 3, *falling])


def test_schedule_of_a_training_that_goes_on(tmp_path: Path) -> None:
    """More epochs than those that ended: their cosine, not the end of the old one."""
    first = trainer(tmp_path, epochs=2)
    first.fit(denoising(lr=1.0, warmup=0.0), loader(Pairs(8)))
    first.save_checkpoint(tmp_path / 'last.ckpt')
    denoiser = denoising(lr=1.0, warmup=0.0)
    rates: list[float] = []
    denoiser.on_train_batch_start = lambda *args: rates.append(
        denoiser.optimizers().param_groups[0]['lr']
    )
    trainer(tmp_path, epochs=4).fit(
        denoiser, loader(Pairs(8)), ckpt_path=tmp_path / 'last.ckpt'
    )
    # eight steps of which four are done; the rate of the first was set by the old end
    falling = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(5, 8)]
    assert rates == pytest.approx([0.0, *falling])


def test_training_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='max_epochs or'):
        trainer(tmp_path, epochs=-1).fit(denoising(), loader(Pairs()))


@pytest.mark.parametrize('value', [3000.0, torch.nan])
def test_units_are_checked(tmp_path: Path, value: float) -> None:
    pairs = Pairs()
    pairs.image[0, 0, 0, 0] = value
    for run in (trainer(tmp_path).fit, trainer(tmp_path).predict):
        with pytest.raises(UnitError, match='HSIDenoisingDataModule'):
            run(denoising(), loader(pairs))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'warmup': 1.0}, 'warmup from 0'),
        ({'schedule': 'step'}, 'cosine, constant'),
        ({'supervision': 'self'}, 'clean, recorrupted, neighbors'),
        ({'loss': {'l1': -1.0}}, 'weights of 0 or more'),
        ({'data_range': math.inf}, 'finite data_range'),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        denoising(**options)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match='hsdt_s'):
        denoising(model='hsdt')
    with pytest.raises(UnknownNameError, match='charbonnier'):
        denoising(loss='charbon')


def test_scene_is_written_in_physical_units(tmp_path: Path) -> None:
    """Tiles of predict become the scene, with its nodata and wavelengths."""
    import rasterio
    from callbacks.cube_scenes import (
        TRANSFORM,
        UTM33,
        WAVELENGTH,
        StockData,
        make_scene,
    )

    from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
    from torchgeo_hsi.io import write_cog

    class Scaled(StockData):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            batch['image'] = ((batch['image'] - 20) / 400).masked_fill(
                ~batch['valid'][:, None], 0
            )
            count = len(batch['image'])
            batch['scale'], batch['offset'] = (
                torch.full((count,), value) for value in (400.0, 20.0)
            )
            return batch

    (tmp_path / 'in').mkdir()
    scene = make_scene()
    write_cog(tmp_path / 'in' / 'scene.tif', scene, UTM33, TRANSFORM, -9999)
    writer = GeoTIFFCubeWriter(tmp_path / 'out.tif', output='cube', dtype='int16')
    run = trainer(tmp_path, callbacks=[writer])
    run.predict(denoising(model='half'), datamodule=Scaled(str(tmp_path / 'in')))
    with rasterio.open(tmp_path / 'out.tif') as file:
        found, known = file.read(), file.dataset_mask() > 0
        assert file.transform == TRANSFORM
        waves = [float(file.tags(band)['wavelength']) for band in file.indexes]
    valid = (scene != -9999).all(0)
    assert (known == valid).all()
    expected = (scene - 20) / 2 + 20
    assert abs(found - expected)[:, valid].max() <= 0.51
    assert waves == pytest.approx(WAVELENGTH.tolist(), rel=1e-4)


@pytest.mark.parametrize('model', ['hsdt_s', 'man_s', 'man_v1_s'])
def test_networks_of_the_package(tmp_path: Path, model: str) -> None:
    words = {'num_bands': BANDS} if model == 'hsdt_s' else {}
    denoiser = HSIDenoising(
        model, words | {'noise_map': True} if 'v1' not in model else words
    )
    data = loader(Pairs(4, sigma=30), 2)
    before = {k: v.clone() for k, v in denoiser.model.named_parameters()}
    denoiser.hparams['sigma'] = 30.0
    run = trainer(tmp_path)
    run.fit(denoiser, data, data)
    assert run.callback_metrics['val_loss'].isfinite()
    moved = [k for k, v in denoiser.model.named_parameters() if not v.equal(before[k])]
    assert len(moved) > 0.8 * len(before)
    found: Any = run.predict(denoiser, data)
    assert found[0]['image'].shape == (2, BANDS, 16, 16)
    assert not getattr(denoiser.model, 'is_settled', False)
