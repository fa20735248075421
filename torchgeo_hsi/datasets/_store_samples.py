# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples of any dataset as fields and items of a store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .._typing import Sample
from ..errors import BandMismatchError, MetadataError
from ..io.store import FieldSpec, StoreSpec
from ..physics import BandSet
from ._store_parts import PREFIX, Part, sample_parts

#: Tensors of more elements are fields; smaller ones are kept with the item.
_SMALL = 64
#: Samples that are looked at before anything is written.
_PROBES = 5
#: Samples that may fail before it is taken for a fault of the whole dataset.
_TRIES = 100
#: Keys of the spectral axis: long, but the same for many samples.
_AXES = ('wavelength', 'fwhm')
#: Attributes of a source that a store keeps if they are there.
_KEPT = ('classes', 'class_colors', 'ignore_index', 'split_by', 'targets', 'strategy')


def plan_store(dataset: Any, *, shard_mb: float = 64.0) -> StoreSpec:
    """Look at some samples and decide how a store holds them.

    Floating-point images that hold whole numbers of int16 are stored as such, which
    loses nothing.

    Args:
        dataset: Sequence of samples; its attributes, or those of the first of its
            ``datasets``, describe bands and classes.
        shard_mb: Size of a shard in MiB, uncompressed.

    Returns:
        What the store is to hold.

    Raises:
        MetadataError: If samples differ in keys, shapes or data types, or hold what a
            store cannot.
        BandMismatchError: If the number of bands is not that of the images.
        ValueError: If *shard_mb* is not positive.
    """
    if not shard_mb > 0:
        raise ValueError(f'Expected a positive shard_mb, got {shard_mb}.')
    samples = list(_probe(dataset))
    parts = [_part(key, value) for key, value in samples[0].items()]
    for sample in samples:
        _check(parts, sample)
    source = _source(dataset)
    bands = getattr(source, 'bandset', None)
    fields = {}
    for part in parts:
        if part.kind != 'field':
            continue
        dtype = part.dtype
        if dtype == 'float32' and all(_whole(s[part.key]) is not None for s in samples):
            dtype = 'int16'
        axis = _band_axis(part, bands)
        fields[part.key] = FieldSpec(part.shape, dtype, axis)
    if 'image' not in fields:
        raise MetadataError(
            'Expected samples with an image of bands, rows and columns, got '
            f'{", ".join(samples[0])}.'
        )
    size = sum(field.nbytes for field in fields.values())
    return StoreSpec(
        fields,
        len(dataset),
        max(1, min(int(shard_mb * 2**20 / size), len(dataset))),
        {'sample': [asdict(part) for part in parts], **_describe(source, bands)},
    )


