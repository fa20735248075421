# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fit, test and predict in one process, on a small simulated scene."""

import io
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.cli import run as run_module
from torchgeo_hsi.cli.lightning import hand_over
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.main import main

SIZE = 64
BANDS = ['B10', 'B30', 'B48', 'B72', 'B150']
#: Lightning keeps the configuration beside the results.
OUTPUTS = {'checkpoints', 'config.yaml', 'map.png', 'map.tif', 'scores.json'}


@pytest.fixture(autouse=True, scope='module')
def environment() -> Iterator[None]:
    """Put back what torchgeo's command and Lightning set for the whole process."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('simulated') / 'scene'
    SimulatedEnMAP(folder, size=SIZE, seed=3)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(scene: Path) -> dict[str, Any]:
    names = list(SimulatedEnMAP.classes)
    return {
        'seed_everything': 0,
        'model': {
            'class_path': 'torchgeo_hsi.tasks.HSISegmentation',
            'init_args': {
                'model_kwargs': {'hidden': [8]},
                'in_channels': len(BANDS),
                'num_classes': len(names),
                'labels': names,
                'ignore_index': 255,
                'lr': 0.05,
            },
        },
        'data': {
            'class_path': 'torchgeo_hsi.datamodules.SimulatedEnMAPDataModule',
            'init_args': {
                'root': str(scene),
                'bands': BANDS,
                'gap': 4,
                'batch_size': 4,
                'patch_size': 16,
                'length': 32,
            },
        },
        'trainer': {
            'max_epochs': 1,
            'accelerator': 'cpu',
            'logger': False,
            'enable_progress_bar': False,
            'enable_model_summary': False,
            'default_root_dir': 'output',
            'callbacks': [
                {
                    'class_path': 'torchgeo_hsi.callbacks.WholeCheckpoint',
                    'init_args': {
                        'dirpath': 'output/checkpoints',
                        'save_last': True,
                        'save_top_k': 0,
                    },
                },
                callback('ScoreFile', 'scores.json'),
                {
                    'class_path': 'torchgeo_hsi.callbacks.GeoTIFFCubeWriter',
                    'init_args': {'output_path': 'output/map.tif'},
                },
                callback('MapFigure', 'map.png'),
            ],
        },
    }


def callback(name: str, file: str) -> dict[str, Any]:
    return {
        'class_path': f'torchgeo_hsi.callbacks.{name}',
        'init_args': {'path': f'output/{file}'},
    }


def call(config: dict[str, Any] | str, *words: str) -> tuple[int, str, str]:
    """Run the command in the working folder; return its code and what it says."""
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    Path('config.yaml').write_text(text)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(['run', '--config', 'config.yaml', *words])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def read_map(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        return np.asarray(src.read(1))


@pytest.fixture(scope='module')
def done(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run once; return the folder and what was said."""
    folder = tmp_path_factory.mktemp('run')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, out, _ = call(settings(scene))
    assert code == 0
    return folder, out


