# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Change of the similarity between bands and PAN by sharpening."""

from torch import Tensor

from ..physics.resampling import imresize_down
from ._blocks import check_block
from ._full_resolution import FullResolutionMetric, Scene, prepare_scene, whole
from ._images import Scores, finish
from .d_lambda import stack_scores
from .quality_index import band_quality, enough


def _coarse_pan(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return the PAN at the size of the cube, and which of its pixels count."""
    pan = imresize_down(scene.pan, scene.ratio)
    if scene.fine.all():
        return pan, scene.valid
    part = imresize_down(scene.fine.to(pan.dtype), scene.ratio)
    valid = scene.valid & whole(part)
    return (pan / part.masked_fill(~valid, 1)).masked_fill(~valid, 0), valid


def score_d_s(scene: Scene, window: int, sliding: bool) -> Scores:
    """Score checked images.

    Args:
        scene: The images, with the PAN.
        window: Pixels along a side of a window of the sharpened cube.
        sliding: Whether windows overlap.

    Returns:
        Scores of shape ``(B,)``.
    """
    coarse = max(2, window // scene.ratio)
    pan, valid = _coarse_pan(scene)
    cube = scene.cube.masked_fill(~valid, 0)
    values, known = [], []
    for image in range(len(cube)):
        fine = scene.fine[image]
        after = band_quality(
            scene.fused[image], scene.pan[image], fine, window, sliding
        )
        before = band_quality(cube[image], pan[image], valid[image], coarse, sliding)
        values.append((after - before).abs().mean())
        both = enough(fine, window, sliding) & enough(valid[image], coarse, sliding)
        known.append(both)
    return stack_scores(values, known, scene)


def d_s(
    fused: Tensor,
    cube: Tensor,
    pan: Tensor,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
    window: int = 32,
    sliding: bool = True,
) -> Tensor:
    """Compute the spatial distortion of QNR, D_S.

    Mean over bands of the absolute difference between the quality index
    (:func:`quality_index`) of the sharpened band and the PAN, and that of the band of the
    cube and the PAN at its size, by bicubic resizing. 0 is best. The windows of the cube
    cover the same ground: ``window // ratio`` pixels.

    * Alparone et al. (2008), https://doi.org/10.14358/PERS.74.2.193

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
        pan: PAN of shape ``(B, 1, H, W)`` or ``(1, H, W)``.
        valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``;
            all by default.
        pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or ``(H,
            W)``; all by default.
        window: Pixels along a side of a window of the sharpened cube.
        sliding: Whether to take the window around every pixel, or blocks that do not
            overlap.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images without a window of which half
        is valid. Pixels of the cube do not count where more than a tenth of the weight of
        the resized PAN is missing.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the window has fewer than 2 pixels along a side.

    Example:
        >>> import torch
        >>> pan = torch.ones(1, 96, 96)
        >>> bool(d_s(pan.expand(3, 96, 96), torch.ones(3, 16, 16), pan) < 1e-6)
        True
    """
    check_block(window, 'window')
    scene = prepare_scene(fused, cube, pan, valid, pan_valid)
    return finish(score_d_s(scene, window, sliding), cube.ndim)


class DS(FullResolutionMetric):
    """Spatial distortion of QNR, mean over images.

    See :func:`d_s` for its definition.

    Example:
        >>> import torch
        >>> metric = DS()
        >>> pan = torch.rand(1, 1, 96, 96)
        >>> metric.update(pan.expand(1, 3, 96, 96), torch.rand(1, 3, 16, 16), pan)
        >>> bool(metric.compute() > 0.5)
        True
    """

    higher_is_better = False
    needs_pan = True

    def __init__(self, window: int = 32, sliding: bool = True) -> None:
        """Initialize a new DS instance.

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
        return score_d_s(scene, self.window, self.sliding)
