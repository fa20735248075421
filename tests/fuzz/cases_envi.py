# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""ENVI: a text header beside a binary file."""

from collections.abc import Iterator
from pathlib import Path

from fuzz.case import EITHER, READ, REFUSED, Build, Case, altered, replaced, rewritten
from fuzz.changes import changes, valid_names
from fuzz.reading import cube, cube_in

_WAVES = '{450.0, 550.0, 650.0, 860.0, 1650.0, 2200.0}'

#: Wrong fields: what is replaced by what, and how that ends.
_FIELDS: dict[str, tuple[str, str, str]] = {
    'huge sizes': (
        'samples = 7\nlines = 9',
        'samples = 1000000000\nlines = 1000000000',
        REFUSED,
    ),
    'sizes beyond 64 bits': ('samples = 7', f'samples = {10**30}', REFUSED),
    'size of 5000 digits': ('samples = 7', f'samples = {"9" * 5000}', REFUSED),
    'negative size': ('lines = 9', 'lines = -9', REFUSED),
    'two negative sizes': (
        'samples = 7\nlines = 9',
        'samples = -7\nlines = -9',
        REFUSED,
    ),
    'zero size': ('bands = 6', 'bands = 0', REFUSED),
    'size is no number': ('bands = 6', 'bands = six', REFUSED),
    'size is a fraction': ('bands = 6', 'bands = 6.5', REFUSED),
    'size is missing': ('samples = 7\n', '', REFUSED),
    'size without a value': ('samples = 7', 'samples =', REFUSED),
    'too many bands': ('bands = 6', 'bands = 7', REFUSED),
    'too few bands': ('bands = 6', 'bands = 5', REFUSED),
    'twice the lines': ('lines = 9', 'lines = 18', REFUSED),
    'negative offset': ('header offset = 0', 'header offset = -1', REFUSED),
    'huge offset': ('header offset = 0', f'header offset = {2**63}', REFUSED),
    'unknown data type': ('data type = 2', 'data type = 77', REFUSED),
    'complex data type': ('data type = 2', 'data type = 6', REFUSED),
    'negative data type': ('data type = 2', 'data type = -2', REFUSED),
    'data type missing': ('data type = 2\n', '', REFUSED),
    'spectral library': ('ENVI Standard', 'ENVI Spectral Library', REFUSED),
    'compressed': ('byte order = 0', 'byte order = 0\nfile compression = 1', REFUSED),
    'unknown interleave': ('interleave = bsq', 'interleave = bsqq', REFUSED),
    'interleave is a path': ('interleave = bsq', 'interleave = ../../etc', REFUSED),
    'byte order is a word': ('byte order = 0', 'byte order = big', REFUSED),
    'unit missing': ('wavelength units = Nanometers\n', '', REFUSED),
    'unit unknown': ('Nanometers', 'furlongs', REFUSED),
    'unit Unknown': ('Nanometers', 'Unknown', REFUSED),
    'nm said to be um': ('Nanometers', 'Micrometers', REFUSED),
    'wavenumbers': ('Nanometers', 'Wavenumber', REFUSED),
    'wavelength NaN': ('450.0', 'NaN', REFUSED),
    'wavelength infinite': ('450.0', 'Inf', REFUSED),
    'wavelength negative': ('450.0', '-450.0', REFUSED),
    'wavelength zero': ('450.0', '0', REFUSED),
    'wavelength is a word': ('450.0', 'blue', REFUSED),
    'wavelength 1e400': ('450.0', '1e400', REFUSED),
    'one wavelength too few': (_WAVES, '{450.0, 550.0, 650.0, 860.0, 1650.0}', REFUSED),
    'one wavelength too many': ('2200.0}', '2200.0, 2300.0}', REFUSED),
    'one wavelength': (_WAVES, '{450.0}', REFUSED),
    'wavelengths twice the same': ('550.0', '450.0', EITHER),
    'wavelengths unsorted': ('450.0, 550.0', '550.0, 450.0', READ),
    'fwhm NaN': ('20.0, 20.0', 'NaN, 20.0', EITHER),
    'fwhm infinite': ('{20.0', '{Inf', EITHER),
    'fwhm zero': ('{20.0', '{0', READ),
    'fwhm negative': ('{20.0', '{-20.0', EITHER),
    'fwhm too few': ('{20.0, ', '{', READ),
    'fwhm larger than the centre': ('{20.0', '{900.0', REFUSED),
    'list without an end': (_WAVES, _WAVES[:-1], EITHER),
    'list without an end at the end': (
        'bbl = {1, 1, 1, 1, 1, 1}',
        'xyz = 1\nbbl = {1',
        EITHER,
    ),
    'scale zero': ('factor = 10000', 'factor = 0', EITHER),
    'scale NaN': ('factor = 10000', 'factor = NaN', EITHER),
    'scale infinite': ('factor = 10000', 'factor = Inf', EITHER),
    'scale tiny': ('factor = 10000', 'factor = 1e-320', EITHER),
    'gain of another length': (
        'reflectance scale factor = 10000',
        'data gain values = {1, 2}',
        REFUSED,
    ),
    'gain NaN': (
        'reflectance scale factor = 10000',
        'data gain values = {NaN, 1, 1, 1, 1, 1}',
        EITHER,
    ),
    'ignore value huge': ('ignore value = 0', 'ignore value = 1e300', READ),
    'ignore value is a word': ('ignore value = 0', 'ignore value = none', EITHER),
    'map info: rotation is a word': ('WGS-84}', 'WGS-84, rotation=left}', EITHER),
    'map info: rotation infinite': ('WGS-84}', 'WGS-84, rotation=inf}', EITHER),
    'map info: zone is a word': ('30, 30, 33', '30, 30, north', EITHER),
    'map info: zone 99': ('30, 30, 33', '30, 30, 99', EITHER),
    'map info: pixel of no size': ('30, 30, 33', '0, 0, 33', EITHER),
    'map info: NaN': ('365055', 'NaN', EITHER),
    'map info: short': (
        '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, WGS-84}',
        '{UTM}',
        EITHER,
    ),
    'map info: empty': (
        '{UTM, 1, 1, 365055, 5809965, 30, 30, 33, North, WGS-84}',
        '{}',
        EITHER,
    ),
    'coordinate system is no WKT': (
        'byte order = 0',
        'byte order = 0\ncoordinate system string = {PROJCS["x"}',
        EITHER,
    ),
    'coordinate system names a file': (
        'byte order = 0',
        'byte order = 0\ncoordinate system string = {/etc/passwd}',
        EITHER,
    ),
    'no first line': ('ENVI\n', '', REFUSED),
    'other first line': ('ENVI\n', 'ERDAS\n', REFUSED),
    'nested braces': (_WAVES, '{{{{{{450.0}', REFUSED),
    'field twice': ('lines = 9', 'lines = 9\nlines = 900', REFUSED),
    'comments': ('samples = 7', '; samples = 1\nsamples = 7', READ),
    'upper case': ('samples = 7', 'SAMPLES   =   7', READ),
    'plus sign': ('samples = 7', 'samples = +7', READ),
}


