# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which part of a network learns, and how fast."""

from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any, Literal, Self

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torchgeo.tasks import BaseTask
from torchvision.models._api import WeightsEnum

from ..errors import BandMismatchError, MetadataError
from ..models import get_model, load_spectral_earth_weights, use_bands
from ..models.backbones._features import blocks_of
from ..models.lora import add_lora
from ..models.weights._backbone_search import ADAPTERS
from ._recipes import rate_factor, training_steps

Protocol = Literal['full', 'frozen', 'adapter', 'first_blocks', 'lora']
Schedule = Literal['onecycle', 'cosine']


def check_names(labels: Sequence[str] | None, count: int, least: int) -> None:
    """Check the number of outputs of a task, and their names.

    Args:
        labels: The names, if there are any.
        count: Number of outputs.
        least: Smallest number of outputs.

    Raises:
        ValueError: If there are too few outputs, or another number of names.
    """
    if count < least:
        raise ValueError(
            f'Expected at least {least} outputs, got {count}. To find one class, give '
            'the rest of the world a class of its own.'
        )
    if labels is not None and len(labels) != count:
        raise ValueError(f'Expected {count} labels, got {len(labels)}.')


def freeze(
    backbone: nn.Module,
    protocol: Protocol,
    num_blocks: int | None = None,
    lora_rank: int = 8,
    lora_alpha: float | None = None,
    lora_dropout: float = 0.0,
) -> None:
    """Freeze a backbone, or most of it.

    Args:
        backbone: The backbone, changed in place.
        protocol: ``'full'`` freezes nothing, ``'frozen'`` everything; ``'adapter'``
            leaves the spectral adapter, ``'first_blocks'`` the first blocks of a vision
            transformer or stages of another network; ``'lora'`` freezes everything and
            adds small trainable matrices to its linear layers.
        num_blocks: How many blocks ``'first_blocks'`` leaves.
        lora_rank: Rank of the matrices of ``'lora'``.
        lora_alpha: Their product is multiplied by *lora_alpha* / *lora_rank*; by 1 by
            default.
        lora_dropout: Dropout in front of the matrices of ``'lora'``.

    Raises:
        BandMismatchError: If there is no spectral adapter to leave.
        ImportError: If peft is not installed.
        ValueError: If there is no such protocol, or it does not fit the backbone.
    """
    if protocol not in ('full', 'frozen', 'adapter', 'first_blocks', 'lora'):
        raise ValueError(
            'Expected the protocol full, frozen, adapter, first_blocks or lora, got '
            f'{protocol!r}.'
        )
    if num_blocks is not None and protocol != 'first_blocks':
        raise ValueError(
            f'num_blocks={num_blocks} belongs to protocol="first_blocks", got '
            f'{protocol!r}. Leave it out.'
        )
    if protocol == 'full':
        return
    backbone.requires_grad_(False)
    if protocol == 'adapter':
        _adapter_of(backbone).requires_grad_(True)
    elif protocol == 'first_blocks':
        for block in _first_blocks(backbone, num_blocks):
            block.requires_grad_(True)
    elif protocol == 'lora':
        add_lora(backbone, lora_rank, lora_alpha, lora_dropout)


def _adapter_of(backbone: nn.Module) -> nn.Module:
    """Return the spectral adapter of a backbone."""
    adapter = getattr(backbone, 'spectral_adapter', None)
    if not isinstance(adapter, ADAPTERS):
        raise BandMismatchError(
            f'{type(backbone).__name__} has no spectral adapter. Use a backbone whose '
            "name begins with 'spec_', or another protocol."
        )
    return adapter


def _first_blocks(backbone: nn.Module, count: int | None) -> list[nn.Module]:
    """Return the first blocks of a backbone."""
    blocks = blocks_of(backbone)
    if count is None or not 1 <= count <= len(blocks):
        raise ValueError(
            f'Expected num_blocks from 1 to {len(blocks)} for protocol="first_blocks" '
            f'with this backbone, got {count}.'
        )
    return blocks[:count]


def rest(module: nn.Module) -> None:
    """Put the frozen parts of a network into evaluation mode.

    So batch normalization keeps its statistics, and nothing is dropped.

    Args:
        module: The network, changed in place.
    """
    parameters = list(module.parameters())
    if not any(p.requires_grad for p in parameters):
        # a child without parameters belongs to what trains around it
        if parameters:
            module.eval()
        return
    for child in module.children():
        rest(child)


def build_classifier(hparams: Mapping[str, Any], num_outputs: int) -> nn.Module:
    """Build a backbone with a head for whole images.

    Args:
        hparams: Hyperparameters of the task, of those names.
        num_outputs: Number of scores or values.

    Returns:
        The network.
    """
    names = (
        'backbone',
        'head',
        'pool',
        'in_channels',
        'backbone_kwargs',
        'head_kwargs',
    )
    words = {name: hparams[name] for name in names}
    network: nn.Module = get_model('classifier', num_classes=num_outputs, **words)
    return network


def check_fitted(model: nn.Module) -> None:
    """Refuse to use a network that has not seen training data.

    Args:
        model: The network.

    Raises:
        MetadataError: If it says that it is not fitted.
    """
    if not getattr(model, 'is_fitted', True):
        raise MetadataError(
            'This network has not been trained, so its map would be noise. Run fit '
            'first, and pass its checkpoint (ckpt_path).'
        )


