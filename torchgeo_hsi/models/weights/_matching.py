# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which tensor of a checkpoint goes where in a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, cast

import torch
from timm.layers.patch_embed import resample_patch_embed
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from ...errors import CorruptFileError
from ._backbone_search import heads_of, pruned_parts
from ._checkpoint_file import Checkpoint
from ._checkpoint_layout import (
    ADAPTER,
    Branch,
    Network,
    choose_network,
    describe,
    find_networks,
    find_plain_networks,
    kind_of_adapter,
    what_else,
)
from .report import (
    COPY,
    DIFFERENT_COPY,
    HEAD,
    LOADED,
    NO_TENSOR,
    NOT_ASKED,
    OTHER_ADAPTER,
    OTHER_SHAPE,
    PRUNED,
    RESIZED,
    UNEXPECTED,
    WeightReport,
)


@dataclass(frozen=True)
class Wish:
    """What of a checkpoint is wanted.

    Args:
        branch: Which network.
        adapter_only: Whether only the adapter.
        head: Whether the head, too.
        interpolate: Whether what depends on the grid of tokens may be resized.
    """

    branch: Branch = 'auto'
    adapter_only: bool = False
    head: bool = False
    interpolate: bool = False


@dataclass
class _Books:
    """What is known so far about each key."""

    fits: dict[str, Tensor] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(
        default_factory=dict
    )
    ledger: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, key: str) -> None:
        """Put a key on one of the lists of the report."""
        self.lists.setdefault(kind, []).append(key)


def _same(tensor: Tensor, other: Tensor) -> bool:
    """Whether two copies are the same memory, or equal bit by bit."""
    if tensor.shape != other.shape or tensor.dtype != other.dtype:
        return False
    shared = tensor.data_ptr() == other.data_ptr() and (
        tensor.stride() == other.stride()
    )
    return shared or torch.equal(tensor, other)


def _resize(key: str, value: Tensor, target: torch.Size, model: Any) -> Tensor | None:
    """Interpolate what depends on the grid of tokens; None if it does not."""
    if key == 'patch_embed.proj.weight' and value.shape[:2] == target[:2]:
        return cast(Tensor, resample_patch_embed(value, list(target[2:])))
    if key == 'pos_embed' and value.shape[::2] == target[::2]:
        extra = cast(int, model.num_prefix_tokens)
        tokens = value.shape[1] - extra
        if tokens > 0 and isqrt(tokens) ** 2 == tokens:
            resized = resample_abs_pos_embed(
                value,
                new_size=list(model.patch_embed.grid_size),
                num_prefix_tokens=extra,
            )
            return cast(Tensor, resized)
    return None


def _place(
    books: _Books, key: str, value: Tensor, own: Tensor, model: nn.Module, wish: Wish
) -> str:
    """Put a tensor where the model has one of its name.

    Returns:
        What became of it.
    """
    fate = LOADED
    if value.shape != own.shape:
        shapes = tuple(value.shape), tuple(own.shape)
        resized = _resize(key, value, own.shape, model) if wish.interpolate else None
        if resized is None or resized.shape != own.shape:
            books.note('mismatched', key)
            books.shapes[key] = shapes
            return OTHER_SHAPE
        value, fate = resized, RESIZED
        books.note('resized', key)
    if value.is_floating_point() and not torch.isfinite(value).all():
        books.note('nonfinite', key)
    if value.dtype != own.dtype:
        books.note('converted', key)
    books.fits[key] = value
    return fate


def _match_network(
    books: _Books,
    network: Network,
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    model: nn.Module,
    wish: Wish,
) -> None:
    """Decide about each tensor of the network that was chosen."""
    pruned, heads = pruned_parts(model), heads_of(model)
    other_adapter = kind_of_adapter(network) != kind_of_adapter(own)
    for key, copies in network.items():
        first, *others = copies
        if key.startswith(heads) and not wish.head:
            books.note('dropped', key)
            fate = HEAD
        elif wish.adapter_only and not key.startswith(ADAPTER):
            fate = NOT_ASKED
        elif other_adapter and key.startswith(ADAPTER):
            fate = OTHER_ADAPTER
        elif key not in own:
            fate = PRUNED if key.startswith(pruned) else UNEXPECTED
            if fate == UNEXPECTED:
                books.note('unexpected', key)
        else:
            fate = _place(books, key, state[first], own[key], model, wish)
        books.ledger[first] = fate
        equal = all(_same(state[first], state[name]) for name in others)
        books.ledger |= dict.fromkeys(others, COPY if equal else DIFFERENT_COPY)
        if not equal and fate in (LOADED, RESIZED):
            books.note('conflicts', key)


