# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data.cubes.data import make_cube, write_envi, write_mat, write_mat73, write_netcdf
from data.enmap_l2a.data import make_bare_image, make_product

from torchgeo_hsi.errors import (
    CorruptFileError,
    EmptyDataError,
    HSIError,
    MetadataError,
    NominalWavelengthWarning,
)
from torchgeo_hsi.io import (
    CubeReader,
    EnMAPL2AReader,
    ENVIReader,
    GeoTIFFReader,
    MatReader,
    NetCDFReader,
    open_cube,
)
from torchgeo_hsi.io.open import has_named_arrays


def check(path: Path, kind: type[CubeReader], **options: object) -> None:
    with open_cube(path, **options) as reader:
        assert type(reader) is kind
        values, valid = reader.read([0])
    assert values.dtype == np.float32
    assert valid.any()


def test_enmap(tmp_path: Path) -> None:
    made = make_product(tmp_path)
    for path in (made.folder, made.metadata, made.image):
        check(path, EnMAPL2AReader)


def test_bare_enmap(tmp_path: Path) -> None:
    make_bare_image(tmp_path / 'tagged.tif', tags=True)
    check(tmp_path / 'tagged.tif', EnMAPL2AReader)
    make_bare_image(tmp_path / 'X-SPECTRAL_IMAGE.TIF')
    with pytest.warns(NominalWavelengthWarning):
        check(tmp_path / 'X-SPECTRAL_IMAGE.TIF', EnMAPL2AReader)


def test_geotiff(tmp_path: Path) -> None:
    make_bare_image(tmp_path / 'plain.tif')
    check(tmp_path / 'plain.tif', GeoTIFFReader)
    # many bands, but of another sensor
    wavelength = np.linspace(0.38, 2.5, 224)
    check(tmp_path / 'plain.tif', GeoTIFFReader, wavelength=wavelength)


@pytest.mark.parametrize('name', ['cube.dat', 'cube.img', 'cube', 'cube.bsq'])
def test_envi(tmp_path: Path, name: str) -> None:
    header = write_envi(tmp_path / name, make_cube())
    check(header, ENVIReader)
    check(tmp_path / name, ENVIReader)


def test_envi_with_an_unusual_suffix(tmp_path: Path) -> None:
    write_envi(tmp_path / 'cube.rfl', make_cube()).rename(tmp_path / 'cube.rfl.hdr')
    check(tmp_path / 'cube.rfl', ENVIReader)


def test_arrays(tmp_path: Path) -> None:
    cube = make_cube('f8')
    check(write_mat(tmp_path / 'a.mat', d=cube), MatReader, layout='CHW', key='d')
    check(write_mat73(tmp_path / 'b.mat', d=cube), MatReader)
    check(write_netcdf(tmp_path / 'c.nc', cube), NetCDFReader, variable='reflectance')
    check(write_netcdf(tmp_path / 'c.he5', cube), NetCDFReader)
    assert has_named_arrays('x.MAT')
    assert not has_named_arrays('x.tif')


def test_unknown_option(tmp_path: Path) -> None:
    make_bare_image(tmp_path / 'plain.tif')
    with pytest.raises(MetadataError, match=r"no option 'key'.* wavelength"):
        open_cube(tmp_path / 'plain.tif', key='data')


@pytest.mark.parametrize(
    ('name', 'content', 'error', 'match'),
    [
        ('empty.tif', b'', CorruptFileError, r'empty\.tif is empty \(0 bytes\)'),
        ('empty.mat', b'', CorruptFileError, '0 bytes'),
        ('empty.nc', b'', CorruptFileError, '0 bytes'),
        ('empty.hdr', b'', CorruptFileError, '0 bytes'),
        ('empty.xml', b'', CorruptFileError, '0 bytes'),
        ('text.tif', b'hello', CorruptFileError, 'no raster'),
        ('text.nc', b'hello', CorruptFileError, 'not HDF5'),
        ('cube.dat', b'hello', MetadataError, r'as cube\.dat\.hdr or cube\.hdr'),
        ('cube.xyz', b'hello', MetadataError, 'not known how to read'),
    ],
)
def test_bad_files(
    tmp_path: Path, name: str, content: bytes, error: type[HSIError], match: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=match):
        open_cube(tmp_path / name)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match='is empty'):
        open_cube(tmp_path)
    (tmp_path / 'notes.txt').write_text('x')
    with pytest.raises(EmptyDataError, match='SPECTRAL_IMAGE'):
        open_cube(tmp_path)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        open_cube(tmp_path / 'nowhere')


def test_readers_load_neither_torch_nor_h5py() -> None:
    code = (
        'import sys, torchgeo_hsi.io; '
        'print(sorted({"torch", "torchgeo", "h5py"} & set(sys.modules)))'
    )
    run = subprocess.run(
        [sys.executable, '-c', code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == '[]'
