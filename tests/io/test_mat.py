# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from data.cubes.data import CENTRES, make_cube, write_mat, write_mat73
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIWarning,
    MetadataError,
)
from torchgeo_hsi.io import MatReader, read_array

type Writer = Callable[..., Path]
both = pytest.mark.parametrize('write', [write_mat, write_mat73], ids=['v5', 'v7.3'])


def hwc(dtype: str = 'f8') -> np.ndarray:
    return make_cube(dtype).transpose(1, 2, 0)


@both
@pytest.mark.parametrize('dtype', ['u2', 'f8', 'i2'])
def test_pixels(tmp_path: Path, write: Writer, dtype: str) -> None:
    path = write(tmp_path / 'cube.mat', data=hwc(dtype), map=np.ones((9, 7)))
    cube = make_cube(dtype)
    with MatReader(path) as reader:
        assert reader.info.shape == (6, 9, 7)
        assert reader.info.dtype == np.dtype(dtype).name
        whole, valid = reader.read()
        part, _ = reader.read([5, 1, 5], Window(2, 3, 4, 5))
        edge, _ = reader.read([0], Window(-1, -1, 3, 3))
    np.testing.assert_array_equal(whole, cube)
    np.testing.assert_array_equal(part, cube[[5, 1, 5], 3:8, 2:6])
    np.testing.assert_array_equal(edge[0, 1:, 1:], cube[0, :2, :2])
    assert valid.all()


@both
def test_bands_first(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path / 'cube.mat', data=make_cube('f8'))
    with MatReader(path, layout='CHW') as reader:
        np.testing.assert_array_equal(reader.read()[0], make_cube())
    with pytest.raises(MetadataError, match="'HWC'"):
        MatReader(path, layout='WHC')


@both
def test_choice_of_the_array(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path / 'cube.mat', a=hwc(), b=hwc() + 1, m=np.ones((9, 7)))
    with pytest.raises(MetadataError, match=r'found 2.*key=.*a \(9, 7, 6\)'):
        MatReader(path)
    with pytest.raises(MetadataError, match=r"no 'c'.*arrays: "):
        MatReader(path, key='c')
    with pytest.raises(MetadataError, match='3 dimensions'):
        MatReader(path, key='m')
    with MatReader(path, key='b') as reader:
        np.testing.assert_array_equal(reader.read()[0], make_cube() + 1)


@both
def test_no_cube(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path / 'cube.mat', Y=np.ones((6, 63)))
    with pytest.raises(MetadataError, match=r'found 0.*Y \(6, 63\)'):
        MatReader(path)


