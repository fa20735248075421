# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pickle
import re
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from data.enmap_l2a.data import (
    DEFECT,
    EPSG,
    FLAGS,
    NODATA,
    NORTH,
    OUTSIDE,
    PIXEL,
    WEST,
    Scene,
    make_bare_image,
    make_product,
)
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning
from torch.utils.data import DataLoader
from torchgeo.datasets import (
    DatasetNotFoundError,
    IntersectionDataset,
    RasterDataset,
    UnionDataset,
    stack_samples,
)
from torchgeo.samplers import GriddedPatchSampler, RandomPatchSampler

from torchgeo_hsi.datasets import EnMAPL2A, HSICube
from torchgeo_hsi.datasets.enmap_l2a import DEFAULT_QUALITY
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
    NodataWarning,
    NominalWavelengthWarning,
    UnitError,
    UnknownNameError,
)

HEIGHT, WIDTH = 16, 14
DROPPED = {f'B{i}' for i in [*range(127, 142), *range(161, 168)]}

type Query = tuple[slice, slice]


def query(column: float, row: float, width: float, height: float) -> Query:
    """Ask for pixels of the first scene."""
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    return (slice(west, west + width * PIXEL), slice(north - height * PIXEL, north))


WHOLE = query(0, 0, WIDTH, HEIGHT)


def flagged(parts: Sequence[str]) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for part in parts:
        mask[FLAGS[part][0]] = True
    return mask


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('enmap'))


@pytest.fixture(scope='module')
def dataset(scene: Scene) -> EnMAPL2A:
    return EnMAPL2A(scene.folder.parent)


class TestSample:
    def test_keys(self, dataset: EnMAPL2A) -> None:
        sample = dataset[WHOLE]
        assert {k: (tuple(v.shape), v.dtype) for k, v in sample.items()} == {
            'image': ((202, HEIGHT, WIDTH), torch.float32),
            'valid': ((HEIGHT, WIDTH), torch.bool),
            'wavelength': ((202,), torch.float32),
            'fwhm': ((202,), torch.float32),
            'bounds': ((9,), torch.float32),
            'transform': ((9,), torch.float32),
        }

    def test_default_bands(self, dataset: EnMAPL2A, scene: Scene) -> None:
        names = [name for name in scene.names if name not in DROPPED]
        assert list(dataset.bands) == names
        assert dataset.bandset.names == tuple(names)
        keep = [scene.names.index(name) for name in names]
        sample = dataset[WHOLE]
        wavelength = sample['wavelength'].numpy()
        assert (np.diff(wavelength) > 0).all()
        np.testing.assert_allclose(wavelength * 1e3, scene.wavelength[keep], rtol=1e-6)
        np.testing.assert_allclose(sample['fwhm'] * 1e3, scene.fwhm[keep], rtol=1e-4)
        expected = np.where(scene.data, scene.dn, 0)[keep]
        np.testing.assert_array_equal(sample['image'], expected)

    def test_valid(self, dataset: EnMAPL2A) -> None:
        expected = ~flagged(
            ['QL_QUALITY_CLOUD', 'QL_QUALITY_CLOUDSHADOW', 'QL_QUALITY_HAZE']
        )
        # medium cirrus is the second of the two flagged rows
        expected[11, 0:3] = False
        expected[OUTSIDE] = False
        np.testing.assert_array_equal(dataset[WHOLE]['valid'], expected)

    def test_flagged_pixels_keep_their_numbers(self, dataset: EnMAPL2A) -> None:
        sample = dataset[WHOLE]
        assert not sample['valid'][0, 0]
        assert (sample['image'][:, 0, 0] > 0).all()
        assert not sample['image'][:, *OUTSIDE].any()

    def test_window(self, dataset: EnMAPL2A) -> None:
        whole, part = dataset[WHOLE], dataset[query(3, 5, 6, 7)]
        for key in ('image', 'valid'):
            assert torch.equal(part[key], whole[key][..., 5:12, 3:9])
        assert part['transform'].tolist()[:6] == [
            PIXEL,
            0,
            WEST + 3 * PIXEL,
            0,
            -PIXEL,
            NORTH - 5 * PIXEL,
        ]

    def test_window_over_the_edge(self, dataset: EnMAPL2A) -> None:
        whole, part = dataset[WHOLE], dataset[query(-2, -3, 8, 9)]
        assert not part['valid'][:3].any()
        assert not part['valid'][:, :2].any()
        assert not part['image'][:, :3].any()
        assert torch.equal(part['valid'][3:, 2:], whole['valid'][:6, :6])
        assert torch.equal(part['image'][:, 3:, 2:], whole['image'][:, :6, :6])

    def test_shift_by_part_of_a_pixel_takes_the_nearest(
        self, dataset: EnMAPL2A
    ) -> None:
        exact, shifted = dataset[query(3, 5, 4, 4)], dataset[query(3.3, 4.8, 4, 4)]
        assert torch.equal(exact['image'], shifted['image'])

    def test_outside(self, dataset: EnMAPL2A) -> None:
        with pytest.raises(IndexError, match='not found in dataset'):
            dataset[query(500, 500, 4, 4)]

    def test_only_touching(self, dataset: EnMAPL2A) -> None:
        sample = dataset[query(WIDTH, 0, 4, 4)]
        assert not sample['valid'].any()
        assert sample['image'].shape == (202, 4, 4)

    def test_gain(self, tmp_path: Path) -> None:
        made = make_product(tmp_path, gain=0.0002, offset=-0.01)
        sample = EnMAPL2A(made.folder, bands=['B10'], quality=())[WHOLE]
        expected = made.dn[made.names.index('B10')] * 2.0 - 100
        valid = sample['valid'].numpy()
        np.testing.assert_allclose(sample['image'][0][valid], expected[valid], 1e-5)

    def test_transforms(self, scene: Scene) -> None:
        dataset = EnMAPL2A(scene.folder, transforms=lambda s: {'n': s['valid'].sum()})
        assert set(dataset[WHOLE]) == {'n'}


