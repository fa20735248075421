# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""JSON that every reader takes: without the NaN that Python would write."""

import json
import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """Leave out what JSON does not know.

    Args:
        value: Numbers, and lists and mappings of them.

    Returns:
        The same with None for numbers that are not finite.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def json_text(value: Any) -> str:
    """Write strict JSON that people can read.

    Args:
        value: What :mod:`json` can write; numbers that are not finite become null.

    Returns:
        Lines of text.
    """
    return json.dumps(finite(value), indent=2) + '\n'