@both
def test_wavelengths_need_a_unit(tmp_path: Path, write: Writer) -> None:
    vector = np.array(CENTRES)[:, None]
    path = write(tmp_path / 'cube.mat', data=hwc(), wavelengths=vector)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        MatReader(path)
    with MatReader(path, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None
        np.testing.assert_allclose(
            reader.info.bands.wavelength, np.array(CENTRES) / 1e3
        )
        assert reader.info.spectral_source == 'scene'


@both
@pytest.mark.parametrize('vector', [np.array(CENTRES)[:5, None], np.ones((7, 1))])
def test_wavelengths_that_do_not_fit_are_told(
    tmp_path: Path, write: Writer, vector: np.ndarray
) -> None:
    path = write(tmp_path / 'cube.mat', data=hwc(), wavelengths=vector)
    match = rf"'wavelengths' of .*holds {vector.size} numbers for 6 bands"
    with pytest.warns(HSIWarning, match=match):
        reader = MatReader(path)
    with reader:
        assert reader.info.bands is None
    with MatReader(path, wavelength=CENTRES, wavelength_unit='nm') as reader:
        assert reader.info.bands is not None


def test_wavelengths_as_words_are_told(tmp_path: Path) -> None:
    words = np.array([f'{centre} nm' for centre in CENTRES], dtype=object)
    path = write_mat(tmp_path / 'cube.mat', data=hwc(), wavelength=words)
    with pytest.warns(HSIWarning, match='holds no numbers for 6 bands'):
        reader = MatReader(path)
    assert reader.info.bands is None


@both
def test_widths_that_do_not_fit_are_told(tmp_path: Path, write: Writer) -> None:
    vectors = {'wavelength': np.array(CENTRES)[:, None], 'fwhm': np.ones((5, 1))}
    path = write(tmp_path / 'cube.mat', data=hwc(), **vectors)
    with pytest.warns(HSIWarning, match='left out: there is not one for each of 6'):
        reader = MatReader(path, wavelength_unit='nm')
    with reader:
        assert reader.info.bands is not None
        assert reader.info.bands.fwhm is None


@both
def test_wavelengths_of_the_caller(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path / 'cube.mat', data=hwc())
    with MatReader(path) as reader:
        assert reader.info.bands is None
    with MatReader(path, wavelength=CENTRES, wavelength_unit='nm') as reader:
        assert reader.info.spectral_source == 'user'
    with pytest.raises(BandMismatchError, match='6 wavelengths'):
        MatReader(path, wavelength=[0.5])


@both
def test_nodata_and_scale(tmp_path: Path, write: Writer) -> None:
    values = hwc()
    values[0, 1, 2] = -1
    values[3, 3, 3] = np.nan
    path = write(tmp_path / 'cube.mat', data=values)
    with MatReader(path, nodata=-1, scale=10.0) as reader:
        got, valid = reader.read()
    assert sorted(np.argwhere(~valid).tolist()) == [[2, 0, 1], [3, 3, 3]]
    np.testing.assert_allclose(got[valid], values.transpose(2, 0, 1)[valid] * 10)


@both
def test_array(tmp_path: Path, write: Writer) -> None:
    truth = np.arange(63.0).reshape(9, 7)
    path = write(tmp_path / 'cube.mat', data=hwc(), gt=truth)
    np.testing.assert_array_equal(read_array(path, 'gt'), truth)
    with pytest.raises(MetadataError, match=r"no 'x'.*data"):
        read_array(path, 'x')


@both
@pytest.mark.parametrize('share', [0.5, 0.9])
def test_truncated(tmp_path: Path, write: Writer, share: float) -> None:
    noise = np.random.default_rng(0).random((40, 30, 20))
    path = write(tmp_path / 'cube.mat', data=noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CorruptFileError, match=r'cube\.mat is truncated'):
        MatReader(path)


def test_no_mat_file(tmp_path: Path) -> None:
    path = tmp_path / 'cube.mat'
    path.write_text('no such thing' * 20)
    with pytest.raises(CorruptFileError, match='no MATLAB file'):
        MatReader(path)
    path.write_bytes(b'')
    with pytest.raises(CorruptFileError, match='0 bytes'):
        MatReader(path)


@both
def test_closed(tmp_path: Path, write: Writer) -> None:
    reader = MatReader(write(tmp_path / 'cube.mat', data=hwc()))
    reader.close()
    with pytest.raises(CorruptFileError, match='closed'):
        reader.read()


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_mat73(tmp_path / 'cube.mat', data=hwc())
    monkeypatch.setitem(__import__('sys').modules, 'h5py', None)
    with pytest.raises(ImportError, match=r'torchgeo-hsi\[all\]'):
        MatReader(path)
    # version 5 needs no optional package
    MatReader(write_mat(tmp_path / 'old.mat', data=hwc())).close()


@pytest.mark.realdata
def test_abu(real_data: Path) -> None:
    path = real_data / 'aviris' / 'abu-airport-1.mat'
    expected = scipy.io.loadmat(path)['data']
    with MatReader(path) as reader:
        values, valid = reader.read([0, 100, 204])
        assert reader.info.shape == (205, 100, 100)
    np.testing.assert_array_equal(
        values, expected[..., [0, 100, 204]].transpose(2, 0, 1)
    )
    assert valid.all()
    with pytest.raises(MetadataError, match=r'found 0.*Y \(198, 10000\)'):
        MatReader(real_data / 'aviris' / 'jasper_ridge.mat')


@pytest.mark.parametrize('userblock', [0, 512])
def test_plain_hdf5(tmp_path: Path, userblock: int) -> None:
    path = tmp_path / 'cube.mat'
    truth = np.arange(63.0).reshape(9, 7)
    with h5py.File(path, 'w', userblock_size=userblock) as file:
        file['data'] = hwc()
        file['gt'] = truth
    # nothing says that the axes are reversed, as MATLAB would
    with MatReader(path) as reader:
        np.testing.assert_array_equal(reader.read()[0], make_cube())
        part, _ = reader.read([5, 1], Window(2, 3, 4, 5))
    np.testing.assert_array_equal(part, make_cube()[[5, 1], 3:8, 2:6])
    np.testing.assert_array_equal(read_array(path, 'gt'), truth)
    with pytest.raises(MetadataError, match=r'gt \(9, 7\)'):
        MatReader(path, key='gt')
