# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A multilayer perceptron on the spectrum of each pixel."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError
from ..api import register_model


class SpectralWhitening(nn.Module):
    """Project spectra on their principal components, each scaled to unit variance.

    Neighbouring bands are almost equal: nearly all variance is brightness, and what
    tells materials apart is a thousand times smaller. Whitening brings both to the same
    scale, so that training starts where it would otherwise have to get to. It is
    fitted once, before training, and then kept with the weights.

    Args:
        in_channels: Number of bands.
        components: Number of principal components to keep.
        whiten: How equal their variances get: 1 for all, 0 for as they are; the largest
            is always 1. Noise grows with the small ones.

    Raises:
        BandMismatchError: If there are more components than bands.
        ValueError: If *whiten* is not from 0 to 1.
    """

    mean: Tensor
    projection: Tensor
    is_fitted: Tensor

    def __init__(self, in_channels: int, components: int, whiten: float = 1.0) -> None:
        """Initialize a new SpectralWhitening instance."""
        super().__init__()
        if not 0 <= whiten <= 1:
            raise ValueError(f'Expected whiten from 0 to 1, got {whiten}.')
        self.whiten = whiten
        if not 1 <= components <= in_channels:
            raise BandMismatchError(
                f'Expected 1 to {in_channels} components for {in_channels} bands, got '
                f'{components}.'
            )
        self.register_buffer('mean', torch.zeros(in_channels))
        self.register_buffer('projection', torch.eye(components, in_channels))
        self.register_buffer('is_fitted', torch.tensor(False))

    def fit(self, samples: Iterable[Sample]) -> None:
        """Find the principal components of the valid pixels of samples.

        Args:
            samples: Samples or batches with ``image`` of shape ``(..., C, H, W)`` and,
                if there are invalid pixels, ``valid`` of shape ``(..., H, W)``.

        Raises:
            BandMismatchError: If the samples have another number of bands.
            EmptyDataError: If there are fewer valid pixels than components.
        """
        count, total, outer = 0, torch.zeros(()), torch.zeros(())
        for sample in samples:
            _check_bands(sample['image'], len(self.mean))
            pixels = sample['image'].double().movedim(-3, -1).flatten(0, -2).cpu()
            if 'valid' in sample:
                pixels = pixels[sample['valid'].flatten().cpu()]
            count += len(pixels)
            total = total + pixels.sum(0)
            outer = outer + pixels.T @ pixels
        components = len(self.projection)
        if count <= components:
            raise EmptyDataError(
                f'{count} valid pixels have no {components} principal components. '
                'Check nodata and quality=, or lower the number of components.'
            )
        mean = total / count
        covariance = outer / count - mean.outer(mean)
        variance, vectors = torch.linalg.eigh(covariance)
        largest = slice(len(variance) - components, None)
        # a floor, for bands that are copies of each other
        share = (variance[largest] / variance[-1]).clamp_min(1e-12)
        scale = share ** (-self.whiten / 2) * variance[-1].rsqrt()
        self.mean.copy_(mean)
        self.projection.copy_((vectors[:, largest] * scale).T)
        self.is_fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Project images.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Principal components of shape ``(B, components, H, W)``.
        """
        bias = -(self.projection @ self.mean)
        return F.conv2d(x, self.projection[..., None, None], bias)


class SpectralMLP(nn.Module):
    """Classify every pixel by its spectrum alone.

    Linear layers with layer normalization, GELU and dropout, applied to each pixel as
    1 x 1 convolutions: there is no context, so there are no blurred borders, nothing of
    a neighbouring pixel without data gets in, and any image size works. Where labels
    are few and pixels are large, as in 30 m land cover from a handful of tiles, this
    is hard to beat; networks with context need more data.

    A baseline for hyperspectral classification since the review of:

    * https://doi.org/10.1109/MGRS.2019.2912563

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        hidden: Width of each hidden layer.
        drop_rate: Probability with which dropout sets an activation to 0.
        whiten: Number of principal components to start from, see
            :class:`SpectralWhitening`; 0 for the bands themselves.

    Raises:
        BandMismatchError: If *in_channels* is not positive or below *whiten*.

    Example:
        >>> import torch
        >>> model = SpectralMLP(in_channels=202, num_classes=6)
        >>> model(torch.rand(1, 202, 5, 7)).shape
        torch.Size([1, 6, 5, 7])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        hidden: Sequence[int] = (64,),
        drop_rate: float = 0.3,
        whiten: int = 0,
    ) -> None:
        """Initialize a new SpectralMLP instance."""
        super().__init__()
        if in_channels < 1:
            raise BandMismatchError(f'Expected at least one band, got {in_channels}.')
        self.in_channels = in_channels
        self.whitening = SpectralWhitening(in_channels, whiten) if whiten else None
        layers: list[nn.Module] = []
        width = whiten or in_channels
        for size in hidden:
            layers += [
                nn.Conv2d(width, size, 1),
                LayerNorm2d(size),
                nn.GELU(),
                nn.Dropout(drop_rate),
            ]
            width = size
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, num_classes, 1)

    def fit_spectra(self, samples: Iterable[Sample]) -> None:
        """Fit the whitening, if there is one and it is not fitted yet.

        :class:`~torchgeo_hsi.tasks.HSISegmentation` does this before training.

        Args:
            samples: Normalized training data, see :meth:`SpectralWhitening.fit`.
        """
        if self.whitening is not None and not self.is_fitted:
            self.whitening.fit(samples)

    @property
    def is_fitted(self) -> bool:
        """Whether there is nothing that :meth:`fit_spectra` still has to do."""
        return self.whitening is None or bool(self.whitening.is_fitted)

    def forward(self, x: Tensor) -> Tensor:
        """Classify the pixels of images.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.

        Raises:
            BandMismatchError: If *C* is not ``in_channels``.
        """
        if x.ndim != 4:
            raise BandMismatchError(_expected(x, self.in_channels))
        _check_bands(x, self.in_channels)
        if self.whitening is not None:
            x = self.whitening(x)
        logits: Tensor = self.head(self.layers(x))
        return logits


def _check_bands(x: Tensor, bands: int) -> None:
    if x.ndim < 3 or x.shape[-3] != bands:
        raise BandMismatchError(_expected(x, bands))


def _expected(x: Tensor, bands: int) -> str:
    return (
        f'Expected images of shape (batch, {bands}, height, width), got '
        f'{tuple(x.shape)}. Build the model with in_channels equal to the number of '
        'bands of the dataset, or select these bands.'
    )


@register_model
def spectral_mlp(
    in_channels: int = 202,
    num_classes: int = 1000,
    hidden: Sequence[int] = (64,),
    drop_rate: float = 0.3,
    whiten: int = 0,
) -> SpectralMLP:
    """Build a :class:`SpectralMLP`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        hidden: Width of each hidden layer.
        drop_rate: Probability with which dropout sets an activation to 0.
        whiten: Number of principal components to start from; 0 for the bands.

    Returns:
        The model.
    """
    return SpectralMLP(in_channels, num_classes, hidden, drop_rate, whiten)
