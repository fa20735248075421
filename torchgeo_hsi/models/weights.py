# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Published weights of SpectralEarth, and checkpoints of networks like them."""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from zipfile import BadZipFile

import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from .._typing import PathLike
from ..errors import BandMismatchError, CorruptFileError
from .spectral_adapter import SpectralAdapter

#: Which of the two networks of a self-supervised checkpoint.
type Branch = Literal['auto', 'student', 'teacher']

_ANCHOR = 'spectral_adapter.0.weight'
_HEADS = ('head.', 'fc.', 'classifier.')
_WHERE = (
    'The published files are linked from https://github.com/AABNassim/spectral_earth.'
)


@dataclass(frozen=True)
class WeightReport:
    """What :func:`load_spectral_earth_weights` did.

    Args:
        prefix: What the keys of the backbone start with in the file.
        loaded: Keys of the model that got weights.
        missing: Keys of the model that the file lacks; they keep their values.
        unexpected: Keys of the backbone in the file that the model lacks.
        mismatched: Keys whose shapes differ; the model keeps its values.
        dropped: Keys of a head in the file that the model does not have.
        resampled: Keys that were interpolated to another grid of tokens.
        ignored: Number of other tensors in the file: projection heads, decoders, the
            other network.
    """

    prefix: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    dropped: tuple[str, ...]
    resampled: tuple[str, ...]
    ignored: int

    def __str__(self) -> str:
        """Return a summary of a few lines."""
        lines = [f'loaded {len(self.loaded)} tensors (prefix {self.prefix!r})']
        for name in ('missing', 'unexpected', 'mismatched', 'dropped', 'resampled'):
            keys: tuple[str, ...] = getattr(self, name)
            if keys:
                rest = f' and {len(keys) - 3} more' if len(keys) > 3 else ''
                lines.append(f'{name}: {", ".join(keys[:3])}{rest}')
        return '\n'.join(lines)


def _first_line(error: Exception) -> str:
    """Return the first line of a message, or the name of the error without one."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def read_checkpoint(path: PathLike) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, without running code from it.

    Args:
        path: File written by ``torch.save``: a state dict, or a dict that holds one
            under ``state_dict`` (Lightning) or ``model``.

    Returns:
        Names and tensors; prefixes of DDP and ``torch.compile`` are removed.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'No checkpoint at {path}. {_WHERE}')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise CorruptFileError(
            f'{path} is damaged, or holds more than tensors and numbers, which may run '
            'code and is not loaded. Where you trust it, save its state dict alone and '
            f'load that. ({str(error).splitlines()[0]})'
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise CorruptFileError(
            f'{path} is damaged or truncated: download it again. ({_first_line(error)})'
        ) from error
    return unwrap(content, str(path))


def unwrap(content: object, name: str) -> dict[str, Tensor]:
    """Find the state dict in what a checkpoint holds.

    Args:
        content: What was loaded.
        name: Name of the file, for the error message.

    Returns:
        Names and tensors.

    Raises:
        CorruptFileError: If there is none.
    """
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    state: dict[str, Tensor] = {}
    if isinstance(content, Mapping):
        for key, value in content.items():
            if isinstance(key, str) and isinstance(value, Tensor):
                key = key.replace('_orig_mod.', '').removeprefix('module.')
                state[key] = value
    if not state:
        raise CorruptFileError(f'{name} holds no state dict. {_WHERE}')
    return state


def _backbone_key(key: str) -> str | None:
    """Translate a key of a published backbone to ours; None to leave it out."""
    key = key.removeprefix('vit_core.').removeprefix('resnet.')
    key = key.replace('patch_embed.original_patch_embed.', 'patch_embed.')
    # the MAE wrapper stores the adapter a second time
    return None if key.startswith('patch_embed.spectral_adapter.') else key


def _rank(prefix: str, branch: Branch) -> int:
    """Order the networks of a checkpoint; the lowest is taken first."""
    teacher = any(word in prefix for word in ('teacher', 'momentum', 'target'))
    if branch == 'auto':
        # published evaluations use DINO's teacher, but MoCo's query network
        return 1 if 'student' in prefix or (teacher and 'teacher' not in prefix) else 0
    return 0 if teacher == (branch == 'teacher') else 1


def extract_backbone(
    state: Mapping[str, Tensor], expected: Iterable[str], branch: Branch = 'auto'
) -> tuple[str, dict[str, Tensor]]:
    """Find a backbone among the tensors of a checkpoint.

    Args:
        state: Names and tensors, in any of the layouts that SpectralEarth's or
            torchgeo's trainers write.
        expected: Keys of the model.
        branch: Which of two networks to take.

    Returns:
        The prefix, and the tensors under our names. Of several copies of the backbone
        the one that fits the model best.

    Raises:
        BandMismatchError: If there is no spectral adapter.
    """
    prefixes = [k.removesuffix(_ANCHOR) for k in state if k.endswith(_ANCHOR)]
    if not prefixes:
        raise BandMismatchError(
            'The checkpoint has no spectral adapter, so it belongs to a network for a '
            f'fixed number of bands (keys such as {next(iter(state))!r}). Load it into '
            f'the timm model that it was trained with. {_WHERE}'
        )
    known = set(expected)
    found = {}
    for prefix in prefixes:
        renamed = {
            _backbone_key(key.removeprefix(prefix)): value
            for key, value in state.items()
            if key.startswith(prefix)
        }
        found[prefix] = {k: v for k, v in renamed.items() if k is not None}
    best = min(
        found, key=lambda p: (-len(known & found[p].keys()), _rank(p, branch), len(p))
    )
    return best, found[best]


def _fit_shapes(
    state: dict[str, Tensor], model: nn.Module
) -> tuple[dict[str, Tensor], list[str]]:
    """Interpolate position embeddings and patch projections to the model's grid."""
    own, resampled = model.state_dict(), []
    patch_embed: Any = getattr(model, 'patch_embed', None)
    state = dict(state)
    weight = state.get('patch_embed.proj.weight')
    if weight is not None and patch_embed is not None:
        target = own['patch_embed.proj.weight'].shape
        if weight.shape[:2] == target[:2] and weight.shape != target:
            state['patch_embed.proj.weight'] = resample_patch_embed(weight, target[2:])
            resampled.append('patch_embed.proj.weight')
    position = state.get('pos_embed')
    if position is not None and patch_embed is not None:
        target = own['pos_embed'].shape
        if position.shape[2] == target[2] and position.shape != target:
            state['pos_embed'] = resample_abs_pos_embed(
                position,
                new_size=list(patch_embed.grid_size),
                num_prefix_tokens=cast(int, model.num_prefix_tokens),
            )
            resampled.append('pos_embed')
    return state, resampled


