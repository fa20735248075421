# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Error of a cube in its own unit."""

from torch import Tensor

from ._images import Clamp, Cubes, ImageMetric, Scores, band_means, finish, prepare


def _score(cubes: Cubes) -> Scores:
    error = band_means((cubes.prediction - cubes.target).square(), cubes.valid)
    return Scores(error.mean(1).sqrt(), cubes.valid.flatten(1).any(1))


def rmse(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, clamp: Clamp = None
) -> Tensor:
    """Compute the root of the mean squared error of each image.

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Errors of shape ``(B,)`` or ``()``, in the unit of the cubes; NaN for images
        without a valid pixel.

    Raises:
        BandMismatchError: If the shapes do not fit.

    Example:
        >>> import torch
        >>> rmse(torch.zeros(5, 8, 8), torch.full((5, 8, 8), 0.5))
        tensor(0.5000)
    """
    cubes = prepare(prediction, target, valid, clamp)
    return finish(_score(cubes), target.ndim)


class RMSE(ImageMetric):
    """Root of the mean squared error of an image, mean over images.

    See :func:`rmse`. torchmetrics' ``MeanSquaredError(squared=False)`` takes the root
    over all images at once, and has no mask.

    Args:
        clamp: Lowest and highest value that predictions are clamped to.

    Example:
        >>> import torch
        >>> metric = RMSE()
        >>> metric.update(torch.zeros(5, 8, 8), torch.full((5, 8, 8), 0.5))
        >>> metric.compute()
        tensor(0.5000)
    """

    higher_is_better = False

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return _score(cubes)
