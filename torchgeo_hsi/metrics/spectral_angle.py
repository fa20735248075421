# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Mean angle between the spectra of two cubes."""

import math
from typing import Literal

from torch import Tensor

from ..physics.spectra import spectral_angle
from ._images import Clamp, Cubes, ImageMetric, Scores, finish, mean_where, prepare

type AngleUnit = Literal['radians', 'degrees']


def check_unit(unit: str) -> None:
    """Check the unit of an angle.

    Args:
        unit: ``'radians'`` or ``'degrees'``.

    Raises:
        ValueError: If it is neither.
    """
    if unit not in ('radians', 'degrees'):
        raise ValueError(f"Expected the unit 'radians' or 'degrees', got {unit!r}.")


def score_angle(cubes: Cubes, unit: str) -> Scores:
    """Compute the mean angle of each image.

    Args:
        cubes: The checked cubes.
        unit: ``'radians'`` or ``'degrees'``.

    Returns:
        Scores of shape ``(B,)``.
    """
    angle = spectral_angle(cubes.prediction, cubes.target)
    known = cubes.valid.squeeze(1) & (cubes.target != 0).any(1)
    scores = mean_where(angle.flatten(1), known.flatten(1))
    if unit == 'degrees':
        return scores._replace(values=scores.values * (180 / math.pi))
    return scores


def mean_spectral_angle(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None = None,
    unit: AngleUnit = 'radians',
    clamp: Clamp = None,
) -> Tensor:
    """Compute the mean spectral angle over the pixels of an image.

    The angle is that of :func:`torchgeo_hsi.physics.spectral_angle`, accurate for small
    angles, too. Pixels whose true spectrum is 0 have no angle and do not count; where
    the predicted one is 0, the angle is a right one.
    :func:`torchmetrics.functional.image.spectral_angle_mapper` is NaN on such pixels,
    has no mask, and loses small angles in float32.

    * https://doi.org/10.1016/0034-4257(93)90013-N

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        unit: ``'radians'`` or ``'degrees'``. Papers have both.
        clamp: Lowest and highest value that predictions are clamped to.

    Returns:
        Angles of shape ``(B,)`` or ``()``; NaN for images without a pixel that counts.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If there is no such unit.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
        >>> mean_spectral_angle(a[:, None, None], b[:, None, None], unit='degrees')
        tensor(45.)
    """
    check_unit(unit)
    cubes = prepare(prediction, target, valid, clamp)
    return finish(score_angle(cubes, unit), target.ndim)


class SpectralAngle(ImageMetric):
    """Mean spectral angle over the pixels of an image, then over images.

    See :func:`mean_spectral_angle` for its definition.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
        >>> metric = SpectralAngle(unit='degrees')
        >>> metric.update(a[:, None, None], b[:, None, None])
        >>> metric.compute()
        tensor(45.)
    """

    higher_is_better = False

    def __init__(self, unit: AngleUnit = 'radians', clamp: Clamp = None) -> None:
        """Initialize a new SpectralAngle instance.

        Args:
            unit: ``'radians'`` or ``'degrees'``.
            clamp: Lowest and highest value that predictions are clamped to.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__(clamp)
        check_unit(unit)
        self.unit = unit

    def score(self, cubes: Cubes) -> Scores:
        """Score each image."""
        return score_angle(cubes, self.unit)
