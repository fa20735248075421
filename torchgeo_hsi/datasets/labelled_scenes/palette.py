# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Colors for classes that have none."""

from functools import cache

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

from ..plotting import CLASS_COLORS, NODATA_GRAY

#: Least number of steps of red, green and blue of the colors to choose from.
_SIDE = 6

#: From linear red, green and blue to X, Y and Z of its white (sRGB, D65).
_XYZ = np.array(
    [[0.4339, 0.2126, 0.0178], [0.3762, 0.7152, 0.1095], [0.1899, 0.0722, 0.8727]]
)


@cache
def class_palette(count: int) -> tuple[str, ...]:
    """Return colors for classes that have none.

    Args:
        count: Number of classes.

    Returns:
        Different colors as ``'#rrggbb'``: those that people with colour blindness can
        tell apart first, then always the one that looks least like all before.

    Example:
        >>> class_palette(2), len(set(class_palette(40)))
        (('#e69f00', '#56b4e9'), 40)
    """
    found = list(CLASS_COLORS[:count])
    if count > len(found):
        side = max(_SIDE, round((2 * count) ** (1 / 3)))
        # the brightest ones hurt
        steps = np.linspace(0, 0.9, side)
        grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
        choice = _lab(grid)
        # white paper and pixels without data are no classes
        taken = _lab(np.array([to_rgb(c) for c in (*found, NODATA_GRAY, 'white')]))
        far = np.linalg.norm(choice[:, None] - taken, axis=-1).min(axis=1)
        for _ in range(count - len(found)):
            best = int(far.argmax())
            found.append(to_hex(grid[best]))
            far = np.minimum(far, np.linalg.norm(choice - choice[best], axis=1))
    return tuple(found)


def _lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert sRGB from 0 to 1 to CIELAB, where distance is what the eye sees."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ
    low = 6 / 29
    part = np.where(xyz > low**3, np.cbrt(xyz), xyz / (3 * low**2) + 4 / 29)
    x, y, z = part.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
