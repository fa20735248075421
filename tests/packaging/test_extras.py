# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Each extra alone: what it is for works with it, and says its name without it."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location('extras', ROOT / '.ci' / 'extras.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


extras = _load()


def hide(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    """Let modules look as if they were not installed, also those imported before."""
    finders = [extras.Without(finder, names) for finder in sys.meta_path]
    monkeypatch.setattr(sys, 'meta_path', finders)
    for loaded in list(sys.modules):
        if loaded.partition('.')[0] in names:
            # gone, not None: others look into sys.modules for what is loaded
            monkeypatch.delitem(sys.modules, loaded)


def test_every_extra_is_checked() -> None:
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf-8'))
    known = set(project['project']['optional-dependencies'])
    assert set(extras.MODULES) == known - {'dev', 'docs'}
    assert set(extras.SMOKES) == set(extras.MODULES) | {'none'}


@pytest.mark.parametrize('extra', sorted(set(extras.MODULES) - extras.OPTIONAL))
def test_missing_extra_is_named(
    extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide(monkeypatch, extras.MODULES[extra])
    with pytest.raises(ImportError, match=rf"pip install 'torchgeo-hsi\[{extra}\]'"):
        extras.SMOKES[extra](tmp_path)


@pytest.mark.parametrize('extra', sorted(extras.OPTIONAL))
def test_optional_extra_may_be_missing(
    extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hide(monkeypatch, extras.MODULES[extra])
    extras.SMOKES[extra](tmp_path)


# a cluster takes seconds to start, and tests/jobs has one
@pytest.mark.parametrize('extra', sorted(set(extras.SMOKES) - {'parallel'}))
def test_alone(extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for other, names in extras.MODULES.items():
        if other != extra:
            hide(monkeypatch, names)
    extras.SMOKES[extra](tmp_path)
