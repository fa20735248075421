# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Check that the version is the same wherever it is written.

    python .ci/version.py [TAG]

It is written in the package, the citation, the changelog and the conda recipe; a release
compares them with its tag. Needs nothing but Python.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Where it is, and how to find it there.
PLACES = {
    'torchgeo_hsi/__init__.py': r"^__version__ = '(.+)'$",
    'CITATION.cff': r'^version: "?([^"\s]+)"?$',
    # the newest release comes after what is not released
    'CHANGELOG.md': r'^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$',
    'conda/recipe/meta.yaml': r'^{% set version = "(.+)" %}$',
}


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each file says.

    Args:
        root: Folder of the checkout.

    Returns:
        Version by file; an empty text where there is none.
    """
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(
            pattern, (root / name).read_text(encoding='utf-8'), re.MULTILINE
        )
        found[name] = match[1] if match else ''
    return found


def main(args: Sequence[str]) -> int:
    """Compare the versions, and the tag if there is one.

    Args:
        args: The tag without its ``v``, or nothing.

    Returns:
        Exit code.
    """
    found = versions() | ({'the tag': args[0]} if args else {})
    for name, version in found.items():
        print(f'{name}: {version or "no version"}')
    return int(len(set(found.values())) != 1 or '' in found.values())


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
