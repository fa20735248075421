# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HYPERVIEW: batches of plots of any size with four targets."""

import logging
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.spectral_earth_downstream.data import write_hyperview
from torch.nn import functional
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_hsi.datamodules import HyperviewDataModule
from torchgeo_hsi.errors import EmptyDataError, UnknownNameError
from torchgeo_hsi.physics.statistics import band_statistics


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp('hyperview')
    return folder, write_hyperview(folder, sizes=(12, 4), fields=6)


def make(root: Path, **options: Any) -> HyperviewDataModule:
    given = {'batch_size': 4, 'image_size': 16} | options
    return HyperviewDataModule(str(root), **given)


def fields(dataset: Any) -> set[tuple[int, int]]:
    """Tell company and field from the numbers of the files, as they were written."""
    numbers = [int(Path(file).stem) for file in dataset.files]
    return {(n % 2, n % 6) for n in numbers}


def test_defaults_are_those_of_the_authors() -> None:
    module = HyperviewDataModule()
    assert (module.batch_size, module.image_size) == (32, 128)
    assert module.crop_scale == (0.4, 1.0)
    assert module.ignore_index is None


@pytest.mark.parametrize('bands', [None, [149, 3, 20]])
@pytest.mark.parametrize('split', ['val', 'test', 'predict'])
def test_batch(split: str, bands: Any, tree: tuple[Path, Any]) -> None:
    root, truth = tree
    module = make(root, bands=bands)
    module.setup('validate' if split == 'val' else split)
    dataset = getattr(module, f'{split}_dataset')
    batch = next(iter(getattr(module, f'{split}_dataloader')()))
    out = (module.predict_aug if split == 'predict' else module.aug)(batch)
    table = band_statistics('hyperview')
    index = list(range(150)) if bands is None else bands
    mean, std = (v[index].astype(float)[:, None, None] for v in table[1:])
    assert out['image'].shape == (4, len(index), 16, 16)
    assert out['image'].dtype == out['label'].dtype == torch.float32
    for k, file in enumerate(dataset.files):
        np.testing.assert_allclose(out['label'][k], truth[file], rtol=1e-6)
        with np.load(root / 'hyperview' / 'images' / file) as arrays:
            raw = torch.from_numpy(arrays['data'][index].astype(np.float64))
        size = {'size': (16, 16)}
        image = functional.interpolate(
            raw[None], **size, mode='bicubic', align_corners=True
        )[0].numpy()
        # the first two rows of a file are outside of the plot
        inside = torch.arange(raw.shape[1])[None, None].double() >= 2
        rows = functional.interpolate(inside.double(), 16)[0, 0].bool().numpy()
        valid = np.repeat(rows[:, None], 16, axis=1)
        np.testing.assert_array_equal(out['valid'][k], valid)
        want = (image - mean) / std * valid
        np.testing.assert_allclose(out['image'][k], want, rtol=1e-4, atol=1e-4)


def test_training(tree: tuple[Path, Any]) -> None:
    module = make(tree[0])
    module.setup('fit')
    batches = list(module.train_dataloader())
    assert len(batches) == 3
    for batch in batches:
        out, again = module.train_aug(batch), module.train_aug(batch)
        assert out['image'].shape == (4, 150, 16, 16)
        assert out['valid'].shape == (4, 16, 16)
        assert torch.equal(out['label'], batch['label'])
        assert (out['image'].movedim(1, -1)[~out['valid']] == 0).all()
        assert not torch.equal(out['image'], again['image'])
    first, second = (module.aug(next(iter(module.val_dataloader()))) for _ in '12')
    assert torch.equal(first['image'], second['image'])


def test_tests_are_the_validation(tree: tuple[Path, Any]) -> None:
    module = make(tree[0])
    for stage in ('fit', 'test', 'predict'):
        module.setup(stage)
    files = module.val_dataset.files
    assert len(files) == 4
    assert module.test_dataset.files == module.predict_dataset.files == files
    assert not set(files) & set(module.train_dataset.files)


def test_shared_fields_are_told(
    tree: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    module = make(tree[0])
    module.setup('fit')
    train = fields(module.train_dataset)
    numbers = [int(Path(file).stem) for file in module.val_dataset.files]
    share = 100 * np.mean([(n % 2, n % 6) in train for n in numbers])
    assert share > 0
    (line,) = (r for r in caplog.records if r.name.startswith('torchgeo_hsi'))
    assert line.levelno == logging.WARNING
    assert f'{share:.1f} % of the val patches' in line.getMessage()


def test_fields_of_their_own(
    tree: tuple[Path, Any], caplog: pytest.LogCaptureFixture
) -> None:
    module = make(tree[0], split_by='scene')
    with caplog.at_level(logging.DEBUG):
        module.setup('fit')
    assert 'share a scene' not in caplog.text
    assert not fields(module.train_dataset) & fields(module.val_dataset)
    assert len(module.train_dataset) + len(module.val_dataset) == 16


def test_fraction(tree: tuple[Path, Any]) -> None:
    module = make(tree[0], fraction=0.5)
    module.setup('fit')
    # int(16 * 0.5) = 8 labels, int(0.7 * 8) = 5 of them for training
    assert (len(module.train_dataset), len(module.val_dataset)) == (5, 3)


def test_plot(tree: tuple[Path, Any]) -> None:
    module = make(tree[0])
    with pytest.raises(EmptyDataError, match='Call setup before plot'):
        module.plot({})
    module.setup('validate')
    figure = module.plot(module.val_dataset[0])
    assert 'pH' in figure.get_suptitle()
    plt.close('all')


def test_bad_input(tree: tuple[Path, Any], tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match='12 training patches make no batch of 13'):
        make(tree[0], batch_size=13).setup('fit')
    with pytest.raises(UnknownNameError):
        make(tree[0], bands=['red']).setup('fit')
    with pytest.raises(ValueError, match='split_by'):
        make(tree[0], split_by='tile').setup('fit')
    with pytest.raises(DatasetNotFoundError):
        make(tmp_path).setup('fit')
    for bad in ({'batch_size': 0}, {'image_size': 0}, {'crop_scale': (1.0, 0.5)}):
        with pytest.raises(ValueError, match='positive'):
            HyperviewDataModule(**bad)
