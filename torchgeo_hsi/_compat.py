# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Everything private of torch, timm, lightly, Lightning and torchgeo that we touch.

Each function has a test that fails when the other package changes under it.
"""

import sys
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

#: Encoders of segmentation_models_pytorch that wrap a network of timm.
_ENCODERS = (
    ('segmentation_models_pytorch.encoders.timm_universal', 'TimmUniversalEncoder'),
    ('segmentation_models_pytorch.encoders.timm_vit', 'TimmViTEncoder'),
)


def has_hooks(module: 'nn.Module') -> bool:
    """Whether a hook waits for the module to be called.

    Args:
        module: Any module.

    Returns:
        True if skipping ``module.__call__`` would skip a hook.
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def in_function_transform() -> bool:
    """Whether ``torch.func.grad``, ``vmap`` or another transform is running.

    Returns:
        True inside of the function that is transformed.
    """
    from torch import _C

    return bool(_C._are_functorch_transforms_active())


def register_torchgeo_weights(entries: Mapping[str, tuple[Any, Any]]) -> None:
    """Add to the tables in which torchgeo looks up models and weights by name.

    torchgeo has no function for this. Nothing happens where it has not been imported.

    Args:
        entries: Names of models; the function that builds each, and its weights.
    """
    api = sys.modules.get('torchgeo.models.api')
    for table, index in (('_model', 0), ('_model_weights', 1)):
        known = getattr(api, table, None)
        if isinstance(known, dict):
            for name, entry in entries.items():
                known.setdefault(name, entry[index])


def teach_encoders(
    translate: Callable[['nn.Module', dict[str, Any]], dict[str, Any]],
) -> None:
    """Let the encoders of segmentation_models_pytorch translate what they load.

    An encoder has the network of timm as a child, so its names have a prefix that
    those of weights lack, and torchgeo loads weights into it as they are. The encoders
    for torchvision's networks translate in the same way. Nothing happens where the
    package has not been imported, and a second time.

    Args:
        translate: Takes an encoder and a state dict, returns a state dict.
    """
    for module, name in _ENCODERS:
        cls = getattr(sys.modules.get(module), name, None)
        if cls is None or hasattr(cls.load_state_dict, 'translates'):
            continue
        original = cls.load_state_dict

        def load_state_dict(
            self: 'nn.Module',
            state_dict: Any,
            *args: Any,
            _original: Callable[..., Any] = original,
            **kwargs: Any,
        ) -> Any:
            return _original(self, translate(self, state_dict), *args, **kwargs)

        cls.load_state_dict = wraps(original)(load_state_dict)
        cls.load_state_dict.translates = translate


def keep_weights_in_mae(is_loaded: Callable[['nn.Module'], bool]) -> None:
    """Let torchgeo's MAE keep the weights that it has loaded.

    It hands its transformer, weights and all, to a class of lightly that by default
    starts by drawing random ones. Nothing happens where the task has not been imported,
    and a second time.

    Args:
        is_loaded: Tells whether a transformer has weights to keep.
    """
    mae = sys.modules.get('torchgeo.tasks.mae')
    cls = getattr(mae, 'MaskedVisionTransformerTIMM', None)
    if cls is None or hasattr(cls, 'keeps_weights'):
        return

    @wraps(cls, updated=())
    def build(vit: 'nn.Module', *args: Any, **kwargs: Any) -> Any:
        if is_loaded(vit):
            kwargs |= {
                'weight_initialization': 'skip',
                'pos_embed_initialization': 'skip',
            }
        return cls(vit, *args, **kwargs)

    vars(build)['keeps_weights'] = True
    vars(mae)['MaskedVisionTransformerTIMM'] = build


def pending_loader_states(trainer: Any) -> list[dict[str, Any]]:
    """Return the states of data loaders that a checkpoint has and no loader got yet.

    Args:
        trainer: Lightning's trainer, or None.

    Returns:
        One state for each loader of training that has states.
    """
    loop = getattr(trainer, 'fit_loop', None)
    return list(getattr(loop, '_combined_loader_states_to_load', []))


def read_loaders_again(trainer: Any) -> None:
    """Let Lightning make the loaders of a training again that goes on.

    Whoever asks for the number of steps while the optimizer is built has them made
    before Lightning reads the states of loaders from the checkpoint, and it hands over
    states only to loaders that it makes: the epoch would start from its first batch.

    Args:
        trainer: Lightning's trainer, with its optimizer being built.
    """
    if trainer.ckpt_path is not None:
        trainer.fit_loop._combined_loader = None


def processed_batches(trainer: Any) -> int:
    """Return how many batches of the epoch have been trained on.

    Args:
        trainer: Lightning's trainer.

    Returns:
        Number of batches, without the one that training is in the middle of.
    """
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.processed)


def new_predict_loaders(trainer: Any) -> list[Any]:
    """Make the loaders of ``predict`` again, to go through the data once more.

    Those of a running prediction share their place in the data with it, so iterating
    over them would leave nothing to predict.

    Args:
        trainer: The trainer, which is predicting.

    Returns:
        New loaders, in their order.
    """
    loaders = trainer.predict_loop._data_source.dataloader()
    return list(loaders) if isinstance(loaders, list | tuple) else [loaders]


def torchgeo_network(name: str, pretrained: bool, **kwargs: Any) -> Any:
    """Build a foundation model of torchgeo, which is imported only then.

    What is done with its parts relies on their names, which are no promise of torchgeo.

    Args:
        name: Its name in ``torchgeo.models.get_model``.
        pretrained: Whether to load torchgeo's weights, which are downloaded.
        **kwargs: Arguments of the model.

    Returns:
        The network.

    Raises:
        ImportError: If torchgeo is not installed.
        RuntimeError: If torchgeo has no weights of this network.
    """
    try:
        # by a relative name: no import that belongs to the package
        models = import_module('.models', 'torchgeo')
    except ModuleNotFoundError as error:
        raise ImportError(
            f'torchgeo is needed for its model {name}. Install it with '
            '"pip install torchgeo".'
        ) from error
    if pretrained:
        entries = getattr(models.api, '_model_weights', {}).get(name)
        if not entries:
            raise RuntimeError(
                f'torchgeo has no weights of {name}. Use pretrained=False.'
            )
        kwargs['weights'] = next(iter(entries))
    return models.get_model(name, **kwargs)
