# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the sharpened bands cannot say about the PAN."""

import torch
from torch import Tensor

from ._full_resolution import FullResolutionMetric, Scene, prepare_scene
from ._images import Scores, finish
from .d_lambda import stack_scores

#: Values of a part of a cube; 32 MB in float64.
_VALUES = 2**22


def _solve(gram: Tensor, right: Tensor) -> Tensor:
    """Solve normal equations, by the least coefficients where bands depend.

    Args:
        gram: Products of bands, shape (C, C), float64.
        right: Products of bands and the PAN, shape (C,).

    Returns:
        Coefficients of shape (C,).
    """
    scale = gram.diagonal().sqrt()
    scale = scale.masked_fill(scale == 0, 1)
    values, vectors = torch.linalg.eigh(gram / (scale[:, None] * scale))
    least = len(gram) * torch.finfo(gram.dtype).eps * values[-1]
    inverse = torch.where(values > least, 1 / values, 0)
    weights: Tensor = vectors @ (inverse * (vectors.T @ (right / scale)))
    return weights / scale


def _residual(fused: Tensor, pan: Tensor, count: Tensor) -> Tensor:
    """Return the part of the variance of the PAN that bands leave.

    Args:
        fused: Bands of shape (C, P), 0 where they do not count.
        pan: PAN of shape (P,), 0 where it does not count.
        count: Pixels that count.
    """
    bands = len(fused)
    step = max(1, _VALUES // bands)
    gram = fused.new_zeros(bands, bands, dtype=torch.float64)
    right = gram.new_zeros(bands)
    parts = [slice(i, i + step) for i in range(0, len(pan), step)]
    for part in parts:
        values = fused[:, part].double()
        gram += values @ values.T
        right += values @ pan[part].double()
    if not (gram.isfinite().all() and right.isfinite().all()):
        return gram.new_full((), torch.nan)
    weights = _solve(gram, right)
    # the mean of the whole, so that squares keep their digits
    left = [pan[part].double() - weights @ fused[:, part].double() for part in parts]
    return _spread(torch.cat(left), count) / _spread(pan.double(), count)


def _spread(values: Tensor, count: Tensor) -> Tensor:
    """Return the sum of squares around the mean; values are 0 where they do not count."""
    mean = values.sum() / count
    return (values - mean).square().sum() - (len(values) - count) * mean.square()


def score_d_s_regression(scene: Scene) -> Scores:
    """Score checked images.

    Args:
        scene: The images, with the PAN.

    Returns:
        Scores of shape ``(B,)``.
    """
    values, known = [], []
    for fused, pan, fine in zip(scene.fused, scene.pan, scene.fine, strict=True):
        count = fine.sum()
        values.append(_residual(fused.flatten(1), pan.flatten(), count))
        low = pan.masked_fill(~fine, torch.inf).amin()
        high = pan.masked_fill(~fine, -torch.inf).amax()
        known.append(~(low >= high))
    return stack_scores(values, known, scene)


def d_s_regression(
    fused: Tensor,
    cube: Tensor,
    pan: Tensor,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
) -> Tensor:
    """Compute the spatial distortion by regression, D_S^R.

    The PAN is fitted by a weighted sum of the sharpened bands, without a constant. What
    is left of its variance is the score, 0 to about 1; 0 is best. The normal equations
    are summed in float64, so no copy of the cube is needed; bands that depend on others
    do no harm.

    * Alparone et al. (2018), https://doi.org/10.1109/IGARSS.2018.8518869

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
        pan: PAN of shape ``(B, 1, H, W)`` or ``(1, H, W)``.
        valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``;
            all by default.
        pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or ``(H,
            W)``; all by default.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images whose PAN is the same in all
        valid pixels.

    Raises:
        BandMismatchError: If the shapes do not fit.

    Example:
        >>> import torch
        >>> fused = torch.rand(3, 24, 24)
        >>> pan = fused.mean(0, keepdim=True)
        >>> bool(d_s_regression(fused, torch.rand(3, 4, 4), pan) < 1e-6)
        True
    """
    scene = prepare_scene(fused, cube, pan, valid, pan_valid)
    return finish(score_d_s_regression(scene), cube.ndim)


class DSR(FullResolutionMetric):
    """Spatial distortion by regression, mean over images.

    See :func:`d_s_regression` for its definition.

    Example:
        >>> import torch
        >>> metric = DSR()
        >>> fused = torch.rand(2, 3, 24, 24)
        >>> pan = fused.mean(1, keepdim=True)
        >>> metric.update(fused, torch.rand(2, 3, 4, 4), pan)
        >>> bool(metric.compute() < 1e-6)
        True
    """

    higher_is_better = False
    needs_pan = True

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_d_s_regression(scene)
