# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products that we write: complete, true to the arrays, and all or nothing."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import defusedxml.ElementTree
import numpy as np
import pytest
import rasterio
from helpers.enmap_parts import (
    HEIGHT,
    PARTS,
    PLACE,
    START,
    TRANSFORM,
    WIDTH,
    bands,
    parts_of,
    read,
)
from rasterio.windows import Window

from torchgeo_hsi.io import EnMAPL2AReader, open_cube
from torchgeo_hsi.io.enmap_layers import ProductLayer, blocks
from torchgeo_hsi.io.enmap_writer import EnMAPL2AWriter, scene_name, write_enmap_l2a


class TestProduct:
    def test_reader_gives_back_the_arrays(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        cloud = np.zeros((HEIGHT, WIDTH), np.uint8)
        cloud[5:9, 4:8] = 1
        cirrus = np.zeros((HEIGHT, WIDTH), np.uint8)
        cirrus[12] = 2
        folder = write_enmap_l2a(
            tmp_path / 'scene',
            image,
            bands(),
            *PLACE,
            quality={'QL_QUALITY_CLOUD': cloud, 'QL_QUALITY_CIRRUS': cirrus},
        )
        assert parts_of(folder) == PARTS
        with EnMAPL2AReader(folder) as reader:
            info = reader.info
            values, valid = reader.read()
            flagged = reader.read_quality(('cloud', 'thick_cirrus'))
            assert not reader.read_quality(
                ('haze', 'snow', 'cloudshadow', 'defective', 'low_quality')
            ).any()
        np.testing.assert_array_equal(valid, image != -32768)
        np.testing.assert_array_equal(values[valid], image[valid])
        np.testing.assert_array_equal(flagged, (cloud == 1) | (cirrus == 2))
        assert info.bands is not None
        assert info.bands.names == bands().names
        np.testing.assert_allclose(info.bands.wavelength, bands().wavelength, atol=6e-7)
        np.testing.assert_allclose(info.bands.fwhm, bands().fwhm, atol=6e-9)
        # a band without data is marked as bad
        assert np.flatnonzero(~info.bands.good).tolist() == [130]
        assert info.transform == TRANSFORM
        assert info.crs.to_epsg() == 32633
        assert info.start == '2024-05-06T10:11:12.345000Z'
        assert info.gain is None

    def test_metadata_describe_the_image(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        folder = write_enmap_l2a(
            tmp_path / 'scene', image, bands(), *PLACE, sun_zenith=40, sun_azimuth=150
        )
        (path,) = folder.glob('*-METADATA.XML')
        root = defusedxml.ElementTree.parse(path).getroot()
        statistics = root.findall('product/bandStatistics/bandID')
        for number in (0, 77, 223):
            band = image[number][image[number] != -32768] * 1e-4
            found = float(statistics[number].findtext('mean'))
            assert found == pytest.approx(band.mean(), abs=1e-6)
            found = float(statistics[number].findtext('stdDeviation'))
            assert found == pytest.approx(band.std(), abs=1e-6)
        assert statistics[130].findtext('mean') == '-1000000'
        assert root.findtext('specific/sunElevationAngle/center') == '50.0000'
        assert root.findtext('specific/sunAzimuthAngle/center') == '150.0000'
        assert root.findtext('specific/widthOfOrthoScene') == str(WIDTH)
        assert root.findtext('specific/heightOfOrthoScene') == str(HEIGHT)
        listed = {e.findtext('name') for e in root.iter('file')}
        assert listed == {p.name for p in folder.iterdir()} - {path.name}
        vnir, swir = (
            root.findtext(f'specific/{name}ProductQuality/expectedChannelsList')
            for name in ('vnir', 'swir')
        )
        numbers = [int(n) for n in f'{vnir},{swir}'.split(',')]
        assert sorted(numbers) == list(range(1, 225))
        names = np.array(bands().names)
        assert set(names[np.array(vnir.split(','), int) - 1]) == {
            f'B{n}' for n in range(1, 92)
        }

    def test_layers_that_follow_from_the_image(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        folder = write_enmap_l2a(tmp_path / 'scene', image, bands(), *PLACE)
        classes = read(folder, 'QL_QUALITY_CLASSES')[0]
        assert (classes[:3] == 3).all()
        assert (classes[3:] == 1).all()
        defects = read(folder, 'QL_PIXELMASK')
        assert (defects[:, :3] == 255).all()
        assert not defects[:, 3:].any()
        quicklook = read(folder, 'QL_VNIR')
        red = image[bands().nearest(0.64)].astype(float)
        expected = 255 * np.sqrt(np.clip(red / 3000, 0, 1))
        np.testing.assert_allclose(quicklook[0], expected, atol=0.5)

    def test_windows_may_have_any_size(self, tmp_path: Path, image: np.ndarray) -> None:
        whole = write_enmap_l2a(tmp_path / 'a', image, bands(), *PLACE)
        with EnMAPL2AWriter(
            tmp_path / 'b', bands(), (HEIGHT, WIDTH), *PLACE, compress=None
        ) as out:
            for row in range(0, HEIGHT, 7):
                rows = image[:, row : row + 7]
                out.write(
                    Window(0, row, WIDTH, rows.shape[1]), {'SPECTRAL_IMAGE': rows}
                )
        for part in ('SPECTRAL_IMAGE', 'QL_PIXELMASK', 'QL_SWIR'):
            np.testing.assert_array_equal(read(whole, part), read(tmp_path / 'b', part))
        first, second = (
            next(folder.glob('*.XML')).read_text() for folder in (whole, tmp_path / 'b')
        )
        assert first == second

    def test_more_layers_and_documents(self, tmp_path: Path, image: np.ndarray) -> None:
        layer = ProductLayer(
            'LABELS',
            nodata=255,
            colormap={0: (1, 2, 3), 1: (4, 5, 6)},
            class_names={0: 'a', 1: 'b'},
        )
        with EnMAPL2AWriter(
            tmp_path / 'scene',
            bands(),
            (HEIGHT, WIDTH),
            *PLACE,
            layers=(layer,),
            documents={'NOTE': {'x': 1}},
        ) as out:
            labels = np.ones((HEIGHT, WIDTH), np.uint8)
            out.write(
                Window(0, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image, 'LABELS': labels}
            )
        (path,) = (tmp_path / 'scene').glob('*-LABELS.TIF')
        with rasterio.open(path) as src:
            assert (src.read(1) == 1).all()
            assert src.nodata == 255
            assert src.colormap(1)[1][:3] == (4, 5, 6)
            assert json.loads(src.tags(1)['class_names']) == {'0': 'a', '1': 'b'}
        (note,) = (tmp_path / 'scene').glob('*-NOTE.JSON')
        assert json.loads(note.read_text()) == {'x': 1}

    def test_name_follows_the_specification(self) -> None:
        assert scene_name(START, 12, 3) == (
            'ENMAP01-____L2A-DT0000000012_20240506T101112Z_003_V010303_20240507T101112Z'
        )

    def test_local_times_become_utc(self, tmp_path: Path, image: np.ndarray) -> None:
        zone = timezone(timedelta(hours=2))
        start = datetime(2024, 5, 6, 12, 0, tzinfo=zone)
        folder = write_enmap_l2a(
            tmp_path / 'scene', image, bands(), 'EPSG:32633', TRANSFORM, start
        )
        with open_cube(folder) as reader:
            assert reader.info.start == '2024-05-06T10:00:00.000000Z'
        assert start.astimezone(UTC).hour == 10

    def test_blocks_cover_the_raster_once(self) -> None:
        count = np.zeros((300, 140), int)
        for window in blocks(300, 140):
            count[window.toslices()] += 1
        assert (count == 1).all()
