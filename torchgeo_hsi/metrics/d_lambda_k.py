# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Distance of a sharpened cube from the cube that it was made of."""

from torch import Tensor

from ._blocks import check_block
from ._full_resolution import Scene, SensedQ2nMetric, prepare_scene, sensed
from ._images import Scores, finish
from .q2n import score_q2n


def score_d_lambda_k(
    scene: Scene, gain: float | Tensor, block: int, rounded: bool
) -> Scores:
    """Score checked images.

    Args:
        scene: The images.
        gain: Gain of the sensor at the Nyquist frequency of the cube.
        block: Pixels of the cube along a side of a block.
        rounded: Whether values are rounded to integers first.

    Returns:
        Scores of shape ``(B,)``.
    """
    scores = score_q2n(sensed(scene, gain), block, rounded)
    return scores._replace(values=1 - scores.values)


def d_lambda_k(
    fused: Tensor,
    cube: Tensor,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
    gain: float | Tensor = 0.3,
    block: int = 32,
    rounded: bool = False,
) -> Tensor:
    """Compute the spectral distortion of Khan's protocol, D_lambda^K.

    One less the hypercomplex quality index (:func:`q2n`) between the sharpened cube, as
    the sensor of the cube would see it, and the cube. 0 is best.

    * Khan et al. (2009), https://doi.org/10.1109/TGRS.2009.2029094

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
        valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``;
            all by default.
        pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or ``(H,
            W)``; all by default.
        gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
            each band, shape ``(C,)``.
        block: Pixels of the cube along a side of a block.
        rounded: Whether to round values to integers first, as the toolbox on
            hyperspectral pansharpening does; for digital numbers alone.

    Returns:
        Scores of shape ``(B,)`` or ``()``, 0 to 1; NaN for images without a block of
        which half is valid. Next to gaps, where more than a tenth of the weight of the
        sensor's kernel is missing, pixels do not count.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If an option is out of its range.

    Example:
        >>> import torch
        >>> fused, cube = torch.ones(3, 96, 96), torch.ones(3, 16, 16)
        >>> d_lambda_k(fused, cube, rounded=True)
        tensor(0.)
    """
    check_block(block)
    scene = prepare_scene(fused, cube, None, valid, pan_valid)
    return finish(score_d_lambda_k(scene, gain, block, rounded), cube.ndim)


class DLambdaK(SensedQ2nMetric):
    """Spectral distortion of Khan's protocol, mean over images.

    See :func:`d_lambda_k` for its definition.

    Example:
        >>> import torch
        >>> metric = DLambdaK(rounded=True)
        >>> metric.update(torch.ones(1, 3, 96, 96), torch.ones(1, 3, 16, 16))
        >>> metric.compute()
        tensor(0.)
    """

    higher_is_better = False

    def score(self, scene: Scene) -> Scores:
        """Score each image."""
        return score_d_lambda_k(scene, self.gain, self.block, self.rounded)
