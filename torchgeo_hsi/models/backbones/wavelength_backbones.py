# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbones with the adapter that knows wavelengths: ``spec_*_wl``."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import timm
from timm.models import generate_default_cfgs
from torch import nn

from ..adapters.wavelength_adapter import WavelengthAdapter
from ..api import register_model
from ..weights.load import build_backbone, meet_torchgeo
from .adapter_backbone import BACKBONES, SpectralAdapterBackbone, backbone_cfg
from .spec_resnet import SpecResNet
from .spec_resnet import default_cfgs as _resnet_cfgs
from .spec_vit import SIZES, build_vit
from .spec_vit import default_cfgs as _vit_cfgs

#: What all names end with.
SUFFIX = '_wl'

#: Makes an adapter from the number of bands, and from their ``wavelength`` and ``fwhm``.
type AdapterLayer = Callable[..., nn.Module]


def _take_bands(kwargs: dict[str, Any], adapter: AdapterLayer) -> dict[str, Any]:
    """Turn the bands among the arguments of a network into an adapter for them."""
    kwargs = dict(kwargs)
    bands = {name: kwargs.pop(name, None) for name in ('wavelength', 'fwhm')}
    if bands['wavelength'] is not None:
        kwargs.setdefault('in_chans', len(bands['wavelength']))
    return {'adapter_layer': partial(adapter, **bands), **kwargs}


def _build_resnet(name: str, pretrained: bool, **kwargs: Any) -> Any:
    feature_cfg = {'out_indices': (0, 1, 2, 3)}
    return build_backbone(
        SpecResNet, name, pretrained, feature_cfg=feature_cfg, **kwargs
    )


def _build_other(
    plain: str, name: str, pretrained: bool, **kwargs: Any
) -> SpectralAdapterBackbone:
    meet_torchgeo()
    return SpectralAdapterBackbone(
        plain, pretrained=pretrained, **{**BACKBONES[plain], **kwargs}
    )


#: Function that builds each backbone, by its name without a suffix.
_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **dict.fromkeys(SIZES, build_vit),
    'spec_resnet50': _build_resnet,
    **{f'spec_{name}': partial(_build_other, name) for name in BACKBONES},
}


def _entry_point(
    plain: str, suffix: str, adapter: AdapterLayer, kind: str
) -> Callable[..., nn.Module]:
    """Make the function that builds a backbone with the adapter in front."""
    build, name = _BUILDERS[plain], f'{plain}{suffix}'

    def entry(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return build(name, pretrained, **_take_bands(kwargs, adapter))

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = (
        f'{plain} with an adapter that {kind}.\n\n'
        'Args:\n'
        f'    pretrained: Whether to load weights, as for {plain}; none are published\n'
        '        for the adapter.\n'
        f'    **kwargs: Arguments of {plain}, and ``wavelength`` and ``fwhm``, the bands\n'
        '        in micrometres of images that come without any, see\n'
        f'        {getattr(adapter, "__name__", "the adapter")}.\n\n'
        'Returns:\n'
        '    The model, or a feature extractor with ``features_only=True``.\n'
    )
    return entry


def _cfg(plain: str) -> Any:
    """Describe a backbone, as timm wants it."""
    known = {**_vit_cfgs, **_resnet_cfgs}
    if plain in known:
        return replace(known[plain].default)
    return backbone_cfg(plain.removeprefix('spec_'))


def register_backbones(
    module: str, suffix: str, adapter: AdapterLayer, kind: str
) -> None:
    """Register all backbones with an adapter in front, in timm and here.

    Args:
        module: Module that the names become functions of, ``__name__`` of the caller;
            it gets ``default_cfgs``, too, where timm looks for them.
        suffix: What all names end with.
        adapter: The adapter.
        kind: What the adapter does, for its documentation.
    """
    owner = sys.modules[module]
    owner.default_cfgs = generate_default_cfgs(  # type: ignore[attr-defined]
        {f'{plain}{suffix}': _cfg(plain) for plain in _BUILDERS}
    )
    for plain in _BUILDERS:
        builder = _entry_point(plain, suffix, adapter, kind)
        builder.__module__ = module
        setattr(owner, builder.__name__, builder)
        register_model(timm.models.register_model(builder))


register_backbones(__name__, SUFFIX, WavelengthAdapter, 'knows wavelengths')
