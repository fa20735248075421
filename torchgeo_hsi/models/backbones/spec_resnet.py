# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""ResNet behind a spectral adapter, as in SpectralEarth."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import timm
import torch.nn.functional as F
from timm.layers.classifier import create_classifier
from timm.layers.drop import DropPath
from timm.models import checkpoint_seq, generate_default_cfgs
from timm.models.resnet import Bottleneck, downsample_conv
from torch import Tensor, nn

from ..adapters.spectral_adapter import SpectralAdapter
from ..api import register_model
from ..weights.load import build_backbone

#: Blocks and output channels of the four stages.
_BLOCKS = (3, 4, 6, 3)
_WIDTHS = (256, 512, 1024, 2048)


class _PlainBottleneck(Bottleneck):
    """Bottleneck whose output is as wide as its middle: the first block."""

    expansion = 1


def _plan(
    output_stride: int, dilations: Sequence[int] | None
) -> list[tuple[bool, list[int]]]:
    """Plan the four stages.

    Args:
        output_stride: Greatest stride.
        dilations: Dilation of each stage, or None for the one that fits.

    Returns:
        For each stage whether it halves the resolution, and the dilations of its
        blocks. A block that no longer strides still sees its input undilated.
    """
    if output_stride not in (1, 2, 4, 8, 16, 32) or len(dilations or _BLOCKS) != 4:
        raise ValueError(
            'Expected an output stride of 1, 2, 4, 8, 16 or 32 and four dilations or '
            f'none, got {output_stride} and {dilations}.'
        )
    plan = []
    stride = dilation = 1
    for i, blocks in enumerate(_BLOCKS):
        halve = stride < output_stride
        stride = 2 * stride if halve else stride
        first, dilation = dilation, dilation if halve else 2 * dilation
        if dilations is not None:
            first = dilation = dilations[i]
        plan.append((halve, [first] + [dilation] * (blocks - 1)))
    return plan


def _make_stage(
    stage: int, halve: bool, dilations: Sequence[int], drop_paths: Sequence[float]
) -> nn.Sequential:
    """Build one stage.

    Args:
        stage: Which one, from 0.
        halve: Whether the first block halves the resolution.
        dilations: Dilation of each block.
        drop_paths: Stochastic depth of each block.
    """
    width = _WIDTHS[stage]
    channels = _WIDTHS[stage - 1] if stage else SpectralAdapter.out_chans
    stride = 2 if halve else 1
    blocks = []
    for i, (dilation, rate) in enumerate(zip(dilations, drop_paths, strict=True)):
        first = i == 0
        block = _PlainBottleneck if first and stage == 0 else Bottleneck
        blocks.append(
            block(
                channels if first else width,
                width // block.expansion,
                stride=stride if first else 1,
                downsample=downsample_conv(channels, width, 1, stride=stride)
                if first
                else None,
                dilation=dilation,
                drop_path=DropPath(rate) if rate > 0 else None,
            )
        )
    return nn.Sequential(*blocks)


