# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hostile inputs: each ends in an error of ours with a remedy, or is read."""

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from fuzz.case import READ, REFUSED, Case
from fuzz.cases import all_cases
from fuzz.runner import Runner, judge
from fuzz.valid import MAKERS
from fuzz.worker import listing
from torchgeo_hsi.errors import HSIError

ALL = all_cases()
#: All of them take minutes: benchmarks/fuzz.py opens them. Seven is prime to the number
#: of changes that each kind of file goes through, so that each change meets many kinds.
SEVENTH = ALL[::7]
#: Kinds of a few inputs may have none among them: their first is taken.
FIRST = {case.kind: case for case in reversed(ALL)}
SOME = SEVENTH + [
    FIRST[kind] for kind in sorted(FIRST.keys() - {c.kind for c in SEVENTH})
]
#: Inputs that are opened in the process of the tests as well, and on every system.
HERE = [
    case
    for case in ALL[3::7]
    if case.outcome == REFUSED
    and not case.heavy
    and not any(letter.isdigit() for letter in case.name)
][::2]


@pytest.fixture(scope='module')
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with Runner(tmp_path_factory.mktemp('fuzz')) as runner:
        yield runner


@pytest.fixture(scope='module')
def valid(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp('valid')
        MAKERS[name](folder)
        return folder

    return make


def test_count() -> None:
    assert len({case.id for case in ALL}) == len(ALL)
    assert sum(case.outcome == REFUSED for case in ALL) >= 1000
    assert {case.kind for case in SOME} == {case.kind for case in ALL}


@pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='memory is bounded by Linux'
)
@pytest.mark.parametrize('case', SOME, ids=lambda case: case.id)
def test_input(runner: Runner, case: Case) -> None:
    complaints = judge(case, runner.run(case))
    assert not complaints, '\n'.join(complaints)


@pytest.mark.parametrize('case', HERE, ids=lambda case: case.id)
def test_in_this_process(
    case: Case, valid: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / 'in'
    folder.mkdir()
    path = case.build(folder, valid(case.valid))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises((HSIError, FileNotFoundError)):
            case.open(path)


def test_what_is_written_elsewhere_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / 'one' / 'two'
    for name in ('two/out/whole', 'two/here/x', 'beside', '../above'):
        path = tmp_path / 'one' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    seen = listing(tmp_path, folder)
    files = {'../../above', '../beside', 'here/x', 'out/whole'}
    assert files <= seen.keys()
    found = {
        'seconds': 0.0,
        'memory': 0.0,
        'changed': [],
        'new': sorted(files),
        'own': True,
        'missing': False,
        'message': 'x is damaged. Copy it again.',
        'path': 'x',
        'names': [],
    }
    case = next(case for case in ALL if case.outcome == REFUSED)
    outside = ['wrote ../../above', 'wrote ../beside', 'wrote here/x']
    # an error of ours leaves no output either
    refused = judge(case, {**found, 'error': 'CorruptFileError'})
    assert refused == [*outside, 'left out/whole']
    read = judge(replace(case, outcome=READ), {**found, 'error': None})
    assert read == outside
