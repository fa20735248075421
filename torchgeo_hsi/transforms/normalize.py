# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Normalization that keeps nodata out of the network."""

import torch
from torch import Tensor, nn

from .._typing import Sample
from ..errors import BandMismatchError, UnitError


class NormalizeValid(nn.Module):
    """Normalize the bands of a batch and take out its invalid pixels.

    Every band becomes ``(x - mean) / std``. Pixels that are not valid become 0 in all
    bands, which is the mean, whatever number stood there, and their label becomes
    *ignore_index*: so they reach neither network nor loss nor metric.

    The arithmetic is done in float32 or better; images of another floating type (of
    Lightning's ``bf16-true``, ``16-true`` and ``64-true``) come back as they came.

    Example:
        >>> import torch
        >>> normalize = NormalizeValid(torch.full((2,), 10.0), torch.full((2,), 5.0))
        >>> batch = {'image': torch.full((1, 2, 1, 2), 20.0),
        ...          'valid': torch.tensor([[[True, False]]])}
        >>> normalize(batch)['image'][0, 0].tolist()
        [[2.0, 0.0]]
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Tensor, std: Tensor, ignore_index: int | None = None
    ) -> None:
        """Initialize a new NormalizeValid instance.

        Args:
            mean: Mean of each band, shape ``(C,)``.
            std: Standard deviation of each band, shape ``(C,)``.
            ignore_index: Label of invalid pixels; labels are left as they are by
                default.

        Raises:
            BandMismatchError: If *mean* and *std* have different lengths.
            UnitError: If a standard deviation is not positive.
        """
        super().__init__()
        if mean.ndim != 1 or mean.shape != std.shape:
            raise BandMismatchError(
                'Expected one mean and one standard deviation for each band, got '
                f'shapes {tuple(mean.shape)} and {tuple(std.shape)}.'
            )
        if not (std > 0).all():
            bad = (~(std > 0)).nonzero().flatten().tolist()
            raise UnitError(
                f'Expected positive standard deviations, got others in bands {bad} '
                '(from 0). A constant band carries no information: leave it out.'
            )
        self.register_buffer('mean', mean.float(), persistent=False)
        self.register_buffer('std', std.float(), persistent=False)
        self.ignore_index = ignore_index

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``, and ``valid`` and
                ``mask`` of shape ``(B, H, W)``, if present; a single sample works, too.

        Returns:
            A new batch.

        Raises:
            BandMismatchError: If the image has another number of bands.
        """
        given = batch['image']
        image = given if given.dtype == torch.float64 else given.float()
        if image.shape[-3] != len(self.mean):
            raise BandMismatchError(
                f'Expected images of {len(self.mean)} bands, for which there are '
                f'statistics, got {image.shape[-3]}. Select the same bands, or compute '
                'the statistics again.'
            )
        shape = (-1, 1, 1)
        mean, std = (v.to(image.device).view(shape) for v in (self.mean, self.std))
        image = (image - mean) / std
        if given.is_floating_point():
            image = image.to(given.dtype)
        result = {**batch, 'image': image}
        if 'valid' in batch:
            invalid = ~batch['valid']
            result['image'] = image.masked_fill(invalid.unsqueeze(-3), 0.0)
            if self.ignore_index is not None and 'mask' in batch:
                result['mask'] = batch['mask'].masked_fill(invalid, self.ignore_index)
        return result

    def extra_repr(self) -> str:
        """Describe the statistics in one line."""
        return f'bands={len(self.mean)}, ignore_index={self.ignore_index}'


def denormalize(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Undo the normalization of :class:`NormalizeValid`.

    Args:
        image: Normalized images of shape ``(..., C, H, W)``.
        mean: Mean of each band, shape ``(C,)``.
        std: Standard deviation of each band, shape ``(C,)``.

    Returns:
        The images in the units of *mean*.
    """
    mean, std = (torch.as_tensor(v, device=image.device) for v in (mean, std))
    return image * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