class TestBands:
    def test_names_positions_and_wavelengths(self, scene: Scene) -> None:
        dataset = EnMAPL2A(scene.folder, bands=['B200', 3, 0.86, -1])
        nearest = int(np.abs(scene.wavelength - 860).argmin())
        assert dataset.bands == (
            'B200',
            scene.names[3],
            scene.names[nearest],
            scene.names[-1],
        )
        sample = dataset[WHOLE]
        rows = [scene.names.index(name) for name in dataset.bands]
        expected = np.where(scene.data, scene.dn, 0)[rows]
        np.testing.assert_array_equal(sample['image'], expected)
        np.testing.assert_allclose(
            sample['wavelength'] * 1e3, scene.wavelength[rows], rtol=1e-5
        )

    @pytest.mark.parametrize(
        ('bands', 'error'),
        [
            ([640.0], UnitError),
            (['B225'], UnknownNameError),
            ([224], BandMismatchError),
            (['B1', 'B1'], BandMismatchError),
            ([0.5, 0.5001], BandMismatchError),
        ],
    )
    def test_bad_bands(
        self, scene: Scene, bands: list[str | int | float], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            EnMAPL2A(scene.folder, bands=bands)

    def test_each_scene_keeps_its_own_wavelengths(self, tmp_path: Path) -> None:
        first = make_product(tmp_path / 'a')
        second = make_product(
            tmp_path / 'b', shift=(0.2, 0.1), date='20230101T101010', column=WIDTH
        )
        dataset = EnMAPL2A(tmp_path)
        left = dataset[WHOLE]['wavelength']
        right = dataset[query(WIDTH, 0, 5, 5)]['wavelength']
        for made, got in ((first, left), (second, right)):
            keep = [i for i, name in enumerate(made.names) if name not in DROPPED]
            np.testing.assert_allclose(got * 1e3, made.wavelength[keep], rtol=1e-5)
            assert (got.diff() > 0).all()
        assert not torch.equal(left, right)

    def test_scene_that_lacks_a_band(self, tmp_path: Path) -> None:
        make_bare_image(tmp_path / 'a.tif', tags=True)
        make_bare_image(tmp_path / 'b.tif', bands=202)
        with pytest.raises(BandMismatchError, match=r'b\.tif has 202 bands'):
            EnMAPL2A(tmp_path, bands=['B48', 'B130'])

    def test_empty_band_warns(self, scene: Scene) -> None:
        with pytest.warns(NodataWarning, match='B130 hold no data anywhere'):
            dataset = EnMAPL2A(scene.folder, bands=['B48', 'B130'])
        with warnings.catch_warnings():
            # once is enough
            warnings.simplefilter('error')
            sample = dataset[WHOLE]
        assert not sample['valid'].any()
        assert sample['image'][0].any()
        assert not sample['image'][1].any()

    def test_empty_band_that_nobody_flagged_warns(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path, 'r+') as dst:
            dst.write(np.full((12, 10), NODATA, np.int16), 7)
        dataset = EnMAPL2A(path, bands=[2, 6])
        with pytest.warns(NodataWarning, match='B7 hold no data anywhere'):
            dataset[query(2, 2, 4, 4)]

    def test_scene_without_data_warns_once(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path, 'r+') as dst:
            dst.write(np.full_like(dst.read(), NODATA))
        dataset = EnMAPL2A(path)
        with pytest.warns(NodataWarning, match=r'a\.tif holds no data at all'):
            sample = dataset[query(2, 2, 4, 4)]
        assert not sample['valid'].any()
        assert not sample['image'].any()
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            dataset[WHOLE]

    def test_empty_window_of_a_good_scene_is_silent(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path, 'r+') as dst:
            cube = dst.read()
            cube[:, :6] = NODATA
            dst.write(cube)
        assert not EnMAPL2A(path)[query(0, 0, 4, 4)]['valid'].any()

    def test_band_empty_in_a_window_only(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path, 'r+') as dst:
            band = dst.read(7)
            band[:6] = NODATA
            dst.write(band, 7)
        sample = EnMAPL2A(path, bands=[2, 6])[query(0, 0, 4, 4)]
        assert not sample['valid'].any()


class TestQuality:
    def test_none(self, scene: Scene) -> None:
        valid = EnMAPL2A(scene.folder, quality=())[WHOLE]['valid']
        expected = np.ones((HEIGHT, WIDTH), bool)
        expected[OUTSIDE] = False
        np.testing.assert_array_equal(valid, expected)

    @pytest.mark.parametrize(
        ('name', 'part'),
        [
            ('snow', 'QL_QUALITY_SNOW'),
            ('cirrus', 'QL_QUALITY_CIRRUS'),
            ('low_quality', 'QL_QUALITY_TESTFLAGS'),
        ],
    )
    def test_chosen(self, scene: Scene, name: str, part: str) -> None:
        valid = EnMAPL2A(scene.folder, quality=[name])[WHOLE]['valid']
        expected = ~flagged([part])
        expected[OUTSIDE] = False
        np.testing.assert_array_equal(valid, expected)

    def test_defects_of_selected_bands_only(self, scene: Scene) -> None:
        band, row, column = DEFECT
        for position, hit in ((band, True), (band + 1, False)):
            dataset = EnMAPL2A(scene.folder, bands=[position], quality=['defective'])
            assert bool(dataset[WHOLE]['valid'][row, column]) is not hit

    def test_unknown(self, scene: Scene) -> None:
        with pytest.raises(MetadataError, match="'fog'"):
            EnMAPL2A(scene.folder, quality=['fog'])

    def test_named_layers_have_to_exist(self, tmp_path: Path) -> None:
        made = make_product(tmp_path, layers=False)
        with pytest.raises(MetadataError, match='no quality layer cloud'):
            EnMAPL2A(made.folder, quality=['cloud'])

    def test_product_without_layers_warns(self, tmp_path: Path) -> None:
        made = make_product(tmp_path, layers=False)
        with pytest.warns(HSIWarning, match='such as clouds, stay valid') as seen:
            EnMAPL2A(made.folder)
        assert len(seen) == 1
        EnMAPL2A(made.folder, quality=())

    def test_product_without_one_layer_warns(self, tmp_path: Path) -> None:
        first = make_product(tmp_path / 'a')
        made = make_product(tmp_path / 'b', column=WIDTH, date='20230101T101010')
        make_bare_image(tmp_path / 'c.tif', tags=True)
        made.quality['QL_QUALITY_CLOUD'].unlink()
        made.quality['QL_QUALITY_SNOW'].unlink()
        with pytest.warns(HSIWarning, match=r'QL_QUALITY_CLOUD \(1 of 2') as seen:
            EnMAPL2A([made.folder, first.folder, tmp_path / 'c.tif'])
        assert len(seen) == 1
        message = str(seen[0].message)
        assert str(made.image) in message
        # snow is none of the default layers, and the others are there
        assert message.count('QL_QUALITY_') == 1
        # whoever chooses the layers knows
        EnMAPL2A(made.folder, quality=['haze'])

    def test_default_is_a_subset_of_the_known(self, dataset: EnMAPL2A) -> None:
        assert dataset.quality is None
        assert set(DEFAULT_QUALITY) == {'cloud', 'cloudshadow', 'haze', 'thick_cirrus'}


class TestLeaks:
    """What stands where there is no data must not change anything."""

    @staticmethod
    def _with_nodata(root: Path, made: Scene, value: int) -> Path:
        copy = root / made.folder.name
        shutil.copytree(made.folder, copy)
        with rasterio.open(copy / made.image.name, 'r+') as dst:
            pixels = dst.read()
            pixels[~made.data] = value
            dst.write(pixels)
            dst.nodata = value
        return copy

    @pytest.mark.parametrize('crs', [EPSG, 32632, 4326])
    @pytest.mark.parametrize('bands', [None, ['B48', 'B130', 'B49']])
    def test_stored_number(
        self, tmp_path: Path, crs: int, bands: list[str] | None
    ) -> None:
        made = make_product(tmp_path / 'a')
        samples = []
        for value in (NODATA, 32767):
            folder = self._with_nodata(tmp_path / str(value), made, value)
            with warnings.catch_warnings():
                # the empty band B130 is meant
                warnings.simplefilter('ignore', NodataWarning)
                dataset = EnMAPL2A(folder, crs=CRS.from_epsg(crs), bands=bands)
                x, y, _ = dataset.bounds
                samples.append(dataset[x, y])
        for key in ('image', 'valid', 'wavelength'):
            assert torch.equal(samples[0][key], samples[1][key])
        # B130 holds no data, so no pixel is valid with it
        assert samples[0]['valid'].any() == (bands is None)

    def test_nodata_in_one_band_only(self, tmp_path: Path) -> None:
        made = make_product(tmp_path, empty=())
        pixels = np.full(made.dn.shape, 1000, np.int16)
        pixels[[3, 7], [5, 9], [5, 7]] = NODATA
        # what another band holds there must not reach the neighbours either
        pixels[4, 5, 5] = 9000
        with rasterio.open(made.image, 'r+') as dst:
            dst.write(pixels)
        target = CRS.from_epsg(32632)
        dataset = EnMAPL2A(made.folder, crs=target, bands=[3, 4, 7], quality=())
        x, y, _ = dataset.bounds
        sample = dataset[x, y]
        shown = sample['image'][:, sample['valid']]
        torch.testing.assert_close(shown, torch.full_like(shown, 1e3))

    @pytest.mark.parametrize('crs', [32632, 4326])
    def test_no_blend_at_the_edges(self, tmp_path: Path, crs: int) -> None:
        made = make_product(tmp_path, empty=())
        with rasterio.open(made.image, 'r+') as dst:
            dst.write(np.where(made.data, np.int16(1000), np.int16(NODATA)))
        dataset = EnMAPL2A(made.folder, crs=CRS.from_epsg(crs), quality=())
        x, y, _ = dataset.bounds
        sample = dataset[x, y]
        image, valid = sample['image'], sample['valid']
        assert 0.5 < valid.float().mean() < 0.95
        # a blend with 0 or with nodata would differ from 1000
        torch.testing.assert_close(
            image[:, valid], torch.full_like(image[:, valid], 1e3)
        )
        assert not image[:, ~valid].any()


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


class TestFiles:
    def test_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetNotFoundError, match='holds no spectral image'):
            EnMAPL2A(tmp_path)
        with pytest.raises(DatasetNotFoundError, match='nowhere does not exist'):
            EnMAPL2A(tmp_path / 'nowhere')
        with pytest.raises(DatasetNotFoundError, match='paths=: it is empty'):
            EnMAPL2A([])

    @pytest.mark.parametrize('name', ['typo', 'typo.tif', 'empty'])
    def test_one_path_without_a_scene(
        self, scene: Scene, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / 'empty').mkdir()
        with pytest.raises(DatasetNotFoundError, match=f'{name} (does|holds)') as error:
            EnMAPL2A([scene.folder, tmp_path / name])
        # ours, too, and on its way out of a worker process
        assert isinstance(error.value, EmptyDataError)
        copy = pickle.loads(pickle.dumps(error.value))
        assert str(copy) == str(error.value)
        assert str(scene.folder) not in str(copy)

    def test_same_scene_twice(self, scene: Scene) -> None:
        assert len(EnMAPL2A([scene.folder, scene.image])) == 1

    def test_tiles_with_few_bands(self, tmp_path: Path) -> None:
        make_bare_image(tmp_path / 'a.tif', bands=50)
        make_bare_image(tmp_path / 'b.tif', bands=10)
        with pytest.raises(
            DatasetNotFoundError,
            match=r'fewer than 200 bands.*a\.tif has 50, b\.tif has 10; .*HSICube',
        ):
            EnMAPL2A(tmp_path)

    @pytest.mark.parametrize('bands', [10, 223])
    def test_advice_for_other_numbers_of_bands(
        self, tmp_path: Path, bands: int
    ) -> None:
        make_bare_image(tmp_path / 'a.tif', bands=bands)
        with pytest.raises(BandMismatchError, match='HSICube, which takes wavelength='):
            EnMAPL2A(tmp_path / 'a.tif')
        # as the message says
        HSICube(tmp_path / 'a.tif', wavelength=np.linspace(0.42, 2.45, bands))

    def test_unknown_widths_warn_once(self, tmp_path: Path) -> None:
        for part, column in (('a', 0), ('b', WIDTH)):
            made = make_product(tmp_path / part, column=column)
            text = made.metadata.read_text()
            text = re.sub('<FWHMOfBand>[^<]*<', '<FWHMOfBand>0<', text)
            made.metadata.write_text(text)
        with pytest.warns(HSIWarning, match='and 1 more: FWHMOfBand') as seen:
            dataset = EnMAPL2A(tmp_path)
        assert len(seen) == 1
        assert 'fwhm' not in dataset[WHOLE]

    @pytest.mark.parametrize(
        'res', [0, -30, (30, 0), (30,), (30, 30, 30), float('nan'), float('inf'), 'x']
    )
    def test_bad_resolution(self, scene: Scene, res: Any) -> None:
        with pytest.raises(ValueError, match='Expected res as a positive pixel size'):
            EnMAPL2A(scene.folder, res=res)

    @pytest.mark.parametrize('res', [np.float32(15), np.int64(15), [15, 15.0]])
    def test_kinds_of_resolution(self, scene: Scene, res: Any) -> None:
        assert EnMAPL2A(scene.folder, res=res).res == (15, 15)

    def test_several_paths(self, tmp_path: Path) -> None:
        first = make_product(tmp_path / 'a')
        second = make_product(tmp_path / 'b', column=WIDTH, date='20230101T101010')
        paths = [first.metadata, second.folder, first.image]
        dataset = EnMAPL2A(paths)
        assert dataset.files == [str(first.image), str(second.image)]

    @pytest.mark.parametrize('suffix', ['.TIF', '.tif', '_COG.tiff'])
    def test_suffixes(self, tmp_path: Path, suffix: str) -> None:
        made = make_product(tmp_path, suffix=suffix)
        dataset = EnMAPL2A(tmp_path)
        assert dataset.files == [str(made.image)]
        assert not dataset[WHOLE]['valid'][0, 0]

    def test_bare_images_beside_other_rasters(self, tmp_path: Path) -> None:
        make_bare_image(tmp_path / 'tile_1.tif', tags=True)
        make_bare_image(tmp_path / 'QL_VNIR.tif')
        make_bare_image(tmp_path / 'labels.tif', bands=1)
        make_bare_image(tmp_path / 'dem.tif', bands=1)
        dataset = EnMAPL2A(tmp_path)
        assert dataset.files == [str(tmp_path / 'tile_1.tif')]
        assert dataset.index.index.left[0] == pd.Timestamp.min
        assert dataset[query(0, 0, 10, 12)]['valid'].all()

    def test_bare_images_without_tags(self, tmp_path: Path) -> None:
        for name in ('a.tif', 'b.tif'):
            make_bare_image(tmp_path / name)
        with pytest.warns(NominalWavelengthWarning, match=r'a\.tif and 1 more') as seen:
            dataset = EnMAPL2A(tmp_path)
        assert len(seen) == 1
        assert (dataset[query(0, 0, 4, 4)]['wavelength'].diff() > 0).all()

    def test_date_in_the_name(self, tmp_path: Path) -> None:
        name = 'ENMAP01-____L2A-DT0000001867_20220724T104526Z_008_V010302_X.tif'
        make_bare_image(tmp_path / name, tags=True)
        _, _, t = EnMAPL2A(tmp_path).bounds
        assert t.start == pd.Timestamp('2022-07-24T10:45:26')
        assert t.stop == pd.Timestamp('2022-07-24T10:45:26.999999')

    def test_date_in_the_tags(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path, 'r+') as dst:
            dst.update_tags(start_time='2022-07-24T10:45:26')
        assert EnMAPL2A(path).bounds[2].start == pd.Timestamp('2022-07-24T10:45:26')

    @pytest.mark.parametrize('keep', [0, 0.5])
    def test_damaged_image(self, tmp_path: Path, keep: float) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])
        with pytest.raises(CorruptFileError, match=r'a\.tif'):
            EnMAPL2A(tmp_path)

    def test_other_rasters_named_explicitly(self, tmp_path: Path) -> None:
        make_bare_image(tmp_path / 'dem.tif', bands=1)
        with pytest.raises(BandMismatchError, match='1 bands and no wavelengths'):
            EnMAPL2A(tmp_path / 'dem.tif')

    def test_no_georeference(self, tmp_path: Path) -> None:
        path = tmp_path / 'a.tif'
        make_bare_image(path, tags=True)
        with rasterio.open(path) as src:
            pixels = src.read()
        profile = {'count': 224, 'height': 12, 'width': 10, 'dtype': 'int16'}
        with (
            pytest.warns(NotGeoreferencedWarning),
            rasterio.open(path, 'w', driver='GTiff', **profile) as dst,
        ):
            dst.write(pixels)
        with (
            pytest.warns(NominalWavelengthWarning),
            pytest.warns(NotGeoreferencedWarning),
            pytest.raises(MetadataError, match='no georeference'),
        ):
            EnMAPL2A(path)


