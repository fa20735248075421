# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Products in folders: an XML file beside rasters (EnMAP, DESIS)."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from fuzz.case import (
    EITHER,
    READ,
    REFUSED,
    Build,
    Case,
    Change,
    altered,
    replaced,
    rewritten,
)
from fuzz.changes import changes, valid_names
from fuzz.reading import cube
from fuzz.runner import SECRET

_BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + ''.join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + ']>'
)
_QUADRATIC = f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'
_ENTITY = '<!DOCTYPE x [<!ENTITY a SYSTEM "secret.txt">]>'
_REMOTE = '<!DOCTYPE x SYSTEM "http://localhost:9/evil.dtd">'
_PARAMETER = '<!DOCTYPE x [<!ENTITY % a SYSTEM "secret.txt"> %a;]>'


def _with_head(head: str, text: str, root: str) -> Change:
    """Put a document type before the root, and use it."""

    def change(content: bytes) -> bytes:
        xml = content.decode()
        start = xml.index(f'<{root}')
        body = xml[start:]
        end = body.index('>') + 1
        return (xml[:start] + head + body[:end] + text + body[end:]).encode()

    return change


def _deep(content: bytes) -> bytes:
    return b'<level_X>' * 300_000


def _comments(content: bytes) -> bytes:
    return content.replace(b'<base>', b'<!-- x -->' * 100_000 + b'<base>')


def _encodings(encoding: str) -> Change:
    def change(content: bytes) -> bytes:
        text = content.decode().replace('"UTF-8"', f'"{encoding}"')
        return text.replace('<base>', '<base><note>Höhe</note>').encode(encoding)

    return change


_ATTACKS: dict[str, tuple[str, str]] = {
    'bomb of entities': (_BOMB, '<note>&j;</note>'),
    'large entity many times': (_QUADRATIC, f'<note>{"&a;" * 50_000}</note>'),
    'entity of a file': (_ENTITY, '<note>&a;</note>'),
    'entity of a file as a parameter': (_PARAMETER, ''),
    'document type from the net': (_REMOTE, ''),
}


def _secret(pattern: str, change: Change) -> Build:
    def edit(path: Path) -> None:
        (path.parent / 'secret.txt').write_text(SECRET, encoding='utf-8')
        path.write_bytes(change(path.read_bytes()))

    return altered(pattern, edit)


#: Wrong values by sensor: name, tag, value, outcome.
_ENMAP: list[tuple[str, str, str, str]] = [
    ('level L1C', '<level>L2A</level>', '<level>L1C</level>', REFUSED),
    ('level missing', '<level>L2A</level>', '', REFUSED),
    ('start missing', '<temporalCoverage>', '<temporalCoverages>', REFUSED),
    (
        'wavelength is a word',
        '<wavelengthCenterOfBand>',
        '<wavelengthCenterOfBand>blue',
        REFUSED,
    ),
    (
        'wavelength empty',
        '<wavelengthCenterOfBand>',
        '<wavelengthCenterOfBand/><x>',
        REFUSED,
    ),
    (
        'wavelength NaN',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>NaN</wavelengthCenterOfBand><x>4',
        REFUSED,
    ),
    (
        'wavelength infinite',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>Inf</wavelengthCenterOfBand><x>4',
        REFUSED,
    ),
    (
        'wavelength of another sensor',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>14',
        REFUSED,
    ),
    (
        'wavelength in um',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>0.4',
        REFUSED,
    ),
    ('fwhm NaN', '<FWHMOfBand>', '<FWHMOfBand>NaN</FWHMOfBand><x>', EITHER),
    ('fwhm negative', '<FWHMOfBand>', '<FWHMOfBand>-', EITHER),
    ('fwhm missing', 'FWHMOfBand', 'FWHMofBand', REFUSED),
    ('gain 0', '<GainOfBand>0.0001', '<GainOfBand>0', REFUSED),
    ('gain NaN', '<GainOfBand>0.0001', '<GainOfBand>NaN', REFUSED),
    ('gain infinite', '<GainOfBand>0.0001', '<GainOfBand>Inf', REFUSED),
    ('offset NaN', '<OffsetOfBand>0.0', '<OffsetOfBand>NaN', REFUSED),
    ('background is a word', '<backgroundValue>0', '<backgroundValue>none', EITHER),
    ('mean is a word', '<mean>0.21', '<mean>much', EITHER),
    (
        'channels are words',
        '<expectedChannelsList>',
        '<expectedChannelsList>a,b,',
        EITHER,
    ),
    (
        'channels are huge',
        '<expectedChannelsList>',
        f'<expectedChannelsList>{10**30},',
        EITHER,
    ),
    (
        'channels in other digits',
        '<expectedChannelsList>',
        '<expectedChannelsList>²,',
        EITHER,
    ),
    ('other root', 'level_X', 'level_Y', REFUSED),
]
_DESIS: list[tuple[str, str, str, str]] = [
    (
        'wavelength is a word',
        '<wavelengthCenterOfBand>',
        '<wavelengthCenterOfBand>blue',
        REFUSED,
    ),
    (
        'wavelength NaN',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>NaN</wavelengthCenterOfBand><x>4',
        REFUSED,
    ),
    (
        'wavelength infinite',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>1e999</wavelengthCenterOfBand><x>4',
        REFUSED,
    ),
    (
        'wavelength in um',
        '<wavelengthCenterOfBand>4',
        '<wavelengthCenterOfBand>0.4',
        REFUSED,
    ),
    (
        'width NaN',
        '<wavelengthWidthOfBand>',
        '<wavelengthWidthOfBand>NaN</wavelengthWidthOfBand><x>',
        EITHER,
    ),
    ('gain 0', '<gainOfBand>0.0001', '<gainOfBand>0', REFUSED),
    ('gain NaN', '<gainOfBand>0.0001', '<gainOfBand>NaN', REFUSED),
    ('offset infinite', '<offsetOfBand>0.0', '<offsetOfBand>Inf', REFUSED),
    ('band numbers in other digits', '<bandNumber>1<', '<bandNumber>²<', EITHER),
    (
        'band number of 5000 digits',
        '<bandNumber>2<',
        f'<bandNumber>{"9" * 5000}<',
        EITHER,
    ),
    ('band number beyond 64 bits', '<bandNumber>3<', f'<bandNumber>{10**30}<', EITHER),
    ('other root', 'hsi_doc', 'hsi_book', REFUSED),
]


