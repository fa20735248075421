# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Draw a label map of fields, like that of a farmland benchmark.

Run as a script to look at one: ``python tests/data/fields/data.py``.
"""

import numpy as np

#: Classes that grow in a single field, as in the scenes that papers use.
LONELY = (1, 7, 9)


def make_fields(
    seed: int = 0, size: int = 145, classes: int = 12, pitch: int = 18
) -> np.ndarray:
    """Draw rectangles of one class each, with paths of 0 between them.

    Args:
        seed: Seed of the fields.
        size: Rows and columns.
        classes: Number of classes, with codes from 1.
        pitch: Distance of the fields.

    Returns:
        Label map; classes of ``LONELY`` have one field.
    """
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), dtype=np.uint8)
    common = [code for code in range(1, classes + 1) if code not in LONELY]
    places = [(r, c) for r in range(0, size, pitch) for c in range(0, size, pitch)]
    special = dict(zip(rng.permutation(len(places))[:3].tolist(), LONELY, strict=True))
    for number, (row, column) in enumerate(places):
        if number not in special and rng.random() < 0.25:
            continue
        code = special.get(number, int(rng.choice(common)))
        high, wide = rng.integers(pitch // 2, pitch - 1, 2)
        labels[row + 1 : row + high, column + 1 : column + wide] = code
    return labels


if __name__ == '__main__':
    for line in make_fields()[::6, ::3]:
        print(''.join('.abcdefghijklmnop'[code] for code in line))  # noqa: T201
