# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of band statistics: back as they went, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchgeo_hsi.errors import CorruptFileError, OutputError
from torchgeo_hsi.io import read_statistics_file, write_statistics_file
from torchgeo_hsi.physics import BandSummary, RunningStatistics


def make(**options: Any) -> BandSummary:
    rng = np.random.default_rng(0)
    running = RunningStatistics(**options)
    running.update(rng.normal(1 / 3, 0.1, (3, 9, 9)))
    return running.summary(('B1', 'ä', 'c'), [0.45, 0.55, 0.65], 'two "files"')


@pytest.mark.parametrize('options', [{}, {'covariance': False}, {'accuracy': None}])
def test_round_trip_to_the_last_digit(tmp_path: Path, options: dict[str, Any]) -> None:
    want = make(**options)
    write_statistics_file(tmp_path / 'stats.json', want)
    got = read_statistics_file(tmp_path / 'stats.json')
    for name, value in vars(want).items():
        other = getattr(got, name)
        if isinstance(value, np.ndarray):
            assert other.dtype == value.dtype
            assert np.array_equal(other, value), name
        elif name == 'quantiles':
            assert list(other) == list(value)
            assert all(np.array_equal(other[k], value[k]) for k in value)
        else:
            assert other == value, name
    assert list(tmp_path.iterdir()) == [tmp_path / 'stats.json']


def test_bands_without_a_number_and_a_wavelength(tmp_path: Path) -> None:
    running = RunningStatistics()
    running.update(np.stack([np.full((4, 4), np.nan), np.ones((4, 4))]))
    write_statistics_file(tmp_path / 'stats.json', running.summary())
    text = (tmp_path / 'stats.json').read_text()
    # strict JSON, which has no NaN
    content = json.loads(text, parse_constant=pytest.fail)
    assert content['mean'] == [None, 1.0]
    assert content['count'] == [0, 16]
    assert content['valid_share'] == [0.0, 1.0]
    got = read_statistics_file(tmp_path / 'stats.json')
    assert np.isnan(got.mean[0])
    assert got.wavelength is None
    assert got.covariance is None


def test_fields(tmp_path: Path) -> None:
    write_statistics_file(tmp_path / 'stats.json', make())
    content = json.loads((tmp_path / 'stats.json').read_text())
    assert content['format'] == 'torchgeo-hsi statistics'
    assert content['version'] == 1
    assert [len(row) for row in content['covariance']] == [1, 2, 3]
    assert content['pixels'] == 81


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'damaged or no JSON'),
        ('[1]', 'holds no band statistics'),
        ('{"a": 1}', 'holds no band statistics'),
        ({'version': 2}, 'has version 2, and this package knows version 1'),
        ({'mean': [1.0]}, 'is damaged'),
        ({'mean': ['x'] * 3}, 'is damaged'),
        ({'covariance': [[1.0], [1.0], [1.0]]}, 'is damaged'),
        ({'count': None}, 'is damaged'),
        ({'quantiles': [1]}, 'is damaged'),
    ],
)
def test_damaged(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / 'stats.json'
    write_statistics_file(path, make())
    if isinstance(content, dict):
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_text(content)
    with pytest.raises(CorruptFileError, match=message):
        read_statistics_file(path)


def test_truncated_anywhere(tmp_path: Path) -> None:
    path = tmp_path / 'stats.json'
    write_statistics_file(path, make())
    whole = path.read_bytes()
    for end in range(0, len(whole) - 2, 97):
        path.write_bytes(whole[:end])
        with pytest.raises(CorruptFileError, match=r'stats\.json'):
            read_statistics_file(path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_statistics_file(tmp_path / 'stats.json')


def test_a_failure_leaves_the_older_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'stats.json'
    write_statistics_file(path, make())
    before = path.read_bytes()

    def full(source: Path, target: Path) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OutputError, match=r'No space left.*older file is as it was'):
        write_statistics_file(path, make(covariance=False))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match='could not be written'):
        write_statistics_file(tmp_path / 'file' / 'stats.json', make())
