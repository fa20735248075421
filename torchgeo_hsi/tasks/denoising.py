# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising of cubes, with any network or method."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from ..errors import MetadataError
from ..metrics import MPSNR, MSSIM, SpectralAngle
from ..physics.noise import noise_levels
from ._restoration import RestorationTask
from ._restoration_options import check_options, check_range, check_sigma
from ._scene_pass import valid_pixels
from ._supervision import estimate_sigma, neighbor_loss, recorrupted_loss

Supervision = Literal['clean', 'recorrupted', 'neighbors']


class HSIDenoising(RestorationTask):
    """Denoising of cubes with any network or method that has a name.

    The data module gives pairs: ``image`` with noise and ``target`` without, both in
    [0, 1], with ``scale`` and ``offset`` that lead back to physical units; see
    :class:`~torchgeo_hsi.datamodules.HSIDenoisingDataModule`. Pixels that are not
    ``valid`` count nowhere. Networks that look at the whole image see all tiles of
    ``predict`` once before, so that tiles do not show in the result.

    Without clean images, a network can learn from noisy ones alone; see *supervision*.

    Methods without parameters, such as ``'fasthyde'``, can be tested and can predict
    like networks.
    """

    def __init__(
        self,
        model: str = 'hsdt_s',
        model_kwargs: dict[str, Any] | None = None,
        weights: str | None = None,
        loss: str | dict[str, float] = 'mse',
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup: float = 0.02,
        schedule: Literal['cosine', 'constant'] = 'cosine',
        supervision: Supervision = 'clean',
        sigma: float | list[float] | None = None,
        data_range: float = 1.0,
    ) -> None:
        """Initialize a new HSIDenoising instance.

        Args:
            model: Name of a network or method, see
                :func:`~torchgeo_hsi.models.get_model`.
            model_kwargs: Its arguments, such as ``num_bands`` of HSDT.
            weights: Name or file of weights to start from.
            loss: Name of a loss, or weights by name; see
                :class:`~torchgeo_hsi.losses.RestorationLoss`. Squared error is what has
                been published.
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises.
            schedule: The learning rate then falls like a cosine, to 0 behind the last
                step (``'cosine'``), or stays (``'constant'``, for
                :class:`~torchgeo_hsi.callbacks.StagedTraining`).
            supervision: What to learn from: the ``target`` (``'clean'``), or the noisy
                image itself: noise of known or estimated strength is added to and taken
                from it (``'recorrupted'``), or one half of its pixels predicts the
                other (``'neighbors'``).
            sigma: Standard deviation of the noise on the scale of 0 to 255, or one for
                each band. It is told to networks with a noise map, and used by
                ``'recorrupted'``, where the samples have no ``sigma``.
            data_range: Range of the values for the metrics.

        Raises:
            UnknownNameError: If there is no such model or loss.
            UnitError: If *sigma* is negative or not finite.
            ValueError: If an option is out of its range.
        """
        check_options(warmup, schedule, supervision)
        check_sigma(sigma)
        self.weights = weights
        super().__init__()

    def configure_metrics(self) -> None:
        """Build the metrics: of the result, and in test also of the noisy image."""
        peak: float = self.hparams['data_range']
        metrics: dict[str, Metric | MetricCollection] = {
            'MPSNR': MPSNR(peak),
            'MPSNR_clamped': MPSNR(peak, clamp=(0, peak)),
            'MSSIM': MSSIM(peak),
            'SAM_deg': SpectralAngle('degrees'),
        }
        collection = MetricCollection(metrics, compute_groups=False)
        self.val_metrics = collection.clone(prefix='val_')
        self.test_metrics = collection.clone(prefix='test_')
        self.test_noisy_metrics = collection.clone(prefix='test_noisy_')

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss.

        Args:
            batch: A batch of pairs, or of noisy images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.

        Raises:
            MetadataError: If a pair lacks its target.
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx, self.hparams['supervision'] == 'clean')
        loss = self._loss(batch)
        self.log('train_loss', loss, batch_size=len(batch['image']))
        return loss

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute the validation loss, and the metrics if there is a target.

        Args:
            batch: A batch of pairs, or of noisy images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its target.
            UnitError: If the images are not in [0, 1].
        """
        clean = self.hparams['supervision'] == 'clean'
        self._check(batch, batch_idx, clean)
        if 'target' in batch:
            denoised = self._denoise(batch)
            self._score(batch, denoised, self.val_metrics)
        loss = self._target_loss(batch, denoised) if clean else self._loss(batch)
        self._log_loss('val_loss', loss, batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Compute the metrics of the result, and of what it was made from.

        Args:
            batch: A batch of pairs.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its target.
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx, clean=True)
        denoised = self._denoise(batch)
        self._score(batch, denoised, self.test_metrics)
        self._score(batch, batch['image'], self.test_noisy_metrics)
        self._log_loss('test_loss', self._target_loss(batch, denoised), batch)

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Any]:
        """Denoise tiles.

        Args:
            batch: A batch of noisy images.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``image``, denoised and in physical units (times ``scale``, plus ``offset`` of
            the batch), and what says where it belongs.

        Raises:
            UnitError: If the images are not in [0, 1].
        """
        self._check(batch, batch_idx, clean=False)
        return self._placed(batch, self._in_units(batch, self._denoise(batch)))

    def model_inputs(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return what the network wants to know beside the image.

        Args:
            batch: A batch.

        Returns:
            ``sigma`` if the network has a noise map, ``valid`` if it takes that.

        Raises:
            MetadataError: If nobody knows how strong the noise is.
        """
        inputs = {}
        if 'valid' in self._arguments and 'valid' in batch:
            inputs['valid'] = valid_pixels(batch)
        if getattr(self.model, 'noise_map', False):
            sigma = self._sigma(batch)
            if sigma is None:
                raise MetadataError(
                    f'{self.hparams["model"]!r} with a noise map has to be told how '
                    'strong the noise is, and the samples have no sigma. Pass sigma '
                    '(on the scale of 0 to 255) to the task.'
                )
            inputs['sigma'] = sigma
        return inputs

    def _sigma(self, batch: Mapping[str, Any]) -> Tensor | None:
        """Return the known levels of noise, one for each image and band, or value."""
        sigma: Any = batch.get('sigma')
        if sigma is None:
            sigma = self.hparams['sigma']
            # that of the task is one for each band
            sigma = [sigma] if isinstance(sigma, list | tuple) else sigma
        return None if sigma is None else noise_levels(sigma, batch['image'])

    def _denoise(self, batch: Mapping[str, Any]) -> Tensor:
        denoised: Tensor = self(batch['image'], **self.model_inputs(batch))
        return denoised

    def _loss(self, batch: Any) -> Tensor:
        """Compute the loss of the kind of supervision."""
        kind = self.hparams['supervision']
        if kind == 'clean':
            return self._target_loss(batch, self._denoise(batch))
        inputs = self.model_inputs(batch)
        image, valid = batch['image'], valid_pixels(batch)
        if kind == 'neighbors':
            share = self._share_done()
            return neighbor_loss(self, self.criterion, image, valid, inputs, share)
        sigma = self._sigma(batch)
        if sigma is None:
            sigma = estimate_sigma(image, valid).expand(image.shape[:2])
        return recorrupted_loss(self, self.criterion, image, valid, sigma, inputs)

    def _check(self, batch: Any, batch_idx: int, clean: bool) -> None:
        """Look at the first batch of a run."""
        if batch_idx:
            return
        if clean and 'target' not in batch:
            raise MetadataError(
                f'Expected pairs of image and target, got {", ".join(sorted(batch))}. '
                'Use torchgeo_hsi.datamodules.HSIDenoisingDataModule, or learn from '
                'noisy images with supervision="recorrupted".'
            )
        check_range(
            batch['image'],
            valid_pixels(batch),
            self.hparams['data_range'],
            'torchgeo_hsi.datamodules.HSIDenoisingDataModule',
        )
