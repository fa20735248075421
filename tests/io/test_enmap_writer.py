# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP products that we write: complete, true to the arrays, and all or nothing."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import defusedxml.ElementTree
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    MetadataError,
    OutputError,
)
from torchgeo_hsi.io import EnMAPL2AReader, enmap_writer, open_cube, simulated
from torchgeo_hsi.io.enmap_layers import ProductLayer, blocks
from torchgeo_hsi.io.enmap_writer import EnMAPL2AWriter, scene_name, write_enmap_l2a
from torchgeo_hsi.io.simulated import read_config, simulate_enmap, truth_file
from torchgeo_hsi.physics import BandSet, get_sensor
from torchgeo_hsi.physics.simulation import (
    LAND_COVER,
    EnMAPScene,
    SceneConfig,
    SceneTile,
)

START = datetime(2024, 5, 6, 10, 11, 12, 345000)
TRANSFORM = Affine(30, 0, 366975, 0, -30, 5805165)
PLACE: tuple[str, Affine, datetime] = ('EPSG:32633', TRANSFORM, START)
HEIGHT, WIDTH = 20, 30
SIZE = 48

PARTS = {
    'METADATA.XML',
    'SPECTRAL_IMAGE.TIF',
    'QL_QUALITY_CLASSES.TIF',
    'QL_QUALITY_CLOUD.TIF',
    'QL_QUALITY_CLOUDSHADOW.TIF',
    'QL_QUALITY_HAZE.TIF',
    'QL_QUALITY_CIRRUS.TIF',
    'QL_QUALITY_SNOW.TIF',
    'QL_QUALITY_TESTFLAGS.TIF',
    'QL_PIXELMASK.TIF',
    'QL_VNIR.TIF',
    'QL_SWIR.TIF',
}
TRUTH = {
    'TRUTH_CLASSES.TIF',
    'TRUTH_ABUNDANCES.TIF',
    'TRUTH_CLEAN_IMAGE.TIF',
    'TRUTH.JSON',
}


def bands() -> BandSet:
    return get_sensor('enmap').bands


@pytest.fixture
def image() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6000, (224, HEIGHT, WIDTH), dtype=np.int16)
    values[:, :3] = -32768
    values[130] = -32768
    return values


def parts_of(folder: Path) -> set[str]:
    names = [path.name for path in folder.iterdir()]
    stems = {name.partition('Z-')[2].partition('Z-')[2] or name for name in names}
    return {stem.rpartition('Z-')[2] for stem in stems}


def read(folder: Path, part: str) -> np.ndarray:
    file = truth_file(folder, part)
    assert file is not None
    with rasterio.open(file) as src:
        return src.read()


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


