# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The backbone of a checkpoint, built as the training built it."""

from typing import Any, Literal, NamedTuple

import timm
from torch import nn

from ..._typing import PathLike
from ...errors import MetadataError
from ..weights._checkpoint_file import Checkpoint, read_checkpoint
from ..weights.load import load_spectral_earth_weights
from ..weights.spectral_earth import find_weights
from ._features import make_backbone, network_of


class Architecture(NamedTuple):
    """What a backbone is built of.

    Args:
        model: Its name in timm.
        model_kwargs: More arguments of ``timm.create_model``.
        in_channels: Number of bands, if it is known.
        masked: Whether it was trained to fill in what is hidden.
    """

    model: str
    model_kwargs: dict[str, Any]
    in_channels: int | None = None
    masked: bool = False


def find_architecture(
    weights: PathLike | None,
    model: str | None = None,
    model_kwargs: dict[str, Any] | None = None,
) -> Architecture:
    """Find out which backbone weights belong to.

    Args:
        weights: A checkpoint, which may have the hyperparameters of the task that
            learned without labels; or other weights, or none.
        model: Name of the backbone in timm; by default that of the checkpoint.
        model_kwargs: More arguments of ``timm.create_model``, beside those of the
            checkpoint, if it has this model.

    Returns:
        The architecture.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged.
        MetadataError: If nobody knows the model.
    """
    hparams: dict[str, Any] = {}
    if weights is not None:
        checkpoint: Checkpoint = read_checkpoint(find_weights(weights))
        hparams = dict(checkpoint.hparams)
    known = hparams.get('model')
    if not isinstance(known, str) or not timm.is_model(known):
        known = None
    if model is None and known is None:
        told = f'{weights} does not say' if weights else 'Without weights, nothing says'
        raise MetadataError(
            f'{told} which backbone it is. Name it, e.g. spec_vit_small.'
        )
    if model is not None and model != known:
        return Architecture(model, dict(model_kwargs or {}))
    assert known is not None
    own = hparams.get('model_kwargs')
    words = dict(own) if isinstance(own, dict) else {}
    # what the training started from is not what it ended with
    words.pop('pretrained', None)
    words |= model_kwargs or {}
    bands = hparams.get('in_channels')
    masked = 'mask_ratio' in hparams
    return Architecture(known, words, bands if isinstance(bands, int) else None, masked)


def default_pool(
    backbone: nn.Module, architecture: Architecture
) -> Literal['avg'] | None:
    """Choose how features of an image are pooled, where nobody says how.

    Args:
        backbone: The backbone.
        architecture: What it is built of.

    Returns:
        ``'avg'`` for masked autoencoders, which learn nothing about the class token;
        None for what the backbone does.
    """
    pooled = getattr(network_of(backbone), 'global_pool', None) == 'token'
    return 'avg' if architecture.masked and pooled else None


def backbone_from_checkpoint(
    path: PathLike,
    in_channels: int | None = None,
    *,
    branch: Literal['auto', 'student', 'teacher'] = 'auto',
    model: str | None = None,
    model_kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """Build the backbone of a task that learned without labels, with its weights.

    Example:
        .. code-block:: python

            backbone = backbone_from_checkpoint('last.ckpt')
            export_spectral_earth_weights(backbone, 'backbone.pth')

    Args:
        path: A checkpoint of ``HSIMoCo``, ``HSIDINO``, ``HSIMAE``, ``INTL``, or of a task
            like them; other weights need a *model*.
        in_channels: Number of bands; by default those of the training.
        branch: Which of two networks: the one that was trained (``'student'``), its
            moving average (``'teacher'``), or by default the one that is usually
            evaluated: DINO's teacher, the student of others.
        model: Name of the backbone in timm; by default that of the checkpoint.
        model_kwargs: More arguments of ``timm.create_model``, beside those of the
            checkpoint.

    Returns:
        The backbone, without a head.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or of another model.
        MetadataError: If the checkpoint does not say what is not given.
        ValueError: If there is no network of this *branch*.
    """
    found = find_architecture(path, model, model_kwargs)
    bands = found.in_channels if in_channels is None else in_channels
    if bands is None:
        raise MetadataError(f'{path} does not say how many bands. Pass in_channels=.')
    backbone: nn.Module = make_backbone(found.model, bands, found.model_kwargs)
    load_spectral_earth_weights(backbone, path, branch=branch)
    return backbone
