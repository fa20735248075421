# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The spectral axis."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics import BandSet


@pytest.fixture
def bands() -> BandSet:
    """Two detectors that overlap, one bad band."""
    return BandSet(
        wavelength=np.array([0.45, 0.55, 0.65, 0.60, 0.70]),
        fwhm=np.array([0.01, 0.02, 0.03, 0.04, 0.05]),
        names=('V1', 'V2', 'V3', 'S1', 'S2'),
        good=np.array([True, False, True, True, True]),
    )


def test_defaults() -> None:
    bands = BandSet(np.array([0.4, 0.5]))
    assert bands.names == ('B1', 'B2')
    assert bands.good.tolist() == [True, True]
    assert bands.fwhm is None
    assert len(bands) == 2


def test_from_unit() -> None:
    bands = BandSet.from_unit([400, 500], 'nm', [5, 6], ['a', 'b'], [1, 0])
    assert bands.wavelength.tolist() == [0.4, 0.5]
    assert bands.fwhm is not None
    assert bands.fwhm.tolist() == [0.005, 0.006]
    assert bands.names == ('a', 'b')
    assert bands.good.tolist() == [True, False]
    with pytest.raises(UnitError):
        BandSet.from_unit([400, 500], 'cm-1')


@pytest.mark.parametrize(
    ('arguments', 'error', 'match'),
    [
        ({'wavelength': [400, 500]}, UnitError, 'nanometres'),
        ({'fwhm': [7.0, 7.0]}, UnitError, 'nanometres'),
        # 1.8 nm wide bands pass for 1.8 µm, but not beside their centres
        ({'fwhm': [1.8, 1.8]}, UnitError, 'smaller than the centres'),
        ({'fwhm': [0.01]}, BandMismatchError, 'Expected 2 values of fwhm'),
        ({'names': ('a',)}, BandMismatchError, 'Expected 2 unique band names'),
        ({'names': ('a', 'a')}, BandMismatchError, '1 are unique'),
        ({'good': [True]}, BandMismatchError, '2 good-band flags'),
        ({'wavelength': [[0.4], [0.5]]}, BandMismatchError, 'Expected a vector'),
        ({'wavelength': []}, EmptyDataError, 'at least one band'),
    ],
)
def test_refused(
    arguments: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        BandSet(**({'wavelength': [0.4, 0.5]} | arguments))  # type: ignore[arg-type]


def test_immutable(bands: BandSet) -> None:
    with pytest.raises(FrozenInstanceError):
        bands.names = ()  # type: ignore[misc]
    for array in (bands.wavelength, bands.fwhm, bands.good):
        assert array is not None
        with pytest.raises(ValueError, match='read-only'):
            array[0] = 1


def test_arrays_of_the_caller_are_left_alone() -> None:
    centre, width = np.array([0.4, 0.5]), np.array([0.01, 0.01])
    bands = BandSet(centre, width)
    centre[0] = 0.45
    width[0] = 0.02
    assert bands.wavelength[0] == 0.4
    assert bands.fwhm is not None
    assert bands.fwhm[0] == 0.01


@pytest.mark.parametrize('clone', [copy.copy, copy.deepcopy])
def test_copies_are_equal_and_immutable(bands: BandSet, clone: object) -> None:
    assert callable(clone)
    for other in (clone(bands), pickle.loads(pickle.dumps(bands))):
        assert other == bands
        assert not other.wavelength.flags.writeable


def test_equality(bands: BandSet) -> None:
    assert bands == bands.select(range(5))
    assert hash(bands) == hash(bands.select(range(5)))
    unlike = [
        BandSet(bands.wavelength + 0.001, bands.fwhm, bands.names, bands.good),
        BandSet(bands.wavelength, bands.fwhm, (), bands.good),
        BandSet(bands.wavelength, bands.fwhm, bands.names),
        BandSet(bands.wavelength, None, bands.names, bands.good),
        BandSet(bands.wavelength, np.full(5, 0.1), bands.names, bands.good),
        bands.select(['V1']),
        'bands',
    ]
    assert all(bands != other for other in unlike)
    plain = BandSet(bands.wavelength)
    assert plain == BandSet(bands.wavelength)


def test_repr(bands: BandSet) -> None:
    assert repr(bands) == 'BandSet(5 bands, 0.45 to 0.7 µm, 1 bad)'
    assert repr(BandSet([0.5])) == 'BandSet(1 bands, 0.5 to 0.5 µm, no FWHM)'


def test_order(bands: BandSet) -> None:
    assert not bands.is_sorted
    ordered = bands.by_wavelength()
    assert ordered.is_sorted
    assert ordered.names == ('V1', 'V2', 'S1', 'V3', 'S2')
    order = bands.indices(ordered.names)
    assert np.array_equal(bands.wavelength[order], np.sort(bands.wavelength))
    # everything moves together
    assert ordered.fwhm is not None
    assert ordered.fwhm.tolist() == [0.01, 0.02, 0.04, 0.03, 0.05]
    assert ordered.good.tolist() == [True, False, True, True, True]


def test_equal_centres_are_not_sorted() -> None:
    assert not BandSet([0.5, 0.5]).is_sorted


@pytest.mark.parametrize(
    ('asked', 'expected'),
    [
        (['S1', 'V1'], [3, 0]),
        ([0, -1, np.int64(2)], [0, 4, 2]),
        ([0.61, 0.449, np.float32(0.70)], [3, 0, 4]),
        (['V2', 0, 0.7], [1, 0, 4]),
        ([], []),
    ],
)
def test_indices(bands: BandSet, asked: list[object], expected: list[int]) -> None:
    assert bands.indices(asked) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('asked', 'error', 'match'),
    [
        (['V9'], UnknownNameError, "Unknown band 'V9'. Known: S1"),
        ([5], BandMismatchError, 'position 5 is out of range for 5'),
        ([-6], BandMismatchError, 'out of range'),
        ([550.0], UnitError, 'nanometres'),
        (['V1', 'V1'], BandMismatchError, 'more than one entry means V1'),
        (['V1', 0.4501], BandMismatchError, 'more than one entry means V1'),
        ([], EmptyDataError, 'at least one band'),
    ],
)
def test_select_refuses(
    bands: BandSet, asked: list[object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        bands.select(asked)  # type: ignore[arg-type]


@pytest.mark.parametrize('wavelength', [0.3, 2.2])
def test_wavelengths_that_no_band_sees(wavelength: float) -> None:
    bands = BandSet(wavelength=np.linspace(0.4, 1.0, 235), fwhm=np.full(235, 0.003))
    with pytest.raises(BandMismatchError, match=r'span 0\.4 to 1 µm'):
        bands.indices([0.66, wavelength])
    # the edge of a sensor, as far as the next band would be
    assert bands.indices([0.39, 1.01]) == [0, 234]


def test_nearest(bands: BandSet) -> None:
    assert bands.nearest(0.61) == 3
    assert bands.nearest(0.61, tolerance=0.01 + 1e-12) == 3
    with pytest.raises(EmptyDataError, match=r'nearest is S1 at 0\.6 µm'):
        bands.nearest(0.61, tolerance=0.009)


def test_between(bands: BandSet) -> None:
    assert bands.between(0.55, 0.65).names == ('V2', 'V3', 'S1')
    with pytest.raises(EmptyDataError, match=r'span 0\.45 to 0\.7 µm'):
        bands.between(0.71, 0.8)
    with pytest.raises(UnitError):
        bands.between(550, 650)


def test_good_only(bands: BandSet) -> None:
    assert bands.good_only().names == ('V1', 'V3', 'S1', 'S2')
    with pytest.raises(EmptyDataError):
        BandSet([0.5], good=np.array([False])).good_only()
