# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""TIFF: read by GDAL as a cube, and without it as a patch."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz import tiff_bytes as tags
from fuzz.case import EITHER, READ, REFUSED, Build, Case, altered, written
from fuzz.changes import changes, valid_names
from fuzz.reading import cube, patch
from fuzz.tiff_bytes import tiff

_LARGE, _HUGE = 10**9, 2**32 - 1
_BLOCK = zlib.compress(bytes(64))
_TILED = {
    tags.OFFSETS: None,
    tags.COUNTS: None,
    tags.ROWS: None,
    tags.TILE_WIDTH: (3, [16]),
    tags.TILE_HEIGHT: (3, [16]),
    tags.TILE_OFFSETS: (4, [8]),
    tags.TILE_COUNTS: (4, [256]),
}
_BOMB_XML = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">]>'
    '<GDALMetadata><Item name="x">&d;</Item></GDALMetadata>'
)


def _bomb() -> bytes:
    """Pack a gigabyte into the strip of an image of 64 pixels."""
    packer = zlib.compressobj(9)
    part = bytes(1 << 20)
    pixels = b''.join(packer.compress(part) for _ in range(1024)) + packer.flush()
    change = {tags.COMPRESSION: (3, [8]), tags.COUNTS: (4, [len(pixels)])}
    return tiff(change, pixels=pixels)


def _metadata(text: str) -> bytes:
    return tiff({tags.METADATA: (2, text)})


def _item(name: str, value: str) -> bytes:
    item = f'<Item name="{name}" sample="0">{value}</Item>'
    return _metadata(f'<GDALMetadata>{item}</GDALMetadata>')


def _scaled(name: str, value: str) -> bytes:
    item = f'<Item name="{name.upper()}" sample="0" role="{name}">{value}</Item>'
    return _metadata(f'<GDALMetadata>{item}</GDALMetadata>')


def _waves(value: str, unit: str) -> bytes:
    items = ''.join(
        f'<Item name="{name}" sample="0">{text}</Item>'
        for name, text in (('wavelength', value), ('wavelength_units', unit))
    )
    return _metadata(f'<GDALMetadata>{items}</GDALMetadata>')


