# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Stores of patches and of scenes: Zarr groups, item tables, compressed shards."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.case import EITHER, READ, REFUSED, Case, altered, rewritten
from fuzz.changes import changes, valid_names
from fuzz.reading import cube, patches

_KEY = 'torchgeo_hsi_store'
_LEADING_OUT = (
    b'{"items": [1, "x"], "shards": [{"files": {"../../x": [1, "y"]}}], "store": "z"}'
)
#: JSON ends with a line break, which nobody needs.
_END = ('last byte missing',)


def _json(edit: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Change what a JSON file holds."""

    def change(content: bytes) -> bytes:
        found = json.loads(content)
        edit(found)
        return json.dumps(found).encode()

    return change


def _spec(**values: Any) -> Callable[[bytes], bytes]:
    """Change fields of the specification of a store."""
    return _json(lambda c: c['attributes'][_KEY]['spec'].update(values))


def _info(**values: Any) -> Callable[[bytes], bytes]:
    """Change what a scene says about itself."""
    return _json(lambda c: c['attributes'][_KEY]['spec']['info'].update(values))


def _header(**values: Any) -> Callable[[bytes], bytes]:
    return _json(lambda c: c['attributes'][_KEY].update(values))


def _field(name: str, **values: Any) -> Callable[[bytes], bytes]:
    return _json(lambda c: c['attributes'][_KEY]['spec']['fields'][name].update(values))


def _bands(**values: Any) -> Callable[[bytes], bytes]:
    return _json(
        lambda c: c['attributes'][_KEY]['spec']['info']['bands'].update(values)
    )


def _deep(content: bytes) -> bytes:
    return b'[' * 200_000


def _deep_closed(content: bytes) -> bytes:
    return b'[' * 200_000 + b']' * 200_000


_LARGE = 10**9
_MOVED = {'image': {'shape': [4, 32, 32], 'dtype': 'int16', 'band_axis': 0}}
_TRAVERSAL = {'../../outside': _MOVED['image']}

#: Changes of the metadata of a store of patches, and how that ends.
_PATCHES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    'JSON without an end': (_deep, REFUSED),
    'JSON 200 000 deep': (_deep_closed, REFUSED),
    'JSON is a list': (lambda c: b'[1, 2]', REFUSED),
    'JSON is a number': (lambda c: b'7', REFUSED),
    'JSON is null': (lambda c: b'null', REFUSED),
    'Latin-1': (lambda c: c.replace(b'"a"', b'"\xe4"'), REFUSED),
    'byte order mark': (lambda c: b'\xef\xbb\xbf' + c, EITHER),
    'number of 5000 digits': (_spec(items='x'), REFUSED),
    'attributes gone': (_json(lambda c: c.pop('attributes')), REFUSED),
    'attributes are a list': (_json(lambda c: c.update(attributes=[])), REFUSED),
    'not ours': (_json(lambda c: c['attributes'].pop(_KEY)), REFUSED),
    'header is a list': (_json(lambda c: c['attributes'].update({_KEY: []})), REFUSED),
    'newer version': (_header(version=99), REFUSED),
    'version is a list': (_header(version=[1]), REFUSED),
    'other kind': (_header(kind='scene'), REFUSED),
    'unknown kind': (_header(kind='soup'), REFUSED),
    'kind is a list': (_header(kind=[1]), REFUSED),
    'specification gone': (_json(lambda c: c['attributes'][_KEY].pop('spec')), REFUSED),
    'specification is null': (_header(spec=None), REFUSED),
    'checksum gone': (_json(lambda c: c['attributes'][_KEY].pop('sha256')), REFUSED),
    'no fields': (_spec(fields={}), REFUSED),
    'fields are a list': (_spec(fields=[1]), REFUSED),
    'field leads out of the folder': (_spec(fields=_TRAVERSAL), REFUSED),
    'field is a path': (_spec(fields={'/etc': _MOVED['image']}), REFUSED),
    '10**9 items': (_spec(items=_LARGE), EITHER),
    '10**9 items in a shard': (_spec(shard_items=_LARGE), REFUSED),
    'no items': (_spec(items=0), REFUSED),
    'negative items': (_spec(items=-4), REFUSED),
    'items are a fraction': (_spec(items=2.5), REFUSED),
    'items are a text': (_spec(items='many'), REFUSED),
    'items are NaN': (_spec(items=float('nan')), REFUSED),
    'unknown compression': (_spec(compression='rar'), REFUSED),
    'compression is a list': (_spec(compression=[]), REFUSED),
    'image of 10**9': (_field('image', shape=[4, _LARGE, _LARGE]), REFUSED),
    'image of 10**5': (_field('image', shape=[4, 10**5, 10**5]), REFUSED),
    'image of no rows': (_field('image', shape=[4, 0, 32]), REFUSED),
    'image of negative rows': (_field('image', shape=[4, -32, 32]), REFUSED),
    'image of 1000 axes': (_field('image', shape=[1] * 1000), REFUSED),
    'shape is a text': (_field('image', shape='many'), REFUSED),
    'image of objects': (_field('image', dtype='object'), REFUSED),
    'unknown data type': (_field('image', dtype='int7'), REFUSED),
    'other data type': (_field('image', dtype='int8'), REFUSED),
    'data type is a list': (_field('image', dtype=[['a', 'i2']]), REFUSED),
    'band axis 7': (_field('image', band_axis=7), REFUSED),
    'band axis is a text': (_field('image', band_axis='x'), REFUSED),
}

_SCENES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    'sizes of 10**9': (_spec(shape=[6, _LARGE, _LARGE]), REFUSED),
    '10**9 bands': (_spec(shape=[_LARGE, 9, 7]), REFUSED),
    'no rows': (_spec(shape=[6, 0, 7]), REFUSED),
    'negative rows': (_spec(shape=[6, -9, 7]), REFUSED),
    'two axes': (_spec(shape=[9, 7]), REFUSED),
    'shape is a text': (_spec(shape='abc'), REFUSED),
    'shape of fractions': (_spec(shape=[6, 9.5, 7]), REFUSED),
    'block 0': (_spec(block=0), REFUSED),
    'negative block': (_spec(block=-32), REFUSED),
    'block of 10**9': (_spec(block=_LARGE), REFUSED),
    'block is a text': (_spec(block='large'), REFUSED),
    'shard 0': (_spec(shard=0), REFUSED),
    'shard of 10**9': (_spec(shard=_LARGE), REFUSED),
    'shard no multiple of the block': (_spec(shard=13), REFUSED),
    'unknown compression': (_spec(compression='rar'), REFUSED),
    'objects': (_spec(dtype='object'), REFUSED),
    'data type is null': (_spec(dtype=None), REFUSED),
    'unknown field': (_spec(colour='red'), REFUSED),
    'layer leads out of the folder': (_spec(layers={'/../../../x': 2}), REFUSED),
    'layer of 9 axes': (_spec(layers={'cloud': 9}), REFUSED),
    'layers are a list': (_spec(layers=['cloud']), REFUSED),
    'layer that is not there': (_spec(layers={'cloud': 2}), REFUSED),
    'mask that is not there': (_spec(masked=True), REFUSED),
    'empty bands are a text': (_spec(empty='abc'), EITHER),
    'empty bands are lists': (_spec(empty=[[1]]), REFUSED),
    'info is null': (_spec(info=None), REFUSED),
    'no bands': (_bands(wavelength=[]), REFUSED),
    'too few wavelengths': (_bands(wavelength=[0.5]), REFUSED),
    'wavelengths NaN': (_bands(wavelength=[float('nan')] * 6), REFUSED),
    'wavelengths in nm': (_bands(wavelength=[450 + i for i in range(6)]), REFUSED),
    'wavelengths are texts': (_bands(wavelength=['x'] * 6), REFUSED),
    'widths NaN': (_bands(fwhm=[float('nan')] * 6), REFUSED),
    'names repeat': (_bands(names=['a'] * 6), REFUSED),
    'bands of another number': (
        _json(
            lambda c: c['attributes'][_KEY]['spec']['info'].update(
                bands={
                    'wavelength': [0.5, 0.6],
                    'fwhm': None,
                    'names': [],
                    'good': [True, True],
                }
            )
        ),
        REFUSED,
    ),
    'gain of another number': (_info(gain=[1.0]), REFUSED),
    'gain is a text': (_info(gain='much'), REFUSED),
    'gain NaN': (_info(gain=['nan'] * 6), REFUSED),
    'CRS is no WKT': (_info(crs='PROJCS['), REFUSED),
    'CRS names a file': (_info(crs='/etc/passwd'), REFUSED),
    'CRS is a number': (_info(crs=7), REFUSED),
    'transform too short': (_info(transform=[1, 2]), REFUSED),
    'transform of texts': (_info(transform=['a'] * 6), EITHER),
    'nodata is a text': (_info(nodata='none'), REFUSED),
    'sensor is a list': (_info(sensor=[1]), EITHER),
    'JSON 200 000 deep': (_deep_closed, REFUSED),
}


def _table(**arrays: Any) -> Callable[[bytes], bytes]:
    """Change arrays of an item table."""

    def change(content: bytes) -> bytes:
        with np.load(io.BytesIO(content)) as file:
            found = dict(file)
        found |= {name.replace('_', '.'): array for name, array in arrays.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **{k: v for k, v in found.items() if v is not None})
        return buffer.getvalue()

    return change


def _member(name: str, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def _bomb(content: bytes) -> bytes:
    """Pack a gigabyte of zeros as the table."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {'descr': '|u1', 'fortran_order': False, 'shape': (1 << 30,)}
    )
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive,
        archive.open('keys.npy', 'w', force_zip64=True) as file,
    ):
        file.write(head.getvalue())
        for _ in range(1024):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


