# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fit, test and predict in one process, on a small simulated scene."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from cli.small_run import BANDS, OUTPUTS, SIZE, call, read_map, settings

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.cli import run as run_module
from torchgeo_hsi.cli.lightning import hand_over
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.errors import OutputError

pytestmark = pytest.mark.usefixtures('environment')


@pytest.fixture(scope='module')
def done(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Run once; return the folder and what was said."""
    folder = tmp_path_factory.mktemp('run')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, out, _ = call(settings(simulated))
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
        self, done: tuple[Path, str], simulated: Path
    ) -> None:
        (checkpoint,) = (done[0] / 'output' / 'checkpoints').iterdir()
        assert checkpoint.name == 'last.ckpt'
        state = torch.load(checkpoint, weights_only=True)
        weights = {k: v.double() for k, v in state['state_dict'].items()}
        (kept,) = (v for k, v in state.items() if k == 'SimulatedEnMAPDataModule')
        dataset = SimulatedEnMAP(simulated, bands=BANDS)
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
        self, done: tuple[Path, str], simulated: Path
    ) -> None:
        codes = read_map(done[0] / 'output' / 'map.tif')
        dataset = SimulatedEnMAP(simulated, bands=BANDS)
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
        self, done: tuple[Path, str], simulated: Path, folder: Path
    ) -> None:
        Path('config.yaml').write_text(yaml.safe_dump(settings(simulated)))
        last = ['--ckpt_path', 'last']
        for verb, words in (('fit', []), ('test', last), ('predict', last)):
            hand_over(verb, ['--config', 'config.yaml', *words])
        ours, theirs = (where / 'output' for where in (done[0], folder))
        assert read_scores(ours / 'scores.json') == read_scores(theirs / 'scores.json')
        np.testing.assert_array_equal(
            read_map(ours / 'map.tif'), read_map(theirs / 'map.tif')
        )

    def test_second_run_takes_its_own_weights(
        self, done: tuple[Path, str], simulated: Path, folder: Path
    ) -> None:
        words = ['--seed_everything', '1', '--model.lr', '0.02']
        # last.ckpt of the first run is still there
        shutil.copytree(done[0] / 'output', 'output')
        code, _, _ = call(settings(simulated), *words)
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
        code, _, _ = call(settings(simulated), *words)
        assert code == 0
        np.testing.assert_array_equal(dirty, read_map(clean / 'output' / 'map.tif'))
        assert (dirty != read_map(done[0] / 'output' / 'map.tif')).any()

    def test_options_go_to_every_stage(self, simulated: Path, folder: Path) -> None:
        code, _, _ = call(
            settings(simulated), '--trainer.max_epochs=2', '--data.quality=[cloud]'
        )
        assert code == 0
        assert read_scores('output/scores.json')['fit']['epoch'] == 2
        dataset = SimulatedEnMAP(simulated, bands=BANDS, quality=['cloud'])
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