#: Files by name, and how reading them has to end.
_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    'plain': (tiff, READ),
    'plain BigTIFF': (lambda: tiff(big=True), READ),
    'directory leads to itself': (lambda: tiff(following=-1), READ),
    'next directory behind the end': (lambda: tiff(following=10**6), READ),
    'directory behind the end': (lambda: tiff(directory=10**6), REFUSED),
    'directory at 0': (lambda: tiff(directory=0), REFUSED),
    'directory among the pixels': (lambda: tiff(directory=9), REFUSED),
    'BigTIFF: directory far away': (lambda: tiff(big=True, directory=2**63), REFUSED),
    'no entries': (lambda: tiff(entries=0), REFUSED),
    '65 535 entries': (lambda: tiff(entries=65535), REFUSED),
    'BigTIFF: 2**63 entries': (lambda: tiff(big=True, entries=2**63), REFUSED),
    'sizes of 10**9': (
        lambda: tiff({tags.WIDTH: (4, [_LARGE]), tags.HEIGHT: (4, [_LARGE])}),
        REFUSED,
    ),
    'sizes of 2**32 - 1': (
        lambda: tiff({tags.WIDTH: (4, [_HUGE]), tags.HEIGHT: (4, [_HUGE])}),
        REFUSED,
    ),
    'width of 10**9': (lambda: tiff({tags.WIDTH: (4, [_LARGE])}), REFUSED),
    'height of 10**9': (lambda: tiff({tags.HEIGHT: (4, [_LARGE])}), REFUSED),
    'no width': (lambda: tiff({tags.WIDTH: None}), REFUSED),
    'width 0': (lambda: tiff({tags.WIDTH: (3, [0])}), REFUSED),
    'height 0': (lambda: tiff({tags.HEIGHT: (3, [0])}), REFUSED),
    '65 535 bands': (lambda: tiff({tags.SAMPLES: (3, [65535])}), REFUSED),
    '0 bands': (lambda: tiff({tags.SAMPLES: (3, [0])}), EITHER),
    '7 bits': (lambda: tiff({tags.BITS: (3, [7])}), EITHER),
    '0 bits': (lambda: tiff({tags.BITS: (3, [0])}), REFUSED),
    '64 bits': (lambda: tiff({tags.BITS: (3, [64])}), REFUSED),
    'format 99': (lambda: tiff({tags.FORMAT: (3, [99])}), EITHER),
    'compression 12345': (lambda: tiff({tags.COMPRESSION: (3, [12345])}), REFUSED),
    'compression 0': (lambda: tiff({tags.COMPRESSION: (3, [0])}), EITHER),
    'deflate that is none': (lambda: tiff({tags.COMPRESSION: (3, [8])}), REFUSED),
    'LZW that is none': (lambda: tiff({tags.COMPRESSION: (3, [5])}), EITHER),
    'Zstandard that is none': (lambda: tiff({tags.COMPRESSION: (3, [50000])}), REFUSED),
    'JPEG that is none': (lambda: tiff({tags.COMPRESSION: (3, [7])}), REFUSED),
    'LERC that is none': (lambda: tiff({tags.COMPRESSION: (3, [34887])}), REFUSED),
    'a gigabyte in a strip': (_bomb, EITHER),
    'deflate too short': (
        lambda: tiff(
            {tags.COMPRESSION: (3, [8]), tags.COUNTS: (4, [11])},
            pixels=zlib.compress(bytes(3)),
        ),
        REFUSED,
    ),
    'predictor 77': (
        lambda: tiff(
            {
                tags.COMPRESSION: (3, [8]),
                tags.PREDICTOR: (3, [77]),
                tags.COUNTS: (4, [len(_BLOCK)]),
            },
            pixels=_BLOCK,
        ),
        REFUSED,
    ),
    'planar 9': (lambda: tiff({tags.PLANAR: (3, [9])}), EITHER),
    'strip behind the end': (lambda: tiff({tags.OFFSETS: (4, [10**6])}), REFUSED),
    'strip far behind the end': (lambda: tiff({tags.OFFSETS: (4, [_HUGE])}), REFUSED),
    'BigTIFF: strip at 2**64 - 1': (
        lambda: tiff({tags.OFFSETS: (16, [2**64 - 1])}, big=True),
        REFUSED,
    ),
    'BigTIFF: strip at 2**63': (
        lambda: tiff({tags.OFFSETS: (16, [2**63])}, big=True),
        REFUSED,
    ),
    'strip of 2**32 - 1 bytes': (lambda: tiff({tags.COUNTS: (4, [_HUGE])}), EITHER),
    'BigTIFF: strip of 2**64 - 1 bytes': (
        lambda: tiff({tags.COUNTS: (16, [2**64 - 1])}, big=True),
        EITHER,
    ),
    'strip too short': (lambda: tiff({tags.COUNTS: (4, [10])}), EITHER),
    'strip of 0 bytes': (lambda: tiff({tags.COUNTS: (4, [0])}), EITHER),
    'no strips': (lambda: tiff({tags.OFFSETS: None}), REFUSED),
    'no lengths of strips': (lambda: tiff({tags.COUNTS: None}), EITHER),
    '2**32 - 1 strips told': (lambda: tiff(counts={tags.OFFSETS: _HUGE}), REFUSED),
    'BigTIFF: 2**61 strips told': (
        lambda: tiff(big=True, counts={tags.OFFSETS: 2**61}),
        REFUSED,
    ),
    'more strips than rows': (
        lambda: tiff({tags.OFFSETS: (4, [8] * 99), tags.COUNTS: (4, [64] * 99)}),
        EITHER,
    ),
    'rows of a strip: 0': (lambda: tiff({tags.ROWS: (3, [0])}), EITHER),
    'rows of a strip: 2**32 - 1': (lambda: tiff({tags.ROWS: (4, [_HUGE])}), READ),
    'tile width 0': (lambda: tiff(_TILED | {tags.TILE_WIDTH: (3, [0])}), REFUSED),
    'tile of 2**31': (
        lambda: tiff(
            _TILED | {tags.TILE_WIDTH: (4, [2**31]), tags.TILE_HEIGHT: (4, [2**31])}
        ),
        REFUSED,
    ),
    'tile of 60 000 by 60 000': (
        lambda: tiff(
            _TILED | {tags.TILE_WIDTH: (4, [60000]), tags.TILE_HEIGHT: (4, [60000])}
        ),
        REFUSED,
    ),
    'tile cut': (lambda: tiff(_TILED), REFUSED),
    'nodata is a word': (lambda: tiff({tags.NODATA: (2, 'none')}), EITHER),
    'nodata is NaN': (lambda: tiff({tags.NODATA: (2, 'nan')}), READ),
    'nodata of 9 MB': (lambda: tiff({tags.NODATA: (2, '9' * 9_000_000)}), EITHER),
    'tags are no XML': (lambda: _metadata('<GDALMetadata><Item'), EITHER),
    'tags: bomb of entities': (lambda: _metadata(_BOMB_XML), EITHER),
    'tags: other bytes than UTF-8': (
        lambda: tiff({tags.METADATA: (2, b'<GDALMetadata>\xff\xfe</GDALMetadata>\0')}),
        EITHER,
    ),
    'tags: wavelength NaN': (lambda: _waves('NaN', 'nm'), REFUSED),
    'tags: wavelength infinite': (lambda: _waves('inf', 'nm'), REFUSED),
    'tags: wavelength is a word': (lambda: _waves('red', 'nm'), REFUSED),
    'tags: wavelength negative': (lambda: _waves('-500', 'nm'), REFUSED),
    'tags: unit missing': (lambda: _item('wavelength', '500'), REFUSED),
    'tags: unit unknown': (lambda: _waves('500', 'cubits'), REFUSED),
    'tags: nm said to be um': (lambda: _waves('500', 'um'), REFUSED),
    'tags: scale NaN': (lambda: _scaled('scale', 'nan'), EITHER),
    'tags: scale is a word': (lambda: _scaled('scale', 'half'), EITHER),
    'tags: scale 1e308': (lambda: _scaled('scale', '1e308'), REFUSED),
    'tags: offset infinite': (lambda: _scaled('offset', 'inf'), EITHER),
    'geo keys are noise': (
        lambda: tiff({tags.GEO_KEYS: (3, [1, 1, 0, 9, 1025, 0, 1, 2] + [7] * 30)}),
        EITHER,
    ),
    'pixels of size NaN': (
        lambda: tiff(
            {tags.SCALE: (12, [float('nan')] * 3), tags.TIE_POINT: (12, [0.0] * 6)}
        ),
        EITHER,
    ),
}


