# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Checkpoints of restoration networks: find the network, and say what does not fit."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..._typing import PathLike
from ...errors import BandMismatchError, CorruptFileError
from ._checkpoint_file import Checkpoint, read_checkpoint

WHERE = (
    'Published files are linked from https://github.com/Zeqiang-Lai/HSDT and '
    'https://github.com/Zeqiang-Lai/MAN (denoising), https://github.com/Rexzhan/ESSAformer '
    'and https://github.com/kli8996/HSISR (super-resolution).'
)

#: The first tensor of each architecture, by which its names are found in a file.
_ANCHORS = {
    'HSDT': 'head.conv.dw_conv.0.weight',
    'MANv1': 'head.0.weight',
    'MAN': 'head.conv.weight',
    'ESSAformer': 'conv_first.weight',
    'DeepShare': 'branch1.head.weight',
}
#: What else begins like it, and is something else.
_PROOFS = {
    'HSDT': 'head.attn.attn.attn_proj.weight',
    'MANv1': 'head.1.ffn_w2.w_1.weight',
    'MAN': 'head.inter_sa.ffn1.w_1.weight',
    'ESSAformer': 'blockup.convup.attn.lnqkv.weight',
    'DeepShare': 'trunk_RGB.head.weight',
}
QUERY = 'attn.attn.attn_proj.weight'

#: Channels and layers of the networks that have a name.
_NAMES = {
    ('HSDT', 8, 5): 'hsdt_s',
    ('HSDT', 16, 5): 'hsdt_m',
    ('HSDT', 16, 7): 'hsdt_l',
    ('MANv1', 8, 5): 'man_v1_s',
    ('MANv1', 12, 5): 'man_v1_m',
    ('MANv1', 16, 5): 'man_v1',
    ('MANv1', 16, 7): 'man_v1_b',
    ('MAN', 12, 5): 'man_s',
    ('MAN', 16, 5): 'man_m',
    ('MAN', 20, 5): 'man_l',
}
#: Networks for super-resolution, and their builders.
_SUPER_RESOLUTION = {'ESSAformer': 'essaformer', 'DeepShare': 'deepshare'}


def read_file(path: PathLike) -> Checkpoint:
    """Read the tensors of a checkpoint or of a safetensors file.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or holds something else.
    """
    path = Path(path)
    if path.suffix != '.safetensors' or not path.is_file():
        return read_checkpoint(path, where=WHERE)
    try:
        return Checkpoint(str(path), load_file(path))
    except (SafetensorError, OSError) as error:
        raise CorruptFileError(
            f'{path} is damaged or no safetensors file: get it again. ({error})'
        ) from error


def find_state(checkpoint: Checkpoint) -> tuple[str, dict[str, Tensor]]:
    """Find a network in a file, whatever wrappers put before its names.

    Args:
        checkpoint: What a file holds.

    Returns:
        Name of the architecture, and its tensors under their own names.

    Raises:
        CorruptFileError: If there is no network of these architectures.
    """
    keys = {key.replace('_orig_mod.', ''): key for key in checkpoint.state}
    for kind, anchor in _ANCHORS.items():
        prefixes = [
            key.removesuffix(anchor)
            for key in keys
            if key.endswith(anchor) and key.removesuffix(anchor) + _PROOFS[kind] in keys
        ]
        if prefixes:
            # a network beside its moving average: the one with the plain name
            prefix = min(prefixes, key=len)
            return kind, {
                key.removeprefix(prefix): checkpoint.state[original]
                for key, original in keys.items()
                if key.startswith(prefix)
            }
    found = ', '.join(list(checkpoint.state)[:3])
    raise CorruptFileError(
        f'{checkpoint.name} holds no HSDT and no MAN, nor ESSAformer or DeepShare: its '
        f'first tensors are {found}. '
        f'Give the checkpoint of a restoration network. {WHERE}'
    )


def query_bands(state: Mapping[str, Tensor]) -> int | None:
    """Return for how many bands a network has learned queries; None if it has none."""
    query = state.get(f'head.{QUERY}')
    return None if query is None else len(query)


