# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import scipy.io
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.windows import Window

from torchgeo_hsi.cli import info as info_module
from torchgeo_hsi.cli.info import nodata_share
from torchgeo_hsi.io import CubeInfo, CubeReader
from torchgeo_hsi.main import main

NODATA = -32768


class MemoryReader(CubeReader):
    """A cube in memory that remembers how much was read at a time."""

    def __init__(self, cube: NDArray[np.int16]) -> None:
        self.cube = cube
        self.largest = 0
        self.total = 0
        self.info = CubeInfo('memory', 'unknown', cube.shape, 'int16', None, NODATA)

    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        rows, columns = window.toslices()
        part = self.cube[indexes][:, rows, columns]
        self.largest = max(self.largest, part.size)
        self.total += part.size
        return part

    def close(self) -> None:
        pass


def cube(bands: int = 9, height: int = 70, width: int = 13) -> NDArray[np.int16]:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 10_000, (bands, height, width)).astype(np.int16)
    values[:, rng.random((height, width)) < 0.1] = NODATA
    values[3, 20:30, 4] = NODATA
    # two bands that hold nothing, as in many products
    values[[2, 7]] = NODATA
    # a band whose only value is at the very end
    values[5, :-1] = values[5, -1, :-1] = NODATA
    values[5, -1, -1] = 1
    return values


