# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shifts between a cube and a panchromatic image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import BandMismatchError, EmptyDataError
from .gaps import known_pixels
from .resampling import mtf_filter, mtf_kernel
from .shifting import move_image, sample_axis

__all__ = ('Registration', 'estimate_shift', 'move_image')

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
    steps = torch.arange(-search, search + 1)
    table, counts = _whole_scores(components, images, blurred, cover, steps)
    place = divmod(int(table.argmax()), len(steps))
    _check_peak(table, place, int(counts[place]))
    peak = [int(steps[number]) for number in place]
    # the same pixels for all shifts by less than a pixel
    cover = -F.max_pool2d(-cover, 3, 1, 1)
    table = _fine_scores(components, images, blurred, cover, peak)
    row, col, top = _vertex(table)
    score = min(max(top, 0.0), 1.0) ** 0.5
    return Registration(peak[0] + row, peak[1] + col, score, int(counts[place]))


@dataclass(frozen=True)
class _Images:
    """A cube and a PAN without gaps, centered, in double precision.

    Args:
        cube: Cubes of shape ``(B, C, h, w)``.
        pan: PANs of shape ``(B, 1, H, W)``.
        valid: True for pixels of the cube with data, shape ``(B, h, w)``.
        pan_valid: The same for the PAN, shape ``(B, H, W)``.
        ratio: Ratio of pixel sizes.
    """

    cube: Tensor
    pan: Tensor
    valid: Tensor
    pan_valid: Tensor
    ratio: int

    @classmethod
    def check(
        cls, cube: Tensor, pan: Tensor, valid: Tensor | None, pan_valid: Tensor | None
    ) -> '_Images':
        """Check shapes, and put means where there are no data."""
        shapes = f'{tuple(cube.shape)} and {tuple(pan.shape)}'
        if cube.ndim == 3 and pan.ndim == 3:
            cube, pan = cube[None], pan[None]
            valid = None if valid is None else valid[None]
            pan_valid = None if pan_valid is None else pan_valid[None]
        fits = cube.ndim == 4 and pan.ndim == 4 and pan.shape[1] == 1
        ratio = pan.shape[-2] // max(cube.shape[-2], 1)
        sizes = tuple(ratio * length for length in cube.shape[-2:])
        if not fits or len(cube) != len(pan) or ratio < 2 or pan.shape[-2:] != sizes:
            raise BandMismatchError(
                'Expected a cube of shape (C, h, w) and a PAN of shape (1, ratio * h, '
                f'ratio * w) with a whole ratio from 2 on, or a batch of them, got '
                f'{shapes}.'
            )
        images = []
        for image, mask in ((cube, valid), (pan, pan_valid)):
            known = known_pixels(image, mask, 'a mask')
            images.append((*_center(image.detach().double(), known), known))
        (cube, bands, known), (pan, light, pan_known) = images
        _check_varies(bands, 'cube')
        _check_varies(light, 'PAN')
        return cls(cube, pan, known, pan_known, ratio)


