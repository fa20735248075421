# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is in the source distribution and in the wheel."""

import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

from torchgeo_hsi import __version__

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'torchgeo_hsi'

#: Files of these kinds are read by the package or by others.
DATA = ('.csv', '.json', '.safetensors', '.typed', '.md', '')
MEGABYTE = 2**20


@pytest.fixture(scope='module')
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions; the wheel is built from the other one, as pip would."""
    pytest.importorskip('build')
    folder = tmp_path_factory.mktemp('dist')
    # in this environment, which has setuptools: no download
    words = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(folder)]
    result = subprocess.run(
        [*words, str(ROOT)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture(scope='module')
def wheel(dist: Path) -> set[str]:
    """Names of the files in the wheel."""
    (path,) = dist.glob('*.whl')
    assert path.stat().st_size < 10 * MEGABYTE
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


@pytest.fixture(scope='module')
def sdist(dist: Path) -> set[str]:
    """Names of the files in the source distribution, without its folder."""
    (path,) = dist.glob('*.tar.gz')
    assert path.stat().st_size < 30 * MEGABYTE
    with tarfile.open(path) as file:
        names = [PurePosixPath(member.name) for member in file if member.isfile()]
    return {str(name.relative_to(name.parts[0])) for name in names}


def metadata(dist: Path) -> Message:
    """Metadata of the wheel."""
    (path,) = dist.glob('*.whl')
    with zipfile.ZipFile(path) as file:
        (name,) = [n for n in file.namelist() if n.endswith('.dist-info/METADATA')]
        return Parser().parsestr(file.read(name).decode())


def own_files() -> set[str]:
    """Files of the package that have to be in both."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob('*')
        if path.is_file()
        and path.suffix in ('.py', *DATA)
        and '__pycache__' not in path.parts
    }


def test_wheel_has_the_package_and_nothing_else(wheel: set[str]) -> None:
    configs = {
        f'torchgeo_hsi/{path.relative_to(ROOT).as_posix()}'
        for path in (ROOT / 'configs').rglob('*.yaml')
    }
    assert len(configs) > 50
    info = {name for name in wheel if '.dist-info/' in name}
    assert wheel - info == own_files() | configs
    names = {PurePosixPath(name).name for name in info}
    assert {'LICENSE', 'METADATA', 'RECORD', 'WHEEL', 'entry_points.txt'} <= names


def test_sdist_has_what_the_tests_need(sdist: set[str]) -> None:
    assert own_files() <= sdist
    folders = ('tests', 'configs', 'docs', 'benchmarks', '.ci', '.github', 'conda')
    for folder in folders:
        wanted = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / folder).rglob('*')
            if path.is_file()
            and not {'__pycache__', '_build', 'generated'} & set(path.parts)
            and path.suffix != '.pyc'
            and '.partial' not in path.name
        }
        assert wanted <= sdist, folder
    assert {'Makefile', 'LICENSE', 'CITATION.cff', 'setup.py', 'README.md'} <= sdist
    assert not [name for name in sdist if '__pycache__' in name or '_build/' in name]


def test_metadata(dist: Path) -> None:
    content = metadata(dist)
    assert content['Version'] == __version__
    assert content['License-Expression'] == 'MIT'
    assert content['License-File'] == 'LICENSE'
    assert content['Description-Content-Type'] == 'text/markdown'
    assert content['Requires-Python'] == '>=3.12'
    pytest.importorskip('twine')
    words = [sys.executable, '-m', 'twine', 'check', '--strict']
    files = sorted(str(path) for path in dist.iterdir())
    result = subprocess.run(
        [*words, *files], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def test_readme_can_be_read_elsewhere() -> None:
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    # PyPI shows no picture and no HTML of the repository; a link is only dead there
    pictures = re.findall(r'!\[[^]]*\]\(([^)\s]+)', text)
    pictures += re.findall(r'<img[^>]*src="([^"]+)"', text)
    assert [p for p in pictures if not p.startswith('https://')] == []
