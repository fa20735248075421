# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shifts between a cube and a panchromatic image, and how to undo them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import BandMismatchError, EmptyDataError
from .resampling import mtf_filter
from .resampling.interpolate import cubic

#: Kernel with which an image is moved by parts of a pixel.
type MoveMethod = Literal['cubic', 'sinc']

#: Samples on each side of the windowed sinc, and the shape of its window.
_SINC_REACH, _SINC_BETA = 16, 6.0

#: Share of the blur's weight that has to lie on valid pixels.
_COVER = 0.98

#: Most principal components that stand for a cube, and pixels that each needs.
_COMPONENTS, _PIXELS_EACH = 6, 20

#: Shifts at which the second search looks around the best whole one, in pixels.
_FINE_STEPS = (-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Registration:
    """Where a panchromatic image (PAN) lies, seen from a cube.

    Args:
        rows: How many pixels of the PAN its content lies too far down.
        cols: How many pixels of the PAN its content lies too far right.
        score: Correlation of the PAN, as the cube's sensor would see it with this shift
            undone, and the combination of bands that comes closest to it; 0 to 1.
        pixels: Coarse pixels that this follows from.

    Example:
        >>> found = Registration(rows=1.5, cols=-0.25, score=0.99, pixels=900)
        >>> pan = torch.rand(1, 48, 48)
        >>> move_image(pan, -found.rows, -found.cols).shape
        torch.Size([1, 48, 48])
    """

    rows: float
    cols: float
    score: float
    pixels: int


def estimate_shift(
    cube: Tensor,
    pan: Tensor,
    *,
    gain: float = 0.3,
    weights: Tensor | None = None,
    search: int | None = None,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
) -> Registration:
    """Find how far a panchromatic image (PAN) is shifted against a cube.

    The PAN is blurred and decimated as the cube's sensor does, with each shift of whole
    pixels in a range, and then with quarters of pixels around the best. For each, it is
    regressed on the cube; the shift with the best fit is refined by a parabola. So
    neither sign nor size of the values matters, nor which bands the PAN sees.

    Args:
        cube: Cube of shape ``(C, h, w)``, or tiles of one scene, ``(B, C, h, w)``, which
            all have the same shift.
        pan: PAN of shape ``(1, H, W)`` or ``(B, 1, H, W)``, a whole number of times as
            large.
        gain: Gain of the cube's sensor at its Nyquist frequency.
        weights: Share of each band in the PAN, shape ``(C,)``, if it is known; by
            default, the PAN is regressed on the first principal components of the cube.
        search: Largest shift, in pixels of the PAN; 1.5 pixels of the cube by default.
        valid: True for pixels of the cube with data, shape ``(h, w)`` or ``(B, h, w)``.
        pan_valid: The same for the PAN, shape ``(H, W)`` or ``(B, H, W)``.

    Returns:
        The shift. ``move_image(pan, -rows, -cols)`` undoes it.

    Raises:
        BandMismatchError: If the shapes do not fit.
        EmptyDataError: If too few pixels are valid, or an image is constant.
        ValueError: If the best shift lies at the end of the range, so that it is not to
            be trusted; or *search* is negative.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> scene = torch.rand(1, 126, 126, generator=generator)
        >>> cube = mtf_filter(scene, 0.3, 6)[:, 3::6, 3::6]
        >>> found = estimate_shift(cube, move_image(scene, 2, -1))
        >>> round(found.rows, 1), round(found.cols, 1)
        (2.0, -1.0)
    """
    images = _Images.check(cube, pan, valid, pan_valid)
    ratio = images.ratio
    search = -(-3 * ratio // 2) if search is None else search
    if search < 0:
        raise ValueError(f'Expected a search of 0 or more pixels, got {search}.')
    components = _components(images, weights)
    blurred, cover = _blur(images, gain)
    whole = torch.arange(-search, search + 1)

    def scores(rows: Tensor, cols: Tensor, part: tuple[float, float]) -> Tensor:
        fine, known = blurred, cover
        if part != (0.0, 0.0):
            fine = move_image(blurred, -part[0], -part[1], method='sinc')
            known = move_image(cover, -part[0], -part[1])
        return _scores(components, images.valid, fine, known, rows, cols, ratio)

    table, counts = scores(whole, whole, (0.0, 0.0)).unbind(-1)
    best = int(table.argmax())
    place = best // len(whole), best % len(whole)
    _check_peak(table, counts, place, search, components.shape[1])
    if search == 0:
        row, col, top = 0.0, 0.0, float(table.max())
    else:
        row, col, top = _refine(scores, [int(whole[k]) for k in place])
    return Registration(row, col, max(top, 0.0) ** 0.5, int(counts[place]))
