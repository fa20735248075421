# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of ``torch.save``: tensors out, and no code run."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from ..._torch_file import first_line, read_torch_file
from ..._typing import PathLike
from ...errors import CorruptFileError

WHERE = (
    'The published files are linked from https://github.com/AABNassim/spectral_earth.'
)

#: What a state dict is called in the files of Lightning and others.
_WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'net')
#: Where a network keeps its tensors and its parts, and how many parts it may have.
_NETWORK = ('_parameters', '_buffers', '_modules', '_non_persistent_buffers_set')
_PARTS = 10_000
#: Networks that some trainers save side by side.
_BRANCHES = ('student', 'teacher')

#: How files begin that are often saved under the name of weights.
_IMPOSTORS = {
    b'version https://git-lfs': 'is a Git LFS pointer and not the file itself: run '
    '"git lfs pull" in its repository',
    b'<!doctype': 'is a web page, maybe one to log in: open the link in a browser',
    b'<html': 'is a web page, maybe one to log in: open the link in a browser',
    b'<?xml': 'is an XML page, maybe the error of a server: download it again',
    b'{': 'is a JSON text, maybe the error of a server: download it again',
    b'\x1f\x8b': 'is a gzip archive: unpack it',
}


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Args:
        name: Name of the file, for messages.
        state: Names, as in the file, and tensors.
        others: Names in the state dict that are not tensors.
        outside: Names of what the file holds beside the state dict.
        hparams: Hyperparameters of the task that saved it, those with plain values.
    """

    name: str
    state: dict[str, Tensor]
    others: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    hparams: Mapping[str, Any] = field(default_factory=dict)


class _Inert:
    """Stands for an object of a file whose class is not imported."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Ignore the arguments of whatever this stands for."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Initialize a new _Inert instance."""

    def __setstate__(self, state: object) -> None:
        """Keep the tensors of what may be a network, and ignore everything else."""
        if isinstance(state, dict):
            self.kept = {key: state.get(key) for key in _NETWORK}


def _walk_out(network: _Inert, path: Path) -> dict[str, Tensor]:
    """Return the state dict of a network that was saved as an object."""
    found: dict[str, Tensor] = {}
    waiting = deque([('', network)])
    # parts that lie in each other have no end
    for _ in range(_PARTS):
        if not waiting:
            return found
        prefix, part = waiting.popleft()
        kept = getattr(part, 'kept', {})
        passing = kept.get('_non_persistent_buffers_set') or ()
        for name, value in _items(kept.get('_parameters')) + _items(
            kept.get('_buffers')
        ):
            if isinstance(value, Tensor) and name not in passing:
                found[f'{prefix}{name}'] = value
        for name, value in _items(kept.get('_modules')):
            if isinstance(value, _Inert):
                waiting.append((f'{prefix}{name}.', value))
    raise CorruptFileError(
        f'{path} holds a network of more than {_PARTS} parts, or one that lies in itself. '
        'Get the file again.'
    )


def _items(value: object) -> list[tuple[Any, Any]]:
    """Return the items of a dict, and none of anything else."""
    return list(value.items()) if isinstance(value, Mapping) else []


def _open_networks(content: Any, path: Path) -> Any:
    """Replace networks that were saved as objects by their state dicts."""
    if isinstance(content, _Inert):
        return _walk_out(content, path) or content
    if not isinstance(content, Mapping):
        return content
    return {
        key: (_walk_out(value, path) or value) if isinstance(value, _Inert) else value
        for key, value in content.items()
    }


def _stand_in(name: str) -> Callable[..., Any]:
    """Make something inert that a file finds under the name of a class or function."""
    module, _, qualname = name.rpartition('.')
    if name == 'collections.defaultdict':
        # it is filled after it is made, which only works for a real dict
        def stand_in(*args: Any) -> dict[Any, Any]:
            return {}

        stand_in.__module__, stand_in.__qualname__ = module, qualname
        return stand_in
    return type(qualname, (_Inert,), {'__module__': module, '__qualname__': qualname})


@contextmanager
def _only_safe_for_torch() -> Iterator[None]:
    """Set aside what other packages have declared safe to load.

    Some declare classes, such as ``defaultdict``, that torch then makes but cannot fill.
    """
    declared = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(declared)


def _load_around_objects(path: Path) -> Any:
    """Load a file in which everything but tensors and plain values stays inert.

    Of networks that were saved as objects, the tensors are kept.

    Checkpoints of Lightning keep hyperparameters, whose classes (OmegaConf, paths,
    argparse) ``weights_only=True`` refuses. None of them is imported or called here.
    """
    names: list[str] = []
    try:
        with _only_safe_for_torch():
            names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
            with torch.serialization.safe_globals([_stand_in(name) for name in names]):
                content = torch.load(path, map_location='cpu', weights_only=True)
        return _open_networks(content, path)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        raise CorruptFileError(
            f'{path} holds objects that may run code and are not loaded: '
            f'{", ".join(sorted(names)) or "unknown ones"}. Where you trust the file, '
            'save its tensors alone: torch.save(torch.load(path, weights_only=False)'
            f"['state_dict'], new_path), and load that. ({first_line(error)})"
        ) from error


def _check_start(path: Path, where: str) -> None:
    """Refuse files that only have the name of weights."""
    with path.open('rb') as file:
        start = file.read(64)
    if not start:
        raise CorruptFileError(f'{path} is damaged: it is empty. Download it again.')
    for mark, reason in _IMPOSTORS.items():
        if start.lstrip().lower().startswith(mark):
            raise CorruptFileError(f'{path} {reason}. {where}')


def read_checkpoint(path: PathLike, *, where: str = WHERE) -> Checkpoint:
    """Read the tensors of a checkpoint, without running code from it.

    Args:
        path: File written by ``torch.save``: a state dict, or a dict that holds one
            under ``state_dict`` (Lightning), ``model`` or ``net``.
        where: Where files of this kind are from, for error messages.

    Returns:
        What it holds.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file is damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'No checkpoint at {path}. {where}')
    _check_start(path, where)
    try:
        content = read_torch_file(path, 'Download it again.')
    except pickle.UnpicklingError:
        content = _load_around_objects(path)
    return unwrap(content, str(path), where=where)