@pytest.fixture(scope='module')
def tiles(potsdam: Path) -> EnMAPL2A:
    return EnMAPL2A(potsdam / 'images')


@pytest.mark.realdata
class TestPotsdam:
    def test_default_bands(self, tiles: EnMAPL2A) -> None:
        assert len(tiles) == 16
        assert len(tiles.bandset) == 202
        assert (np.diff(tiles.bandset.wavelength) > 0).all()
        assert not DROPPED & set(tiles.bands)
        assert tiles.bandset.good.all()
        # the scene is in detector order, and B81 comes before B93 in this one
        position = tiles.bands.index('B81')
        assert tiles.bands[position + 1] == 'B93'

    def test_values_read_with_rasterio(self, tiles: EnMAPL2A) -> None:
        for path in tiles.files:
            with rasterio.open(path) as src:
                left, bottom, right, top = src.bounds
                expected = src.read([int(name[1:]) for name in tiles.bands])
            sample = tiles[slice(left, right), slice(bottom, top)]
            assert sample['valid'].all()
            np.testing.assert_array_equal(sample['image'], expected)

    def test_fingerprint(self, tiles: EnMAPL2A, potsdam: Path) -> None:
        with rasterio.open(potsdam / 'images/enmap_potsdam_tile_96_0.tif') as src:
            left, bottom, right, top = src.bounds
        sample = tiles[slice(left, right), slice(bottom, top)]
        assert sample['image'].double().mean().item() == pytest.approx(
            1872.0433, abs=1e-3
        )
        assert sample['wavelength'][0].item() == pytest.approx(0.41824)
        assert sample['wavelength'][-1].item() == pytest.approx(2.44562, abs=1e-4)

    def test_nodata_band(self, potsdam: Path) -> None:
        with pytest.warns(NodataWarning, match='B130 hold no data.* 15 more'):
            EnMAPL2A(potsdam / 'images', bands=['B48', 'B130'])