def _without_band(content: bytes, tag: str) -> bytes:
    table = content.index(b'<bandCharacterisation>')
    start = content.index(f'<{tag}'.encode(), table)
    end = content.index(f'</{tag}>'.encode(), start) + len(tag) + 3
    return content[:start] + content[end:]


def _product(
    kind: str, valid: str, xml: str, root: str, tag: str, image: str, layer: str
) -> Iterator[Case]:
    name = f'{kind} metadata'
    yield from valid_names(kind, valid, '.', cube)
    yield from changes(name, valid, xml, cube, vague=('last byte missing',))
    for attack, (head, text) in _ATTACKS.items():
        build = _secret(xml, _with_head(head, text, root))
        # nothing is fetched, so that the last one does no harm
        how = EITHER if head == _REMOTE else REFUSED
        yield Case(name, attack, valid, build, cube, how)
    whole = f'</{root}>'
    for what, change, outcome in (
        ('300 000 tags in each other', _deep, REFUSED),
        ('100 000 comments', _comments, READ),
        ('Latin-1', _encodings('iso-8859-1'), READ),
        ('UTF-16', _encodings('utf-16'), READ),
        ('unknown encoding', replaced('"UTF-8"', '"klingon-8"'), REFUSED),
        ('lies about its encoding', replaced('"UTF-8"', '"UTF-16"'), REFUSED),
        ('byte order mark', lambda c: b'\xef\xbb\xbf' + c, READ),
        ('lines end as in Windows', lambda c: c.replace(b'\n', b'\r\n'), READ),
        ('a band too few', lambda c: _without_band(c, tag), REFUSED),
        ('no bands', replaced('bandCharacterisation', 'bandCharacter', 2), REFUSED),
        ('only a root', lambda c: f'<{root}></{root}>'.encode(), REFUSED),
        ('two roots', replaced(whole, f'{whole}<{root}/>'), REFUSED),
        ('control characters', replaced('<base>', '<base>\x01'), REFUSED),
    ):
        yield Case(name, what, valid, rewritten(xml, change), cube, outcome)
    for what, old, new, outcome in _ENMAP if valid == 'enmap' else _DESIS:
        build = rewritten(xml, replaced(old, new, -1))
        yield Case(name, what, valid, build, cube, outcome)
    raster = f'{kind} image'
    yield from changes(raster, valid, image, cube, leave=('twice',))
    yield from changes(
        f'{kind} quality layer',
        valid,
        layer,
        cube,
        opened='.',
        leave=('a folder', 'link to nothing', 'links in a circle'),
    )
    for what, edit in (
        ('folder without files', lambda path: shutil.rmtree(path) or path.mkdir()),
        (
            'folder without an image',
            lambda path: [f.unlink() for f in path.glob('*SPECTRAL_IMAGE*')],
        ),
    ):
        yield Case(kind, what, valid, altered('.', edit), cube)


def product_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    yield from _product(
        'EnMAP',
        'enmap',
        '*METADATA.XML',
        'level_X',
        'bandID',
        '*SPECTRAL_IMAGE.TIF',
        '*QL_QUALITY_CLOUD.TIF',
    )
    yield from _product(
        'DESIS',
        'desis',
        '*METADATA.xml',
        'hsi_doc',
        'band',
        '*SPECTRAL_IMAGE.tif',
        '*QL_QUALITY-2.tif',
    )
    missing = altered('*METADATA.xml', lambda path: path.unlink(), '.')
    yield Case('DESIS', 'metadata missing', 'desis', missing, cube)


__all__ = ('product_cases',)
