# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What heads, protocols and probes have to know about backbones of timm."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from .adapter_backbone import SpectralAdapterBackbone
from .spec_resnet import SpecResNet

Pool = Literal['token', 'avg']

#: What networks of timm call the list of their blocks or stages.
_BLOCK_LISTS = ('blocks', 'stages', 'layers')
_STAGES = (('layer1', 'layer2', 'layer3', 'layer4'), ('s1', 's2', 's3', 's4'))


def make_backbone(name: str, in_channels: int, kwargs: dict[str, Any] | None) -> Any:
    """Build a backbone of timm without a head.

    Args:
        name: Its name in timm.
        in_channels: Number of bands.
        kwargs: More arguments of ``timm.create_model``.

    Returns:
        The network.

    Raises:
        BandMismatchError: If the spectral adapter cannot take so few bands.
    """
    return timm.create_model(
        name, in_chans=in_channels, num_classes=0, **(kwargs or {})
    )


def drop_unused(backbone: nn.Module, levels: Sequence[int]) -> None:
    """Take out what some networks have behind their last feature map.

    Distributed training refuses parameters that never get a gradient.

    Args:
        backbone: A backbone, changed in place.
        levels: The feature maps that are used.
    """
    network = network_of(backbone)
    if isinstance(getattr(network, 'head', None), nn.Module):
        network.head = nn.Identity()
    if hasattr(network, 'conv_head') and hasattr(network, 'prune_intermediate_layers'):
        network.prune_intermediate_layers(
            list(levels), prune_norm=True, prune_head=True
        )


def network_of(backbone: nn.Module) -> Any:
    """Return the network behind an adapter, or the backbone itself."""
    return (
        backbone.backbone if isinstance(backbone, SpectralAdapterBackbone) else backbone
    )


def is_vit(backbone: nn.Module) -> bool:
    """Whether a backbone is a plain vision transformer."""
    network = network_of(backbone)
    return hasattr(network, 'num_prefix_tokens') and hasattr(network, 'blocks')


def blocks_of(backbone: nn.Module) -> list[nn.Module]:
    """List the parts that a backbone runs in turn.

    Args:
        backbone: A backbone.

    Returns:
        The blocks of a vision transformer, the stages of other networks.

    Raises:
        ValueError: If they cannot be found.
    """
    network = network_of(backbone)
    for name in _BLOCK_LISTS:
        blocks = getattr(network, name, None)
        if isinstance(blocks, nn.ModuleList | nn.Sequential) and len(blocks) > 1:
            return list(blocks)
    for names in _STAGES:
        if all(hasattr(network, name) for name in names):
            return [getattr(network, name) for name in names]
    raise ValueError(
        f'Expected a backbone with blocks or stages, got {type(network).__name__}, '
        'which has neither. Use another protocol.'
    )


