# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classification of the pixels of one scene, with few labels."""

from inspect import signature
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchgeo.tasks import BaseTask
from torchmetrics.classification import MulticlassConfusionMatrix
from torchvision.models._api import WeightsEnum

from .._typing import Sample
from ..errors import MetadataError, PluginError
from ..metrics.classification_report import ClassificationReport
from ..models import get_model, use_bands
from ..models.api import get_builder
from ..models.pixel_classification.base import PixelClassifier
from ._pixel_reports import (
    check_data,
    class_weights_of,
    make_report,
    named_scores,
    split_name,
)
from ._pixel_weights import load_trunk
from ._protocols import Protocol, ProtocolMixin, Schedule, check_fitted, check_names


class HSIPixelClassification(ProtocolMixin, BaseTask):
    """Classify the pixels of a scene by the windows around them.

    Takes any :class:`~torchgeo_hsi.models.PixelClassifier` by its name:
    ``'lola_specvit'``, ``'hybridsn'``, ``'spectral_cnn'``, ``'spectralformer'``,
    ``'window_classifier'`` (any backbone of timm, with our spectral adapters) and, under
    the same split and the same report, the baselines ``'svm'`` and ``'random_forest'``,
    which are fitted at once when ``fit`` starts.

    The names of all scores carry the kind of the split, because they mean nothing
    without it: ``val_OA_block``, ``test_AA_random``. At the end of ``validate`` and
    ``test`` the whole report is printed, with the share of test windows that touch
    training; it stays in :attr:`report`.

    Scores follow https://doi.org/10.1109/LGRS.2019.2895697, which shows what random
    pixels are worth.

    Example:
        >>> task = HSIPixelClassification('spectral_cnn', in_channels=30, num_classes=4)
        >>> task.predict_step({'image': torch.rand(1, 30, 8, 8)}, 0).shape
        torch.Size([1, 4, 8, 8])
    """

    model: PixelClassifier

    def __init__(
        self,
        model: str = 'lola_specvit_tiny',
        in_channels: int = 202,
        num_classes: int = 2,
        window: int = 9,
        model_kwargs: dict[str, Any] | None = None,
        labels: list[str] | None = None,
        label_smoothing: float = 0.0,
        class_weights: Literal['balanced'] | list[float] | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        warmup: float = 0.1,
        schedule: Schedule = 'onecycle',
        weights: WeightsEnum | str | None = None,
        protocol: Protocol = 'full',
        num_blocks: int | None = None,
        lora_rank: int = 8,
        lora_alpha: float | None = None,
        lora_dropout: float = 0.0,
        chunk: int | None = None,
    ) -> None:
        """Initialize a new HSIPixelClassification instance.

        Args:
            model: Name of a classifier of pixels.
            in_channels: Number of bands.
            num_classes: Number of classes.
            window: Rows and columns around a pixel that it looks at; odd.
            model_kwargs: More arguments of the model.
            labels: Class names, used in the names of the class-wise scores; those of
                the data module by default.
            label_smoothing: Share of the target that goes to all classes alike.
            class_weights: Weight of each class in the loss; ``'balanced'``: one over
                the number of its training pixels, with a mean of 1 over these.
            lr: Highest learning rate.
            weight_decay: Weight decay of AdamW.
            warmup: Share of the steps in which the learning rate rises (one cycle).
            schedule: ``'onecycle'`` or ``'cosine'``, see :class:`HSISegmentation`.
            weights: Checkpoint of this task, of which the backbone is taken, with any
                head and any number of bands; or weights of SpectralEarth.
            protocol: What of the backbone learns, see :class:`HSISegmentation`.
            num_blocks: How many blocks learn with ``'first_blocks'``.
            lora_rank: Rank of the matrices of ``'lora'``.
            lora_alpha: Their product is multiplied by *lora_alpha* / *lora_rank*; by 1
                by default.
            lora_dropout: Dropout in front of the matrices of ``'lora'``.
            chunk: Windows at a time, when a whole map is predicted; that of the model
                by default.

        Raises:
            BandMismatchError: If the model cannot take so many bands, or the weights do
                not fit.
            ImportError: If a package is missing that the model needs.
            PluginError: If it is no classifier of pixels.
            UnknownNameError: If there is no such model.
            ValueError: If there are fewer than two classes, *labels* or *class_weights*
                for another number of them, or a number is out of its range.
        """
        check_names(labels, num_classes, least=2)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                f'Expected a label_smoothing from 0 to less than 1, got '
                f'{label_smoothing}.'
            )
        if chunk is not None and chunk < 1:
            raise ValueError(f'Expected a positive chunk or None, got {chunk}.')
        self.weights = weights
        #: Scores of the last validation or test, with their split.
        self.report: ClassificationReport | None = None
        super().__init__()
        self.automatic_optimization = self.model.learns_by_gradient

    def configure_models(self) -> None:
        """Build the model.

        Raises:
            PluginError: If it is no classifier of pixels.
        """
        name = self.hparams['model']
        words = {k: self.hparams[k] for k in ('in_channels', 'num_classes', 'window')}
        known = signature(get_builder(name)).parameters
        model: Any = None
        if set(words) <= set(known):
            model = get_model(name, **words, **(self.hparams['model_kwargs'] or {}))
        if not isinstance(model, PixelClassifier):
            raise PluginError(
                'Expected a classifier of pixels, with the arguments in_channels, '
                f'num_classes and window, got {name!r}. To use a backbone, take model: '
                f'window_classifier with model_kwargs: {{backbone: {name}}}; to segment '
                'images, torchgeo_hsi.tasks.HSISegmentation.'
            )
        self.model = model
        if load_trunk(model, self.weights):
            self.weights = None
        self.prepare_backbone()

    def configure_losses(self) -> None:
        """Build the loss.

        Raises:
            ValueError: If there are weights for another number of classes.
        """
        given, count = self.hparams['class_weights'], self.hparams['num_classes']
        weight = None
        if given is not None:
            # those of balanced classes are known when the training starts
            weight = torch.ones(count)
            if given != 'balanced':
                weight = torch.tensor(given, dtype=torch.float32)
            if weight.shape != (count,) or not (weight >= 0).all():
                raise ValueError(
                    f"Expected class_weights='balanced' or {count} numbers of at least "
                    f'0, got {given}.'
                )
        self.criterion = nn.CrossEntropyLoss(
            weight, label_smoothing=self.hparams['label_smoothing']
        )

    def configure_metrics(self) -> None:
        """Build the confusion matrices of validation and test."""
        count = self.hparams['num_classes']
        self.val_confusion = MulticlassConfusionMatrix(count)
        self.test_confusion = MulticlassConfusionMatrix(count)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and its schedule, if anything learns by gradient.

        Returns:
            AdamW and a schedule, or None.
        """
        if not self.model.learns_by_gradient:
            return None
        return super().configure_optimizers()

    def on_fit_start(self) -> None:
        """Let the model look at the training spectra, and fit what does not learn.

        Raises:
            MetadataError: If the data module does not fit the task, or a model that
                does not learn by gradient has no data module.
        """
        datamodule = self._check_data()
        samples = getattr(datamodule, 'training_samples', None)
        if samples is not None:
            self.model.fit_spectra(samples())
        if not self.model.is_fitted and self.model.learns_by_gradient:
            raise MetadataError(
                f'{self.hparams["model"]} starts from principal components, which are '
                'found in training pixels. Train with '
                'torchgeo_hsi.datamodules.HSIPixelDataModule, or call fit_spectra.'
            )
        if self.hparams['class_weights'] == 'balanced':
            weights = class_weights_of(datamodule, self.hparams['num_classes'])
            assert self.criterion.weight is not None
            self.criterion.weight.copy_(weights)
        if not self.model.learns_by_gradient:
            if not hasattr(datamodule, 'training_windows'):
                raise MetadataError(
                    f'{self.hparams["model"]} is fitted to all training windows at once. '
                    'Train with torchgeo_hsi.datamodules.HSIPixelDataModule, or call '
                    'fit_windows of the model.'
                )
            self.model.fit_windows(*datamodule.training_windows())

    def on_validation_start(self) -> None:
        """Check that the data module fits the task, and the model is fitted.

        Raises:
            MetadataError: If that is not so.
        """
        self._check_data()
        check_fitted(self.model)

    def on_test_start(self) -> None:
        """Check that the data module fits the task, and the model is fitted.

        Raises:
            MetadataError: If that is not so.
        """
        self._check_data()
        check_fitted(self.model)

    def on_predict_start(self) -> None:
        """Check that the data module fits the task, and the model is fitted.

        Raises:
            MetadataError: If that is not so.
        """
        self._check_data()
        check_fitted(self.model)

    def _check_data(self) -> Any:
        """Compare the data module with the task, and return it."""
        datamodule = getattr(self._trainer, 'datamodule', None)
        check_data(datamodule, self.hparams)
        return datamodule

    def training_step(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor | None:
        """Compute the loss.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, window, window)`` and
                ``label`` of shape ``(B,)``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss, or None if nothing learns by gradient.
        """
        if not self.model.learns_by_gradient:
            return None
        loss, _ = self._forward(batch)
        self.log('train_loss', loss, batch_size=len(batch['label']))
        return loss

    def validation_step(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compute loss and confusion matrix of a batch.

        Args:
            batch: A batch, as in training.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        loss, logits = self._forward(batch)
        self.val_confusion.update(logits, batch['label'])
        self.log('val_loss', loss, batch_size=len(batch['label']), sync_dist=True)

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Compute loss and confusion matrix of a batch.

        Args:
            batch: A batch, as in training.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        loss, logits = self._forward(batch)
        self.test_confusion.update(logits, batch['label'])
        self.log('test_loss', loss, batch_size=len(batch['label']), sync_dist=True)

    def _forward(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """Return loss and logits of a batch."""
        with use_bands(self.model, batch):
            logits = self(batch['image'])
        return self.criterion(logits, batch['label']), logits

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation, and print them after ``validate``."""
        self._finish('val', self.val_confusion)

    def on_test_epoch_end(self) -> None:
        """Log the scores of the test, and print them."""
        self._finish('test', self.test_confusion)

    def _finish(self, stage: str, confusion: MulticlassConfusionMatrix) -> None:
        matrix = confusion.compute().cpu().numpy()
        confusion.reset()
        if not matrix.sum():
            return
        datamodule = getattr(self._trainer, 'datamodule', None)
        self.report = make_report(matrix, stage, datamodule, self.hparams)
        scores = named_scores(self.report, stage, split_name(datamodule))
        self.log_dict(scores)
        # within fit, the epochs speak through the logger
        if self.trainer.state.fn in ('validate', 'test'):
            self.print(str(self.report))

    def predict_step(
        self, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Classify all pixels of images.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            Probability of each class, of shape ``(B, K, H, W)``.
        """
        chunk = self.hparams['chunk']
        words = {} if chunk is None else {'chunk': chunk}
        with use_bands(self.model, batch):
            logits = self.model.dense(batch['image'], **words)
        return logits.softmax(dim=1)
