# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Names of weights: where the networks of a checkpoint are, and what we call them."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Literal

from ...errors import BandMismatchError, CorruptFileError
from ._checkpoint_file import WHERE

#: Which of the two networks of a self-supervised checkpoint.
type Branch = Literal['auto', 'student', 'teacher']
#: Our name of each tensor of a network, and its names in the file, the best one first.
type Network = dict[str, list[str]]

ADAPTER = 'spectral_adapter.'
#: Where heads are, under our names.
HEADS = ('head.', 'fc.', 'classifier.')

#: A tensor of each kind of adapter (by position, by wavelength, by series), and what
#: names of backbones with it end with.
ANCHORS = {
    f'{ADAPTER}0.weight': '',
    f'{ADAPTER}series.weight': '_wl',
    f'{ADAPTER}coefficients.weight': '_series',
}
#: Parts of names that wrappers of torch add anywhere.
_WRAPPERS = re.compile(
    r'(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.'
)
#: Share of the tensors of the best network that another one like it has at least.
_LIKE = 0.9
#: What an exponential moving average of a network is called.
_AVERAGES = ('teacher', 'momentum', 'target', 'ema')

#: What else trainers save, by a word in the name; the first that fits.
_REASONS = {
    'projection_head': 'projection head',
    'prediction_head': 'projection head',
    'projector': 'projection head',
    'predictor': 'projection head',
    'student_head': 'projection head',
    'teacher_head': 'projection head',
    'segmentation': 'segmentation head',
    'mask_token': 'mask token',
    'decoder': 'decoder',
    'criterion': 'loss',
    'loss': 'loss',
    'augment': 'augmentation',
    'views': 'augmentation',
    'metrics': 'metric',
    'classifier': 'head of the task',
    'head': 'head of the task',
}

#: Width and depth of the published transformers.
SIZES = {
    (192, 12): 'spec_vit_tiny',
    (384, 12): 'spec_vit_small',
    (768, 12): 'spec_vit_base',
    (1024, 24): 'spec_vit_large',
    (1280, 32): 'spec_vit_huge',
    (1536, 40): 'spec_vit_giant',
}


def _clean(key: str) -> str:
    """Remove what wrappers added to a name."""
    return _WRAPPERS.sub('', key)


def _root(prefix: str) -> str:
    """Find the network that an adapter belongs to, from what its name begins with.

    SpectralEarth's MAE stores the adapter inside of the patch embedding, and the whole
    network twice: with and without ``spec_vit``.
    """
    for part in ('patch_embed.', 'vit_core.', 'spec_vit.'):
        if prefix == part or prefix.endswith(f'.{part}'):
            prefix = prefix.removesuffix(part)
    return prefix


def our_name(key: str) -> str:
    """Translate a name inside of a published network to ours.

    Args:
        key: Name without what the network is called.

    Returns:
        The name in our, and timm's, layout.
    """
    key = key.removeprefix('spec_vit.').removeprefix('vit_core.')
    key = key.removeprefix('resnet.')
    if key.startswith('patch_embed.'):
        key = key.replace('patch_embed.original_patch_embed.', 'patch_embed.')
        key = key.replace(f'patch_embed.{ADAPTER}', ADAPTER)
    return key


def _preference(key: str) -> tuple[bool, bool, bool, int, str]:
    """Order several names of one tensor: the one that the network computes with."""
    return (
        'spec_vit.' not in key,
        f'patch_embed.{ADAPTER}' in key,
        'original_patch_embed.' not in key,
        len(key),
        key,
    )


def find_networks(keys: Iterable[str], file: str) -> dict[str, Network]:
    """Find the networks with a spectral adapter.

    Args:
        keys: Names of tensors in a file.
        file: Name of the file, for the error message.

    Returns:
        What the names of each network begin with, and its tensors.

    Raises:
        BandMismatchError: If there is none.
    """
    clean = {key: _clean(key) for key in keys}
    roots = _adapter_roots(clean.values())
    if not roots:
        some = ', '.join(list(clean)[:3])
        raise BandMismatchError(
            f'{file} has no spectral adapter ({len(clean)} keys such as {some}), so it '
            'belongs to another network, or to one for a fixed number of bands. Load '
            f'it into the model that it was trained with. {WHERE}'
        )
    return _split(clean, roots, our_name)


def _adapter_roots(names: Iterable[str]) -> set[str]:
    """Find what the names of networks with a spectral adapter begin with."""
    return {
        _root(name.removesuffix(anchor))
        for name in names
        for anchor in ANCHORS
        if name == anchor or name.endswith(f'.{anchor}')
    }


