# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Lack of correlation with the PAN around each pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BandMismatchError
from ..physics.local_windows import local_correlation
from ..physics.resampling import mtf_filter
from ._pixels import mean_over

#: Rows and columns of the kernel that blurs the PAN for the threshold.
_SIZE = 41


class LocalCorrelationLoss(nn.Module):
    """Mean over pixels and bands of one less the local correlation with the PAN.

    With the defaults it is the spatial loss of rho-PNN, ``1 - |rho|``: bands that go
    against the PAN are as good as those that go with it. The form of R-PNN is
    ``absolute=False, clamped=True`` with a threshold of :func:`correlation_threshold`.
    The correlation is that of :func:`torchgeo_hsi.physics.local_correlation`.

    * https://doi.org/10.1109/TGRS.2025.3583877 (rho-PNN)
    * https://doi.org/10.48550/arXiv.2311.06510 (R-PNN)

    Example:
        >>> import torch
        >>> pan = torch.rand(1, 1, 24, 24)
        >>> loss = LocalCorrelationLoss(ratio=6)
        >>> bool(loss(-2 * pan.expand(1, 3, 24, 24), pan) < 1e-4)
        True
    """

    def __init__(
        self,
        ratio: int,
        absolute: bool = True,
        clamped: bool = False,
        half_width: float | None = None,
    ) -> None:
        """Initialize a new LocalCorrelationLoss instance.

        Args:
            ratio: Size of a pixel of the cube over that of a sharpened one.
            absolute: Whether negative correlations are as good as positive ones.
            clamped: Whether negative correlations are taken for none, and have no
                gradient. Cannot be combined with *absolute*.
            half_width: Half the width of the window, rounded up; ``ratio / 2`` by
                default.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__()
        if not ratio >= 1:
            raise ValueError(f'Expected a ratio of 1 or more, got {ratio}.')
        if half_width is not None and not half_width > 0:
            raise ValueError(f'Expected a positive half_width, got {half_width}.')
        if absolute and clamped:
            raise ValueError(
                'Expected absolute or clamped, got both: R-PNN is absolute=False, '
                'clamped=True.'
            )
        self.half_width = ratio / 2 if half_width is None else half_width
        self.absolute = absolute
        self.clamped = clamped

    def forward(
        self,
        prediction: Tensor,
        pan: Tensor,
        valid: Tensor | None = None,
        threshold: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            prediction: Sharpened cubes of shape ``(B, C, H, W)``.
            pan: PAN of shape ``(B, 1, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.
                Others are 0 in both images.
            threshold: Losses of pixels that are not above it count as 0; of a shape that
                broadcasts against the prediction. None by default.

        Returns:
            The mean, at least float32; 0 if no pixel counts.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        mask = _check(prediction, pan, valid)
        if prediction.itemsize < 4:
            prediction = prediction.float()
        pan = pan.to(prediction.dtype)
        if mask is not None:
            prediction = prediction.masked_fill(~mask, 0)
            pan = pan.masked_fill(~mask, 0)
        correlation = local_correlation(prediction, pan, self.half_width)
        if self.absolute:
            correlation = correlation.abs()
        elif self.clamped:
            correlation = correlation.clamp_min(0)
        loss = 1 - correlation
        if threshold is not None:
            loss = torch.where(loss > threshold, loss, 0)
        return mean_over(loss, mask)


def _check(prediction: Tensor, pan: Tensor, valid: Tensor | None) -> Tensor | None:
    """Return the valid pixels, shape (B, 1, H, W), or None.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    shape = (len(prediction), 1, *prediction.shape[-2:])
    if prediction.ndim != 4 or pan.shape != shape:
        raise BandMismatchError(
            'Expected a sharpened cube of shape (B, C, H, W) and a PAN of shape '
            f'(B, 1, H, W), got {tuple(prediction.shape)} and {tuple(pan.shape)}.'
        )
    if valid is None:
        return None
    pixels = (shape[0], *shape[2:])
    if valid.shape != pixels:
        raise BandMismatchError(
            f'Expected valid of shape {pixels}, got {tuple(valid.shape)}.'
        )
    return valid.bool().unsqueeze(1)


def correlation_threshold(
    pan: Tensor, up: Tensor, ratio: int, half_width: float = 18, gain: float = 0.3
) -> Tensor:
    """Compute how much correlation R-PNN does not ask for.

    One less the local correlation of the PAN, blurred as the sensor of the cube does, and
    the interpolated cube. Where a loss is below it, the sharpened band already goes with
    the PAN as well as the cube itself does.

    Args:
        pan: PAN of shape ``(..., 1, H, W)``.
        up: Interpolated cubes of shape ``(..., C, H, W)``.
        ratio: Size of a pixel of the cube over that of a pixel of the PAN.
        half_width: Half the width of the window, rounded up.
        gain: Gain of the sensor at the Nyquist frequency of the cube.

    Returns:
        Thresholds of shape ``(..., C, H, W)``, without a gradient.

    Raises:
        BandMismatchError: If the shapes do not fit.
        ValueError: If an option is out of its range.

    Example:
        >>> import torch
        >>> pan = torch.rand(1, 1, 48, 48)
        >>> correlation_threshold(pan, torch.rand(1, 3, 48, 48), ratio=6).shape
        torch.Size([1, 3, 48, 48])
    """
    margin = _SIZE // 2
    # as published; tiny images cannot be mirrored that far
    mode = 'reflect' if min(pan.shape[-2:]) > margin else 'replicate'
    with torch.no_grad():
        flat = pan.reshape(-1, 1, *pan.shape[-2:])
        padded = F.pad(flat, (margin,) * 4, mode=mode)
        low = mtf_filter(padded, gain, ratio, _SIZE, padding='valid')
        return 1 - local_correlation(up, low.reshape(pan.shape), half_width)
