# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What metrics of cubes share: checks, valid pixels, and means over images."""

import math
import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from .._precision import full_precision
from ..errors import BandMismatchError, HSIWarning
from ._mean_score import MeanScore

#: Lowest and highest value that predictions are clamped to.
type Clamp = tuple[float, float] | None

#: How many times the range of the data its largest value may be: glint is brighter
#: than a white surface, but not by that much.
_LARGEST = 20.0

#: And how little it may be: water is dark, but not by that much.
_SMALLEST = 1e-3


class Cubes(NamedTuple):
    """Checked cubes: nothing but zeros where they are not valid."""

    prediction: Tensor
    target: Tensor
    #: True for pixels that count, shape (B, 1, H, W).
    valid: Tensor


class Scores(NamedTuple):
    """Scores of images."""

    #: One for each image; NaN where nothing could be scored.
    values: Tensor
    #: Whether there was something to score.
    known: Tensor


def check_clamp(clamp: Clamp) -> None:
    """Check the two limits.

    Args:
        clamp: The limits, or None.

    Raises:
        ValueError: If they are not two numbers in order.
    """
    if clamp is not None and (len(clamp) != 2 or not clamp[0] < clamp[1]):
        raise ValueError(
            f'Expected clamp to be a lower and an upper limit, as in (0, 1), got '
            f'{clamp}. Leave it out to take predictions as they are.'
        )


def pixel_mask(mask: Tensor | None, image: Tensor, word: str = 'valid') -> Tensor:
    """Check which pixels of an image count.

    Args:
        mask: Mask of shape ``(B, H, W)`` or ``(H, W)``; all pixels by default.
        image: Images of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        word: Name of the mask, for a message.

    Returns:
        Mask of shape ``(B, 1, H, W)`` or ``(1, H, W)``, on the device of the image.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    pixels = (*image.shape[:-3], *image.shape[-2:])
    if mask is None:
        mask = torch.ones(pixels, dtype=torch.bool, device=image.device)
    if mask.shape != pixels:
        raise BandMismatchError(
            f'Expected {word} of shape {pixels}, as images of shape '
            f'{tuple(image.shape)} have, got {tuple(mask.shape)}.'
        )
    return mask.to(image.device, torch.bool).unsqueeze(-3)


def prepare(
    prediction: Tensor, target: Tensor, valid: Tensor | None, clamp: Clamp
) -> Cubes:
    """Check cubes, and put zeros where they are not valid.

    Args:
        prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        target: Cubes of the same shape.
        valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all by
            default.
        clamp: Limits of the prediction.

    Returns:
        Cubes with a batch dimension, float32 or float64.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If the limits are not two numbers in order.
    """
    check_clamp(clamp)
    if prediction.shape != target.shape or target.ndim not in (3, 4):
        raise BandMismatchError(
            'Expected a prediction and a target of the same shape (B, C, H, W) or '
            f'(C, H, W), got {tuple(prediction.shape)} and {tuple(target.shape)}.'
        )
    valid = pixel_mask(valid, target)
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    dtype = dtype if dtype == torch.float64 else torch.float32
    prediction = prediction.to(target.device, dtype).masked_fill(~valid, 0)
    target = target.to(dtype).masked_fill(~valid, 0)
    if clamp is not None:
        low, high = clamp
        check_scale(target, max(abs(low), abs(high)), f'clamp=({low:g}, {high:g})')
        prediction = prediction.clamp(low, high).masked_fill(~valid, 0)
    if target.ndim == 3:
        return Cubes(prediction[None], target[None], valid[None])
    return Cubes(prediction, target, valid)


def check_scale(target: Tensor, high: float, option: str) -> None:
    """Warn of cubes on another scale than an option says, whose scores mean nothing.

    Args:
        target: Cubes, 0 where they are not valid.
        high: Largest value that they should have.
        option: The option, such as ``'data_range=1'``.
    """
    largest = float(target.detach().abs().max()) if target.numel() else 0.0
    if not math.isfinite(largest) or largest == 0:
        return
    ratio = largest / high
    if _SMALLEST <= ratio <= _LARGEST:
        return
    # few different words, of which Python shows each once
    power = 10.0 ** math.ceil(math.log10(largest))
    warnings.warn(
        f'The values of the target go up to about {power:g}, and {option} is for quite '
        'another scale, so the score means nothing. Pass the largest value that the data '
        'can have: 1 for reflectance, 10000 for reflectance x 10 000, or that of your '
        f'radiance, such as {power:g}.',
        HSIWarning,
        stacklevel=4,
    )


def band_means(values: Tensor, valid: Tensor) -> Tensor:
    """Average over valid pixels.

    Args:
        values: Values of shape ``(B, C, H, W)``, 0 where they are not valid.
        valid: Valid pixels of shape ``(B, 1, H, W)``.

    Returns:
        Means of shape ``(B, C)``; 0 without a valid pixel.
    """
    return values.sum((-2, -1)) / valid.sum((-2, -1)).clamp_min(1)


def mean_where(values: Tensor, known: Tensor) -> Scores:
    """Average over those of an image that are known.

    Args:
        values: Values of shape ``(B, N)``.
        known: Which of them count, same shape.

    Returns:
        Scores of shape ``(B,)``.
    """
    count = known.sum(1)
    mean = values.masked_fill(~known, 0).sum(1) / count
    return Scores(mean, count > 0)


def finish(scores: Scores, ndim: int) -> Tensor:
    """Return the scores of a function.

    Args:
        scores: Scores of shape ``(B,)``.
        ndim: Number of dimensions of its inputs.

    Returns:
        Scores of shape ``(B,)``, or ``()`` for a single image.
    """
    values = scores.values.masked_fill(~scores.known, torch.nan)
    return values[0] if ndim == 3 else values


class ImageMetric(MeanScore, ABC):
    """Mean of a score over images."""

    is_differentiable = True

    def __init__(self, clamp: Clamp = None) -> None:
        """Initialize a new ImageMetric instance.

        Args:
            clamp: Limits of the predictions.

        Raises:
            ValueError: If the limits are not two numbers in order.
        """
        super().__init__()
        check_clamp(clamp)
        self.clamp = clamp

    @abstractmethod
    def score(self, cubes: Cubes) -> Scores:
        """Score each image.

        Args:
            cubes: The checked cubes.

        Returns:
            Their scores.
        """

    def update(
        self, prediction: Tensor, target: Tensor, valid: Tensor | None = None
    ) -> None:
        """Take a batch into account.

        Args:
            prediction: Cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
            target: Cubes of the same shape.
            valid: True for pixels that count, shape ``(B, H, W)`` or ``(H, W)``; all
                by default.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        cubes = prepare(prediction, target, valid, self.clamp)
        with full_precision(target.device):
            scores = self.score(cubes)
        self._add(*scores)