def _note_untouched(
    books: _Books,
    network: Network,
    own: Mapping[str, Tensor],
    model: nn.Module,
    wish: Wish,
) -> None:
    """List what of the model keeps its values."""
    heads = heads_of(model)
    other_adapter = kind_of_adapter(network) != kind_of_adapter(own)
    for key in own:
        if key.startswith(heads) and not wish.head:
            books.note('fresh', key)
        elif key not in network:
            kept = other_adapter and key.startswith(ADAPTER)
            books.note('kept' if kept else 'missing', key)


def _networks(model: nn.Module, checkpoint: Checkpoint) -> dict[str, Network]:
    """Find networks like the model in a checkpoint."""
    own = model.state_dict()
    if kind_of_adapter(own) is not None:
        return find_networks(checkpoint.state, checkpoint.name)
    return find_plain_networks(
        checkpoint.state, own, checkpoint.name, type(model).__name__
    )


def match(
    model: nn.Module, checkpoint: Checkpoint, wish: Wish
) -> tuple[dict[str, Tensor], WeightReport]:
    """Match a checkpoint with a model, without changing the model.

    Args:
        model: A backbone.
        checkpoint: What a file holds.
        wish: What is wanted.

    Returns:
        The tensors that fit, under the names of the model, and the report.

    Raises:
        BandMismatchError: If one of both has a spectral adapter, and the other has none.
        CorruptFileError: If nothing of the checkpoint belongs to the model.
        ValueError: If it has no network of the branch that is wanted.
    """
    own = dict(model.state_dict())
    if wish.adapter_only:
        own = {key: value for key, value in own.items() if key.startswith(ADAPTER)}
    networks = _networks(model, checkpoint)
    fit = {name: len(own.keys() & network.keys()) for name, network in networks.items()}
    chosen = choose_network(networks, wish.branch, fit)
    network = networks[chosen]
    books = _Books()
    _match_network(books, network, checkpoint.state, own, model, wish)
    owners = {
        key: f'another network ({name or "at the top"})'
        for name, other in networks.items()
        if name != chosen
        for copies in other.values()
        for key in copies
    }
    ledger = {
        key: books.ledger.get(key) or owners.get(key) or what_else(key)
        for key in checkpoint.state
    } | dict.fromkeys(checkpoint.others, NO_TENSOR)
    _note_untouched(books, network, own, model, wish)
    order = {key: i for i, key in enumerate(own)}
    report = WeightReport(
        network=describe(
            {k: tuple(checkpoint.state[c[0]].shape) for k, c in network.items()}
        ),
        prefix=chosen,
        loaded=tuple(books.fits),
        shapes=books.shapes,
        ledger=ledger,
        outside=checkpoint.outside,
        **{
            kind: tuple(sorted(keys, key=lambda k: order.get(k, len(order))))
            for kind, keys in books.lists.items()
        },
    )
    return books.fits, report


def _hint(report: WeightReport, wish: Wish) -> str:
    """Say what to do about a file that does not fit."""
    if report.kept and wish.adapter_only:
        return (
            'The adapters are of different kinds (one sees positions, the other '
            'wavelengths or series): build the model that the file holds.'
        )
    if report.nonfinite:
        return 'The file holds NaN or infinite values: take an earlier checkpoint.'
    if report.conflicts:
        return (
            'The file holds the same weights several times with different values; '
            'strict=False takes those under the first name of the report.'
        )
    if set(report.mismatched) & {'pos_embed', 'patch_embed.proj.weight'} and (
        not wish.interpolate
    ):
        return 'For another size of images or patches, pass interpolate=True.'
    if 'fc_norm.weight' in report.missing:
        return 'To pool with the final norm of the file, build with fc_norm=False.'
    if any(key.startswith(('head.', 'fc.')) for key in report.missing):
        return 'The file has no head for this model: pass head=False.'
    return 'Build the model that the file holds, or pass strict=False.'


def match_strictly(
    model: nn.Module, checkpoint: Checkpoint, wish: Wish, strict: bool = True
) -> tuple[dict[str, Tensor], WeightReport]:
    """Match a checkpoint with a backbone, and refuse one that does not fit.

    Args:
        model: The backbone.
        checkpoint: What a file holds.
        wish: What of it is wanted.
        strict: Whether any difference except a head is an error.

    Returns:
        The tensors under the names of the backbone, and the report.

    Raises:
        BandMismatchError: If one of both has a spectral adapter, and the other has none.
        CorruptFileError: If it does not fit.
    """
    fits, report = match(model, checkpoint, wish)
    if (strict and not report.fits) or not fits:
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        raise CorruptFileError(
            f'{checkpoint.name} holds {report.network}, which does not fit '
            f'{type(model).__name__} ({describe(shapes)}); nothing was loaded. '
            f'{_hint(report, wish)}\n{report}'
        )
    return fits, report