def _find_state(content: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], list[str]]:
    """Find the state dict, and name what lies beside it."""
    outside: list[str] = []
    for _ in range(3):
        key = next(
            (
                k
                for k in _WRAPPERS
                if isinstance(content.get(k), Mapping) and content[k]
            ),
            None,
        )
        if key is None:
            break
        outside += [str(k) for k in content if k != key]
        content = content[key]
    branches = [k for k in _BRANCHES if isinstance(content.get(k), Mapping)]
    if branches:
        outside += [str(k) for k in content if k not in branches]
        content = {f'{b}.{k}': v for b in branches for k, v in content[b].items()}
    return content, outside


def _is_plain(value: object) -> bool:
    """Whether a value, and all that is in it, is a number, a word or nothing."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _is_plain(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, str | int | float)


def _plain(hparams: object) -> dict[str, Any]:
    """Keep the hyperparameters that no class of others is needed for."""
    if not isinstance(hparams, Mapping):
        return {}
    return {str(key): value for key, value in hparams.items() if _is_plain(value)}


def unwrap(content: object, name: str, *, where: str = WHERE) -> Checkpoint:
    """Find the state dict in what a checkpoint holds.

    Args:
        content: What was loaded.
        name: Name of the file, for the error message.
        where: Where files of this kind are from, for the error message.

    Returns:
        The tensors, and the names of everything else.

    Raises:
        CorruptFileError: If there is none.
    """
    state: dict[str, Tensor] = {}
    others: list[str] = []
    outside: list[str] = []
    hparams: dict[str, Any] = {}
    if isinstance(content, Mapping):
        hparams = _plain(content.get('hyper_parameters'))
        content, outside = _find_state(content)
        for key, value in content.items():
            if isinstance(key, str) and isinstance(value, Tensor):
                state[key] = value
            else:
                others.append(str(key))
    if not state:
        found = ', '.join([*outside, *others][:5]) or type(content).__name__
        raise CorruptFileError(f'{name} holds no state dict, but {found}. {where}')
    return Checkpoint(name, state, tuple(others), tuple(outside), hparams)
