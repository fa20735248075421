# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How large outputs can become at most, for ``--dry-run``.

Besides numbers there are headers, places of blocks, names of bands and overviews, which
are most of a small file; and numbers without any order, noise, become larger by being
compressed.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._typing import PathLike

if TYPE_CHECKING:
    from ..io import CubeInfo

#: How many times larger noise becomes by a compression.
_NOISE = {'none': 1.0, 'deflate': 1.01, 'zstd': 1.01, 'lzma': 1.02, 'lzw': 1.5}

#: Shares of what fills up the rows of a block, and of whole rows, that are left.
_FILLED = {'none': (1.0, 1.0), 'lzw': (0.25, 1 / 16), 'store': (0.5, 1 / 32)}

#: Bytes of a file, of a band, and of a block of a band, besides the numbers.
_FILE, _BAND, _BLOCK = 32_768, 1_024, 24

#: Bytes of a store besides its numbers, and of a sample in a store of patches.
STORE_BYTES, SAMPLE_BYTES = 32_768, 4_096

#: Bytes of a band of a store, and of a row or column.
_STORED_BAND, _LINE = 512, 16


def geotiff_bytes(
    bands: int, height: int, width: int, dtype: Any, compress: str = 'deflate'
) -> int:
    """Return how large a Cloud Optimized GeoTIFF can become.

    Args:
        bands: Number of bands.
        height: Rows.
        width: Columns.
        dtype: Data type.
        compress: Compression.

    Returns:
        Bytes.
    """
    import numpy as np

    from ..io._cog_options import cog_block

    side = cog_block(bands)
    item: int = np.dtype(dtype).itemsize
    total = float(_FILE + _BAND * bands)
    while True:
        blocks = math.ceil(height / side) * math.ceil(width / side)
        total += _plane(height, width, side, compress) * bands * item
        # and a mask of one bit for each pixel
        total += blocks * (bands * _BLOCK + side**2 / 8)
        if max(height, width) <= side:
            return math.ceil(total)
        height, width = math.ceil(height / 2), math.ceil(width / 2)


def image_bytes(info: 'CubeInfo', compress: str, factor: float = 1) -> int:
    """Return how large a GeoTIFF like a cube can become.

    Args:
        info: What the cube is.
        compress: Compression.
        factor: How many times more rows and columns there are; a square of as many
            pixels if that is no whole number, as of a part.

    Returns:
        Bytes.
    """
    bands, height, width = info.shape
    size = [math.ceil(length * factor) for length in (height, width)]
    return geotiff_bytes(bands, size[0], size[1], info.dtype, compress)


def stored_bytes(source: PathLike, options: Mapping[str, Any]) -> int:
    """Return how large the store of a scene can become.

    Args:
        source: The scene.
        options: Options of its reader.

    Returns:
        Bytes.
    """
    import numpy as np

    from ..io import open_cube
    from ..io.store._scene_spec import SceneSpec

    with open_cube(source, **options) as reader:
        layers = {
            name: 3 if name in reader.band_layers else 2
            for name in reader.quality_layers
        }
        spec = SceneSpec.of(reader, layers, None, 512, 'lz4hc')
    bands, *size = spec.shape
    total = float(STORE_BYTES + _STORED_BAND * bands + _LINE * sum(size))
    for array in spec.rasters():
        height, width = array.shape[-2:]
        side, planes = array.chunk[-1], math.prod(array.shape[:-2])
        item = np.dtype(array.dtype).itemsize
        total += _plane(height, width, side, 'store') * planes * item
        total += math.ceil(height / side) * math.ceil(width / side) * 64
    return math.ceil(total)


def _plane(height: int, width: int, side: int, kind: str) -> float:
    """Return how many numbers of a band are left in blocks that are compressed."""
    rows, columns = (math.ceil(size / side) * side for size in (height, width))
    right, below = _FILLED.get(kind, (1 / 8, 1 / 64))
    noise = height * width * _NOISE.get(kind, 1.01)
    return (
        noise + height * (columns - width) * right + (rows - height) * columns * below
    )
