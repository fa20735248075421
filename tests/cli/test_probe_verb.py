# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from cli.probe_data import BANDS, Rows
from click.testing import CliRunner, Result

from torchgeo_hsi.cli.probe import _sources, batches, make_datamodule, probe
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.models import get_model, load_spectral_earth_weights
from torchgeo_hsi.models.backbones.checkpoint_backbone import Architecture
from torchgeo_hsi.plugins import get_plugin_manager

ROOT = Path(__file__).parents[2]
TINY = {'depth': 1}


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
    result = run(config, '--knn', '5', '--pool', 'avg', '--report', str(out))
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


def test_weights_of_a_network_without_an_adapter(config: Path, tmp_path: Path) -> None:
    name, kwargs = 'vit_tiny_patch16_224', {'img_size': 16, 'depth': 1}
    path = tmp_path / 'weights.pth'
    model = timm.create_model(name, in_chans=BANDS, num_classes=0, **kwargs)
    torch.save(model.state_dict(), path)
    settings = [f'--set={key}={value}' for key, value in kwargs.items()]
    words = ['--model', name, *settings, '--json']
    report = json.loads(run(config, *words, '--weights', str(path)).output)
    assert report['scores']['linear']['OverallAccuracy'] > 0.5


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
    content = {
        'class_path': 'torchgeo_hsi.datamodules.EquationDataModule',
        'init_args': {'equation': 'periodic_poisson'},
    }
    empty.write_text(json.dumps({'data': content}), encoding='utf-8')
    with pytest.raises(MetadataError, match='EquationDataModule has no images'):
        run(empty)
    with pytest.raises(FileNotFoundError):
        run(config, '--weights', str(tmp_path / 'nothing.pth'))
    assert run(config, '--pool', 'max').exit_code == 2
    assert run(config, '--data.nothing=1').exit_code == 2


def state_of_dino(seed: int = 0) -> dict[str, Any]:
    """Make what a checkpoint of our DINO holds: two networks that differ."""
    content: dict[str, Any] = {}
    for number, name in enumerate(('backbone', 'teacher_backbone')):
        torch.manual_seed(seed + number)
        network = get_model('spec_vit_tiny', in_chans=BANDS, num_classes=0, **TINY)
        content |= {f'{name}.{k}': v for k, v in network.state_dict().items()}
    return content | {'student_head.weight': torch.ones(3), 'views.mean': torch.ones(2)}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    hparams = {'model': 'spec_vit_tiny', 'model_kwargs': TINY, 'in_channels': BANDS}
    path = tmp_path / 'last.ckpt'
    torch.save({'state_dict': state_of_dino(), 'hyper_parameters': hparams}, path)
    return path


