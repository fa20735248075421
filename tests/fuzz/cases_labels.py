# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Label maps in arrays, rasters and vector files."""

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fuzz import reading
from fuzz.case import EITHER, READ, REFUSED, Case, altered, replaced, rewritten
from fuzz.changes import changes, valid_names
from fuzz.evil import Evil, from_bytes


def _npy(array: Any, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array, **options)
        return buffer.getvalue()

    return make


def _npy_claim(shape: tuple[int, ...], descr: str = '<i8') -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        header = {'descr': descr, 'fortran_order': False, 'shape': shape}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue()

    return make


_NPYS: dict[str, tuple[Callable[[], bytes], str]] = {
    'objects': (_npy(np.array([[Evil()]], object), allow_pickle=True), REFUSED),
    'pickle': (lambda: pickle.dumps(Evil()), REFUSED),
    'claims 10**9 by 10**9': (_npy_claim((10**9, 10**9)), REFUSED),
    'claims 10**5 by 10**5': (_npy_claim((10**5, 10**5)), REFUSED),
    'claims negative sizes': (_npy_claim((-9, -9)), REFUSED),
    'no pixels': (_npy_claim((0, 0)), EITHER),
    'header runs code': (
        lambda: _npy_claim((9, 7))().replace(b"'<i8'", b'exit()'),
        REFUSED,
    ),
    'one axis': (_npy(np.arange(9)), REFUSED),
    'three axes': (_npy(np.zeros((9, 7, 3), int)), REFUSED),
    'fractions': (_npy(np.full((9, 7), 0.5)), REFUSED),
    'NaN': (_npy(np.full((9, 7), np.nan)), READ),
    'texts': (_npy(np.full((9, 7), 'oak')), REFUSED),
    'dates': (_npy(np.zeros((9, 7), 'M8[D]')), REFUSED),
    'complex numbers': (_npy(np.zeros((9, 7), complex)), REFUSED),
    'records': (_npy(np.zeros((9, 7), [('a', int)])), REFUSED),
    'codes beyond 64 bits': (_npy(np.full((9, 7), 2**64 - 1, 'u8')), REFUSED),
}


_FEATURES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    'no features': (
        lambda c: b'{"type": "FeatureCollection", "features": []}',
        REFUSED,
    ),
    'coordinates NaN': (replaced('[13.0, 52.4]', '[NaN, 52.4]', 9), EITHER),
    'coordinates 1e308': (replaced('[13.0, 52.4]', '[1e308, 1e308]', 9), EITHER),
    'coordinates are words': (replaced('[13.0, 52.4]', '["x", "y"]', 9), EITHER),
    'no shape': (lambda c: c.replace(b'"Polygon"', b'"Cookie"'), REFUSED),
    'class is a fraction': (replaced('"crop": 3', '"crop": 3.5'), REFUSED),
    'class beyond 64 bits': (replaced('"crop": 3', f'"crop": {10**30}'), EITHER),
    'class is a list': (replaced('"crop": 3', '"crop": [1]'), EITHER),
    'two columns': (replaced('"crop": 3', '"crop": 3, "b": 1'), REFUSED),
    'lies elsewhere': (lambda c: c.replace(b'52.', b'12.'), REFUSED),
    '100 000 deep': (lambda c: b'[' * 100_000, REFUSED),
}


def label_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    for kind, file in (
        ('label map in NumPy', 'labels.npy'),
        ('label map in GeoTIFF', 'labels.tif'),
    ):
        yield from valid_names(kind, 'labels', file, reading.labels, heavy=True)
        # tags lie at the end of a raster, and GDAL reads it without them
        end = (
            ('cut at nine tenths', 'last byte missing') if file != 'labels.npy' else ()
        )
        yield from changes(kind, 'labels', file, reading.labels, vague=end, heavy=True)
    yield from from_bytes('label map in NumPy', 'evil.npy', reading.labels, _NPYS, True)
    yield from _envi_cases()
    yield from _category_cases()
    kind = 'label map in GeoJSON'
    yield from changes(kind, 'labels', 'labels.geojson', reading.features, heavy=True)
    for name, (change, outcome) in _FEATURES.items():
        build = rewritten('labels.geojson', change)
        yield Case(kind, name, 'labels', build, reading.features, outcome, True)


def _envi_cases() -> Iterator[Case]:
    kind = 'label map in ENVI'
    for name, old, new, outcome in (
        ('colours are words', '255, 0, 0', 'red, 0, 0', EITHER),
        ('colours NaN', '255, 0, 0', 'nan, 0, 0', EITHER),
        ('colours infinite', '255, 0, 0', 'inf, 0, 0', EITHER),
        ('names too few', ', oak, pine, elm', '', READ),
        ('several bands', 'bands = 1', 'bands = 2', REFUSED),
        ('sizes of 10**9', 'samples = 7', 'samples = 1000000000', REFUSED),
    ):
        build = rewritten('classes.hdr', replaced(old, new))
        yield Case(kind, name, 'labels', build, reading.labels, outcome, True)


def _category_cases() -> Iterator[Case]:
    """Change what a raster says about its classes."""
    kind = 'label map in GeoTIFF'
    for name, content in (
        ('categories are no XML', b'<PAMDataset><'),
        (
            'categories are a bomb',
            b'<!DOCTYPE x [<!ENTITY a "b">]><PAMDataset>&a;</PAMDataset>',
        ),
    ):

        def edit(path: Path, content: bytes = content) -> None:
            import rasterio

            with rasterio.open(path, 'r+') as file:
                file.update_tags(1, class_names='')
            path.with_name(f'{path.name}.aux.xml').write_bytes(content)

        yield Case(
            kind,
            name,
            'labels',
            altered('labels.tif', edit),
            reading.labels,
            REFUSED,
            True,
        )
    for name, text, outcome in (
        ('names are no JSON', '{"1": ', REFUSED),
        ('names have words as codes', '{"a": "oak"}', REFUSED),
        ('names are lists', '[[1], [2]]', EITHER),
        ('names 20 000 deep', '[' * 20000, REFUSED),
        ('names of 5000 digits', f'{{"{"9" * 5000}": "a"}}', REFUSED),
    ):

        def tag(path: Path, text: str = text) -> None:
            import rasterio

            with rasterio.open(path, 'r+') as file:
                file.update_tags(1, class_names=text)

        yield Case(
            kind,
            name,
            'labels',
            altered('labels.tif', tag),
            reading.labels,
            outcome,
            True,
        )
