# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Every configuration of SpectralEarth runs through torchgeo's own command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from configs.quick import CONFIGS as FOLDER
from configs.quick import QUICK, load
from data.spectral_earth_downstream.data import write_downstream
from torchgeo.main import main

from torchgeo_hsi import datamodules
from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.datamodules import (
    HyperviewDataModule,
    SpectralEarthCORINEDataModule,
    SpectralEarthDownstreamDataModule,
)
from torchgeo_hsi.models import get_model

CONFIGS = sorted((FOLDER / 'spectral_earth').glob('*.yaml'))
SETS = (
    'bdforet',
    'bnetd',
    'cdl',
    'corine',
    'desis_cdl',
    'eo1_cdl',
    'eurocrops',
    'hyperview',
    'nlcd',
    'treemap',
)
PROTOCOLS = ('adapter', 'frozen', 'full')
FAST = ['--trainer.max_epochs=1', *QUICK, '--data.num_workers=0', '--data.batch_size=4']
#: A tiny network in place of the published one.
TINY = {
    'HSISegmentation': [
        '--model.weights=null',
        '--model.model_kwargs={backbone: spec_vit_tiny, head: conv}',
    ],
    'HSIClassification': ['--model.weights=null', '--model.backbone=spec_vit_tiny'],
    'HSIRegression': ['--model.weights=null', '--model.backbone=spec_vit_tiny'],
}


def task_of(config: dict[str, Any]) -> str:
    name: str = config['model']['class_path'].rpartition('.')[2]
    return name


def set_of(path: Path) -> str:
    return path.stem.removesuffix('_resnet50').rpartition('_')[0]


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('downstream')
    for name in SETS:
        write_downstream(root, name, size=16)
    return root


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder: configurations write to relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_configuration_for_each_set_and_protocol() -> None:
    wanted = {f'{name}_{protocol}' for name in SETS for protocol in PROTOCOLS}
    assert {path.stem for path in CONFIGS} == wanted | {'cdl_frozen_resnet50'}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configuration_is_consistent(path: Path) -> None:
    config = load(path)
    text = path.read_text('utf-8')
    assert f'configs/spectral_earth/{path.name}' in text
    assert config['trainer']['default_root_dir'].endswith(path.stem)
    model, name = config['model']['init_args'], set_of(path)
    cls = getattr(datamodules, config['data']['class_path'].rpartition('.')[2])
    assert path.stem.removesuffix('_resnet50') == f'{name}_{model["protocol"]}'
    assert model['lr'] == 0.001
    assert model['schedule'] == 'cosine'
    assert model['weight_decay'] == (1e-5 if name == 'corine' else 1e-4)
    assert config['trainer']['max_epochs'] == (400 if name == 'hyperview' else 100)
    if cls is HyperviewDataModule:
        assert (model['in_channels'], model['num_outputs']) == (150, 4)
        return
    assert issubclass(cls, SpectralEarthDownstreamDataModule)
    assert model['in_channels'] == cls._dataset.num_bands
    module = cls()
    assert model['labels'] == list(module.class_names)
    assert model['num_classes'] == len(module.class_names)
    if cls is not SpectralEarthCORINEDataModule:
        assert model['ignore_index'] == module.ignore_index == len(module.class_names)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_fit_and_test(path: Path, folder: Path, root: Path) -> None:
    config = load(path)
    options = [
        '--config',
        str(path),
        *FAST,
        *TINY[task_of(config)],
        f'--data.root={root}',
        '--data.image_size=16',
    ]
    main(['fit', *options])
    output = folder / config['trainer']['default_root_dir']
    checkpoint = output / 'checkpoints' / 'best.ckpt'
    assert np.isfinite(read_scores(output / 'scores.json')['fit']['val_loss'])
    if path.stem != f'{set_of(path)}_frozen':
        # what is trained makes no difference to the test
        assert checkpoint.exists()
        return
    main(['test', *options, f'--ckpt_path={checkpoint}'])
    scores = read_scores(output / 'scores.json')
    assert np.isfinite(scores['test']['test_loss'])
    if task_of(config) == 'HSISegmentation':
        for kind in ('Average', 'Overall'):
            assert 0 <= scores['test'][f'test_{kind}JaccardIndex'] <= 1
        # one figure for each class
        names = [f'test_ClasswiseF1Score_{name}' for name in labels_of(config)]
        assert set(names) <= set(scores['test'])
    elif task_of(config) == 'HSIClassification':
        assert 0 <= scores['test']['test_AverageAveragePrecision'] <= 1
    else:
        assert scores['test']['test_HyperviewScore'] > 0


