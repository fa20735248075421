# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Label rasters beside images, and files that are not as they should be."""

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
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from tests.datasets.label_raster.rasters import (
    IGNORE,
    remap,
    some_codes,
    whole,
    window,
    write,
)
from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster
from torchgeo_hsi.errors import CorruptFileError, EmptyDataError


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
