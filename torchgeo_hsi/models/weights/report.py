# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What became of every tensor of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What can become of a tensor that belongs to the network that is loaded.
LOADED = 'loaded'
RESIZED = 'loaded, resized'
HEAD = 'head, left out'
COPY = 'another copy of a loaded one'
DIFFERENT_COPY = 'another copy that differs'
PRUNED = 'not needed by this feature extractor'
UNEXPECTED = 'not in the model'
OTHER_SHAPE = 'of another shape'
OTHER_ADAPTER = 'adapter of another kind'
NOT_ASKED = 'not asked for'
NO_TENSOR = 'no tensor'

#: What makes a file one that does not fit; order of the summary.
_PROBLEMS = ('missing', 'unexpected', 'mismatched', 'conflicts', 'nonfinite')
_NOTES = ('kept', 'resized', 'converted', 'dropped', 'fresh')


def _list(words: tuple[str, ...]) -> str:
    """List the first names, and count the others."""
    rest = f' and {len(words) - 3} more' if len(words) > 3 else ''
    return ', '.join(words[:3]) + rest


@dataclass(frozen=True)
class WeightReport:
    """What :func:`load_spectral_earth_weights` did with each tensor.

    Args:
        network: The network in the file, by its shapes, e.g. ``'spec_vit_small'``.
        prefix: What its keys start with in the file.
        loaded: Keys of the model that got weights.
        missing: Keys of the model that the file lacks; they keep their values.
        unexpected: Keys of the network in the file, under our names, that the model
            lacks.
        mismatched: Keys whose shapes differ; the model keeps its values.
        conflicts: Keys of which the file has several copies with different values; the
            first of them in the layout of the official trainer is taken.
        nonfinite: Keys with NaN or infinite values in the file.
        dropped: Keys of a head in the file that was left out.
        kept: Keys of the adapter of the model, which is of another kind than that of
            the file; they are missing there and keep their values.
        fresh: Keys of the head of the model, which keeps its values.
        resized: Keys that were interpolated to another grid of tokens.
        converted: Keys that the file has in another number format.
        shapes: Shapes in the file and in the model of the keys in *mismatched*.
        ledger: What became of every key in the file's state dict, under its name there.
        outside: Names of what the file holds beside its state dict, which is not read.
    """

    network: str
    prefix: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    nonfinite: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(
        default_factory=dict
    )
    ledger: Mapping[str, str] = field(default_factory=dict)
    outside: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the file and the model are the same, up to the head and adapter."""
        return not any(getattr(self, name) for name in _PROBLEMS)

    @property
    def ignored(self) -> dict[str, tuple[str, ...]]:
        """Keys of the file that were not loaded, by the reason."""
        groups: dict[str, list[str]] = {}
        for key, fate in self.ledger.items():
            if fate not in (LOADED, RESIZED):
                groups.setdefault(fate, []).append(key)
        return {reason: tuple(keys) for reason, keys in groups.items()}

    def __str__(self) -> str:
        """Return a summary of a few lines."""
        count = f'{len(self.loaded)} tensors of the {len(self.ledger)} in the file'
        lines = [f'{self.network}: loaded {count} (prefix {self.prefix!r})']
        for name in (*_PROBLEMS, *_NOTES):
            keys: tuple[str, ...] = getattr(self, name)
            if name == 'mismatched':
                keys = tuple(
                    f'{key} {self.shapes[key][0]} in the file, {self.shapes[key][1]} in '
                    'the model'
                    for key in keys
                )
            if keys:
                lines.append(f'{name}: {_list(keys)}')
        for reason, keys in self.ignored.items():
            lines.append(f'ignored ({reason}): {_list(keys)}')
        if self.outside:
            lines.append(f'not read: {_list(self.outside)}')
        return '\n'.join(lines)
