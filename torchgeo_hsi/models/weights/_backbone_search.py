# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Where the backbone is in a model, and what of it is a head."""

from typing import Any

from torch import nn

from ...errors import BandMismatchError
from ..adapters.series_adapter import SeriesAdapter
from ..adapters.spectral_adapter import SpectralAdapter
from ..adapters.wavelength_adapter import WavelengthAdapter
from ._checkpoint_layout import ADAPTER, HEADS

#: What can be the adapter of a backbone.
ADAPTERS = (SpectralAdapter, WavelengthAdapter, SeriesAdapter)


def has_adapter(model: nn.Module) -> bool:
    """Whether a backbone has a spectral adapter."""
    return isinstance(getattr(model, 'spectral_adapter', None), ADAPTERS)


def find_backbones(model: nn.Module) -> dict[str, nn.Module]:
    """Find the modules that own a spectral adapter, by their name in the model."""
    if isinstance(model, ADAPTERS):
        return {'': nn.ModuleDict({ADAPTER.removesuffix('.'): model})}
    return {
        name: module for name, module in model.named_modules() if has_adapter(module)
    }


def find_any_backbones(model: nn.Module) -> dict[str, nn.Module]:
    """Find the modules that own a spectral adapter, else the networks of timm.

    Args:
        model: Any model.

    Returns:
        The modules, by their name in the model; of networks of timm those that are not
        a part of another one.
    """
    found = find_backbones(model)
    if found:
        return found
    for name, module in model.named_modules():
        inside = any(not outer or name.startswith(f'{outer}.') for outer in found)
        if not inside and _is_of_timm(module):
            found[name] = module
    return found


def _is_of_timm(module: Any) -> bool:
    return hasattr(module, 'pretrained_cfg') and hasattr(module, 'forward_features')


def find_backbone(model: nn.Module, adapter: bool = False) -> nn.Module:
    """Find the one backbone of a model.

    Args:
        model: Any model.
        adapter: Whether it has to have a spectral adapter.

    Returns:
        The module that owns a spectral adapter, or a network of timm.

    Raises:
        BandMismatchError: If there is none, or several.
    """
    found = find_backbones(model) if adapter else find_any_backbones(model)
    if len(found) != 1:
        names = ', '.join(found) or 'none'
        kind = 'one spectral adapter' if adapter else 'one backbone of timm'
        raise BandMismatchError(
            f'Expected a model with {kind}, such as spec_resnet50, found '
            f'{len(found)} in {type(model).__name__} ({names}). Pass the backbone itself.'
        )
    return next(iter(found.values()))


def heads_of(backbone: nn.Module) -> tuple[str, ...]:
    """Tell what the keys of the head of a backbone start with.

    Args:
        backbone: Any backbone.

    Returns:
        Starts of keys. What other networks have in their head beside the classifier,
        such as a last norm, is no head.
    """
    cfg: Any = getattr(backbone, 'pretrained_cfg', None)
    if has_adapter(backbone) or not isinstance(cfg, dict) or not cfg.get('classifier'):
        return HEADS
    names = cfg['classifier']
    return tuple(f'{n}.' for n in ([names] if isinstance(names, str) else names))


def pruned_parts(backbone: Any) -> tuple[str, ...]:
    """Name what a feature extractor leaves out of the network that it is made of.

    Args:
        backbone: Any backbone.

    Returns:
        What the keys of these parts start with.
    """
    info = getattr(backbone, 'feature_info', None)
    if hasattr(backbone, 'blocks') and hasattr(backbone, 'patch_embed') and info:
        parts = [f'blocks.{i}.' for i in range(len(backbone.blocks), len(info))]
        if isinstance(backbone.norm, nn.Identity) and isinstance(
            backbone.fc_norm, nn.Identity
        ):
            parts.append('norm.')
        return tuple(parts)
    stages = (
        getattr(info, 'info', None) if isinstance(backbone, nn.ModuleDict) else None
    )
    names = [str(stage['module']) for stage in stages or ()]
    return tuple(f'{name}.' for name in names if name not in backbone)
