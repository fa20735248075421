# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP L2A on a grid: warped, mosaicked, and with torchgeo."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from data.enmap_l2a.data import EPSG, NORTH, PIXEL, WEST, Scene, make_product
from pyproj import CRS
from torch.utils.data import DataLoader
from torchgeo.datasets import (
    IntersectionDataset,
    RasterDataset,
    UnionDataset,
    stack_samples,
)
from torchgeo.samplers import GriddedPatchSampler, RandomPatchSampler

from tests.datasets.enmap_l2a.windows import HEIGHT, WHOLE, WIDTH, query
from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.errors import NodataWarning


class TestWarp:
    def test_same_place(self, tmp_path: Path) -> None:
        """A ramp stays a ramp: values equal the coordinates of their pixel."""
        made = make_product(tmp_path, empty=(), height=30, width=30)
        column = np.arange(30, dtype=np.int16) * 100
        with rasterio.open(made.image, 'r+') as dst:
            dst.write(np.broadcast_to(column, made.dn.shape))
        target = CRS.from_epsg(32632)
        dataset = EnMAPL2A(made.folder, crs=target, bands=['B10'], quality=())
        assert dataset.crs == target
        x, y, _ = dataset.bounds
        sample = dataset[x, y]
        rows, columns = np.nonzero(sample['valid'].numpy())
        a, _, c, _, e, f = sample['transform'].double().tolist()[:6]
        east, north = a * (columns + 0.5) + c, e * (rows + 0.5) + f
        back, _ = rasterio.warp.transform(
            'EPSG:32632', f'EPSG:{EPSG}', east.tolist(), north.tolist()
        )
        expected = ((np.array(back) - WEST) / PIXEL - 0.5) * 100
        got = sample['image'][0].numpy()[rows, columns]
        inner = (expected > 100) & (expected < 2800)
        # one pixel is 100
        np.testing.assert_allclose(got[inner], expected[inner], atol=0.5)

    @pytest.mark.parametrize('scale', [1, 3])
    def test_patches_fit_together(self, scene: Scene, scale: int) -> None:
        target = CRS.from_epsg(32632)
        res = 30 * scale
        dataset = EnMAPL2A(scene.folder, crs=target, res=res, bands=['B10'])
        x, y, _ = dataset.bounds
        whole = dataset[x, y]
        height, width = whole['valid'].shape
        for row, column in np.ndindex(height // 2, width // 2):
            west, north = x.start + 2 * column * res, y.stop - 2 * row * res
            patch = dataset[slice(west, west + 2 * res), slice(north - 2 * res, north)]
            part = np.s_[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            assert torch.equal(patch['valid'], whole['valid'][part])
            torch.testing.assert_close(
                patch['image'], whole['image'][part], rtol=0, atol=8.0
            )

    def test_finer_pixels(self, scene: Scene) -> None:
        dataset = EnMAPL2A(scene.folder, res=10, bands=['B10'], quality=())
        assert dataset.res == (10, 10)
        coarse = EnMAPL2A(scene.folder, bands=['B10'], quality=())[WHOLE]
        fine = dataset[WHOLE]
        assert fine['image'].shape == (1, 3 * HEIGHT, 3 * WIDTH)
        # the middle one of three pixels lies where the original one does
        inner = coarse['valid'].clone()
        assert torch.equal(fine['valid'][1::3, 1::3], inner)
        torch.testing.assert_close(
            fine['image'][:, 1::3, 1::3][:, inner], coarse['image'][:, inner]
        )

    def test_coarser_pixels(self, scene: Scene) -> None:
        dataset = EnMAPL2A(scene.folder, res=(60, 60), bands=['B10'], quality=())
        sample = dataset[query(2, 2, 8, 8)]
        assert sample['image'].shape == (1, 4, 4)
        assert sample['valid'].all()
        band = scene.dn[scene.names.index('B10')]
        low, high = band[:12, :12].min(), band[:12, :12].max()
        assert ((sample['image'] >= low) & (sample['image'] <= high)).all()

    def test_masks_take_the_nearest_pixel(self, scene: Scene) -> None:
        dataset = EnMAPL2A(scene.folder, res=15, bands=['B10'])
        valid = EnMAPL2A(scene.folder, bands=['B10'])[WHOLE]['valid']
        expected = valid.repeat_interleave(2, 0).repeat_interleave(2, 1)
        assert torch.equal(dataset[WHOLE]['valid'], expected)


class TestMosaic:
    def test_first_valid_pixel_wins(self, tmp_path: Path) -> None:
        first = make_product(tmp_path / 'a', seed=1)
        second = make_product(
            tmp_path / 'b', seed=2, date='20230101T101010', column=-4, shift=(0, 0)
        )
        dataset = EnMAPL2A(tmp_path, bands=['B10', 'B20'])
        area = query(-4, 0, WIDTH + 4, HEIGHT)
        sample = dataset[area]
        image, valid = sample['image'].numpy(), sample['valid'].numpy()
        rows = [first.names.index('B10'), first.names.index('B20')]
        one = EnMAPL2A(first.folder)[area]['valid'].numpy()
        two = EnMAPL2A(second.folder)[area]['valid'].numpy()
        np.testing.assert_array_equal(valid, one | two)
        # the cloud of the first scene lies on clear ground of the second one
        assert not one[2, 4]
        assert two[2, 4]
        for row, column in np.ndindex(valid.shape):
            here = image[:, row, column]
            if one[row, column]:
                np.testing.assert_array_equal(here, first.dn[rows, row, column - 4])
            elif two[row, column]:
                np.testing.assert_array_equal(here, second.dn[rows, row, column])

    def test_wavelengths_of_the_scene_with_most_pixels(self, tmp_path: Path) -> None:
        make_product(tmp_path / 'a')
        make_product(tmp_path / 'b', date='20230101T101010', column=WIDTH, shift=(1, 1))
        dataset = EnMAPL2A(tmp_path)
        few = dataset[query(WIDTH - 1, 0, 6, 6)]['wavelength']
        assert torch.equal(few, dataset[query(WIDTH + 1, 0, 4, 4)]['wavelength'])

    @pytest.mark.parametrize('crs', [EPSG, 32632])
    def test_an_empty_band_leaves_the_others_alone(
        self, tmp_path: Path, crs: int
    ) -> None:
        make_product(tmp_path / 'a')
        make_product(tmp_path / 'b', column=WIDTH, date='20230101T101010')
        target = CRS.from_epsg(crs)
        with pytest.warns(NodataWarning):
            dataset = EnMAPL2A(tmp_path, crs=target, bands=['B10', 'B130'])
        x, y, _ = dataset.bounds
        image = dataset[x, y]['image']
        whole = EnMAPL2A(tmp_path, crs=target, bands=['B10'])[x, y]['image']
        assert torch.equal(image[:1], whole)
        assert not image[1].any()

    def test_time_of_the_query(self, tmp_path: Path) -> None:
        made = make_product(tmp_path / 'a', seed=1)
        later = make_product(tmp_path / 'b', seed=2, date='20230101T101010')
        dataset = EnMAPL2A(tmp_path, bands=['B10'], quality=())
        start = pd.Timestamp('2022-12-01')
        sample = dataset[(*WHOLE, slice(start, start + pd.Timedelta(days=90)))]
        valid = sample['valid'].numpy()
        band = later.names.index('B10')
        np.testing.assert_array_equal(
            sample['image'][0].numpy()[valid], later.dn[band][valid]
        )
        assert made.dn[band][0, 0] != later.dn[band][0, 0]


class TestTorchgeo:
    def test_index(self, dataset: EnMAPL2A, scene: Scene) -> None:
        assert dataset.files == [str(scene.image)]
        assert len(dataset) == 1
        assert dataset.crs == CRS.from_epsg(EPSG)
        assert dataset.res == (PIXEL, PIXEL)
        x, y, t = dataset.bounds
        assert (x.start, x.stop) == (WEST, WEST + WIDTH * PIXEL)
        assert (y.start, y.stop) == (NORTH - HEIGHT * PIXEL, NORTH)
        assert t.start == pd.Timestamp('2022-07-24T10:45:26.160668')
        assert t.stop == pd.Timestamp('2022-07-24T10:45:30.5')
        assert 'EnMAPL2A' in str(dataset)

    @pytest.mark.parametrize('workers', [0, 2])
    def test_samplers(self, scene: Scene, workers: int) -> None:
        dataset = EnMAPL2A(scene.folder, bands=['B10', 'B20'])
        whole = dataset[WHOLE]['image']
        sampler = GriddedPatchSampler(dataset, size=4)
        loader = DataLoader(
            dataset,
            batch_size=3,
            sampler=sampler,
            num_workers=workers,
            collate_fn=stack_samples,
        )
        seen = 0
        for batch in loader:
            for image, place in zip(batch['image'], batch['transform'], strict=True):
                column = round((place[2].item() - WEST) / PIXEL)
                row = round((NORTH - place[5].item()) / PIXEL)
                inside = whole[:, max(row, 0) : row + 4, max(column, 0) : column + 4]
                assert torch.equal(
                    image[:, -min(row, 0) :, -min(column, 0) :][
                        :, : inside.shape[1], : inside.shape[2]
                    ],
                    inside,
                )
                seen += 1
        assert seen == len(sampler) == 16

    def test_random_sampler(self, dataset: EnMAPL2A) -> None:
        sampler = RandomPatchSampler(dataset, size=4, length=5, generator=0)
        for bounds in sampler:
            sample = dataset[bounds]
            assert sample['image'].shape == (202, 4, 4)

    def test_open_files_are_not_pickled(self, dataset: EnMAPL2A) -> None:
        expected = dataset[WHOLE]
        copy = pickle.loads(pickle.dumps(dataset))
        assert torch.equal(copy[WHOLE]['image'], expected['image'])

    def test_without_cache(self, scene: Scene, dataset: EnMAPL2A) -> None:
        closed = EnMAPL2A(scene.folder, cache=False)
        for _ in range(2):
            assert torch.equal(closed[WHOLE]['image'], dataset[WHOLE]['image'])

    def test_and_labels(self, scene: Scene, tmp_path: Path) -> None:
        labels = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(1, HEIGHT, WIDTH)
        with rasterio.open(scene.image) as src:
            profile = {**src.profile, 'count': 1, 'dtype': 'uint8', 'nodata': None}
        with rasterio.open(tmp_path / 'labels.tif', 'w', **profile) as dst:
            dst.write(labels)

        class Labels(RasterDataset):
            filename_glob = 'labels.tif'
            is_image = False

        dataset = EnMAPL2A(scene.folder) & Labels(tmp_path)
        assert isinstance(dataset, IntersectionDataset)
        sample = dataset[query(2, 3, 5, 6)]
        assert sample['mask'].dtype == torch.long
        np.testing.assert_array_equal(sample['mask'], labels[0, 3:9, 2:7])
        assert sample['valid'].shape == (6, 5)
        assert sample['bounds'].shape == (9,)
        assert sample['transform'].shape == (9,)

    def test_and_itself(self, scene: Scene) -> None:
        first = EnMAPL2A(scene.folder, bands=['B10'], quality=['snow'])
        second = EnMAPL2A(scene.folder, bands=['B20', 'B30'], quality=['cloud'])
        sample = (first & second)[WHOLE]
        assert sample['image'].shape == (3, HEIGHT, WIDTH)
        assert sample['wavelength'].shape == (3,)
        expected = first[WHOLE]['valid'] & second[WHOLE]['valid']
        assert torch.equal(sample['valid'], expected)

    def test_or(self, tmp_path: Path) -> None:
        one = EnMAPL2A(make_product(tmp_path / 'a', seed=1).folder, bands=['B10'])
        made = make_product(tmp_path / 'b', seed=2, column=-4, date='20230101T101010')
        two = EnMAPL2A(made.folder, bands=['B10'])
        both = one | two
        assert isinstance(both, UnionDataset)
        area = query(-4, 0, WIDTH + 4, HEIGHT)
        merged, together = both[area], EnMAPL2A(tmp_path, bands=['B10'])[area]
        # clear ground of the second one under a cloud of the first one
        hidden = ~one[area]['valid'] & two[area]['valid'] & one[area]['image'][0].bool()
        assert hidden.any()
        assert torch.equal(merged['image'][:, hidden], two[area]['image'][:, hidden])
        for key in ('image', 'valid', 'wavelength'):
            assert torch.equal(merged[key], together[key])

    def test_other_crs_of_a_partner(self, scene: Scene, tmp_path: Path) -> None:
        other = EnMAPL2A(scene.folder, crs=CRS.from_epsg(32632))
        dataset = EnMAPL2A(scene.folder, bands=['B10'])
        joined = other & dataset
        assert dataset.crs == CRS.from_epsg(32632)
        x, y, _ = joined.bounds
        assert joined[x, y]['image'].shape[0] == 203
