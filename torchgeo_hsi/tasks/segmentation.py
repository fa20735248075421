# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Semantic segmentation with the models of this package."""

from collections.abc import Sequence
from inspect import signature
from typing import Any, Literal

from torch import nn
from torchgeo.datamodules import BaseDataModule
from torchgeo.tasks import SemanticSegmentation
from torchvision.models._api import WeightsEnum

from ..errors import MetadataError, PluginError
from ..losses import LabelledPixels, MaskedCrossEntropy
from ..models import get_model
from ..models.api import get_builder
from ._protocols import Protocol, ProtocolMixin, Schedule, check_fitted, check_names

#: Names of the losses.
LOSSES = ('ce', 'jaccard', 'focal', 'dice')


class HSISegmentation(ProtocolMixin, SemanticSegmentation):
    """Semantic segmentation with any model that maps cubes to class scores.

    torchgeo's :class:`~torchgeo.tasks.SemanticSegmentation` trains encoders and
    decoders with our backbones (``backbone='tu-spec_resnet50'``); use it for those.
    This task takes a whole network by its name in
    :func:`~torchgeo_hsi.models.get_model`: ``'spectral_mlp'`` for single pixels, or
    ``'segmenter'`` for any backbone with the heads of SpectralEarth, of which the
    *protocol* trains all or some. Batches without a single labelled pixel are survived.
    Metrics, figures and predictions are torchgeo's.

    The schedule ``'onecycle'`` and the protocol ``'lora'`` follow:

    * https://arxiv.org/abs/1708.07120
    * https://arxiv.org/abs/2106.09685
    """

    def __init__(
        self,
        model: str = 'spectral_mlp',
        in_channels: int = 202,
        num_classes: int = 2,
        model_kwargs: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        loss: Literal['ce', 'jaccard', 'focal', 'dice'] = 'ce',
        class_weights: Sequence[float] | None = None,
        ignore_index: int | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        schedule: Schedule = 'onecycle',
        weights: WeightsEnum | str | None = None,
        protocol: Protocol = 'full',
        num_blocks: int | None = None,
        lora_rank: int = 8,
    ) -> None:
        """Initialize a new HSISegmentation instance.

        Args:
            model: Name of a model with the arguments *in_channels* and *num_classes*.
            in_channels: Number of bands.
            num_classes: Number of classes.
            model_kwargs: More arguments of the model.
            labels: Class names, used in the names of the class-wise metrics.
            loss: ``'ce'``, ``'jaccard'``, ``'focal'`` or ``'dice'``.
            class_weights: Weight of each class in the cross-entropy.
            ignore_index: Class index that counts neither in loss nor in metrics.
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises (one cycle).
            schedule: ``'onecycle'``: the learning rate rises and falls with every step;
                ``'cosine'``: it falls with every epoch, to 0 behind the last one.
            weights: File, or entry, of weights of SpectralEarth for the backbone.
            protocol: What of the backbone learns: all of it (``'full'``), nothing
                (``'frozen'``), its spectral adapter (``'adapter'``), its first blocks
                or stages (``'first_blocks'``), or matrices of low rank beside its
                linear layers (``'lora'``). The head always learns. What does not
                learn stays in evaluation mode.
            num_blocks: How many blocks learn with ``'first_blocks'``.
            lora_rank: Rank of the matrices of ``'lora'``.

        Raises:
            BandMismatchError: If the model has no spectral adapter for the weights or
                the protocol.
            ImportError: If peft is not installed for ``'lora'``.
            PluginError: If the model does not take *in_channels* and *num_classes*.
            UnknownNameError: If there is no such model.
            ValueError: If there are fewer than two classes, or *labels* for another
                number of them, there is no such loss, or the protocol does not fit
                the model.
        """
        if loss not in LOSSES:
            raise ValueError(f'Expected a loss of {", ".join(LOSSES)}, got {loss!r}.')
        check_names(labels, num_classes, least=2)
        super().__init__(
            model=model,  # type: ignore[arg-type]
            weights=weights,
            in_channels=in_channels,
            num_classes=num_classes,
            labels=labels,
            loss=loss,
            class_weights=class_weights,
            ignore_index=ignore_index,
            lr=lr,
        )

    def configure_models(self) -> None:
        """Build the model."""
        # Lightning keeps the arguments of this class only; torchgeo reads its own, too
        self.hparams.update(task='multiclass', num_labels=None, pos_weight=None)
        name = self.hparams['model']
        words = {key: self.hparams[key] for key in ('in_channels', 'num_classes')}
        if not set(words) <= set(signature(get_builder(name)).parameters):
            raise PluginError(
                f'Expected a model that maps in_channels bands to num_classes scores, '
                f'got {name!r}. To segment with a backbone, use model: segmenter with '
                f'model_kwargs: {{backbone: {name}}}, or '
                f"torchgeo.tasks.SemanticSegmentation with backbone: 'tu-{name}'."
            )
        self.model = get_model(name, **words, **(self.hparams['model_kwargs'] or {}))
        self.prepare_backbone()

    def configure_losses(self) -> None:
        """Build the loss."""
        super().configure_losses()
        ignore_index = self.hparams['ignore_index']
        if self.hparams['loss'] == 'ce':
            assert isinstance(self.criterion, nn.CrossEntropyLoss)
            self.criterion = MaskedCrossEntropy(
                weight=self.criterion.weight, ignore_index=self.criterion.ignore_index
            )
        elif ignore_index is not None:
            # smp's losses cannot all be told which label does not count
            self.criterion = LabelledPixels(self.criterion, ignore_index)

    def on_fit_start(self) -> None:
        """Let a model look at the training spectra once, if it wants to.

        Raises:
            MetadataError: If the labels of the data module are not those of the task.
        """
        self._check_labels()
        fit_spectra = getattr(self.model, 'fit_spectra', None)
        datamodule = getattr(self.trainer, 'datamodule', None)
        if fit_spectra is not None and isinstance(datamodule, BaseDataModule):
            samples = getattr(datamodule, 'training_samples', None)
            fit_spectra(datamodule.train_dataloader() if samples is None else samples())

    def on_test_start(self) -> None:
        """Check that the network has been trained, and on these labels.

        Raises:
            MetadataError: If one of the two is not so.
        """
        self._check_labels()
        check_fitted(self.model)

    def on_predict_start(self) -> None:
        """Check that the network has been trained.

        Raises:
            MetadataError: If it has never seen a spectrum.
        """
        check_fitted(self.model)

    def _check_labels(self) -> None:
        """Compare the labels with those of the data module, as far as it has any."""
        datamodule = getattr(self.trainer, 'datamodule', None)
        ignored = getattr(datamodule, 'ignore_index', None)
        if ignored is not None and ignored != self.hparams['ignore_index']:
            raise MetadataError(
                f'The data module gives pixels without a label the index {ignored}, but '
                f'the task has ignore_index={self.hparams["ignore_index"]}. Pass '
                f'ignore_index={ignored} to the task.'
            )
        names = getattr(datamodule, 'class_names', None)
        classes = names or getattr(datamodule, 'classes', None)
        if classes and len(classes) != self.hparams['num_classes']:
            raise MetadataError(
                f'The data module has {len(classes)} classes, but the task has '
                f'num_classes={self.hparams["num_classes"]}. Make them equal.'
            )