def _encoded(encoding: str) -> Build:
    def edit(path: Path) -> None:
        text = path.read_text(encoding='utf-8')
        # a description that needs more than ASCII
        path.write_bytes(f'{text}description = {{Höhe}}\n'.encode(encoding))

    return altered('cube.hdr', edit)


def _renamed(stem: str) -> Build:
    """Rename the pair."""

    def edit(path: Path) -> None:
        path.with_suffix('.dat').rename(path.with_name(f'{stem}.dat'))
        path.rename(path.with_name(f'{stem}.hdr'))

    def build(folder: Path, valid: Path) -> Path:
        path = altered('cube.hdr', edit)(folder, valid)
        return path.with_name(f'{stem}.hdr')

    return build


def _many_fields(content: bytes) -> bytes:
    return content + b''.join(b'field %d = 1\n' % i for i in range(200_000))


def _long_list(content: bytes) -> bytes:
    waves = b'{' + b'1,' * 2_000_000 + b'1}'
    return content.replace(_WAVES.encode(), waves)


def _many_lines(content: bytes) -> bytes:
    # a list that grows line by line must not be copied for each of them
    return content + b'description = {\n' + b'x\n' * 300_000 + b'}\n'


def _sparse(path: Path) -> None:
    with path.with_suffix('.dat').open('r+b') as file:
        file.truncate(1 << 40)


def envi_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    kind = 'ENVI header'
    text = ('cut at nine tenths', 'last byte missing')
    yield from valid_names(kind, 'envi', 'cube.hdr', cube)
    yield from changes(
        kind, 'envi', 'cube.hdr', cube, vague=text, fine=('last byte missing',)
    )
    for name, (old, new, outcome) in _FIELDS.items():
        build = rewritten('cube.hdr', replaced(old, new))
        yield Case(kind, name, 'envi', build, cube, outcome)
    for name, change, outcome in (
        ('200 000 fields', _many_fields, READ),
        ('2 million wavelengths', _long_list, REFUSED),
        ('300 000 lines in a list', _many_lines, READ),
        ('lines end as in Windows', lambda c: c.replace(b'\n', b'\r\n'), READ),
        ('lines end as in old Macs', lambda c: c.replace(b'\n', b'\r'), READ),
        ('byte order mark', lambda c: b'\xef\xbb\xbf' + c, READ),
        ('zeros between letters', lambda c: c.decode().encode('utf-16'), REFUSED),
        ('NUL bytes', lambda c: c.replace(b'samples', b'sam\0ples'), REFUSED),
    ):
        yield Case(kind, name, 'envi', rewritten('cube.hdr', change), cube, outcome)
    yield Case(kind, 'Latin-1', 'envi', _encoded('latin-1'), cube, READ)
    for name, stem in (
        ('name with spaces', 'my cube 1'),
        ('name with umlauts', 'Würfel'),
        ('name with a line break', 'my\ncube'),
        ('long name', 'x' * 240),
        ('name with dots', 'a.b.c'),
    ):
        yield Case(kind, name, 'envi', _renamed(stem), cube, READ)
    build = altered('cube.hdr', _sparse)
    yield Case(kind, 'binary file with a hole of 1 TiB', 'envi', build, cube, READ)
    gone = altered('cube.dat', lambda path: path.unlink(), 'cube.hdr')
    yield Case(kind, 'binary file missing', 'envi', gone, cube)
    alone = altered('cube.hdr', lambda path: path.unlink(), 'cube.dat')
    yield Case(kind, 'header missing', 'envi', alone, cube)
    # whatever the bytes of pixels, they are pixels
    pixels = ('wrong magic', 'noise')
    yield from changes(
        'ENVI binary file', 'envi', 'cube.dat', cube, opened='cube.hdr', fine=pixels
    )
    unit = rewritten('cube.hdr', replaced('wavelength units = Nanometers\n', ''))
    read = cube_in('nm')
    yield Case(kind, 'unit from the caller', 'envi', unit, read, READ)
    wrong = cube_in('um')
    yield Case(kind, 'wrong unit from the caller', 'envi', unit, wrong)