class _OneCycle(OneCycleLR):
    """One cycle over the training that goes on, not over that of the checkpoint.

    PyTorch's takes its length from there, and fails after the last step of it.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take where it stands, and keep how long it is.

        Args:
            state_dict: State of the schedule in the checkpoint.
        """
        own = {
            name: self.__dict__[name] for name in ('total_steps', '_schedule_phases')
        }
        super().load_state_dict({**state_dict, **own})


class ProtocolMixin(BaseTask):
    """What the tasks of this package share: weights, protocols, optimizer, schedule.

    A task has the hyperparameters *protocol*, *num_blocks*, *lora_rank*, *lr*,
    *weight_decay*, *warmup* and *schedule*, maybe *lora_alpha* and *lora_dropout*, and a
    model with a ``backbone``.
    """

    model: nn.Module
    weights: WeightsEnum | str | None

    def prepare_backbone(self) -> None:
        """Load weights into the backbone of the model and freeze what shall not learn.

        Raises:
            ValueError: If a model without a backbone is to be frozen.
        """
        if self.weights:
            # networks of our own read checkpoints of their own
            load = getattr(self.model, 'load_trunk', None)
            if load is None:
                load = partial(load_spectral_earth_weights, self.model)
            load(self.weights)
        words = {k: self.hparams[k] for k in ('protocol', 'num_blocks', 'lora_rank')}
        more = ('lora_alpha', 'lora_dropout')
        words |= {k: self.hparams[k] for k in more if k in self.hparams}
        backbone = getattr(self.model, 'backbone', None)
        if isinstance(backbone, nn.Module):
            freeze(backbone, **words)
        elif words['protocol'] != 'full':
            raise ValueError(
                f'{type(self.model).__name__} has no backbone that protocol='
                f'{words["protocol"]!r} could freeze. Use model="segmenter".'
            )
        rest(self.model)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; what is frozen stays in evaluation.

        Args:
            mode: Whether to train.

        Returns:
            The task.
        """
        super().train(mode)
        if mode and isinstance(getattr(self, 'model', None), nn.Module):
            rest(self.model)
        return self

    def training_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Compute the loss, of bands that the batch may name.

        Args:
            batch: A batch, maybe with ``wavelength`` and ``fwhm``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.
        """
        with use_bands(self.model, batch):
            return super().training_step(batch, batch_idx, dataloader_idx)

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Evaluate, of bands that the batch may name.

        Args:
            batch: A batch, maybe with ``wavelength`` and ``fwhm``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        with use_bands(self.model, batch):
            super().validation_step(batch, batch_idx, dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Evaluate, of bands that the batch may name.

        Args:
            batch: A batch, maybe with ``wavelength`` and ``fwhm``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        with use_bands(self.model, batch):
            super().test_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Predict, of bands that the batch may name.

        Args:
            batch: A batch, maybe with ``wavelength`` and ``fwhm``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            What the task of torchgeo returns.
        """
        with use_bands(self.model, batch):
            return super().predict_step(batch, batch_idx, dataloader_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out of the checkpoint what is no argument of the task.

        torchgeo reads a few more hyperparameters, which its command would hand over to
        the constructor with the others.

        Args:
            checkpoint: The checkpoint, changed in place.
        """
        key = self.CHECKPOINT_HYPER_PARAMS_KEY
        known = signature(type(self).__init__).parameters
        saved = checkpoint.get(key, {})
        checkpoint[key] = {k: v for k, v in saved.items() if k in known or k[0] == '_'}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and its schedule.

        Returns:
            AdamW over what learns, and a learning rate that changes with every step
            (one cycle) or with every epoch (cosine).

        Raises:
            ValueError: If a cosine has no end, or there is no such schedule.
        """
        optimizer = AdamW(
            [p for p in self.parameters() if p.requires_grad],
            lr=self.hparams['lr'],
            weight_decay=self.hparams['weight_decay'],
        )
        schedule, interval = self._schedule(optimizer)
        scheduler: Any = {'scheduler': schedule, 'interval': interval}
        return {'optimizer': optimizer, 'lr_scheduler': scheduler}

    def _schedule(self, optimizer: AdamW) -> tuple[LRScheduler, str]:
        """Build the schedule and say how often it steps."""
        hparams: Mapping[str, Any] = self.hparams
        if hparams['schedule'] == 'onecycle':
            cycle = _OneCycle(
                optimizer,
                max_lr=hparams['lr'],
                total_steps=training_steps(self.trainer),
                pct_start=hparams['warmup'],
            )
            return cycle, 'step'
        if hparams['schedule'] != 'cosine':
            raise ValueError(
                f"Expected the schedule 'onecycle' or 'cosine', got "
                f'{hparams["schedule"]!r}.'
            )
        epochs = self.trainer.max_epochs
        if epochs is None or epochs < 1:
            raise ValueError(
                'schedule="cosine" falls until the last epoch: set trainer.max_epochs.'
            )
        # as a factor, which can grow again for whoever goes on with more epochs
        factor = partial(rate_factor, steps=epochs, rising=0, schedule='cosine')
        return LambdaLR(optimizer, factor), 'epoch'
