# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
import scipy.io
import torch
from data.cubes.data import CENTRES, make_cube, write_envi, write_mat, write_netcdf
from data.enmap_l2a.data import make_bare_image, make_product
from matplotlib import pyplot as plt
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_hsi.datasets import HSICube
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIError,
    MetadataError,
    NodataWarning,
    UnitError,
    UnknownNameError,
)

SPECTRAL = {'wavelength': '{450, 550, 650, 860, 1650, 2200}'}
NANOMETRES = {**SPECTRAL, 'wavelength units': 'Nanometers'}
MAP = {'map info': '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, WGS-84}'}


def hwc() -> np.ndarray:
    return make_cube('f8').transpose(1, 2, 0)


def envi(folder: Path, name: str = 'a.dat', **fields: Any) -> Path:
    return write_envi(folder / name, make_cube(), fields={**NANOMETRES, **fields})


def test_whole_cube(tmp_path: Path) -> None:
    dataset = HSICube(envi(tmp_path))
    assert isinstance(dataset, NonGeoDataset)
    assert len(dataset) == 1
    sample = dataset[0]
    assert set(sample) == {'image', 'valid', 'wavelength'}
    assert sample['image'].dtype == torch.float32
    np.testing.assert_array_equal(sample['image'], make_cube())
    assert sample['valid'].dtype == torch.bool
    assert sample['valid'].all()
    np.testing.assert_allclose(sample['wavelength'], np.array(CENTRES) / 1e3)
    assert dataset.bandset is not None
    assert dataset.crs is None
    assert 'HSICube' in str(dataset)
    with pytest.raises(IndexError):
        dataset[1]


@pytest.mark.parametrize('kind', ['envi', 'mat', 'netcdf'])
def test_formats(tmp_path: Path, kind: str) -> None:
    if kind == 'envi':
        path, options = envi(tmp_path), {}
    elif kind == 'mat':
        path = write_mat(tmp_path / 'a.mat', x=hwc(), y=hwc() + 1)
        options = {'key': 'x', 'wavelength': CENTRES, 'wavelength_unit': 'nm'}
    else:
        path, options = write_netcdf(tmp_path / 'a.nc', make_cube()), {}
    sample = HSICube(path, **options)[0]
    np.testing.assert_array_equal(sample['image'], make_cube())
    np.testing.assert_allclose(sample['wavelength'], np.array(CENTRES) / 1e3)


@pytest.mark.parametrize(
    ('size', 'stride', 'starts'),
    [
        # the cube has 9 rows and 7 columns
        (4, None, [(0, 0), (0, 4), (4, 0), (4, 4), (8, 0), (8, 4)]),
        ((9, 7), None, [(0, 0)]),
        ((20, 20), 5, [(0, 0)]),
        ((5, 7), (2, 7), [(0, 0), (2, 0), (4, 0)]),
        ((3, 7), (6, 7), [(0, 0), (6, 0)]),
        ((2, 7), (8, 7), [(0, 0), (8, 0)]),
    ],
)
def test_windows(
    tmp_path: Path, size: Any, stride: Any, starts: list[tuple[int, int]]
) -> None:
    dataset = HSICube(envi(tmp_path), patch_size=size, stride=stride)
    assert len(dataset) == len(starts)
    height, width = (size, size) if isinstance(size, int) else size
    padded = np.zeros((6, 40, 40))
    padded[:, :9, :7] = make_cube()
    for sample, (row, column) in zip(dataset, starts, strict=True):
        expected = padded[:, row : row + height, column : column + width]
        np.testing.assert_array_equal(sample['image'], expected)
        np.testing.assert_array_equal(sample['valid'], expected[0] > 0)


def test_bands(tmp_path: Path) -> None:
    dataset = HSICube(envi(tmp_path), bands=[0.64, 'B1', -1])
    np.testing.assert_array_equal(dataset[0]['image'], make_cube()[[2, 0, 5]])
    np.testing.assert_allclose(dataset[0]['wavelength'], [0.65, 0.45, 2.2])