def _probe(dataset: Any) -> Iterator[Sample]:
    """Yield some samples, spread over the dataset."""
    count = len(dataset)
    order = [i * count // _PROBES for i in range(_PROBES)] + list(range(count))
    found, problem = 0, None
    for index in list(dict.fromkeys(order))[:_TRIES]:
        try:
            sample = dataset[index]
        # any dataset, any damage: the conversion will say so for each sample
        except Exception as error:  # noqa: BLE001
            problem = error
            continue
        yield sample
        found += 1
        if found == _PROBES:
            return
    if not found:
        raise MetadataError(
            f'None of the first samples can be read: {problem}'
        ) from problem


def _part(key: str, value: Any) -> Part:
    """Decide how an entry is kept."""
    if isinstance(value, str | bool | int | float):
        return Part(key, 'plain')
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix('torch.')
        shape = tuple(value.shape)
        if key in _AXES and len(shape) == 1:
            return Part(key, 'axis', dtype, shape)
        kind = 'field' if value.numel() > _SMALL or len(shape) > 1 else 'item'
        try:
            FieldSpec(shape, dtype)
        except (ValueError, TypeError):
            pass
        else:
            return Part(key, kind, dtype, shape)
        value = f'of {shape} and {dtype}'
    raise MetadataError(
        f'Expected tensors of common types, texts and numbers in samples, got {key!r} '
        f'{value if isinstance(value, str) else type(value).__name__}, which a store '
        'cannot hold. Leave it out by the transforms of the dataset.'
    )


def _check(parts: Sequence[Part], sample: Sample) -> None:
    """Check that a sample is what was planned."""
    found = [_part(key, value) for key, value in sample.items()]
    if sorted(found, key=_key) != sorted(parts, key=_key):
        other = [part for part in found if part not in parts] or [
            part for part in parts if part not in found
        ]
        want = [part for part in parts if part.key == other[0].key]
        raise MetadataError(
            'Expected samples of the same keys, shapes and data types, got '
            f'{_say(found, other[0].key)}, and {_say(want, other[0].key)} before. Crop '
            'or resize by the transforms of the dataset.'
        )


def _key(part: Part) -> str:
    return part.key


def _say(parts: Sequence[Part], key: str) -> str:
    for part in parts:
        if part.key == key:
            return f'{key} {part.shape} {part.dtype}'.strip()
    return f'no {key}'


def _whole(values: Tensor) -> NDArray[np.int16] | None:
    """Return float32 values as int16 if that loses nothing."""
    array = values.numpy()
    # infinity, NaN and what is too large become other numbers
    with np.errstate(invalid='ignore'):
        small = array.astype(np.int16)
    same = bool((small == array).all()) and not bool(
        (np.signbit(array) & (small == 0)).any()
    )
    return small if same else None


def _band_axis(part: Part, bands: BandSet | None) -> int | None:
    if part.key != 'image' or bands is None:
        return None
    if part.shape[0] != len(bands):
        raise BandMismatchError(
            f'Expected images of {len(bands)} bands, got shape {part.shape}. Convert '
            'single dates; pairs are made of them when they are read.'
        )
    return 0


def _source(dataset: Any) -> Any:
    """Return what describes bands and classes."""
    inner = getattr(dataset, 'datasets', None)
    if isinstance(inner, Mapping):
        return next(iter(inner.values()))
    return inner[0] if isinstance(inner, list | tuple) and inner else dataset


def _describe(source: Any, bands: BandSet | None) -> dict[str, Any]:
    """Note bands and classes."""
    found: dict[str, Any] = {}
    if bands is not None:
        found['bands'] = {
            'names': list(bands.names),
            'wavelength': bands.wavelength.tolist(),
            'fwhm': None if bands.fwhm is None else bands.fwhm.tolist(),
            'good': bands.good.tolist(),
        }
    for name in _KEPT:
        value = getattr(source, name, None)
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            found[name] = list(value)
        elif isinstance(value, str | int):
            found[name] = value
    # number that means a reflectance of 1, for figures
    if hasattr(source, '_scale'):
        found['scale'] = source._scale
    return found


def encode_samples(
    spec: StoreSpec, samples: Sequence[Sample | None]
) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any] | None]]:
    """Turn samples into what a store holds.

    Args:
        spec: What :func:`plan_store` decided.
        samples: The samples; None for one that could not be read.

    Returns:
        Array of each field, with the samples along the first axis, and the rest of each
        sample.

    Raises:
        MetadataError: If a sample is not what was planned.
    """
    parts = sample_parts(spec)
    arrays = {
        name: np.zeros((len(samples), *field.shape), field.dtype)
        for name, field in spec.fields.items()
    }
    items: list[dict[str, Any] | None] = []
    for row, sample in enumerate(samples):
        if sample is None:
            items.append(None)
            continue
        _check(parts, sample)
        item: dict[str, Any] = {}
        for part in parts:
            value = sample[part.key]
            if part.kind == 'field':
                arrays[part.key][row] = _exact(part, value, spec.fields[part.key])
            elif part.kind == 'axis':
                # a text, since equal ones are kept once
                item[PREFIX + part.key] = ' '.join(map(str, value.numpy()))
            else:
                plain = value.tolist() if part.kind == 'item' else value
                item[PREFIX + part.key] = plain
        items.append(item)
    return arrays, items


def _exact(part: Part, value: Tensor, field: FieldSpec) -> NDArray[Any]:
    if part.dtype == field.dtype:
        array: NDArray[Any] = value.numpy()
        return array
    small = _whole(value)
    if small is None:
        raise MetadataError(
            f'Expected whole numbers that fit into int16 in {part.key}, as in the first '
            'samples, got others. Scale them by the transforms of the dataset so that '
            'all samples have fractions, or none.'
        )
    return small


def describe_items(dataset: Any, indexes: Sequence[int]) -> list[dict[str, Any]]:
    """Name samples, and say which show the same place and come from one scene.

    Args:
        dataset: The dataset.
        indexes: Indexes of its samples.

    Returns:
        ``name``, ``group`` and ``scene`` of each sample, as far as they are known.
    """
    files, scenes = getattr(dataset, 'files', None), getattr(dataset, 'scenes', None)
    found: list[dict[str, Any]] = [{} for _ in indexes]
    for entry, index in zip(found, indexes, strict=True):
        if callable(files):
            # of SpectralEarth, which lists half a million files by location
            location, _, file = str(files(index)[0]).replace('\\', '/').rpartition('/')
            group = location.rpartition('/')[2]
            entry |= {'name': f'{group}/{file}', 'group': group}
        elif isinstance(files, list | tuple) and len(files) == len(dataset):
            name = files[index]
            if isinstance(name, Mapping):
                name = next(iter(name.values()), '')
            entry['name'] = str(name)
        if isinstance(scenes, list | tuple) and len(scenes) == len(dataset):
            entry['scene'] = str(scenes[index])
    return found
