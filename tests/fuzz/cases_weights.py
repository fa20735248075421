# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""MATLAB 5, and weights of networks."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fuzz import reading
from fuzz.case import EITHER, READ, REFUSED, Case, written
from fuzz.changes import changes, valid_names
from fuzz.evil import Evil, from_bytes, zipped


def _mat(**arrays: Any) -> bytes:
    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays)
    return buffer.getvalue()


def _mat_claim(size: int) -> bytes:
    """Write an array of one number that says it is large."""
    content = _mat(cube=np.zeros((2, 2, 2)))
    shape = np.array([2, 2, 2], 'i4').tobytes()
    return content.replace(shape, np.array([size] * 3, 'i4').tobytes(), 1)


_CUBE = np.arange(9 * 7 * 6, dtype='i2').reshape(9, 7, 6)
_MATS: dict[str, tuple[Callable[[], bytes], str]] = {
    'no cube': (lambda: _mat(a=np.zeros((3, 3))), REFUSED),
    'nothing in it': (_mat, REFUSED),
    'two cubes': (lambda: _mat(a=_CUBE, b=_CUBE), REFUSED),
    'four axes': (lambda: _mat(a=_CUBE[None]), REFUSED),
    'no pixels': (lambda: _mat(cube=np.zeros((0, 7, 6))), REFUSED),
    'complex numbers': (lambda: _mat(cube=_CUBE * 1j), REFUSED),
    'texts': (lambda: _mat(cube=np.full((2, 2, 2), 'abc')), REFUSED),
    'cells': (lambda: _mat(cube=np.full((2, 2, 2), 'abc', object)), REFUSED),
    'structure': (lambda: _mat(cube={'a': _CUBE}), REFUSED),
    'logical': (lambda: _mat(cube=_CUBE > 3), EITHER),
    'pixels NaN': (lambda: _mat(cube=np.full((9, 7, 6), np.nan)), READ),
    'pixels infinite': (lambda: _mat(cube=np.full((9, 7, 6), np.inf)), READ),
    'wavelength NaN': (lambda: _mat(cube=_CUBE, wavelength=[np.nan] * 6), REFUSED),
    'wavelength negative': (lambda: _mat(cube=_CUBE, wl=[-450.0] * 6), REFUSED),
    'wavelengths in um': (lambda: _mat(cube=_CUBE, wl=np.arange(1, 7) / 3), REFUSED),
    'wavelengths too few': (lambda: _mat(cube=_CUBE, wl=[450.0, 550.0]), EITHER),
    'wavelengths are texts': (lambda: _mat(cube=_CUBE, wl=['a', 'b']), EITHER),
    'claims 1000**3': (lambda: _mat_claim(1000), REFUSED),
    'claims 10**9 in each axis': (lambda: _mat_claim(10**9), REFUSED),
    'claims negative sizes': (lambda: _mat_claim(-2), REFUSED),
    'pickle': (lambda: pickle.dumps(Evil()), REFUSED),
    'sparse matrix': (lambda: _sparse(), REFUSED),
}


def _sparse() -> bytes:
    import scipy.sparse

    return _mat(cube=scipy.sparse.eye(5))


