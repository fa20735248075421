# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What follows when timm is imported, with a small package in its place."""

import subprocess
import sys
from pathlib import Path

import pytest

#: What follows after timm, and how often it did.
START = """
import importlib, importlib.util, sys, threading
sys.path.insert(0, '.')
from torchgeo_hsi._timm import import_with_timm
import_with_timm('follower')
import_with_timm('follower')
"""

CASES = {
    'imported': 'import timm',
    'a part of it': 'from timm.models import MODELS',
    # as libraries do that want to know whether timm is installed
    'asked for': "assert importlib.util.find_spec('timm')\nimport timm",
    'a file beside it': (
        'import pkgutil\n'
        "assert pkgutil.get_data('timm', 'note.txt') == b'note'\nimport timm"
    ),
    'fails at first': (
        "sys.modules['helper'] = None\n"
        'try:\n    import timm\nexcept ImportError:\n    pass\n'
        "assert 'follower' not in sys.modules\n"
        "del sys.modules['helper']\nimport timm"
    ),
    'reloaded': 'import timm\nimportlib.reload(timm)',
    'in threads': (
        'def work():\n    import timm\n    timm.helper\n'
        'threads = [threading.Thread(target=work) for _ in range(8)]\n'
        'for thread in threads:\n    thread.start()\n'
        'for thread in threads:\n    thread.join()\n'
        'import timm'
    ),
}

END = """
import follower, timm
assert timm.followers == 1, timm.followers
assert timm.__loader__ is timm.__spec__.loader
assert type(timm.__loader__).__name__ == 'SourceFileLoader'
assert not [f for f in sys.meta_path if type(f).__module__ == 'torchgeo_hsi._timm']
"""


@pytest.mark.parametrize('case', CASES)
def test_follows_once(case: str, tmp_path: Path) -> None:
    models = tmp_path / 'timm' / 'models.py'
    models.parent.mkdir()
    models.write_text('MODELS = []\n')
    (models.parent / 'note.txt').write_bytes(b'note')
    # a reload keeps what there was
    code = "import helper\nfollowers = globals().get('followers', 0)\n"
    (models.parent / '__init__.py').write_text(code)
    (tmp_path / 'helper.py').write_text('')
    (tmp_path / 'follower.py').write_text('import timm\ntimm.followers += 1\n')
    subprocess.run(
        [sys.executable, '-c', f'{START}\n{CASES[case]}\n{END}'],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
