# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Codes become the right classes, whatever data type a raster has."""

import re

import numpy as np
import pytest
from torchgeo.datasets import CDL, NLCD

from torchgeo_hsi.datasets.plotting import NODATA_GRAY
from torchgeo_hsi.datasets.spectral_earth.classes import class_tables, load_classes
from torchgeo_hsi.errors import MetadataError, UnknownNameError

#: Written down by hand from the configuration files of the authors.
CODES = {
    'cdl': (1, 2, 3, 4, 5, 6, 45, 54, 69, 72, 75, 76, 204, 210),
    'nlcd': (11, 21, 22, 23, 24, 31, 41, 42, 43, 52, 71, 81, 82, 90, 95),
    'eurocrops': (
        *(3301090205, 3301010600, 3301090303, 3301010800, 3301090301, 3303060000),
        *(3303030600, 3303050000, 3303030100, 3301060500, 3301060300, 3303010000),
        *(3301020000, 3301160000, 3301029900),
    ),
    'bdforet': (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 14, 16),
    'treemap': (
        *(184, 185, 221, 924, 105, 503, 520, 706, 801, 201, 264, 266, 281, 301),
        *(901, 406, 923, 142, 161, 602, 607, 608, 267, 371),
    ),
    'bnetd': (1, 2, 3, 6, 9, 10, 13, 15, 16, 21),
    'desis_cdl': (1, 2, 3, 5, 42, 43, 49, 54, 56, 68, 69, 75, 76, 204),
    'eo1_cdl': (1, 2, 3, 4, 5, 6, 41, 42, 43, 54, 69, 75, 76, 204),
    'corine_43': (
        *(111, 112, 121, 122, 123, 124, 131, 132, 133, 141, 142, 211, 212, 213, 221),
        *(222, 223, 231, 241, 242, 243, 244, 311, 312, 313, 321, 322, 323, 324, 331),
        *(332, 333, 334, 411, 412, 421, 422, 423, 511, 512, 521, 522, 523),
    ),
}

#: From the 43 classes to the 19, as the authors write it.
TO_19 = {
    0: 0,
    1: 0,
    2: 1,
    11: 2,
    12: 2,
    13: 2,
    14: 3,
    15: 3,
    16: 3,
    18: 3,
    17: 4,
    19: 5,
    20: 6,
    21: 7,
    22: 8,
    23: 9,
    24: 10,
    25: 11,
    31: 11,
    26: 12,
    27: 12,
    28: 13,
    29: 14,
    33: 15,
    34: 15,
    35: 16,
    36: 16,
    38: 17,
    39: 17,
    40: 18,
    41: 18,
    42: 18,
}

#: A few names by code, so that a list cannot slip by one.
NAMES = {
    'cdl': {1: 'Corn', 75: 'Almonds', 210: 'Prunes'},
    'nlcd': {11: 'Open Water', 52: 'Shrub/Scrub', 82: 'Cultivated Crops'},
    'eurocrops': {3303060000: 'Vineyards', 3301160000: 'Soybeans'},
    'bdforet': {4: 'Beech', 7: 'Douglas fir', 14: 'Scots pine'},
    'treemap': {924: 'Blue oak', 201: 'Douglas-fir', 371: 'California mixed conifer'},
    'bnetd': {9: 'Cocoa plantation', 13: 'Cashew plantation', 16: 'Tree savannah'},
    'desis_cdl': {49: 'Onions', 56: 'Hops', 68: 'Apples'},
    'eo1_cdl': {41: 'Sugarbeets', 43: 'Potatoes', 204: 'Pistachios'},
    'corine_43': {111: 'Continuous urban fabric', 334: 'Burnt areas', 412: 'Peat bogs'},
}


def by_hand(raster: np.ndarray, codes: tuple[int, ...]) -> list[int]:
    """Encode one pixel at a time, with Python numbers of any size."""
    lookup = {code: i for i, code in enumerate(codes)}
    values = [value.item() for value in raster.ravel()]
    return [lookup.get(value, len(codes)) for value in values]


@pytest.mark.parametrize('name', CODES)
def test_codes_are_those_of_the_authors(name: str) -> None:
    table = load_classes(name)
    assert table.codes == CODES[name]
    assert table.index == tuple(range(len(CODES[name])))
    assert table.ignore_index == len(table) == len(CODES[name])
    named = dict(zip(table.codes, table.names, strict=True))
    assert {code: named[code] for code in NAMES[name]} == NAMES[name]


