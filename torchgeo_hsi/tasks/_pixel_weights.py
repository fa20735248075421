# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Backbones that were trained on other pixels."""

import pickle
from typing import Any

from torch import Tensor, nn

from .._torch_file import first_line, read_torch_file
from ..errors import BandMismatchError, CorruptFileError

#: Where the task keeps the backbone of its model.
_PREFIX = 'model.backbone.'


def load_trunk(model: nn.Module, weights: Any) -> bool:
    """Load the backbone of a checkpoint of pixel classification.

    Models that read checkpoints themselves are left to do so. The head, and principal
    components before the backbone, are those of the new scene.

    Args:
        model: Model with a ``backbone``, changed in place.
        weights: The checkpoint; anything else is left alone.

    Returns:
        Whether it was such a checkpoint.

    Raises:
        BandMismatchError: If the backbone is another one.
        CorruptFileError: If the file cannot be read.
        FileNotFoundError: If there is no such checkpoint.
    """
    is_checkpoint = isinstance(weights, str) and weights.endswith('.ckpt')
    if not is_checkpoint or hasattr(model, 'load_trunk'):
        return False
    state = _trunk_of(weights)
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, nn.Module) or not state:
        owner = type(model).__name__ if state else weights
        raise BandMismatchError(
            f'{owner} has no backbone. Take checkpoints of networks that have one, such '
            'as lola_specvit or window_classifier, for the same network.'
        )
    own = backbone.state_dict()
    wrong = sorted(own.keys() ^ state.keys())
    wrong += [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if wrong:
        raise BandMismatchError(
            f'{weights} has another backbone: {", ".join(wrong[:3])} '
            f'({len(wrong)} parts) differ. Use the model and the model_kwargs of its '
            'training.'
        )
    backbone.load_state_dict(state)
    return True


def _trunk_of(path: str) -> dict[str, Tensor]:
    """Read the tensors of a backbone, with the names that it gives them."""
    try:
        content = read_torch_file(path)
        return {
            key.removeprefix(_PREFIX): value
            for key, value in content['state_dict'].items()
            if key.startswith(_PREFIX)
        }
    except (pickle.UnpicklingError, AttributeError, LookupError, TypeError) as error:
        raise CorruptFileError(
            f'{path} is no checkpoint of a training ({first_line(error)[:200]}). Name '
            'one that torchgeo fit has written.'
        ) from error
