# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures of the data modules."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchgeo_hsi.datamodules import EnMAPL2ADataModule

DATA = runpy.run_path(str(Path(__file__).parents[1] / 'data' / 'tiles' / 'data.py'))


@pytest.fixture(scope='session')
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return DATA['make_tiles'](tmp_path_factory.mktemp('tiles'))


@pytest.fixture
def make(tiles: tuple[Path, Path]) -> Callable[..., EnMAPL2ADataModule]:
    def build(
        folders: tuple[Path, Path] | None = None, **kwargs: Any
    ) -> EnMAPL2ADataModule:
        images, labels = folders or tiles
        options: dict[str, Any] = {
            'paths': str(images),
            'mask_paths': str(labels),
            'classes': list(DATA['CODES']),
            'val': ['*_b'],
            'batch_size': 2,
            'patch_size': 16,
            'overlap': 4,
        }
        return EnMAPL2ADataModule(**(options | kwargs))

    return build
