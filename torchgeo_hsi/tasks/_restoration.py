# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What tasks of restoration share: network, loss, optimizer, and how they predict."""

import math
from collections.abc import Mapping
from functools import partial
from inspect import signature
from typing import Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torchgeo.tasks import BaseTask
from torchmetrics import MetricCollection

from ..errors import BandMismatchError
from ..losses import RestorationLoss
from ..models import get_builder, get_model, list_models
from ._recipes import rate_factor, training_progress, training_steps
from ._scene_pass import run_scene_pass, valid_pixels

#: Entries of a batch that say where a prediction belongs.
PLACE = ('bounds', 'transform', 'crs', 'wavelength', 'fwhm', 'valid')


class RestorationTask(BaseTask):
    """A task whose network or method has a name, and gives a cube for a cube.

    Subclasses have the hyperparameters ``model``, ``model_kwargs``, ``weights``, ``loss``,
    ``lr``, ``weight_decay``, ``warmup`` and ``schedule``.
    """

    #: Networks that could be trained instead of a method, for a message.
    trainable = 'hsdt_s'

    def configure_models(self) -> None:
        """Build the network."""
        words = dict(self.hparams['model_kwargs'] or {})
        if self.weights is not None:
            words['weights'] = self.weights
        self.model = get_model(self.hparams['model'], **words)
        known = signature(get_builder(self.hparams['model'])).parameters
        bands = getattr(self.model, 'num_bands', None)
        if 'num_bands' in known and isinstance(bands, int):
            # weights may have chosen it, which checkpoints do not remember
            words = {**(self.hparams['model_kwargs'] or {}), 'num_bands': bands}
            self.hparams['model_kwargs'] = words
        self._arguments = frozenset(signature(self.model.forward).parameters)

    def configure_losses(self) -> None:
        """Build the loss."""
        self.criterion = RestorationLoss(self.hparams['loss'])

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and its schedule.

        Returns:
            AdamW, and a learning rate that changes with every step.

        Raises:
            ValueError: If there is nothing to learn, or the training has no end.
        """
        parameters = [p for p in self.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(
                f'{self.hparams["model"]!r} has nothing to learn. Use it with test and '
                f'predict, or train a network such as {self.trainable}.'
            )
        optimizer = AdamW(
            parameters, self.hparams['lr'], weight_decay=self.hparams['weight_decay']
        )
        if self.hparams['schedule'] == 'constant' and not self.hparams['warmup']:
            return optimizer
        steps = training_steps(self.trainer)
        rising = math.ceil(self.hparams['warmup'] * steps)
        # a partial is pickled but not kept in checkpoints: whoever resumes with more
        # epochs gets their schedule, not that of the training that ended
        factor = partial(
            rate_factor, steps=steps, rising=rising, schedule=self.hparams['schedule']
        )
        scheduler: Any = {'scheduler': LambdaLR(optimizer, factor), 'interval': 'step'}
        return {'optimizer': optimizer, 'lr_scheduler': scheduler}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a checkpoint is of this network.

        Args:
            checkpoint: What the file holds.

        Raises:
            BandMismatchError: If it is of a network with another number of bands, or of
                another size.
        """
        own = self.state_dict()
        for name, value in checkpoint.get('state_dict', {}).items():
            if name in own and own[name].shape != value.shape:
                kwargs = checkpoint.get('hyper_parameters', {}).get('model_kwargs')
                raise BandMismatchError(
                    f'The checkpoint holds another network: its {name} has shape '
                    f'{tuple(value.shape)}, and that of {self.hparams["model"]!r} '
                    f'{tuple(own[name].shape)}. Build the task as it was trained, with '
                    f'model_kwargs={kwargs}, or with the weights that it began with.'
                )

    def on_predict_start(self) -> None:
        """Show the scene to a network that looks at all of it."""
        run_scene_pass(self, self.model, self.model_inputs)

    def on_predict_end(self) -> None:
        """Forget the scene."""
        if getattr(self.model, 'needs_scene', False):
            self.model.forget()

    def model_inputs(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return what the network wants to know beside the image.

        Args:
            batch: A batch.

        Returns:
            More arguments of the network.
        """
        return {}

    def _counted(self, batch: Mapping[str, Any]) -> Tensor:
        """Return which pixels of the target count."""
        return valid_pixels(batch)

    def _target_loss(self, batch: Mapping[str, Any], image: Tensor) -> Tensor:
        """Compute the loss of a result."""
        loss: Tensor = self.criterion(image, batch['target'], self._counted(batch))
        return loss

    def _score(
        self, batch: Mapping[str, Any], image: Tensor, metrics: MetricCollection
    ) -> None:
        """Compare a result with the target."""
        metrics.update(image, batch['target'], self._counted(batch))
        self.log_dict(metrics, batch_size=len(image))

    def _share_done(self) -> float:
        """Return which share of the training is done, and 1 where nothing is trained."""
        if self.trainer.state.fn != TrainerFn.FITTING:
            return 1.0
        return training_progress(self.trainer)

    def _in_units(self, batch: Mapping[str, Any], image: Tensor) -> Tensor:
        """Return images in physical units: times ``scale``, plus ``offset``."""
        image = image.float()
        for name, operation in (('scale', torch.mul), ('offset', torch.add)):
            if name in batch:
                image = operation(image, batch[name].reshape(-1, 1, 1, 1))
        return image

    def _placed(self, batch: Mapping[str, Any], image: Tensor) -> dict[str, Any]:
        """Return a prediction, and what says where it belongs."""
        return {'image': image} | {key: batch[key] for key in PLACE if key in batch}

    def _log_loss(self, name: str, loss: Tensor, batch: Any) -> None:
        self.log(name, loss, batch_size=len(batch['image']), sync_dist=True)


def models_of(kind: type) -> list[str]:
    """List the names of networks and methods of one kind.

    Args:
        kind: Their base class.
    """
    built = {
        name: get_builder(name).__annotations__.get('return') for name in list_models()
    }
    return [
        name
        for name, found in built.items()
        if isinstance(found, type) and issubclass(found, kind)
    ]
