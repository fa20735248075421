# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of stored scenes, against the readers of the originals."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from torchgeo_hsi.errors import CorruptFileError, MetadataError, OutputError
from torchgeo_hsi.io import CubeReader, open_cube, simulate_enmap, write_cog
from torchgeo_hsi.io.store import (
    StoredSceneReader,
    StoreReader,
    is_store,
    reopen_store,
    store_kind,
    verify_store,
    write_stored_scene,
)
from torchgeo_hsi.physics import BandSet

WINDOWS = [
    Window(0, 0, 70, 60),
    Window(31, 5, 20, 40),
    Window(69, 59, 1, 1),
    Window(-8, 40, 30, 30),
]


@pytest.fixture(scope='module')
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('product') / 'scene'
    return simulate_enmap(path, size=(60, 70), seed=2, cloud_cover=0.3)


@pytest.fixture(scope='module')
def scene(product: Path) -> Path:
    path = product.parent / 'stored'
    with open_cube(product) as reader:
        write_stored_scene(reader, path, block=8, shard=32)
    return path


def _same(one: CubeReader, other: CubeReader) -> None:
    """Compare everything that a reader says."""
    for name in ('sensor', 'shape', 'dtype', 'nodata', 'gain', 'offset', 'crs'):
        assert getattr(one.info, name) == getattr(other.info, name), name
    for name in ('transform', 'start', 'stop', 'spectral_source'):
        assert getattr(one.info, name) == getattr(other.info, name), name
    bands, others = one.info.bands, other.info.bands
    assert bands is not None
    assert others is not None
    assert bands.names == others.names
    assert np.array_equal(bands.wavelength, others.wavelength)
    assert np.array_equal(bands.good, others.good)
    if others.fwhm is None:
        assert bands.fwhm is None
    else:
        assert bands.fwhm is not None
        assert np.array_equal(bands.fwhm, others.fwhm)


class TestEnMAP:
    def test_metadata(self, product: Path, scene: Path) -> None:
        with open_cube(product) as original, open_cube(scene) as stored:
            assert isinstance(stored, StoredSceneReader)
            assert stored.info.path == str(scene)
            _same(stored, original)
            for band in range(224):
                assert stored.lacks_data([band]) == original.lacks_data([band])
        assert is_store(scene)
        assert store_kind(scene) == 'scene'

    @pytest.mark.parametrize('threads', [1, 2])
    @pytest.mark.parametrize('indexes', [None, [200, 3, 3], [7], range(40, 60)])
    def test_pixels(
        self, product: Path, scene: Path, indexes: list[int] | None, threads: int
    ) -> None:
        stored = StoredSceneReader(scene, threads=threads)
        with open_cube(product) as original:
            for window in WINDOWS:
                values, valid = stored.read(indexes, window)
                expected, mask = original.read(indexes, window)
                assert np.array_equal(values, expected)
                assert np.array_equal(valid, mask)

    def test_quality(self, product: Path, scene: Path) -> None:
        with open_cube(product) as original, open_cube(scene) as stored:
            assert set(stored.quality_layers) == set(original.quality_layers)
            assert stored.read_quality(['cloud']).any()
            for name in original.quality_layers:
                for indexes in (None, [0], [220, 5]):
                    found = stored.read_quality([name], WINDOWS[1], indexes)
                    truth = original.read_quality([name], WINDOWS[1], indexes)
                    assert np.array_equal(found, truth), (name, indexes)
            with pytest.raises(MetadataError, match='no quality layers'):
                stored.read_quality(['fog'])

    def test_layers_may_be_left_out(self, product: Path, tmp_path: Path) -> None:
        with open_cube(product) as reader:
            write_stored_scene(reader, tmp_path / 's', layers=['haze'], block=16)
            with pytest.raises(MetadataError, match='fog'):
                write_stored_scene(reader, tmp_path / 't', layers=['fog'])
        assert StoredSceneReader(tmp_path / 's').quality_layers == ('haze',)

    def test_zarr(self, product: Path, scene: Path) -> None:
        zarr = pytest.importorskip('zarr')
        group = zarr.open_group(scene, mode='r')
        with open_cube(product) as reader:
            raw = reader._read_raw(list(range(224)), WINDOWS[0])
            assert np.array_equal(group['image'][:], raw)
            assert reader.info.bands is not None
            assert np.array_equal(group['wavelength'][:], reader.info.bands.wavelength)
            assert reader.info.transform is not None
            centre = reader.info.transform @ (0.5, 0.5)
        assert (group['x'][0], group['y'][0]) == centre
        assert group['image'].metadata.dimension_names == ('band', 'y', 'x')


