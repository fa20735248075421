# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a run leaves for the next one: records, failures, scores, begun stores."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fuzz import reading
from fuzz.case import EITHER, REFUSED, Case, Open, rewritten
from fuzz.cases_text import JSON
from fuzz.changes import changes

#: What is damaged is made anew by these, which is no error.
_MENDED = (
    'empty',
    'one byte',
    'eight bytes',
    'cut at a tenth',
    'cut in the middle',
    'cut at nine tenths',
    'last byte missing',
    'wrong magic',
    'noise',
    'web page',
    'Git LFS pointer',
    'gzip of it',
    'a folder',
    'link to nothing',
    'links in a circle',
)

#: Kind of file, the file, how it is read, whether that is heavy, and its own inputs.
_FILES: dict[str, tuple[str, str, Open, bool, dict[str, Any]]] = {
    'scores of a run': (
        'state',
        'scores.json',
        reading.scores,
        True,
        {'metric is a word': {'test': {'loss': 'low'}}, 'stages are lists': {'a': []}},
    ),
    'record of an output': (
        'state',
        'one.json',
        reading.record,
        False,
        {
            'source is a number': {'recipe': 'x', 'source': 7, 'finished': True},
            'source is too long': {'recipe': 'x', 'source': [1] * 9, 'finished': 1},
            'recipe is a list': {'recipe': [], 'source': ['a', [1]], 'finished': 1},
        },
    ),
    'source of a conversion': (
        'state',
        '.source.json',
        reading.source,
        True,
        {
            'items are a word': {'items': 'many'},
            'items are NaN': {'items': float('nan')},
        },
    ),
}

_HEADER: dict[str, Callable[[Any], Any]] = {
    'kind gone': lambda h: {k: v for k, v in h.items() if k != 'kind'},
    'kind is a list': lambda h: h | {'kind': [1]},
    'version 99': lambda h: h | {'version': 99},
    'shards gone': lambda h: {k: v for k, v in h.items() if k != 'shards'},
    'shards are a word': lambda h: h | {'shards': 'many'},
    'shards are infinite': lambda h: h | {'shards': float('inf')},
    '10**12 shards': lambda h: h | {'shards': 10**12},
    'negative shards': lambda h: h | {'shards': -2},
    'arrays gone': lambda h: {k: v for k, v in h.items() if k != 'arrays'},
    'arrays are a list': lambda h: h | {'arrays': [1]},
    'array leads out': lambda h: h | {'arrays': {'../../x': {}}},
    'specification gone': lambda h: {k: v for k, v in h.items() if k != 'spec'},
}
_RECORD: dict[str, Callable[[Any], Any]] = {
    'items gone': lambda r: {k: v for k, v in r.items() if k != 'items'},
    'items are a number': lambda r: r | {'items': 7},
    'items are texts': lambda r: r | {'items': ['a', 'b']},
    'item too few': lambda r: r | {'items': r['items'][:1]},
    'checksum gone': lambda r: {k: v for k, v in r.items() if k != 'sha256'},
    'checksum is a number': lambda r: r | {'sha256': 7},
    'checksum is no number': lambda r: r | {'sha256': 'xyz'},
    'files are a list': lambda r: r | {'files': []},
    'file leads out': lambda r: r | {'files': {'../../../etc/passwd': [1, 'a']}},
    'sizes are words': lambda r: r | {'files': dict.fromkeys(r['files'], 'ab')},
}


def _edited(change: Callable[[Any], Any], content: bytes) -> bytes:
    return json.dumps(change(json.loads(content))).encode()


def state_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    for kind, (valid, file, read, heavy, own) in _FILES.items():
        yield from changes(kind, valid, file, read, vague=_MENDED, heavy=heavy)
        for name, (change, _) in JSON.items():
            build = rewritten(file, change)
            yield Case(kind, name, valid, build, read, EITHER, heavy)
        for name, content in own.items():
            build = rewritten(file, lambda c, new=content: json.dumps(new).encode())
            yield Case(kind, name, valid, build, read, EITHER, heavy)
    kind, folder = 'begun store', 'begun.zarr'
    for part, file, own in (
        ('header', '.unfinished.json', _HEADER),
        ('record', '00000000.json', _RECORD),
    ):
        yield from changes(
            f'{kind}: {part}',
            'begun',
            file,
            reading.begun,
            opened=folder,
            vague=('last byte missing',),
        )
        for name, change in own.items():
            build = rewritten(file, partial(_edited, change), folder)
            yield Case(f'{kind}: {part}', name, 'begun', build, reading.begun, REFUSED)
