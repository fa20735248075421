# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masked autoencoding of spectra."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.models._api import WeightsEnum

from .._typing import Sample
from ..models import use_bands
from ..models.backbones._features import pooled_features
from ..models.masked_autoencoder.model import MaskedAutoencoder, Masking
from ..transforms import CenterResizedCrop, MultiView, mae_views
from ._recipes import OptimizerName, Recipe, ScheduleName
from ._self_supervised import SelfSupervisedTask
from ._steps import check_views

#: Arguments of the autoencoder.
_OPTIONS = (
    'masking',
    'mask_ratio',
    'spectral_ratio',
    'spectral_ranges',
    'norm_pix',
    'decoder_dim',
    'decoder_depth',
    'decoder_heads',
)


class HSIMAE(SelfSupervisedTask):
    """MAE as SpectralEarth pretrains with it, on spectra, too.

    A vision transformer sees a tenth of the tokens of an image and has to predict the
    others; or it sees some ranges of bands and has to predict the others; or both. See
    :class:`~torchgeo_hsi.models.MaskedAutoencoder`. Where a batch has two dates, one is
    taken by chance.

    In contrast to torchgeo's :class:`~torchgeo.tasks.MAE`, the adapter runs on visible
    pixels only, weights that were loaded are kept, position embeddings are learned (as
    published), and pixels without data count nowhere.

    Nothing is learned about the class token. Features of an image are the mean of the
    other tokens: ``predict_step`` returns that, and what builds upon the weights
    should do the same (``pool='avg'``; a network built with ``global_pool='avg'``).

    If you use this task in your research, please cite the following papers:

    * https://arxiv.org/abs/2111.06377
    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> task = HSIMAE('spec_vit_tiny', in_channels=202, decoder_dim=128)
        >>> task.decoder.predict.out_features == 202 * 4 * 4
        True
    """

    def __init__(
        self,
        model: str = 'spec_vit_small',
        model_kwargs: dict[str, Any] | None = None,
        weights: WeightsEnum | str | None = None,
        in_channels: int = 202,
        size: int = 128,
        masking: Masking = 'spatial',
        mask_ratio: float = 0.9,
        spectral_ratio: float = 0.5,
        spectral_ranges: int = 4,
        norm_pix: bool = True,
        decoder_dim: int = 512,
        decoder_depth: int = 1,
        decoder_heads: int = 16,
        views: MultiView | None = None,
        optimizer: OptimizerName = 'adamw',
        lr: float = 1e-4,
        weight_decay: float = 0.05,
        betas: tuple[float, float] = (0.9, 0.95),
        schedule: ScheduleName = 'cosine',
        warmup_epochs: float = 0.0,
        milestones: Sequence[int] = (),
        scale_lr: bool = True,
        predict: Literal['image', 'pixels'] = 'image',
    ) -> None:
        """Initialize a new HSIMAE instance.

        Args:
            model: Name of a vision transformer in timm.
            model_kwargs: More arguments of the backbone; ``img_size`` where *size* is
                not 128.
            weights: Published weights of SpectralEarth to start from.
            in_channels: Number of bands of one date.
            size: Height and width of the crops in pixels.
            masking: What to hide: ``'spatial'`` for random tokens, ``'spectral'`` for
                ranges of bands in all tokens, ``'both'`` for tokens, and ranges of bands
                in the others.
            mask_ratio: Share of the tokens that is hidden.
            spectral_ratio: Share of the bands that is hidden.
            spectral_ranges: Number of ranges that hidden bands come in.
            norm_pix: Whether to predict patches less their mean and by their standard
                deviation.
            decoder_dim: Width of the decoder.
            decoder_depth: Number of its blocks.
            decoder_heads: Number of its attention heads.
            views: Another view than a crop with flips.
            optimizer: ``'adamw'``, ``'sgd'`` or ``'lars'``.
            lr: Learning rate for 256 images.
            weight_decay: Weight decay, not of biases and normalizations.
            betas: Of AdamW.
            schedule: ``'cosine'`` to 0, ``'steps'`` or ``'constant'``.
            warmup_epochs: Epochs in which the learning rate rises.
            milestones: Epochs at which ``'steps'`` falls by ten.
            scale_lr: Whether the learning rate grows with the number of images of all
                processes and added gradients.
            predict: Whether to predict features of images or of pixels.

        Raises:
            BandMismatchError: If the backbone cannot take so few bands.
            TypeError: If the backbone is no vision transformer that works on patches.
            ValueError: If an option is out of its range.
        """
        self.weights = weights
        self.recipe = Recipe(
            optimizer,
            lr,
            weight_decay,
            schedule,
            warmup_epochs,
            milestones,
            scale_lr=scale_lr,
            betas=betas,
        )
        super().__init__()
        self.views = mae_views(size) if views is None else views

    def configure_models(self) -> None:
        """Build the backbone, and the decoder that is thrown away in the end."""
        hparams = self.hparams
        pretrained = (hparams['model_kwargs'] or {}).get('pretrained', False)
        autoencoder = MaskedAutoencoder(
            self.build_backbone(),
            initialize=not (self.weights or pretrained),
            **{name: hparams[name] for name in _OPTIONS},
        )
        # checkpoints have each part once, with the names of the other tasks; a tuple
        # is no child
        self._autoencoder = (autoencoder,)
        self.backbone: nn.Module = autoencoder.backbone
        self.decoder = autoencoder.decoder
        self.band_signal = autoencoder.band_signal

    @property
    def autoencoder(self) -> MaskedAutoencoder:
        """The network, made of the backbone and the decoder of this task."""
        return self._autoencoder[0]

    def encode(self, network: Callable[[Tensor], Any], sample: Sample) -> Tensor:
        """Average the tokens of images.

        Args:
            network: The backbone.
            sample: A batch with ``image``, and maybe ``wavelength`` and ``fwhm``.

        Returns:
            Features of shape ``(B, F)``.
        """
        pool: Any = 'avg' if self.autoencoder.backbone.global_pool == 'token' else None
        with use_bands(network, sample):
            return pooled_features(network, sample['image'], pool)

    def compare(self, views: Sequence[Sample], learn: bool) -> tuple[Tensor, Tensor]:
        """Compute the loss of what is hidden of images.

        Args:
            views: One batch.
            learn: Has no effect.

        Returns:
            The loss, and the means of visible tokens of shape ``(B, F)``.

        Raises:
            ValueError: If there is more than one view.
        """
        check_views(views, 1)
        (sample,) = views
        with use_bands(self.backbone, sample):
            loss, features = self.autoencoder(sample['image'], sample.get('valid'))
        return loss, features

    @torch.no_grad()
    def reconstruct(self, batch: Sample) -> tuple[Sample, Tensor, Tensor]:
        """Predict what is hidden of the middle of images, to look at it.

        What is hidden depends on nothing but the number and size of the images, so that
        pictures of one epoch can be compared with those of another one.

        Args:
            batch: A batch of images.

        Returns:
            The batch that the network saw, with ``image`` of shape ``(B, C, H, W)``, the
            same images with predictions where something was hidden, and what was.
        """
        size: int = self.hparams['size']
        sample = CenterResizedCrop(size)(self.dates(batch)[0])
        image, valid = sample['image'], sample.get('valid')
        generator = torch.Generator().manual_seed(0)
        mask = self.autoencoder.draw(image, generator)
        with use_bands(self.backbone, sample):
            found, hidden = self.autoencoder.reconstruct(image, valid, mask)
        return sample, found, hidden
