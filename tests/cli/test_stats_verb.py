# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi stats``, from files to a file that data modules take."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from data.cubes.data import CENTRES, make_cube, write_envi
from data.hyspecnet.data import write_hyspecnet
from data.tiles.data import CODES, make_tiles
from lightning.pytorch import LightningDataModule

from torchgeo_hsi.datamodules import EnMAPL2ADataModule
from torchgeo_hsi.datasets import HSIHySpecNet11k, convert_dataset
from torchgeo_hsi.io import open_cube, read_statistics_file, write_cog
from torchgeo_hsi.io.store import write_stored_scene
from torchgeo_hsi.main import main
from torchgeo_hsi.physics import BandSet


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(['stats', *map(str, words), '--workers', '0'])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


@pytest.fixture(scope='module')
def tiles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_tiles(tmp_path_factory.mktemp('tiles'))


@pytest.fixture(scope='module')
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('patches')
    write_hyspecnet(root)
    return root


def test_scenes_for_a_fit(
    tiles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'stats.json'
    train = sorted(p for p in tiles[0].glob('*.tif') if '_b' not in p.stem)
    code, text, _ = call(capsys, '--dataset', 'EnMAPL2A', *train, '-o', out)
    assert code == 0
    assert f'Statistics written: {out} (' in text
    assert 'B1' in text

    def module(statistics: str) -> LightningDataModule:
        return EnMAPL2ADataModule(
            str(tiles[0]),
            mask_paths=str(tiles[1]),
            classes=list(CODES),
            val=['*_b'],
            batch_size=2,
            patch_size=16,
            overlap=4,
            statistics=statistics,
        )

    want, got = module('train'), module(str(out))
    for each in (want, got):
        each.setup('fit')
    assert torch.equal(got.mean, want.mean)
    assert torch.equal(got.std, want.std)


def test_options(
    tiles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'stats.json'
    code, _, _ = call(
        capsys,
        *('--dataset', 'EnMAPL2A', tiles[0], '--output', out),
        *('--dataset.bands', '[B60, B3]', '--no-covariance', '--accuracy', '0.01'),
    )
    assert code == 0
    content = json.loads(out.read_text())
    assert content['bands'] == ['B60', 'B3']
    assert content['covariance'] is None
    assert content['quantile_accuracy'] == 0.01
    assert content['source'].startswith("EnMAPL2A(bands=['B60', 'B3'], paths='")


def test_cubes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {'wavelength': '{' + ', '.join(map(str, CENTRES)) + '}'}
    fields['wavelength units'] = 'nm'
    cube = make_cube()
    write_envi(tmp_path / 'cube.bsq', cube, fields=fields)
    out = tmp_path / 'stats.json'
    assert call(capsys, tmp_path / 'cube.hdr', '-o', out)[0] == 0
    got = read_statistics_file(out)
    np.testing.assert_allclose(got.mean, cube.reshape(6, -1).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(got.wavelength, np.array(CENTRES) / 1000)


def test_stores_of_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of stores, one of them, or stores and files are as good as the files."""
    random = np.random.default_rng(0)
    bands = BandSet([0.5, 0.6, 0.7], [0.01] * 3)
    files = []
    for name in ('a', 'b'):
        cube = random.integers(0, 5000, (3, 9, 7)).astype('int16')
        files.append(write_cog(tmp_path / f'{name}.tif', cube, bands=bands))
        with open_cube(files[-1]) as reader:
            write_stored_scene(reader, tmp_path / 'stores' / 'deep' / f'{name}.zarr')
    stores = tmp_path / 'stores'
    places: dict[str, list[Path]] = {
        'files': files,
        'stores': [stores],
        'one': [stores / 'deep' / 'a.zarr'],
        'both': [stores / 'deep' / 'a.zarr', files[1]],
    }
    found = {}
    for name, paths in places.items():
        out = tmp_path / f'{name}.json'
        code, _, err = call(capsys, *paths, '-o', out)
        assert code == 0, err
        found[name] = read_statistics_file(out)
    for name in ('stores', 'both'):
        assert found[name].pixels == 126
        np.testing.assert_array_equal(found[name].mean, found['files'].mean)
    assert found['one'].pixels == 63


def test_splits_and_a_store(
    patches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ('--dataset', 'HSIHySpecNet11k', patches)
    for name, splits in (('train', 'train'), ('two', 'train,val')):
        out = tmp_path / f'{name}.json'
        assert call(capsys, *command, '--splits', splits, '-o', out)[0] == 0
    train = read_statistics_file(tmp_path / 'train.json')
    two = read_statistics_file(tmp_path / 'two.json')
    assert (train.pixels, two.pixels) == (6 * 64, 9 * 64)
    samples = [HSIHySpecNet11k(str(patches), 'train')[i] for i in range(6)]
    pixels = torch.cat([s['image'][:, s['valid']] for s in samples], 1).double()
    np.testing.assert_allclose(train.mean, pixels.mean(1), rtol=1e-12)
    # a store gives the very same numbers
    splits = {name: HSIHySpecNet11k(str(patches), name) for name in ('train', 'val')}
    convert_dataset(splits, tmp_path / 'store', workers=0)
    out = tmp_path / 'store.json'
    code, _, err = call(capsys, tmp_path / 'store', '--splits', 'train', '-o', out)
    assert code == 0, err
    stored = read_statistics_file(out)
    assert np.array_equal(stored.mean, train.mean)
    assert np.array_equal(stored.covariance, train.covariance)
    assert stored.names == train.names


def test_config_and_a_damaged_patch(
    patches: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / 'copy'
    write_hyspecnet(copy)
    broken = sorted(copy.rglob('*SPECTRAL_IMAGE.TIF'))[1]
    broken.write_bytes(broken.read_bytes()[:200])
    config = {
        'class_path': 'torchgeo_hsi.datasets.HSIHySpecNet11k',
        'init_args': {'root': str(copy), 'split': 'train'},
    }
    (tmp_path / 'data.yaml').write_text(yaml.safe_dump(config))
    out = tmp_path / 'stats.json'
    code, _, err = call(capsys, '--config', tmp_path / 'data.yaml', '-o', out)
    assert code == 3
    assert 'Failed samples, which were left out: 1' in err
    assert 'sample 1: ' in err
    assert read_statistics_file(out).pixels == 5 * 64


def test_wrong_use(
    patches: Path,
    tiles: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'stats.json'
    for words, code, message in (
        ((tiles[0],), 2, "Missing option '--output'"),
        (('-o', out), 1, 'Expected paths, or a dataset'),
        ((tmp_path / 'no', '-o', out), 1, 'nothing at'),
        (('--dataset', 'Other', '-o', out), 1, 'Other'),
        (
            ('--dataset', 'HSIHySpecNet11k', patches, '--splits', 'x', '-o', out),
            1,
            "no split 'x'. It has: train, val, test",
        ),
        ((tiles[0], '--accuracy', '2', '-o', out), 2, '--accuracy'),
    ):
        found, _, err = call(capsys, *words)
        assert found == code, err
        assert message in err
    assert not out.exists()


def test_scenes_that_cannot_be_opened(
    tiles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, tile in enumerate(sorted(tiles[0].glob('*.tif'))[:2]):
        (tmp_path / f'b{number}.tif').write_bytes(tile.read_bytes())
    sound, out = tmp_path / 'sound.json', tmp_path / 'stats.json'
    assert call(capsys, tmp_path / 'b1.tif', '-o', sound)[0] == 0
    content = (tmp_path / 'b0.tif').read_bytes()
    (tmp_path / 'a.tif').write_bytes(b'II*\0nothing')
    (tmp_path / 'b0.tif').write_bytes(content[:100])
    code, text, err = call(capsys, tmp_path, '-o', out)
    assert code == 3
    assert 'Failed scenes and samples, which were left out: 2' in err
    assert f'Statistics written: {out} (' in text
    one, other = (read_statistics_file(path) for path in (sound, out))
    np.testing.assert_array_equal(one.mean, other.mean)


def test_scenes_are_never_replaced(
    tiles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sorted(tiles[0].glob('*.tif'))[:2]
    content = first.read_bytes()
    # what "-o *.tif" comes to
    code, _, err = call(capsys, '-o', first, second)
    assert code == 1
    assert 'holds no statistics' in err
    code, _, err = call(capsys, '-o', first, first)
    assert code == 1
    assert first.read_bytes() == content
