# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs from cubes and panchromatic images in files of several kinds."""

import pickle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
import scipy.io
import torch
from affine import Affine
from data.prisma_l2d.data import make_file
from rasterio.crs import CRS
from rasterio.windows import Window
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_hsi.datasets import HSICube
from torchgeo_hsi.datasets.pan_pairs import PanPairs
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.io import PRISMAL2DReader
from torchgeo_hsi.physics.panchromatic import pan_weights, simulate_pan
from torchgeo_hsi.physics.resampling import mtf_decimate
from torchgeo_hsi.transforms.pansharpening import ReducedResolution

RATIO, BANDS, HEIGHT, WIDTH = 3, 6, 26, 31
WEST, NORTH = 360000.0, 5810000.0
CENTERS = np.linspace(0.42, 0.9, BANDS)
RNG = np.random.default_rng(0)
CUBE = RNG.integers(1, 5000, (BANDS, HEIGHT, WIDTH)).astype(np.int16)
#: The panchromatic image begins two columns to the west of the cube.
SHIFT = 2
PAN = RNG.integers(1, 5000, (RATIO * HEIGHT, RATIO * WIDTH + SHIFT)).astype(np.int16)


def write(
    path: Path,
    values: np.ndarray,
    pixel: float = 30.0,
    west: float = WEST,
    epsg: int | None = 32633,
    nodata: float | None = None,
) -> Path:
    values = values if values.ndim == 3 else values[None]
    place: dict[str, Any] = {}
    if epsg is not None:
        transform = Affine(pixel, 0, west, 0, -pixel, NORTH)
        place = {'crs': f'EPSG:{epsg}', 'transform': transform}
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=len(values),
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        nodata=nodata,
        **place,
    ) as file:
        file.write(values)
        if len(values) == BANDS:
            for number, center in enumerate(CENTERS):
                file.update_tags(
                    number + 1, wavelength=center, wavelength_units='micrometers'
                )
    return path


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('pairs')
    write(folder / 'cube.tif', CUBE)
    write(folder / 'pan.tif', PAN, 10.0, WEST - 10 * SHIFT)
    scipy.io.savemat(folder / 'cube.mat', {'data': CUBE.transpose(1, 2, 0)})
    return folder


def test_pairs_at_full_resolution(folder: Path) -> None:
    pairs = PanPairs(folder / 'cube.tif', folder / 'pan.tif', 'full')
    assert len(pairs) == 1
    assert pairs.ratio == RATIO
    assert pairs.crs == CRS.from_epsg(32633)
    assert pairs.bandset is not None
    assert pairs.files == [str(folder / 'cube.tif')]
    sample = pairs[0]
    np.testing.assert_array_equal(sample['image'], CUBE)
    np.testing.assert_array_equal(sample['pan'][0], PAN[:, SHIFT:])
    np.testing.assert_allclose(sample['wavelength'], CENTERS, rtol=1e-6)
    assert sample['valid'].all()
    assert sample['pan_valid'].all()
    assert sample['pan_valid'].shape == (RATIO * HEIGHT, RATIO * WIDTH)
    assert 'target' not in sample
    expected = [30, 0, WEST, 0, -30, NORTH]
    assert sample['transform'][:6].tolist() == expected
    edges = [WEST, WEST + 30 * WIDTH, 30, NORTH - 30 * HEIGHT, NORTH, 30]
    assert sample['bounds'][:6].tolist() == edges


