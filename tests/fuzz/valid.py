# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The valid inputs that hostile ones are made from, as small as they can be."""

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Name of the folder in front of all files of the archive.
TOP = 'patches'


def _envi(folder: Path) -> None:
    from data.cubes.data import CENTRES, WIDTHS, make_cube, write_envi

    fields = {
        'wavelength': '{' + ', '.join(map(str, CENTRES)) + '}',
        'fwhm': '{' + ', '.join(map(str, WIDTHS)) + '}',
        'wavelength units': 'Nanometers',
        'bbl': '{1, 1, 1, 1, 1, 1}',
        'reflectance scale factor': '10000',
        'data ignore value': '0',
        'map info': '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, WGS-84}',
    }
    write_envi(folder / 'cube.dat', make_cube(), fields=fields)


def _mat(folder: Path) -> None:
    from data.cubes.data import CENTRES, make_cube, write_mat

    cube = make_cube().transpose(1, 2, 0)
    write_mat(folder / 'cube.mat', cube=cube, wavelength=np.array(CENTRES))


def _mat73(folder: Path) -> None:
    from data.cubes.data import CENTRES, make_cube, write_mat73

    cube = make_cube().transpose(1, 2, 0)
    write_mat73(folder / 'cube.mat', cube=cube, wavelength=np.array([CENTRES]))


def _netcdf(folder: Path) -> None:
    from data.cubes.data import make_cube, write_netcdf
    from rasterio.crs import CRS

    wkt = CRS.from_epsg(32633).to_wkt()
    attributes = {'_FillValue': np.int16(0), 'scale_factor': 1e-4}
    write_netcdf(folder / 'cube.nc', make_cube(), attributes=attributes, crs_wkt=wkt)


def _prisma(folder: Path) -> None:
    from data.prisma_l2d.data import make_file

    make_file(folder, pan=True)


def _emit(folder: Path) -> None:
    from data.emit_l2a.data import make_granule

    made = make_granule(folder, size=(26, 16), bands=285)
    made.uncertainty.unlink()


def _enmap(folder: Path) -> None:
    from data.enmap_l2a.data import make_product

    make_product(folder, height=16, width=14)


def _desis(folder: Path) -> None:
    from data.desis_l2a.data import make_product

    make_product(folder, height=16, width=12)


