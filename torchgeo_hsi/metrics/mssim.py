# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean over bands of the structural similarity."""

import math
import warnings
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .._precision import full_precision
from ..errors import BandMismatchError, NodataWarning
from ._images import (
    Clamp,
    Cubes,
    ImageMetric,
    Scores,
    check_scale,
    finish,
    mean_where,
    prepare,
)

type Window = Literal['uniform', 'gaussian']

#: Bands at a time: five filtered copies of all bands of a scene need not fit in memory.
_BANDS = 32


def _weights(window: str) -> tuple[Tensor, float]:
    """Return the weights of a window along one axis, and the factor of covariances."""
    if window == 'uniform':
        return torch.full((7,), 1 / 7, dtype=torch.float64), 49 / 48
    weights = torch.exp(-torch.arange(-5.0, 6.0, dtype=torch.float64).square() / 4.5)
    return weights / weights.sum(), 1.0


def _check(data_range: float, window: str) -> None:
    if window not in ('uniform', 'gaussian'):
        raise ValueError(
            f"Expected the window 'uniform' or 'gaussian', got {window!r}."
        )
    if not 0 < data_range < math.inf:
        raise ValueError(f'Expected a positive, finite data_range, got {data_range}.')


def _filter(values: Tensor, weights: Tensor) -> Tensor:
    """Filter images of shape (N, H, W), without what a window would not cover."""
    weights = weights.to(values)
    rows = F.conv2d(values[:, None], weights[None, None, :, None])
    return F.conv2d(rows, weights[None, None, None]).squeeze(1)


def _similarity(x: Tensor, y: Tensor, window: str, data_range: float) -> Tensor:
    """Compute the map of similarities of images of shape (N, H, W)."""
    weights, factor = _weights(window)
    mean_x, mean_y = _filter(x, weights), _filter(y, weights)
    square_x, square_y = mean_x.square(), mean_y.square()
    product = mean_x * mean_y
    variance = _filter(x.square() + y.square(), weights) - square_x - square_y
    covariance = _filter(x * y, weights) - product
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    top = (2 * product + c1) * (2 * factor * covariance + c2)
    return top / ((square_x + square_y + c1) * (factor * variance + c2))


def _check_size(cubes: Cubes, window: str) -> None:
    """Refuse images that are smaller than the window.

    Raises:
        BandMismatchError: If they are.
    """
    side = len(_weights(window)[0])
    if min(cubes.target.shape[-2:]) < side:
        raise BandMismatchError(
            f'Expected images of at least {side} x {side} pixels for this window, got '
            f'{tuple(cubes.target.shape)}.'
        )


def _nothing(cubes: Cubes) -> Scores:
    """Return the scores of images that have none."""
    count = len(cubes.target)
    known = torch.zeros(count, dtype=torch.bool, device=cubes.target.device)
    return Scores(cubes.target.new_full((count,), torch.nan), known)


def _score(cubes: Cubes, window: str, data_range: float) -> Scores:
    side = len(_weights(window)[0])
    if not cubes.target.shape[:2].numel():
        return _nothing(cubes)
    check_scale(cubes.target, data_range, f'data_range={data_range:g}')
    gaps = (~cubes.valid).to(cubes.target.dtype)
    whole = F.max_pool2d(gaps, side, stride=1).flatten(1) == 0
    bands = []
    for start in range(0, cubes.target.shape[1], _BANDS):
        part = slice(start, start + _BANDS)
        x, y = cubes.prediction[:, part], cubes.target[:, part]
        maps = _similarity(x.flatten(0, 1), y.flatten(0, 1), window, data_range)
        maps = maps.reshape(*x.shape[:2], -1).masked_fill(~whole[:, None], 0)
        bands.append(maps.sum(-1))
    count = whole.sum(1, keepdim=True)
    return mean_where(
        torch.cat(bands, 1) / count.clamp_min(1),
        (count > 0).expand(-1, cubes.target.shape[1]),
    )


def mssim(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    data_range: float = 1.0,
    window: Window = 'uniform',
    clamp: Clamp = None,
) -> Tensor:
    """Compute the mean over bands of the structural similarity.

    With the default window of 7 x 7 pixels, all equal, it is that of
    :func:`skimage.metrics.structural_similarity` of each band, as in the papers on
    denoising; with ``'gaussian'`` it is that of its original authors, 11 x 11 pixels with
    a standard deviation of 1.5 pixels. torchmetrics has the latter, treats the border in
    another way, and has no mask.

    * https://doi.org/10.1109/TIP.2003.819861

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default. A window counts if all of its pixels do.
        data_range: Distance between the lowest and the highest possible value, as of
            :func:`mpsnr`. Some papers took 2 for data between 0 and 1, by mistake, and
            have higher scores.
        window: ``'uniform'`` or ``'gaussian'``.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images without a valid window.

    Raises:
        BandMismatchError: If the shapes do not fit, or the image is smaller than the
            window.
        ValueError: If an option is out of its range.

    Example:
        >>> import torch
        >>> cube = torch.rand(5, 16, 16)
        >>> mssim(cube, cube)
        tensor(1.)
    """
    _check(data_range, window)
    cubes = prepare(prediction, target, valid, clamp)
    _check_size(cubes, window)
    with full_precision(target.device):
        return finish(_score(cubes, window, data_range), target.ndim)


class MSSIM(ImageMetric):
    """Mean over bands and images of the structural similarity.

    See :func:`mssim` for its definition. Images that are smaller than the window do not
    count.

    Example:
        >>> import torch
        >>> metric = MSSIM()
        >>> cube = torch.rand(2, 5, 16, 16)
        >>> metric.update(cube, cube)
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True

    def __init__(
        self, data_range: float = 1.0, window: Window = 'uniform', clamp: Clamp = None
    ) -> None:
        """Initialize a new MSSIM instance.

        Args:
            data_range: Distance between the lowest and the highest possible value.
            window: ``'uniform'`` or ``'gaussian'``.
            clamp: Lowest and highest value that predictions are clamped to.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__(clamp)
        _check(data_range, window)
        self.data_range = data_range
        self.window = window
        self._has_warned = False

    def score(self, cubes: Cubes) -> Scores:
        """Score each image; those smaller than the window have none."""
        try:
            _check_size(cubes, self.window)
        except BandMismatchError as error:
            # one small image must not end a training
            if not self._has_warned:
                warnings.warn(
                    f'{error} They do not count in MSSIM.', NodataWarning, stacklevel=2
                )
            self._has_warned = True
            return _nothing(cubes)
        return _score(cubes, self.window, self.data_range)
