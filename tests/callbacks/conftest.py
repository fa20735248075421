# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fixtures of the callbacks."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    from callbacks.cube_scenes import TRANSFORM, UTM33, make_scene

    from torchgeo_hsi.io import write_cog

    folder = tmp_path / 'in'
    folder.mkdir()
    write_cog(folder / 'scene.tif', make_scene(), UTM33, TRANSFORM, -9999)
    return folder
