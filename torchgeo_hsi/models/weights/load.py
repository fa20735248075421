# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Published weights of SpectralEarth, and checkpoints of networks like them."""

import logging
import warnings
from typing import Any, Literal

from timm.models import build_model_with_cfg
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from ..._compat import keep_weights_in_mae, teach_encoders
from ..._typing import PathLike
from ...errors import HSIWarning
from ._backbone_search import find_backbone, find_backbones
from ._checkpoint_file import WHERE, Checkpoint, read_checkpoint, unwrap
from ._checkpoint_layout import kind_of_adapter
from ._matching import Wish, match_strictly
from .report import WeightReport
from .spectral_earth import WEIGHTS, find_weights, register_in_torchgeo

__all__ = ('WeightReport', 'load_spectral_earth_weights')

_logger = logging.getLogger(__name__)

#: Where timm may be told that weights are.
_SOURCES = ('state_dict', 'file', 'url', 'hf_hub_id')


def _encoder_names(encoder: nn.Module, state_dict: dict[str, Any]) -> dict[str, Any]:
    """Translate a backbone for an encoder that has one inside.

    Args:
        encoder: An encoder of segmentation_models_pytorch.
        state_dict: What its ``load_state_dict`` got.

    Returns:
        The tensors under the names of the encoder. Unchanged if they are not those of
        a bare backbone, or if the encoder has none of ours.

    Raises:
        CorruptFileError: If it is another backbone.
    """
    found = find_backbones(encoder)
    bare = kind_of_adapter(state_dict) is not None
    if len(found) != 1 or '' in found or not bare:
        return state_dict
    ((name, backbone),) = found.items()
    checkpoint = Checkpoint('The state dict', dict(state_dict))
    fits, _ = match_strictly(backbone, checkpoint, Wish())
    return {f'{name}.{key}': value for key, value in fits.items()}


def meet_torchgeo() -> None:
    """Make the entries and their weights known to torchgeo's tasks, if there are any.

    torchgeo looks weights up by name in a table of its own, and loads them into the
    encoders of segmentation_models_pytorch, whose names have a prefix, or into its MAE,
    which would start again from random ones.
    """
    register_in_torchgeo()
    teach_encoders(_encoder_names)
    keep_weights_in_mae(lambda vit: getattr(vit, 'has_loaded_weights', False))


def build_backbone(
    model_cls: type[nn.Module], name: str, pretrained: bool, **kwargs: Any
) -> Any:
    """Build one of the published networks through timm.

    Args:
        model_cls: Its class.
        name: Its name in timm.
        pretrained: Whether to load weights: those that ``pretrained_cfg_overlay`` or
            ``pretrained_cfg`` names, else the first entry of this network.
        **kwargs: Arguments of the class and of ``timm.models.build_model_with_cfg``.

    Returns:
        The network, or a feature extractor made of it.

    Raises:
        FileNotFoundError: If the file of the entry is not there.
        RuntimeError: If there are no published weights for the network.
    """
    meet_torchgeo()
    overlay = dict(kwargs.pop('pretrained_cfg_overlay', None) or {})
    named = any(overlay.get(key) for key in _SOURCES) or kwargs.get('pretrained_cfg')
    if pretrained and not named:
        if name not in WEIGHTS:
            raise RuntimeError(
                f'No pretrained weights exist for {name}. Use pretrained=False for random '
                f'ones, or name a file: pretrained_cfg_overlay={{"file": path}}. {WHERE}'
            )
        overlay['file'] = str(next(iter(WEIGHTS[name].__members__.values())).path())
    return build_model_with_cfg(
        model_cls,
        name,
        pretrained,
        pretrained_cfg_overlay=overlay,
        pretrained_filter_fn=checkpoint_filter_fn,
        **kwargs,
    )


def checkpoint_filter_fn(
    state_dict: dict[str, Any], model: nn.Module
) -> dict[str, Tensor]:
    """Prepare a published checkpoint for timm's ``pretrained=True``.

    Args:
        state_dict: What the file holds.
        model: The model to load it into.

    Returns:
        The tensors under the names, and with the shapes, of the model; without heads.

    Raises:
        CorruptFileError: If the file does not fit the model.
    """
    checkpoint = unwrap(state_dict, 'The checkpoint')
    # timm's own loaders resize without being asked, so callers of timm expect it
    fits, report = match_strictly(model, checkpoint, Wish(interpolate=True))
    _logger.info('%s', report)
    # timm wants all tensors
    own = model.state_dict()
    return fits | {key: own[key] for key in report.kept}


def load_spectral_earth_weights(
    model: nn.Module,
    path: PathLike | WeightsEnum,
    *,
    branch: Literal['auto', 'student', 'teacher'] = 'auto',
    adapter_only: bool = False,
    head: bool = False,
    interpolate: bool = False,
    strict: bool = True,
) -> WeightReport:
    """Load weights of SpectralEarth into a backbone.

    Takes the published files (a plain state dict of a backbone) and checkpoints of the
    official trainers (MoCo, DINO, MAE, downstream tasks), with or without a
    ``state_dict`` around them, and the checkpoints of torchgeo's and our trainers with
    these backbones. Half precision is converted. The spectral adapter has no weight
    that depends on the number of bands, so a model for any number of bands from 75
    takes them. A model whose adapter is of another kind than that of the file (which
    sees positions, wavelengths or series) takes the rest, and there is a warning.

    Networks of timm without a spectral adapter, such as ``dofa_small_wl`` or
    ``vit_tiny_patch16_224``, take their own plain state dict, and checkpoints of our
    trainers with them.

    Nothing but tensors is read from a file: its other objects, e.g. the hyperparameters
    that Lightning saves, are neither imported nor called.

    If you use these weights in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        model: ``spec_resnet50`` or a ``spec_vit_*``, a feature extractor made of one,
            a :class:`SpectralAdapterBackbone`, a :class:`SpectralAdapter`, a
            :class:`WavelengthAdapter`, a :class:`SeriesAdapter`, another network of
            timm, or a model or task that has one of them inside.
        path: The file; or an entry such as ``SpecResNet50_Weights.SPECTRALEARTH_MOCO``,
            or its name, whose file is then looked for.
        branch: Which network of a self-supervised checkpoint: the one that is trained
            (``'student'``), its moving average (``'teacher'``), or by default the one
            that is usually evaluated: DINO's teacher and MoCo's student.
        adapter_only: Whether to load the spectral adapter only, e.g. in front of
            another backbone.
        head: Whether to load the head of the backbone, too. It has to be the one that
            the model has.
        interpolate: Whether to resize position embeddings and the patch projection for
            a model that has another grid of tokens.
        strict: Whether any difference except a head, or an adapter of another kind, is
            an error.

    Returns:
        What was loaded and what became of everything else in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or, with *strict*, is not a checkpoint
            of this model.
        BandMismatchError: If one of file and model has a spectral adapter and the
            other has none, or the model has no backbone, or several.
        ValueError: If the file has no network of this *branch*.
    """
    backbone = find_backbone(model, adapter=adapter_only)
    wish = Wish(branch, adapter_only, head, interpolate)
    checkpoint = read_checkpoint(find_weights(path))
    fits, report = match_strictly(backbone, checkpoint, wish, strict)
    backbone.load_state_dict(fits, strict=False)
    if report.kept:
        warnings.warn(
            f'{checkpoint.name} has another kind of spectral adapter than this '
            f'{type(backbone).__name__}: what is behind the adapter was loaded, the '
            'adapter keeps its (random) weights and has to be trained.',
            HSIWarning,
            stacklevel=2,
        )
    _logger.info('%s: %s', checkpoint.name, report)
    return report