def _split(
    clean: Mapping[str, str], roots: Iterable[str], rename: Callable[[str], str]
) -> dict[str, Network]:
    """Sort keys by the networks that they belong to.

    Args:
        clean: Keys of a file, and their names without those of wrappers.
        roots: What the names of each network begin with.
        rename: Translates names inside of a network to ours.

    Returns:
        The networks.
    """
    networks: dict[str, Network] = {root: {} for root in roots}
    longest_first = sorted(networks, key=len, reverse=True)
    for key, name in clean.items():
        root = next((r for r in longest_first if name.startswith(r)), None)
        if root is not None:
            own = rename(name.removeprefix(root))
            networks[root].setdefault(own, []).append(key)
    for network in networks.values():
        for copies in network.values():
            copies.sort(key=_preference)
    return networks


def find_plain_networks(
    keys: Iterable[str], own: Container[str], file: str, model: str
) -> dict[str, Network]:
    """Find the networks that have no spectral adapter, by the keys of one.

    Args:
        keys: Names of tensors in a file.
        own: Names of those of a model.
        file: Name of the file, for the error message.
        model: Name of the model, for the error message.

    Returns:
        What the names of each network begin with, and its tensors.

    Raises:
        BandMismatchError: If the file has networks with a spectral adapter.
        CorruptFileError: If it has nothing of the model.
    """
    clean = {key: _clean(key) for key in keys}
    if _adapter_roots(clean.values()):
        raise BandMismatchError(
            f'{file} holds a network with a spectral adapter, but found 0 of them in '
            f'{model}. Build the model that the file holds, such as spec_resnet50.'
        )
    found: Counter[str] = Counter()
    for name in clean.values():
        starts = [0, *(dot.end() for dot in re.finditer(r'\.', name))]
        found.update(name[:start] for start in starts if name[start:] in own)
    if not found:
        some = ', '.join(list(clean)[:3])
        raise CorruptFileError(
            f'{file} has nothing of {model} ({len(clean)} keys such as {some}); nothing '
            'was loaded. Build the model that the file holds.'
        )
    least = _LIKE * max(found.values())
    roots = [root for root, count in found.items() if count >= least]
    return _split(clean, roots, str)


def is_average(name: str) -> bool:
    """Whether a network is the moving average of another one, by its name."""
    return any(word in name for word in _AVERAGES)


def _rank(name: str) -> int:
    """Order networks by how usual it is to evaluate them, by their names."""
    # published evaluations use DINO's teacher, but MoCo's query network
    if 'teacher' in name:
        return 0
    return 2 if 'student' in name or is_average(name) else 1


def choose_network(
    networks: Mapping[str, object], branch: Branch, fit: Mapping[str, int]
) -> str:
    """Choose one of several networks.

    Args:
        networks: Their names.
        branch: Which one to take.
        fit: How many tensors of each the model has.

    Returns:
        Its name.

    Raises:
        ValueError: If there is none of this branch.
    """
    names = list(networks)
    if branch not in ('auto', 'student', 'teacher'):
        raise ValueError(
            f"Expected branch 'auto', 'student' or 'teacher', got {branch!r}."
        )
    if branch != 'auto':
        marked = any(is_average(n) or 'student' in n for n in names)
        names = [n for n in names if marked and is_average(n) == (branch == 'teacher')]
        if not names:
            raise ValueError(
                f'Expected a network for branch={branch!r}, found only '
                f'{", ".join(repr(n) for n in networks)}. Pass branch="auto".'
            )
    return min(names, key=lambda n: (_rank(n), -fit.get(n, 0), len(n), n))


def what_else(key: str) -> str:
    """Say what a tensor belongs to that lies outside of all networks.

    Args:
        key: Name in the file.

    Returns:
        A few words.
    """
    name = _clean(key)
    return next((text for word, text in _REASONS.items() if word in name), 'other part')


def kind_of_adapter(keys: Iterable[str]) -> str | None:
    """Tell adapters apart: those that see positions, wavelengths, or series.

    Args:
        keys: Names of the tensors of a network, under our names.

    Returns:
        The one of :data:`ANCHORS` that is among them, if there is one.
    """
    names = set(keys)
    return next((anchor for anchor in ANCHORS if anchor in names), None)


def describe(network: Mapping[str, tuple[int, ...]]) -> str:
    """Name a network by the shapes of its tensors.

    Args:
        network: Our names and shapes.

    Returns:
        Name of the model if it is one of ours, else a few words.
    """
    kind = kind_of_adapter(network)
    suffix = ANCHORS[kind] if kind else ''
    if 'layer1.0.conv1.weight' in network:
        return f'spec_resnet50{suffix}' if kind else 'a residual network'
    blocks = {key.split('.')[1] for key in network if key.startswith('blocks.')}
    width = network.get('cls_token', (0,))[-1]
    if blocks and width:
        name = SIZES.get((width, len(blocks)))
        if name and kind:
            return f'{name}{suffix}'
        return f'a transformer of width {width} with {len(blocks)} blocks'
    if any(key.startswith('backbone.') for key in network):
        return 'an adapter in front of another backbone'
    return f'a network of {len(network)} tensors'
