# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints of networks for pansharpening: load them, and say what does not fit."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import BandMismatchError, CorruptFileError
from ...weights._checkpoint_file import read_checkpoint

WHERE = (
    'The files of the toolbox are weights/PRISMA.tar in the folders of '
    'https://github.com/matciotola/hyperspectral_pansharpening_toolbox.'
)
PUBLISHED = (
    'The files of the toolbox are for 159 bands of PRISMA L2D as digital numbers, divided '
    'by 65536, and for nothing else'
)

#: First parts of the names of each network, and what tells its number of bands: a
#: tensor and one of its dimensions.
_NETWORKS: dict[str, tuple[frozenset[str], tuple[str, int] | None]] = {
    'HyperPNN': (frozenset(f'conv{i}' for i in range(1, 8)), ('conv7.weight', 0)),
    'HSpeNet': (
        frozenset(
            {'conv1_1', 'conv1_2', 'conv2_1', 'conv2_2'}
            | {f'conv{i}' for i in range(3, 9)}
        ),
        ('conv8.weight', 0),
    ),
    'HyperDSNet': (
        frozenset({'block1', 'block2', 'block3', 'CA', 'convlast'}),
        ('convlast.weight', 0),
    ),
    'DHPDARN': (
        frozenset({'FEN', 'CSA1', 'CSA2', 'CSA3', 'CSA4', 'RRN'}),
        ('RRN.weight', 0),
    ),
    'DIPHyperKite': (
        frozenset(
            {
                f'{kind}{i}'
                for kind in ('encoder', 'ebn', 'decoder', 'dbn')
                for i in (1, 2, 3)
            }
            | {'endec_conv', 'endec_bn', 'final_conv'}
        ),
        ('final_conv.weight', 0),
    ),
    'RPNN': (frozenset({'conv1', 'conv2', 'conv3'}), None),
    'PCAZPNN': (frozenset({'blocks'}), None),
}


def file_digest(path: PathLike) -> str:
    """Return the SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        The digest, hexadecimal; nothing if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        return ''
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def load_checkpoint(model: nn.Module, path: PathLike) -> None:
    """Load a checkpoint into a network.

    The file is read without running code from it. Its tensors may be the whole file or
    lie under ``state_dict``, and may carry a prefix such as ``model.``.

    Args:
        model: The network; it is changed.
        path: File of ``torch.save``.

    Raises:
        FileNotFoundError: If there is no such file.
        BandMismatchError: If it holds a network for another number of bands.
        CorruptFileError: If it is damaged, or holds something else.
    """
    checkpoint = read_checkpoint(path, where=WHERE)
    wanted = model.state_dict()
    state = _without_prefix(checkpoint.state, wanted)
    kind = type(model).__name__
    found = _identify(state)
    if found is not None and found != kind:
        raise CorruptFileError(
            f'{checkpoint.name} holds {_describe(found, state)}, and the model is '
            f'{_describe(kind, wanted)}. Give the checkpoint of a {kind}. {WHERE}'
        )
    bands = {name: _bands(kind, part) for name, part in (('f', state), ('m', wanted))}
    if bands['f'] != bands['m'] and bands['f'] is not None:
        raise BandMismatchError(
            f'{checkpoint.name} is for {bands["f"]} bands, and the model has '
            f'{bands["m"]}. {PUBLISHED}; for other bands, train the network.'
        )
    _check_fit(checkpoint.name, kind, state, wanted)
    model.load_state_dict({key: state[key] for key in wanted})


def _without_prefix(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Take what wrappers put before all names off."""
    state = {key.replace('_orig_mod.', ''): value for key, value in state.items()}
    first = next(iter(wanted))
    prefixes = {
        key.removesuffix(first)
        for key in state
        if key == first or key.endswith(f'.{first}')
    }
    # the one behind which most of the names are; the shortest of several
    prefix = max(
        sorted(prefixes, key=len),
        key=lambda prefix: sum(prefix + key in state for key in wanted),
        default='',
    )
    if not prefix:
        return state
    return {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix)
    }


def _identify(state: Iterable[str]) -> str | None:
    """Name the network that a state dict belongs to."""
    parts = frozenset(key.split('.')[0] for key in state)
    return next((kind for kind, (own, _) in _NETWORKS.items() if own == parts), None)


def _bands(kind: str, state: Mapping[str, Tensor]) -> int | None:
    """Return for how many bands a state dict is; None where that is not fixed."""
    place = _NETWORKS[kind][1] if kind in _NETWORKS else None
    if place is None or place[0] not in state:
        return None
    return state[place[0]].shape[place[1]]


def _describe(kind: str, state: Mapping[str, Tensor]) -> str:
    bands = _bands(kind, state)
    return f'{kind} for {bands} bands' if bands is not None else kind


def _check_fit(
    name: str, kind: str, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Refuse what lacks tensors, or has others or such of another shape."""
    missing = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in wanted]
    shapes = [
        f'{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}'
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]
    if missing or unknown or shapes:
        raise CorruptFileError(
            f'{name} does not fit {_describe(kind, wanted)}: '
            f'{_some("missing", missing)}{_some("unknown", unknown)}'
            f'{_some("of another shape", shapes)}Give the checkpoint of a {kind}. {WHERE}'
        )


def _some(kind: str, keys: list[str]) -> str:
    """Name the first few of some keys."""
    if not keys:
        return ''
    more = f' and {len(keys) - 3} more' if len(keys) > 3 else ''
    return f'{len(keys)} {kind} ({", ".join(keys[:3])}{more}). '
