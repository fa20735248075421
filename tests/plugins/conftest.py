# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Installed packages made by hand: metadata and one module, as pip would leave them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from torchgeo_hsi.plugins import get_plugin_manager


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, str], str]:
    """Return a function that puts a package on the path.

    It takes the distribution, the entry point and the source of the module, and
    returns the name of the module, which is unique to the test.
    """
    site = tmp_path / 'site'
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution: str, entry_point: str, source: str) -> str:
        name = distribution.replace('-', '_')
        module = f'{name}_{tmp_path.name.replace("-", "_")}'
        (site / f'{module}.py').write_text(dedent(source))
        info = site / f'{name}-1.5.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(
            f'Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n'
        )
        (info / 'entry_points.txt').write_text(
            f'[torchgeo.plugins]\n{entry_point} = {module}\n'
        )
        return module

    return install


@pytest.fixture(autouse=True)
def _fresh_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test see the packages that it installed, and none of another test."""
    monkeypatch.delenv('TORCHGEO_HSI_PLUGINS', raising=False)
    get_plugin_manager.cache_clear()
    yield
    get_plugin_manager.cache_clear()