def _huge_claim(content: bytes) -> bytes:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {'descr': '|u1', 'fortran_order': False, 'shape': (10**15,)}
    )
    return _member('keys.npy', head.getvalue())


def _keys(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


_TABLES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    'objects': (_table(present=np.array([None, {}], object)), REFUSED),
    'bomb of a gigabyte': (_bomb, REFUSED),
    'claims 10**15 bytes': (_huge_claim, REFUSED),
    'another zip': (lambda c: _member('a.txt', b'hello'), REFUSED),
    'keys are no JSON': (_table(keys=_keys('{')), REFUSED),
    'keys are a number': (_table(keys=_keys('7')), REFUSED),
    'keys are too many': (_table(keys=_keys('["a", "b", "c", "d", "e"]')), REFUSED),
    'key leads out': (_table(keys=_keys('["../../x", "name"]')), EITHER),
    'too few items': (_table(present=np.ones(2, bool)), REFUSED),
    'no items': (_table(present=np.ones(0, bool)), REFUSED),
    'items of two axes': (_table(present=np.ones((4, 1), bool)), REFUSED),
    'codes out of range': (
        lambda c: _table(
            **{'0_codes': np.full(4, 99, 'i4'), '1_codes': np.full(4, 99, 'i4')}
        )(c),
        REFUSED,
    ),
}


