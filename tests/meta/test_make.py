# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The scripts behind ``make`` and ``.ci/run``."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.name != 'posix', reason='make needs a POSIX shell')


def find_python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / '.ci' / 'find-python'), *words],
        env={'PATH': '/usr/bin:/bin', **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(path: Path, version: tuple[int, int]) -> None:
    """Write a script that answers as a Python of some version would."""
    ok = version >= (3, 12)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{f"echo {path}" if ok else "exit 1"}\n')
    path.chmod(0o755)


def test_chosen_python_is_taken() -> None:
    result = find_python(sys.executable)
    assert result.returncode == 0
    assert result.stdout.strip() == sys.executable


def test_chosen_python_that_does_not_run(tmp_path: Path) -> None:
    result = find_python(str(tmp_path / 'python'))
    assert result.returncode == 1
    assert str(tmp_path / 'python') in result.stderr


def test_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    shims, versions = tmp_path / 'shims', tmp_path / 'pyenv' / 'versions'
    for name in ('python3.13', 'python3.12', 'python3', 'python'):
        fake_python(shims / name, (3, 11))
    fake_python(versions / '3.11.7' / 'bin' / 'python', (3, 11))
    fake_python(versions / '3.12.1' / 'bin' / 'python', (3, 12))
    result = find_python(
        PATH=f'{shims}:/usr/bin:/bin', PYENV_ROOT=str(tmp_path / 'pyenv')
    )
    assert result.stdout.strip() == str(versions / '3.12.1' / 'bin' / 'python')


def test_no_python_at_all(tmp_path: Path) -> None:
    for name in ('python3.13', 'python3.12', 'python3', 'python'):
        fake_python(tmp_path / name, (3, 11))
    result = find_python(PATH=f'{tmp_path}:/bin', PYENV_ROOT=str(tmp_path / 'none'))
    assert result.returncode == 1
    assert 'No Python 3.12 or newer' in result.stderr
    assert 'PYTHON=' in result.stderr


@pytest.mark.parametrize(
    ('reason', 'code'), [('no real data in /x', 0), ('a package is missing', 1)]
)
def test_skipped_realdata_test_fails_the_run(
    tmp_path: Path, reason: str, code: int
) -> None:
    (tmp_path / 'pytest.ini').write_text('[pytest]\nmarkers =\n    realdata: x\n')
    (tmp_path / 'test_it.py').write_text(
        'import pytest\n'
        'def test_that_passes(): pass\n'
        '@pytest.mark.realdata\n'
        f'def test_that_skips(): pytest.skip({reason!r})\n'
    )
    result = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'require_realdata', tmp_path],
        env={**os.environ, 'PYTHONPATH': str(ROOT / '.ci')},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stdout
    assert ('test_that_skips' in result.stdout) == bool(code)


@pytest.mark.parametrize('script', ['find-python', 'minimum', 'run', 'wheel'])
def test_scripts_can_be_read(script: str) -> None:
    path = ROOT / '.ci' / script
    assert os.access(path, os.X_OK)
    shell = path.read_text(encoding='utf-8').partition('\n')[0].split('/')[-1]
    subprocess.run([shell.split()[-1], '-n', str(path)], check=True)


@pytest.fixture(scope='module')
def run_all() -> ModuleType:
    """What ``make bench`` runs."""
    path = ROOT / 'benchmarks' / 'run_all.py'
    spec = importlib.util.spec_from_file_location('run_all', path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_benchmark_is_in_the_table(run_all: ModuleType) -> None:
    assert set(run_all.HEADLINES) <= set(run_all.scripts())
    assert set(run_all.scripts()) <= set(run_all.HEADLINES)
    assert set(run_all.scripts()) > run_all.UNTIMED


def test_headline_of_a_result(run_all: ModuleType) -> None:
    result = ROOT / 'benchmarks' / 'results' / 'adapter.json'
    figures = json.loads(result.read_text(encoding='utf-8'))
    text = f'a table\n{json.dumps(figures)}\n'
    assert run_all.last_line(text) == figures
    speedup = figures['train']['speedup']
    assert run_all.headline('adapter', figures).endswith(f': {speedup:.3g}')
    assert run_all.headline('adapter', {'train': None}) == ''
    assert run_all.last_line('no figures') is None


def test_a_benchmark_that_fails(run_all: ModuleType, tmp_path: Path) -> None:
    outcome = run_all.Run('there_is_none', (), 60.0, str(tmp_path)).end()
    assert outcome.state == 'failed'
    assert 'there_is_none.py' in outcome.text
