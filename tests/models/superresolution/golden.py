# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Numbers and names of tensors of the published networks for super-resolution."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / 'data' / 'superresolution'


def fingerprints(name: str) -> list[dict[str, Any]]:
    rows = json.loads((DATA / 'fingerprints.json').read_text())
    return [row for row in rows if row['model'] == name]


def published_keys(
    name: str,
) -> list[tuple[dict[str, int], dict[str, tuple[int, ...]]]]:
    """Return arguments, and names and shapes of all tensors, of networks."""
    found: list[tuple[dict[str, int], dict[str, tuple[int, ...]]]] = []
    known = False
    for line in (DATA / 'state_dict_keys.txt').read_text().splitlines():
        first, *rest = line.strip('[]').split()
        if line.startswith('['):
            known = first == name
            if known:
                words = (part.split('=') for part in rest)
                found.append(({k: int(v) for k, v in words}, {}))
        elif known:
            found[-1][1][first] = tuple(map(int, rest[0].split('x')))
    return found
