# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from cli.probe_data import BANDS, Rows
from click.testing import CliRunner, Result

from torchgeo_hsi.cli.probe import batches, make_datamodule, probe
from torchgeo_hsi.errors import EmptyDataError, MetadataError
from torchgeo_hsi.models import get_model
from torchgeo_hsi.plugins import get_plugin_manager

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    get_plugin_manager.cache_clear()
    yield
    get_plugin_manager.cache_clear()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'rows.yaml'
    content = {
        # what a probe leaves alone, whatever it is
        'model': {'class_path': 'nowhere.Task'},
        'data': {'class_path': 'cli.probe_data.RowsDataModule'},
    }
    path.write_text(yaml.safe_dump(content), encoding='utf-8')
    return path


def run(config: Path, *args: str) -> Result:
    words = ['--config', str(config), '--model', 'spec_vit_tiny', *args]
    return CliRunner().invoke(probe, words, catch_exceptions=False)


def test_table_and_json(config: Path, tmp_path: Path) -> None:
    out = tmp_path / 'deep' / 'scores.json'
    result = run(config, '--knn', '5', '--pool', 'avg', '--out', str(out))
    assert result.exit_code == 0
    report = json.loads(out.read_text(encoding='utf-8'))
    assert report['kind'] == 'multiclass'
    assert report['train_samples'] == report['samples'] == 24
    assert report['features'] == 192
    assert report['pool'] == 'avg'
    # the classes differ by two standard deviations in all bands
    for name in ('knn-5', 'linear'):
        assert report['scores'][name]['OverallAccuracy'] == 1
        assert name in result.output
    assert 'AverageJaccardIndex' in result.output
    assert [path.name for path in out.parent.iterdir()] == ['scores.json']


def test_weights_and_options_of_the_data(config: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    backbone = get_model('spec_vit_tiny', in_chans=BANDS)
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    words = ['--json', '--knn', '0', '--data.kind=several']
    plain = json.loads(run(config, *words).output)
    words += ['--weights', str(tmp_path / 'weights.pth'), '--on', 'val']
    loaded = json.loads(run(config, *words).output)
    assert plain['kind'] == loaded['kind'] == 'multilabel'
    assert list(loaded['scores']) == ['linear']
    assert loaded['scores']['linear']['AverageAveragePrecision'] == pytest.approx(1)
    assert (plain['on'], loaded['on']) == ('test', 'val')
    assert json.loads(run(config, *words).output) == loaded


def test_numbers(config: Path) -> None:
    result = run(config, '--json', '--data.kind=numbers')
    scores = json.loads(result.output)['scores']
    assert scores['linear']['HyperviewScore'] < 0.1
    assert scores['knn-20']['RMSE'] < 1


def test_batches_are_normalized_and_nothing_else(config: Path) -> None:
    datamodule = make_datamodule(str(config), ['--data.batch_size=7'])
    for split, rows in (('train', Rows('train')), ('test', Rows('test'))):
        data = list(batches(datamodule, split, torch.device('cpu')))
        assert [len(batch['image']) for batch in data] == [7, 7, 7, 3]
        image = torch.cat([batch['image'] for batch in data])
        assert torch.allclose(image, (rows.image - 3400) / 400, atol=1e-4)


def test_a_scene(tmp_path: Path) -> None:
    result = run(
        ROOT / 'configs' / 'demo.yaml',
        f'--data.root={tmp_path / "scene"}',
        '--data.size=96',
        '--data.gap=2',
        '--data.patch_size=16',
        '--data.length=8',
        '--pixels=10',
        '--json',
    )
    report = json.loads(result.output)
    assert report['kind'] == 'multiclass'
    assert 0 < report['train_samples'] <= 80
    assert 0 <= report['scores']['linear']['AverageJaccardIndex'] <= 1


def test_wrong_input(config: Path, tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match='no test data'):
        run(config, '--data.test=false')
    empty = tmp_path / 'empty.yaml'
    empty.write_text('model: x\n', encoding='utf-8')
    with pytest.raises(MetadataError, match='"data:"'):
        run(empty)
    with pytest.raises(FileNotFoundError):
        run(config, '--weights', str(tmp_path / 'nothing.pth'))
    assert run(config, '--pool', 'max').exit_code == 2
    assert run(config, '--data.nothing=1').exit_code == 2
