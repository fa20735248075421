# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Low-rank adaptation: small trainable matrices beside frozen linear layers."""

from typing import Any, cast

from torch import nn

from ..errors import MetadataError


def add_lora(
    module: nn.Module, rank: int, alpha: float | None = None, dropout: float = 0.0
) -> None:
    """Add low-rank matrices to the linear layers of a network, through peft.

    A layer ``y = W x + b`` becomes ``y = W x + b + (alpha / rank) U D dropout(x)``: *D*
    takes its input to *rank* numbers, *U* takes them to its output. *U* is 0 at first,
    so the network gives what it gave before. All of it is frozen but *D* and *U*, so
    this makes sense for a network with pretrained weights: add the matrices when the
    weights are there.

    * https://doi.org/10.48550/arXiv.2106.09685

    Args:
        module: The network, changed in place: its linear layers move to
            ``base_layer``.
        rank: Rank of the matrices.
        alpha: Numerator of the factor of their product; *rank* by default, so that it
            is not scaled.
        dropout: Probability with which an input of *D* is set to 0 in training.

    Raises:
        ImportError: If peft is not installed.
        ValueError: If there are no linear layers, they have such matrices already, or a
            number is out of its range.

    Example:
        >>> layers = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8))
        >>> add_lora(layers, rank=4)
        >>> print(f'{trainable_share(layers):.1%}')
        14.6%
    """
    names = [
        name
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Linear)
    ]
    if not names or rank < 1:
        raise ValueError(
            'Expected linear layers and a positive lora_rank, got '
            f'{type(module).__name__} with {len(names)} linear layers and a rank of '
            f'{rank}. Use a transformer such as spec_vit_small for protocol="lora".'
        )
    alpha = rank if alpha is None else alpha
    if not alpha > 0 or not 0 <= dropout < 1:
        raise ValueError(
            'Expected a positive lora_alpha and a lora_dropout from 0 to below 1, got '
            f'{alpha} and {dropout}.'
        )
    if lora_layers(module):
        raise ValueError(
            f'{type(module).__name__} has low-rank matrices already. Call '
            'torchgeo_hsi.models.merge_lora first, and add new ones.'
        )
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError(
            'peft is needed for protocol="lora". Install it with '
            "pip install 'torchgeo-hsi[lora]'."
        ) from error
    config = LoraConfig(
        r=rank,
        # peft declares an integer, and divides by the rank
        lora_alpha=cast(int, alpha),
        lora_dropout=dropout,
        target_modules=names,
    )
    inject_adapter_in_model(config, module)


def lora_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Find the layers of a network that have low-rank matrices.

    Args:
        module: The network.

    Returns:
        The layers of peft, by their names.
    """
    return {
        name: part
        for name, part in module.named_modules()
        if hasattr(part, 'lora_A') and hasattr(part, 'get_base_layer')
    }


def merge_lora(module: nn.Module) -> int:
    """Add low-rank matrices to the weights beside them, and remove them.

    What the network gives is the same, but for rounding, at the speed and with the keys
    that it had without them. Gradients are asked for as before: frozen weights stay
    frozen.

    Args:
        module: The network, changed in place.

    Returns:
        Number of layers that had such matrices.

    Raises:
        MetadataError: If the network is such a layer itself, which nothing holds.

    Example:
        >>> layers = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8))
        >>> add_lora(layers, rank=4)
        >>> merge_lora(layers)
        2
        >>> layers[0]
        Linear(in_features=64, out_features=64, bias=True)
    """
    found = lora_layers(module)
    if '' in found:
        raise MetadataError(
            'Expected the network that holds the layers, got one of its layers. Its '
            'weights would be merged by layer.merge().'
        )
    for name, part in found.items():
        layer: Any = part
        if not layer.merged:
            layer.merge()
        parent, _, last = name.rpartition('.')
        setattr(module.get_submodule(parent), last, layer.get_base_layer())
    return len(found)


def scale_lora(module: nn.Module, strength: float) -> int:
    """Set how strongly low-rank matrices act: ``strength * alpha / rank``.

    It is not saved with the weights: a network that is loaded has a strength of 1.

    Args:
        module: The network, changed in place.
        strength: Factor; 1 is what they have been built with, 0 leaves them out.

    Returns:
        Number of layers that have such matrices.

    Raises:
        ValueError: If the strength is negative.
    """
    if not strength >= 0:
        raise ValueError(f'Expected a strength of at least 0, got {strength}.')
    found = lora_layers(module)
    for part in found.values():
        layer: Any = part
        for adapter in layer.lora_A:
            layer.set_scale(adapter, strength)
    return len(found)


def trainable_share(module: nn.Module) -> float:
    """Compute which share of the parameters of a network learns.

    Args:
        module: The network.

    Returns:
        Trainable parameters, as a share of all; 0 if there are none.

    Example:
        >>> layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, bias=False))
        >>> layers[1] = layers[1].requires_grad_(False)
        >>> round(trainable_share(layers), 3)
        0.667
    """
    sizes = [(p.numel(), p.requires_grad) for p in module.parameters()]
    total = sum(size for size, _ in sizes)
    return sum(size for size, learns in sizes if learns) / total if total else 0.0
