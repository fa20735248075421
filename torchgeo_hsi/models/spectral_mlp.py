# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A multilayer perceptron on the spectrum of each pixel."""

from collections.abc import Sequence

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from ..errors import BandMismatchError
from .api import register_model


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

    Raises:
        BandMismatchError: If *in_channels* is not positive.

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
        hidden: Sequence[int] = (256, 256),
        drop_rate: float = 0.1,
    ) -> None:
        """Initialize a new SpectralMLP instance.

        Args:
            in_channels: Number of bands.
            num_classes: Number of classes.
            hidden: Width of each hidden layer.
            drop_rate: Probability with which dropout sets an activation to 0.

        Raises:
            BandMismatchError: If *in_channels* is not positive.
        """
        super().__init__()
        if in_channels < 1:
            raise BandMismatchError(f'Expected at least one band, got {in_channels}.')
        self.in_channels = in_channels
        layers: list[nn.Module] = []
        width = in_channels
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

    def forward(self, x: Tensor) -> Tensor:
        """Classify the pixels of images.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.

        Raises:
            BandMismatchError: If *C* is not ``in_channels``.
        """
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise BandMismatchError(
                f'Expected images of shape (batch, {self.in_channels}, height, width), '
                f'got {tuple(x.shape)}. Build the model with in_channels equal to the '
                'number of bands of the dataset, or select these bands.'
            )
        logits: Tensor = self.head(self.layers(x))
        return logits


@register_model
def spectral_mlp(
    in_channels: int = 202,
    num_classes: int = 1000,
    hidden: Sequence[int] = (256, 256),
    drop_rate: float = 0.1,
) -> SpectralMLP:
    """Build a :class:`SpectralMLP`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        hidden: Width of each hidden layer.
        drop_rate: Probability with which dropout sets an activation to 0.

    Returns:
        The model.
    """
    return SpectralMLP(in_channels, num_classes, hidden, drop_rate)