def test_there_are_no_other_tables() -> None:
    assert class_tables() == sorted([*CODES, 'corine_19'])


def test_corine_19_agrees_with_the_two_stages() -> None:
    small, large = load_classes('corine_19'), load_classes('corine_43')
    codes = np.arange(0, 1000)
    first = large.encode(codes)
    expected = [TO_19.get(int(i), 19) for i in first]
    assert small.encode(codes).tolist() == expected
    assert len(small) == 19
    assert small.names[8] == 'Broad-leaved forest'
    assert small.names[18] == 'Marine waters'


@pytest.mark.parametrize('name', [*CODES, 'corine_19'])
def test_names_and_colors(name: str) -> None:
    table = load_classes(name)
    assert len(table.names) == len(table.colors) == len(set(table.names))
    assert all(re.fullmatch('#[0-9a-f]{6}', color) for color in table.colors)
    assert len({*table.colors, NODATA_GRAY}) == len(table) + 1
    assert table.source


@pytest.mark.parametrize(
    ('name', 'upstream'),
    [('cdl', CDL), ('desis_cdl', CDL), ('eo1_cdl', CDL), ('nlcd', NLCD)],
)
def test_official_colors(name: str, upstream: type) -> None:
    table = load_classes(name)
    palette = np.asarray(upstream.cmap.colors)
    palette = palette if palette.max() > 1 else palette * 255
    for code, color in zip(table.codes, table.colors, strict=True):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert rgb == np.round(palette[code][:3]).astype(int).tolist()


INTEGERS = ('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64')


@pytest.mark.parametrize('dtype', [*INTEGERS, 'float32', 'float64'])
@pytest.mark.parametrize('name', ['cdl', 'treemap'])
def test_any_data_type(name: str, dtype: str) -> None:
    kind = np.dtype(dtype)
    rng = np.random.default_rng(0)
    if kind.kind == 'f':
        special = [
            np.nan,
            np.inf,
            -np.inf,
            -1,
            1.5,
            1e30,
            np.nextafter(3, 4, dtype=kind),
        ]
    else:
        limits = np.iinfo(kind)
        special = [limits.min, limits.max]
    common = [c for c in (0, *CODES[name]) if c <= 100 or kind.itemsize > 1]
    values = np.array([*special, *rng.choice(common, 41 - len(special))], dtype=kind)
    mask = load_classes(name).encode(values.reshape(1, 41))
    assert mask.dtype == np.int64
    assert mask.shape == (1, 41)
    assert mask.ravel().tolist() == by_hand(values, CODES[name])


@pytest.mark.parametrize('dtype', ['uint32', 'int64', 'uint64', 'float64'])
def test_codes_beyond_int32(dtype: str) -> None:
    codes = CODES['eurocrops']
    values = np.array([*codes, 0, codes[0] + 1, 2**32 - 1], dtype=dtype)
    mask = load_classes('eurocrops').encode(values)
    assert mask.tolist() == [*range(15), 15, 15, 15]


def test_codes_that_wrapped_around_are_understood() -> None:
    values = np.array([*CODES['eurocrops'], 0, -1], dtype=np.int64).astype(np.int32)
    assert (values[:15] < 0).all()
    mask = load_classes('eurocrops').encode(values)
    assert mask.tolist() == [*range(15), 15, 15]


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_codes_that_a_float_mixes_up_are_refused(dtype: str) -> None:
    # alfalfa and clover are the same number in float32
    with np.errstate(over='ignore'):
        values = np.array(CODES['eurocrops'], dtype=dtype)
    assert values[2] == values[4]
    with pytest.raises(MetadataError, match=f'{dtype} cannot tell apart'):
        load_classes('eurocrops').encode(values)


def test_codes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(MetadataError, match='real numbers'):
        load_classes('cdl').encode(np.array([1j]))


def test_an_encoded_raster_is_its_own() -> None:
    raster = np.array([[1, 2], [0, 210]], dtype=np.int64)
    mask = load_classes('cdl').encode(raster)
    mask[:] = 7
    assert raster.tolist() == [[1, 2], [0, 210]]


def test_count() -> None:
    table = load_classes('nlcd')
    mask = np.array([[0, 0, 14], [15, 15, 3]])
    counted = table.count(mask)
    assert counted.tolist() == [2, 0, 0, 1, *[0] * 10, 1]


def test_unknown_table() -> None:
    with pytest.raises(UnknownNameError, match='Did you mean'):
        load_classes('nlcdd')
