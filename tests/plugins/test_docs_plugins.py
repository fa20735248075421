# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The plugin guide says what the code does."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from torchgeo_hsi.plugins import hookspecs
from torchgeo_hsi.plugins.kinds import KINDS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / 'docs' / 'plugins.rst').read_text('utf-8')

_BLOCK = re.compile(
    r'^\.\. code-block:: \w+\n   :caption: (\S+)\n\n((?:(?:   .*)?\n)+)', re.MULTILINE
)


def hooks() -> dict[str, str]:
    """Return the signature of each hook as a heading writes it."""
    found = {}
    for name, function in vars(hookspecs).items():
        if name.startswith('register_'):
            arguments = ', '.join(inspect.signature(function).parameters)
            found[name] = f'{name}({arguments})'
    return found


def files_of_the_guide() -> dict[str, str]:
    return {name: dedent(text).strip() + '\n' for name, text in _BLOCK.findall(GUIDE)}


def test_there_is_one_hook_for_each_kind() -> None:
    assert set(hooks()) == {kind.hook for kind in KINDS.values()}


@pytest.mark.parametrize('hook', hooks())
def test_every_hook_has_its_section(hook: str) -> None:
    heading = hooks()[hook]
    section = re.search(
        rf'^{re.escape(heading)}\n\^{{{len(heading)}}}\n(.*?)(?=^\^+$|\Z)',
        GUIDE,
        re.MULTILINE | re.DOTALL,
    )
    assert section is not None, f'no section "{heading}"'
    assert f':pyobject: {hook}\n' in section[1]


def test_no_section_is_about_a_hook_that_is_gone() -> None:
    headings = re.findall(r'^(register_\w+\(.*\))\n\^+$', GUIDE, re.MULTILINE)
    assert sorted(headings) == sorted(hooks().values())


def test_tutorial_works(tmp_path: Path) -> None:
    for name, text in files_of_the_guide().items():
        (tmp_path / name).write_text(text)
    site = tmp_path / 'site'
    command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '--no-index', '--target', str(site), '.']
    subprocess.run(command, cwd=tmp_path, check=True)

    paths = [str(site), str(ROOT)]
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    environment.pop('TORCHGEO_HSI_PLUGINS', None)
    # away from hsi_drone.py, so that the installed one is found
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    run = subprocess.run(
        [sys.executable, '-m', 'torchgeo_hsi', 'plugins', '--json'],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    records = {record['name']: record for record in json.loads(run.stdout)}
    assert records['hsi-drone:drone']['hooks'] == ['register_sensors']
    assert records['hsi-drone:drone']['version'] == '0.1'

    (site / 'test_hsi_drone.py').write_text(files_of_the_guide()['test_hsi_drone.py'])
    code = (
        'import hsi_drone, test_hsi_drone; '
        f'assert hsi_drone.__file__.startswith({str(site)!r}); '
        'test_hsi_drone.test_sensor()'
    )
    for arguments in (['-c', code], [str(tmp_path / 'use.py')]):
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
