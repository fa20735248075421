# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Class maps as a torchgeo dataset: no pixel gets a class that it does not have."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from data.enmap_l2a.data import EPSG, NORTH, PIXEL, WEST, Scene, make_product
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError

IGNORE = 255


def write(
    path: Path,
    codes: np.ndarray,
    *,
    column: float = 0,
    row: float = 0,
    epsg: int = EPSG,
    size: float = PIXEL,
    nodata: float | None = None,
) -> Path:
    """Write a label map; *column* and *row* move it, in pixels to the south-east."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=codes.shape[0],
        width=codes.shape[1],
        count=1,
        dtype=codes.dtype,
        crs=f'EPSG:{epsg}',
        transform=Affine(size, 0, WEST + column * size, 0, -size, NORTH - row * size),
        nodata=nodata,
    ) as dst:
        dst.write(codes, 1)
    return path


def some_codes(values: list[int], shape: tuple[int, int] = (9, 7)) -> np.ndarray:
    return np.random.default_rng(0).choice(values, shape)


def remap(codes: np.ndarray, classes: list[int]) -> np.ndarray:
    """Look every code up, pixel by pixel."""
    table = {code: index for index, code in enumerate(classes)}
    return np.array([[table.get(float(c), IGNORE) for c in line] for line in codes])


def whole(dataset: LabelRaster) -> np.ndarray:
    return dataset[dataset.bounds]['mask'].numpy()


def window(
    column: float, row: float, width: float, height: float, step: float = PIXEL
) -> tuple[slice, slice]:
    """Build a query in pixels from the corner in the north-west."""
    left, top = WEST + column * PIXEL, NORTH - row * PIXEL
    return (
        slice(left, left + width * PIXEL, step),
        slice(top - height * PIXEL, top, step),
    )


class TestCodes:
    @pytest.mark.parametrize(
        'dtype',
        ['uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'float32', 'float64'],
    )
    def test_become_indices(self, tmp_path: Path, dtype: str) -> None:
        codes = some_codes([0, 1, 4, 7, 100])
        write(tmp_path / 'a.tif', codes.astype(dtype))
        sample = LabelRaster(tmp_path, [4, 100, 1])
        mask = sample[sample.bounds]['mask']
        assert mask.dtype == torch.long
        np.testing.assert_array_equal(mask, remap(codes, [4, 100, 1]))
        # 0 and 7 are not listed
        assert set(mask.unique().tolist()) == {0, 1, 2, IGNORE}

    def test_zero_is_a_class_only_where_listed(self, tmp_path: Path) -> None:
        codes = some_codes([0, 1, 2])
        write(tmp_path / 'a.tif', codes.astype(np.uint8))
        without = whole(LabelRaster(tmp_path, [1, 2]))
        np.testing.assert_array_equal(without == IGNORE, codes == 0)
        with_zero = whole(LabelRaster(tmp_path, [1, 2, 0]))
        np.testing.assert_array_equal(with_zero == 2, codes == 0)
        assert (with_zero != IGNORE).all()

    def test_fractions_are_no_codes(self, tmp_path: Path) -> None:
        codes = np.array([[0, 1, 4], [-0.5, 0.99, 1.5], [np.nan, np.inf, -np.inf]])
        write(tmp_path / 'a.tif', codes.astype(np.float32))
        np.testing.assert_array_equal(
            whole(LabelRaster(tmp_path, [0, 1, 4])),
            [[0, 1, 2], [IGNORE] * 3, [IGNORE] * 3],
        )

    def test_codes_beyond_a_byte(self, tmp_path: Path) -> None:
        codes = some_codes([-32768, 1000, 255, 511])
        write(tmp_path / 'a.tif', codes.astype(np.int32))
        mask = whole(LabelRaster(tmp_path, [511, -32768, 1000]))
        np.testing.assert_array_equal(mask, remap(codes, [511, -32768, 1000]))

    @pytest.mark.parametrize('ignore_index', [-100, -1, 2, 255])
    def test_index_of_the_rest(self, tmp_path: Path, ignore_index: int) -> None:
        codes = some_codes([0, 3, 5])
        write(tmp_path / 'a.tif', codes.astype(np.uint8))
        mask = whole(LabelRaster(tmp_path, [3, 5], ignore_index))
        np.testing.assert_array_equal(mask == ignore_index, codes == 0)

    @pytest.mark.parametrize('nodata', [4, 0, 200, float('nan')])
    def test_nodata_is_no_class(self, tmp_path: Path, nodata: float) -> None:
        codes = some_codes([0, 1, 4, 200]).astype(np.float32)
        codes[codes == 200] = nodata
        write(tmp_path / 'a.tif', codes, nodata=nodata)
        classes = [0, 1, 4]
        want = remap(codes, classes)
        want[codes == nodata] = IGNORE
        dataset = LabelRaster(tmp_path, classes)
        np.testing.assert_array_equal(whole(dataset), want)
        counts = np.bincount(want[want != IGNORE], minlength=3)
        assert dataset.check() == dict(enumerate(counts.tolist()))

    @pytest.mark.parametrize('readdir', [None, 'EMPTY_DIR'])
    @pytest.mark.parametrize('alpha', [False, True])
    def test_masked_pixels_are_no_class(
        self,
        tmp_path: Path,
        alpha: bool,
        readdir: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        codes = some_codes([0, 1]).astype(np.uint8)
        seen = np.random.default_rng(1).random(codes.shape) < 0.5
        path = write(tmp_path / 'a.tif', codes)
        if alpha:
            with rasterio.open(path) as src:
                profile = {**src.profile, 'count': 2}
            with rasterio.open(path, 'w', **profile) as dst:
                dst.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
                dst.write(np.stack([codes, 255 * seen]))
        else:
            with (
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
                rasterio.open(path, 'r+') as dst,
            ):
                dst.write_mask(seen)
            # kept in a file of its own, which is no label map
            assert (tmp_path / 'a.tif.msk').exists()
        # torchgeo's command hides the files beside a raster from GDAL
        monkeypatch.delenv('GDAL_DISABLE_READDIR_ON_OPEN', raising=False)
        if readdir is not None:
            monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', readdir)
        dataset = LabelRaster(tmp_path, [0, 1])
        assert len(dataset) == 1
        np.testing.assert_array_equal(whole(dataset), np.where(seen, codes, IGNORE))


class TestOutside:
    @pytest.mark.parametrize('classes', [[0, 1, 2], [1, 2], [2, 1]])
    @pytest.mark.parametrize('nodata', [None, 1, 0])
    @pytest.mark.parametrize('dtype', ['uint8', 'float32'])
    def test_is_never_a_class(
        self, tmp_path: Path, classes: list[int], nodata: float | None, dtype: str
    ) -> None:
        codes = some_codes([0, 1, 2])
        write(tmp_path / 'a.tif', codes.astype(dtype), nodata=nodata)
        dataset = LabelRaster(tmp_path, classes)
        mask = dataset[window(-3, -2, 7 + 5, 9 + 6)]['mask'].numpy()
        inside = remap(codes, classes)
        inside[codes == nodata] = IGNORE
        want = np.full((15, 12), IGNORE)
        want[2:11, 3:10] = inside
        np.testing.assert_array_equal(mask, want)

    @pytest.mark.parametrize('nodata', [None, 0])
    def test_gap_between_files(self, tmp_path: Path, nodata: float | None) -> None:
        codes = some_codes([1, 2]).astype(np.uint8)
        write(tmp_path / 'a.tif', codes, nodata=nodata)
        write(tmp_path / 'deep' / 'b.TIFF', codes, column=10, row=4, nodata=nodata)
        mask = whole(LabelRaster(tmp_path, [0, 1, 2]))
        want = np.full((13, 17), IGNORE)
        want[:9, :7] = codes
        want[4:, 10:] = codes
        np.testing.assert_array_equal(mask, want)

    def test_beyond_all_files(self, tmp_path: Path) -> None:
        write(tmp_path / 'a.tif', some_codes([1]).astype(np.uint8))
        dataset = LabelRaster(tmp_path)
        with pytest.raises(IndexError, match='not found'):
            dataset[window(100, 100, 5, 5)]

    def test_first_label_wins_where_files_overlap(self, tmp_path: Path) -> None:
        first, second = (some_codes([0, 1, 2]).astype(np.uint8) for _ in range(2))
        second = second[::-1].copy()
        write(tmp_path / 'a.tif', first)
        write(tmp_path / 'b.tif', second)
        got = whole(LabelRaster(tmp_path, [1, 2]))
        want = remap(np.where(first == 0, second, first), [1, 2])
        np.testing.assert_array_equal(got, want)
        got = whole(LabelRaster(tmp_path, [0, 1, 2]))
        np.testing.assert_array_equal(got, first)


class TestGrid:
    def test_place_of_the_sample(self, tmp_path: Path) -> None:
        codes = some_codes([1, 2, 3]).astype(np.uint8)
        write(tmp_path / 'a.tif', codes)
        sample = LabelRaster(tmp_path, [1, 2, 3])[window(2, 3, 4, 5)]
        np.testing.assert_array_equal(sample['mask'], codes[3:8, 2:6] - 1)
        place = [PIXEL, 0, WEST + 2 * PIXEL, 0, -PIXEL, NORTH - 3 * PIXEL]
        assert sample['transform'][:6].tolist() == place
        assert sample['bounds'][:3].tolist() == [place[2], place[2] + 120, PIXEL]

    def test_finer_pixels_repeat_codes(self, tmp_path: Path) -> None:
        codes = some_codes([0, 2, 9]).astype(np.uint8)
        write(tmp_path / 'a.tif', codes)
        mask = whole(LabelRaster(tmp_path, [2, 9], res=PIXEL / 5))
        want = remap(codes, [2, 9]).repeat(5, axis=0).repeat(5, axis=1)
        np.testing.assert_array_equal(mask, want)

    def test_coarser_pixels_take_one_code(self, tmp_path: Path) -> None:
        codes = some_codes([2, 9], (9, 9)).astype(np.uint8)
        write(tmp_path / 'a.tif', codes)
        mask = whole(LabelRaster(tmp_path, [2, 9], res=3 * PIXEL))
        # an average of codes would lie between them and be ignored
        np.testing.assert_array_equal(mask, remap(codes, [2, 9])[1::3, 1::3])

    @pytest.mark.parametrize('part', [-0.4, -0.1, 0.2, 0.4, 0.6, 0.9])
    def test_shifted_by_a_part_of_a_pixel(self, tmp_path: Path, part: float) -> None:
        codes = some_codes([1, 2, 3]).astype(np.uint8)
        write(tmp_path / 'a.tif', codes)
        mask = LabelRaster(tmp_path, [1, 2, 3])[window(2 + part, 2 + part, 4, 6)]
        near = 2 + round(part)
        want = codes[near : near + 6, near : near + 4] - 1
        np.testing.assert_array_equal(mask['mask'], want)

    # degrees bend enough over a large raster to tell an approximation
    @pytest.mark.parametrize(
        ('epsg', 'side'), [(4326, 40), (32632, 40), (3035, 40), (4326, 1000)]
    )
    @pytest.mark.parametrize('nodata', [None, 77])
    def test_warped_codes_are_those_of_the_nearest_pixel(
        self, tmp_path: Path, epsg: int, side: int, nodata: float | None
    ) -> None:
        codes = some_codes([0, 1, 77, 200], (side, side - 10))
        write(tmp_path / 'a.tif', codes.astype(np.float32), nodata=nodata)
        classes = [0, 1, 77, 200]
        dataset = LabelRaster(tmp_path, classes, crs=CRS.from_epsg(epsg))
        x, y, _ = dataset.bounds
        # reach over the border: the corners of a warped raster lie outside, too
        x = slice(x.start - 5 * x.step, x.stop + 5 * x.step, x.step)
        mask = dataset[x, y]['mask'].numpy()
        rows, columns = np.indices(mask.shape) + 0.5
        east, north = Transformer.from_crs(epsg, EPSG, always_xy=True).transform(
            x.start + columns * x.step, y.stop - rows * y.step
        )
        column, row = (east - WEST) / PIXEL, (NORTH - north) / PIXEL
        inside = (column >= 0) & (column < side - 10) & (row >= 0) & (row < side)
        want = np.full(mask.shape, IGNORE)
        found = codes[row[inside].astype(int), column[inside].astype(int)]
        want[inside] = np.searchsorted(classes, found)
        if nodata is not None:
            want[want == classes.index(nodata)] = IGNORE
        # rounding decides at the edge of a pixel
        edge = np.minimum(abs(column - column.round()), abs(row - row.round())) < 0.01
        np.testing.assert_array_equal(mask[~edge], want[~edge])
        assert edge.mean() < 0.1
        assert 0 < inside.mean() < 0.99

    def test_crs_may_change_later(self, tmp_path: Path) -> None:
        write(tmp_path / 'a.tif', some_codes([1, 2], (30, 30)).astype(np.uint8))
        first = LabelRaster(tmp_path, [1, 2], crs=CRS.from_epsg(32632))
        later = LabelRaster(tmp_path, [1, 2])
        later.crs = CRS.from_epsg(32632)
        later.res = first.res
        np.testing.assert_array_equal(
            first[first.bounds]['mask'], later[first.bounds]['mask']
        )


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('scene'))


class TestJoin:
    @pytest.fixture
    def codes(self, tmp_path: Path) -> np.ndarray:
        """Write labels that cover a part of the scene; return them on its grid."""
        codes = some_codes([0, 1, 2, 3], (10, 8))
        write(tmp_path / 'a.tif', codes.astype(np.float32), column=3, row=2)
        on_scene = np.zeros((16, 14))
        on_scene[2:12, 3:11] = codes
        return on_scene

    @pytest.mark.parametrize('scenes_first', [True, False])
    def test_both_orders(
        self, scene: Scene, codes: np.ndarray, tmp_path: Path, scenes_first: bool
    ) -> None:
        scenes, labels = EnMAPL2A(scene.folder), LabelRaster(tmp_path, [3, 1, 2])
        both = scenes & labels if scenes_first else labels & scenes
        assert len(both) == 1
        # where both have data
        x, y, _ = both.bounds
        assert (x.start, x.stop) == (WEST + 3 * PIXEL, WEST + 11 * PIXEL)
        assert (y.start, y.stop) == (NORTH - 12 * PIXEL, NORTH - 2 * PIXEL)
        sample = both[window(0, 0, 14, 16)]
        np.testing.assert_array_equal(sample['mask'], remap(codes, [3, 1, 2]))
        alone = scenes[window(0, 0, 14, 16)]
        assert sample.keys() == alone.keys() | {'mask'}
        for key, value in alone.items():
            # nothing is stacked that is the same in both; labels have no date
            part = slice(6 if key == 'bounds' else None)
            assert sample[key].shape == value.shape
            torch.testing.assert_close(sample[key][part], value[part], msg=key)
        stored = scene.names.index('B50')
        band = np.where(alone['valid'], scene.dn[stored], 0)
        seen = sample['image'][scenes.bands.index('B50')] * sample['valid']
        np.testing.assert_array_equal(seen, band)

    def test_labels_in_another_crs(
        self, scene: Scene, codes: np.ndarray, tmp_path: Path
    ) -> None:
        folder = tmp_path / 'other'
        fine = codes.repeat(3, axis=0).repeat(3, axis=1)
        to_geo = Transformer.from_crs(EPSG, 32632, always_xy=True)
        # fine labels, warped by hand
        west, north = to_geo.transform(WEST - 300, NORTH + 300)
        size, shape = 10.0, (140, 140)
        rows, columns = np.indices(shape) + 0.5
        back = Transformer.from_crs(32632, EPSG, always_xy=True)
        east, up = back.transform(west + columns * size, north - rows * size)
        column = np.floor((east - WEST) / 10).astype(int)
        row = np.floor((NORTH - up) / 10).astype(int)
        inside = (column >= 0) & (column < 42) & (row >= 0) & (row < 48)
        warped = np.zeros(shape, dtype=np.uint8)
        warped[inside] = fine[row[inside], column[inside]]
        folder.mkdir()
        with rasterio.open(
            folder / 'a.tif',
            'w',
            driver='GTiff',
            height=shape[0],
            width=shape[1],
            count=1,
            dtype='uint8',
            crs='EPSG:32632',
            transform=Affine(size, 0, west, 0, -size, north),
        ) as dst:
            dst.write(warped, 1)
        both = EnMAPL2A(scene.folder) & LabelRaster(folder, [1, 2, 3])
        assert both.crs.to_epsg() == EPSG
        mask = both[window(0, 0, 14, 16)]['mask']
        np.testing.assert_array_equal(mask, remap(codes, [1, 2, 3]))

    def test_worker_processes(
        self, scene: Scene, codes: np.ndarray, tmp_path: Path
    ) -> None:
        both = EnMAPL2A(scene.folder) & LabelRaster(tmp_path, [1, 2, 3])
        # files that are open already are not shared with the workers
        both[both.bounds]
        sampler = GriddedPatchSampler(both, size=4)
        batches = [
            next(
                iter(
                    DataLoader(
                        both,
                        batch_size=len(list(sampler)),
                        sampler=sampler,
                        num_workers=workers,
                        collate_fn=stack_samples,
                    )
                )
            )
            for workers in (0, 2)
        ]
        assert torch.equal(batches[0]['mask'], batches[1]['mask'])
        assert set(batches[0]['mask'].unique().tolist()) == {0, 1, 2, IGNORE}


class TestCheck:
    def test_counts(self, tmp_path: Path) -> None:
        codes = some_codes([0, 1, 4, 7])
        write(tmp_path / 'a.tif', codes.astype(np.uint8))
        write(tmp_path / 'b.tif', codes[:2].astype(np.uint8), row=20)
        both = np.concatenate([codes, codes[:2]])
        assert LabelRaster(tmp_path, [7, 99, 1]).check() == {
            0: (both == 7).sum(),
            1: 0,
            2: (both == 1).sum(),
        }

    def test_pixels_count_on_their_own_grid(self, tmp_path: Path) -> None:
        codes = some_codes([0, 1])
        write(tmp_path / 'a.tif', codes.astype(np.uint8))
        dataset = LabelRaster(tmp_path, [0, 1], crs=CRS.from_epsg(32632))
        assert dataset.check() == {0: (codes == 0).sum(), 1: (codes == 1).sum()}

    def test_nan(self, tmp_path: Path) -> None:
        codes = np.array([[np.nan, 1, 2.5], [np.nan, 1, 3]], dtype=np.float32)
        write(tmp_path / 'a.tif', codes)
        assert LabelRaster(tmp_path, [1, 2]).check() == {0: 2, 1: 0}
        with pytest.raises(EmptyDataError, match=r'\[8\]; .* hold \[1, 2\.5, 3\]'):
            LabelRaster(tmp_path, [8]).check()

    def test_no_label_at_all(self, tmp_path: Path) -> None:
        write(tmp_path / 'a.tif', np.zeros((3, 3), dtype=np.uint8), nodata=0)
        with pytest.raises(EmptyDataError, match=r'hold \[\]\. Pass the codes'):
            LabelRaster(tmp_path, [0, 1]).check()


class TestFiles:
    def test_nothing_there(self, tmp_path: Path) -> None:
        (tmp_path / 'readme.txt').write_text('labels follow')
        with pytest.raises(DatasetNotFoundError, match=str(tmp_path)):
            LabelRaster(tmp_path)
        with (
            pytest.raises(DatasetNotFoundError, match='nowhere'),
            pytest.warns(UserWarning, match='nowhere'),
        ):
            LabelRaster(tmp_path / 'nowhere')

    def test_what_gdal_leaves_beside_a_raster(self, tmp_path: Path) -> None:
        codes = some_codes([1, 2], (600, 600)).astype(np.uint8)
        path = write(tmp_path / 'a.tif', codes)
        with rasterio.Env(TIFF_USE_OVR='YES'), rasterio.open(path, 'r+') as dst:
            dst.build_overviews([2])
        (tmp_path / 'a.tif.aux.xml').write_text('<PAMDataset></PAMDataset>')
        assert (tmp_path / 'a.tif.ovr').exists()
        dataset = LabelRaster(tmp_path, [1, 2])
        assert len(dataset) == 1
        np.testing.assert_array_equal(whole(dataset), codes - 1)

    @pytest.mark.parametrize('content', [b'', b'no raster'])
    def test_damaged_file_is_not_left_out(self, tmp_path: Path, content: bytes) -> None:
        write(tmp_path / 'a.tif', some_codes([1]).astype(np.uint8))
        (tmp_path / 'b.tif').write_bytes(content)
        with pytest.raises(CorruptFileError, match=r'b\.tif.*again'):
            LabelRaster(tmp_path)

    def test_truncated_file(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'a.tif', some_codes([1], (99, 99)).astype(np.uint8))
        dataset = LabelRaster(tmp_path, cache=False)
        path.write_bytes(path.read_bytes()[:2000])
        for read in (lambda: dataset[dataset.bounds], dataset.check):
            with pytest.raises(CorruptFileError, match=r'a\.tif is truncated'):
                read()

    def test_damaged_pixels(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'a.tif', some_codes([1], (99, 99)).astype(np.uint8))
        with rasterio.open(path) as src:
            profile = {**src.profile, 'compress': 'deflate'}
        with rasterio.open(path, 'w', **profile) as dst:
            dst.write(some_codes([1, 2, 3], (99, 99)).astype(np.uint8), 1)
        content = bytearray(path.read_bytes())
        content[-1500:-1000] = bytes(500)
        path.write_bytes(content)
        dataset = LabelRaster(tmp_path)
        for read in (lambda: dataset[dataset.bounds], dataset.check):
            with pytest.raises(CorruptFileError, match=r'a\.tif is truncated or dam'):
                read()

    @pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
    def test_no_georeference(self, tmp_path: Path) -> None:
        profile: dict[str, Any] = {'driver': 'GTiff', 'width': 3, 'height': 3}
        with rasterio.open(
            tmp_path / 'a.tif', 'w', count=1, dtype='uint8', **profile
        ) as dst:
            dst.write(np.ones((1, 3, 3), dtype=np.uint8))
        with pytest.raises(ValueError, match=r'a\.tif.*CRS'):
            LabelRaster(tmp_path)

    def test_ways_to_name_files(self, tmp_path: Path) -> None:
        codes = some_codes([1, 2]).astype(np.uint8)
        files = [
            write(tmp_path / 'a' / '1.tif', codes),
            write(tmp_path / 'b' / '2.tif', codes, column=7),
        ]
        folder = LabelRaster(str(tmp_path), [1, 2])
        for paths in (tmp_path, files, (str(file) for file in files), set(files)):
            dataset = LabelRaster(paths, [1, 2])
            np.testing.assert_array_equal(whole(dataset), whole(folder))
        np.testing.assert_array_equal(
            whole(LabelRaster(files[1], [1, 2])), codes.astype(int) - 1
        )

    @pytest.mark.parametrize('cache', [True, False])
    def test_pickle(self, tmp_path: Path, cache: bool) -> None:
        write(tmp_path / 'a.tif', some_codes([1, 2]).astype(np.uint8))
        dataset = LabelRaster(tmp_path, [1, 2], cache=cache)
        before = whole(dataset)
        copy = pickle.loads(pickle.dumps(dataset))
        np.testing.assert_array_equal(whole(copy), before)

    def test_transforms_see_class_indices(self, tmp_path: Path) -> None:
        codes = some_codes([10, 20])
        write(tmp_path / 'a.tif', codes.astype(np.uint8))

        def double(sample: dict[str, Any]) -> dict[str, Any]:
            return {**sample, 'mask': sample['mask'] * 2}

        mask = whole(LabelRaster(tmp_path, [10, 20], transforms=double))
        np.testing.assert_array_equal(mask, 2 * remap(codes, [10, 20]))


@pytest.mark.parametrize(
    ('classes', 'ignore_index', 'match'),
    [
        ([], 255, 'different class codes'),
        ([1, 2, 1], 255, r'\[1, 2, 1\]'),
        ([5, 6], 1, 'index of class code 6. Use 2 or more'),
        ([5, 6], 0, 'index of class code 5'),
    ],
)
def test_bad_options(
    tmp_path: Path, classes: list[int], ignore_index: int, match: str
) -> None:
    write(tmp_path / 'a.tif', some_codes([1]).astype(np.uint8))
    with pytest.raises(ValueError, match=match):
        LabelRaster(tmp_path, classes, ignore_index)