class TestFailures:
    def test_error_in_the_middle_leaves_nothing(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        out.write(Window(0, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        with pytest.raises(RuntimeError, match='mine'), out:
            raise RuntimeError('mine')
        assert list(tmp_path.iterdir()) == []

    def test_full_disk(self, tmp_path: Path, image: np.ndarray) -> None:
        resource = pytest.importorskip('resource', reason='needs file size limits')
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, old[1]))
        try:
            with pytest.raises(OutputError, match='could not be written'):
                write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize('step', ['check_blocks', 'write_metadata'])
    def test_failure_at_the_end_keeps_the_old_product(
        self,
        tmp_path: Path,
        image: np.ndarray,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
    ) -> None:
        folder = write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}

        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(enmap_writer, step, full)
        with pytest.raises(OutputError, match=r'No space left.*GiB are free'):
            write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_old_product_comes_back_if_the_new_one_cannot_be_moved(
        self, tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = write_enmap_l2a(tmp_path / 's', image, bands(), *PLACE)
        move = os.replace

        def refuse(source: Any, target: Any) -> None:
            if Path(source).name == 'product':
                raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            move(source, target)

        monkeypatch.setattr(os, 'replace', refuse)
        with pytest.raises(OutputError, match='Permission denied'):
            write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        np.testing.assert_array_equal(read(folder, 'SPECTRAL_IMAGE'), image)

    def test_existing_folder(self, tmp_path: Path, image: np.ndarray) -> None:
        folder = tmp_path / 's'
        folder.mkdir()
        write_enmap_l2a(folder, image, bands(), *PLACE)
        with pytest.raises(OutputError, match='not empty'):
            write_enmap_l2a(folder, image, bands(), *PLACE)
        write_enmap_l2a(folder, 0 * image, bands(), *PLACE, overwrite=True)
        assert not read(folder, 'SPECTRAL_IMAGE').any()
        assert parts_of(folder) == PARTS

    def test_somebody_else_was_faster(self, tmp_path: Path, image: np.ndarray) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        out.write(Window(0, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        (tmp_path / 's').mkdir()
        (tmp_path / 's' / 'file').touch()
        with pytest.raises(OutputError, match='someone else'):
            out.close()
        assert [path.name for path in (tmp_path / 's').iterdir()] == ['file']
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_folder_that_cannot_be_made(
        self, tmp_path: Path, image: np.ndarray
    ) -> None:
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='another folder'):
            write_enmap_l2a(tmp_path / 'file' / 's', image, bands(), *PLACE)

    def test_closed_writer(self, tmp_path: Path, image: np.ndarray) -> None:
        parts = {'SPECTRAL_IMAGE': image}
        with EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE) as out:
            out.write(Window(0, 0, WIDTH, HEIGHT), parts)
        with pytest.raises(OutputError, match='is closed'):
            out.write(Window(0, 0, WIDTH, HEIGHT), parts)
        out.close()
        out.abort()
        assert (tmp_path / 's').is_dir()

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            ({'QL_CLOUDS': np.zeros((HEIGHT, WIDTH), np.uint8)}, 'QL_CLOUDS'),
            ({'QL_QUALITY_CLOUD': np.zeros((HEIGHT, WIDTH))}, 'got float64'),
            ({'QL_QUALITY_CLOUD': np.zeros((4, 4), np.uint8)}, r'shape \(1, 4, 4\)'),
        ],
    )
    def test_parts_that_do_not_fit(
        self,
        tmp_path: Path,
        image: np.ndarray,
        change: dict[str, np.ndarray],
        message: str,
    ) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        window = Window(0, 0, WIDTH, HEIGHT)
        with pytest.raises(OutputError, match=message):
            out.write(window, {'SPECTRAL_IMAGE': image, **change})
        assert list(tmp_path.iterdir()) == []

    def test_image_is_missing(self, tmp_path: Path) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        with pytest.raises(OutputError, match='Expected SPECTRAL_IMAGE'):
            out.write(Window(0, 0, WIDTH, HEIGHT), {})

    def test_window_outside(self, tmp_path: Path, image: np.ndarray) -> None:
        out = EnMAPL2AWriter(tmp_path / 's', bands(), (HEIGHT, WIDTH), *PLACE)
        with pytest.raises(OutputError, match='inside'):
            out.write(Window(5, 0, WIDTH, HEIGHT), {'SPECTRAL_IMAGE': image})
        assert list(tmp_path.iterdir()) == []

    def test_bands_that_do_not_fit(self, tmp_path: Path, image: np.ndarray) -> None:
        with pytest.raises(BandMismatchError, match='image of 224 bands'):
            write_enmap_l2a(tmp_path / 's', image[:9], bands(), *PLACE)
        bare = BandSet(bands().wavelength, names=bands().names)
        with pytest.raises(MetadataError, match='FWHM'):
            write_enmap_l2a(tmp_path / 's', image, bare, *PLACE)
        names = ('X1', *bands().names[1:])
        other = BandSet(bands().wavelength, bands().fwhm, names)
        with pytest.raises(MetadataError, match='B1 to B224'):
            write_enmap_l2a(tmp_path / 's', image, other, *PLACE)
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('simulated') / 'scene'
    return simulate_enmap(root, SIZE, seed=3, cloud_cover=0.2)


@pytest.fixture(scope='module')
def tile() -> SceneTile:
    scene = EnMAPScene(SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.2))
    return scene.render(0, 0, SIZE, SIZE)


