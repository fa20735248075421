# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DeepShare: one encoder for cubes and for photographs."""

from typing import Literal

import torch
from torch import Tensor, nn

from ..._typing import PathLike
from ...errors import BandMismatchError
from ...physics.resampling import imresize_up
from ..api import register_model
from ..weights.restoration import load_restoration_weights
from ._deepshare_blocks import BranchUnit
from .band_groups import group_starts, join_groups, split_groups
from .base import SuperResolver

#: Numbers in a layer of the groups that are worked on at once without gradients.
_CHUNK = 2**24


class DeepShare(SuperResolver):
    """DeepShare: one encoder for cubes and for photographs, of HSISR.

    Groups of neighboring bands go through one encoder and are joined again; what
    follows sees all bands. Photographs whose three colors have been spread over as many
    channels as a group has (``modality='rgb'``) go through the same encoder, so that
    they help to train it. From:

    * https://doi.org/10.48550/arXiv.2101.07589

    Channels are weighed by their means over all pixels of the input, so what comes out
    depends a little on its extent.

    Args:
        in_channels: Bands of the cube, not less than those of a group.
        n_subs: Bands of a group, and channels of photographs.
        n_ovls: Bands that neighboring groups share.
        n_feats: Channels of the features.
        scale: Factor of rows and columns, a power of 2.
        res_scale: Factor of what residual layers add.
        residual: Whether the interpolated image is added, so that the network learns
            what interpolation leaves out, and begins with nothing. The published one
            has to learn it all.

    Example:
        >>> model = DeepShare(in_channels=31, n_feats=32, scale=4).eval()
        >>> model(torch.rand(1, 31, 6, 8)).shape
        torch.Size([1, 31, 24, 32])
        >>> model(torch.rand(1, 8, 6, 8), modality='rgb').shape
        torch.Size([1, 8, 24, 32])
    """

    #: Coarse pixels around a tile that change it, but for the means.
    context = 20

    in_channels: int

    def __init__(
        self,
        in_channels: int,
        n_subs: int = 8,
        n_ovls: int = 2,
        n_feats: int = 256,
        scale: int = 4,
        res_scale: float = 0.1,
        residual: bool = False,
    ) -> None:
        """Initialize a new DeepShare instance.

        Raises:
            BandMismatchError: If there are fewer bands than a group has.
            ValueError: If the scale is no power of 2, or groups overlap too much.
        """
        super().__init__(scale)
        if self.scale & (self.scale - 1):
            raise ValueError(
                f'DeepShare enlarges by powers of 2, not by {scale}. Take a scale of '
                '2, 4 or 8, or another network, such as essaformer.'
            )
        self.starts = group_starts(in_channels, n_subs, n_ovls)
        self.in_channels, self.rgb_channels = in_channels, n_subs
        width = n_feats
        self.branch1 = BranchUnit(n_subs, width, self.scale // 2, res_scale)
        self.branch2 = BranchUnit(width, width, 2, res_scale, n_subs)
        self.trunk = BranchUnit(in_channels, width, 1, res_scale)
        self.skip_conv = nn.Conv2d(in_channels, width, 3, padding=1)
        self.final = nn.Conv2d(width, in_channels, 3, padding=1)
        self.trunk_RGB = BranchUnit(n_subs, width, 1, res_scale)
        self.skip_conv_RGB = nn.Conv2d(n_subs, width, 3, padding=1)
        self.final_RGB = nn.Conv2d(width, n_subs, 3, padding=1)
        self.residual = residual
        for layer in (self.final, self.final_RGB) if residual else ():
            for values in layer.parameters():
                nn.init.zeros_(values)

    def enlarge(
        self,
        image: Tensor,
        up: Tensor | None = None,
        modality: Literal['spectral', 'rgb'] = 'spectral',
    ) -> Tensor:
        """Enlarge images without gaps.

        Args:
            image: Images of shape ``(B, C, h, w)``; of ``rgb_channels`` channels for
                the modality 'rgb'.
            up: The same, interpolated by
                :func:`~torchgeo_hsi.physics.resampling.imresize_up`, shape ``(B, C,
                scale * h, scale * w)``, where the caller has it.
            modality: 'spectral' for cubes, 'rgb' for the colors of photographs.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.

        Raises:
            BandMismatchError: If the shapes do not fit the network or each other.
            ValueError: If the modality is unknown.
        """
        self._check_modality(image, modality)
        if up is None:
            up = imresize_up(image, self.scale)
        shape = (*image.shape[:2], *(self.scale * n for n in image.shape[2:]))
        if up.shape != shape:
            raise BandMismatchError(
                f'Expected an interpolated image of shape {shape}, got '
                f'{tuple(up.shape)}. Make it by imresize_up, or leave it out.'
            )
        if modality == 'rgb':
            trunk = self.trunk_RGB(self._encode(image))
            return self._finish(trunk, up, self.skip_conv_RGB, self.final_RGB)
        groups = split_groups(image, self.starts, self.rgb_channels)
        encoded = self._encode(groups.flatten(0, 1))
        encoded = encoded.reshape(*groups.shape[:3], *encoded.shape[2:])
        trunk = self.trunk(join_groups(encoded, self.starts, self.in_channels))
        return self._finish(trunk, up, self.skip_conv, self.final)

    def check(self, image: Tensor) -> None:
        """Refuse what is neither a batch of cubes nor one of photographs.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Raises:
            BandMismatchError: If they are not.
            EmptyDataError: If they have no pixels.
        """
        if image.ndim == 4 and image.shape[1] == self.rgb_channels:
            image = image[:, :1].expand(-1, self.in_channels, -1, -1)
        elif image.ndim == 4 and image.shape[1] != self.in_channels:
            raise BandMismatchError(
                f'Expected {self.in_channels} bands, or {self.rgb_channels} channels of '
                f'photographs, got {image.shape[1]}. Build the network with in_channels='
                f'{image.shape[1]} (or n_subs, for photographs), or choose bands.'
            )
        super().check(image)

    def _check_modality(self, image: Tensor, modality: str) -> None:
        wanted = {'spectral': self.in_channels, 'rgb': self.rgb_channels}
        if modality not in wanted:
            raise ValueError(
                f"Expected the modality 'spectral' or 'rgb', got {modality!r}."
            )
        if image.shape[1] != wanted[modality]:
            raise BandMismatchError(
                f'Expected {wanted[modality]} channels for the modality {modality!r}, '
                f'got {image.shape[1]}.'
            )

    def _encode(self, groups: Tensor) -> Tensor:
        """Enlarge groups of bands of shape (N, S, h, w), all with the same weights."""
        if torch.is_grad_enabled():
            y: Tensor = self.branch2(self.branch1(groups))
            return y
        width = self.final.in_channels
        pixels = groups.shape[2] * groups.shape[3] * self.scale**2
        parts = torch.split(groups, max(1, _CHUNK // (width * pixels)))
        return torch.cat([self.branch2(self.branch1(part)) for part in parts])

    def _finish(
        self, trunk: Tensor, up: Tensor, skip: nn.Conv2d, final: nn.Conv2d
    ) -> Tensor:
        y: Tensor = final(trunk + skip(up))
        return y + up if self.residual else y


@register_model
def deepshare(
    in_channels: int = 31,
    n_feats: int = 256,
    scale: int = 4,
    n_subs: int = 8,
    n_ovls: int = 2,
    weights: PathLike | None = None,
    residual: bool = False,
) -> DeepShare:
    """Build :class:`DeepShare`, 21.5 million parameters for 31 bands.

    Args:
        in_channels: Bands of the cube.
        n_feats: Channels of the features.
        scale: Factor of rows and columns, a power of 2.
        n_subs: Bands of a group.
        n_ovls: Bands that neighboring groups share.
        weights: Name of weights or path of a checkpoint, see
            :func:`load_restoration_weights`; random ones by default.
        residual: Whether the interpolated image is added.

    Returns:
        The model.

    Raises:
        BandMismatchError: If there are fewer bands than a group has, or the checkpoint
            is for another number of bands.
        ValueError: If the scale is no power of 2.
    """
    model = DeepShare(in_channels, n_subs, n_ovls, n_feats, scale, residual=residual)
    if weights is not None:
        load_restoration_weights(model, weights, name='deepshare')
    return model
