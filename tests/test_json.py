# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""JSON for readers that know no NaN."""

import json
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi._json import finite, json_text

CONTENT = {'a': [1, float('nan'), (2.5, float('-inf'))], 'b': {'c': np.float64('nan')}}


def refuse(constant: str) -> Any:
    raise AssertionError(constant)


def test_numbers_that_are_none_are_null() -> None:
    expected = {'a': [1, None, [2.5, None]], 'b': {'c': None}}
    assert json.loads(json_text(CONTENT), parse_constant=refuse) == expected
    with pytest.raises(AssertionError, match='NaN'):
        json.loads(json.dumps(CONTENT), parse_constant=refuse)


def test_the_rest_stays() -> None:
    content = {'x': [0, -1.5, True, None, 'NaN'], 'y': {}}
    assert finite(content) == content
