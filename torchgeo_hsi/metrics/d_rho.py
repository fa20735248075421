# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Lack of local correlation with the PAN."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..physics.local_windows import local_correlation
from ._full_resolution import FullResolutionMetric, Scene, prepare_scene
from ._images import Scores, finish
from .d_lambda import stack_scores

#: Values of bands that are looked at together; 16 MB in float64.
_VALUES = 2**21


def _check(half_width: float | None) -> None:
    if half_width is not None and not half_width > 0:
        raise ValueError(f'Expected a positive half_width, got {half_width}.')


def clear_windows(valid: Tensor, half: int) -> Tensor:
    """Tell which pixels have a local correlation that no invalid pixel takes part in.

    Args:
        valid: Pixels that count, shape ``(1, H, W)``.
        half: Half the width of the window.

    Returns:
        True for those pixels, same shape. What lies beyond the border does no harm.
    """
    # a window of pixels, each less the mean of its own window
    reach = (2 * half - 2, 2 * half)
    gaps = F.pad((~valid).float(), reach + reach)
    return F.max_pool2d(gaps[None], 4 * half - 1, stride=1)[0] == 0


def score_d_rho(scene: Scene, half_width: float | None) -> Scores:
    """Score checked images.

    Args:
        scene: The images, with the PAN.
        half_width: Half the width of the window; half of the ratio if None.

    Returns:
        Scores of shape ``(B,)``.
    """
    half = math.ceil(half_width or scene.ratio // 2)
    step = max(1, _VALUES // scene.pan[0:1].numel()) if len(scene.pan) else 1
    values, known = [], []
    for fused, pan, fine in zip(scene.fused, scene.pan, scene.fine, strict=True):
        clear = clear_windows(fine, half)
        # band by band the same windows: their squares need the digits of float64
        total = sum(
            (1 - local_correlation(part.double(), pan.double(), half).clamp(-1, 1))
            .masked_fill(~clear, 0)
            .sum()
            for part in fused.split(step)
        )
        values.append(torch.as_tensor(total) / (clear.sum() * len(fused)))
        known.append(clear.any())
    return stack_scores(values, known, scene)


def d_rho(
    fused: Tensor,
    cube: Tensor,
    pan: Tensor,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
    half_width: float | None = None,
) -> Tensor:
    """Compute the spatial distortion by local correlation, D_rho.

    Mean over pixels and bands of one less the correlation of the sharpened band and the
    PAN around the pixel (:func:`torchgeo_hsi.physics.local_correlation`). 0 is best, 2
    worst.

    * Scarpa and Ciotola (2022), https://doi.org/10.3390/rs14081808

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
        pan: PAN of shape ``(B, 1, H, W)`` or ``(1, H, W)``.
        valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``;
            all by default.
        pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or ``(H,
            W)``; all by default.
        half_width: Half the width of the window in sharpened pixels; half of the ratio,
            rounded down, by default.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images without a pixel whose
        surroundings are valid.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the width is not positive.

    Example:
        >>> import torch
        >>> pan = torch.rand(1, 24, 24)
        >>> bool(d_rho(2 * pan.expand(3, 24, 24), torch.rand(3, 4, 4), pan) < 1e-4)
        True
    """
    _check(half_width)
    scene = prepare_scene(fused, cube, pan, valid, pan_valid)
    return finish(score_d_rho(scene, half_width), cube.ndim)


class DRho(FullResolutionMetric):
    """Spatial distortion by local correlation, mean over images.

    See :func:`d_rho` for its definition.

    Example:
        >>> import torch
        >>> metric = DRho()
        >>> pan = torch.rand(2, 1, 24, 24)
        >>> metric.update(2 * pan.expand(2, 3, 24, 24), torch.rand(2, 3, 4, 4), pan)
        >>> bool(metric.compute() < 1e-4)
        True
    """

    higher_is_better = False
    needs_pan = True

    def __init__(self, half_width: float | None = None) -> None:
        """Initialize a new DRho instance.

        Args:
            half_width: Half the width of the window in sharpened pixels; half of the
                ratio, rounded down, by default.

        Raises:
            ValueError: If the width is not positive.
        """
        super().__init__()
        _check(half_width)
        self.half_width = half_width

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_d_rho(scene, self.half_width)