def probed(config: Path, *args: str) -> dict[str, Any]:
    words = ['--config', str(config), '--json', *args]
    result = CliRunner().invoke(probe, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_checkpoint_says_what_it_holds(
    config: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watch(network: Any, *args: Any, **kwargs: Any) -> Any:
        report = load_spectral_earth_weights(network, *args, **kwargs)
        seen.append((report.prefix, network.blocks[0].attn.qkv.weight.detach().clone()))
        return report

    monkeypatch.setattr('torchgeo_hsi.models.load_spectral_earth_weights', watch)
    state = state_of_dino()
    for branch, prefix in (
        ('auto', 'teacher_backbone.'),
        ('teacher', 'teacher_backbone.'),
        ('student', 'backbone.'),
    ):
        words = ['--weights', str(checkpoint), '--branch', branch, '--knn', '3']
        report = probed(config, *words, '--no-linear')
        assert (report['model'], report['branch']) == ('spec_vit_tiny', branch)
        found, weight = seen.pop()
        assert found == prefix
        assert torch.equal(weight, state[f'{prefix}blocks.0.attn.qkv.weight'])


def test_baselines_seeds_and_few_labels(config: Path, checkpoint: Path) -> None:
    words = ['--weights', str(checkpoint), '--baseline', 'random', '--baseline', 'pca']
    words += ['--shots', '2', '--seeds', '3', '--knn', '1', '--components', '4']
    report = probed(config, *words)
    names = [f'{s}{p}' for s in ('', 'random/', 'pca/') for p in ('knn-1', 'linear')]
    assert list(report['scores']) == list(report['std']) == names
    assert report['seeds'] == len(report['runs']) == 3
    for name in names:
        values = [run[name]['OverallAccuracy'] for run in report['runs']]
        mean, std = report['scores'][name], report['std'][name]
        assert mean['OverallAccuracy'] == pytest.approx(np.mean(values))
        assert std['OverallAccuracy'] == pytest.approx(np.std(values, ddof=1))
    assert report['scores']['pca/linear']['OverallAccuracy'] == 1
    # the first of the seeds is what a single one gives
    assert probed(config, *words, '--seeds', '1')['scores'] == report['runs'][0]
    result = CliRunner().invoke(probe, ['--config', str(config), *words])
    assert '±' in result.output


def test_pca_is_that_of_scikit_learn(config: Path) -> None:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    report = probed(
        config, '--model', 'spec_vit_tiny', '--baseline', 'pca', '--components', '5'
    )
    train, test = Rows('train'), Rows('test')
    x, y = (rows.image.mean((-2, -1)).numpy() for rows in (train, test))
    pca = PCA(5).fit(x)
    x, y = pca.transform(x), pca.transform(y)
    model = LogisticRegression().fit(x, train.label.numpy())
    want = model.score(y, test.label.numpy())
    assert report['scores']['pca/linear']['OverallAccuracy'] == pytest.approx(want)


def test_pixels_of_all_sources_are_the_same(tmp_path: Path) -> None:
    report = probed(
        ROOT / 'configs' / 'demo.yaml',
        '--model=spec_vit_tiny',
        '--set=depth=1',
        f'--data.root={tmp_path / "scene"}',
        '--data.size=96',
        '--data.gap=2',
        '--data.patch_size=16',
        '--data.length=8',
        '--pixels=20',
        '--baseline=pca',
        '--shots=5',
    )
    scores = report['scores']
    assert set(scores) == {'knn-20', 'linear', 'pca/knn-20', 'pca/linear'}
    # the classes of the simulator are told apart by spectra
    assert scores['pca/linear']['OverallAccuracy'] > 0.5


def test_masked_autoencoders_are_averaged(config: Path, tmp_path: Path) -> None:
    state = {k: v for k, v in state_of_dino().items() if k.startswith('backbone.')}
    hparams = {'model': 'spec_vit_tiny', 'model_kwargs': TINY, 'mask_ratio': 0.9}
    path = tmp_path / 'mae.ckpt'
    torch.save({'state_dict': state, 'hyper_parameters': hparams}, path)
    words = ['--weights', str(path), '--data.kind=numbers']
    found = probed(config, *words)['scores']
    assert found == probed(config, *words, '--pool', 'avg')['scores']
    assert found != probed(config, *words, '--pool', 'token')['scores']


def test_what_the_checkpoint_does_not_say(config: Path, tmp_path: Path) -> None:
    def fails(*args: str) -> Any:
        words = ['--config', str(config), *args]
        return CliRunner().invoke(probe, words)

    assert isinstance(fails().exception, MetadataError)
    path = tmp_path / 'plain.pth'
    torch.save(state_of_dino(), path)
    found = fails('--weights', str(path)).exception
    assert isinstance(found, MetadataError)
    assert 'spec_vit_small' in str(found)
    assert fails('--model', 'spec_vit_tiny', '--set', 'x').exit_code == 2
    assert fails('--model', 'spec_vit_tiny', '--set', '=3').exit_code == 2
    found = fails('--model', 'spec_vit_tiny', '--shots', '1', '--data.kind=numbers')
    assert 'no classes' in str(found.exception)


def test_bands_of_the_training_are_not_those_of_the_data() -> None:
    """A network that was built for EnMAP is probed on another sensor."""
    words = {**TINY, 'wavelength': [0.5, 0.6, 0.7], 'fwhm': [0.01] * 3}
    options = {'pool': None, 'device': 'cpu', 'branch': 'auto'}
    architecture = Architecture('spec_vit_tiny_wl', words, 3)
    for bands in (3, 4):
        found: Any = _sources(architecture, bands, None, [], options)['']
        batch = {
            'image': torch.zeros(1, bands, 16, 16),
            'wavelength': torch.linspace(0.5, 0.9, bands),
        }
        with torch.no_grad():
            assert found.of_images(batch).shape == (1, 192)
    with torch.no_grad(), pytest.raises(BandMismatchError, match='wavelengths'):
        found.of_images({'image': batch['image']})


def test_a_folder_for_the_scores(config: Path, tmp_path: Path) -> None:
    """It is refused before anything is computed."""
    result = run(config, '--report', str(tmp_path))
    assert result.exit_code == 2
    assert 'is a directory' in result.output


@pytest.mark.parametrize('text', [b'data: [1', b'\xff\xfe'])
def test_a_damaged_configuration(config: Path, text: bytes) -> None:
    config.write_bytes(text)
    with pytest.raises(MetadataError, match='not valid YAML'):
        run(config)