def _find_backbone(model: nn.Module) -> nn.Module:
    """Find the module that owns a spectral adapter."""
    found: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(getattr(module, 'spectral_adapter', None), SpectralAdapter)
    }
    if len(found) != 1:
        names = ', '.join(found) or 'none'
        raise BandMismatchError(
            'Expected a model with one spectral adapter, such as spec_resnet50, found '
            f'{len(found)} in {type(model).__name__} ({names}). Pass the backbone itself.'
        )
    return next(iter(found.values()))


@contextmanager
def explain_pretrained() -> Iterator[None]:
    """Tell how to get weights where timm only says that it has none."""
    try:
        yield
    except RuntimeError as error:
        if 'No pretrained weights' in str(error):
            error.add_note(
                'The weights of SpectralEarth cannot be downloaded by a program. '
                f'{_WHERE} Load them with '
                'torchgeo_hsi.models.load_spectral_earth_weights(model, path), or name '
                "the file: pretrained_cfg_overlay={'file': path}."
            )
        raise


def checkpoint_filter_fn(
    state_dict: dict[str, Any], model: nn.Module
) -> dict[str, Tensor]:
    """Prepare a published checkpoint for timm's ``pretrained=True``.

    Args:
        state_dict: What the file holds.
        model: The model to load it into.

    Returns:
        The tensors under the names, and with the shapes, of the model; without the
        heads that do not fit.
    """
    own = model.state_dict()
    _, state = extract_backbone(unwrap(state_dict, 'The checkpoint'), own)
    state, _ = _fit_shapes(state, model)
    return {
        key: value
        for key, value in state.items()
        if not (
            key.startswith(_HEADS) and (key not in own or own[key].shape != value.shape)
        )
    }


def load_spectral_earth_weights(
    model: nn.Module,
    path: PathLike,
    *,
    branch: Literal['auto', 'student', 'teacher'] = 'auto',
    adapter_only: bool = False,
    strict: bool = True,
) -> WeightReport:
    """Load weights of SpectralEarth into a backbone.

    Takes the published files (a plain state dict of a backbone) and checkpoints of the
    official trainers (MoCo, DINO, MAE, downstream tasks), with or without a
    ``state_dict`` around them, and the checkpoints of torchgeo's trainers with our
    backbones. A head of another size is left out. Position embeddings are interpolated
    if the model has another grid of tokens.

    If you use these weights in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        model: ``spec_resnet50`` or a ``spec_vit_*``, a feature extractor made of one,
            or a model that has one of them inside.
        path: The file.
        branch: Which network of a self-supervised checkpoint: the one that is trained
            (``'student'``), its moving average (``'teacher'``), or by default the one
            that is usually evaluated: DINO's teacher and MoCo's student.
        adapter_only: Whether to load the spectral adapter only, e.g. in front of
            another backbone.
        strict: Whether any difference except a head is an error.

    Returns:
        What was loaded and what was not.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or, with *strict*, is not a checkpoint
            of this model.
        BandMismatchError: If the file or the model has no spectral adapter.
    """
    backbone = _find_backbone(model)
    own = backbone.state_dict()
    if adapter_only:
        own = {k: v for k, v in own.items() if k.startswith('spectral_adapter.')}
    tensors = read_checkpoint(path)
    prefix, state = extract_backbone(tensors, own, branch)
    ignored = len(tensors) - len(state)
    if adapter_only:
        state = {k: v for k, v in state.items() if k in own}
    state, resampled = _fit_shapes(state, backbone)
    fits = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    rest = [k for k in state if k not in fits]
    report = WeightReport(
        prefix=prefix,
        loaded=tuple(fits),
        missing=tuple(k for k in own if k not in state and not k.startswith(_HEADS)),
        unexpected=tuple(k for k in rest if k not in own and not k.startswith(_HEADS)),
        mismatched=tuple(k for k in rest if k in own and not k.startswith(_HEADS)),
        dropped=tuple(k for k in rest if k.startswith(_HEADS)),
        resampled=tuple(resampled),
        ignored=ignored,
    )
    if strict and (report.missing or report.unexpected or report.mismatched):
        raise CorruptFileError(
            f'{Path(path)} does not fit {type(backbone).__name__}; nothing was loaded. '
            f'Check the size of the model, or pass strict=False.\n{report}'
        )
    backbone.load_state_dict(fits, strict=False)
    return report
