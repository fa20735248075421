# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes cut into blocks by the data module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from data.tiles.data import CODES, SIZE, TILES, holes
from helpers.trainers import quiet_trainer

from torchgeo_hsi.datamodules import (
    EnMAPL2ADataModule,
    HSIHySpecNet11kDataModule,
    datamodule_leaks,
)
from torchgeo_hsi.errors import EmptyDataError
from torchgeo_hsi.tasks import HSISegmentation

Make = Callable[..., EnMAPL2ADataModule]

BLOCKS: dict[str, Any] = {
    'val': None,
    'split_by': 'block',
    'patch_size': 4,
    'block_size': 8,
    'overlap': 1,
}


def seen_pixels(loader: Any) -> dict[tuple[int, int], int]:
    """Count how often each labelled pixel of the ground is in a batch."""
    counts: dict[tuple[int, int], int] = {}
    for batch in loader:
        for place, valid in zip(batch['transform'], batch['valid'], strict=True):
            width, _, left, _, height, top = place.flatten()[:6].double().tolist()
            for row, column in valid.nonzero().tolist():
                spot = (
                    round((left + column * width) / 30),
                    round((top + row * height) / 30),
                )
                counts[spot] = counts.get(spot, 0) + 1
    return counts


def test_no_pixel_is_in_two_splits(make: Make, tiles: tuple[Path, Path]) -> None:
    module = make(**BLOCKS, length=200)
    module.setup('fit')
    module.setup('test')
    seen = {
        name: seen_pixels(getattr(module, f'{name}_dataloader')())
        for name in ('train', 'val', 'test')
    }
    assert all(seen.values())
    for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test')):
        # the guard of two pixels on either side of a border
        one, two = np.array(list(seen[first])), np.array(list(seen[second]))
        assert np.abs(one[:, None] - two).max(axis=-1).min() > 2 * 2
    for name in ('val', 'test'):
        assert set(seen[name].values()) == {1}
    total = len(TILES) * SIZE**2 - sum(int(holes(name).sum()) for name in TILES)
    assert sum(map(len, seen.values())) > 0.4 * total


def test_windows_do_not_touch(make: Make) -> None:
    report = datamodule_leaks(make(**BLOCKS, length=50))
    assert report.touching == {'val': 0, 'test': 0}
    assert report.sizes['train'] == 50
    leaky = datamodule_leaks(make(**BLOCKS | {'guard': 0, 'patch_size': 5}, length=100))
    assert leaky.touching['test'] > 0


def test_labels_of_all_splits(make: Make, tiles: tuple[Path, Path]) -> None:
    """The blocks share out the labels of each class."""
    module = make(**BLOCKS, shares={'train': 0.5, 'val': 0.5})
    blocks = module.blocks()
    assert blocks.names == ('train', 'val')
    assert module.roi('test') == module.roi('val')
    assert module.roi('predict') is None
    counts = np.zeros((2, 8))
    for name in TILES:
        with rasterio.open(tiles[1] / f'tile_{name}.tif') as src:
            codes = src.read(1).astype(int)
            for row, column in np.argwhere(codes > 0).tolist():
                x, y = src.xy(row, column)
                for k, split in enumerate(blocks.names):
                    inside = blocks.roi(split).contains(shapely.Point(x, y))
                    counts[k, codes[row, column]] += inside
    shares = counts[0, CODES] / counts[:, CODES].sum(axis=0)
    np.testing.assert_allclose(shares, 0.5, atol=0.2)


def test_split_is_the_same_in_each_process(make: Make) -> None:
    torch.manual_seed(1)
    first = make(**BLOCKS).blocks()
    torch.manual_seed(2)
    assert make(**BLOCKS).blocks().parts == first.parts
    assert make(**BLOCKS, seed=2).blocks().parts != first.parts


def test_training(make: Make, tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    task = HSISegmentation(num_classes=3, ignore_index=255)
    module = make(**BLOCKS, length=8)
    trainer.fit(task, datamodule=module)
    (scores,) = trainer.test(task, datamodule=module)
    assert np.isfinite(scores['test_loss'])


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'val': ['*_a']}, 'val= and test= name nothing'),
        ({'split_by': 'random'}, "'name' or 'block'"),
        ({'split_by': 'name'}, 'belong to'),
        ({'shares': {'train': 1.0}}, 'train and val'),
        ({'shares': {'train': 1.0, 'val': 1, 'dev': 1}}, 'train and val'),
    ],
)
def test_bad_options(make: Make, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make(**(BLOCKS | options))


def test_blocks_without_room(make: Make) -> None:
    with pytest.raises(ValueError, match='hold no window'):
        make(**BLOCKS | {'block_size': 7}).setup('fit')
    with pytest.raises(EmptyDataError, match='smaller blocks'):
        make(**BLOCKS | {'block_size': 4000}).setup('fit')


def test_module_of_patches_has_no_windows() -> None:
    class Patches(HSIHySpecNet11kDataModule):
        def __init__(self) -> None:
            pass

        def setup(self, stage: str) -> None:
            pass

    with pytest.raises(EmptyDataError, match='draws no windows'):
        datamodule_leaks(Patches())
