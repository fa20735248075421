# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures of the data modules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data.tiles.data import CODES, make_tiles

from torchgeo_hsi.datamodules import EnMAPL2ADataModule


@pytest.fixture(scope='session')
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_tiles(tmp_path_factory.mktemp('tiles'))


@pytest.fixture
def make(tiles: tuple[Path, Path]) -> Callable[..., EnMAPL2ADataModule]:
    def build(
        folders: tuple[Path, Path] | None = None, **kwargs: Any
    ) -> EnMAPL2ADataModule:
        images, labels = folders or tiles
        options: dict[str, Any] = {
            'paths': str(images),
            'mask_paths': str(labels),
            'classes': list(CODES),
            'val': ['*_b'],
            'batch_size': 2,
            'patch_size': 16,
            'overlap': 4,
        }
        return EnMAPL2ADataModule(**(options | kwargs))

    return build
