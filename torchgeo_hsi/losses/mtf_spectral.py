# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Distance of a sharpened cube, seen by the sensor of the cube, from the cube."""

from torch import Tensor, nn

from ..errors import BandMismatchError
from ..physics.resampling import mtf_decimate
from ._pixels import check_cubes, error_of, mean_over


class MTFSpectralLoss(nn.Module):
    """Mean absolute error of a sharpened cube in the eyes of the cube's sensor.

    The prediction is blurred and decimated as the sensor does
    (:func:`torchgeo_hsi.physics.resampling.mtf_decimate`), and compared with the cube.
    Pixels of the cube whose kernel would reach over the border do not count: five on each
    side with the defaults and a ratio of 6. It is the spectral loss of R-PNN and rho-PNN.

    * https://doi.org/10.1109/TGRS.2025.3583877

    Example:
        >>> import torch
        >>> loss = MTFSpectralLoss()
        >>> loss(torch.ones(1, 3, 72, 72), torch.ones(1, 3, 12, 12))
        tensor(0.0012)
    """

    def __init__(
        self, gain: float | Tensor = 0.3, ratio: int | None = None, size: int = 61
    ) -> None:
        """Initialize a new MTFSpectralLoss instance.

        Args:
            gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
                each band, shape ``(C,)``.
            ratio: Size of a pixel of the cube over that of a sharpened one; from the
                shapes by default.
            size: Rows and columns of the kernel, an odd number.

        Raises:
            ValueError: If the ratio is less than 2, or the size not odd.
        """
        super().__init__()
        if ratio is not None and (ratio != int(ratio) or ratio < 2):
            raise ValueError(
                f'Expected a ratio that is a whole number of 2 or more, got {ratio}.'
            )
        if size < 1 or size % 2 == 0:
            raise ValueError(f'Expected an odd, positive size, got {size}.')
        self.gain = gain
        self.ratio = ratio
        self.size = size

    def forward(
        self, prediction: Tensor, cube: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Compute the loss.

        Args:
            prediction: Sharpened cubes of shape ``(B, C, H, W)``.
            cube: Cubes of shape ``(B, C, h, w)``.
            valid: True for pixels of the cube that count, shape ``(B, h, w)``; all by
                default.

        Returns:
            The mean over bands and pixels; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
            ValueError: If the prediction is smaller than the kernel.
        """
        ratio = _ratio(prediction, cube, self.ratio)
        mask = check_cubes(cube, cube, valid)
        seen = mtf_decimate(prediction, self.gain, ratio, self.size, padding='valid')
        start = max(0, -(-(self.size // 2 - ratio // 2) // ratio))
        rows, cols = (slice(start, start + n) for n in seen.shape[-2:])
        mask = None if mask is None else mask[..., rows, cols]
        return mean_over(error_of(seen, cube[..., rows, cols], mask).abs(), mask)


def _ratio(prediction: Tensor, cube: Tensor, ratio: int | None) -> int:
    """Return the ratio of two cubes.

    Raises:
        BandMismatchError: If it is no whole number, or another one than expected.
    """
    fits = prediction.ndim == cube.ndim == 4
    fits = fits and prediction.shape[:2] == cube.shape[:2] and 0 not in cube.shape[2:]
    found = prediction.shape[-1] // cube.shape[-1] if fits else 0
    if found < 2 or [found * n for n in cube.shape[2:]] != list(prediction.shape[2:]):
        raise BandMismatchError(
            'Expected a sharpened cube of shape (B, C, r h, r w) and a cube of shape '
            '(B, C, h, w) for a whole number r of 2 or more, got '
            f'{tuple(prediction.shape)} and {tuple(cube.shape)}.'
        )
    if ratio not in (None, found):
        raise BandMismatchError(
            f'Expected cubes whose sizes have the ratio {ratio}, got '
            f'{tuple(prediction.shape)} and {tuple(cube.shape)}.'
        )
    return found
