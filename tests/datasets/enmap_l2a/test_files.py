# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of EnMAP L2A: what is found, and what is wrong."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from data.enmap_l2a.data import Scene, make_bare_image, make_product
from rasterio.errors import NotGeoreferencedWarning
from torchgeo.datasets import DatasetNotFoundError

from tests.datasets.enmap_l2a.windows import DROPPED, WHOLE, WIDTH, query
from torchgeo_hsi.datasets import EnMAPL2A, HSICube
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    HSIWarning,
    MetadataError,
    NodataWarning,
    NominalWavelengthWarning,
)


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
        kind = type(error.value)
        # as tblib makes it in a worker of Dask
        assert isinstance(kind.__new__(kind, 'text'), kind)
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