def _tiff(folder: Path) -> None:
    import rasterio
    from affine import Affine
    from data.cubes.data import CENTRES, WIDTHS

    cube = np.random.default_rng(0).integers(1, 250, (6, 40, 36)).astype('i2')
    layouts: dict[str, dict[str, Any]] = {
        'tiles': {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
        'strips': {'blockysize': 8},
    }
    for name, layout in layouts.items():
        with rasterio.open(
            folder / f'{name}.tif',
            'w',
            driver='GTiff',
            count=6,
            height=40,
            width=36,
            dtype='int16',
            nodata=-1,
            crs='EPSG:32633',
            transform=Affine(30, 0, 300000, 0, -30, 5800000),
            interleave='pixel',
            **({'compress': 'deflate', 'predictor': 2} if name == 'tiles' else {}),
            **layout,
        ) as file:
            file.write(cube)
            for band, (centre, width) in enumerate(
                zip(CENTRES, WIDTHS, strict=True), start=1
            ):
                tags = {'wavelength': centre, 'fwhm': width, 'bbl': 1}
                file.update_tags(band, wavelength_units='Nanometers', **tags)


def _scene_store(folder: Path) -> None:
    from torchgeo_hsi.io import open_cube, write_stored_scene

    _envi(folder)
    with open_cube(folder / 'cube.hdr') as reader:
        write_stored_scene(reader, folder / 'scene.zarr')
    (folder / 'cube.hdr').unlink()
    (folder / 'cube.dat').unlink()


def _store(folder: Path) -> None:
    from torchgeo_hsi.io.store import (
        FieldSpec,
        StoreSpec,
        create_store,
        finish_store,
        write_shard,
    )

    path = folder / 'patches.zarr'
    rng = np.random.default_rng(0)
    fields = {'image': FieldSpec((4, 32, 32), 'int16', 0), 'label': FieldSpec((), 'i8')}
    spec = StoreSpec(fields, items=4, shard_items=2, attributes={'classes': ['a', 'b']})
    create_store(path, spec)
    for shard in range(2):
        image = rng.integers(0, 9999, (2, 4, 32, 32)).astype('i2')
        items = [{'name': f'{shard}{i}', 'bounds': [0.5, i]} for i in range(2)]
        arrays = {'image': image, 'label': np.arange(2)}
        write_shard(path, shard, arrays, items)
    finish_store(path)


def _state(folder: Path) -> None:
    """Write what runs leave for the next one."""
    from torchgeo_hsi.cli._records import OutputRecords
    from torchgeo_hsi.cli._scenes import Scene

    scores = {'test': {'test_loss': 0.5, 'epoch': 3.0}}
    (folder / 'scores.json').write_text(json.dumps(scores), encoding='utf-8')
    source = json.dumps({'items': 4, 'note': ''})
    (folder / 'run').mkdir()
    (folder / 'run' / '.source.json').write_text(source, encoding='utf-8')
    OutputRecords(folder, 'recipe').note(Scene('one.tif', 'one'), finished=True)


def _begun(folder: Path) -> None:
    """Begin a store and write one of its shards."""
    from torchgeo_hsi.io.store import FieldSpec, StoreSpec, create_store, write_shard

    path = folder / 'begun.zarr'
    spec = StoreSpec(
        {'image': FieldSpec((2, 8, 8), 'int16', 0)}, items=2, shard_items=2
    )
    create_store(path, spec)
    image = np.arange(2 * 2 * 8 * 8, dtype='i2').reshape(2, 2, 8, 8)
    write_shard(path, 0, {'image': image}, [{'name': 'a'}, {'name': 'b'}])


def _vectors(folder: Path) -> None:
    """Write the features of the labels in other formats."""
    import geopandas

    _labels(folder)
    frame = geopandas.read_file(folder / 'labels.geojson')
    for path in folder.iterdir():
        path.unlink()
    frame.to_file(folder / 'labels.gpkg', layer='labels')
    frame.to_file(folder / 'labels.shp')
    frame.to_parquet(folder / 'labels.parquet')


def _statistics(folder: Path) -> None:
    from torchgeo_hsi.io.statistics_file import write_statistics_file
    from torchgeo_hsi.physics.statistics import BandSummary

    summary = BandSummary(
        names=('B1', 'B2'),
        wavelength=np.array([0.5, 0.6]),
        pixels=10,
        count=np.array([10, 9]),
        mean=np.array([1.0, 2.0]),
        std=np.array([0.5, 0.5]),
        minimum=np.array([0.0, 1.0]),
        maximum=np.array([2.0, 3.0]),
        quantiles={0.5: np.array([1.0, 2.0])},
        accuracy=0.01,
        covariance=np.array([[0.25, 0.1], [0.1, 0.25]]),
        source='scene',
    )
    write_statistics_file(folder / 'statistics.json', summary)


def _labels(folder: Path) -> None:
    import rasterio
    from affine import Affine
    from data.cubes.data import write_envi

    codes = np.random.default_rng(0).integers(0, 4, (9, 7))
    np.save(folder / 'labels.npy', codes)
    fields = {
        'file type': 'ENVI Classification',
        'classes': 4,
        'class names': '{none, oak, pine, elm}',
        'class lookup': '{0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255}',
    }
    write_envi(folder / 'classes.dat', codes[None].astype('u1'), fields=fields)
    with rasterio.open(
        folder / 'labels.tif',
        'w',
        driver='GTiff',
        count=1,
        height=9,
        width=7,
        dtype='uint8',
        crs='EPSG:32633',
        transform=Affine(30, 0, 365055, 0, -30, 5809965),
    ) as file:
        file.write(codes.astype('u1'), 1)
        file.update_tags(1, class_names='{"1": "oak", "2": "pine", "3": "elm"}')
    ring = [[13.0, 52.4], [13.1, 52.4], [13.1, 52.5], [13.0, 52.4]]
    feature = {
        'type': 'Feature',
        'properties': {'crop': 3},
        'geometry': {'type': 'Polygon', 'coordinates': [ring]},
    }
    content = {'type': 'FeatureCollection', 'features': [feature]}
    (folder / 'labels.geojson').write_text(json.dumps(content), encoding='utf-8')


def _weights(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {'layer.weight': torch.ones(4, 3), 'layer.bias': torch.zeros(4)}
    hparams = {'in_channels': 3, 'model': 'small'}
    checkpoint = {'state_dict': state, 'hyper_parameters': hparams, 'epoch': 3}
    torch.save(checkpoint, folder / 'small.ckpt')
    torch.save(state, folder / 'old.pt', _use_new_zipfile_serialization=False)
    save_file(state, folder / 'small.safetensors')
    statistics = {'mean': torch.zeros(3), 'std': torch.ones(3)}
    torch.save({'data': statistics, 'state_dict': state}, folder / 'module.ckpt')


def _texts(folder: Path) -> None:
    files = {
        'split.txt': ''.join(f'0004740/0000{i}.tif\n' for i in range(9)),
        'sensor.csv': '# title: Small\n# source: here\n'
        'name,wavelength_nm,fwhm_nm,good\nB1,500,10,1\nB2,600,10,1\nB3,700,10,0\n',
        'config.yaml': 'dataset:\n  class_path: torchgeo_hsi.datasets.HSICube\n'
        '  init_args:\n    paths: scenes\n',
        'fit.yaml': 'model:\n  class_path: torchgeo_hsi.tasks.HSIDenoising\n'
        'data:\n  class_path: torchgeo_hsi.datamodules.HSIPatchDataModule\n',
        'item-TRUTH.JSON': json.dumps(
            {
                'simulator': 1,
                'scene': {
                    'height': 16,
                    'width': 16,
                    'seed': 0,
                    'cloud_cover': 0.05,
                    'footprint': True,
                    'noise': 1.0,
                },
                'parts': [],
            }
        ),
        'item.json': json.dumps(
            {
                'type': 'Feature',
                'stac_version': '1.0.0',
                'id': 'one',
                'properties': {},
                'geometry': None,
                'links': [],
                'assets': {
                    'image': {
                        'href': './a.tif',
                        'roles': ['data'],
                        'type': 'image/tiff',
                    }
                },
            }
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding='utf-8')


def _archive(folder: Path) -> None:
    with tarfile.open(folder / 'patches.tar.gz', 'w:gz', compresslevel=1) as tar:
        for number in range(3):
            path = folder / f'{number}.bin'
            path.write_bytes(bytes([number]) * 2000)
            tar.add(path, f'{TOP}/000/{number}.bin')
            path.unlink()


def _hyperview(folder: Path) -> None:
    from data.spectral_earth_downstream.data import write_hyperview

    write_hyperview(folder, sizes=(2, 1), fields=2)


def _toolbox(folder: Path) -> None:
    from data.prisma_pansharpening.data import make_root

    make_root(folder, count=1, height=4, width=4)


def _pairs(folder: Path) -> None:
    import scipy.io

    rng = np.random.default_rng(0)
    pair = {name: rng.random((8, 8, 4)) for name in ('input', 'gt')}
    scipy.io.savemat(folder / 'pair.mat', {**pair, 'sigma': 30.0})


def _tree(folder: Path) -> None:
    from data.spectral_earth.data import write_tree

    write_tree(folder, size=8, tree={'0004740': ['00000', '00001']})


def _scenes(folder: Path) -> None:
    for name in ('one.tif', 'two.tif'):
        (folder / name).write_bytes(b'')
    (folder / 'scenes.txt').write_text('# of May\none.tif\ntwo.tif\n')


def _gas(folder: Path) -> None:
    columns = 'wavenumber_cm1,coefficient,power,pressure_power,temperature_power'
    head = {
        'title': 'Methane',
        'formula': 'CH4',
        'molar_mass': '0.016',
        'background': '1.9',
        'source': 'here',
    }
    with (folder / 'gas.csv').open('w', encoding='utf-8', newline='') as file:
        file.writelines(f'# {key}: {value}\n' for key, value in head.items())
        file.write(columns + '\n')
        writer = csv.writer(file)
        writer.writerows([4000 + 5 * i, 0.1, 0.5, 0.3, 0.1] for i in range(300))


#: What makes each valid input.
MAKERS: dict[str, Callable[[Path], None]] = {
    'archive': _archive,
    'begun': _begun,
    'desis': _desis,
    'emit': _emit,
    'enmap': _enmap,
    'envi': _envi,
    'gas': _gas,
    'hyperview': _hyperview,
    'labels': _labels,
    'mat': _mat,
    'mat73': _mat73,
    'netcdf': _netcdf,
    'nothing': lambda folder: None,
    'pairs': _pairs,
    'prisma': _prisma,
    'scene store': _scene_store,
    'scenes': _scenes,
    'state': _state,
    'statistics': _statistics,
    'store': _store,
    'texts': _texts,
    'tiff': _tiff,
    'toolbox': _toolbox,
    'tree': _tree,
    'vectors': _vectors,
    'weights': _weights,
}