@pytest.mark.parametrize('resolution', ['full', 'reduced'])
def test_windows_are_parts_of_the_whole(folder: Path, resolution: Any) -> None:
    files = folder / 'cube.tif', folder / 'pan.tif'
    whole = PanPairs(*files, resolution)[0]
    parts = PanPairs(*files, resolution, patch_size=(12, 9), stride=(9, 9))
    step = RATIO if resolution == 'reduced' else 1
    fine = 1 if resolution == 'reduced' else RATIO
    height, width = HEIGHT // step * step, WIDTH // step * step
    seen = torch.zeros(height, width, dtype=torch.bool)
    for k in range(len(parts)):
        number, window = parts.window(k)
        assert number == 0
        row, column = window.row_off, window.col_off
        assert row % step == column % step == 0
        seen[row : row + 12, column : column + 9] = True
        part = parts[k]
        coarse = slice(row // step, (row + 12) // step)
        across = slice(column // step, (column + 9) // step)
        for key in ('image', 'valid'):
            torch.testing.assert_close(
                part[key], whole[key][..., coarse, across], rtol=1e-5, atol=1e-2
            )
        rows = slice(fine * row, fine * (row + 12))
        columns = slice(fine * column, fine * (column + 9))
        for key in ('pan', 'pan_valid', 'target'):
            if key in whole:
                torch.testing.assert_close(
                    part[key], whole[key][..., rows, columns], rtol=1e-5, atol=1e-2
                )
        pixel = 30 * step
        place = [pixel, 0, WEST + 30 * column, 0, -pixel, NORTH - 30 * row]
        assert part['transform'][:6].tolist() == place
    assert seen.all()


def test_reduced_resolution_from_what_was_written(folder: Path) -> None:
    sample = PanPairs(
        folder / 'cube.tif', folder / 'pan.tif', gain=0.35, pan_gain=0.15
    )[0]
    height, width = HEIGHT // RATIO * RATIO, WIDTH // RATIO * RATIO
    cube = torch.from_numpy(CUBE[:, :height, :width].astype(np.float32))
    pan = PAN[None, : RATIO * height, SHIFT : SHIFT + RATIO * width]
    torch.testing.assert_close(sample['target'], cube)
    torch.testing.assert_close(sample['image'], mtf_decimate(cube, 0.35, RATIO))
    fine = torch.from_numpy(pan.astype(np.float32))
    torch.testing.assert_close(sample['pan'], mtf_decimate(fine, 0.15, RATIO))
    assert sample['transform'][:6].tolist() == [90, 0, WEST, 0, -90, NORTH]


def test_a_simulated_pan(folder: Path) -> None:
    pairs = PanPairs(folder / 'cube.tif', ratio=4, pan_range=(0.5, 0.7), patch_size=8)
    assert len(pairs) == 12
    whole = PanPairs(folder / 'cube.tif', ratio=4, pan_range=(0.5, 0.7))[0]
    cube = torch.from_numpy(CUBE[:, :24, :28].astype(np.float32))
    weights = pan_weights(CENTERS.tolist(), None, (0.5, 0.7))
    torch.testing.assert_close(whole['pan'], simulate_pan(cube, weights))
    torch.testing.assert_close(whole['image'], mtf_decimate(cube, 0.3, 4))
    torch.testing.assert_close(whole['target'], cube)
    assert whole['transform'][:6].tolist() == [120, 0, WEST, 0, -120, NORTH]
    _, window = pairs.window(5)
    row, column = window.row_off, window.col_off
    part = pairs[5]
    assert part['pan'].shape == (1, 8, 8)
    expected = whole['image'][:, row // 4 : row // 4 + 2, column // 4 : column // 4 + 2]
    torch.testing.assert_close(part['image'], expected, rtol=1e-5, atol=1e-2)
    # files without wavelengths need some
    with pytest.raises(MetadataError, match=r'cube\.mat carries no wavelengths'):
        PanPairs(folder / 'cube.mat', ratio=4)
    given = PanPairs(
        folder / 'cube.mat',
        ratio=4,
        pan_range=(0.5, 0.7),
        wavelength=CENTERS,
        key='data',
    )[0]
    torch.testing.assert_close(given['pan'], whole['pan'])
    assert 'transform' not in given


def test_grids_by_size(folder: Path, tmp_path: Path) -> None:
    pan = PAN[:, SHIFT:]
    scipy.io.savemat(tmp_path / 'pan.mat', {'x': pan[..., None], 'y': pan[..., None]})
    pairs = PanPairs(
        folder / 'cube.mat',
        tmp_path / 'pan.mat',
        'full',
        pan_options={'key': 'x'},
        key='data',
    )
    assert pairs.ratio == RATIO
    np.testing.assert_array_equal(pairs[0]['pan'][0], pan)
    assert 'transform' not in pairs[0]
    assert pairs.crs is None
    # less than a pixel of the cube more or less is no other ratio
    small = {'x': pan[:-2, :-1, None], 'y': pan[..., None]}
    scipy.io.savemat(tmp_path / 'pan.mat', small)
    sample = PanPairs(
        folder / 'cube.mat',
        tmp_path / 'pan.mat',
        'full',
        pan_options={'key': 'x'},
        key='data',
    )[0]
    assert sample['image'].shape == (BANDS, HEIGHT, WIDTH)
    assert sample['pan'].shape == (1, *pan.shape)
    assert not sample['pan_valid'][-2:].any()
    assert not sample['pan_valid'][:, -1].any()
    assert sample['pan_valid'][:-2, :-1].all()


def test_gaps(tmp_path: Path) -> None:
    cube, pan = CUBE.copy(), PAN.copy()
    cube[:, 4, 5] = -999
    pan[40, 50 + SHIFT] = -999
    write(tmp_path / 'cube.tif', cube, nodata=-999)
    write(tmp_path / 'pan.tif', pan[:60], 10.0, WEST - 10 * SHIFT, nodata=-999)
    files = tmp_path / 'cube.tif', tmp_path / 'pan.tif'
    full = PanPairs(*files, 'full')[0]
    assert (~full['valid']).nonzero().tolist() == [[4, 5]]
    gaps = ~full['pan_valid']
    # what the panchromatic image does not cover has no data
    assert gaps[60:].all()
    assert gaps[:60].nonzero().tolist() == [[40, 50]]
    assert full['image'].min() > 0
    assert full['pan'].min() > 0
    reduced = PanPairs(*files)[0]
    assert not reduced['valid'][1, 1]
    assert not reduced['pan_valid'][4, 5]
    assert not reduced['pan_valid'][40 // 3, 50 // 3]
    assert not reduced['pan_valid'][21:].any()
    assert reduced['image'].min() > 0


def test_the_pan_of_prisma(tmp_path: Path) -> None:
    scene = make_file(tmp_path, height=20, width=18)
    pairs = PanPairs(scene.path, 'own', 'full', patch_size=9, bands=[0.5, 0.6])
    assert pairs.ratio == 6
    with PRISMAL2DReader(scene.path) as reader:
        pan, valid = reader.read_pan()
        assert reader.info.bands is not None
        cube, _ = reader.read(reader.info.bands.indices([0.5, 0.6]))
    _, window = pairs.window(5)
    row, column = window.row_off, window.col_off
    assert (row, column) == (11, 9)
    sample = pairs[5]
    np.testing.assert_array_equal(sample['image'], cube[:, row:20, column:18])
    np.testing.assert_array_equal(sample['pan'], pan[:, 6 * row :, 6 * column :])
    np.testing.assert_array_equal(sample['pan_valid'], valid[0, 66:, 54:])
    reduced = PanPairs(scene.path, 'own', bands=[0.5, 0.6])[0]
    assert reduced['pan'].shape == (1, 18, 18)
    write(tmp_path / 'cube.tif', CUBE)
    with pytest.raises(MetadataError, match=r'cube\.tif holds no panchromatic image'):
        PanPairs(tmp_path / 'cube.tif', 'own')


def test_one_of_several_bands(folder: Path, tmp_path: Path) -> None:
    pan = np.stack([PAN, PAN // 2])
    write(tmp_path / 'pan.tif', pan, 10.0, WEST - 10 * SHIFT)
    with pytest.raises(MetadataError, match='pan_band='):
        PanPairs(folder / 'cube.tif', tmp_path / 'pan.tif')
    with pytest.raises(BandMismatchError, match='pan_band from 0 to 1'):
        PanPairs(folder / 'cube.tif', tmp_path / 'pan.tif', pan_band=2)
    sample = PanPairs(folder / 'cube.tif', tmp_path / 'pan.tif', 'full', pan_band=1)[0]
    np.testing.assert_array_equal(sample['pan'][0], PAN[:, SHIFT:] // 2)


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
@pytest.mark.parametrize(
    ('change', 'error', 'match'),
    [
        ({'epsg': 32632}, MetadataError, 'EPSG:32633, got EPSG:32632.*gdalwarp'),
        ({'pixel': 11.0}, BandMismatchError, 'whole number.*gdalwarp'),
        ({'west': WEST - 4}, BandMismatchError, r'begins at column 0\.400'),
        ({'west': WEST + 1e5}, EmptyDataError, 'does not cover any pixel'),
        ({'pixel': 30.0}, BandMismatchError, 'at least 2'),
        ({'epsg': None}, BandMismatchError, 'Cut both to the same area'),
    ],
)
def test_grids_that_do_not_fit(
    folder: Path, tmp_path: Path, change: dict[str, Any], error: Any, match: str
) -> None:
    values = PAN[:70, :40] if change == {'epsg': None} else PAN
    write(tmp_path / 'pan.tif', values, **{'pixel': 10.0, **change})
    with pytest.raises(error, match=match):
        PanPairs(folder / 'cube.tif', tmp_path / 'pan.tif')


def test_what_cannot_be_asked_for(folder: Path, tmp_path: Path) -> None:
    cube, pan = folder / 'cube.tif', folder / 'pan.tif'
    with pytest.raises(MetadataError, match='cannot be simulated at a finer'):
        PanPairs(cube, resolution='full', ratio=3)
    with pytest.raises(MetadataError, match='Pass ratio='):
        PanPairs(cube)
    with pytest.raises(MetadataError, match="reduced, full, got 'low'"):
        PanPairs(cube, pan, 'low')  # type: ignore[arg-type]
    with pytest.raises(BandMismatchError, match=r'ratio of 4 .*got 3'):
        PanPairs(cube, pan, ratio=4)
    with pytest.raises(BandMismatchError, match='each of 1 cubes, got 2'):
        PanPairs(cube, [pan, pan])
    with pytest.raises(ValueError, match='multiples of the ratio, 3'):
        PanPairs(cube, pan, patch_size=10)
    with pytest.raises(ValueError, match='patch_size as one or two positive'):
        PanPairs(cube, pan, patch_size=0)
    with pytest.raises(BandMismatchError, match='at least 27 x 27 pixels'):
        PanPairs(cube, pan, patch_size=27)
    with pytest.raises(DatasetNotFoundError):
        PanPairs(tmp_path / 'none.tif', pan)
    other = write(tmp_path / 'other.tif', np.repeat(np.repeat(PAN, 2, 0), 2, 1), 5.0)
    with pytest.raises(BandMismatchError, match='pairs of one ratio, got 3, 6'):
        PanPairs([cube, cube], [pan, other])


class Patches(NonGeoDataset):
    """Two cubes in memory."""

    def __init__(self, pan: bool = False) -> None:
        self.pan = pan

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = {
            'image': torch.from_numpy(CUBE.astype(np.float32)) + index,
            'wavelength': torch.tensor(CENTERS, dtype=torch.float32),
            'transform': torch.tensor([30, 0, WEST, 0, -30, NORTH]),
        }
        if self.pan:
            sample['pan'] = torch.from_numpy(PAN[None, :, SHIFT:].astype(np.float32))
        return sample


def test_datasets_of_cubes() -> None:
    pairs = PanPairs(Patches(), ratio=3)
    assert len(pairs) == 2
    expected = ReducedResolution(3)(Patches()[1])
    for key, value in pairs[1].items():
        assert torch.equal(value, expected[key])
    assert pairs[1]['transform'][0] == 90
    own = PanPairs(Patches(pan=True), resolution='full')[0]
    assert own['transform'][:6].tolist() == [30, 0, WEST, 0, -30, NORTH]
    assert own['pan'].shape == (1, RATIO * HEIGHT, RATIO * WIDTH)
    reduced = PanPairs(Patches(pan=True))[0]
    assert reduced['transform'][0] == 90
    assert (pairs.files, pairs.crs, pairs.bandset) == ([], None, None)
    with pytest.raises(MetadataError, match='patch_size, key is for cubes in files'):
        PanPairs(Patches(), ratio=3, patch_size=6, key='data')
    with pytest.raises(MetadataError, match='Index the pairs'):
        pairs.read_window(0, Window(0, 0, 3, 3))


def test_it_can_be_sent_to_workers(folder: Path) -> None:
    pairs = PanPairs(
        folder / 'cube.tif', folder / 'pan.tif', transforms=_marked, cache=False
    )
    copy = pickle.loads(pickle.dumps(pairs))
    for key, value in copy[0].items():
        assert torch.equal(value, pairs[0][key])
    assert 'marked' in copy[0]


def _marked(sample: dict[str, Tensor]) -> dict[str, Tensor]:
    return sample | {'marked': torch.ones(1)}


def test_plot(folder: Path) -> None:
    pairs = PanPairs(folder / 'cube.tif', folder / 'pan.tif')
    figure = pairs.plot(pairs[0], suptitle='pair')
    assert len(figure.axes) == 3
    plt.close('all')


@pytest.mark.realdata
def test_real_cubes(real_data: Path, potsdam: Path) -> None:
    jasper = PanPairs(
        HSICube(real_data / 'aviris' / 'abu-urban-1.mat', key='data'), ratio=4
    )
    with pytest.raises(MetadataError, match='Add wavelength'):
        _ = jasper[0]
    tiles = sorted((potsdam / 'images').glob('*.tif'))[:2]
    pairs = PanPairs(tiles, ratio=4, patch_size=32)
    sample = pairs[0]
    assert sample['target'].shape[1:] == (32, 32)
    assert sample['image'].shape[1:] == (8, 8)
    # a panchromatic image looks like the visible bands, and not like short waves
    pan = sample['pan'][0][sample['pan_valid']]
    visible = (sample['wavelength'] - 0.55).abs().argmin()
    both = torch.stack([pan, sample['target'][visible][sample['pan_valid']]])
    assert both.corrcoef()[0, 1] > 0.95
    ratio = sample['image'].mean() / sample['target'].mean()
    assert ratio == pytest.approx(1, abs=0.03)