def match(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Find the tensors of a model in a file.

    Args:
        model: The network.
        checkpoint: What a file holds.

    Returns:
        All tensors of the model, under its names.

    Raises:
        BandMismatchError: If the file holds another network, or one for another number
            of bands.
        CorruptFileError: If it holds no network, or only a part of it.
    """
    kind, state = find_state(checkpoint)
    wanted = model.state_dict()
    file, ours = _describe(kind, state), describe(model)
    if kind != type(model).__name__ or file != ours:
        raise BandMismatchError(
            f'{checkpoint.name} holds {file}, and the model is {ours}. '
            f'{_advice(kind, state)}'
        )
    fits = {}
    for key, tensor in wanted.items():
        value = state.get(key)
        if value is None and key.endswith('num_batches_tracked'):
            # old files of batch normalization lack it, and nothing depends on it
            value = tensor
        # linear layers have been stored as convolutions of one pixel
        if value is not None and value.squeeze().shape == tensor.squeeze().shape:
            fits[key] = value.reshape(tensor.shape)
    lacking = [key for key in wanted if key not in fits]
    extra = [key for key in state if key not in wanted]
    if lacking or extra:
        raise CorruptFileError(
            f'{checkpoint.name} does not fit {ours}: '
            f'{_some("missing or of another shape", lacking)}'
            f'{_some("unknown", extra)}Give the whole checkpoint of that network.'
        )
    return fits


def describe(model: nn.Module) -> str:
    """Say in words which network a model is.

    Args:
        model: The network.

    Returns:
        Its architecture and size.
    """
    return _describe(type(model).__name__, model.state_dict())


def _some(kind: str, keys: list[str]) -> str:
    """Name the first few of some keys."""
    if not keys:
        return ''
    more = f' and {len(keys) - 3} more' if len(keys) > 3 else ''
    return f'{len(keys)} {kind} ({", ".join(keys[:3])}{more}). '


def _size(kind: str, state: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """Return input channels, channels and layers."""
    weight = state.get(_ANCHORS.get(kind, ''))
    inputs, channels = (0, 0) if weight is None else (weight.shape[1], weight.shape[0])
    return inputs, channels, _count_layers(state)


def _count_layers(keys: Iterable[str]) -> int:
    """Count the layers of the encoder."""
    parts = (key.split('.') for key in keys if key.startswith('encoder.layers.'))
    return len({words[2] for words in parts})


def _describe(kind: str, state: Mapping[str, Tensor]) -> str:
    """Say in words what a state dict belongs to."""
    if kind in _SUPER_RESOLUTION:
        options = ', '.join(f'{k}={v}' for k, v in _enlarging(kind, state).items())
        return f'{kind} ({options})'
    inputs, channels, layers = _size(kind, state)
    name = _NAMES.get((kind, channels, layers))
    text = (
        f'{kind} ({name or "no published size"}: {channels} channels, {layers} layers'
    )
    bands = query_bands(state)
    if bands is not None:
        text += f', {bands} bands'
    return text + (', with a noise map)' if inputs == 2 else ')')


def _advice(kind: str, state: Mapping[str, Tensor]) -> str:
    """Say how to build the network that fits a file."""
    if kind in _SUPER_RESOLUTION:
        words = ''.join(f', {k}={v}' for k, v in _enlarging(kind, state).items())
        return f"Build get_model('{_SUPER_RESOLUTION[kind]}'{words}, weights=...)."
    inputs, channels, layers = _size(kind, state)
    name = _NAMES.get((kind, channels, layers))
    if name is None:
        return (
            f'Build {kind} with channels={channels} and num_layers={layers}, and load '
            'the file with load_restoration_weights.'
        )
    bands = query_bands(state)
    options = '' if bands is None else f', num_bands={bands}'
    options += ', noise_map=True' if inputs == 2 else ''
    return f"Build get_model('{name}'{options}, weights=...)."


def _enlarging(kind: str, state: Mapping[str, Tensor]) -> dict[str, int]:
    """Read the arguments of a network for super-resolution off its tensors."""
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    first = shapes[_ANCHORS[kind]]
    if kind == 'ESSAformer':
        steps = [
            shape[0] // shape[1]
            for key, shape in shapes.items()
            if key.startswith('blockup.convupsample.') and len(shape) == 4
        ]
        return {
            'in_channels': first[1],
            'dim': first[0],
            'scale': math.isqrt(math.prod(steps)),
        }
    doublings = sum(
        key.startswith('branch1.upsample.') and len(shape) == 4
        for key, shape in shapes.items()
    )
    bands = shapes.get('final.weight', (0,))[0]
    words = {'in_channels': bands, 'n_feats': first[0], 'scale': 2 ** (1 + doublings)}
    return words if first[1] == 8 else words | {'n_subs': first[1]}
