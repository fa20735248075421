# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution of cubes, with any network or method."""

from collections.abc import Mapping
from inspect import signature
from typing import Any, Literal

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from ..errors import BandMismatchError, MetadataError, UnknownNameError
from ..layers import self_ensemble
from ..metrics import ERGAS, MPSNR, MSSIM, RMSE, CrossCorrelation, SpectralAngle
from ..models import Bicubic, SuperResolver, get_builder
from ..physics.resampling.decimate import repeat_pixels
from ..physics.rgb import color_positions
from ._restoration import RestorationTask, models_of
from ._restoration_options import check_options, check_range
from ._scene_pass import valid_pixels
from ._superresolution_consistency import batch_matrix, consistency_loss

_DATA = 'torchgeo_hsi.datamodules.HSISuperResolutionDataModule'

#: Kinds of batches of a training.
_KINDS = ('spectral', 'rgb', 'coarse')


class HSISuperResolution(RestorationTask):
    """Super-resolution of cubes with any network or method that has a name.

    The data module gives pairs: ``image``, the coarse cube, and ``target``, whose pixels
    are *scale* times as small, both in about [0, 1]; see
    :class:`~torchgeo_hsi.datamodules.HSISuperResolutionDataModule`. Pixels that are not
    ``valid`` or ``target_valid`` count nowhere. Networks with statistics of the whole
    scene see all tiles of ``predict`` once before, so that tiles do not show.

    In training, the entry ``modality`` of a batch says what it holds:

    * ``'spectral'``, the default: pairs of cubes;
    * ``'rgb'``: pairs of color images in as many channels as the RGB branch of the
      network has, which learns from them;
    * ``'coarse'``: cubes without a target, of which the spectral and the RGB branch have
      to make the same colors, in the first part of the training.

    Methods without parameters, such as ``'bicubic'``, can be tested and can predict like
    networks.
    """

    trainable = 'essaformer'

    def __init__(
        self,
        model: str = 'essaformer',
        model_kwargs: dict[str, Any] | None = None,
        weights: str | None = None,
        loss: str | dict[str, float] = 'l1',
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        warmup: float = 0.0,
        schedule: Literal['cosine', 'constant'] = 'cosine',
        scale: int = 2,
        data_range: float = 1.0,
        ensemble: bool = False,
        consistency_share: float = 0.5,
        visible_bands: list[int] | None = None,
    ) -> None:
        """Initialize a new HSISuperResolution instance.

        Args:
            model: Name of a network or method, see
                :func:`~torchgeo_hsi.models.get_model`.
            model_kwargs: Its arguments, such as ``in_channels`` of a network.
            weights: Name or file of weights to start from.
            loss: Name of a loss, or weights by name; see
                :class:`~torchgeo_hsi.losses.RestorationLoss`.
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises.
            schedule: The learning rate then falls like a cosine, to 0 behind the last
                step (``'cosine'``), or stays (``'constant'``, for
                :class:`~torchgeo_hsi.callbacks.StagedTraining`).
            scale: Factor of rows and columns, which the network gets as well.
            data_range: Range of the values for the metrics.
            ensemble: Whether test and prediction take the mean over the eight turns and
                reflections of an image, see :func:`~torchgeo_hsi.layers.self_ensemble`.
            consistency_share: Part of the steps in which cubes without a target count;
                half of them, as published.
            visible_bands: Positions of red, green and blue in these cubes, from 0; by
                default, wavelengths tell.

        Raises:
            UnknownNameError: If there is no such model or loss, or it does no
                super-resolution.
            BandMismatchError: If *visible_bands* are no three positions.
            ValueError: If an option is out of its range, or the network has another
                scale.
        """
        check_options(warmup, schedule)
        if not 0 <= consistency_share <= 1:
            raise ValueError(
                f'Expected a consistency_share from 0 to 1, got {consistency_share}.'
            )
        if visible_bands is not None:
            color_positions(visible_bands)
        self.weights = weights
        super().__init__()

    def configure_models(self) -> None:
        """Build the network or method, with the scale of the task.

        Raises:
            UnknownNameError: If it does no super-resolution.
            ValueError: If it has another scale.
        """
        name, scale = self.hparams['model'], self.hparams['scale']
        words = self.hparams['model_kwargs'] or {}
        if 'scale' in signature(get_builder(name)).parameters:
            self.hparams['model_kwargs'] = {'scale': scale} | words
        super().configure_models()
        if not isinstance(self.model, SuperResolver):
            raise UnknownNameError(
                'method of super-resolution', name, models_of(SuperResolver)
            )
        if self.model.scale != scale:
            raise ValueError(
                f'{name!r} enlarges {self.model.scale} times, and the task has '
                f'scale={scale}. Pass the same to both.'
            )
        self._has_rgb = 'modality' in signature(self.model.enlarge).parameters

    def configure_metrics(self) -> None:
        """Build the metrics: of the result, and in test also of interpolation."""
        peak, scale = self.hparams['data_range'], self.hparams['scale']
        metrics: dict[str, Metric | MetricCollection] = {
            'MPSNR': MPSNR(peak),
            'MSSIM': MSSIM(peak),
            'SAM_deg': SpectralAngle('degrees'),
            'ERGAS': ERGAS(scale),
            'CC': CrossCorrelation(),
            'RMSE': RMSE(),
        }
        collection = MetricCollection(metrics, compute_groups=False)
        self.val_metrics = collection.clone(prefix='val_')
        self.test_metrics = collection.clone(prefix='test_')
        self.test_bicubic_metrics = collection.clone(prefix='test_bicubic_')
        self._bicubic = Bicubic(scale)

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor | None:
        """Compute the training loss.

        Args:
            batch: A batch of pairs, or of coarse cubes.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss, or None for coarse cubes that no longer count.

        Raises:
            BandMismatchError: If color images have other channels than the RGB branch.
            MetadataError: If a pair lacks its target, or the network cannot learn from
                such a batch.
            UnitError: If the images are not in [0, 1].
        """
        kind = self._kind(batch)
        self._check(batch, batch_idx, kind != 'coarse')
        if kind == 'coarse':
            if self._share_done() >= self.hparams['consistency_share']:
                return None
            loss = self._consistency(batch)
        else:
            loss = self._target_loss(batch, self._enlarge(batch))
        self.log('train_loss', loss, batch_size=len(batch['image']))
        return loss

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute the validation loss and the metrics.

        Args:
            batch: A batch of pairs.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its target.
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx)
        enlarged = self._enlarge(batch)
        self._score(batch, enlarged, self.val_metrics)
        self._log_loss('val_loss', self._target_loss(batch, enlarged), batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Compute the metrics of the result, and of the interpolated image.

        Args:
            batch: A batch of pairs.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its target.
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx)
        enlarged = self._enlarge(batch, self.hparams['ensemble'])
        self._score(batch, enlarged, self.test_metrics)
        plain = self._bicubic(batch['image'], **self.model_inputs(batch))
        self._score(batch, plain, self.test_bicubic_metrics)
        self._log_loss('test_loss', self._target_loss(batch, enlarged), batch)

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Any]:
        """Enlarge tiles.

        Args:
            batch: A batch of coarse images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``image``, enlarged and in physical units (times ``scale``, plus ``offset`` of
            the batch), ``valid`` on its grid, and what says where it belongs, on the
            grid of the coarse image.

        Raises:
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx, paired=False)
        image = self._in_units(batch, self._enlarge(batch, self.hparams['ensemble']))
        result = self._placed(batch, image)
        if 'valid' in batch:
            result['valid'] = repeat_pixels(batch['valid'], self.hparams['scale'])
        return result

    def model_inputs(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return what the network wants to know beside the image.

        Args:
            batch: A batch.

        Returns:
            ``valid``, if the batch has it. Images without any valid pixel are taken as
            they are: nothing of them counts.
        """
        if 'valid' not in batch:
            return {}
        valid = valid_pixels(batch)
        return {'valid': valid | ~valid.flatten(1).any(1)[:, None, None]}

    def _enlarge(self, batch: Mapping[str, Any], ensemble: bool = False) -> Tensor:
        """Apply the network, in the branch of the batch."""
        inputs = self.model_inputs(batch)
        rgb = self.training and self._kind(batch) == 'rgb'
        more = {'modality': 'rgb'} if rgb else {}

        def network(image: Tensor, *valid: Tensor) -> Tensor:
            known = dict(zip(inputs, valid, strict=True))
            enlarged: Tensor = self(image, **known, **more)
            return enlarged

        arguments = (batch['image'], *inputs.values())
        if ensemble:
            return self_ensemble(network, *arguments)
        return network(*arguments)

    def _kind(self, batch: Mapping[str, Any]) -> str:
        """Return what a batch holds, if the network can learn from that."""
        kind = batch.get('modality', 'spectral')
        if kind not in _KINDS:
            raise UnknownNameError('modality', str(kind), _KINDS)
        if kind != 'spectral' and not self._has_rgb:
            raise MetadataError(
                f'{self.hparams["model"]!r} has no RGB branch, so it learns nothing from '
                'color images or cubes without a finer one. Train deepshare, or leave '
                'out rgb= and coarse= of the data module.'
            )
        if kind == 'rgb' and batch['image'].shape[1] != self.model.rgb_channels:
            raise BandMismatchError(
                f'The RGB branch of {self.hparams["model"]!r} takes '
                f'{self.model.rgb_channels} channels, got {batch["image"].shape[1]}. '
                f'Pass rgb_channels={self.model.rgb_channels} to the data module.'
            )
        return str(kind)

    def _consistency(self, batch: Mapping[str, Any]) -> Tensor:
        """Compute the loss of cubes without a target."""
        channels: Any = self.model.rgb_channels
        matrix = batch_matrix(batch, channels, self.hparams['visible_bands'])
        inputs = self.model_inputs(batch)
        image, valid = batch['image'], inputs.get('valid')
        return consistency_loss(self, self.criterion, image, matrix, valid)

    def _counted(self, batch: Mapping[str, Any]) -> Tensor:
        """Return which fine pixels count: known ones, made of known ones."""
        valid = repeat_pixels(valid_pixels(batch), self.hparams['scale'])
        known = batch.get('target_valid')
        return valid if known is None else valid & known.bool()

    def _check(
        self, batch: Mapping[str, Any], batch_idx: int, paired: bool = True
    ) -> None:
        """Look at the pairs of a batch, and at the values of the first one."""
        if paired:
            _check_pair(batch, self.hparams['scale'])
        if not batch_idx:
            peak = self.hparams['data_range']
            check_range(batch['image'], valid_pixels(batch), peak, _DATA)


def _check_pair(batch: Mapping[str, Any], scale: int) -> None:
    if 'target' not in batch:
        raise MetadataError(
            'Expected pairs of a coarse image and a finer target, got '
            f'{", ".join(sorted(batch))}. Use {_DATA}.'
        )
    image, target = batch['image'], batch['target']
    rows, columns = image.shape[-2:]
    wanted = (*image.shape[:2], scale * rows, scale * columns)
    if target.shape != wanted:
        raise BandMismatchError(
            f'Expected a target of shape {wanted}, {scale} times the image of shape '
            f'{tuple(image.shape)}, got {tuple(target.shape)}. Give task and data module '
            'the same scale.'
        )
