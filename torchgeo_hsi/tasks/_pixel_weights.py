# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Backbones that were trained on other pixels."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

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
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f'{weights} is no file. Train first, or check the path.'
        )
    try:
        content = torch.load(weights, map_location='cpu', weights_only=True)
        state = {
            key.removeprefix(_PREFIX): value
            for key, value in content['state_dict'].items()
            if key.startswith(_PREFIX)
        }
    # whatever torch and zipfile make of a damaged file
    except (
        pickle.UnpicklingError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise CorruptFileError(
            f'{weights} is no checkpoint that can be read: {str(error)[:200]}. Train '
            'again, or copy it again.'
        ) from error
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
