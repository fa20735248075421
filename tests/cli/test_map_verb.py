# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maps of many scenes through the real command line, in one process."""

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from torchgeo_hsi.cli import _map_scene
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.main import main

ROOT = Path(__file__).parents[2]
BANDS = ['B10', 'B30', 'B48', 'B72', 'B150']

pytestmark = pytest.mark.usefixtures('environment')


def call(*words: str | Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the small network of the demo, and predict its scene the usual way."""
    folder = tmp_path_factory.mktemp('demo')
    config = yaml.safe_load((ROOT / 'configs/demo.yaml').read_text())
    config['model']['init_args'] |= {
        'in_channels': len(BANDS),
        'model_kwargs': {'hidden': [8]},
    }
    config['data']['init_args'] |= {
        'root': str(folder / 'scene'),
        'size': 96,
        'bands': BANDS,
        'gap': 4,
        'patch_size': 16,
    }
    config['trainer'] |= {
        'max_epochs': 1,
        'check_val_every_n_epoch': 1,
        'accelerator': 'cpu',
        'logger': False,
        'enable_progress_bar': False,
        'default_root_dir': str(folder),
    }
    checkpoints, _, writer, _ = config['trainer']['callbacks']
    checkpoints['init_args']['dirpath'] = str(folder)
    writer['init_args']['output_path'] = str(folder / 'map.tif')
    config['trainer']['callbacks'] = [checkpoints, writer]
    (folder / 'demo.yaml').write_text(yaml.safe_dump(config))
    for verb in ('fit', 'predict'):
        extra = ['--ckpt_path', 'last'] if verb == 'predict' else []
        code, _, err = call(verb, '--config', folder / 'demo.yaml', *extra)
        assert code == 0, err
    for seed in (1, 2):
        SimulatedEnMAP(folder / 'archive' / str(seed), size=48, seed=seed)
    shutil.copytree(folder / 'scene', folder / 'archive' / '3')
    return folder


def run(trained: Path, out: Path, *words: str | Path) -> tuple[int, str, str]:
    return call(
        'map',
        '--config',
        trained / 'demo.yaml',
        '--ckpt_path',
        trained / 'last.ckpt',
        '--output',
        out,
        *words,
    )


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as src:
        return np.asarray(src.read(1))


@pytest.fixture(scope='module')
def maps(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('maps') / 'out'
    code, text, err = run(trained, out, trained / 'archive', '--workers', '1')
    assert code == 0, err
    assert text.startswith(f'3 maps written: {out} (')
    return out


def test_maps_are_those_of_predict(trained: Path, maps: Path) -> None:
    files = sorted(maps.glob('*.tif'))
    assert len(files) == 3
    # the last of three scenes, with weights that were loaded for the first
    (same,) = [file for file in files if 'DT0000000000_' in file.name]
    np.testing.assert_array_equal(read(same), read(trained / 'map.tif'))
    with rasterio.open(same) as one, rasterio.open(trained / 'map.tif') as other:
        assert (one.crs, one.transform) == (other.crs, other.transform)
        # colors and names of the writer in the configuration
        assert one.colormap(1) == other.colormap(1)
    assert read(files[-1]).shape == (48, 48)


def test_a_second_run_skips_what_is_there(trained: Path, maps: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in maps.glob('*.tif')}
    lost = min(before)
    lost.unlink()
    code, text, _ = run(trained, maps, trained / 'archive', '--workers=1', '--json')
    assert code == 0
    result = json.loads(text)
    assert (result['written'], result['skipped']) == ([str(lost)], 2)
    after = {file: file.stat().st_mtime_ns for file in maps.glob('*.tif')}
    assert {file for file in after if after[file] != before[file]} == {lost}


def test_maps_of_another_network_are_not_mixed_in(trained: Path, maps: Path) -> None:
    words = ('--data.batch_size', '4', '--workers=1')
    code, _, err = run(trained, maps, trained / 'archive', *words)
    assert code == 1
    assert 'was made in another way' in err


def test_failed_scenes_are_reported_and_left_out(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'some'
    folder.mkdir()
    (folder / 'broken-SPECTRAL_IMAGE.TIF').write_bytes(b'II*\0broken')
    good = trained / 'archive' / '1'
    (folder / 'list.txt').write_text(f'{good}\nbroken-SPECTRAL_IMAGE.TIF\n')
    out = tmp_path / 'out'
    # the broken one comes first, so the weights are not loaded with the first scene
    words = ('--workers', '0', '--retries', '1')
    code, text, err = run(trained, out, folder, folder / 'list.txt', *words)
    assert code == 3
    assert text.startswith(f'1 map written: {out} (')
    assert 'Failed scenes, which were left out: 1\n  broken: CorruptFileError' in err
    assert '(tried 2 times)' in err
    (file,) = out.glob('*.tif')
    assert read(file).shape == (48, 48)


def test_scenes_of_stac(trained: Path, tmp_path: Path) -> None:
    pystac = pytest.importorskip('pystac')
    from datetime import UTC, datetime

    image = next((trained / 'archive' / '2').glob('*-SPECTRAL_IMAGE.TIF'))
    place = {'type': 'Point', 'coordinates': [13.0, 52.4]}
    date = datetime(2023, 7, 15, tzinfo=UTC)
    item = pystac.Item('potsdam-2023', place, [13, 52, 13, 52], date, {})
    item.add_asset('image', pystac.Asset(image.as_uri(), roles=['data']))
    collection = tmp_path / 'items.json'
    pystac.ItemCollection([item]).save_object(str(collection))
    code, _, err = run(trained, tmp_path / 'out', collection, '--workers', '1')
    assert code == 0, err
    assert read(tmp_path / 'out' / 'potsdam-2023.tif').shape == (48, 48)


@pytest.mark.parametrize(
    ('words', 'code', 'message'),
    [
        ([], 2, "Missing argument 'INPUT...'"),
        (['x.tif', '--nonsense', '1'], 2, 'No such option'),
        (['x.tif', '--data.batch_size'], 2, 'lacks its value'),
        (['/nowhere'], 1, 'There is nothing at /nowhere'),
        (
            ['x', '--workers', '2', '--scheduler', 'tcp://h:1'],
            2,
            'Leave one of the two',
        ),
    ],
)
def test_wrong_use(
    trained: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    found, _, err = run(trained, tmp_path / 'out', *words)
    assert found == code
    assert message in ' '.join(err.split())


def test_configuration_without_network(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / 'config.yaml'
    file.write_text('data: {}\n')
    code, _, err = call(
        *('map', '--config', file, '--ckpt-path', trained / 'last.ckpt'),
        *('--output', tmp_path / 'out', trained / 'archive'),
    )
    assert code == 1
    assert 'Expected "model:" and "data:"' in err


def test_data_modules_that_predict_other_things() -> None:
    from torchgeo.datamodules import EuroSATDataModule

    from torchgeo_hsi.datamodules import EnMAPL2ADataModule
    from torchgeo_hsi.errors import MetadataError

    with pytest.raises(MetadataError, match='EuroSATDataModule cannot be told'):
        _map_scene.use_scene(EuroSATDataModule(), 'x.tif')
    datamodule = EnMAPL2ADataModule(paths='training')
    _map_scene.use_scene(datamodule, 'x.tif')
    assert (datamodule.predict_paths, datamodule.paths) == ('x.tif', 'x.tif')


def test_options_of_the_writer() -> None:
    def options(callbacks: Any) -> dict[str, Any]:
        return _map_scene.writer_options({'trainer': {'callbacks': callbacks}})

    writer = {
        'class_path': 'torchgeo_hsi.callbacks.GeoTIFFCubeWriter',
        'init_args': {'output_path': 'a.tif', 'delta': 2, 'overwrite': False},
    }
    assert options([{'class_path': 'x.Y'}, writer]) == {'delta': 2, 'overwrite': True}
    assert options(writer) == {'delta': 2, 'overwrite': True}
    assert options(None) == _map_scene.writer_options({}) == {}
