# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean over bands of the peak signal-to-noise ratio."""

import math

from torch import Tensor

from ._images import (
    Clamp,
    Cubes,
    ImageMetric,
    Scores,
    band_means,
    check_scale,
    finish,
    prepare,
)


def _check(data_range: float, limit: float) -> None:
    if not 0 < data_range < math.inf or not limit > 0:
        raise ValueError(
            'Expected a positive, finite data_range and a positive limit, got '
            f'{data_range} and {limit}.'
        )


def _score(cubes: Cubes, data_range: float, limit: float) -> Scores:
    check_scale(cubes.target, data_range, f'data_range={data_range:g}')
    error = band_means((cubes.prediction - cubes.target).square(), cubes.valid)
    ratio = 20 * math.log10(data_range) - 10 * error.log10()
    return Scores(ratio.clamp_max(limit).mean(1), cubes.valid.flatten(1).any(1))


def mpsnr(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    data_range: float = 1.0,
    clamp: Clamp = None,
    limit: float = 100.0,
) -> Tensor:
    r"""Compute the mean over bands of the peak signal-to-noise ratio, in dB.

    Of each band, :math:`10 \log_{10} (r^2 / MSE)` for a data range *r*; then the mean.
    That is how denoisers of hyperspectral images are compared.
    :func:`torchmetrics.functional.image.peak_signal_noise_ratio` has one error for all
    bands, which is another number, and counts nodata.

    Whether predictions are clamped to the range of the data changes the score of a
    noisy image by more than 1 dB, and papers differ in it: the published tables of HSDT
    and MAN are of values as they are, their logs of clamped ones.

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        data_range: Distance between the lowest and the highest possible value: 1 for
            reflectance, 10000 for reflectance x 10 000. There is a warning where the
            target is on quite another scale.
        clamp: Lowest and highest value that predictions are clamped to, as in
            ``(0, 1)``.
        limit: Most that a band can contribute: that of a band without any error is
            infinite.

    Returns:
        Scores of shape ``(B,)`` or ``()``; NaN for images without a valid pixel.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If an option is out of its range.

    Example:
        >>> import torch
        >>> mpsnr(torch.zeros(5, 8, 8), torch.full((5, 8, 8), 0.1))
        tensor(20.)
    """
    _check(data_range, limit)
    cubes = prepare(prediction, target, valid, clamp)
    return finish(_score(cubes, data_range, limit), target.ndim)


class MPSNR(ImageMetric):
    """Mean over bands and images of the peak signal-to-noise ratio, in dB.

    See :func:`mpsnr` for its definition.

    Example:
        >>> import torch
        >>> metric = MPSNR()
        >>> metric.update(torch.zeros(2, 5, 8, 8), torch.full((2, 5, 8, 8), 0.1))
        >>> metric.compute()
        tensor(20.)
    """

    higher_is_better = True

    def __init__(
        self, data_range: float = 1.0, clamp: Clamp = None, limit: float = 100.0
    ) -> None:
        """Initialize a new MPSNR instance.

        Args:
            data_range: Distance between the lowest and the highest possible value.
            clamp: Lowest and highest value that predictions are clamped to.
            limit: Most that a band can contribute.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__(clamp)
        _check(data_range, limit)
        self.data_range = data_range
        self.limit = limit

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return _score(cubes, self.data_range, self.limit)
