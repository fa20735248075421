# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tables of sensors, against facts that are published elsewhere."""

import functools
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    MetadataError,
    NameClashError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics import (
    BandSet,
    Sensor,
    get_sensor,
    list_sensors,
    register_sensor,
    sensors,
)

NAMES = [
    'aviris',
    'desis',
    'emit',
    'enmap',
    'enmap_detector',
    'hyperion',
    'prisma',
    'sentinel2',
]

#: Bands, default bands, first and last centre in nm, mean FWHM in nm: as published in
#: the overview papers and product guides of the missions.
DESIGN = {
    'aviris': (224, 224, 366, 2496, 10),
    'desis': (235, 235, 402, 1000, 3.5),
    'emit': (285, 244, 381, 2493, 8.6),
    'enmap': (224, 202, 418.4, 2445.3, 9.1),
    'hyperion': (242, 198, 356, 2577, 11),
    'prisma': (234, 234, 407, 2497, 12),
    'sentinel2': (13, 12, 443, 2202, 50),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register what it likes in a registry of its own."""
    fresh = functools.cache(sensors._registry.__wrapped__)
    monkeypatch.setattr(sensors, '_registry', fresh)


def test_list() -> None:
    assert set(NAMES) <= set(list_sensors())
    assert list_sensors('enmap*') == ['enmap', 'enmap_detector']


def test_unknown() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean enmap'):
        get_sensor('enmpa')


def test_same_object_each_time() -> None:
    assert get_sensor('emit') is get_sensor('emit')


@pytest.mark.parametrize('name', NAMES)
def test_complete(name: str) -> None:
    sensor = get_sensor(name)
    assert sensor.name == name
    assert sensor.title
    assert 'http' in sensor.source or 'ESA' in sensor.source
    assert len(sensor.detector) == len(sensor.bands)
    assert sensor.bands.fwhm is not None
    assert set(sensor.default_bands) <= set(sensor.bands.names)
    assert sensor.default_bandset.names == sensor.default_bands
    # a band for each colour, also among the default ones
    for colour in (*sensor.rgb, *sensor.false_color):
        assert sensor.default_bandset.nearest(colour, tolerance=0.035) >= 0


@pytest.mark.parametrize(('name', 'design'), DESIGN.items())
def test_design(name: str, design: tuple[int, int, float, float, float]) -> None:
    sensor = get_sensor(name)
    count, default, first, last, width = design
    assert len(sensor.bands) == count
    assert len(sensor.default_bands) == default
    assert sensor.bands.wavelength.min() * 1e3 == pytest.approx(first, abs=1)
    assert sensor.bands.wavelength.max() * 1e3 == pytest.approx(last, abs=1)
    assert sensor.bands.fwhm is not None
    assert sensor.bands.fwhm.mean() * 1e3 == pytest.approx(width, rel=0.1)


@pytest.mark.parametrize('name', ['aviris', 'emit', 'enmap_detector', 'hyperion'])
def test_centres_are_smooth_along_a_detector(name: str) -> None:
    # a slip of the pen in one value shows in the second difference
    sensor = get_sensor(name)
    detector = np.array(sensor.detector)
    for part in np.unique(detector):
        centre = sensor.bands.wavelength[detector == part] * 1e3
        steps = np.diff(centre)
        gaps = steps > 2 * np.median(steps)
        bend = np.abs(np.diff(steps)[~(gaps[1:] | gaps[:-1])])
        # AVIRIS: the last channel of spectrometer C is where it is in its source
        worst = np.sort(bend)[-2 if (name, part) == ('aviris', 'C') else -1]
        assert worst < 0.25


def test_enmap_centres_are_those_of_torchgeo() -> None:
    spec = find_spec('torchgeo')
    assert spec is not None
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0], 'datasets', 'enmap.py')
    nominal = {
        name: float(value)
        for name, value in re.findall(r"'(B\d+)': ([\d.]+),", source.read_text('utf-8'))
    }
    assert len(nominal) == 224
    sensor = get_sensor('enmap_detector')
    assert sensor.bands.names == tuple(f'B{i}' for i in range(1, 225))
    for name, centre in zip(sensor.bands.names, sensor.bands.wavelength, strict=True):
        assert centre == nominal[name], name


def test_enmap_orders_hold_the_same_bands() -> None:
    ordered, detector = get_sensor('enmap'), get_sensor('enmap_detector')
    assert ordered.bands.is_sorted
    assert not detector.bands.is_sorted
    index = detector.bands.indices(ordered.bands.names)
    assert detector.bands.select(index) == ordered.bands
    assert [detector.detector[i] for i in index] == list(ordered.detector)
    assert detector.detector == ('VNIR',) * 91 + ('SWIR',) * 133
    assert set(ordered.default_bands) == set(detector.default_bands)


def test_enmap_default_bands() -> None:
    # positions by wavelength, ranges in nm and true colour of the published 202 bands
    sensor = get_sensor('enmap')
    position = sensor.bands.indices(sensor.default_bands)
    kept = [*range(126), *range(141, 160), *range(167, 224)]
    assert position == kept
    centre = sensor.default_bandset.wavelength
    assert centre[[0, 125, 126, 144, 145, 201]] == pytest.approx(
        [0.418416, 1.28292, 1.53029, 1.72808, 1.97708, 2.4453]
    )
    assert [sensor.default_bandset.nearest(x) for x in sensor.rgb] == [43, 28, 10]
    removed = set(sensor.bands.names) - set(sensor.default_bands)
    assert removed == {f'B{i}' for i in [*range(127, 142), *range(161, 168)]}


def test_enmap_widths_are_smooth_along_a_detector() -> None:
    # also where the detectors alternate, and across the 22 bands that are left out
    sensor = get_sensor('enmap_detector')
    assert sensor.bands.fwhm is not None
    for part in (slice(0, 91), slice(91, 135), slice(135, 163), slice(163, 224)):
        bend = np.abs(np.diff(sensor.bands.fwhm[part], 2)) * 1e3
        assert bend.max() < 0.1


@pytest.mark.realdata
def test_enmap_against_a_scene(potsdam: Path) -> None:
    rasterio = pytest.importorskip('rasterio')
    path = min((potsdam / 'images').glob('*.tif'))
    with rasterio.open(path) as file:
        tags = [file.tags(i + 1) for i in range(file.count)]
    bands = get_sensor('enmap_detector').bands
    assert bands.fwhm is not None
    scene = np.array([[float(t['wavelength']), float(t['fwhm'])] for t in tags]) / 1e3
    assert np.abs(bands.wavelength - scene[:, 0]).max() < 4e-4
    assert bands.fwhm == pytest.approx(scene[:, 1])


def test_prisma() -> None:
    sensor = get_sensor('prisma')
    assert sensor.bands.is_sorted
    names = np.array(sensor.bands.names)
    for cube, first, last in (('VNIR', 4, 66), ('SWIR', 1, 171)):
        part = names[np.array(sensor.detector) == cube]
        # the he5 file descends in wavelength
        assert part.tolist() == [f'{cube}{i}' for i in range(last, first - 1, -1)]
    swir = sensor.bands.wavelength[[n.startswith('SWIR') for n in names]]
    vnir = sensor.bands.wavelength[[n.startswith('VNIR') for n in names]]
    assert vnir[-1] > swir[0]
    assert [vnir[0], vnir[-1]] == pytest.approx([0.4069934, 0.9773654], abs=1e-6)
    assert [swir[0], swir[-1]] == pytest.approx([0.9433579, 2.4971155], abs=1e-6)


def test_emit() -> None:
    # spot values of sensor_band_parameters in the products
    bands = get_sensor('emit').bands
    assert bands.is_sorted
    assert bands.wavelength[[0, 35, 284]] == pytest.approx(
        [0.38100558, 0.64127588, 2.49292382], abs=1e-7
    )
    assert bands.fwhm is not None
    assert bands.fwhm[[0, 35, 284]] == pytest.approx([0.008415, 0.00846, 0.008809])
    bad = np.flatnonzero(~bands.good)
    assert bad.tolist() == [*range(127, 142), *range(187, 213)]


def test_desis() -> None:
    bands = get_sensor('desis').bands
    assert bands.is_sorted
    assert np.diff(bands.wavelength).mean() * 1e3 == pytest.approx(2.55, abs=0.01)


def test_hyperion() -> None:
    # spot values of the table of the USGS
    bands = get_sensor('hyperion').bands
    for name, centre, width in (
        ('B8', 426.82, 11.3871),
        ('B31', 660.85, 10.2856),
        ('B57', 925.41, 11.2754),
        ('B77', 912.45, 11.0457),
        ('B175', 1901.17, 11.1018),
        ('B224', 2395.50, 10.4077),
    ):
        i = bands.names.index(name)
        assert bands.wavelength[i] * 1e3 == pytest.approx(centre)
        assert bands.fwhm is not None
        assert bands.fwhm[i] * 1e3 == pytest.approx(width)
    calibrated = [f'B{i}' for i in [*range(8, 58), *range(77, 225)]]
    assert list(get_sensor('hyperion').default_bands) == calibrated
    assert bands.good_only().names == tuple(calibrated)


def test_aviris_spectrometers() -> None:
    sensor = get_sensor('aviris')
    detector = ''.join(sensor.detector)
    assert detector == 'A' * 32 + 'B' * 64 + 'C' * 64 + 'D' * 64
    falls = np.flatnonzero(np.diff(sensor.bands.wavelength) < 0)
    assert falls.tolist() == [31, 95, 159]


def test_sentinel2_matches_its_specification() -> None:
    # centre and width as specified; the flying instrument is a few nm off
    specified = {
        'B01': (443, 20),
        'B02': (490, 65),
        'B03': (560, 35),
        'B04': (665, 30),
        'B05': (705, 15),
        'B06': (740, 15),
        'B07': (783, 20),
        'B08': (842, 105),
        'B8A': (865, 20),
        'B09': (945, 20),
        'B10': (1375, 30),
        'B11': (1610, 90),
        'B12': (2190, 180),
    }
    bands = get_sensor('sentinel2').bands
    assert bands.names == tuple(specified)
    for (centre, width), got, fwhm in zip(
        specified.values(), bands.wavelength, bands.fwhm, strict=True
    ):
        assert got * 1e3 == pytest.approx(centre, abs=13)
        assert fwhm * 1e3 == pytest.approx(width, abs=7)
    assert 'B10' not in get_sensor('sentinel2').default_bands


def test_sensor_checks_itself() -> None:
    bands = BandSet([0.5, 0.6])
    assert Sensor('s', 'S', bands).default_bands == ('B1', 'B2')
    with pytest.raises(UnknownNameError, match="Unknown band 'B3'"):
        Sensor('s', 'S', bands, ('B3',))
    with pytest.raises(BandMismatchError, match='detector for each of the 2'):
        Sensor('s', 'S', bands, detector=('A',))
    with pytest.raises(UnitError, match='Expected rgb in micrometres'):
        Sensor('s', 'S', bands, rgb=(640, 555, 468))
    with pytest.raises(BandMismatchError, match='Expected 3 values of false_color'):
        Sensor('s', 'S', bands, false_color=(0.8, 0.6))  # type: ignore[arg-type]


@pytest.mark.usefixtures('registry')
def test_register() -> None:
    sensor = Sensor('mine', 'Mine', BandSet([0.5]))
    register_sensor(sensor, owner='me')
    register_sensor(sensor, owner='me again', name='mine')
    assert get_sensor('mine') is sensor
    with pytest.raises(NameClashError, match=r"'me'.*'other'"):
        register_sensor(Sensor('mine', 'Other', BandSet([0.5])), owner='other')
    with pytest.raises(NameClashError, match=r"'torchgeo-hsi'.*'me'"):
        register_sensor(Sensor('enmap', 'Fake', BandSet([0.5])), owner='me')
    with pytest.raises(NameClashError, match='by its own name'):
        register_sensor(sensor, owner='me', name='yours')


TABLE = """# title: Test sensor
# source: nowhere
# any other note: with a colon
name,wavelength_nm,fwhm_nm,detector,good,default
a,500,10,X,1,1

b,400,8,Y,0,0
c,600,9,X,1,1
"""


def test_from_csv(tmp_path: Path) -> None:
    path = tmp_path / 'test.csv'
    path.write_text(TABLE)
    sensor = Sensor.from_csv(path)
    assert sensor.name == 'test'
    assert Sensor.from_csv(path, 'other').name == 'other'
    assert (sensor.title, sensor.source) == ('Test sensor', 'nowhere')
    assert sensor.bands == BandSet(
        [0.5, 0.4, 0.6],
        [0.01, 0.008, 0.009],
        ('a', 'b', 'c'),
        np.array([1, 0, 1], bool),
    )
    assert sensor.default_bands == ('a', 'c')
    ordered = sensor.by_wavelength()
    assert ordered.bands.names == ('b', 'a', 'c')
    assert ordered.detector == ('Y', 'X', 'X')
    assert ordered.default_bands == ('a', 'c')


def test_from_csv_with_little_in_it(tmp_path: Path) -> None:
    path = tmp_path / 'test.csv'
    path.write_text('# title: T\n# source: S\nname,wavelength_um\na,0.5\n')
    sensor = Sensor.from_csv(path)
    assert sensor.bands == BandSet([0.5], names=('a',))
    assert sensor.by_wavelength().detector == ()


@pytest.mark.parametrize(
    ('old', 'new', 'error', 'match'),
    [
        ('# title', '# name', MetadataError, 'title'),
        ('# source', '# from', MetadataError, 'source'),
        ('name,', 'band,', MetadataError, 'column "name"'),
        ('wavelength_nm', 'centre_nm', MetadataError, 'wavelength_nm'),
        ('fwhm_nm', 'fwhm_um', MetadataError, 'same unit'),
        ('_nm', '_THz', UnitError, 'THz'),
        ('_nm', '_um', UnitError, 'nanometres'),
        ('a,500,10,X,1,1', 'a,500,10', CorruptFileError, 'a,500,10'),
        ('500', 'n/a', CorruptFileError, 'n/a'),
        ('Y,0,0', 'Y,no,0', CorruptFileError, "0 or 1 .* 'no'"),
        ('b,400', 'a,400', BandMismatchError, 'unique'),
    ],
)
def test_from_csv_refuses(
    tmp_path: Path, old: str, new: str, error: type[Exception], match: str
) -> None:
    path = tmp_path / 'test.csv'
    path.write_text(TABLE.replace(old, new))
    with pytest.raises(error, match=match):
        Sensor.from_csv(path)
