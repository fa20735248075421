# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples of EnMAP L2A: bands, quality layers and leaks."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from data.enmap_l2a.data import (
    DEFECT,
    EPSG,
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

from tests.datasets.enmap_l2a.windows import (
    DROPPED,
    HEIGHT,
    WHOLE,
    WIDTH,
    flagged,
    query,
)
from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.datasets.enmap_l2a import DEFAULT_QUALITY
from torchgeo_hsi.errors import (
    BandMismatchError,
    HSIWarning,
    MetadataError,
    NodataWarning,
    UnitError,
    UnknownNameError,
)


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
