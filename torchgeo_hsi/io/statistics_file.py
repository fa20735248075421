# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band statistics in a JSON file."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._typing import PathLike
from ..errors import CorruptFileError
from ..physics import check_micrometres
from ..physics.statistics import BandSummary
from ._files import check_file, parse_json, shorten
from ._whole import write_whole

#: What is raised over fields that are not what they should be.
_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

#: What a file says it is, and the version of its fields.
_FORMAT, _VERSION = 'torchgeo-hsi statistics', 1


def write_statistics_file(path: PathLike, summary: BandSummary) -> None:
    """Write band statistics.

    The file appears as a whole or not at all. Numbers are written with all their
    digits; of the covariance, the rows of the lower triangle.

    Args:
        path: The file, by habit ``*.json``; an older one is replaced.
        summary: The statistics.

    Raises:
        OutputError: If it cannot be written.
    """
    target = Path(path)
    matrix = summary.covariance
    content: dict[str, Any] = {
        'format': _FORMAT,
        'version': _VERSION,
        'source': summary.source,
        'pixels': summary.pixels,
        'bands': list(summary.names),
        'wavelength_um': _list(summary.wavelength),
        'count': summary.count.tolist(),
        'valid_share': _list(summary.valid_share),
        'mean': _list(summary.mean),
        'std': _list(summary.std),
        'min': _list(summary.minimum),
        'max': _list(summary.maximum),
        'quantile_accuracy': summary.accuracy,
        'quantiles': {str(k): _list(row) for k, row in summary.quantiles.items()},
        'covariance': None
        if matrix is None
        else [row[: i + 1].tolist() for i, row in enumerate(matrix)],
    }
    write_whole(target, lambda part: part.write_text(_dump(content), encoding='utf-8'))


def read_statistics_file(path: PathLike) -> BandSummary:
    """Read band statistics.

    Args:
        path: What :func:`write_statistics_file` wrote.

    Returns:
        The statistics.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is damaged or something else.
    """
    check_file(os.fspath(path))
    remedy = 'Make such a file by "torchgeo-hsi stats".'
    content = parse_json(Path(path).read_bytes(), str(path), remedy)
    if not isinstance(content, dict) or content.get('format') != _FORMAT:
        raise CorruptFileError(
            f'{path} holds no band statistics. Make such a file by "torchgeo-hsi stats".'
        )
    if content.get('version') != _VERSION:
        raise CorruptFileError(
            f'{path} has version {shorten(str(content.get("version")))}, and this package knows '
            f'version {_VERSION}. Make the file again by "torchgeo-hsi stats".'
        )
    try:
        return _checked(_parse(content))
    except _BROKEN as error:
        raise CorruptFileError(
            f'{path} is damaged: {shorten(repr(error), 200)}. Make it again by "torchgeo-hsi stats".'
        ) from error


def _parse(content: dict[str, Any]) -> BandSummary:
    rows = content['covariance']
    matrix = None
    if rows is not None:
        matrix = np.zeros((len(rows), len(rows)))
        for i, row in enumerate(rows):
            if len(row) != i + 1:
                raise ValueError(f'row {i} of the covariance has {len(row)} numbers')
            matrix[i, : i + 1] = matrix[: i + 1, i] = row
    wavelength = content['wavelength_um']
    return BandSummary(
        names=tuple(map(str, content['bands'])),
        wavelength=None if wavelength is None else _array(wavelength),
        pixels=int(content['pixels']),
        count=np.asarray(content['count'], dtype=np.int64),
        mean=_array(content['mean']),
        std=_array(content['std']),
        minimum=_array(content['min']),
        maximum=_array(content['max']),
        quantiles={
            float(k): _array(row) for k, row in dict(content['quantiles']).items()
        },
        accuracy=content['quantile_accuracy'],
        covariance=matrix,
        source=str(content['source']),
    )


def _checked(summary: BandSummary) -> BandSummary:
    """Refuse numbers that no pixels can have; NaN stands for a band without any."""
    if summary.wavelength is not None:
        check_micrometres(summary.wavelength, len(summary.names))
    shares = np.array([*summary.quantiles], dtype=np.float64)
    numbers = (summary.mean, summary.std, summary.minimum, summary.maximum)
    if (
        any(np.isinf(values).any() for values in numbers)
        or (summary.std < 0).any()
        or (summary.minimum > summary.maximum).any()
        or (summary.count < 0).any()
        or summary.pixels < summary.count.max(initial=0)
        or not ((shares >= 0) & (shares <= 1)).all()
        or (summary.count[np.isnan(summary.mean)] > 0).any()
    ):
        raise ValueError('impossible counts, means, spreads, limits or quantiles')
    return summary


def _array(values: Any) -> NDArray[np.float64]:
    # null, for which there is no number, becomes NaN
    return np.asarray(values, dtype=np.float64)


def _list(values: NDArray[np.float64] | None) -> list[float | None] | None:
    if values is None:
        return None
    # JSON has no NaN
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _dump(content: dict[str, Any]) -> str:
    """Write one line for each field, and for each row of a table."""
    lines = []
    for key, value in content.items():
        if key == 'quantiles':
            rows = [
                f'    {json.dumps(k)}: {json.dumps(row)}' for k, row in value.items()
            ]
            text = '{\n' + ',\n'.join(rows) + '\n  }' if rows else '{}'
        elif key == 'covariance' and value is not None:
            text = (
                '[\n' + ',\n'.join(f'    {json.dumps(row)}' for row in value) + '\n  ]'
            )
        else:
            text = json.dumps(value, ensure_ascii=False)
        lines.append(f'  {json.dumps(key)}: {text}')
    return '{\n' + ',\n'.join(lines) + '\n}\n'