def _beside(suffix: str, content: bytes) -> Build:
    """Put a file beside a raster."""

    def edit(path: Path) -> None:
        path.with_name(path.name + suffix).write_bytes(content)

    return altered('tiles.tif', edit)


def _vrt(source: str) -> bytes:
    """Write a VRT that looks elsewhere, under the name of a GeoTIFF."""
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" '
        f'band="1"><SimpleSource><SourceFilename>{source}</SourceFilename>'
        '<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    ).encode()


def tiff_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    for kind, read in (('GeoTIFF', cube), ('GeoTIFF patch', patch)):
        for name in ('tiles', 'strips'):
            file = f'{name}.tif'
            yield from (
                Case(f'{kind} in {name}', c.name, c.valid, c.build, c.open, c.outcome)
                for c in changes(kind, 'tiff', file, read, vague=('last byte missing',))
            )
        yield from valid_names(kind, 'tiff', 'tiles.tif', read)
        for name, (content, outcome) in _FILES.items():
            build = written('image.tif', content)
            yield Case(kind, name, 'nothing', build, read, outcome)
    kind = 'GeoTIFF'
    passwd = _vrt('/etc/passwd')
    for name, suffix, content, outcome in (
        ('statistics beside it are no XML', '.aux.xml', b'<PAMDataset><', EITHER),
        ('bomb beside it', '.aux.xml', _BOMB_XML.encode(), EITHER),
        ('mask beside it is noise', '.msk', b'II*\0' + bytes(50), EITHER),
        ('overviews beside it are noise', '.ovr', b'noise' * 50, EITHER),
    ):
        build = _beside(suffix, content)
        yield Case(kind, name, 'tiff', build, cube, outcome)
    for name, content in (
        ('VRT of a file elsewhere', passwd),
        ('VRT of itself', _vrt('image.tif')),
        ('VRT from the net', _vrt('/vsicurl/http://localhost:9/a.tif')),
    ):
        yield Case(kind, name, 'nothing', written('image.tif', content), cube)