class TestResult:
    def test_says_where_everything_is(self, done: tuple[Path, str]) -> None:
        last = done[1].split('== done')[1].strip().splitlines()
        assert 'fit' in last[0]
        assert 'test' in last[0]
        assert 'predict' in last[0]
        said = '\n'.join(last[1:])
        assert 'Prediction written to output/map.tif' in said
        assert 'Picture of the map written to output/map.png' in said
        # every line once, in the order of the stages
        starts = [line.split(':')[0].split(' written')[0] for line in last[1:]]
        assert starts == [
            'Scores of fit',
            'Scores of test',
            'Prediction',
            'Picture of the map',
        ]
        scores = read_scores(done[0] / 'output' / 'scores.json')
        shown = f'test_OverallAccuracy {scores["test"]["test_OverallAccuracy"]:.4f}'
        assert shown in said

    def test_leaves_the_outputs_and_nothing_else(self, done: tuple[Path, str]) -> None:
        assert {p.name for p in (done[0] / 'output').iterdir()} == OUTPUTS
        assert {p.name for p in done[0].iterdir()} == {'config.yaml', 'output'}

    def test_map_is_that_of_the_trained_network(
        self, done: tuple[Path, str], scene: Path
    ) -> None:
        (checkpoint,) = (done[0] / 'output' / 'checkpoints').iterdir()
        assert checkpoint.name == 'last.ckpt'
        state = torch.load(checkpoint, weights_only=True)
        weights = {k: v.double() for k, v in state['state_dict'].items()}
        (kept,) = (v for k, v in state.items() if k == 'SimulatedEnMAPDataModule')
        dataset = SimulatedEnMAP(scene, bands=BANDS)
        sample = dataset[dataset.bounds]
        x = sample['image'].double().flatten(1).T
        x = (x - kept['mean'].double()) / kept['std'].double()
        scores = forward(weights, x).T.reshape(-1, SIZE, SIZE)
        want = scores.argmax(0).numpy()
        valid = sample['valid'].numpy()
        with rasterio.open(done[0] / 'output' / 'map.tif') as src:
            codes, nodata = src.read(1), src.nodata
            assert src.crs.to_epsg() == 32633
        assert (codes[~valid] == nodata).all()
        # rounding decides where two classes are alike
        best = scores.topk(2, dim=0).values
        sure = valid & ((best[0] - best[1]) > 1e-4).numpy()
        assert sure.sum() > 0.9 * valid.sum() > 1000
        np.testing.assert_array_equal(codes[sure], want[sure])

    def test_scores_are_those_of_the_map(
        self, done: tuple[Path, str], scene: Path
    ) -> None:
        codes = read_map(done[0] / 'output' / 'map.tif')
        dataset = SimulatedEnMAP(scene, bands=BANDS)
        sample = dataset[dataset.bounds]
        seen = sample['valid'].numpy().copy()
        # 75 % of the columns, and half of the gap, are not for the test
        seen[:, :50] = False
        want = (codes[seen] == sample['mask'].numpy()[seen]).mean()
        assert want > 0.1
        scores = read_scores(done[0] / 'output' / 'scores.json')
        assert scores['fit']['epoch'] == 1
        assert scores['test']['test_OverallAccuracy'] == pytest.approx(want, abs=1e-4)

    def test_is_the_same_as_three_commands(
        self, done: tuple[Path, str], scene: Path, folder: Path
    ) -> None:
        Path('config.yaml').write_text(yaml.safe_dump(settings(scene)))
        last = ['--ckpt_path', 'last']
        for verb, words in (('fit', []), ('test', last), ('predict', last)):
            hand_over(verb, ['--config', 'config.yaml', *words])
        ours, theirs = (where / 'output' for where in (done[0], folder))
        assert read_scores(ours / 'scores.json') == read_scores(theirs / 'scores.json')
        np.testing.assert_array_equal(
            read_map(ours / 'map.tif'), read_map(theirs / 'map.tif')
        )

    def test_second_run_takes_its_own_weights(
        self, done: tuple[Path, str], scene: Path, folder: Path
    ) -> None:
        words = ['--seed_everything', '1', '--model.lr', '0.02']
        # last.ckpt of the first run is still there
        shutil.copytree(done[0] / 'output', 'output')
        code, _, _ = call(settings(scene), *words)
        assert code == 0
        dirty = read_map(folder / 'output' / 'map.tif')
        # and commands that name last.ckpt take them, too; those before are kept
        checkpoints = Path('output/checkpoints')
        before = (done[0] / checkpoints / 'last.ckpt').read_bytes()
        assert (checkpoints / 'last-v1.ckpt').read_bytes() == before
        assert (checkpoints / 'last.ckpt').read_bytes() != before
        assert len(list(checkpoints.iterdir())) == 2
        clean = folder / 'clean'
        clean.mkdir()
        os.chdir(clean)
        code, _, _ = call(settings(scene), *words)
        assert code == 0
        np.testing.assert_array_equal(dirty, read_map(clean / 'output' / 'map.tif'))
        assert (dirty != read_map(done[0] / 'output' / 'map.tif')).any()

    def test_options_go_to_every_stage(self, scene: Path, folder: Path) -> None:
        code, _, _ = call(
            settings(scene), '--trainer.max_epochs=2', '--data.quality=[cloud]'
        )
        assert code == 0
        assert read_scores('output/scores.json')['fit']['epoch'] == 2
        dataset = SimulatedEnMAP(scene, bands=BANDS, quality=['cloud'])
        valid = dataset[dataset.bounds]['valid'].numpy()
        with rasterio.open('output/map.tif') as src:
            np.testing.assert_array_equal(src.read_masks(1) > 0, valid)


