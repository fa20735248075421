# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Relative error of a cube over its bands."""

from torch import Tensor

from ._images import (
    Clamp,
    Cubes,
    ImageMetric,
    Scores,
    band_means,
    finish,
    mean_where,
    prepare,
)


def _check(ratio: float) -> None:
    if not ratio > 0:
        raise ValueError(
            f'Expected a positive ratio, got {ratio}: 4 for a super-resolution by '
            'four, 1 for denoising.'
        )


def score_ergas(cubes: Cubes, ratio: float) -> Scores:
    """Compute ERGAS of each image.

    Args:
        cubes: The checked cubes.
        ratio: Ratio of pixel sizes.

    Returns:
        Scores of shape ``(B,)``.
    """
    error = band_means((cubes.prediction - cubes.target).square(), cubes.valid)
    mean = band_means(cubes.target, cubes.valid)
    known = mean != 0
    relative = error / mean.masked_fill(~known, 1).square()
    scores = mean_where(relative, known)
    return scores._replace(values=100 / ratio * scores.values.sqrt())


def ergas(
    prediction: Tensor,
    target: Tensor,
    ratio: float,
    valid: Tensor | None = None,
    clamp: Clamp = None,
) -> Tensor:
    r"""Compute the relative dimensionless global error in synthesis, in percent.

    :math:`100 / r \cdot \sqrt{mean_b (MSE_b / \mu_b^2)}` for a ratio *r* of the
    resolutions and the mean :math:`\mu_b` of the true band *b*. Without a mask it equals
    torchmetrics' function of that name. Some papers always divide by 4, so *ratio* has
    no default.

    * Wald (2000), Quality of high resolution synthesised images: is there a simple
      criterion? https://hal.science/hal-00395027

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        ratio: Pixel size of the input over that of the output; 1 for denoising.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Scores of shape ``(B,)`` or ``()``. Bands whose true mean is 0 do not count; NaN
        if there is no other.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the ratio is not positive.

    Example:
        >>> import torch
        >>> ergas(torch.full((5, 8, 8), 0.9), torch.ones(5, 8, 8), ratio=4)
        tensor(2.5000)
    """
    _check(ratio)
    cubes = prepare(prediction, target, valid, clamp)
    return finish(score_ergas(cubes, ratio), target.ndim)


class ERGAS(ImageMetric):
    """Relative dimensionless global error in synthesis, mean over images, in percent.

    See :func:`ergas` for its definition.

    Example:
        >>> import torch
        >>> metric = ERGAS(ratio=4)
        >>> metric.update(torch.full((5, 8, 8), 0.9), torch.ones(5, 8, 8))
        >>> metric.compute()
        tensor(2.5000)
    """

    higher_is_better = False

    def __init__(self, ratio: float, clamp: Clamp = None) -> None:
        """Initialize a new ERGAS instance.

        Args:
            ratio: Pixel size of the input over that of the output; 1 for denoising.
            clamp: Lowest and highest value that predictions are clamped to.

        Raises:
            ValueError: If the ratio is not positive.
        """
        super().__init__(clamp)
        _check(ratio)
        self.ratio = ratio

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return score_ergas(cubes, self.ratio)