def test_bad_bands_are_left_out(tmp_path: Path) -> None:
    path = envi(tmp_path, bbl='{1, 0, 1, 1, 1, 1}')
    sample = HSICube(path)[0]
    np.testing.assert_array_equal(sample['image'], make_cube()[[0, 2, 3, 4, 5]])
    assert HSICube(path, bands=['B2'])[0]['image'].shape[0] == 1


def test_bands_without_wavelengths(tmp_path: Path) -> None:
    path = write_mat(tmp_path / 'a.mat', x=hwc())
    dataset = HSICube(path, bands=[5, np.int64(-6)])
    assert dataset.bandset is None
    assert 'wavelength' not in dataset[0]
    np.testing.assert_array_equal(dataset[0]['image'], make_cube()[[5, 0]])
    with pytest.raises(MetadataError, match='by position'):
        HSICube(path, bands=[0.64])
    with pytest.raises(BandMismatchError, match='0 to 5'):
        HSICube(path, bands=[6])


@pytest.mark.parametrize(
    ('bands', 'error'),
    [([640.0], UnitError), (['B9'], UnknownNameError), ([6], BandMismatchError)],
)
def test_unknown_bands(
    tmp_path: Path, bands: list[Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        HSICube(envi(tmp_path), bands=bands)


def test_units_are_never_guessed(tmp_path: Path) -> None:
    path = write_envi(tmp_path / 'a.dat', make_cube(), fields=SPECTRAL)
    with pytest.raises(MetadataError, match='wavelength_unit='):
        HSICube(path)
    assert HSICube(path, wavelength_unit='nm')[0]['wavelength'][0] == pytest.approx(
        0.45
    )
    with pytest.raises(UnitError):
        HSICube(path, wavelength_unit='um')


def test_options_reach_the_reader(tmp_path: Path) -> None:
    cube = make_cube()
    cube[0, 0, 0] = -1
    path = write_envi(tmp_path / 'a.dat', cube, fields=NANOMETRES)
    sample = HSICube(path, nodata=-1, scale=2.0, fwhm=[20.0] * 6, wavelength_unit='nm')[
        0
    ]
    assert np.argwhere(~sample['valid'].numpy()).tolist() == [[0, 0]]
    np.testing.assert_allclose(sample['image'][:, 1:], cube[:, 1:] * 2.0)
    np.testing.assert_allclose(sample['fwhm'], 0.02)
    chw = write_mat(tmp_path / 'b.mat', x=make_cube('f8'))
    np.testing.assert_array_equal(HSICube(chw, layout='CHW')[0]['image'], make_cube())


def test_option_of_another_format(tmp_path: Path) -> None:
    path = envi(tmp_path)
    for option in ('key', 'layout'):
        with pytest.raises(
            MetadataError, match=rf'{option}= is for .*a\.hdr'
        ) as caught:
            HSICube(path, **{option: 'HWC'})
        assert 'variable' not in str(caught.value)
    netcdf = write_netcdf(tmp_path / 'a.nc', make_cube())
    assert HSICube(netcdf, key='reflectance')[0]['image'].shape == (6, 9, 7)


def test_several_files(tmp_path: Path) -> None:
    for name in ('b.dat', 'a.dat'):
        envi(tmp_path, name)
    dataset = HSICube(tmp_path, patch_size=(9, 4))
    assert [Path(file).name for file in dataset.files] == ['a.dat', 'b.dat']
    assert len(dataset) == 4
    loader = DataLoader(dataset, batch_size=4, num_workers=2)
    (batch,) = loader
    assert batch['image'].shape == (4, 6, 9, 4)
    np.testing.assert_array_equal(batch['image'][0], make_cube()[..., :4])


def test_files_that_cannot_be_stacked(tmp_path: Path) -> None:
    first = envi(tmp_path)
    second = write_envi(tmp_path / 'b.dat', make_cube()[:5])
    with pytest.raises(BandMismatchError, match=r'6 bands, with.*5 bands, without'):
        HSICube([first, second])


def test_place(tmp_path: Path) -> None:
    path = envi(tmp_path, **MAP, **{'acquisition time': '2022-07-24T10:45:26Z'})
    dataset = HSICube(path, patch_size=4)
    sample = dataset[3]
    assert dataset.crs is not None
    assert dataset.crs.to_epsg() == 32633
    assert sample['transform'].tolist()[:6] == [30, 0, 365175, 0, -30, 5809845]
    west, east, dx, south, north, dy, start, stop, _ = sample['bounds'].tolist()
    assert (west, east, dx) == (365175, 365295, 30)
    assert (south, north, dy) == (5809725, 5809845, 30)
    assert (
        start == stop == pytest.approx(pd.Timestamp('2022-07-24T10:45:26').timestamp())
    )


def test_place_only_where_all_files_have_one(tmp_path: Path) -> None:
    files = [envi(tmp_path, 'a.dat', **MAP), envi(tmp_path, 'b.dat')]
    assert 'transform' not in HSICube(files)[0]
    assert 'transform' in HSICube(files[:1])[0]


def test_mask_in_the_same_file(tmp_path: Path) -> None:
    truth = np.arange(63).reshape(9, 7)
    path = write_mat(tmp_path / 'a.mat', x=hwc(), gt=truth.astype(float))
    dataset = HSICube(path, mask_key='gt', patch_size=5)
    padded = np.zeros((10, 10))
    padded[:9, :7] = truth
    for sample, (row, column) in zip(
        dataset, [(0, 0), (0, 5), (5, 0), (5, 5)], strict=True
    ):
        assert sample['mask'].dtype == torch.long
        expected = padded[row : row + 5, column : column + 5]
        np.testing.assert_array_equal(sample['mask'], expected)
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[1]['mask'], dataset[1]['mask'])


def test_mask_in_netcdf(tmp_path: Path) -> None:
    path = write_netcdf(tmp_path / 'a.nc', make_cube())
    with h5py.File(path, 'r+') as file:
        file['labels'] = np.full((9, 7), 3, np.uint8)
    assert (HSICube(path, mask_key='labels')[0]['mask'] == 3).all()


def test_mask_in_its_own_raster(tmp_path: Path) -> None:
    truth = np.arange(63, dtype=np.uint8).reshape(1, 9, 7)
    profile = {'count': 1, 'height': 9, 'width': 7, 'dtype': 'uint8'}
    place = {'crs': 'EPSG:32633', 'transform': rasterio.Affine(30, 0, 0, 0, -30, 0)}
    with rasterio.open(
        tmp_path / 'm.tif', 'w', driver='GTiff', **profile, **place
    ) as dst:
        dst.write(truth)
    dataset = HSICube(envi(tmp_path), mask_paths=tmp_path / 'm.tif', patch_size=(9, 5))
    np.testing.assert_array_equal(dataset[0]['mask'], truth[0, :, :5])
    np.testing.assert_array_equal(dataset[1]['mask'][:, :2], truth[0, :, 5:])
    assert not dataset[1]['mask'][:, 2:].any()


def test_bad_masks(tmp_path: Path) -> None:
    cube = envi(tmp_path)
    small = write_mat(tmp_path / 'm.mat', gt=np.ones((3, 3)))
    with pytest.raises(BandMismatchError, match='Expected 1 masks'):
        HSICube(cube, mask_paths=[small, small], mask_key='gt')
    with pytest.raises(MetadataError, match='mask_key='):
        HSICube(cube, mask_paths=small)
    with pytest.raises(MetadataError, match='mask_key='):
        HSICube(cube, mask_key='gt')
    with pytest.raises(BandMismatchError, match=r'\(9, 7\) rows and columns'):
        HSICube(cube, mask_paths=small, mask_key='gt')[0]
    with pytest.raises(MetadataError, match="no 'x'"):
        HSICube(cube, mask_paths=small, mask_key='x')[0]


@pytest.mark.parametrize('option', ['patch_size', 'stride'])
@pytest.mark.parametrize('value', [0, (3, -1), 1.5, (4, 2.0), (1, 2, 3), 'many'])
def test_bad_windows(tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(BandMismatchError, match=f'positive {option}'):
        HSICube(envi(tmp_path), **{option: value})


def test_windows_of_numpy(tmp_path: Path) -> None:
    assert len(HSICube(envi(tmp_path), patch_size=np.int64(4))) == 6
    assert len(HSICube(tmp_path, patch_size=[4, 7])) == 3


@pytest.mark.parametrize('name', ['typo.hdr', 'typo'])
def test_missing_entry_of_a_list(tmp_path: Path, name: str) -> None:
    good = envi(tmp_path)
    paths = [good, tmp_path / name]
    with pytest.raises(HSIError, match=rf'{name} \(1 of 2 entries\)') as caught:
        HSICube(paths)
    assert isinstance(caught.value, FileNotFoundError)


def test_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / 'nowhere.hdr', []):
        with pytest.raises(DatasetNotFoundError, match='paths=') as caught:
            HSICube(path)
        assert isinstance(caught.value, HSIError)


def test_truncated(tmp_path: Path) -> None:
    header = envi(tmp_path)
    data = tmp_path / 'a.dat'
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(CorruptFileError, match=r'a\.dat is truncated'):
        HSICube(header)


def test_empty_band_warns(tmp_path: Path) -> None:
    cube = make_cube()
    cube[3] = -1
    header = write_envi(tmp_path / 'a.dat', cube, fields={'data ignore value': -1})
    dataset = HSICube(header)
    with pytest.warns(NodataWarning, match='B4 hold no data'):
        sample = dataset[0]
    assert not sample['valid'].any()


def test_enmap_folder(tmp_path: Path) -> None:
    made = make_product(tmp_path)
    sample = HSICube(made.folder, bands=['B48'])[0]
    np.testing.assert_array_equal(sample['valid'], made.data[made.names.index('B48')])


def test_transforms_and_cache(tmp_path: Path) -> None:
    make_bare_image(tmp_path / 'a.tif', bands=4)
    dataset = HSICube(
        tmp_path / 'a.tif', transforms=lambda s: {'n': s['valid'].sum()}, cache=False
    )
    assert dataset[0] == {'n': torch.tensor(120)}


@pytest.mark.parametrize('spectral', [True, False])
def test_plot(tmp_path: Path, spectral: bool) -> None:
    if spectral:
        dataset = HSICube(envi(tmp_path))
    else:
        path = write_mat(tmp_path / 'a.mat', x=hwc(), gt=np.ones((9, 7)))
        dataset = HSICube(path, mask_key='gt')
    fig = dataset.plot(dataset[0], suptitle='cube')
    titles = [ax.get_title() for ax in fig.axes]
    assert titles[0].startswith('True color' if spectral else 'Bands 5, 4, 2')
    assert ('Mask' in titles) is not spectral
    # the numbers of such files are not known to be reflectance
    assert fig.axes[-1].get_ylabel() == 'Value'
    plt.close(fig)


@pytest.mark.realdata
def test_abu(real_data: Path) -> None:
    path = real_data / 'aviris' / 'abu-airport-1.mat'
    dataset = HSICube(path, mask_key='map', patch_size=50)
    truth = scipy.io.loadmat(path)
    sample = dataset[3]
    np.testing.assert_array_equal(
        sample['image'], truth['data'][50:, 50:].transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(sample['mask'], truth['map'][50:, 50:])


@pytest.mark.realdata
def test_potsdam_without_its_bad_bands(potsdam: Path) -> None:
    sample = HSICube(potsdam / 'images' / 'enmap_potsdam_tile_96_0.tif')[0]
    assert sample['image'].shape == (218, 32, 32)
    assert sample['valid'].all()
