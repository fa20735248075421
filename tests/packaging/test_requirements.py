# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is imported is asked for, with a bound and its reason, and conda agrees."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')
PROJECT: dict[str, Any] = tomllib.loads(TEXT)['project']
EXTRAS: dict[str, list[str]] = PROJECT['optional-dependencies']

#: Modules that have another name than their package.
PACKAGE_OF = {
    'neuralop': 'neuraloperator',
    'skimage': 'scikit-image',
    'sklearn': 'scikit-learn',
}
#: What comes with another package, which uses it in its own interface.
THROUGH = {
    'affine': 'rasterio',
    'cloudpickle': 'dask',
    'geopandas': 'torchgeo',
    'lightly': 'torchgeo',
    'pandas': 'torchgeo',
    'pyproj': 'torchgeo',
    'shapely': 'torchgeo',
    'yaml': 'jsonargparse',
}
#: Names that conda-forge gives to packages of PyPI.
CONDA = {
    'matplotlib': 'matplotlib-base',
    'torch': 'pytorch',
    'torch-geometric': 'pytorch_geometric',
}
#: What the extra ``signatures`` of jsonargparse means for conda.
ONLY_CONDA = {'python', 'docstring_parser', 'typeshed-client'}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Return the requirements of other packages by their canonical names."""
    parsed = [Requirement(line) for line in lines]
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in parsed
        if requirement.name != PROJECT['name']
    }


@cache
def imported() -> dict[str, str]:
    """Return the top-level modules of others, and one file that imports each."""
    found = {}
    for path in (ROOT / 'torchgeo_hsi').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or '']
            for name in names:
                found[name.partition('.')[0]] = str(path.relative_to(ROOT))
    own = {'torchgeo_hsi', *sys.stdlib_module_names}
    return {name: path for name, path in found.items() if name not in own}


def test_every_import_is_of_a_package_that_is_asked_for() -> None:
    user = [line for extra in EXTRAS if extra != 'dev' for line in EXTRAS[extra]]
    known = set(requirements([*PROJECT['dependencies'], *user]))
    for module, path in imported().items():
        package = THROUGH.get(module, PACKAGE_OF.get(module, module))
        assert canonicalize_name(package) in known, f'{path} imports {module}'


def test_no_requirement_is_left_over() -> None:
    used = {canonicalize_name(PACKAGE_OF.get(m, m)) for m in imported()}
    # the logger of Lightning, and what is imported by a name that is put together
    used |= {'tensorboard', 'scikit-learn'}
    user = [line for e in EXTRAS if e not in ('dev', 'docs') for line in EXTRAS[e]]
    assert set(requirements([*PROJECT['dependencies'], *user])) - used == set()


def test_every_bound_has_a_reason() -> None:
    tables = TEXT[TEXT.index('\ndependencies = [') : TEXT.index('\n[project.scripts]')]
    lines = [line.strip() for line in tables.splitlines()]
    for before, line in pairwise(lines):
        if re.match(r'"[\w\[\]-]+>=', line):
            assert before.startswith('#'), f'{line} has no reason above it'


def test_all_has_every_extra_but_the_operator() -> None:
    (listed,) = [line for line in EXTRAS['all'] if line.startswith(PROJECT['name'])]
    wanted = set(EXTRAS) - {'all', 'dev', 'docs', 'operator'}
    assert Requirement(listed).extras == wanted


@pytest.fixture(scope='module')
def recipe() -> dict[str, Any]:
    """The recipe for conda, with its two variables filled in."""
    text = (ROOT / 'conda/recipe/meta.yaml').read_text(encoding='utf-8')
    variables = dict(re.findall(r'{% set (\w+) = "(.+?)" %}', text))
    text = re.sub(r'{%.*?%}', '', text)
    text = text.replace('{{ PYTHON }}', 'python')
    text = re.sub(r'{{ (\w+)(?:\|lower)? }}', lambda match: variables[match[1]], text)
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content


def conda_bounds(lines: list[str]) -> dict[str, str]:
    """Return the bound of each requirement of the recipe."""
    pairs = [line.partition(' ') for line in lines]
    return {name: bound.replace(' ', '') for name, _, bound in pairs}


def as_conda(found: dict[str, Requirement]) -> dict[str, str]:
    """Return requirements of pip as the recipe has to have them."""
    return {
        CONDA.get(name, name): str(requirement.specifier)
        for name, requirement in found.items()
    }


def test_conda_recipe_is_in_step(recipe: dict[str, Any]) -> None:
    run = conda_bounds(recipe['requirements']['run'])
    assert run['python'] == PROJECT['requires-python']
    ours = {name: bound for name, bound in run.items() if name not in ONLY_CONDA}
    assert ours == as_conda(requirements(PROJECT['dependencies']))
    user = [line for e in EXTRAS if e not in ('dev', 'docs') for line in EXTRAS[e]]
    constrained = conda_bounds(recipe['requirements']['run_constrained'])
    assert constrained == as_conda(requirements(user))
    (script,) = PROJECT['scripts'].items()
    assert recipe['build']['entry_points'] == [' = '.join(script)]
    assert recipe['package']['name'] == PROJECT['name']
    assert recipe['about']['license'] == PROJECT['license']


@pytest.mark.parametrize(('tag', 'code'), [(None, 0), ('9.9.9', 1)])
def test_versions_agree(tag: str | None, code: int) -> None:
    words = [sys.executable, str(ROOT / '.ci/version.py'), *([tag] if tag else [])]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout


def test_citation_is_valid() -> None:
    content = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    needed = {'cff-version', 'message', 'title', 'authors', 'version', 'date-released'}
    assert needed <= set(content)
    assert content['cff-version'] == '1.2.0'
    assert content['license'] == PROJECT['license']
    changelog = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    assert f'## [{content["version"]}] - {content["date-released"]}' in changelog
    for reference in content['references']:
        assert {'type', 'title', 'authors', 'year', 'doi'} <= set(reference)
