# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from pathlib import Path

import pytest
from data.desis_l2a.data import make_product
from data.prisma_l2d.data import make_file

from torchgeo_hsi.main import main


def facts(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    with pytest.raises(SystemExit) as end:
        main(['info', str(path), '--json'])
    assert end.value.code in (0, None)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_prisma(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = make_file(tmp_path)
    found = facts(scene.path, capsys)
    assert found['sensor'] == 'PRISMA'
    assert found['bands'] == 230
    assert found['crs'] == 'EPSG:32633'
    assert found['resolution'] == [30, 30]
    assert found['start'] == '2020-08-13T10:30:56.123'
    assert found['empty_bands'] == []
    # the zero within the swath is none
    assert found['nodata_share'] == pytest.approx(12 / (16 * 14))


def test_desis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = make_product(tmp_path)
    found = facts(scene.folder, capsys)
    assert found['sensor'] == 'DESIS'
    assert found['bands'] == 235
    assert found['spectral_source'] == 'scene'
    assert found['nodata_share'] == pytest.approx(6 / (16 * 12))