class TestWriting:
    def test_same_bytes_and_nothing_to_do(self, product: Path, scene: Path) -> None:
        checksum = StoredSceneReader(scene).checksum
        seen: list[float] = []
        with open_cube(product) as reader:
            again = write_stored_scene(
                reader, scene, block=8, shard=32, progress=seen.append
            )
            other = write_stored_scene(
                reader, scene.parent / 'other', block=8, shard=32, threads=2
            )
        assert again == other == checksum
        assert seen == []
        assert verify_store(scene) == []

    def test_taken_up_again(
        self,
        product: Path,
        scene: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        seen: list[float] = []

        def stop(share: float) -> None:
            seen.append(share)
            if len(seen) == 3:
                raise KeyboardInterrupt

        with open_cube(product) as reader:
            with pytest.raises(KeyboardInterrupt):
                write_stored_scene(reader, tmp_path, block=8, shard=32, progress=stop)
            assert not (tmp_path / 'zarr.json').exists()
            read = reader._read_raw
            windows: list[Window] = []

            def count(indexes: list[int], window: Window) -> np.ndarray:
                windows.append(window)
                return read(indexes, window)

            monkeypatch.setattr(reader, '_read_raw', count)
            found = write_stored_scene(reader, tmp_path, block=8, shard=32)
        assert seen == [1 / 6, 2 / 6, 3 / 6]
        assert len(windows) == 3
        assert found == StoredSceneReader(scene).checksum

    def test_repair(self, product: Path, scene: Path, tmp_path: Path) -> None:
        path = Path(shutil.copytree(scene, tmp_path / 's'))
        (path / 'quality_cloud' / 'c.0.1').unlink()
        damaged = verify_store(path)
        assert damaged == ['quality_cloud/c.0.1']
        assert reopen_store(path, damaged) == [1]
        with open_cube(product) as reader:
            found = write_stored_scene(reader, path, block=8, shard=32)
        assert found == StoredSceneReader(scene).checksum

    def test_other_scene(self, product: Path, scene: Path) -> None:
        with open_cube(product) as reader, pytest.raises(OutputError, match='block'):
            write_stored_scene(reader, scene, block=16, shard=32)

    @pytest.mark.parametrize(
        'bad', [{'block': 0}, {'shard': 0}, {'compression': 'gzip'}]
    )
    def test_bad_numbers(
        self, product: Path, tmp_path: Path, bad: dict[str, object]
    ) -> None:
        with open_cube(product) as reader, pytest.raises(ValueError, match='positive'):
            write_stored_scene(reader, tmp_path, **bad)  # type: ignore[arg-type]


class TestOtherCubes:
    def test_floats_with_gaps(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        cube = rng.normal(0.2, 0.1, (3, 20, 30)).astype('float32')
        cube[:, 4:9, 3:8] = np.nan
        bands = BandSet(np.array([0.45, 0.55, 0.65]), names=('b', 'g', 'r'))
        path = write_cog(
            tmp_path / 'c.tif',
            cube,
            crs=CRS.from_epsg(4326),
            transform=Affine(0.1, 0.01, 5, 0.02, -0.1, 50),
            bands=bands,
            nodata=math.nan,
        )
        with open_cube(path, scale=1e4) as original:
            write_stored_scene(original, tmp_path / 's')
            stored = StoredSceneReader(tmp_path / 's')
            _same_but_nan(stored, original)
            for found, truth in zip(stored.read(), original.read(), strict=True):
                assert np.array_equal(found, truth)
        # a rotated grid has no coordinates along an axis
        assert not (tmp_path / 's' / 'x').exists()
        # plain JSON, which knows no NaN
        text = (tmp_path / 's' / 'zarr.json').read_text()
        json.loads(text, parse_constant=lambda name: pytest.fail(name))

    def test_no_metadata_at_all(self, tmp_path: Path) -> None:
        cube = np.arange(24, dtype='uint8').reshape(2, 3, 4)
        path = write_cog(tmp_path / 'c.tif', cube)
        with open_cube(path) as original:
            write_stored_scene(original, tmp_path / 's')
        with open_cube(tmp_path / 's') as stored:
            assert stored.info.bands is None
            assert stored.info.crs is None
            assert stored.info.transform is None
            assert np.array_equal(stored.read()[0], cube)

    def test_values_given_by_the_caller(self, scene: Path) -> None:
        centres = np.linspace(420, 2450, 224)
        with open_cube(
            scene, wavelength=centres, wavelength_unit='nm', nodata=5, scale=2
        ) as reader:
            assert reader.info.bands is not None
            assert reader.info.bands.wavelength[0] == pytest.approx(0.42)
            assert reader.info.spectral_source == 'user'
            assert reader.info.nodata == 5
            raw = reader._read_raw([3], WINDOWS[1])
            expected = np.where(raw == 5, 0, raw * np.float32(2))
            assert np.array_equal(reader.read([3], WINDOWS[1])[0], expected)
        with (
            open_cube(scene) as plain,
            open_cube(scene, fwhm=np.full(224, 8.0), wavelength_unit='nm') as reader,
        ):
            assert plain.info.bands is not None
            assert reader.info.bands is not None
            assert reader.info.bands.fwhm == pytest.approx(np.full(224, 0.008))
            assert np.array_equal(
                reader.info.bands.wavelength, plain.info.bands.wavelength
            )


class TestErrors:
    def test_kinds(self, scene: Path, store: Path) -> None:
        with pytest.raises(MetadataError, match='StoreReader or StoredPatches'):
            open_cube(store)
        with pytest.raises(MetadataError, match='StoredSceneReader or open_cube'):
            StoreReader(scene)

    def test_unknown_option(self, scene: Path) -> None:
        with pytest.raises(MetadataError, match='no option'):
            open_cube(scene, layout='bil')

    def test_closed(self, scene: Path) -> None:
        reader = StoredSceneReader(scene)
        reader.close()
        with pytest.raises(ValueError, match='closed'):
            reader.read()

    def test_damaged_metadata(self, scene: Path, tmp_path: Path) -> None:
        path = Path(shutil.copytree(scene, tmp_path / 's'))
        text = (path / 'zarr.json').read_text()
        (path / 'zarr.json').write_text(text.replace('"block"', '"blocks"'))
        with pytest.raises(CorruptFileError, match='metadata'):
            open_cube(path)


def _same_but_nan(one: CubeReader, other: CubeReader) -> None:
    nodata, others = one.info.nodata, other.info.nodata
    assert nodata is not None
    assert others is not None
    assert math.isnan(nodata)
    assert math.isnan(others)
    assert one.info.transform == other.info.transform
    assert one.info.gain == other.info.gain
    assert one.info.crs == other.info.crs
