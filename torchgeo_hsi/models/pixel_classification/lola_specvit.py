# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""LoLA-SpecViT: a spectral front end, windowed attention, low-rank adaptation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..._typing import PathLike
from ...errors import BandMismatchError, CorruptFileError
from ..api import register_model
from ..weights._checkpoint_file import read_checkpoint
from ._dense import map_windows
from ._lola_backbone import LoLABackbone
from .base import PixelClassifier

#: Numbers in the features of a strip of the front end.
_STRIP = 2**24

#: How the projection of spectra begins in a state dict.
_REDUCTION = 'reduction.'


class LoLASpecViT(PixelClassifier):
    """A spectral front end and windowed attention, made for low-rank adaptation.

    Principal components of the spectra go through three convolutions along rows,
    columns and the spectral axis, whose channels are then weighed and averaged over the
    spectral axis. What is left is a grid of tokens, which attend to each other within
    windows on three levels. The head gets their mean. From:

    * https://doi.org/10.1016/j.jag.2025.104924

    It is written after the description of the network, and it differs from the
    published code where that contradicts itself: tokens that fill up a window are
    masked, the SwiGLU is the multilayer perceptron of a block instead of a part of it,
    bands are dropped in front of the convolutions, components are whitened in part, and
    windows are not standardized one by one, which would take the level of their
    spectra. The convolutions of the front end do not look beyond the window, so
    ``dense`` computes them once for a map.

    Everything learns, unless a part is frozen. Low-rank matrices come later, to a
    network with pretrained weights: by :func:`~torchgeo_hsi.models.add_lora`, or with
    ``protocol='lora'`` of the task. They go to all linear layers of the attention and
    of the SwiGLUs.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components of the spectra; 0 for the bands.
        depths: Blocks of each level.
        dims: Channels of each level.
        heads: Heads of each level; divide its channels.
        attention_window: Rows and columns within which tokens attend to each other, at
            most.
        drop_path: Probability with which a branch of the last block is left out in
            training; it rises from 0 at the first block.
        band_dropout: Probability with which a component is left out in training.
        drop_rate: Dropout behind the position embedding.
        whiten: From 0, with which components keep the ratios of their deviations,
            to 1, with which all have the same, noise included.

    Example:
        >>> model = lola_specvit_tiny(in_channels=50, num_classes=6, window=9).eval()
        >>> model(torch.rand(2, 50, 9, 9)).shape
        torch.Size([2, 6])
        >>> model.dense(torch.rand(1, 50, 12, 10)).shape
        torch.Size([1, 6, 12, 10])
    """

    def __init__(
        self,
        in_channels: int = 202,
        num_classes: int = 2,
        window: int = 15,
        components: int = 15,
        depths: Sequence[int] = (3, 4, 19),
        dims: Sequence[int] = (96, 192, 384),
        heads: Sequence[int] = (4, 8, 16),
        attention_window: int = 7,
        drop_path: float = 0.2,
        band_dropout: float = 0.1,
        drop_rate: float = 0.1,
        whiten: float = 0.25,
    ) -> None:
        """Initialize a new LoLASpecViT instance.

        Raises:
            BandMismatchError: If there are fewer bands than components, or none.
            ValueError: If there are fewer than two classes, the window is even, levels
                do not fit together, or a rate is out of its range.
        """
        super().__init__(in_channels, num_classes, window, components, whiten)
        self.backbone = LoLABackbone(
            window,
            depths,
            dims,
            heads,
            attention_window,
            drop_path,
            drop_rate,
            band_dropout,
        )
        self.head = nn.Linear(self.backbone.num_features, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows whose spectra are reduced.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """
        logits: Tensor = self.head(self.backbone(x))
        return logits

    def classify_dense(self, x: Tensor, chunk: int = 1024) -> Tensor:
        """Classify each pixel whose window lies inside of images.

        The convolutions of the front end run once over strips of the image; windows of
        what they give are then classified *chunk* at a time.

        Args:
            x: Images of shape ``(B, depth, H, W)`` with reduced spectra.
            chunk: Windows at a time.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        if self.training:
            # statistics and dropout are those of windows
            return super().classify_dense(x, chunk)
        edge = self.window - 1
        pixels = _STRIP // (self.backbone.position.shape[-1] * self.depth)
        # a strip is no shorter than its edge, which is computed twice
        step = max(self.window, pixels // x.shape[3] - edge)
        tops = range(0, x.shape[2] - edge, step)
        strips = [self._strip(x[:, :, top : top + step + edge], chunk) for top in tops]
        return torch.cat(strips, dim=2)

    def _strip(self, x: Tensor, chunk: int) -> Tensor:
        """Classify the pixels of a strip."""
        front = self.backbone.front

        def classify(some: Tensor) -> Tensor:
            logits: Tensor = self.head(self.backbone.attend(front.weigh(some)))
            return logits

        return map_windows(classify, front.volume(x), front.size, chunk)

    def load_trunk(self, path: PathLike) -> None:
        """Load all but the head from a checkpoint, which may know other classes.

        With the weights come the principal components, so nothing is fitted again.
        Nothing but tensors is read from the file.

        Args:
            path: Checkpoint of
                :class:`~torchgeo_hsi.tasks.HSIPixelClassification`, or a state dict
                of this model.

        Raises:
            FileNotFoundError: If there is no such file.
            CorruptFileError: If the file is damaged, or of another network.
            BandMismatchError: If it has been trained with another number of bands or
                components.
        """
        where = 'Expected a checkpoint of HSIPixelClassification with this model.'
        state = read_checkpoint(path, where=where).state
        first = next((key for key in state if 'backbone.' in key), '')
        prefix = first.partition('backbone.')[0]
        parts = tuple(prefix + part for part in ('backbone.', _REDUCTION))
        trunk = {
            k.removeprefix(prefix): v for k, v in state.items() if k.startswith(parts)
        }
        own = {k: v for k, v in self.state_dict().items() if not k.startswith('head.')}
        _check_trunk(trunk, own, str(path))
        self.load_state_dict(trunk, strict=False)


def _check_trunk(trunk: dict[str, Tensor], own: dict[str, Tensor], path: str) -> None:
    """Check that a checkpoint has what a model needs, and nothing else.

    Raises:
        CorruptFileError: If the file is of another network.
        BandMismatchError: If it has been trained with other bands or components.
    """
    shapes = [
        {k: tuple(v.shape) for k, v in some.items() if k.startswith(_REDUCTION)}
        for some in (trunk, own)
    ]
    if trunk and shapes[0] != shapes[1]:
        size = [found.get('reduction.projection', 'none') for found in shapes]
        raise BandMismatchError(
            f'{path} has a projection of (components, bands) {size[0]}, this model of '
            f'{size[1]}. Build it with the same in_channels and components, and select '
            'these bands of the dataset.'
        )
    if any('.lora_' in key for key in trunk):
        raise CorruptFileError(
            f'{path} has low-rank matrices beside its weights. Load the whole model, '
            'call torchgeo_hsi.models.merge_lora, and save its state dict.'
        )
    wrong = sorted(own.keys() ^ trunk.keys())
    wrong += [
        key for key in own.keys() & trunk.keys() if own[key].shape != trunk[key].shape
    ]
    if wrong:
        raise CorruptFileError(
            f'{path} is not of this network: {len(wrong)} tensors are missing, unknown '
            f'or of another shape, such as {wrong[0]}. Build the model with the '
            'window, depths, dims and heads of the checkpoint.'
        )


@register_model
def lola_specvit(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 15,
    components: int = 15,
    depths: Sequence[int] = (3, 4, 19),
    dims: Sequence[int] = (96, 192, 384),
    heads: Sequence[int] = (4, 8, 16),
    attention_window: int = 7,
    drop_path: float = 0.2,
    band_dropout: float = 0.1,
    drop_rate: float = 0.1,
    whiten: float = 0.25,
) -> LoLASpecViT:
    """Build a :class:`LoLASpecViT` as deep and wide as the published one.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components of the spectra; 0 for the bands.
        depths: Blocks of each level.
        dims: Channels of each level.
        heads: Heads of each level.
        attention_window: Rows and columns within which tokens attend to each other.
        drop_path: Probability with which a branch of the last block is left out.
        band_dropout: Probability with which a component is left out.
        drop_rate: Dropout behind the position embedding.
        whiten: From 0 for the components as they are to 1 for unit variance.

    Returns:
        The model.
    """
    return LoLASpecViT(
        in_channels,
        num_classes,
        window,
        components,
        depths,
        dims,
        heads,
        attention_window,
        drop_path,
        band_dropout,
        drop_rate,
        whiten,
    )


@register_model
def lola_specvit_tiny(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 9,
    components: int = 15,
    depths: Sequence[int] = (2, 4),
    dims: Sequence[int] = (48, 96),
    heads: Sequence[int] = (2, 4),
    attention_window: int = 7,
    drop_path: float = 0.1,
    band_dropout: float = 0.1,
    drop_rate: float = 0.1,
    whiten: float = 0.25,
) -> LoLASpecViT:
    """Build a small :class:`LoLASpecViT`, for few labels and a CPU.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components of the spectra; 0 for the bands.
        depths: Blocks of each level.
        dims: Channels of each level.
        heads: Heads of each level.
        attention_window: Rows and columns within which tokens attend to each other.
        drop_path: Probability with which a branch of the last block is left out.
        band_dropout: Probability with which a component is left out.
        drop_rate: Dropout behind the position embedding.
        whiten: From 0 for the components as they are to 1 for unit variance.

    Returns:
        The model.
    """
    return LoLASpecViT(
        in_channels,
        num_classes,
        window,
        components,
        depths,
        dims,
        heads,
        attention_window,
        drop_path,
        band_dropout,
        drop_rate,
        whiten,
    )