class TestSimulated:
    def test_product_holds_the_scene(self, root: Path, tile: SceneTile) -> None:
        assert parts_of(root) == PARTS | TRUTH
        scene = EnMAPScene(SceneConfig(SIZE, SIZE, seed=3, cloud_cover=0.2))
        with EnMAPL2AReader(root) as reader:
            values, valid = reader.read()
            info = reader.info
            for name, field in (
                ('cloud', tile.cloud),
                ('cloudshadow', tile.shadow),
                ('haze', tile.haze),
                ('cirrus', tile.cirrus > 0),
                ('defective', (tile.defects == 1).any(axis=0)),
            ):
                flagged = reader.read_quality((name,))
                np.testing.assert_array_equal(flagged, field, err_msg=name)
        np.testing.assert_array_equal(valid, tile.image != -32768)
        np.testing.assert_array_equal(values[valid], tile.image[valid])
        assert info.bands is not None
        assert info.bands.names == scene.bands.names
        np.testing.assert_allclose(
            info.bands.wavelength, scene.bands.wavelength, atol=6e-7
        )
        np.testing.assert_array_equal(info.bands.good, scene.filled)

    def test_truth(self, root: Path, tile: SceneTile) -> None:
        np.testing.assert_array_equal(read(root, 'TRUTH_CLASSES')[0], tile.classes)
        np.testing.assert_array_equal(read(root, 'TRUTH_ABUNDANCES'), tile.abundances)
        np.testing.assert_array_equal(read(root, 'TRUTH_CLEAN_IMAGE'), tile.clean)
        file = truth_file(root, 'TRUTH_CLASSES')
        assert file is not None
        with rasterio.open(file) as src:
            names = json.loads(src.tags(1)['class_names'])
            assert names == {str(i): c.name for i, c in enumerate(LAND_COVER)}
            assert src.colormap(1)[8][:3] == LAND_COVER[8].color
            assert src.nodata == 255

    def test_quality_layers_fit_the_truth(self, root: Path, tile: SceneTile) -> None:
        classes = read(root, 'QL_QUALITY_CLASSES')[0]
        np.testing.assert_array_equal(classes == 3, ~tile.inside)
        np.testing.assert_array_equal(classes == 2, tile.classes == 0)
        flags = read(root, 'QL_QUALITY_TESTFLAGS')[0]
        dead = (tile.defects == 1).any(axis=0)
        np.testing.assert_array_equal(flags & 0b1100 > 0, dead)

    def test_cloud_cover_in_the_metadata(self, root: Path, tile: SceneTile) -> None:
        tree = defusedxml.ElementTree.parse(next(root.glob('*.XML')))
        percent = tree.getroot().findtext('specific/qualityFlag/cloudCover')
        share = tile.cloud.sum() / tile.inside.sum()
        assert int(percent) == round(100 * share)

    def test_nothing_happens_if_it_is_there(self, root: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
        simulate_enmap(root, SIZE, seed=3, cloud_cover=0.2)
        assert {p: p.stat().st_mtime_ns for p in root.iterdir()} == before

    def test_another_scene_is_not_replaced(self, root: Path) -> None:
        with pytest.raises(OutputError, match=r'with seed=3.*seed=4 was asked for'):
            simulate_enmap(root, SIZE, seed=4, cloud_cover=0.2)
        assert read_config(root) == SceneConfig(SIZE, SIZE, 3, 0.2)

    def test_threads_do_not_matter(self, tmp_path: Path) -> None:
        shares: list[float] = []
        for name, workers in (('a', 1), ('b', 3)):
            simulate_enmap(
                tmp_path / name,
                (20, 140),
                footprint=False,
                workers=workers,
                progress=shares.append,
            )
        first, second = (
            {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
            for name in 'ab'
        )
        assert first == second
        assert shares == pytest.approx([128 / 140, 1.0] * 2)

    def test_scenes_of_other_seeds_lie_elsewhere(self, tmp_path: Path) -> None:
        places = []
        for seed in (1, 2, 17):
            simulate_enmap(tmp_path / str(seed), 16, seed=seed)
            with open_cube(tmp_path / str(seed)) as reader:
                assert reader.info.transform is not None
                places.append((reader.info.transform.c, reader.info.transform.f))
        (x1, y1), (x2, y2), (x17, y17) = places
        assert (x2 - x1, y2 - y1) == (38_400, 0)
        assert (x17 - x1, y17 - y1) == (0, -38_400)
        assert x1 % 30 == y1 % 30 == 0

    def test_two_at_the_same_time(self, tmp_path: Path) -> None:
        # as the processes of a distributed training do
        results: list[Path] = []
        threads = [
            threading.Thread(
                target=lambda: results.append(simulate_enmap(tmp_path / 's', 16))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [tmp_path / 's'] * 2
        assert read_config(tmp_path / 's') == SceneConfig(16, 16)
        assert [path.name for path in tmp_path.iterdir()] == ['s']

    def test_interruption_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        render = simulated._render

        def interrupted(*args: Any) -> Iterator[tuple[Window, SceneTile]]:
            yield next(render(*args))
            raise KeyboardInterrupt

        monkeypatch.setattr(simulated, '_render', interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate_enmap(tmp_path / 's', 16)
        assert list(tmp_path.iterdir()) == []

    def test_missing_file(self, tmp_path: Path) -> None:
        root = simulate_enmap(tmp_path / 's', 16)
        file = truth_file(root, 'TRUTH_CLASSES')
        assert file is not None
        os.remove(file)
        with pytest.raises(CorruptFileError, match=r'lacks TRUTH_CLASSES.*Delete'):
            read_config(root)

    @pytest.mark.parametrize('text', ['{', '{"scene": {"colour": 1}}', '[]'])
    def test_damaged_description(self, tmp_path: Path, text: str) -> None:
        (tmp_path / 'X-TRUTH.JSON').write_text(text)
        with pytest.raises(CorruptFileError, match='is damaged'):
            read_config(tmp_path)

    def test_no_product(self, tmp_path: Path) -> None:
        assert read_config(tmp_path / 'nowhere') is None

    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'size': 8}, 'at least 16'),
            ({'cloud_cover': -1}, 'cloud_cover'),
            ({'size': (20, 400)}, 'footprint=False'),
        ],
    )
    def test_bad_arguments(
        self, tmp_path: Path, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            simulate_enmap(tmp_path / 's', **options)
        assert list(tmp_path.iterdir()) == []
