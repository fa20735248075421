# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbones with the adapter that knows wavelengths: ``spec_*_wl``."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import timm
from timm.models import generate_default_cfgs
from torch import nn

from .adapter_backbone import BACKBONES, SpectralAdapterBackbone, backbone_cfg
from .api import register_model
from .spec_resnet import SpecResNet
from .spec_resnet import default_cfgs as _resnet_cfgs
from .spec_vit import SIZES, build_vit
from .spec_vit import default_cfgs as _vit_cfgs
from .wavelength_adapter import WavelengthAdapter
from .weights import build_backbone, meet_torchgeo

#: What all names end with.
SUFFIX = '_wl'


def _take_bands(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Turn the bands among the arguments of a network into an adapter for them."""
    kwargs = dict(kwargs)
    bands = {name: kwargs.pop(name, None) for name in ('wavelength', 'fwhm')}
    if bands['wavelength'] is not None:
        kwargs.setdefault('in_chans', len(bands['wavelength']))
    return {'adapter_layer': partial(WavelengthAdapter, **bands), **kwargs}


def _build_resnet(name: str, pretrained: bool, **kwargs: Any) -> Any:
    feature_cfg = {'out_indices': (0, 1, 2, 3)}
    return build_backbone(
        SpecResNet, name, pretrained, feature_cfg=feature_cfg, **kwargs
    )


def _build_other(name: str, pretrained: bool, **kwargs: Any) -> SpectralAdapterBackbone:
    meet_torchgeo()
    inside = name.removeprefix('spec_').removesuffix(SUFFIX)
    return SpectralAdapterBackbone(
        inside, pretrained=pretrained, **{**BACKBONES[inside], **kwargs}
    )


def _entry_point(
    name: str, build: Callable[..., nn.Module]
) -> Callable[..., nn.Module]:
    """Make the function that builds a backbone with the adapter in front."""
    plain = name.removesuffix(SUFFIX)

    def entry(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return build(name, pretrained, **_take_bands(kwargs))

    entry.__name__ = entry.__qualname__ = name
    entry.__doc__ = (
        f'{plain} with an adapter that knows wavelengths.\n\n'
        'Args:\n'
        f'    pretrained: Whether to load weights, as for {plain}; none are published\n'
        '        for the adapter.\n'
        f'    **kwargs: Arguments of {plain}, and ``wavelength`` and ``fwhm``, the bands\n'
        '        in micrometres of images that come without any, see\n'
        '        WavelengthAdapter.\n\n'
        'Returns:\n'
        '    The model, or a feature extractor with ``features_only=True``.\n'
    )
    return entry


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    **{f'{name}{SUFFIX}': build_vit for name in SIZES},
    f'spec_resnet50{SUFFIX}': _build_resnet,
    **{f'spec_{name}{SUFFIX}': _build_other for name in BACKBONES},
}


def _cfg(name: str) -> Any:
    """Describe a backbone, as timm wants it."""
    plain = name.removesuffix(SUFFIX)
    known = {**_vit_cfgs, **_resnet_cfgs}
    if plain in known:
        return replace(known[plain].default)
    return backbone_cfg(plain.removeprefix('spec_'))


default_cfgs = generate_default_cfgs({name: _cfg(name) for name in _BUILDERS})

for _name, _build in _BUILDERS.items():
    _builder = _entry_point(_name, _build)
    globals()[_name] = _builder
    register_model(timm.models.register_model(_builder))
