# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening of cubes, with any network or method."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from ..errors import MetadataError, UnknownNameError
from ..metrics import (
    DSR,
    ERGAS,
    HQNR,
    MPSNR,
    RQNR,
    CrossCorrelation,
    DLambdaK,
    DRho,
    Q2n,
    SpectralAngle,
)
from ..models import Pansharpener
from ..models.pansharpening import Pair
from ..physics.resampling.decimate import repeat_pixels
from ._restoration import RestorationTask, models_of
from ._restoration_options import check_options
from ._scene_pass import show_scene

#: Arguments of a method that a batch may have.
_INPUTS = ('valid', 'pan_valid', 'up')


class HSIPansharpening(RestorationTask):
    """Pansharpening of cubes with any network or method that has a name.

    The data module gives pairs: ``image``, the cube, and ``pan``, whose pixels are
    *ratio* times as small; at reduced resolution also ``target``, the cube on the grid
    of the PAN. See :class:`~torchgeo_hsi.datamodules.HSIPansharpeningDataModule`. Pixels
    that are not ``valid`` or ``pan_valid`` count nowhere.

    Networks learn at reduced resolution. ``test`` scores both protocols: pairs with a
    target by ERGAS, spectral angle, Q2n and more, next to the interpolated cube (EXP);
    pairs without one by how consistent the result is with cube and PAN.

    Methods with statistics of the whole scene see all tiles of ``predict`` once or twice
    before, so that tiles do not show in the result. Methods without parameters, and
    those that need nothing but the scene (``'rho_pnn'``), can be tested and can predict
    like networks.
    """

    trainable = 'hyperpnn'

    def __init__(
        self,
        model: str = 'mtf_glp_fs',
        model_kwargs: dict[str, Any] | None = None,
        weights: str | None = None,
        loss: str | dict[str, float] = 'l1',
        lr: float = 1e-4,
        weight_decay: float = 0.0,
        warmup: float = 0.0,
        schedule: Literal['cosine', 'constant'] = 'constant',
        ratio: int = 6,
        gain: float = 0.3,
        data_range: float = 10_000.0,
    ) -> None:
        """Initialize a new HSIPansharpening instance.

        Args:
            model: Name of a network or method, see
                :func:`~torchgeo_hsi.models.get_model`.
            model_kwargs: Its arguments, such as ``in_channels`` of a network.
            weights: Name or file of weights to start from.
            loss: Name of a loss, or weights by name; see
                :class:`~torchgeo_hsi.losses.RestorationLoss`. It sees values divided by
                *data_range*.
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises.
            schedule: The learning rate then stays (``'constant'``), or falls like a
                cosine.
            ratio: Ratio of pixel sizes, for ERGAS.
            gain: Gain of the cube's sensor at its Nyquist frequency, for scores without
                a target.
            data_range: Range of the values: 10 000 for reflectance x 10 000.

        Raises:
            UnknownNameError: If there is no such model or loss, or it does no
                pansharpening.
            ValueError: If an option is out of its range.
        """
        check_options(warmup, schedule)
        if not data_range > 0:
            raise ValueError(f'Expected a positive data_range, got {data_range}.')
        self.weights = weights
        super().__init__()

    def configure_models(self) -> None:
        """Build the network or method.

        Raises:
            UnknownNameError: If it does no pansharpening.
        """
        super().configure_models()
        if not isinstance(self.model, Pansharpener):
            raise UnknownNameError(
                'method of pansharpening',
                self.hparams['model'],
                models_of(Pansharpener),
            )
        self._given_wavelength = self.model.wavelength

    def configure_metrics(self) -> None:
        """Build the metrics: of both protocols, and of the interpolated cube."""
        ratio, peak, gain = (
            self.hparams[name] for name in ('ratio', 'data_range', 'gain')
        )
        metrics: dict[str, Metric | MetricCollection] = {
            'ERGAS': ERGAS(ratio),
            'SAM_deg': SpectralAngle('degrees'),
            'Q2n': Q2n(),
            'MPSNR': MPSNR(peak),
            'CC': CrossCorrelation(),
        }
        reduced = MetricCollection(metrics, compute_groups=False)
        self.val_metrics = reduced.clone(prefix='val_')
        self.test_metrics = reduced.clone(prefix='test_')
        self.test_exp_metrics = reduced.clone(prefix='test_exp_')
        metrics = {
            'D_lambda_K': DLambdaK(gain=gain),
            'D_S_R': DSR(),
            'D_rho': DRho(),
            'HQNR': HQNR(gain=gain),
            'RQNR': RQNR(gain=gain),
        }
        full = MetricCollection(metrics, compute_groups=False)
        self.test_full_metrics = full.clone(prefix='test_full_')
        self.test_full_exp_metrics = full.clone(prefix='test_full_exp_')

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Sharpen a batch.

        Args:
            batch: ``image`` of shape ``(B, C, h, w)``, ``pan`` of shape ``(B, 1, H, W)``,
                and what else the data set knows.

        Returns:
            Cubes of shape ``(B, C, H, W)``.

        Raises:
            MetadataError: If there is no PAN.
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If an image has no valid pixel.
        """
        inputs = self._prepare(batch)
        sharpened: Tensor = self.model(batch['image'], batch['pan'], **inputs)
        return sharpened

    def _prepare(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tell the method the wavelengths of a batch, and return its arguments."""
        _check(batch, ())
        axis = batch.get('wavelength')
        if self._given_wavelength is None and axis is not None:
            self.model.wavelength = axis.reshape(-1, axis.shape[-1])[0].tolist()
        return {key: batch[key] for key in _INPUTS if batch.get(key) is not None}

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the training loss.

        Args:
            batch: A batch of pairs at reduced resolution.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.

        Raises:
            MetadataError: If a pair lacks its target or PAN.
        """
        _check(batch, ('target',))
        loss = self._target_loss(batch, self(batch))
        self.log('train_loss', loss, batch_size=len(batch['image']))
        return loss

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute the validation loss and the metrics at reduced resolution.

        Args:
            batch: A batch of pairs at reduced resolution.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its target or PAN.
        """
        _check(batch, ('target',))
        sharpened = self(batch)
        self._score(batch, sharpened, self.val_metrics)
        self._log_loss('val_loss', self._target_loss(batch, sharpened), batch)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Compute the metrics of the result, and of the interpolated cube.

        Args:
            batch: A batch of pairs, at reduced resolution if they have a target, else at
                full resolution.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Raises:
            MetadataError: If a pair lacks its PAN.
        """
        inputs = self._prepare(batch)
        # gaps are filled, and the cube is interpolated, once for both
        pair: Pair = self.model.make_pair(batch['image'], batch['pan'], **inputs)
        sharpened = self.model.sharpen_pair(pair)
        # that of the data set may have been interpolated in another way
        plain = pair.up if batch.get('up') is None else pair.interpolate(pair.cube)
        reduced = 'target' in batch
        own, exp = (
            (self.test_metrics, self.test_exp_metrics)
            if reduced
            else (self.test_full_metrics, self.test_full_exp_metrics)
        )
        self._score(batch, sharpened, own)
        self._score(batch, plain, exp)
        if reduced:
            self._log_loss('test_loss', self._target_loss(batch, sharpened), batch)

    def on_predict_start(self) -> None:
        """Show the scene to a method that looks at all of it."""
        if not self.model.needs_scene:
            return

        def show(batch: dict[str, Any], new: Tensor) -> None:
            usable = _has_data(batch)
            if not usable.any():
                return
            chosen = _select(batch, usable)
            self.model.observe(
                chosen['image'],
                chosen['pan'],
                valid=chosen.get('valid'),
                pan_valid=chosen.get('pan_valid'),
                counting=_finer(new[usable.to(new.device)], batch),
            )

        show_scene(self, self.model, show, passes=self.model.passes)

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Any]:
        """Sharpen tiles.

        Args:
            batch: A batch of pairs.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``image``, sharpened, and what says where it belongs, on the grid of the cube.
            Tiles without any data become zeros.

        Raises:
            MetadataError: If a pair lacks its PAN.
        """
        _check(batch, ())
        cube, pan = batch['image'], batch['pan']
        usable = _has_data(batch)
        image = cube.new_zeros(len(cube), cube.shape[1], *pan.shape[2:])
        if usable.any():
            image[usable] = self(_select(batch, usable)).to(image)
        return self._placed(batch, image)

    def _target_loss(self, batch: Mapping[str, Any], image: Tensor) -> Tensor:
        factor = 1 / self.hparams['data_range']
        scaled = {**batch, 'target': batch['target'] * factor}
        return super()._target_loss(scaled, image * factor)

    def _score(
        self, batch: Mapping[str, Any], image: Tensor, metrics: MetricCollection
    ) -> None:
        if 'target' in batch:
            super()._score(batch, image, metrics)
            return
        cube, pan = batch['image'], batch['pan']
        metrics.update(image, cube, pan, batch.get('valid'), batch.get('pan_valid'))
        self.log_dict(metrics, batch_size=len(image))

    def _counted(self, batch: Mapping[str, Any]) -> Tensor:
        """Return where cube and PAN have data, on the grid of the PAN."""
        pan = batch['pan']
        found = torch.ones_like(pan[:, 0], dtype=torch.bool)
        if batch.get('pan_valid') is not None:
            found = found & batch['pan_valid'].bool()
        if batch.get('valid') is not None:
            found = found & _finer(batch['valid'].bool(), batch)
        return found


def _check(batch: Mapping[str, Any], more: tuple[str, ...]) -> None:
    missing = [key for key in ('image', 'pan', *more) if key not in batch]
    if missing:
        raise MetadataError(
            f'Expected pairs of image and pan{" with a target" if more else ""}, got '
            f'{", ".join(sorted(batch))}. Use '
            'torchgeo_hsi.datamodules.HSIPansharpeningDataModule'
            + (', at reduced resolution.' if more else '.')
        )


def _finer(mask: Tensor, batch: Mapping[str, Any]) -> Tensor:
    """Bring a mask of the cube to the grid of the PAN."""
    ratio = batch['pan'].shape[-1] // batch['image'].shape[-1]
    return repeat_pixels(mask, ratio)


def _has_data(batch: Mapping[str, Any]) -> Tensor:
    """Tell which tiles have data in cube and PAN, shape ``(B,)``."""
    found = torch.ones(len(batch['image']), dtype=torch.bool)
    for key in ('valid', 'pan_valid'):
        if batch.get(key) is not None:
            found &= batch[key].bool().flatten(1).any(1).cpu()
    return found


def _select(batch: Mapping[str, Any], chosen: Tensor) -> dict[str, Any]:
    """Keep some tiles of a batch."""
    keys = ('image', 'pan', 'valid', 'pan_valid', 'up', 'wavelength')
    return {
        key: batch[key][chosen.to(batch[key].device)]
        for key in keys
        if isinstance(batch.get(key), Tensor) and len(batch[key]) == len(chosen)
    }
