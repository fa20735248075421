# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What methods share that look at the correlation of all spectra of a scene."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....errors import BandMismatchError, EmptyDataError, UnitError
from ....layers import SceneModel
from ....physics.subspace import band_noise, correlation_matrix

#: Standard deviations of noise are given as 255 times those of numbers in [0, 1].
SIGMA_SCALE = 255.0

#: Fewest bands that tell noise from ground.
_LEAST_BANDS = 4


class Moments(NamedTuple):
    """First and second moments of spectra.

    Args:
        number: Number of pixels, shape ``(B,)``.
        mean: Mean spectra, shape ``(B, C)``.
        correlation: Correlation matrices, shape ``(B, C, C)``.
    """

    number: Tensor
    mean: Tensor
    correlation: Tensor

    @classmethod
    def of(cls, image: Tensor, valid: Tensor | None) -> 'Moments':
        """Compute the moments of images.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            Moments of each image, zeros where it has no valid pixel.
        """
        matrix, number = correlation_matrix(image, valid)
        if valid is not None:
            image = image.masked_fill(~valid.unsqueeze(1), 0)
        total = image.flatten(2).sum(2, dtype=torch.float64)
        return cls(number, total / number.clamp_min(1)[:, None], matrix)

    def pooled(self) -> 'Moments':
        """Return the moments of all images together, as those of a batch of one."""
        share = self.number.double() / self.number.sum().clamp_min(1)
        return Moments(
            self.number.sum()[None],
            (share[:, None] * self.mean).sum(0, keepdim=True),
            (share[:, None, None] * self.correlation).sum(0, keepdim=True),
        )

    def joined(self, other: 'Moments') -> 'Moments':
        """Return the moments of these images and others together."""
        parts = zip(self, other, strict=True)
        return Moments(*(torch.cat(pair) for pair in parts)).pooled()


