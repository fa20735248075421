# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a store holds, as samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._typing import Sample
from ..errors import MetadataError
from ..io.store import StoreSpec
from ..physics import BandSet

#: Before the keys of entries that are kept with an item, which has other keys, too.
PREFIX = 'sample.'


@dataclass(frozen=True)
class Part:
    """Where an entry of a sample is kept in a store.

    Args:
        key: Its key in the sample.
        kind: ``'field'`` for an array of its own, ``'axis'`` for wavelengths and widths,
            ``'item'`` for small tensors, ``'plain'`` for texts and numbers.
        dtype: Data type of the tensor, empty for what is none.
        shape: Its shape.
    """

    key: str
    kind: str
    dtype: str = ''
    shape: tuple[int, ...] = ()


def sample_parts(spec: StoreSpec) -> list[Part]:
    """Return where the entries of samples are kept.

    Args:
        spec: What the store holds.

    Returns:
        The parts, in the order of the keys of a sample.

    Raises:
        MetadataError: If the store does not hold samples.
    """
    if 'sample' not in spec.attributes:
        raise MetadataError(
            'Expected a store of samples, as torchgeo-hsi convert writes for a dataset '
            f'of patches, got one of {", ".join(spec.fields)} without a description.'
        )
    return [
        Part(part['key'], part['kind'], part['dtype'], tuple(part['shape']))
        for part in spec.attributes['sample']
    ]


def stored_bands(spec: StoreSpec) -> BandSet | None:
    """Return the bands of a store.

    Args:
        spec: What the store holds.

    Returns:
        The bands, or None if the source did not tell.
    """
    found = spec.attributes.get('bands')
    if found is None:
        return None
    width = found['fwhm']
    return BandSet(
        np.array(found['wavelength']),
        None if width is None else np.array(width),
        tuple(found['names']),
        np.array(found['good']),
    )


def decode_samples(
    parts: Sequence[Part],
    arrays: Mapping[str, NDArray[Any]],
    items: Sequence[Mapping[str, Any]],
    bands: Sequence[int] | None = None,
    as_stored: bool = False,
) -> list[Sample]:
    """Turn what a store holds into samples.

    Args:
        parts: Where the entries of samples are kept.
        arrays: Array of each field, with the samples along the first axis, for which
            *bands* are selected already.
        items: The rest of each sample.
        bands: Bands that were read; all by default.
        as_stored: Whether integers that stand for floating-point numbers stay.

    Returns:
        The samples; images share one block of memory.
    """
    fields: dict[str, Tensor] = {}
    for part in parts:
        if part.kind == 'field':
            values = torch.from_numpy(arrays[part.key])
            stays = as_stored and values.dtype == torch.int16
            # an image is float32 unless asked otherwise, whatever the source gave
            want = 'float32' if part.key == 'image' else part.dtype
            dtype = getattr(torch, want)
            fields[part.key] = values if stays else values.to(dtype)
    samples = []
    for row, item in enumerate(items):
        sample: Sample = {}
        for part in parts:
            if part.kind == 'field':
                sample[part.key] = fields[part.key][row]
                continue
            value = item[PREFIX + part.key]
            if part.kind == 'axis':
                axis = _axis(value, part.dtype)
                value = axis.clone() if bands is None else axis[list(bands)]
            elif part.kind == 'item':
                value = torch.tensor(value, dtype=getattr(torch, part.dtype))
            sample[part.key] = value
        samples.append(sample)
    return samples


@lru_cache(maxsize=1024)
def _axis(text: str, dtype: str) -> Tensor:
    return torch.from_numpy(np.array(text.split(), dtype))
