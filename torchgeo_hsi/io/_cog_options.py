# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Sizes of blocks, and options of GDAL's COG driver."""

from typing import Any

from rasterio.enums import Resampling
from rasterio.env import GDALVersion

# The driver can order a COG tile by tile, band by band within a tile, since 3.11. The
# older pixel interleaving has to hold a whole tile of all bands in memory.
_TILE_INTERLEAVE = GDALVersion.runtime() >= GDALVersion(3, 11)


# Those that keep every number; the others are made for photographs.
_COMPRESS = ('none', 'deflate', 'lzw', 'zstd', 'lzma')
_RESAMPLING = (
    *('nearest', 'average', 'mode', 'bilinear', 'cubic'),
    *('cubic_spline', 'lanczos', 'gauss', 'rms'),
)


def work_block(num_bands: int) -> int:
    """Return the side of the blocks in which a raster is best computed and written.

    Args:
        num_bands: Number of bands.

    Returns:
        A power of two from 64 to 512, such that a float64 block stays below 64 MiB.
    """
    side = 512
    while side > 64 and num_bands * side * side * 8 > 64 << 20:
        side //= 2
    return side


def check_cog_options(compress: str, resampling: str) -> tuple[str, Resampling]:
    """Check options that GDAL would refuse only when everything is computed.

    Args:
        compress: Compression of the COG driver.
        resampling: Resampling of the overviews.

    Returns:
        Both, as the writer wants them.

    Raises:
        ValueError: If one of them does not exist.
    """
    name = resampling.lower()
    if compress.lower() not in _COMPRESS or name not in _RESAMPLING:
        raise ValueError(
            f'Expected a compress out of {", ".join(_COMPRESS)} and an '
            f'overview_resampling out of {", ".join(_RESAMPLING)}, got {compress!r} '
            f'and {resampling!r}.'
        )
    return compress.lower(), Resampling[name]


def cog_block(count: int) -> int:
    """Return the side of the blocks of a COG.

    Args:
        count: Number of bands.

    Returns:
        Side in pixels.
    """
    if count > 4 and not _TILE_INTERLEAVE:
        return 128
    return 512 if count <= 4 else 256


def creation_options(
    count: int, compress: str, resampling: Resampling
) -> dict[str, Any]:
    """Return the options of GDAL's COG driver.

    Args:
        count: Number of bands.
        compress: Compression, lower case.
        resampling: Resampling of the overviews, which are there already.

    Returns:
        Creation options.
    """
    options = {
        'compress': compress,
        'blocksize': cog_block(count),
        'overview_resampling': resampling.name,
        'bigtiff': 'IF_SAFER',
        'num_threads': 'ALL_CPUS',
    }
    if compress in ('deflate', 'lzw', 'zstd'):
        options['predictor'] = 'YES'
    if compress == 'deflate' and count > 4:
        # behind a predictor, level 6 costs half as much time again for 1 % of size
        options['level'] = 1
    if count > 1 and _TILE_INTERLEAVE:
        options['interleave'] = 'TILE'
    return options
