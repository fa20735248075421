# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all tasks that learn without labels share."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from lightly.models.utils import update_momentum
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from .._compat import read_loaders_again
from .._typing import Sample
from ..errors import BandMismatchError, UnitError
from ..models import load_spectral_earth_weights, use_bands
from ..models.backbones._features import (
    feature_maps,
    levels_of,
    make_backbone,
    whole_patches,
)
from ..transforms import MultiView
from ._random import repeatable
from ._recipes import (
    Recipe,
    build_optimizer,
    build_schedule,
    global_batch_size,
    training_steps,
)
from ._steps import SteppedTask

#: Images whose numbers are larger than this were not normalized.
_LARGEST = 1000.0

#: What belongs to bands, and is there once for each date.
_OF_BANDS = ('wavelength', 'fwhm')


def num_features(backbone: nn.Module) -> int:
    """Tell how many features a backbone without a head puts out.

    Args:
        backbone: A backbone of timm.

    Returns:
        The number of features of an image.
    """
    # some networks widen their features once more behind the pooling
    wide: int | None = getattr(backbone, 'head_hidden_size', None)
    return wide or int(cast(int, backbone.num_features))


class SelfSupervisedTask(SteppedTask):
    """Base of the tasks that pretrain a backbone on images without labels.

    A subclass has the hyperparameters *model*, *model_kwargs*, *in_channels*, *lr*,
    *predict* and those of :class:`~._recipes.Recipe`, sets ``views`` and ``recipe``, and
    defines :meth:`compare`. Batches hold normalized images of shape ``(B, C, H, W)``, or
    ``(B, 2 C, H, W)`` for two dates of a place, as
    :class:`~torchgeo_hsi.datamodules.SpectralEarthDataModule` makes them.
    """

    ignore = ('weights', 'views')
    monitor = 'train_loss'

    backbone: nn.Module
    views: MultiView
    recipe: Recipe
    weights: WeightsEnum | str | None

    #: Stages of this run whose images were found to be normalized; None outside of runs.
    _checked: set[str] | None = None

    @abstractmethod
    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compute the loss of views of the same images.

        Args:
            views: One batch for each view.
            learn: Whether queues, centers and the like may change.

        Returns:
            The loss, and features of shape ``(B, F)`` of a view.
        """

    def teachers(self) -> Sequence[tuple[nn.Module, nn.Module]]:
        """List networks and those that follow them as a moving average."""
        return ()

    def momentum(self) -> float:
        """Return how much of the teachers stays at this step."""
        raise NotImplementedError

    def build_backbone(self) -> nn.Module:
        """Build the backbone, with its weights if there are any.

        Returns:
            The backbone, without a head.
        """
        hparams = self.hparams
        backbone: nn.Module = make_backbone(
            hparams['model'], hparams['in_channels'], hparams['model_kwargs']
        )
        if self.weights:
            load_spectral_earth_weights(backbone, self.weights)
        return backbone

    def encode(self, network: Callable[[Tensor], Any], sample: Sample) -> Tensor:
        """Compute features of a view.

        Where its sides are no multiples of the patches of a vision transformer, its last
        rows and columns are repeated.

        Args:
            network: The backbone, its teacher, or another network with such a part.
            sample: A batch with ``image``, and maybe ``wavelength`` and ``fwhm``.

        Returns:
            What the network returns.

        Raises:
            ValueError: If the network takes images of another size only.
        """
        with use_bands(network, sample):
            found: Tensor = network(whole_patches(network, sample['image']))
        return found

    def _check_data(self, batch: Sample) -> None:
        """Refuse what was not normalized, and bands that are no two dates.

        Looks once in each stage of a run.
        """
        done = set() if self._checked is None else self._checked
        stage = None if self._checked is None else self.trainer.state.stage
        if stage in done:
            return
        image = batch['image']
        _check_dates(batch, self.hparams['in_channels'])
        largest = float(image.abs().max())
        # NaN fails every comparison
        if not largest < _LARGEST:
            raise UnitError(
                f'Expected normalized images, got numbers up to {largest:.4g}. Use a '
                'data module of this package, or standardize the bands before.'
            )
        # images without any data say nothing about the others
        if stage is not None and largest > 0:
            done.add(stage)

    def dates(self, batch: Sample) -> list[Sample]:
        """Take the dates of a batch apart.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` or ``(B, 2 C, H, W)``.

        Returns:
            One or two batches with ``image`` of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If there is another number of bands, or the wavelengths
                say that the halves of the channels are no two dates.
            UnitError: If the images were not normalized; in a run of a trainer, the
                first ones of each stage are looked at for both.
        """
        image = batch['image']
        channels: int = self.hparams['in_channels']
        count = image.shape[1] // channels if image.ndim == 4 else 0
        if count not in (1, 2) or image.shape[1] != count * channels:
            raise BandMismatchError(
                f'Expected images of shape (B, {channels}, H, W), or two dates in '
                f'{2 * channels} channels, got {tuple(image.shape)}. Set in_channels= of '
                'the task to the number of bands of the data.'
            )
        self._check_data(batch)
        if count == 1:
            return [_without_axis(batch)]
        rest = {k: v for k, v in batch.items() if k not in ('image', 'valid')}
        parts = image.chunk(2, dim=1)
        found = [{**rest, 'image': part} for part in parts]
        for key in _OF_BANDS:
            if key in batch and batch[key].shape[-1] == 2 * channels:
                halves = batch[key].chunk(2, dim=-1)
                for sample, half in zip(found, halves, strict=True):
                    sample[key] = half
        if 'valid' in batch:
            valid = batch['valid']
            both = valid.chunk(2, dim=1) if valid.ndim == 4 else (valid, valid)
            for sample, here in zip(found, both, strict=True):
                sample['valid'] = here
        return [_without_axis(sample) for sample in found]

    def setup(self, stage: str) -> None:
        """Tell the views what the data were normalized by.

        Args:
            stage: Stage of the trainer.
        """
        self._checked = set()
        data = getattr(self.trainer, 'datamodule', None)
        mean, std = getattr(data, 'mean', None), getattr(data, 'std', None)
        # torchgeo's modules have one number each, for images of 0 to 255
        if isinstance(mean, Tensor) and isinstance(std, Tensor) and mean.ndim:
            self.views.set_statistics(mean, std)

    def teardown(self, stage: str) -> None:
        """Forget what was found out about the data of this run.

        Args:
            stage: Stage of the trainer.
        """
        self._checked = None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and its schedule, see :class:`~._recipes.Recipe`.

        Returns:
            The optimizer, and a learning rate that changes with every step.

        Raises:
            ValueError: If the training has no end.
        """
        steps = training_steps(self.trainer)
        # with max_steps alone, nobody has asked for the loader yet
        self.trainer.fit_loop.setup_data()
        optimizer = build_optimizer(self, self.recipe, global_batch_size(self.trainer))
        epochs = steps / self._steps_per_epoch(steps)
        schedule = build_schedule(optimizer, self.recipe, steps, epochs)
        read_loaders_again(self.trainer)
        scheduler: Any = {'scheduler': schedule, 'interval': 'step'}
        return {'optimizer': optimizer, 'lr_scheduler': scheduler}

    def _steps_per_epoch(self, steps: float) -> float:
        """Count the steps of an epoch, of which max_steps may allow less than one."""
        batches = float(self.trainer.num_training_batches)
        if math.isinf(batches):
            return max(steps, 1.0) / max(self.trainer.max_epochs or 1, 1)
        return max(math.ceil(batches / self.trainer.accumulate_grad_batches), 1)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then let the teachers follow: not while gradients add up.

        Args:
            *args: As for Lightning.
            **kwargs: As for Lightning.
        """
        super().optimizer_step(*args, **kwargs)
        for network, teacher in self.teachers():
            update_momentum(network, teacher, m=self.momentum())

    def _compare(
        self, batch: Sample, learn: bool, *numbers: int
    ) -> tuple[Tensor, Tensor]:
        """Compare views that are drawn from the numbers of a step."""
        with repeatable(self.device, self._seed or 0, self.global_rank, *numbers):
            with torch.no_grad():
                views: list[Sample] = self.views(self.dates(batch))
            return self.compare(views, learn)

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss.

        Args:
            batch: A batch of images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.

        Raises:
            ValueError: If there is one image only, and something needs more.
        """
        size = len(batch['image'])
        if size == 1:
            _check_statistics(self)
        loss, features = self._compare(batch, True, self.current_epoch, batch_idx)
        self.log('train_loss', loss, batch_size=size)
        if size > 1:
            # far below 1 / sqrt(F), the features of all images are the same
            spread = F.normalize(features.detach().float(), dim=1).std(dim=0).mean()
            self.log('train_std', spread, batch_size=size)
        return loss

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute the loss of validation data; nothing is learned from them.

        The views are the same in each epoch, so that their losses can be compared.

        Args:
            batch: A batch of images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        loss, _ = self._compare(batch, False, batch_idx)
        self.log('val_loss', loss, batch_size=len(batch['image']), sync_dist=True)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """No-op, does nothing: see ``torchgeo-hsi probe``."""

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Compute what the backbone makes of images.

        Args:
            batch: A batch of images of one date.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``embedding`` of shape ``(B, F)``, or with ``predict='pixels'``
            ``prediction`` of shape ``(B, F, H, W)``: the last feature map, interpolated
            to the pixels of the image.
        """
        sample = self.dates(batch)[0]
        kind: Literal['image', 'pixels'] = self.hparams['predict']
        if kind == 'image':
            return {'embedding': self.encode(self.backbone, sample).float()}
        with use_bands(self.backbone, sample):
            image = sample['image']
            (maps,), _ = feature_maps(self.backbone, image, levels_of(self.backbone, 1))
        size = image.shape[-2:]
        maps = F.interpolate(maps.float(), size, mode='bilinear', align_corners=False)
        return {'prediction': maps}


def _without_axis(batch: Sample) -> Sample:
    """Take a batch of one date whose ``valid`` has no axis of bands."""
    valid = batch.get('valid')
    if valid is None or valid.ndim != 4:
        return dict(batch)
    return {**batch, 'valid': valid.squeeze(1)}


def _check_dates(batch: Sample, channels: int) -> None:
    """Refuse to take bands of different parts of the spectrum for two dates."""
    wavelength = batch.get('wavelength')
    # numbers of one date are there for the bands of both
    if wavelength is None or wavelength.shape[-1] != 2 * channels:
        return
    if batch['image'].shape[1] != 2 * channels:
        return
    first, second = wavelength.chunk(2, dim=-1)
    if first.max() < second.min() or second.max() < first.min():
        raise BandMismatchError(
            f'The halves of the {2 * channels} channels lie in different parts of the '
            f'spectrum, so they are no two dates of {channels} bands. Set in_channels= '
            'of the task to the number of bands of the data.'
        )


def _check_statistics(task: nn.Module) -> None:
    """Refuse to normalize features over a single image."""
    if any(isinstance(m, nn.BatchNorm1d) and m.training for m in task.modules()):
        raise ValueError(
            f'{type(task).__name__} has batch normalizations, for which one image is not '
            'enough. Choose a larger batch_size, leave out the remainder of the data by '
            'drop_last=True, or set batch_norm=False.'
        )
