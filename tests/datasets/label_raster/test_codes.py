# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Codes of label rasters become classes, on the grid that is asked for."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from data.enmap_l2a.data import EPSG, NORTH, PIXEL, WEST
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp

from tests.datasets.label_raster.rasters import (
    IGNORE,
    remap,
    some_codes,
    whole,
    window,
    write,
)
from torchgeo_hsi.datasets import LabelRaster


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
