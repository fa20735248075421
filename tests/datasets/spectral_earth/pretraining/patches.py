# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The patches of the tests."""

import numpy as np
from data.spectral_earth.data import HOLE, NODATA, SIZE, SPECK, TREE

SPOTS = list(TREE)


#: A location with three dates.
THREE = SPOTS.index('0420708')


def cubes(truth: dict[str, np.ndarray], location: int) -> list[np.ndarray]:
    """Return the stored numbers of a location, by scene, with 0 for no data."""
    files = [f'{SPOTS[location]}/{scene}.tif' for scene in TREE[SPOTS[location]]]
    return [np.where(truth[file] == NODATA, 0, truth[file]) for file in files]


def hole() -> np.ndarray:
    valid = np.ones((SIZE, SIZE), dtype=bool)
    valid[HOLE] = False
    valid[SPECK[1:]] = False
    return valid


def cubes_of(truth: dict[str, np.ndarray], location: int) -> list[np.ndarray]:
    return [truth[f'{SPOTS[location]}/{s}.tif'] for s in TREE[SPOTS[location]]]