def forward(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Write the network out: normalized hidden layers, then the scores."""
    from torchgeo_hsi.models import get_model

    model = get_model(
        'spectral_mlp',
        in_channels=len(BANDS),
        num_classes=len(SimulatedEnMAP.classes),
        hidden=[8],
    ).double()
    own = {k.removeprefix('model.'): v for k, v in weights.items()}
    model.load_state_dict({k: v for k, v in own.items() if k in model.state_dict()})
    with torch.no_grad():
        scores: torch.Tensor = model.eval()(x.T[None, :, None])[0, :, 0].T
    return scores


class TestOrder:
    def test_stages(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[tuple[str, list[str]]] = []
        monkeypatch.setattr(
            run_module, 'hand_over', lambda verb, args: calls.append((verb, args))
        )
        code, out, _ = call('{}', '--trainer.max_epochs', '2', '--data.x=[1, 2]')
        assert code == 0
        words = ['--config', 'config.yaml', '--trainer.max_epochs', '2']
        words += ['--data.x=[1, 2]']
        last = ['--ckpt_path', 'last']
        assert calls == [
            ('fit', words),
            ('test', [*words, *last]),
            ('predict', [*words, *last]),
        ]
        places = [
            out.index(f'== {word}') for word in ('fit', 'test', 'predict', 'done')
        ]
        assert places == sorted(places)

    def test_a_failure_ends_it(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = logging.getLogger('torchgeo_hsi.callbacks')
        before = log.level, list(log.handlers)
        calls: list[str] = []

        def fail(verb: str, args: list[str]) -> None:
            calls.append(verb)
            log.info('Line of %s', verb)
            if verb == 'test':
                raise OutputError('The disk is full.')

        monkeypatch.setattr(run_module, 'hand_over', fail)
        code, out, err = call('{}')
        assert code == 1
        assert err == 'Error: The disk is full.\n'
        assert calls == ['fit', 'test']
        assert '== done' not in out
        # what was written before is still told
        assert out.endswith('Line of fit\nLine of test\n')
        assert (log.level, log.handlers) == before


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
        self, scene: Path, folder: Path, change: dict[str, Any], reason: str
    ) -> None:
        config = merge(settings(scene), change)
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

    def test_bad_option(self, scene: Path, folder: Path) -> None:
        code, _, err = call(settings(scene), '--trainer.epochs', '3')
        assert code == 2
        assert 'epochs' in err
        assert [p.name for p in folder.iterdir()] == ['config.yaml']

    def test_missing_data(self, scene: Path, folder: Path) -> None:
        config = settings(scene)
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

    def test_scene_that_does_not_fit(self, scene: Path, folder: Path) -> None:
        code, out, err = call(settings(scene), '--data.gap=20')
        assert code == 1
        assert err.splitlines()[-1].startswith('Error: A scene of 64 columns leaves')
        assert '== test' not in out
        assert not list(folder.rglob('map.*'))

    def test_no_weights_for_test_and_predict(self, scene: Path, folder: Path) -> None:
        config = settings(scene)
        config['trainer']['callbacks'][0]['init_args']['save_last'] = None
        code, out, err = call(config)
        assert code == 1
        assert 'save_last: true' in err.splitlines()[-1]
        # no map of a network that knows nothing
        assert not list(folder.rglob('map.*'))
        assert '== predict' not in out
        assert 'Scores of fit' in out

    def test_fit_may_start_without_weights(self, scene: Path, folder: Path) -> None:
        # so that the same command starts and resumes a training
        with pytest.warns(UserWarning, match='no last checkpoint available'):
            code, _, _ = call(settings(scene), '--ckpt_path', 'last')
        assert code == 0
        assert {p.name for p in Path('output').iterdir()} == OUTPUTS

    def test_picture_that_cannot_be_written(self, scene: Path, folder: Path) -> None:
        (folder / 'file').write_text('keep me')
        config = settings(scene)
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


def merge(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(config)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(config.get(key), dict)
        result[key] = merge(config[key], value) if both else value
    return result
