# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What fit, test and predict in one process say of mistakes, and leave behind."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli.small_run import OUTPUTS, SIZE, call, read_map, settings

from torchgeo_hsi.main import main

pytestmark = pytest.mark.usefixtures('environment')


def merge(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(config)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(config.get(key), dict)
        result[key] = merge(config[key], value) if both else value
    return result


class TestMistakes:
    """Each is told in plain words, and leaves nothing half-written."""

    @pytest.mark.parametrize(
        ('words', 'reason'),
        [
            ([], "Missing option '--config'"),
            (['--config', 'gone.yaml'], "'gone.yaml' does not exist"),
            (['--config', '.'], 'is a directory'),
        ],
    )
    def test_no_configuration(
        self,
        folder: Path,
        capsys: pytest.CaptureFixture[str],
        words: list[str],
        reason: str,
    ) -> None:
        with pytest.raises(SystemExit) as end:
            main(['run', *words])
        assert end.value.code == 2
        assert reason in capsys.readouterr().err
        assert not list(folder.iterdir())

    @pytest.mark.parametrize(
        ('change', 'reason'),
        [
            ({'data': {'init_args': {'sise': 64}}}, 'sise'),
            ({'trainer': {'max_epoch': 1}}, 'max_epoch'),
            ({'trainer': {'max_epochs': 'many'}}, 'max_epochs'),
            ({'seeds': 3}, 'seeds'),
            ({'model': {'class_path': 'torchgeo_hsi.tasks.Nothing'}}, 'Nothing'),
        ],
    )
    def test_bad_key(
        self, simulated: Path, folder: Path, change: dict[str, Any], reason: str
    ) -> None:
        config = merge(settings(simulated), change)
        code, out, err = call(config)
        assert code == 2
        assert reason in err
        assert 'Traceback' not in err
        assert '== test' not in out
        assert [p.name for p in folder.iterdir()] == ['config.yaml']

    @pytest.mark.parametrize('text', ['model: [', '- 1\n- 2', 'nothing'])
    def test_no_yaml(self, folder: Path, text: str) -> None:
        code, _, err = call(text)
        assert code == 2
        assert 'config' in err
        assert [p.name for p in folder.iterdir()] == ['config.yaml']

    def test_bad_option(self, simulated: Path, folder: Path) -> None:
        code, _, err = call(settings(simulated), '--trainer.epochs', '3')
        assert code == 2
        assert 'epochs' in err
        assert [p.name for p in folder.iterdir()] == ['config.yaml']

    def test_missing_data(self, simulated: Path, folder: Path) -> None:
        config = settings(simulated)
        config['data'] = {
            'class_path': 'torchgeo_hsi.datamodules.EnMAPL2ADataModule',
            'init_args': {'paths': 'nowhere', 'mask_paths': 'x', 'classes': [1, 2]},
        }
        code, out, err = call(config)
        assert code == 1
        assert 'nowhere does not exist' in err.splitlines()[-1]
        assert '== test' not in out
        assert not list(folder.rglob('map.*'))
        assert not list(folder.rglob('*.json'))

    def test_scene_that_does_not_fit(self, simulated: Path, folder: Path) -> None:
        code, out, err = call(settings(simulated), '--data.gap=20')
        assert code == 1
        assert err.splitlines()[-1].startswith('Error: A scene of 64 columns leaves')
        assert '== test' not in out
        assert not list(folder.rglob('map.*'))

    def test_no_weights_for_test_and_predict(
        self, simulated: Path, folder: Path
    ) -> None:
        config = settings(simulated)
        config['trainer']['callbacks'][0]['init_args']['save_last'] = None
        code, out, err = call(config)
        assert code == 1
        assert 'save_last: true' in err.splitlines()[-1]
        # no map of a network that knows nothing
        assert not list(folder.rglob('map.*'))
        assert '== predict' not in out
        assert 'Scores of fit' in out

    def test_fit_may_start_without_weights(self, simulated: Path, folder: Path) -> None:
        # so that the same command starts and resumes a training
        with pytest.warns(UserWarning, match='no last checkpoint available'):
            code, _, _ = call(settings(simulated), '--ckpt_path', 'last')
        assert code == 0
        assert {p.name for p in Path('output').iterdir()} == OUTPUTS

    def test_picture_that_cannot_be_written(
        self, simulated: Path, folder: Path
    ) -> None:
        (folder / 'file').write_text('keep me')
        config = settings(simulated)
        config['trainer']['callbacks'][3]['init_args']['path'] = 'file/map.png'
        code, out, err = call(config)
        assert code == 1
        assert 'choose another path for MapFigure' in err.splitlines()[-1]
        # map and scores are there, and the user is told
        assert {p.name for p in Path('output').iterdir()} == OUTPUTS - {'map.png'}
        assert read_map(folder / 'output' / 'map.tif').shape == (SIZE, SIZE)
        assert set(json.loads(Path('output/scores.json').read_text())) == {
            'fit',
            'test',
        }
        assert 'Prediction written to output/map.tif' in out
        assert 'Scores of test' in out
        assert (folder / 'file').read_text() == 'keep me'