def _shards(path: Path) -> list[Path]:
    return sorted(path.glob('image/c.*'))


def _swapped(path: Path) -> None:
    first, second = _shards(path)[:2]
    content = first.read_bytes()
    shutil.copy(second, first)
    second.write_bytes(content)


def _traversing(path: Path) -> None:
    """Put a shard elsewhere, and a link to it."""
    shard = _shards(path)[0]
    elsewhere = path.parent / 'elsewhere'
    shard.rename(elsewhere)
    shard.symlink_to(elsewhere)


def _index(places: list[tuple[int, int]]) -> Callable[[bytes], bytes]:
    """Put another index, with a right checksum, before the chunks of a shard."""

    def change(content: bytes) -> bytes:
        from torchgeo_hsi.io.store._layout import pack_index

        index = pack_index(places)
        return index + content[len(index) :]

    return change


def store_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    yield from _metadata_cases()
    yield from _file_cases()
    kind, folder = 'store of a scene', 'scene.zarr'
    meta = 'scene.zarr/zarr.json'
    yield from valid_names(kind, 'scene store', folder, cube)
    yield from changes(kind, 'scene store', meta, cube, opened=folder, fine=_END)
    for name, (change, outcome) in _SCENES.items():
        build = rewritten(meta, change, folder)
        yield Case(kind, name, 'scene store', build, cube, outcome)
    # the cube needs the beginning of its file only
    yield from changes(
        f'{kind}: shard', 'scene store', 'scene.zarr/image/c.0.0.0', cube, opened=folder
    )


