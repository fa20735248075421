# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whether features collapse while a network learns."""

import math
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from ..errors import HSIWarning, MetadataError
from ..metrics.alignment import Alignment
from ..metrics.effective_rank import EigenSpectrum, spectrum_rank
from ..metrics.uniformity import Uniformity
from ..models import use_bands
from ._aside import aside, check_whole_network, log_figure, log_scores
from ._figure_file import save_figure
from ._spectrum_figure import draw_representation

#: Batches of training data that are looked at, where there are none for validation.
_TRAINING_BATCHES = 16
#: Most eigen-spectra that are kept for the figure.
_SPECTRA = 32


class RepresentationReport(Callback):
    """Report how many directions features fill, and how they lie to each other.

    After every epoch, over the validation data, or the last batches of training where
    there are none:

    ==================================  ==============================================
    ``representation/effective_rank``   :func:`~torchgeo_hsi.metrics.effective_rank`
    ``representation/rank_share``       the same, of the highest that is possible
    ``representation/uniformity``       :func:`~torchgeo_hsi.metrics.uniformity`
    ``representation/alignment``        :func:`~torchgeo_hsi.metrics.alignment` of the
                                        first two views, if the task makes views
    ==================================  ==============================================

    The features are those of the images themselves, as they are probed later; images
    without a valid pixel do not count. The numbers go to the loggers and may be monitored, and a figure of the eigen-spectra and the rank
    goes to the loggers that take figures and to a file. A warning says once when the
    features collapse. The training is the same to the last bit with this callback and
    without it.

    Example:
        .. code-block:: yaml

            trainer:
              callbacks:
                - class_path: torchgeo_hsi.callbacks.RepresentationReport
                  init_args: {batches: 50}
    """

    def __init__(
        self,
        batches: int | None = None,
        every_n_epochs: int = 1,
        collapse: float = 0.01,
        samples: int = 2048,
        file: str | Path | None = 'representation.png',
        network: str = 'backbone',
        prefix: str = 'representation/',
    ) -> None:
        """Initialize a new RepresentationReport instance.

        Args:
            batches: Most batches in each process; by default all of the validation
                data, or the last 16 of training.
            every_n_epochs: Report on every n-th epoch.
            collapse: Warn when the effective rank falls below this share of the highest
                that is possible.
            samples: Most images whose pairs are compared for the uniformity.
            file: Picture to write after every report, in the ``default_root_dir`` of the
                trainer; None for none.
            network: Name of the backbone in the task, e.g. ``'teacher_backbone'``.
            prefix: What the names of the scores begin with.

        Raises:
            ValueError: If an option is out of its range.
        """
        super().__init__()
        if every_n_epochs < 1 or (batches is not None and batches < 1):
            raise ValueError(
                'Expected every_n_epochs and batches of 1 or more, got '
                f'{every_n_epochs} and {batches}.'
            )
        if not 0 <= collapse < 1:
            raise ValueError(f'Expected a collapse from 0 to below 1, got {collapse}.')
        self.batches = batches
        self.every_n_epochs = every_n_epochs
        self.collapse = collapse
        self.file = None if file is None else Path(file)
        self.network = network
        self.prefix = prefix
        #: Epochs, and their effective ranks.
        self.ranks: dict[int, float] = {}
        #: Eigenvalues of some of these epochs.
        self.spectra: dict[int, Tensor] = {}
        self._spectrum: EigenSpectrum | None = None
        self._alignment = Alignment()
        self._uniformity = Uniformity(samples=samples)
        self._warned = False
        self._broken = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a training that goes on has to know."""
        return {'ranks': self.ranks, 'spectra': self.spectra, 'warned': self._warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Args:
            state_dict: What :meth:`state_dict` returned.
        """
        self.ranks = dict(state_dict['ranks'])
        self.spectra = dict(state_dict['spectra'])
        self._warned = state_dict['warned']

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that the network is there.

        Raises:
            MetadataError: If the task has no such network, or spreads its weights.
        """
        check_whole_network(trainer, 'RepresentationReport')
        if self.network not in {name for name, _ in pl_module.named_modules()}:
            raise MetadataError(
                f'{type(pl_module).__name__} has no part {self.network!r}. Name the '
                'backbone by network= of RepresentationReport.'
            )

    def on_validation_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Begin anew."""
        self._reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Look at a batch."""
        most = self.batches or math.inf
        if self._due(trainer) and dataloader_idx == 0 and batch_idx < most:
            self._look(trainer, pl_module, batch)

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Report."""
        self._report(trainer)

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Begin anew."""
        self._reset()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at the last batches, where there are no validation data."""
        if _validates(trainer) or not self._due(trainer):
            return
        count, most = trainer.num_training_batches, self.batches or _TRAINING_BATCHES
        # of a stream, nobody knows which batches are the last ones
        first = 0 if math.isinf(count) else max(int(count) - most, 0)
        if first <= batch_idx < first + most:
            self._look(trainer, pl_module, batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report, where there are no validation data."""
        if not _validates(trainer):
            self._report(trainer)

    def _due(self, trainer: Trainer) -> bool:
        regular = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return not trainer.sanity_checking and (regular or trainer.state.fn != 'fit')

    def _reset(self) -> None:
        self._spectrum = None
        self._alignment.reset()
        self._uniformity.reset()
        self._broken = False

    def _look(self, trainer: Trainer, task: Any, batch: Any) -> None:
        """Compute features of a batch, and of two views of it."""
        network = task.get_submodule(self.network)
        dates = task.dates(batch) if hasattr(task, 'dates') else [batch]
        encode = getattr(task, 'encode', _encode)
        with aside(trainer, task):
            network.eval()
            seen = [dates[0]]
            views = getattr(task, 'views', None)
            if views is not None and len(made := views(dates)) > 1:
                seen += made[:2]
            rows = [encode(network, one).flatten(1).float() for one in seen]
        if self._spectrum is None:
            self._spectrum = EigenSpectrum(rows[0].shape[1]).to(rows[0].device)
            self._alignment.to(rows[0].device)
            self._uniformity.to(rows[0].device)
        if not all(bool(part.isfinite().all()) for part in rows):
            self._broken = True
            return
        if len(known := rows[0][_with_data(*seen[:1])]):
            self._spectrum.update(known)
            self._uniformity.update(known)
        if len(rows) == 3 and bool((both := _with_data(*seen[1:])).any()):
            self._alignment.update(rows[1][both], rows[2][both])

    def _report(self, trainer: Trainer) -> None:
        """Put together what all processes saw, log it and draw it."""
        decide = trainer.strategy.reduce_boolean_decision
        if not decide(self._spectrum is not None, all=True):
            return
        assert self._spectrum is not None
        if decide(self._broken, all=False):
            self._warn(
                'The features hold NaN or infinite numbers: the training has '
                'diverged. Lower the learning rate, or clip the gradients.'
            )
            log_scores(trainer, {f'{self.prefix}effective_rank': math.nan})
            return
        spectrum = self._spectrum.compute().cpu()
        # only the sum of the processes tells how many there were
        count = trainer.strategy.reduce(self._uniformity.seen.float(), reduce_op='sum')
        possible = min(len(spectrum), int(count) - 1)
        if possible < 1:
            return
        rank = float(spectrum_rank(spectrum))
        scores = {
            'effective_rank': rank,
            'rank_share': rank / possible,
            'uniformity': float(self._uniformity.compute()),
        }
        if self._alignment.update_called:
            scores['alignment'] = float(self._alignment.compute())
        log_scores(trainer, {f'{self.prefix}{k}': v for k, v in scores.items()})
        if rank < self.collapse * possible:
            self._warn(
                f'The features have collapsed: they fill {rank:.1f} of {possible} '
                'directions (effective rank). Check the loss, the learning rate and '
                'whether the views differ at all.'
            )
        if trainer.state.fn == 'fit':
            self._remember(trainer.current_epoch, rank, spectrum)
            self._draw(trainer)

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(text, HSIWarning, stacklevel=2)

    def _remember(self, epoch: int, rank: float, spectrum: Tensor) -> None:
        """Keep the rank of each epoch, and spectra of epochs that are evenly spaced."""
        self.ranks[epoch] = rank
        self.spectra[epoch] = spectrum.float()
        step = 1
        while epoch // step >= _SPECTRA:
            step *= 2
        self.spectra = {
            e: v for e, v in self.spectra.items() if e % step == 0 or e == epoch
        }

    def _draw(self, trainer: Trainer) -> None:
        """Draw spectra and ranks so far."""
        if not trainer.is_global_zero:
            return
        figure = draw_representation(self.spectra, self.ranks)
        try:
            log_figure(trainer, f'{self.prefix}spectrum', figure)
            if self.file is not None and not getattr(trainer, 'fast_dev_run', False):
                path = Path(trainer.default_root_dir) / self.file
                save_figure(figure, path, type(self).__name__)
        finally:
            plt.close(figure)


def _validates(trainer: Trainer) -> bool:
    """Whether there are validation data in this training."""
    return trainer.enable_validation and sum(trainer.num_val_batches) > 0


def _with_data(*samples: Any) -> Tensor:
    """Tell which images have data in all of these batches."""
    known = torch.ones(len(samples[0]['image']), dtype=torch.bool)
    known = known.to(samples[0]['image'].device)
    for sample in samples:
        if isinstance(sample.get('valid'), Tensor):
            known = known & sample['valid'].flatten(1).any(1)
    return known


def _encode(network: Any, sample: Any) -> Tensor:
    """Compute features for a task that cannot do so itself."""
    with use_bands(network, sample):
        found: Tensor = network(sample['image'])
    return found