def labels_of(config: dict[str, Any]) -> list[str]:
    names: list[str] = config['model']['init_args']['labels']
    return names


def test_published_weights_are_asked_for(folder: Path, root: Path) -> None:
    path = next(path for path in CONFIGS if path.stem == 'cdl_frozen')
    # jsonargparse puts the error of a constructor into one of its own
    with pytest.raises(ValueError, match=r'spec_ViTs_mae\.pth'):
        main(['fit', '--config', str(path), *FAST, f'--data.root={root}'])


def test_published_weights_are_loaded(
    folder: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = get_model('spec_vit_small', num_classes=0)
    state = {
        key if key.startswith('spectral_adapter.') else f'vit_core.{key}': value
        for key, value in backbone.state_dict().items()
    }
    torch.save(state, folder / 'spec_ViTs_mae.pth')
    monkeypatch.setenv('TORCHGEO_HSI_WEIGHTS', str(folder))
    path = next(path for path in CONFIGS if path.stem == 'cdl_frozen')
    options = ['--config', str(path), *FAST, f'--data.root={root}']
    main(['fit', *options, '--data.image_size=16', '--trainer.limit_train_batches=1'])
    output = folder / load(path)['trainer']['default_root_dir'] / 'checkpoints'
    trained = torch.load(output / 'last.ckpt', weights_only=True)['state_dict']
    # frozen: what was loaded is what is there after the training
    for key, value in backbone.state_dict().items():
        assert torch.equal(trained[f'model.backbone.{key}'], value)


def test_codes_reach_the_metric(folder: Path, root: Path) -> None:
    """A network that knows the answer scores 1, and each code is its class."""
    from lightning.pytorch import Trainer

    from torchgeo_hsi.tasks import HSISegmentation

    module = datamodules.SpectralEarthEuroCropsDataModule(
        str(root), batch_size=2, image_size=16
    )
    module.setup('test')
    files = module.test_dataset.files  # type: ignore[union-attr]
    codes = list(module._dataset.codes)
    want = []
    for file in files:
        with rasterio.open(root / 'enmap_eurocrops' / 'eurocrops' / file) as src:
            raster = src.read(1).astype(np.int64)
        index = np.full(raster.shape, 15)
        for number, code in enumerate(codes):
            index[raster == code] = number
        want.append(torch.from_numpy(index))
    truth = iter(torch.stack(want).split(2))

    class Oracle(HSISegmentation):
        def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
            mask = next(truth)
            logits = torch.nn.functional.one_hot(mask.clamp(max=14), 15)
            return logits.movedim(-1, 1).float() * 20

    task = Oracle(num_classes=15, ignore_index=15, labels=list(module.class_names))
    (scores,) = Trainer(
        logger=False, accelerator='cpu', enable_progress_bar=False
    ).test(task, datamodule=module, verbose=False)
    assert scores['test_OverallAccuracy'] == 1
    assert scores['test_OverallJaccardIndex'] == 1
    seen = {int(i) for mask in want for i in mask.unique()} - {15}
    for number, name in enumerate(module.class_names):
        score = scores[f'test_ClasswiseJaccardIndex_{name}']
        assert score == (1 if number in seen else 0) or np.isnan(score)