class TestNodataShare:
    @pytest.mark.parametrize('rows', [1, 7, 70, 256])
    @pytest.mark.parametrize('budget', [1, 5 * 13 * 7 * 2, 10**9])
    def test_equals_the_definition(
        self, rows: int, budget: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(info_module, '_BUDGET', budget)
        values = cube()
        valid = values != NODATA
        filled = valid.any(axis=(1, 2))
        expected = 1 - valid[filled].all(axis=0).mean()
        share, empty = nodata_share(MemoryReader(values), rows)
        assert share == pytest.approx(expected)
        assert empty == [2, 7] == np.flatnonzero(~filled).tolist()

    def test_without_any_data(self) -> None:
        values = np.full((2, 3, 4), NODATA, np.int16)
        assert nodata_share(MemoryReader(values)) == (1.0, [0, 1])

    def test_complete(self) -> None:
        values = np.ones((2, 3, 4), np.int16)
        assert nodata_share(MemoryReader(values)) == (0.0, [])

    def test_memory_does_not_grow_with_the_scene(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(info_module, '_BUDGET', 5 * 1000)
        largest = []
        for height in (100, 1000):
            reader = MemoryReader(np.ones((40, height, 10), np.int16))
            nodata_share(reader, rows=10)
            largest.append(reader.largest)
        assert largest == [1000, 1000]

    def test_full_bands_are_searched_only_once(self) -> None:
        values = np.ones((40, 1000, 10), np.int16)
        reader = MemoryReader(values)
        nodata_share(reader, rows=10)
        # one block to find that no band is empty, then every pixel once
        assert reader.total == values.size + 40 * 10 * 10


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    profile = {
        'driver': 'GTiff',
        'count': values.shape[0],
        'height': values.shape[1],
        'width': values.shape[2],
        'dtype': values.dtype,
        'nodata': NODATA,
        'crs': 'EPSG:32633',
        'transform': from_origin(300_000, 5_800_000, 30, 30),
    }
    with rasterio.open(path, 'w', **(profile | options)) as file:
        file.write(values)
        for band in range(values.shape[0]):
            tags = {'wavelength': f'{420 + 10 * band}', 'wavelength_units': 'nm'}
            tags |= {'fwhm': f'{6 + band}', 'bbl': '0' if band in (2, 7) else '1'}
            file.update_tags(band + 1, **tags)
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(['info', *words])
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


class TestCommand:
    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        values = cube()
        path = write(tmp_path / 'cube.tif', values)
        code, out, err = run(capsys, str(path), '--json')
        assert (code, err) == (0, '')
        facts = json.loads(out)
        assert facts['path'] == str(path)
        assert (facts['bands'], facts['height'], facts['width']) == (9, 70, 13)
        assert facts['wavelength_um'] == pytest.approx([0.42, 0.5])
        assert facts['fwhm_um'] == pytest.approx([0.006, 0.014])
        assert facts['bad_bands'] == ['B3', 'B8']
        assert facts['empty_bands'] == ['B3', 'B8']
        assert facts['spectral_source'] == 'scene'
        assert facts['nodata'] == NODATA
        assert facts['dtype'] == 'int16'
        assert facts['crs'] == 'EPSG:32633'
        assert facts['resolution'] == [30, 30]
        assert facts['bounds'] == [300_000, 5_797_900, 300_390, 5_800_000]
        filled = np.delete(values, [2, 7], axis=0) != NODATA
        assert facts['nodata_share'] == pytest.approx(1 - filled.all(axis=0).mean())

    def test_text(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write(tmp_path / 'cube.tif', np.ones((3, 4, 5), np.int16))
        code, out, _ = run(capsys, str(path))
        assert code == 0
        fields = dict(line.split('  ', 1) for line in out.splitlines())
        fields = {name: value.strip() for name, value in fields.items()}
        assert fields['wavelengths'] == '420.0 to 440.0 nm'
        assert fields['FWHM'] == '6.0 to 8.0 nm'
        assert fields['bad bands'] == '1: B3'
        assert fields['empty bands'] == 'none'
        assert fields['pixels with nodata'].startswith('0.00%')
        assert fields['size'] == '4 rows x 5 columns'
        assert fields['pixel size'] == '30 x 30'

    def test_no_scan(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write(tmp_path / 'cube.tif', np.ones((3, 4, 5), np.int16))
        _, out, _ = run(capsys, str(path), '--no-scan', '--json')
        assert 'nodata_share' not in json.loads(out)
        _, out, _ = run(capsys, str(path), '--no-scan')
        assert 'pixels with nodata' not in out

    @pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
    def test_no_place_and_no_wavelengths(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / 'bare.tif'
        shape = {'count': 3, 'height': 4, 'width': 5}
        with rasterio.open(path, 'w', driver='GTiff', dtype='uint8', **shape) as file:
            file.write(np.ones((3, 4, 5), np.uint8))
        _, out, _ = run(capsys, str(path), '--json')
        _, text, _ = run(capsys, str(path))
        facts = json.loads(out)
        assert facts['wavelength_um'] is None
        assert facts['crs'] is None
        assert facts['bounds'] is None
        assert facts['nodata'] is None
        assert 'unknown' in text

    def test_rotated_grid(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        turn = np.deg2rad(30)
        cos, sin = np.cos(turn), np.sin(turn)
        grid = rasterio.Affine(2 * cos, 3 * sin, 10, 2 * sin, -3 * cos, 20)
        values = np.ones((1, 4, 5), np.int16)
        path = write(tmp_path / 'rotated.tif', values, transform=grid)
        _, out, _ = run(capsys, str(path), '--json')
        assert json.loads(out)['resolution'] == pytest.approx([2, 3])

    def test_unit_is_handed_on(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write(tmp_path / 'cube.tif', np.ones((3, 4, 5), np.int16))
        with rasterio.open(path, 'r+') as file:
            for band in range(3):
                file.update_tags(band + 1, wavelength_units='')
        code, out, err = run(capsys, str(path), '--json')
        # nothing is guessed, and the message is one line
        assert (code, out) == (1, '')
        assert 'Pass --open wavelength_unit= explicitly' in err
        assert err.startswith('Error: ')
        assert len(err.splitlines()) == 1
        code, out, _ = run(capsys, str(path), '--json', '--open', 'wavelength_unit=nm')
        assert code == 0
        assert json.loads(out)['wavelength_um'] == pytest.approx([0.42, 0.44])

    def test_nodata_of_the_user(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        values = np.ones((3, 4, 5), np.int16)
        values[:, 0] = 7
        path = write(tmp_path / 'cube.tif', values)
        _, out, _ = run(capsys, str(path), '--json', '--open', 'nodata=7')
        assert json.loads(out)['nodata_share'] == 0.25

    def test_array_of_a_mat_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # what looks like an argument in a path is none
        path = tmp_path / 'key=two.mat'
        arrays = {'a': np.ones((4, 5, 6)), 'b': np.ones((7, 8, 9))}
        scipy.io.savemat(path, arrays)
        code, _, err = run(capsys, str(path))
        assert code == 1
        assert err.startswith('Error: ')
        assert f'in {path}, found 2. Choose with --open key=. Arrays' in err
        words = ['--open', 'key=b', '--open', 'layout=CHW', '--json']
        _, out, _ = run(capsys, str(path), *words)
        facts = json.loads(out)
        assert (facts['bands'], facts['height'], facts['width']) == (7, 8, 9)

    def test_option_of_another_reader(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write(tmp_path / 'cube.tif', np.ones((3, 4, 5), np.int16))
        code, _, err = run(capsys, str(path), '--open', 'key=b')
        assert code == 1
        # with the options that would work
        assert 'no option' in err
        assert 'wavelength_unit' in err

    def test_missing_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, _, err = run(capsys, 'nowhere.tif')
        assert code == 1
        assert err == 'Error: There is no file nowhere.tif. Check the path.\n'

    def test_damaged_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write(tmp_path / 'cube.tif', cube())
        path.write_bytes(path.read_bytes()[:4000])
        code, _, err = run(capsys, str(path))
        assert code == 1
        assert err.startswith('Error: ')
        assert str(path) in err
        assert 'Traceback' not in err

    @pytest.mark.realdata
    def test_real_tile(self, potsdam: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = min((potsdam / 'images').glob('*.tif'))
        code, out, _ = run(capsys, str(path), '--json')
        assert code == 0
        facts = json.loads(out)
        assert facts['sensor'] == 'EnMAP'
        assert facts['bands'] == 224
        assert len(facts['empty_bands']) == 6
        with rasterio.open(path) as file:
            valid = file.read() != file.nodata
        filled = valid[valid.any(axis=(1, 2))]
        assert facts['nodata_share'] == pytest.approx(1 - filled.all(axis=0).mean())
