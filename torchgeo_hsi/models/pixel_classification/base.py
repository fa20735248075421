# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all classifiers of pixels have in common."""

from abc import abstractmethod
from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError
from ._dense import map_windows
from .spectral_mlp import SpectralWhitening

#: Windows that are classified at a time, by default.
CHUNK = 1024


class PixelClassifier(nn.Module):
    """Base class: what the window around a pixel says about its class.

    A classifier may first turn each spectrum into *components* principal components,
    which :meth:`fit_spectra` finds in the training data and in nothing else.

    Subclasses implement :meth:`classify`; those that can look at a whole image at once,
    because they are convolutional or see single spectra, also override
    :meth:`classify_dense`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components of the spectra; 0 for the bands.
        whiten: How equal the variances of the components get, from 0 (as they are) to
            1. Many codes whiten them fully, which makes noise as loud as what tells
            classes apart.

    Raises:
        BandMismatchError: If there are fewer bands than components, or none.
        ValueError: If there are fewer than two classes, the window is even, or *whiten*
            is not from 0 to 1.
    """

    #: Whether it learns step by step; else :meth:`fit_windows` fits it at once.
    learns_by_gradient: bool = True

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int,
        components: int = 0,
        whiten: float = 0.5,
    ) -> None:
        """Initialize a new PixelClassifier instance; see the class for arguments."""
        super().__init__()
        if in_channels < 1:
            raise BandMismatchError(f'Expected at least one band, got {in_channels}.')
        if num_classes < 2:
            raise ValueError(
                f'Expected at least two classes, got {num_classes}. To find one class, '
                'give the rest of the world a class of its own.'
            )
        if window < 1 or window % 2 == 0:
            raise ValueError(
                f'Expected an odd window, with the pixel in its middle, got {window}. '
                f'Use {window + 1}.'
            )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.window = window
        self.reduction = (
            SpectralWhitening(in_channels, components, whiten) if components else None
        )

    @property
    def depth(self) -> int:
        """Length of the spectral axis that :meth:`classify` gets."""
        if self.reduction is None:
            return self.in_channels
        return len(self.reduction.projection)

    @property
    def is_fitted(self) -> bool:
        """Whether there is nothing that :meth:`fit_spectra` still has to do."""
        return self.reduction is None or bool(self.reduction.is_fitted)

    def fit_spectra(self, samples: Iterable[Sample]) -> None:
        """Find the principal components, if there are any and they are not known yet.

        Args:
            samples: Normalized training data with ``image`` of shape
                ``(..., C, H, W)`` and maybe ``valid`` of shape ``(..., H, W)``.

        Raises:
            EmptyDataError: If there are fewer valid pixels than components.
        """
        if self.reduction is not None and not self.is_fitted:
            self.reduction.fit(samples)

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """Classify windows whose spectra are reduced.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """

    def classify_dense(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """Classify each pixel whose window lies inside of images.

        Windows are views of the image, gathered *chunk* at a time.

        Args:
            x: Images of shape ``(B, depth, H, W)`` with reduced spectra.
            chunk: Windows at a time.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        return map_windows(self.classify, x, self.window, chunk)

    def forward(self, x: Tensor) -> Tensor:
        """Classify the pixel in the middle of each window.

        Args:
            x: Normalized windows of shape ``(B, in_channels, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.

        Raises:
            BandMismatchError: If the windows have another shape.
        """
        expected = (self.in_channels, self.window, self.window)
        if x.ndim != 4 or tuple(x.shape[1:]) != expected:
            raise BandMismatchError(
                f'Expected windows of shape (batch, {", ".join(map(str, expected))}), '
                f'got {tuple(x.shape)}. Build the model with the bands and the window '
                'of the data.'
            )
        return self.classify(self.reduce(x))

    def dense(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """Classify all pixels of images; beyond their edges there is the mean (0).

        Args:
            x: Normalized images of shape ``(B, in_channels, H, W)``.
            chunk: Windows at a time.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``, those that :meth:`forward`
            gives for the window around each pixel.

        Raises:
            BandMismatchError: If the images have another number of bands.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise BandMismatchError(
                f'Expected images of shape (batch, {self.in_channels}, height, width), '
                f'got {tuple(x.shape)}. Build the model with in_channels equal to the '
                'number of bands of the dataset, or select these bands.'
            )
        edge = self.window // 2
        padded = F.pad(x, (edge,) * 4)
        return self.classify_dense(self.reduce(padded), chunk)

    def reduce(self, x: Tensor) -> Tensor:
        """Turn spectra into their principal components, if there are any.

        Args:
            x: Images or windows of shape ``(B, in_channels, H, W)``.

        Returns:
            Images of shape ``(B, depth, H, W)``.
        """
        if self.reduction is None:
            return x
        reduced: Tensor = self.reduction(x)
        return reduced

    def fit_windows(self, windows: Tensor, labels: Tensor) -> None:
        """Fit at once, for what does not learn by gradient.

        Args:
            windows: Normalized windows of shape ``(N, in_channels, window, window)``.
            labels: Classes of shape ``(N,)``.

        Raises:
            NotImplementedError: If it learns by gradient.
        """
        raise NotImplementedError(
            f'{type(self).__name__} learns by gradient: train it with '
            'torchgeo_hsi.tasks.HSIPixelClassification.'
        )