def _torch(content: Any, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        import torch

        buffer = io.BytesIO()
        value = content() if callable(content) and content is not Evil else content
        torch.save(Evil() if content is Evil else value, buffer, **options)
        return buffer.getvalue()

    return make


def _state() -> dict[str, Any]:
    import torch

    return {'layer.weight': torch.ones(2)}


def _cyclic() -> Any:
    found: dict[str, Any] = {}
    found['state_dict'] = found
    return found


def _huge_storage() -> bytes:
    """Save a tensor that says it has more numbers than its storage."""
    content = _torch(_state)()
    old, new = b'K\x02\x85', b'J\xff\xff\xff\x7f\x85'
    source, buffer = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith('data.pkl'):
                data = data.replace(old, new)
            archive.writestr(name, data)
    return buffer.getvalue()


_OLD_EVIL: dict[str, Any] = {'_use_new_zipfile_serialization': False}
_CHECKPOINTS: dict[str, tuple[Callable[[], bytes], str]] = {
    'runs a command': (_torch(Evil), REFUSED),
    'runs a command, old format': (_torch(Evil, **_OLD_EVIL), REFUSED),
    'runs a command beside tensors': (
        _torch(lambda: {'state_dict': _state(), 'extra': Evil()}),
        EITHER,
    ),
    'pickle that runs a command': (lambda: pickle.dumps(Evil()), REFUSED),
    'pickle in a zip': (
        lambda: zipped('archive/data.pkl', pickle.dumps(Evil())),
        REFUSED,
    ),
    'pickle without an end': (lambda: pickle.dumps([1] * 999)[:-1], REFUSED),
    'zip that leads out': (lambda: zipped('../../escaped', b'x'), REFUSED),
    'zip without a pickle': (lambda: zipped('archive/version', b'3'), REFUSED),
    'a number': (_torch(7), REFUSED),
    'a list': (_torch([1, 2]), REFUSED),
    'nothing': (_torch(None), REFUSED),
    'an empty dictionary': (_torch({}), REFUSED),
    'dictionary that holds itself': (_torch(_cyclic), REFUSED),
    'no tensors': (_torch({'state_dict': {'a': 1}}), REFUSED),
    'keys are numbers': (_torch(lambda: {7: _state()['layer.weight']}), REFUSED),
    'tensor beyond its storage': (_huge_storage, REFUSED),
}


def _safetensors(header: Any, data: bytes = b'', size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    told = len(text) if size is None else size
    return told.to_bytes(8, 'little') + text + data


def _entry(dtype: str, shape: list[int], *ends: int) -> dict[str, Any]:
    return {'a': {'dtype': dtype, 'shape': shape, 'data_offsets': list(ends)}}


_SAFETENSORS: dict[str, tuple[bytes, str]] = {
    'header of 2**63 bytes': (_safetensors({}, size=2**63), REFUSED),
    'header of 10**8 bytes': (_safetensors({}, size=10**8), REFUSED),
    'header of no bytes': (_safetensors({}, size=0), REFUSED),
    'header is no JSON': (_safetensors(b'{'), REFUSED),
    'header 100 000 deep': (_safetensors(b'[' * 10**5), REFUSED),
    'no tensors': (_safetensors({}), EITHER),
    'claims 10**9 in each axis': (
        _safetensors(_entry('F32', [10**9, 10**9], 0, 4), bytes(4)),
        REFUSED,
    ),
    'ends before it starts': (
        _safetensors(_entry('F32', [1], 4, 0), bytes(4)),
        REFUSED,
    ),
    'behind the end': (_safetensors(_entry('F32', [1], 0, 4)), REFUSED),
    'negative size': (_safetensors(_entry('F32', [-1], 0, 4), bytes(4)), REFUSED),
    'unknown type': (_safetensors(_entry('F7', [1], 0, 4), bytes(4)), REFUSED),
    'wrong length': (_safetensors(_entry('F32', [2], 0, 4), bytes(4)), REFUSED),
}


def weight_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    read: Any = reading.cube_in('nm')
    yield from valid_names('MATLAB 5', 'mat', 'cube.mat', read)
    end = ('last byte missing',)
    yield from changes('MATLAB 5', 'mat', 'cube.mat', read, vague=end)
    yield from from_bytes('MATLAB 5', 'cube.mat', read, _MATS)
    for kind, file in (
        ('checkpoint', 'small.ckpt'),
        ('old checkpoint', 'old.pt'),
        ('safetensors', 'small.safetensors'),
    ):
        yield from valid_names(kind, 'weights', file, reading.weights)
        yield from changes(
            kind,
            'weights',
            file,
            reading.weights,
            vague=('last byte missing', 'cut at nine tenths'),
        )
    yield from from_bytes('checkpoint', 'evil.ckpt', reading.weights, _CHECKPOINTS)
    yield from from_bytes(
        'safetensors', 'evil.safetensors', reading.weights, _SAFETENSORS
    )
    kind, read = 'statistics in a checkpoint', reading.module_statistics
    # what is not of torch has no statistics, which is no error
    text = (
        'one byte',
        'wrong magic',
        'noise',
        'web page',
        'Git LFS pointer',
        'gzip of it',
    )
    yield from changes(kind, 'weights', 'module.ckpt', read, vague=text, heavy=True)
    for name, (content, outcome) in _CHECKPOINTS.items():
        # nothing of use in it is no error here
        how = EITHER if outcome == REFUSED else outcome
        build = written('evil.ckpt', content)
        yield Case(kind, name, 'nothing', build, read, how, True)