def levels_of(backbone: nn.Module, count: int) -> list[int]:
    """Choose the feature maps that heads work on.

    Args:
        backbone: A backbone.
        count: 1 for the last one, or 4.

    Returns:
        Levels for ``forward_intermediates``: the last ones; blocks at a third, a half,
        two thirds and the end of a vision transformer.
    """
    if is_vit(backbone):
        depth = len(network_of(backbone).blocks)
        levels = [depth // 3 - 1, depth // 2 - 1, 2 * depth // 3 - 1, depth - 1]
        return [max(level, 0) for level in levels[-count:]]
    # the fifth level of this one is the fourth again, pooled
    total = 4 if isinstance(backbone, SpecResNet) else len(_infos(backbone))
    return list(range(total))[-count:]


def _infos(backbone: Any) -> Sequence[dict[str, Any]]:
    return cast(Sequence[dict[str, Any]], backbone_info(backbone))


def backbone_info(backbone: Any) -> Any:
    """Return timm's description of the feature maps.

    Args:
        backbone: A backbone.

    Returns:
        One dictionary for each level.

    Raises:
        ValueError: If the network has no feature maps.
    """
    info = getattr(network_of(backbone), 'feature_info', None)
    if not info or not hasattr(backbone, 'forward_intermediates'):
        raise ValueError(
            f'Expected a backbone with feature maps, got {type(backbone).__name__}.'
        )
    return info


def map_sizes(backbone: nn.Module, levels: Sequence[int]) -> list[tuple[int, int]]:
    """Tell channels and strides of feature maps.

    Args:
        backbone: A backbone.
        levels: The levels.

    Returns:
        Number of channels and stride of each.
    """
    infos = _infos(backbone)
    return [(infos[i]['num_chs'], infos[i]['reduction']) for i in levels]


def _patch_size(backbone: nn.Module) -> tuple[int, int]:
    """Return what sides of images have to be multiples of."""
    embed = getattr(network_of(backbone), 'patch_embed', None)
    size = getattr(embed, 'patch_size', None)
    return tuple(size) if isinstance(size, tuple | list) else (1, 1)


def check_size(backbone: nn.Module, x: Tensor) -> None:
    """Check that a backbone takes images of this size.

    Args:
        backbone: A backbone.
        x: Images of shape ``(B, C, H, W)``.

    Raises:
        ValueError: If it takes another size only.
    """
    embed: Any = getattr(network_of(backbone), 'patch_embed', None)
    size = getattr(embed, 'img_size', None)
    if size is None or not getattr(embed, 'strict_img_size', False):
        return
    height, width = x.shape[-2:]
    if tuple(size) != (height, width):
        raise ValueError(
            f'The backbone takes images of {size[0]} x {size[1]} pixels, got '
            f'{height} x {width} pixels. Build it with img_size=({height}, {width}), or '
            'for images of any size with dynamic_img_size=True (model_kwargs).'
        )


def whole_patches(backbone: Any, x: Tensor) -> Tensor:
    """Repeat the last rows and columns of images to fill the last patches.

    Args:
        backbone: A backbone.
        x: Images of shape ``(B, C, H, W)``.

    Returns:
        Images whose sides are multiples of the size of a patch.

    Raises:
        ValueError: If the backbone takes another size only.
    """
    down, right = (
        -side % patch
        for side, patch in zip(x.shape[-2:], _patch_size(backbone), strict=True)
    )
    if down or right:
        x = F.pad(x, (0, right, 0, down), mode='replicate')
    check_size(backbone, x)
    return x


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps, unless they have the size already.

    Args:
        x: Maps of shape ``(B, F, h, w)``.
        size: Height and width wanted.

    Returns:
        Maps of that size.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)


def feature_maps(
    backbone: Any, x: Tensor, levels: Sequence[int]
) -> tuple[list[Tensor], tuple[int, int]]:
    """Compute feature maps of images of any size.

    Args:
        backbone: A backbone.
        x: Images of shape ``(B, C, H, W)``.
        levels: The levels.

    Returns:
        The maps, and the height and width of the images that they belong to: those of
        *x*, plus what its last rows and columns are repeated to fill the last patches,
        or to make one place of the last map.

    Raises:
        ValueError: If the backbone takes images of another size only.
    """
    least = max(stride for _, stride in map_sizes(backbone, levels))
    height, width = (
        max(-(-side // patch) * patch, least)
        for side, patch in zip(x.shape[-2:], _patch_size(backbone), strict=True)
    )
    down, right = height - x.shape[-2], width - x.shape[-1]
    if down or right:
        x = F.pad(x, (0, right, 0, down), mode='replicate')
    check_size(backbone, x)
    # a shallow network may be asked for the same level twice
    wanted = sorted(set(levels))
    maps = backbone.forward_intermediates(
        x, indices=wanted, norm=True, output_fmt='NCHW', intermediates_only=True
    )
    return [maps[wanted.index(level)] for level in levels], (height, width)


def pooled_features(backbone: Any, x: Tensor, pool: Pool | None) -> Tensor:
    """Compute one feature vector for each image.

    Args:
        backbone: A backbone.
        x: Images of shape ``(B, C, H, W)``.
        pool: Take the class token of a vision transformer, or average the others; by
            default what the backbone does itself.

    Returns:
        Features of shape ``(B, F)``.

    Raises:
        ValueError: If the backbone takes images of another size only.
    """
    features = backbone.forward_features(whole_patches(backbone, x))
    if not is_vit(backbone) or pool is None:
        return cast(Tensor, backbone.forward_head(features, pre_logits=True))
    if pool == 'token':
        return cast(Tensor, features[:, 0])
    prefix = network_of(backbone).num_prefix_tokens
    return cast(Tensor, features[:, prefix:].mean(dim=1))


def check_pool(backbone: nn.Module, pool: Pool | None) -> None:
    """Check that a backbone can pool this way.

    Args:
        backbone: A backbone.
        pool: How to pool.

    Raises:
        ValueError: If it has no class token, or there is no such way.
    """
    if pool not in ('token', 'avg', None):
        raise ValueError(f"Expected pool 'token' or 'avg', got {pool!r}.")
    token = getattr(network_of(backbone), 'cls_token', None)
    if pool == 'token' and (not is_vit(backbone) or token is None):
        raise ValueError(
            f'{type(backbone).__name__} has no class token. Use pool="avg".'
        )