class SpectralSceneModel(SceneModel):
    """Methods without parameters that rest on the moments of a scene's spectra."""

    needs_scene = True

    def __init__(self) -> None:
        """Initialize a new SpectralSceneModel instance."""
        super().__init__()
        self._observed: Moments | None = None
        self._scene: Moments | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the statistics of a scene are used instead of those of each input."""
        return self._scene is not None

    def observe(
        self, image: Tensor, valid: Tensor | None = None, **inputs: Any
    ) -> None:
        """Take a tile of the first pass into the statistics of the scene.

        Args:
            image: Tiles of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.
            **inputs: More arguments of ``forward``, which change nothing here.

        Raises:
            BandMismatchError: If *valid* has not the rows and columns of *image*, or
                the tile other bands than those before.
        """
        check_image(image)
        moments = Moments.of(image, valid).pooled()
        check_finite(moments.correlation)
        if self._observed is not None:
            _check_bands(self._observed, image)
            moments = self._observed.joined(moments)
        self._observed = moments

    def settle(self) -> None:
        """Use what was observed from now on.

        Raises:
            EmptyDataError: If no valid pixel was observed.
        """
        if self._observed is None or int(self._observed.number) == 0:
            raise EmptyDataError(
                'The method has observed no valid pixel of the scene. Call observe() '
                'with its tiles before settle().'
            )
        self._scene, self._observed = self._observed, None

    def forget(self) -> None:
        """Go back to the statistics of each input, the default."""
        self._scene = self._observed = None

    def moments(self, image: Tensor, valid: Tensor | None = None) -> Moments:
        """Return the moments of the scene, or those of the input if there is none.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.

        Returns:
            Moments of a batch of *B*, or of 1 for a scene.

        Raises:
            BandMismatchError: If the images have other bands than the scene.
            EmptyDataError: If an image has no valid pixel.
            UnitError: If the images hold integers, or valid pixels NaN.
        """
        check_image(image)
        if self._scene is not None:
            _check_bands(self._scene, image)
            return Moments(*(part.to(image.device) for part in self._scene))
        moments = Moments.of(image, valid)
        if bool((moments.number == 0).any()):
            raise EmptyDataError(
                'An image has no valid pixel to estimate the noise from. Leave it out, '
                'or let the method observe the scene before.'
            )
        check_finite(moments.correlation)
        return moments

    def noise(self, moments: Moments, sigma: float | Tensor | None) -> Tensor:
        """Return the noise of each band, as given or as estimated.

        Args:
            moments: Moments of the images or of the scene.
            sigma: Standard deviation times 255, a number or of shape ``(C,)`` or
                ``(B, C)``; estimated by default.

        Returns:
            Standard deviation of shape ``(B, C)``, or ``(1, C)``, in float64.

        Raises:
            BandMismatchError: If *sigma* is that of other bands, or missing for fewer
                than four bands.
            UnitError: If *sigma* is not positive.
        """
        if sigma is None:
            check_noise_estimate(moments.mean.shape[1])
            return band_noise(moments.correlation, moments.number)
        return given_noise(sigma, moments.mean) / SIGMA_SCALE


def given_noise(sigma: float | Tensor, like: Tensor) -> Tensor:
    """Check a noise level, and bring it to the shape ``(B, C)``, in its own unit."""
    level = torch.as_tensor(sigma, dtype=torch.float64, device=like.device)
    bands = like.shape[1]
    if level.ndim > 2 or (level.ndim and level.shape[-1] not in (1, bands)):
        raise BandMismatchError(
            f'Expected sigma as one number or one of each of {bands} bands, got shape '
            f'{tuple(level.shape)}.'
        )
    if not bool((level > 0).all()):
        raise UnitError(
            'Expected a positive sigma, 255 times the standard deviation of the noise of '
            f'numbers in [0, 1], got {sigma}. Leave it out to have it estimated.'
        )
    level = level if level.ndim == 2 else level.reshape(1, -1)
    return level.expand(level.shape[0], bands)


def in_gaps(image: Tensor, other: Tensor, valid: Tensor | None) -> Tensor:
    """Return an image that is another one where there is no data.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        other: What stands in the gaps, a shape that is broadcast.
        valid: True for pixels with data, shape ``(B, H, W)``; all if None.
    """
    return image if valid is None else torch.where(valid.unsqueeze(1), image, other)


def check_image(image: Tensor) -> None:
    """Refuse what is not a batch of images with pixels."""
    if image.ndim != 4:
        raise BandMismatchError(
            'Expected images of shape (batch, bands, height, width), got '
            f'{tuple(image.shape)}. For a single image, add an axis: image[None].'
        )
    if image.numel() == 0:
        raise EmptyDataError(
            f'Images of shape {tuple(image.shape)} are empty. Leave out tiles without '
            'rows, columns or bands.'
        )
    if not image.is_floating_point():
        raise UnitError(
            f'Expected floating point images, got {image.dtype}. Convert them first, '
            'with image.float(), in any unit.'
        )


def check_noise_estimate(bands: int) -> None:
    """Refuse to estimate the noise where too few bands say something about it.

    Args:
        bands: Number of bands.

    Raises:
        BandMismatchError: If there are fewer than four.
    """
    if bands < _LEAST_BANDS:
        raise BandMismatchError(
            f'The noise of a band is what other bands do not explain, for which {bands} '
            f'are too few: at least {_LEAST_BANDS} are needed. Say how strong it is, '
            'with sigma.'
        )


def check_finite(numbers: Tensor) -> None:
    """Refuse numbers that are none, before they spread over a whole scene.

    Args:
        numbers: Spectra, or sums over spectra, of pixels that count.

    Raises:
        UnitError: If one of them is NaN or infinite.
    """
    if not bool(numbers.isfinite().all()):
        raise UnitError(
            'Some pixels with data are NaN or infinite. Mark them: valid has to be False '
            'there.'
        )


def _check_bands(scene: Moments, image: Tensor) -> None:
    bands = scene.mean.shape[1]
    if image.shape[1] != bands:
        raise BandMismatchError(
            f'The method has seen a scene of {bands} bands, got {image.shape[1]}. Give '
            'it images with the bands of that scene, or call forget() first.'
        )