def _metadata_cases() -> Iterator[Case]:
    """Change what a store of patches says about itself."""
    kind, meta = 'store of patches', 'patches.zarr/zarr.json'
    folder = 'patches.zarr'
    yield from valid_names(kind, 'store', folder, patches)
    yield from changes(kind, 'store', meta, patches, opened=folder, fine=_END)
    for name, (change, outcome) in _PATCHES.items():
        build = rewritten(meta, change, folder)
        yield Case(kind, name, 'store', build, patches, outcome)
    yield from changes(
        f'{kind}: item table',
        'store',
        'items.npz',
        patches,
        opened=folder,
        leave=('twice',),
    )
    for name, (change, outcome) in _TABLES.items():
        build = rewritten('items.npz', change, folder)
        yield Case(f'{kind}: item table', name, 'store', build, patches, outcome)
    yield from changes(
        f'{kind}: checksums',
        'store',
        'checksums.json',
        patches,
        opened=folder,
        fine=_END,
    )
    for name, content in (
        ('checksums are a list', b'[]'),
        ('checksums lead out', _LEADING_OUT),
        ('checksums are numbers', b'{"items": 1, "shards": 2, "store": 3}'),
    ):
        build = rewritten('checksums.json', lambda c, new=content: new, folder)
        yield Case(f'{kind}: checksums', name, 'store', build, patches)


def _file_cases() -> Iterator[Case]:
    """Change the shards of a store of patches."""
    kind, folder = 'store of patches', 'patches.zarr'
    shard = 'patches.zarr/image/c.0.0.0.0'
    yield from changes(f'{kind}: shard', 'store', shard, patches, opened=folder)
    for name, places in (
        ('chunk behind the end', [(10**6, 100), (10**6, 100)]),
        ('chunk at 2**63', [(2**63, 100), (2**63, 100)]),
        ('chunk of 2**63 bytes', [(36, 2**63), (36, 2**63)]),
        ('chunk of no bytes', [(36, 0), (36, 0)]),
        ('chunk in the index', [(0, 36), (0, 36)]),
        ('chunks of zeros', [(2**64 - 1, 2**64 - 1)] * 2),
    ):
        build = rewritten(shard, _index(places), folder)
        yield Case(f'{kind}: shard', name, 'store', build, patches)
    for name, edit, outcome in (
        ('shards swapped', _swapped, REFUSED),
        ('shard missing', lambda p: _shards(p)[0].unlink(), REFUSED),
        ('field missing', lambda p: shutil.rmtree(p / 'label'), REFUSED),
        ('checksums missing', lambda p: (p / 'checksums.json').unlink(), REFUSED),
        ('shard elsewhere', _traversing, READ),
    ):
        build = altered(folder, edit)
        yield Case(kind, name, 'store', build, patches, outcome)
