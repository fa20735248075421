# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the way from predictions to stored numbers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.callbacks._encode import class_encoder, value_encoder
from torchgeo_hsi.callbacks._output import OutputOptions
from torchgeo_hsi.datasets.plotting import CLASS_COLORS
from torchgeo_hsi.errors import BandMismatchError


def _values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=float).reshape(1, 1, -1)


class TestValues:
    def test_integers_round_clip_and_avoid_nodata(self) -> None:
        encoder = value_encoder('int16', None, 1.0, 0.0, False)
        assert encoder.nodata == -32768
        values = _values(np.nan, 1.4, 1.6, -2.5, 1e9, -1e9, -32768)
        stored = encoder.encode(values)
        assert stored.dtype == np.int16
        assert stored.ravel().tolist() == [-32768, 1, 2, -2, 32767, -32767, -32767]
        assert encoder.clipped == 3

    @pytest.mark.parametrize(
        ('dtype', 'nodata'),
        [('uint8', 255), ('int8', -128), ('uint32', 2**32 - 1), ('int32', -(2**31))],
    )
    def test_default_nodata_of_integers(self, dtype: str, nodata: int) -> None:
        encoder = value_encoder(dtype, None, 1.0, 0.0, False)
        stored = encoder.encode(_values(np.nan, -1e12, 1e12, 7))
        assert stored.ravel()[[0, 3]].tolist() == [nodata, 7]
        assert (stored.ravel()[1:] != nodata).all()

    def test_nodata_within_the_range(self) -> None:
        encoder = value_encoder('int16', 0, 1.0, 0.0, False)
        assert encoder.encode(_values(np.nan, 0.2, 5)).ravel().tolist() == [0, 1, 5]
        encoder = value_encoder('float32', 0, 1.0, 0.0, False)
        stored = encoder.encode(_values(np.nan, 0.0, 5)).ravel()
        assert stored[0] == 0
        assert 0 < stored[1] < 1e-30

    @pytest.mark.parametrize('nodata', [None, -9999.0])
    @pytest.mark.parametrize('dtype', [None, 'float32', 'float64'])
    def test_real_numbers(self, dtype: str | None, nodata: float | None) -> None:
        encoder = value_encoder(dtype, nodata, 1.0, 0.0, False)
        stored = encoder.encode(_values(np.nan, 0.1, -3e7))
        assert stored.dtype == np.dtype(dtype or 'float32')
        truth = np.array(
            [np.nan if nodata is None else nodata, 0.1, -3e7], stored.dtype
        )
        np.testing.assert_array_equal(stored.ravel(), truth)

    def test_scale_and_offset_are_those_of_gdal(self) -> None:
        values = np.random.default_rng(0).uniform(-0.1, 1.5, (3, 4, 5))
        encoder = value_encoder('uint16', None, 1e-4, -0.1, False)
        stored = encoder.encode(values.copy())
        np.testing.assert_allclose(stored * 1e-4 - 0.1, values, atol=0.5001e-4)

    @pytest.mark.parametrize(
        ('dtype', 'nodata'),
        [
            ('uint8', None),
            ('uint8', 0),
            ('uint16', None),
            ('uint16', 0),
            ('int16', None),
        ],
    )
    def test_probabilities_use_the_whole_range(
        self, dtype: str, nodata: int | None
    ) -> None:
        encoder = value_encoder(dtype, nodata, 1.0, 0.0, True)
        values = _values(0, 1, 0.3, np.nan)
        stored = encoder.encode(values.copy()).ravel()
        restored = stored * encoder.scale + encoder.offset
        np.testing.assert_allclose(restored[:3], [0, 1, 0.3], atol=encoder.scale)
        assert stored[3] == encoder.nodata
        assert encoder.clipped == 0
        assert stored[1] >= np.iinfo(dtype).max - 1

    def test_a_pixel_is_lost_as_a_whole(self) -> None:
        values = np.ones((3, 1, 2))
        values[:, 0, 1] = np.nan
        stored = value_encoder('int16', -1, 1.0, 0.0, False).encode(values)
        assert stored[:, 0, 1].tolist() == [-1, -1, -1]

    @pytest.mark.parametrize(
        ('arguments', 'message'),
        [
            (('complex64', None, 1.0, 0.0), 'Expected a dtype'),
            (('uint8', -1, 1.0, 0.0), 'between 0 and 255'),
            (('uint8', 0.5, 1.0, 0.0), 'between 0 and 255'),
            (('int16', float('nan'), 1.0, 0.0), 'between -32768'),
            (('int16', None, 0.0, 0.0), 'scale other than 0'),
        ],
    )
    def test_bad_options(self, arguments: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            value_encoder(*arguments, False)


class TestClasses:
    def test_highest_probability_wins(self) -> None:
        values = np.random.default_rng(0).random((5, 6, 7))
        values[:, 0, 0] = np.nan
        encoder = class_encoder(5, [10, 20, 30, 40, 50], None, None, None)
        stored = encoder.encode(values.copy())
        truth = np.array([10, 20, 30, 40, 50])[np.nan_to_num(values).argmax(0)]
        truth[0, 0] = 0
        np.testing.assert_array_equal(stored[0], truth)
        assert (stored.dtype, encoder.nodata) == (np.uint8, 0)

    def test_one_channel_is_two_classes(self) -> None:
        encoder = class_encoder(1, None, None, None, None)
        stored = encoder.encode(_values(0.2, 0.5, 0.51, np.nan))
        assert stored.ravel().tolist() == [0, 0, 1, 255]

    def test_class_that_was_not_trained(self) -> None:
        values = np.array([0.9, 0.02, 0.08]).reshape(3, 1, 1)
        encoder = class_encoder(3, None, None, None, ignore=0)
        assert encoder.nodata == 0
        assert encoder.encode(values).ravel().tolist() == [2]
        assert class_encoder(3, None, None, None, ignore=255).ignore is None
        assert class_encoder(1, None, None, None, ignore=0).ignore is None

    @pytest.mark.parametrize(
        ('count', 'codes', 'dtype', 'nodata'),
        [
            (255, None, 'uint8', 255),
            (256, None, 'uint16', 65535),
            (255, list(range(1, 256)), 'uint8', 0),
            (2, [1, 300], 'uint16', 0),
        ],
    )
    def test_smallest_type(
        self, count: int, codes: list[int] | None, dtype: str, nodata: int
    ) -> None:
        encoder = class_encoder(count, codes, None, None, None)
        assert (encoder.dtype, encoder.nodata) == (np.dtype(dtype), nodata)

    def test_chosen_nodata(self) -> None:
        encoder = class_encoder(2, [1, 2], None, 1000, None)
        assert (encoder.dtype, encoder.nodata) == (np.uint16, 1000)

    @pytest.mark.parametrize(
        ('codes', 'dtype', 'nodata', 'message'),
        [
            ([1, 1], None, None, 'different class codes'),
            ([-1, 2], None, None, 'different class codes'),
            ([1, 300], 'uint8', None, 'different class codes'),
            ([1, 2], None, 2, 'code of a class'),
            ([1, 2], 'uint8', 999, 'different class codes'),
        ],
    )
    def test_bad_codes(
        self, codes: list[int], dtype: str | None, nodata: float | None, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            class_encoder(2, codes, dtype, nodata, None)

    def test_wrong_number_of_codes(self) -> None:
        with pytest.raises(BandMismatchError, match='3 predicted classes'):
            class_encoder(3, [1, 2], None, None, None)


class TestOptions:
    @pytest.mark.parametrize(
        ('options', 'message'),
        [
            ({'kind': 'map'}, 'Expected an output'),
            ({'kind': 'cube', 'class_values': [1]}, 'class_values has no effect'),
            ({'kind': 'cube', 'class_names': ['a']}, 'class_names has no effect'),
            ({'kind': 'regression', 'colors': ['red']}, 'colors has no effect'),
            ({'kind': 'classes', 'scale': 2.0}, 'scale has no effect'),
            ({'kind': 'classes', 'offset': 2.0}, 'offset has no effect'),
            ({'kind': 'classes', 'dtype': 'float32'}, 'uint8 or uint16'),
            ({'kind': 'classes', 'colors': ['no color']}, 'no color'),
            ({'kind': 'cube', 'dtype': 'float16'}, 'Expected a dtype'),
        ],
    )
    def test_without_effect(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            OutputOptions(**options)

    def test_multilabel_has_no_single_class(self) -> None:
        with pytest.raises(ValueError, match='multilabel'):
            OutputOptions('classes').encoder(3, {'task': 'multilabel'})

    @pytest.mark.parametrize('name', ['class_names', 'colors'])
    def test_wrong_number(self, name: str) -> None:
        options = OutputOptions('classes', **{name: ['red', 'blue']})  # type: ignore[arg-type]
        with pytest.raises(BandMismatchError, match=f'{name} for 3 classes'):
            options.encoder(3, {})
        if name == 'class_names':
            options = OutputOptions('regression', class_names=['height'])
            with pytest.raises(BandMismatchError, match='for 2 regression'):
                options.encoder(2, {})

    def test_names_and_colors_of_the_datamodule(self) -> None:
        options = OutputOptions('classes', class_values=[3, 5])
        encoder = options.encoder(2, {})
        data = SimpleNamespace(class_names=['a', 'b'], class_colors=['red', '#00ff00'])
        found = options.describe(encoder, 2, {}, data, None)
        assert found['class_names'] == {3: 'a', 5: 'b'}
        assert found['colormap'] == {3: (255, 0, 0, 255), 5: (0, 255, 0, 255)}
        found = options.describe(encoder, 2, {'labels': ['c', 'd']}, data, None)
        assert found['class_names'] == {3: 'c', 5: 'd'}
        # those of another number of classes are none
        data.class_names, data.class_colors = ['a'], ['red']
        found = options.describe(encoder, 2, {'labels': None}, data, None)
        assert 'class_names' not in found
        first, second = CLASS_COLORS[:2]
        assert '#{:02x}{:02x}{:02x}'.format(*found['colormap'][3][:3]) == first
        assert '#{:02x}{:02x}{:02x}'.format(*found['colormap'][5][:3]) == second
