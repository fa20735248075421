# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the tiles of a scene lie, and with which weights they are blended."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Weight of the margin that delta cuts off. It counts only where no other tile reaches:
# beside the weight of any other pixel it vanishes, also squared in a corner.
_MARGIN = 1e-60

type Blend = tuple[int | None, int, Literal['cosine', 'linear']]


def check_blend(
    overlap: int | None, delta: int, method: Literal['cosine', 'linear']
) -> Blend:
    """Check the options of the blending, as far as the tiles are not known.

    Args:
        overlap: Length of the ramps in pixels, or None.
        delta: Margin of the tiles that is cut off.
        method: Form of the ramps.

    Returns:
        The three, in this order.

    Raises:
        ValueError: If a number is negative or the form unknown.
    """
    if min(overlap or 0, delta) < 0 or method not in ('cosine', 'linear'):
        raise ValueError(
            'Expected overlap and delta of at least 0 and a blend_method of '
            f"'cosine' or 'linear', got {overlap}, {delta} and {method!r}."
        )
    return overlap, delta, method


def blend_weights(
    size: int,
    overlap: int | None,
    delta: int,
    method: Literal['cosine', 'linear'],
    ramps: tuple[bool, bool] = (True, True),
) -> NDArray[np.float64]:
    """Weights of a tile along one axis, larger than 0 everywhere.

    Args:
        size: Length of the tile.
        overlap: Length of each ramp; half of the tile that *delta* leaves by default.
        delta: Pixels at each end that count only where no other tile reaches.
        method: Form of the ramps: raised cosine (Hann) or linear.
        ramps: Whether there is a ramp and a margin at the start and at the end.

    Returns:
        Weights of shape ``(size,)``.

    Raises:
        ValueError: If the ramps and margins are longer than the tile.
    """
    inner = size - 2 * delta
    if inner < 1 or 2 * (overlap or 0) > inner:
        raise ValueError(
            f'Expected 2 * delta + 2 * overlap of at most {size}, the size of the '
            f'tiles, got delta={delta}, overlap={overlap}. Use smaller ones.'
        )
    length = inner // 2 if overlap is None else overlap
    step = np.arange(1, length + 1) / (length + 1)
    ramp = step if method == 'linear' else (1 - np.cos(np.pi * step)) / 2
    ramp = np.concatenate([np.full(delta, _MARGIN), ramp])
    weights = np.ones(size)
    if ramps[0]:
        weights[: len(ramp)] = ramp
    if ramps[1]:
        weights[size - len(ramp) :] = ramp[::-1]
    return weights


class Span(NamedTuple):
    """Rows or columns of a tile.

    Args:
        start: The first one.
        stop: The one behind the last.
        new: The first one that no tile before has.
    """

    start: int
    stop: int
    new: int


def tile_spans(size: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Lay tiles along one axis, all about as long and evenly spread.

    Args:
        size: Length of the axis.
        tile: Largest length of a tile.
        overlap: Pixels that two neighbors share at least.
        multiple: Every tile starts at a multiple of this, as the pixels of a network
            with strides do.

    Returns:
        The tiles, which cover the axis.

    Raises:
        ValueError: If *tile* or *overlap* is no multiple of *multiple*, or less than
            half of a tile is its own.
    """
    if min(tile, multiple) < 1 or not 0 <= 2 * overlap <= tile:
        raise ValueError(
            'Expected a tile of at least 1 and an overlap from 0 to half of it, got '
            f'{tile} and {overlap}.'
        )
    if tile % multiple or overlap % multiple:
        raise ValueError(
            f'Expected a tile and an overlap that are multiples of {multiple}, got '
            f'{tile} and {overlap}.'
        )
    if size <= tile:
        return [Span(0, size, 0)]
    count = -(-(size - overlap) // (tile - overlap))
    length = -(-(size + (count - 1) * overlap) // (count * multiple)) * multiple
    spans: list[Span] = []
    for i in range(count):
        start = -(-i * (size - length) // ((count - 1) * multiple)) * multiple
        stop = min(start + length, size)
        spans.append(Span(start, stop, spans[-1].stop if spans else 0))
    return spans


def tile_weights(
    spans: list[Span], overlap: int, margin: int = 0
) -> list[NDArray[np.float32]]:
    """Weights with which tiles fade into each other; they sum up to 1 everywhere.

    Args:
        spans: The tiles along one axis.
        overlap: Pixels that two neighbors share at least.
        margin: Pixels at each end of a tile that count only where no other tile is; at
            most half of the overlap.

    Returns:
        Weights of each tile, shape ``(stop - start,)``.
    """
    size = spans[-1].stop
    if len(spans) == 1:
        return [np.ones(size, np.float32)]
    total = np.zeros(size)
    weights = []
    for i, span in enumerate(spans):
        ramps = (i > 0, i < len(spans) - 1)
        length = span.stop - span.start
        ramp = min(overlap - 2 * margin, (length - 2 * margin) // 2)
        own = blend_weights(length, ramp, margin, 'cosine', ramps)
        total[span.start : span.stop] += own
        weights.append(own)
    return [
        (own / total[span.start : span.stop]).astype(np.float32)
        for span, own in zip(spans, weights, strict=True)
    ]
