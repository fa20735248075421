# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights of a backbone as a file, in the layouts of others."""

import re
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from ... import __version__
from ..._typing import PathLike
from ...errors import BandMismatchError
from ..adapters.spectral_adapter import SpectralAdapter
from ..weights._backbone_search import (
    ADAPTERS,
    find_any_backbones,
    has_adapter,
    heads_of,
    pruned_parts,
)
from ..weights._checkpoint_layout import ADAPTER, Branch, choose_network
from .spec_resnet import SpecResNet
from .spec_vit import SpecVisionTransformer

#: Parts of names that show that a layer does not keep its weights as they are used.
_ODD = re.compile(
    r'(^|\.)(parametrizations|base_layer|lora_\w+)(\.|$)|weight_(orig|g|v)$'
)

#: Key layouts of :func:`export_spectral_earth_weights`.
type Layout = Literal['official', 'timm', 'torchgeo']


def _find_source(model: nn.Module, branch: Branch) -> nn.Module:
    """Find the backbone to export; of two networks that of the branch."""
    found = find_any_backbones(model)
    if not found or isinstance(model, ADAPTERS):
        raise BandMismatchError(
            'Expected a model with a spectral adapter and a backbone behind it, or a '
            f'network of timm, got {type(model).__name__}.'
        )
    if len(found) == 1 and branch == 'auto':
        return next(iter(found.values()))
    return found[choose_network(found, branch, {})]


def _official_part(backbone: nn.Module) -> str:
    """Name the part behind the adapter as SpectralEarth does."""
    if not isinstance(backbone.spectral_adapter, SpectralAdapter):
        raise BandMismatchError(
            'The code of SpectralEarth has no adapter that knows wavelengths. Use '
            "layout='timm'."
        )
    if isinstance(backbone, SpecVisionTransformer):
        return 'vit_core.'
    if isinstance(backbone, SpecResNet) or 'layer1.0.conv1.weight' in dict(
        backbone.named_parameters()
    ):
        return 'resnet.'
    raise BandMismatchError(
        f"SpectralEarth has no layout for {type(backbone).__name__}. Use layout='timm'."
    )


def _merge_low_rank(backbone: nn.Module) -> dict[str, Tensor]:
    """Return the state dict, with the matrices of peft's LoRA added to their layers."""
    state = dict(backbone.state_dict())
    for name, module in backbone.named_modules():
        layer: Any = module
        if not (hasattr(layer, 'get_delta_weight') and hasattr(layer, 'base_layer')):
            continue
        plain = {
            key: state[f'{name}.base_layer.{key}']
            for key in layer.base_layer.state_dict()
        }
        if not layer.merged:
            for adapter in layer.active_adapters:
                plain['weight'] = plain['weight'] + layer.get_delta_weight(adapter)
        state = {k: v for k, v in state.items() if not k.startswith(f'{name}.')}
        state |= {f'{name}.{key}': value for key, value in plain.items()}
    return state


def _collect(backbone: nn.Module, head: bool) -> dict[str, Tensor]:
    """Copy the tensors of a backbone to the CPU."""
    pruned = pruned_parts(backbone)
    if pruned:
        raise BandMismatchError(
            f'The feature extractor lacks {", ".join(pruned)}, so its file would fit no '
            'whole network. Build it with all its blocks and its norm, or save its '
            'state dict by torch.save.'
        )
    heads = heads_of(backbone)
    state = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in _merge_low_rank(backbone).items()
        if head or not key.startswith(heads)
    }
    odd = [key for key in state if _ODD.search(key)]
    if odd:
        raise BandMismatchError(
            f'Expected plain weights, found {", ".join(odd[:3])}. Remove what '
            'parametrizes the layers, e.g. by '
            'torch.nn.utils.parametrize.remove_parametrizations.'
        )
    return state


def _architecture(backbone: nn.Module) -> str:
    """Name the network as timm does."""
    cfg: Any = getattr(backbone, 'pretrained_cfg', None) or {}
    return str(cfg.get('architecture') or type(backbone).__name__)


def export_spectral_earth_weights(
    model: nn.Module,
    path: PathLike,
    layout: Literal['official', 'timm', 'torchgeo'] = 'official',
    *,
    branch: Literal['auto', 'student', 'teacher'] = 'auto',
    head: bool = False,
) -> Path:
    """Save the backbone of a model as a file that others load.

    :func:`load_spectral_earth_weights` reads all layouts, bit by bit the same. The
    matrices of LoRA (of peft) are added to the layers that they belong to.

    SpectralEarth has no layout for networks of timm without a spectral adapter, such as
    ``dofa_small_wl``: these are saved as a plain state dict with their own keys.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        model: A backbone, or anything that has one inside: a task, a segmentation
            network, a self-supervised trainer.
        path: File to write. It appears when it is complete.
        layout: ``'official'`` for a plain state dict with the keys of the published
            files, which the code of SpectralEarth loads; ``'timm'`` for one with the
            keys of the model; ``'torchgeo'`` for a checkpoint that the tasks of
            torchgeo take as ``weights=path``.
        branch: Which network of a self-supervised trainer: the one that is trained
            (``'student'``), its moving average (``'teacher'``), or by default DINO's
            teacher, else the student.
        head: Whether to save the head of the backbone, too.

    Returns:
        The path.

    Raises:
        BandMismatchError: If there is no backbone in the model, or it is a feature
            extractor that lacks a part of its network, or its adapter has no official
            layout.
        OutputError: If the file cannot be written.
        ValueError: If there is no such layout or branch.
    """
    if layout not in ('official', 'timm', 'torchgeo'):
        raise ValueError(
            f"Expected layout 'official', 'timm' or 'torchgeo', got {layout!r}."
        )
    backbone = _find_source(model, branch)
    state = _collect(backbone, head)
    content: dict[str, Any] = dict(state)
    if layout == 'official' and has_adapter(backbone):
        part = _official_part(backbone)
        content = {
            key if key.startswith(ADAPTER) else f'{part}{key}': value
            for key, value in state.items()
        }
    elif layout == 'torchgeo':
        content = {
            # torchgeo tells tasks apart by their hyperparameters
            'hyper_parameters': {'model': _architecture(backbone)},
            'state_dict': {f'model.{key}': value for key, value in state.items()},
            'torchgeo_hsi_version': __version__,
        }
    # here, so that models need no reader of rasters
    from ...io._torch_whole import write_torch

    write_torch(path, content)
    return Path(path)
