# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""SpectralFormer: a transformer whose tokens are groups of neighboring bands."""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ..api import register_model
from .base import CHUNK, PixelClassifier

#: Tokens that go through a transformer at once without gradients: they stay in the
#: caches of a processor.
_TOKENS = 2**13


class _SpectralTrunk(nn.Module):
    """All layers of SpectralFormer but the last."""

    places: Tensor

    def __init__(
        self,
        bands: int,
        window: int,
        group: int,
        stride: int,
        dim: int,
        layers: int,
        heads: int,
        mlp_dim: int,
        fusion: bool,
        drop_rate: float,
    ) -> None:
        super().__init__()
        centers = torch.arange(0, bands, stride)
        around = torch.arange(group) - group // 2
        # the first and last bands are repeated beyond the ends of the spectrum
        places = (centers[:, None] + around).clamp(0, bands - 1)
        self.register_buffer('places', places, persistent=False)
        self.embedding = nn.Linear(group * window**2, dim)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, 1 + len(centers), dim))
        for values in (self.class_token, self.positions):
            nn.init.trunc_normal_(values, std=0.02)
        self.dropout = nn.Dropout(drop_rate)
        self.blocks = nn.ModuleList(
            Block(dim, heads, mlp_ratio=mlp_dim / dim, proj_drop=drop_rate)
            for _ in range(layers)
        )
        fused = max(0, layers - 2) if fusion else 0
        # half of each at first
        self.fusion = nn.Parameter(torch.full((fused, 2), 0.5)) if fused else None
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of windows, ``(B, dim)``."""
        groups = x[:, self.places].flatten(2)
        x = self.embedding(groups)
        x = torch.cat((self.class_token.expand(len(x), -1, -1), x), dim=1)
        x = self.dropout(x + self.positions)
        before: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            before.append(x)
            if self.fusion is not None and i > 1:
                own, other = self.fusion[i - 2]
                x = own * x + other * before[i - 2]
            x = block(x)
        features: Tensor = self.norm(x[:, 0])
        return features


class SpectralFormer(PixelClassifier):
    """SpectralFormer: attention between groups of neighboring bands.

    Each token is a group of neighboring bands, of the pixel (``window=1``) or of all
    pixels of the window; groups overlap. What goes into a layer of the transformer is
    mixed with what went into the layer two before it, by two learned weights
    (cross-layer adaptive fusion). A class token collects what the head gets. From:

    * https://doi.org/10.1109/TGRS.2021.3130716

    Defaults are those of the paper for single pixels; with ``window=7`` they are those
    for windows. The published code differs in two ways: it continues a spectrum at its
    end with its beginning, where here the last band is repeated, and its fusion mixes
    all tokens by a dense layer, with parameters that grow with the square of the number
    of bands.

    The work grows with the square of the number of tokens. With ``stride=group`` groups
    do not overlap, which is several times as fast.

    Args:
        in_channels: Number of bands, in the order of their wavelengths.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components; 0, the default, for the bands:
            neighboring components have nothing in common.
        group: Bands of a token; odd.
        stride: Bands from one token to the next.
        dim: Width of the tokens.
        layers: Number of layers.
        heads: Number of attention heads.
        mlp_dim: Width of the hidden layer behind each attention.
        fusion: Whether layers are fused.
        drop_rate: Probability with which dropout sets a feature to 0.

    Raises:
        BandMismatchError: If there are fewer bands than components, or none.
        ValueError: If there are fewer than two classes, the window or the group is
            even, or the heads do not share *dim* evenly.

    Example:
        >>> import torch
        >>> model = SpectralFormer(in_channels=200, num_classes=16, window=7)
        >>> model(torch.rand(2, 200, 7, 7)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 1,
        components: int = 0,
        group: int = 3,
        stride: int = 1,
        dim: int = 64,
        layers: int = 5,
        heads: int = 4,
        mlp_dim: int = 8,
        fusion: bool = True,
        drop_rate: float = 0.1,
    ) -> None:
        """Initialize a new SpectralFormer instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window, components)
        if group < 1 or group % 2 == 0:
            raise ValueError(
                f'Expected an odd group, with a band in its middle, got {group}. Use '
                f'{group + 1}.'
            )
        if not 1 <= stride <= self.depth:
            raise ValueError(
                f'Expected a stride of 1 to {self.depth} bands, got {stride}.'
            )
        if dim % heads:
            raise ValueError(
                f'Expected heads that share dim={dim} evenly, got {heads}.'
            )
        self.backbone = _SpectralTrunk(
            self.depth,
            window,
            group,
            stride,
            dim,
            layers,
            heads,
            mlp_dim,
            fusion,
            drop_rate,
        )
        self.head = nn.Linear(dim, num_classes)

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """
        logits: Tensor = self.head(self.backbone(x))
        return logits

    def classify_dense(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """Classify each pixel whose window lies inside of images.

        Args:
            x: Images of shape ``(B, depth, H, W)``.
            chunk: Windows at a time, less if there are many tokens.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        tokens = self.backbone.positions.shape[1]
        return super().classify_dense(x, min(chunk, max(1, _TOKENS // tokens)))


@register_model
def spectralformer(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 1,
    components: int = 0,
    group: int = 3,
    stride: int = 1,
    dim: int = 64,
    layers: int = 5,
    heads: int = 4,
    mlp_dim: int = 8,
    fusion: bool = True,
    drop_rate: float = 0.1,
) -> SpectralFormer:
    """Build a :class:`SpectralFormer`.

    Args:
        in_channels: Number of bands, in the order of their wavelengths.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components; 0 for the bands.
        group: Bands of a token; odd.
        stride: Bands from one token to the next.
        dim: Width of the tokens.
        layers: Number of layers.
        heads: Number of attention heads.
        mlp_dim: Width of the hidden layer behind each attention.
        fusion: Whether layers are fused.
        drop_rate: Probability with which dropout sets a feature to 0.

    Returns:
        The model.
    """
    return SpectralFormer(
        in_channels,
        num_classes,
        window,
        components,
        group,
        stride,
        dim,
        layers,
        heads,
        mlp_dim,
        fusion,
        drop_rate,
    )
