# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights of restoration networks: those that ship, and checkpoints of others."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import nn

from ..._typing import PathLike
from ...errors import BandMismatchError, CorruptFileError, UnknownNameError
from ..api import list_models
from ._checkpoint_file import Checkpoint
from ._restoration_checkpoint import describe, find_state, match, query_bands, read_file

_FOLDER = Path(__file__).parents[1] / 'pretrained'
_SUMS = 'SHA256SUMS'


class Purpose(NamedTuple):
    """What weights are for that are not for all bands of an image.

    Args:
        images: What the network gets.
        method: Name of the method that has the network inside.
        option: Argument of the method, and its value.
    """

    images: str
    method: str
    option: tuple[str, str | int]


#: Weights that ship for networks inside of methods, by names of network and weights.
_PURPOSES = {
    (name, 'eigen'): Purpose(
        'the images of a subspace', 'pretrained_subspace', ('network', name)
    )
    for name in ('hsdt_s', 'man_s')
} | {
    ('essaformer', 'eigen'): Purpose(
        'the images of a subspace', 'pretrained_superresolution', ('scale', 2)
    ),
    ('deepshare', 'windows'): Purpose(
        'windows of 32 bands', 'pretrained_superresolution', ('scale', 4)
    ),
}


def find_purpose(model: str, weights: str) -> Purpose | None:
    """Tell what weights that ship are for, if it is not all bands of an image.

    Args:
        model: Name of the network.
        weights: Name of the weights.
    """
    return _PURPOSES.get((model, weights))


def list_weights(model: str) -> list[str]:
    """List the weights that ship for a model.

    Args:
        model: Name of a model, as for :func:`get_model`.

    Returns:
        Names for its argument ``weights``, sorted. What each was trained on, and how
        good it is, is said on its card, the file ``<model>_<name>.md`` next to it.

    Example:
        >>> list_weights('spec_resnet50')
        []
    """
    return sorted(
        path.stem.removeprefix(f'{model}_')
        for path in _FOLDER.glob(f'{model}_*.safetensors')
        # hsdt_s_gaussian belongs to hsdt_s, and man_v1_s_gaussian not to man_v1
        if _owner(path.stem) == model
    )


def load_restoration_weights(
    model: nn.Module, weights: PathLike, *, name: str = ''
) -> None:
    """Load weights into a restoration network.

    Checkpoints are read without running code from them. Their tensors may lie under
    ``net``, ``model`` or ``state_dict``, or be the whole file, and may carry the
    prefixes of wrappers such as ``module.``.

    Args:
        model: The network; it is changed.
        weights: Path of a checkpoint or of a safetensors file, or a name of
            :func:`list_weights`.
        name: Name of the model, by which the weights that ship are found.

    Raises:
        FileNotFoundError: If there is no such file.
        UnknownNameError: If no weights with this name ship for the model.
        BandMismatchError: If the file holds another network, or one for another number
            of bands.
        CorruptFileError: If the file is damaged, or holds something else.

    Example:
        >>> from torchgeo_hsi.models import get_model
        >>> model = get_model('hsdt_m')
        >>> load_restoration_weights(model, 'model_best.pth')  # doctest: +SKIP
    """
    load_checkpoint(model, read_weights(weights, name))


def load_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load what was read into a network.

    Args:
        model: The network; it is changed.
        checkpoint: What :func:`read_weights` returned.

    Raises:
        BandMismatchError: If it holds another network, or one for other images.
        CorruptFileError: If it holds no network, or only a part of it.
    """
    path = Path(checkpoint.name)
    ours = path.parent == _FOLDER
    try:
        fits = match(model, checkpoint)
    except BandMismatchError as error:
        owner = _owner(path.stem)
        name = path.stem.removeprefix(f'{owner}_')
        purpose = find_purpose(owner, name) if ours else None
        if purpose is None:
            raise
        word, value = purpose.option
        # the call that fits the file would give it other images than it knows
        raise BandMismatchError(
            f'The weights {name!r} of {owner} are for {purpose.images}, not for all '
            f'bands, and the model is {describe(model)}. Use '
            f'get_model({purpose.method!r}, {word}={value!r}), which has them, or give '
            'the model a checkpoint of such a network that was trained on bands.'
        ) from error
    if ours and getattr(model, 'residual', True) is False:
        raise BandMismatchError(
            f'The weights of {path.stem} were trained with residual=True, and the model '
            'was built without. Build it with residual=True.'
        )
    model.load_state_dict(fits)


def read_weights(weights: PathLike, name: str) -> Checkpoint:
    """Read weights by name or path.

    Args:
        weights: A name of :func:`list_weights`, or a path.
        name: Name of the model.

    Returns:
        What the file holds.
    """
    known = list_weights(name) if name else []
    if isinstance(weights, str) and weights in known:
        path = _FOLDER / f'{name}_{weights}.safetensors'
        _check_sum(path)
        return read_file(path)
    path = Path(weights)
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        # neither a file nor the name of one
        raise UnknownNameError(f'weights of {name or "the model"}', str(weights), known)
    return read_file(path)


def trained_bands(checkpoint: Checkpoint) -> int | None:
    """Return for how many bands a file has learned queries; None if it has none."""
    return query_bands(find_state(checkpoint)[1])


def _check_sum(path: Path) -> None:
    """Refuse a file of this package that is not as it was made."""
    lines = (_FOLDER / _SUMS).read_text('utf-8').splitlines()
    sums = {name: digest for digest, name in map(str.split, lines)}
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if sums.get(path.name) != found:
        raise CorruptFileError(
            f'{path} is damaged: its SHA-256 is {found}, and should be '
            f'{sums.get(path.name, "listed")}. Install torchgeo-hsi again.'
        )


def _owner(stem: str) -> str:
    """Return the model that a file belongs to: the longest name that fits."""
    fits = [name for name in list_models() if stem.startswith(f'{name}_')]
    return max(fits, key=len, default='')
