# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Correlation of the bands of two cubes."""

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


def _center(values: Tensor, valid: Tensor) -> Tensor:
    mean = band_means(values, valid)[..., None, None]
    return (values - mean).masked_fill(~valid, 0)


def _score(cubes: Cubes) -> Scores:
    prediction = _center(cubes.prediction, cubes.valid)
    target = _center(cubes.target, cubes.valid)
    product = (prediction * target).sum((-2, -1))
    # two roots: the product of the squares would leave the range of float32 earlier
    truth = target.square().sum((-2, -1)).sqrt()
    norm = prediction.square().sum((-2, -1)).sqrt() * truth
    correlation = product / norm.masked_fill(norm == 0, 1)
    return mean_where(correlation.clamp(-1, 1), truth > 0)


def cross_correlation(
    prediction: Tensor, target: Tensor, valid: Tensor | None = None, clamp: Clamp = None
) -> Tensor:
    """Compute the mean over bands of Pearson's correlation.

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Correlations of shape ``(B,)`` or ``()``, -1 to 1. A band whose truth is the same
        everywhere does not count; one whose prediction is, has no correlation. NaN if
        no band counts.

    Raises:
        BandMismatchError: If the shapes do not fit.

    Example:
        >>> import torch
        >>> image = torch.arange(4.0).reshape(1, 2, 2)
        >>> cross_correlation(2 * image + 1, image)
        tensor(1.)
    """
    cubes = prepare(prediction, target, valid, clamp)
    return finish(_score(cubes), target.ndim)


class CrossCorrelation(ImageMetric):
    """Mean over bands and images of Pearson's correlation.

    See :func:`cross_correlation` for its definition.

    Args:
        clamp: Lowest and highest value that predictions are clamped to.

    Example:
        >>> import torch
        >>> image = torch.arange(4.0).reshape(1, 2, 2)
        >>> metric = CrossCorrelation()
        >>> metric.update(2 * image + 1, image)
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = True

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return _score(cubes)
