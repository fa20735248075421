# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A convolutional network on the spectrum of each pixel."""

from torch import Tensor, nn

from ..api import register_model
from ._dense import map_pixels, middle
from .base import PixelClassifier

#: Spectra that are classified at a time; the default of the base class is for windows.
_SPECTRA = 4096


class SpectralCNN(PixelClassifier):
    """Classify a pixel by convolutions along its spectrum.

    One convolution, maximum pooling and two dense layers, with hyperbolic tangents
    between them. Kernels are a ninth of the spectrum long and pools a fifth of a
    kernel, which are the sizes of the paper; the last pool may be shorter, so that no
    band is left out. From:

    * https://doi.org/10.1155/2015/258619

    Only the pixel in the middle of a window counts, so the window is only for what else
    gets the same data.

    Args:
        in_channels: Number of bands; any.
        num_classes: Number of classes.
        window: Rows and columns of the windows that ``forward`` gets; odd.
        filters: Number of kernels.
        hidden: Width of the dense layer.
        kernel: Bands of a kernel; a ninth of the spectrum by default.
        pool: Values of a pool; a fifth of the kernel by default.
        drop_rate: Probability with which dropout sets a hidden feature to 0; the paper
            has none.

    Raises:
        BandMismatchError: If there are no bands.
        ValueError: If there are fewer than two classes, the window is even, or the
            kernel is longer than the spectrum.

    Example:
        >>> import torch
        >>> model = SpectralCNN(in_channels=220, num_classes=8)
        >>> model(torch.rand(2, 220, 1, 1)).shape
        torch.Size([2, 8])
        >>> sum(p.numel() for p in model.parameters())  # as in the paper
        81408
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 1,
        filters: int = 20,
        hidden: int = 100,
        kernel: int | None = None,
        pool: int | None = None,
        drop_rate: float = 0.0,
    ) -> None:
        """Initialize a new SpectralCNN instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window)
        kernel = max(1, in_channels // 9) if kernel is None else kernel
        if not 1 <= kernel <= in_channels:
            raise ValueError(
                f'Expected a kernel of 1 to {in_channels} bands, got {kernel}.'
            )
        length = in_channels - kernel + 1
        pool = min(-(-kernel // 5), length) if pool is None else pool
        if not 1 <= pool <= length:
            raise ValueError(
                f'Expected a pool of 1 to {length} values behind a kernel of {kernel} '
                f'bands, got {pool}.'
            )
        self.backbone = nn.Sequential(
            nn.Conv1d(1, filters, kernel),
            nn.MaxPool1d(pool, ceil_mode=True),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(filters * -(-length // pool), hidden),
            nn.Tanh(),
            nn.Dropout(drop_rate),
        )
        self.head = nn.Linear(hidden, num_classes)

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: Windows of shape ``(B, in_channels, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """
        return self._classify_spectra(middle(x, self.window).flatten(1))

    def classify_dense(self, x: Tensor, chunk: int = _SPECTRA) -> Tensor:
        """Classify each pixel whose window lies inside of images, without windows.

        Args:
            x: Images of shape ``(B, in_channels, H, W)``.
            chunk: Pixels at a time.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        return map_pixels(self._classify_spectra, middle(x, self.window), chunk)

    def _classify_spectra(self, spectra: Tensor) -> Tensor:
        """Classify spectra of shape ``(N, in_channels)``."""
        logits: Tensor = self.head(self.backbone(spectra[:, None]))
        return logits


@register_model
def spectral_cnn(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 1,
    filters: int = 20,
    hidden: int = 100,
    kernel: int | None = None,
    pool: int | None = None,
    drop_rate: float = 0.0,
) -> SpectralCNN:
    """Build a :class:`SpectralCNN`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns of the windows; only the middle counts.
        filters: Number of kernels.
        hidden: Width of the dense layer.
        kernel: Bands of a kernel; a ninth of the spectrum by default.
        pool: Values of a pool; a fifth of the kernel by default.
        drop_rate: Probability with which dropout sets a hidden feature to 0.

    Returns:
        The model.
    """
    return SpectralCNN(
        in_channels, num_classes, window, filters, hidden, kernel, pool, drop_rate
    )
