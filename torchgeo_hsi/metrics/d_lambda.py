# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Change of the similarities between bands by sharpening."""

import torch
from torch import Tensor

from ..physics.local_windows import window_sums
from ._blocks import blocks_of, check_block
from ._full_resolution import FullResolutionMetric, Scene, prepare_scene
from ._images import Scores, finish
from .quality_index import Windows, block_sums, centered, enough, index_of, windows_of

#: Values of a strip of a cube; 64 MB in float64.
_VALUES = 2**23


def _pick(sums: Windows, *index: object) -> Windows:
    return Windows(*(x[index] for x in sums))  # type: ignore[index]


def _block_pairs(image: Tensor, valid: Tensor, window: int) -> Tensor:
    """Return the index of each pair of bands in blocks, shape (C, C)."""
    bands = len(image)
    total = image.new_zeros(bands, bands, dtype=torch.float64)
    number = torch.zeros((), dtype=torch.int64, device=image.device)
    for part in blocks_of((image,), valid, window, each=bands**2):
        count = part.valid.sum(-1, keepdim=True).double()
        known = 2 * count >= window**2
        sums, values = block_sums(part.images[0], part.valid)
        products = count * (values @ values.mT)
        rows, columns = _pick(sums, ..., None), _pick(sums, slice(None), None)
        index = index_of(rows, columns, products)
        total = total + index.masked_fill(~known, 0).sum(0)
        number = number + known.sum()
    return total / number


def _window_pairs(image: Tensor, valid: Tensor, window: int) -> Tensor:
    """Return the index of each pair of bands in sliding windows, upper triangle."""
    bands, height, width = image.shape
    total = image.new_zeros(bands, bands, dtype=torch.float64)
    number = torch.zeros((), dtype=torch.int64, device=image.device)
    values, mean = centered(image, valid)
    rows = max(window, _VALUES // (bands * width))
    for start in range(0, height - window + 1, rows):
        strip = slice(start, start + rows + window - 1)
        part = values[:, strip]
        count = window_sums(valid[:, strip].double(), window)
        known = 2 * count >= window**2
        number = number + known.sum()
        sums = windows_of(part, mean, count, window)
        for band in range(bands - 1):
            left, right = (
                _pick(sums, slice(band, band + 1)),
                _pick(sums, slice(band + 1, None)),
            )
            products = count * window_sums(part[band] * part[band + 1 :], window)
            index = index_of(left, right, products - left.shifted * right.shifted)
            total[band, band + 1 :] += index.masked_fill(~known, 0).sum((-2, -1))
    return total / number


def pair_quality(image: Tensor, valid: Tensor, window: int, sliding: bool) -> Tensor:
    """Compute the quality index of each pair of bands.

    Args:
        image: Bands of shape ``(C, H, W)``, 0 where they are not valid.
        valid: Pixels that count, shape ``(1, H, W)``.
        window: Pixels along a side of a window, or of a smaller image.
        sliding: Whether windows overlap.

    Returns:
        Indices of all pairs of different bands, shape ``(C (C - 1) / 2,)``, float64.
    """
    window = min(window, *valid.shape[-2:])
    pairs = (_window_pairs if sliding else _block_pairs)(image, valid, window)
    first, second = torch.triu_indices(len(image), len(image), 1, device=image.device)
    return pairs[first, second]


def score_d_lambda(scene: Scene, window: int, sliding: bool) -> Scores:
    """Score checked images.

    Args:
        scene: The images.
        window: Pixels along a side of a window of the sharpened cube.
        sliding: Whether windows overlap.

    Returns:
        Scores of shape ``(B,)``.
    """
    coarse = max(2, window // scene.ratio)
    values, known = [], []
    for fused, cube, valid, fine in zip(
        scene.fused, scene.cube, scene.valid, scene.fine, strict=True
    ):
        if len(cube) > 1:
            after = pair_quality(fused, fine, window, sliding)
            change = after - pair_quality(cube, valid, coarse, sliding)
            values.append(change.abs().mean())
        else:
            # a single band has no pairs that could change
            values.append(torch.zeros((), dtype=torch.float64, device=cube.device))
        both = enough(fine, window, sliding) & enough(valid, coarse, sliding)
        known.append(both)
    return stack_scores(values, known, scene)


def stack_scores(values: list[Tensor], known: list[Tensor], scene: Scene) -> Scores:
    """Put the scores of images together.

    Args:
        values: Score of each image.
        known: Whether there was something to score.
        scene: The images.

    Returns:
        Scores of shape ``(B,)``.
    """
    if not values:
        return Scores(scene.cube.new_zeros(0), scene.valid.new_zeros(0))
    return Scores(torch.stack(values).to(scene.cube.dtype), torch.stack(known))


def d_lambda(
    fused: Tensor,
    cube: Tensor,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
    window: int = 32,
    sliding: bool = False,
) -> Tensor:
    """Compute the spectral distortion of QNR, D_lambda.

    Mean over all pairs of bands of the absolute difference between the quality index
    (:func:`quality_index`) of the two sharpened bands and that of the two bands of the
    cube. 0 is best. The windows of the cube cover the same ground: ``window // ratio``
    pixels.

    * Alparone et al. (2008), https://doi.org/10.14358/PERS.74.2.193

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
        valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``;
            all by default.
        pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or ``(H,
            W)``; all by default.
        window: Pixels along a side of a window of the sharpened cube.
        sliding: Whether to take the window around every pixel. Blocks that do not
            overlap are hundreds of times faster: a product of matrices has all pairs.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images without a window of which half
        is valid. 0 for a single band.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the window has fewer than 2 pixels along a side.

    Example:
        >>> import torch
        >>> cube = torch.rand(3, 20, 20)
        >>> fused = cube.repeat_interleave(4, 1).repeat_interleave(4, 2)
        >>> bool(d_lambda(fused, cube) < 0.1)
        True
    """
    check_block(window, 'window')
    scene = prepare_scene(fused, cube, None, valid, pan_valid)
    return finish(score_d_lambda(scene, window, sliding), cube.ndim)


class DLambda(FullResolutionMetric):
    """Spectral distortion of QNR, mean over images.

    See :func:`d_lambda` for its definition.

    Example:
        >>> import torch
        >>> metric = DLambda()
        >>> metric.update(torch.rand(1, 3, 80, 80), torch.rand(1, 3, 20, 20))
        >>> bool(metric.compute() < 0.1)
        True
    """

    higher_is_better = False

    def __init__(self, window: int = 32, sliding: bool = False) -> None:
        """Initialize a new DLambda instance.

        Args:
            window: Pixels along a side of a window of the sharpened cube.
            sliding: Whether to take the window around every pixel.

        Raises:
            ValueError: If the window has fewer than 2 pixels along a side.
        """
        super().__init__()
        check_block(window, 'window')
        self.window = window
        self.sliding = sliding

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_d_lambda(scene, self.window, self.sliding)
