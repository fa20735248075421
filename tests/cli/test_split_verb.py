# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi split`` and ``torchgeo-hsi leaks``, from files to files."""

import json
import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from data.fields.data import make_fields
from data.tiles.data import make_tiles
from rasterio.transform import Affine
from scipy.io import savemat

from torchgeo_hsi.datasets import block_pixel_split, leak_report
from torchgeo_hsi.main import main

PLACE = {'crs': 'EPSG:32633', 'transform': Affine(30, 0, 366000, 0, -30, 5810000)}


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def write(path: Path, codes: np.ndarray, **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        'driver': 'GTiff',
        'count': 1,
        'height': codes.shape[0],
        'width': codes.shape[1],
        'dtype': codes.dtype,
        **PLACE,
    }
    with rasterio.open(path, 'w', **(profile | options)) as dst:
        dst.write(codes, 1)
    return str(path)


@pytest.fixture
def labels() -> np.ndarray:
    return make_fields(size=72, pitch=12, classes=9)


def test_label_map(
    labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / 'labels.tif', labels)
    out, report = tmp_path / 'out' / 'split.tif', tmp_path / 'report.json'
    figure = tmp_path / 'split.png'
    code, text, _ = call(
        capsys,
        'split',
        source,
        str(out),
        *('--window', '5', '--share', 'train=0.5', '--share', 'test=0.5'),
        *('--report', str(report), '--figure', str(figure)),
    )
    assert code == 0
    assert 'test against train: 0.0% of 5-pixel windows touch' in text
    want = block_pixel_split(labels, 5, {'train': 0.5, 'test': 0.5})
    with rasterio.open(out) as src:
        assert np.array_equal(src.read(1), want.codes + 1)
        assert src.crs.to_epsg() == 32633
        assert src.transform == PLACE['transform']
        assert src.tags()['splits'] == 'train,test'
    assert json.loads(report.read_text()) == leak_report(want).to_dict()
    assert figure.read_bytes().startswith(b'\x89PNG')
    code, text, _ = call(capsys, 'leaks', str(out), '--labels', source, '--json')
    assert (code, json.loads(text)) == (0, leak_report(want).to_dict())
    # with wider windows than the split is for
    code, text, _ = call(capsys, 'leaks', str(out), '--window', '9', '--json')
    assert json.loads(text)['touching']['test'] > 0