def _center(image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract means; return the image, and how much each band varies for its size."""
    mask = known[:, None]
    count = known.sum().clamp_min(1)
    filled = image.masked_fill(~mask, 0)
    mean = filled.sum((0, 2, 3)) / count
    centered = (filled - mean[:, None, None]).masked_fill(~mask, 0)
    spread = (centered.square().sum((0, 2, 3)) / count).sqrt()
    return centered, spread / mean.abs().clamp_min(1e-30)


def _check_varies(spread: Tensor, name: str) -> None:
    if not bool((spread > 1e-9).any()):
        raise EmptyDataError(
            f'The {name} has the same value in all valid pixels, or there are none, so '
            'no shift can be seen. Take a part of the scene with some structure.'
        )


def _components(images: _Images, weights: Tensor | None) -> Tensor:
    """Return what stands for the cube, shape ``(B, K, h, w)``."""
    cube = images.cube
    if weights is not None:
        if weights.shape != (cube.shape[1],):
            raise BandMismatchError(
                f'Expected one weight for each of {cube.shape[1]} bands, got '
                f'{tuple(weights.shape)}.'
            )
        found = torch.einsum('bchw,c->bhw', cube, weights.to(cube))[:, None]
        _check_varies(found.flatten().std()[None] / cube.abs().max(), 'sum of bands')
        return found
    flat = cube.transpose(0, 1).flatten(1)
    number = int(images.valid.sum())
    count = max(1, min(_COMPONENTS, cube.shape[1], number // _PIXELS_EACH))
    values, axes = torch.linalg.eigh(flat @ flat.mT / number)
    usable = (values[-count:] > 1e-12 * values[-1]).to(values)
    scale = usable / values[-count:].clamp_min(1e-30).sqrt()
    return torch.einsum('bchw,ck->bkhw', cube, axes[:, -count:] * scale)


def _blur(images: _Images, gain: float) -> tuple[Tensor, Tensor]:
    """Blur the PAN like the cube, of what there is; and how much there is, 0 to 1."""
    size = 41
    mask = images.pan_valid[:, None].to(images.pan)
    both = F.pad(torch.cat([images.pan, mask], 1), (size // 2,) * 4)
    filtered = mtf_filter(both, gain, images.ratio, size, padding='valid')
    blurred, cover = filtered[:, :1], filtered[:, 1:]
    total = float(mtf_kernel(gain, images.ratio, size).sum())
    cover = (cover / total).clamp(0, 1)
    return blurred / cover.clamp_min(0.1) / total, cover


def _whole_scores(
    components: Tensor, images: _Images, blurred: Tensor, cover: Tensor, steps: Tensor
) -> tuple[Tensor, Tensor]:
    """Score shifts by whole pixels.

    Returns:
        Scores and numbers of coarse pixels, shape ``(S, S)`` each, rows first.
    """
    reach = int(steps.max())
    margin = (reach,) * 4
    blurred, cover = F.pad(blurred, margin), F.pad(cover, margin)
    ratio, (height, width) = images.ratio, images.cube.shape[-2:]
    rows = torch.arange(height) * ratio + ratio // 2 + reach
    cols = torch.arange(width) * ratio + ratio // 2 + reach
    places = (cols + steps[:, None]).to(blurred.device)
    table, counts = [], []
    for step in steps.tolist():
        lines = (rows + step).to(blurred.device)
        fine = blurred[:, 0, lines][..., places].permute(2, 0, 1, 3)
        known = cover[:, 0, lines][..., places].permute(2, 0, 1, 3) > _COVER
        scores, count = _regress(components, fine, known & images.valid)
        table.append(scores)
        counts.append(count)
    return torch.stack(table), torch.stack(counts)


def _fine_scores(
    components: Tensor,
    images: _Images,
    blurred: Tensor,
    cover: Tensor,
    peak: Sequence[int],
) -> Tensor:
    """Score shifts by parts of a pixel around whole ones, shape ``(S, S)``."""
    ratio, (height, width) = images.ratio, images.cube.shape[-2:]
    rows, cols = (
        torch.arange(length, dtype=torch.float64) * ratio + ratio // 2 + start
        for length, start in zip((height, width), peak, strict=True)
    )
    inside = [
        (line >= 0) & (line < length)
        for line, length in zip((rows, cols), cover.shape[-2:], strict=True)
    ]
    places = [
        line.long().clamp(0, length - 1).to(cover.device)
        for line, length in zip((rows, cols), cover.shape[-2:], strict=True)
    ]
    known = cover[:, 0, places[0][:, None], places[1]] > _COVER
    known &= (inside[0][:, None] & inside[1]).to(known.device) & images.valid
    table = []
    for step in _FINE_STEPS:
        lines = sample_axis(blurred, rows + step, -2, 'sinc')
        fine = [
            sample_axis(lines, cols + other, -1, 'sinc')[:, 0] for other in _FINE_STEPS
        ]
        stack = torch.stack(fine)
        table.append(_regress(components, stack, known.expand_as(stack))[0])
    return torch.stack(table)


def _regress(components: Tensor, fine: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Regress images on the cube.

    Args:
        components: What stands for the cube, shape ``(B, K, h, w)``.
        fine: Images of shape ``(S, B, h, w)``.
        known: True for pixels that count, same shape.

    Returns:
        Squared multiple correlations, shape ``(S,)``, 0 where too few pixels count or
        nothing varies; and how many count.
    """
    cube = components.transpose(0, 1).flatten(1)
    cube = torch.cat([torch.ones_like(cube[:1]), cube])
    size = len(cube)
    mask = known.flatten(1).to(cube)
    image = fine.flatten(1) * mask
    count = mask.sum(1)
    total = count.clamp_min(1)
    products = (cube[:, None] * cube).flatten(0, 1)
    matrix = (mask @ products.mT).reshape(-1, size, size) / total[:, None, None]
    right = image @ cube.mT / total[:, None]
    power = (image * image).sum(1) / total
    # without means
    mean = matrix[:, 0, 1:]
    matrix = matrix[:, 1:, 1:] - mean[:, :, None] * mean[:, None]
    spread = power - right[:, 0].square()
    right = right[:, 1:] - mean * right[:, :1]
    solved = torch.linalg.pinv(matrix, rtol=1e-10, hermitian=True) @ right[..., None]
    explained = (right * solved.squeeze(-1)).sum(1)
    usable = (count >= 4 * size) & (spread > 1e-12 * power.max())
    return torch.where(usable, explained / spread.clamp_min(1e-300), 0), count


def _check_peak(table: Tensor, place: tuple[int, int], count: int) -> None:
    """Check that a shift has been found."""
    if not float(table.max()) > 0:
        raise EmptyDataError(
            'Too few pixels of the cube and the PAN are valid and vary together, '
            f'{count} at the best shift, so no shift can be seen. Take a larger part of '
            'the scene.'
        )
    search = len(table) // 2
    if search and any(number in (0, 2 * search) for number in place):
        raise ValueError(
            f'The best shift lies at the end of the range, {place[0] - search} rows and '
            f'{place[1] - search} columns with {float(table.max()) ** 0.5:.3f} as '
            'correlation, so the true one may lie beyond. Pass a larger search; or the '
            'images do not show the same.'
        )


def _vertex(table: Tensor) -> tuple[float, float, float]:
    """Find the maximum of scores at :data:`_FINE_STEPS`.

    Returns:
        Row and column in pixels, and the score there.
    """
    step = _FINE_STEPS[1] - _FINE_STEPS[0]
    row, col = divmod(int(table.argmax()), len(_FINE_STEPS))
    row, col = (min(max(n, 1), len(_FINE_STEPS) - 2) for n in (row, col))
    near = table[row - 1 : row + 2, col - 1 : col + 2]
    axis = torch.tensor([-1.0, 0.0, 1.0]).to(near)
    y, x = axis[:, None].expand(3, 3).flatten(), axis.expand(3, 3).flatten()
    terms = torch.stack([torch.ones_like(x), y, x, y * y, x * y, x * x], 1)
    base, down, right, yy, xy, xx = (
        torch.linalg.lstsq(terms, near.flatten()[:, None]).solution[:, 0].tolist()
    )
    det = 4 * yy * xx - xy * xy
    if det <= 0 or yy >= 0:
        return _FINE_STEPS[row], _FINE_STEPS[col], float(near[1, 1])
    y0 = min(max((xy * right - 2 * xx * down) / det, -1.0), 1.0)
    x0 = min(max((xy * down - 2 * yy * right) / det, -1.0), 1.0)
    top = base + (down * y0 + right * x0) / 2
    return _FINE_STEPS[row] + step * y0, _FINE_STEPS[col] + step * x0, top