class SpecResNet(nn.Module):
    """ResNet with bottleneck blocks behind a spectral adapter.

    The adapter takes the place of the stem, and there is no max-pooling: the first
    block halves the resolution, so the four stages have strides of 2, 4, 8 and 16. The
    keys of the state dict are those of the published checkpoints without their prefix
    ``resnet.``.

    As a feature extractor (``features_only=True``) it has five levels: the four stages
    (the default) and, as level 4, the last stage pooled to a stride of 32, which
    decoders for ordinary ResNets ask for. With an *output_stride* of 16 or less level 4
    is the last stage itself.

    If you use this model in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> import torch
        >>> model = SpecResNet(in_chans=202, num_classes=5).eval()
        >>> model(torch.rand(1, 202, 32, 32)).shape
        torch.Size([1, 5])
        >>> [tuple(f.shape[1:]) for f in model.forward_intermediates(
        ...     torch.rand(1, 202, 32, 32), indices=2, intermediates_only=True)]
        [(1024, 4, 4), (2048, 2, 2)]
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    fc: nn.Module

    def __init__(
        self,
        in_chans: int = 202,
        num_classes: int = 0,
        global_pool: str = 'avg',
        output_stride: Literal[1, 2, 4, 8, 16, 32] = 32,
        dilations: Sequence[int] | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        zero_init_last: bool = True,
        adapter_layer: Callable[[int], nn.Module] = SpectralAdapter,
    ) -> None:
        """Initialize a new SpecResNet instance.

        Args:
            in_chans: Number of bands of the input, at least 75 for the usual adapter.
            num_classes: Number of outputs of the head; 0 for features.
            global_pool: Pooling in front of the head, see timm.
            output_stride: Greatest stride; strides beyond it are replaced by dilated
                convolutions, so that the receptive field stays. The stages need no
                more than 16, so 32 only makes a difference to feature extraction.
                With 1 every map has the size of the input, which takes much memory.
            dilations: Dilation of all 3 x 3 convolutions in each of the four stages,
                instead of the one that keeps the receptive field. The dense mode of
                SpectralEarth is ``output_stride=1, dilations=(1, 2, 4, 8)``.
            drop_rate: Dropout in front of the head.
            drop_path_rate: Stochastic depth of the last block; less in the others.
            zero_init_last: Whether each block starts as the identity.
            adapter_layer: Makes the adapter from the number of bands; it puts out 128
                feature maps.

        Raises:
            BandMismatchError: If the adapter cannot take *in_chans* bands.
            ValueError: If *output_stride* is not a power of 2 up to 32, or there are
                not four *dilations*.
        """
        super().__init__()
        self.in_chans = in_chans
        self.num_classes = num_classes
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self.feature_info: list[dict[str, Any]] = []
        self.spectral_adapter = adapter_layer(in_chans)
        self._add_stages(output_stride, dilations, drop_path_rate)
        self.num_features = _WIDTHS[-1]
        self.global_pool, self.fc = create_classifier(
            self.num_features, num_classes, pool_type=global_pool
        )
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()
        self._init_weights(zero_init_last)

    def _add_stages(
        self, output_stride: int, dilations: Sequence[int] | None, drop_path_rate: float
    ) -> None:
        """Build the stages and describe their outputs."""
        step = drop_path_rate / (sum(_BLOCKS) - 1)
        done, reduction = 0, 1
        for i, (halve, dilated) in enumerate(_plan(output_stride, dilations)):
            rates = [step * block for block in range(done, done + len(dilated))]
            self.add_module(f'layer{i + 1}', _make_stage(i, halve, dilated, rates))
            done, reduction = done + len(dilated), reduction * (1 + halve)
            self.feature_info.append(
                {
                    'num_chs': _WIDTHS[i],
                    'reduction': reduction,
                    'module': f'layer{i + 1}',
                }
            )
        halve = reduction < output_stride
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if halve else nn.Identity()
        self.feature_info.append(
            {
                'num_chs': _WIDTHS[-1],
                'reduction': reduction * (1 + halve),
                'module': 'pool',
            }
        )

    def _init_weights(self, zero_init_last: bool) -> None:
        """Initialize the convolutions of the stages."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode='fan_out', nonlinearity='relu'
                )
            elif isinstance(module, Bottleneck) and zero_init_last:
                module.zero_init_last()

    def _run(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        """Run a stage, block by block without its activations if so set."""
        if self.grad_checkpointing:
            return cast(Tensor, checkpoint_seq(stage, x))
        return cast(Tensor, stage(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Run all stages.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Output of the last stage, ``(B, 2048, H / 16, W / 16)``.

        Raises:
            BandMismatchError: If the number of bands is not ``in_chans``.
        """
        x = self.spectral_adapter(x)
        x = self._run(self.layer1, x)
        x = self._run(self.layer2, x)
        x = self._run(self.layer3, x)
        return self._run(self.layer4, x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Pool and classify.

        Args:
            x: Output of :meth:`forward_features`.
            pre_logits: Whether to stop in front of the last layer.

        Returns:
            Logits of shape ``(B, num_classes)``, or features ``(B, 2048)``.
        """
        x = self.global_pool(x)
        if self.drop_rate > 0:
            x = F.dropout(x, p=self.drop_rate, training=self.training)
        return x if pre_logits else self.fc(x)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images, or turn them into features if there is no head.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes)``, or features ``(B, 2048)``.

        Raises:
            BandMismatchError: If the number of bands is not ``in_chans``.
        """
        return self.forward_head(self.forward_features(x))

    def _levels(self, indices: int | Sequence[int] | None) -> list[int]:
        """Resolve indices of features; a number counts stages from the last one."""
        if indices is None or isinstance(indices, int):
            levels = list(range(4))[-(indices or 4) :]
        else:
            levels = [i + 5 if i < 0 else i for i in indices]
        if not levels or not all(0 <= i < 5 for i in levels):
            raise ValueError(f'Expected levels from 0 to 4, got {indices}.')
        return levels

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return feature maps of several levels, as timm's models do.

        Args:
            x: Images of shape ``(B, C, H, W)``.
            indices: Levels to return: the four stages by default, the last *n* stages
                if a number, or levels from 0 (the first stage) to 4 (the pooled one).
            norm: Has no effect: the last layers of the stages are normalized. For
                compatibility.
            stop_early: Whether to skip stages behind the last level.
            output_fmt: Must be ``'NCHW'``.
            intermediates_only: Whether to return the feature maps only.

        Returns:
            Output of the last stage that was run, and the feature maps; or the latter.

        Raises:
            BandMismatchError: If the number of bands is not ``in_chans``.
            ValueError: If *output_fmt* is another one.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f'Expected output_fmt="NCHW", got {output_fmt!r}.')
        levels = self._levels(indices)
        x = self.spectral_adapter(x)
        maps = {}
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        for i, stage in enumerate(stages):
            if stop_early and i > max(levels):
                break
            maps[i] = x = self._run(stage, x)
        if 4 in levels:
            maps[4] = self.pool(x)
        found = [maps[i] for i in sorted(levels)]
        return found if intermediates_only else (x, found)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Return patterns that sort parameters into layers, for timm's optimizers.

        Args:
            coarse: Whether stages, not blocks, are the layers.
        """
        blocks = r'^layer(\d+)' if coarse else r'^layer(\d+)\.(\d+)'
        return {'stem': r'^spectral_adapter', 'blocks': blocks}

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory in training.

        Args:
            enable: Whether the activations inside of blocks are computed again in the
                backward pass.
        """
        self.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        """Return the last layer of the head."""
        return self.fc

    def reset_classifier(
        self, num_classes: int, global_pool: str | None = None
    ) -> None:
        """Replace the head.

        Args:
            num_classes: Number of outputs; 0 for features.
            global_pool: Pooling in front of it; as before by default.
        """
        self.num_classes = num_classes
        pool = self.global_pool.pool_type if global_pool is None else global_pool
        self.global_pool, fc = create_classifier(
            self.num_features, num_classes, pool_type=pool
        )
        like = next(self.parameters())
        self.fc = fc.to(device=like.device, dtype=like.dtype)
        self.head_hidden_size = self.num_features * self.global_pool.feat_mult()


default_cfgs = generate_default_cfgs(
    {
        'spec_resnet50': {
            'input_size': (202, 128, 128),
            'pool_size': (8, 8),
            'num_classes': 0,
            'mean': (0.0,),
            'std': (1.0,),
            # no first convolution: its weights fit any number of bands
            'first_conv': None,
            'classifier': 'fc',
        }
    }
)


@register_model
@timm.models.register_model
def spec_resnet50(pretrained: bool = False, **kwargs: Any) -> SpecResNet:
    """ResNet-50 behind a spectral adapter (24.2 M parameters).

    Args:
        pretrained: Whether to load weights; needs their file, see
            :func:`load_spectral_earth_weights`.
        **kwargs: Arguments of :class:`SpecResNet` and of timm's ``create_model``.

    Returns:
        The model, or a feature extractor with ``features_only=True``.
    """
    feature_cfg = {'out_indices': (0, 1, 2, 3)}
    model = build_backbone(
        SpecResNet, 'spec_resnet50', pretrained, feature_cfg=feature_cfg, **kwargs
    )
    return cast(SpecResNet, model)