@pytest.mark.parametrize('by', ['region', 'random'])
def test_other_methods_and_files(
    labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    savemat(tmp_path / 'scene.mat', {'scene_gt': labels})
    np.save(tmp_path / 'scene.npy', labels)
    found = []
    for name, words in (('scene.mat', ('--label-key', 'scene_gt')), ('scene.npy', ())):
        out = tmp_path / f'{name}.tif'
        words = ('split', str(tmp_path / name), str(out), '--by', by, *words)
        code, text, err = call(capsys, *words, '--window', '3', '--seed', '4')
        assert code == 0, err
        assert 'val against train' in text
        with rasterio.open(out) as src:
            found.append(src.read(1))
    assert np.array_equal(*found)
    assert set(np.unique(found[0])) == {0, 1, 2, 3}


def make_patches(root: Path) -> None:
    rng = np.random.default_rng(0)
    for row in range(8):
        for column in range(8):
            place = Affine(30, 0, 366000 + 240 * column, 0, -30, 5810000 - 240 * row)
            codes = rng.integers(0, 4, (8, 8), dtype=np.uint8)
            name = f'{row}/{column}.tif'
            write(root / 'images' / name, codes, transform=place)
            write(root / 'labels' / name, codes, transform=place)


def test_patches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_patches(tmp_path)
    images, labels = str(tmp_path / 'images'), str(tmp_path / 'labels')
    out = tmp_path / 'splits'
    code, text, err = call(capsys, 'split', images, str(out), '--labels', labels)
    assert code == 0, err
    assert 'test against train: 0.0% of patches touch' in text
    lists = {
        name: (out / f'{name}.txt').read_text().splitlines()
        for name in ('train', 'val', 'test')
    }
    every = [name for part in lists.values() for name in part]
    assert sorted(every) == sorted(f'{r}/{c}.tif' for r in range(8) for c in range(8))
    code, again, _ = call(
        capsys, 'leaks', str(out), '--root', images, '--labels', labels
    )
    assert code == 0
    assert again.splitlines()[:3] == text.splitlines()[:3]
    # a patch that is in two lists is found
    with (out / 'test.txt').open('a') as file:
        file.write(f'{lists["train"][0]}\n')
    _, text, _ = call(capsys, 'leaks', str(out), '--root', images, '--json')
    assert json.loads(text)['touching']['test'] == pytest.approx(
        1 / (len(lists['test']) + 1), abs=1e-5
    )


def test_patches_by_region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_patches(tmp_path)
    x, y = 366000, 5810000
    polygons = gpd.GeoDataFrame(
        {'farm': ['a', 'b', 'c', 'a']},
        geometry=[
            shapely.box(x + 480 * i, y - 1920, x + 480 * (i + 1), y) for i in range(4)
        ],
        crs='EPSG:32633',
    ).to_crs('EPSG:4326')
    polygons.to_file(tmp_path / 'farms.geojson')
    code, _, err = call(
        capsys,
        *('split', str(tmp_path / 'images'), str(tmp_path / 'out'), '--by', 'region'),
        *('--regions', str(tmp_path / 'farms.geojson'), '--column', 'farm'),
    )
    assert code == 0, err
    train = (tmp_path / 'out' / 'train.txt').read_text().split()
    assert {name.split('/')[1] for name in train} == {f'{c}.tif' for c in (0, 1, 6, 7)}


@pytest.mark.parametrize(
    ('content', 'column', 'match'),
    [
        (b'', 'farm', 'is empty'),
        (b'noise', 'farm', 'farms.geojson cannot be read as a vector file'),
        ({'crs': None}, 'farm', 'farms.geojson does not say its CRS'),
        ({}, 'field', "There is no column 'field' in .*farms.geojson.*: farm"),
        ({'geometry': []}, 'farm', 'farms.geojson holds no feature'),
    ],
)
def test_bad_regions(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | dict[str, Any],
    column: str,
    match: str,
) -> None:
    place = Affine(30, 0, 366000, 0, -30, 5810000)
    write(tmp_path / 'images' / 'a.tif', np.ones((8, 8), np.uint8), transform=place)
    path = tmp_path / 'farms.geojson'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        words = {'geometry': [shapely.box(0, 0, 1, 1)], 'crs': 'EPSG:4326'} | content
        names = ['a'] * len(words['geometry'])
        gpd.GeoDataFrame({'farm': names}, **words).to_file(path)
        if 'crs' in content:
            # without one, GeoJSON is in WGS 84
            path = tmp_path / 'farms.shp'
            gpd.GeoDataFrame({'farm': names}, **words).to_file(path)
            match = match.replace('geojson', 'shp')
    code, _, err = call(
        capsys,
        *('split', str(tmp_path / 'images'), str(tmp_path / 'out'), '--by', 'region'),
        *('--regions', str(path), '--column', column),
    )
    assert code == 1
    assert re.search(match, err), err
    assert not (tmp_path / 'out').exists()


def test_patches_of_two_zones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_patches(tmp_path)
    write(
        tmp_path / 'images' / 'other.tif', np.ones((8, 8), np.uint8), crs='EPSG:32632'
    )
    code, _, err = call(capsys, 'split', str(tmp_path / 'images'), str(tmp_path / 'o'))
    assert code == 0
    assert 'EPSG:6933' in err


def test_windows_of_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = make_tiles(tmp_path)
    options = {
        'paths': str(images),
        'mask_paths': str(labels),
        'classes': [1, 4, 7],
        'val': ['*_b'],
        'patch_size': 8,
        'batch_size': 2,
        'overlap': 2,
    }
    name = 'torchgeo_hsi.datamodules.EnMAPL2ADataModule'
    config = tmp_path / 'config.yaml'
    config.write_text(
        yaml.safe_dump({'data': {'class_path': name, 'init_args': options}})
    )
    code, text, err = call(capsys, 'leaks', '--config', str(config), '--json')
    assert code == 0, err
    found = json.loads(text)
    assert (found['kind'], found['touching']) == ('patches', {'val': 0, 'test': 0})
    # windows that are larger than the tiles reach over their edges
    code, text, err = call(
        capsys, 'leaks', '--config', str(config), '--json', '--data.patch_size=24'
    )
    assert code == 0, err
    assert json.loads(text)['touching']['test'] > 0


@pytest.mark.parametrize(
    ('words', 'code', 'match'),
    [
        (['split', '{map}', '{out}'], 2, '--window'),
        (['split', '{map}', '{out}', '--window', '3', '--share', 'train'], 2, 'NAME='),
        (['split', '{map}', '{out}', '--window', '3', '--gap', '2'], 2, '--gap is not'),
        (
            ['split', '{map}', '{out}', '--window', '3', '--by', 'random', '--guard=1'],
            2,
            '--guard is not',
        ),
        (
            ['split', '{map}', '{out}', '--window', '15', '--block-size', '6'],
            1,
            'leave nothing over',
        ),
        (
            ['split', '{map}', '{out}', '--window', '3', '--share', 'a=1'],
            1,
            'two splits',
        ),
        (['split', '{mat}', '{out}', '--window', '3'], 1, '--label-key'),
        (['split', '{folder}', '{out}'], 1, 'no GeoTIFF'),
        (['split', '{folder}', '{out}', '--window', '3'], 2, '--window is not'),
        (['split', '{folder}', '{out}', '--by', 'region'], 2, '--regions'),
        (['leaks'], 2, 'Expected one SPLIT'),
        (['leaks', '{map}', '--config', 'demo'], 2, 'got both'),
        (['leaks', '{map}'], 1, 'codes up to 9'),
        (['leaks', '{folder}'], 2, '--root'),
        (['leaks', '{folder}', '--root', '{folder}'], 1, 'train.txt'),
    ],
)
def test_bad_words(
    labels: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    match: str,
) -> None:
    names = {
        'map': write(tmp_path / 'labels.tif', labels),
        'mat': str(tmp_path / 'labels.mat'),
        'folder': str(tmp_path / 'empty'),
        'out': str(tmp_path / 'out.tif'),
    }
    savemat(names['mat'], {'gt': labels})
    (tmp_path / 'empty').mkdir()
    got, _, err = call(capsys, *(word.format(**names) for word in words))
    assert got == code
    assert match in err.replace('\n', ' ')
    assert not (tmp_path / 'out.tif').exists()


def test_missing_patch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ('train', 'test'):
        (tmp_path / f'{name}.txt').write_text('gone.tif\n')
    code, _, err = call(capsys, 'leaks', str(tmp_path), '--root', str(tmp_path))
    assert (code, 'such as gone.tif' in err) == (1, True)


@pytest.mark.parametrize('option', ['OUT', '--report', '--figure'])
def test_labels_are_never_replaced(
    labels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    source = write(tmp_path / 'labels.tif', labels)
    content = Path(source).read_bytes()
    out = str(tmp_path / 'out.tif')
    words = [source, source] if option == 'OUT' else [source, out, option, source]
    code, _, err = call(capsys, 'split', *words, '--window', '7')
    assert code == 1
    assert 'Choose another name' in err
    assert call(capsys, 'split', source, out, '--window', '7')[0] == 0
    code, _, err = call(capsys, 'leaks', out, '--report', out)
    assert code == 1
    assert 'Choose another name' in err
    assert Path(source).read_bytes() == content
