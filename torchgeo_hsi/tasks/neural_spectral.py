# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Solving partial differential equations by networks that learn without solutions."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from matplotlib.figure import Figure
from torch import Tensor
from torchgeo.tasks import BaseTask
from torchmetrics import MeanMetric

from .._precision import full_precision
from ..errors import EmptyDataError
from ..losses.spectral_residual import CoefficientWeights, SpectralResidualLoss
from ..metrics.relative_l2 import RelativeL2, relative_l2
from ..models import get_model
from ..models.neural_spectral import SpectralOperator
from ..physics.equations import Equation, get_equation
from ._neural_figure import draw_fields
from ._neural_objective import (
    NeuralObjective,
    check_even,
    check_inside,
    check_objective,
    even_grid,
    grid_residual,
    solution_values,
)
from ._recipes import Recipe, build_both


class NeuralSpectral(BaseTask):
    """Learn to solve an equation for all its random parameters at once.

    With the defaults this is a neural spectral method: a network turns the coefficients
    of a source, an initial value or a wind into those of the solution, and learns from
    what its solutions leave of the equation, as a series, too. No solution is needed,
    and none of it depends on the grid on which solutions are looked at later.

    * ``objective='spectral'``: the squared coefficients of the residual.
    * ``objective='grid_residual'``: the mean square of the residual on an even grid, by
      finite differences of second order, as in physics-informed neural operators
      (https://arxiv.org/abs/2111.03794).
    * ``objective='data'``: the mean relative error of known solutions, by which Fourier
      neural operators are trained (https://arxiv.org/abs/2010.08895). It needs
      *train_solutions* of the data module.

    Solutions meet boundary and initial conditions exactly, whatever the network says and
    for all objectives. Networks on grids profit from that: in the paper they had
    penalties instead.

    Data come from :class:`~torchgeo_hsi.datamodules.EquationDataModule`, which takes the
    equation from here. ``val_relative_l2`` and ``test_relative_l2`` are relative errors
    against the numerical solution, mean over functions; ``val_residual`` and
    ``test_residual`` mean absolute residuals by finite differences on the same grid, for
    all objectives, which an exact solution leaves, too. Numbers are float32, also in a
    training with mixed precision.

    If you use this task in your research, please cite the following paper:

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> task = NeuralSpectral(
        ...     'periodic_poisson', {'modes': [7, 7]}, model_kwargs={'width': 8, 'depth': 1}
        ... )
        >>> source = task.equation.sample(2)
        >>> task.solve(source, size=100).shape
        torch.Size([2, 100, 100])
    """

    # weights are those of coefficients here, and no file
    ignore = ()
    monitor = 'val_relative_l2'

    def __init__(
        self,
        equation: str = 'periodic_poisson',
        equation_options: dict[str, Any] | None = None,
        model: str = 'spectral_operator',
        model_kwargs: dict[str, Any] | None = None,
        objective: NeuralObjective = 'spectral',
        weights: CoefficientWeights = 'unit',
        resolution: int | Sequence[int] = 64,
        predict_resolution: int | Sequence[int] | None = None,
        lr: float = 1e-3,
        lr_end: float = 1e-3,
        warmup_epochs: float = 0.0,
    ) -> None:
        """Initialize a new NeuralSpectral instance.

        Args:
            equation: Name of the equation
                (:func:`~torchgeo_hsi.physics.equations.list_equations`).
            equation_options: Its options, such as ``modes`` and ``diffusion``.
            model: ``'spectral_operator'``, between coefficients, or
                ``'fourier_neural_operator'``, between values on grids.
            model_kwargs: Options of the model, such as ``width``, ``depth`` and
                ``activation``.
            objective: ``'spectral'``, ``'grid_residual'`` or ``'data'``.
            weights: How coefficients of the residual count
                (:class:`~torchgeo_hsi.losses.SpectralResidualLoss`): ``'unit'``, as
                published, ``'parseval'`` or ``'dual'``, with which equations that
                damp waves are learned in a fraction of the steps. Only
                ``objective='spectral'`` uses them.
            resolution: Points along each axis of the grid of ``'grid_residual'``; one
                number for all, or one for each.
            predict_resolution: Points along each axis of predicted solutions; by default
                those of the numerical solution in the data.
            lr: Learning rate at the start, of Adam.
            lr_end: Share of the rate that is left at the end; it falls by the same
                factor in each step.
            warmup_epochs: Epochs in which the rate rises linearly.

        Raises:
            ImportError: If neuraloperator is needed and not installed.
            UnknownNameError: If there is no such equation or model.
            ValueError: If an option is out of its range, or options do not fit.
        """
        check_objective(objective, (resolution, predict_resolution))
        self.recipe = Recipe(
            'adamw',
            lr,
            0.0,
            'exponential',
            warmup_epochs,
            lr_end=lr_end,
            scale_lr=False,
        )
        super().__init__()

    def configure_models(self) -> None:
        """Make the equation and the network."""
        hparams = self.hparams
        options: Mapping[str, Any] = hparams['equation_options'] or {}
        self.equation: Equation = get_equation(hparams['equation'], **options)
        self.model = get_model(
            hparams['model'],
            axes=[axis.name for axis in self.equation.axes],
            modes=list(self.equation.modes),
            fields=self.equation.parameters,
            **(hparams['model_kwargs'] or {}),
        )
        if hparams['objective'] == 'spectral' and not self.on_coefficients:
            raise ValueError(
                f"objective='spectral' needs coefficients of series, and the model "
                f'{hparams["model"]} knows values on grids only. Use '
                "model='spectral_operator', or objective='grid_residual' or 'data'."
            )

    def configure_losses(self) -> None:
        """Make the loss of coefficients."""
        axes = [axis.name for axis in self.equation.axes]
        self.criterion = SpectralResidualLoss(
            axes, self.hparams['weights'], self.equation.damping
        )

    def configure_metrics(self) -> None:
        """Make the scores of validation and test."""
        self.val_relative_l2, self.test_relative_l2 = RelativeL2(), RelativeL2()
        self.val_residual, self.test_residual = MeanMetric(), MeanMetric()

    @property
    def on_coefficients(self) -> bool:
        """Whether the network maps coefficients, so that no grid matters to it."""
        return isinstance(self.model, SpectralOperator)

    def coefficients(self, parameter: Tensor) -> Tensor:
        """Compute the series of the solution; gradients are kept.

        Args:
            parameter: Coefficients of shape ``(B, P, *modes)``.

        Returns:
            Coefficients of shape ``(B, *modes)``.

        Raises:
            BandMismatchError: If there are other numbers of fields or coefficients.
            ValueError: If the network knows values on grids only.
        """
        if not self.on_coefficients:
            raise ValueError(
                f'The model {self.hparams["model"]} has no coefficients. Use solve.'
            )
        return self.equation.constrain(parameter, self.model(parameter))

    @torch.no_grad()
    def solve(
        self,
        parameter: Tensor,
        size: int | Sequence[int] | None = None,
        points: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Solve the equation at any resolution.

        The spectral operator computes a series, at a cost that does not depend on the
        resolution, which is then evaluated. A network on grids runs on this grid.

        Args:
            parameter: Coefficients of shape ``(B, P, *modes)``, such as those of
                ``equation.sample``.
            size: Points along each axis, evenly spaced; one number for all, or one for
                each.
            points: In place of it, points of each axis in [0, 1]; an even grid for
                networks on grids.

        Returns:
            Values of shape ``(B, M_1, ..., M_d)``, on the device of the task.

        Raises:
            BandMismatchError: If there are other numbers of fields or coefficients, or
                the points are not those that the network can do.
            ValueError: If neither *size* nor *points* are given, or both, or points lie
                outside of the box.
        """
        if (size is None) == (points is None):
            raise ValueError('Expected either size or points, got both or none.')
        weight = next(self.model.parameters())
        parameter = parameter.to(weight)
        if points is not None:
            check_inside(self.equation, points)
            if not self.on_coefficients:
                check_even(self.equation, points)
        if points is None:
            assert size is not None
            points = even_grid(self.equation, size, parameter)
        grid = [line.to(parameter) for line in points]
        with full_precision(parameter.device):
            return solution_values(self.equation, self.model, parameter, grid)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Args:
            batch: ``parameter``, coefficients of shape ``(B, P, *modes)``; for
                ``objective='data'`` also ``solution``, values on an even grid.

        Returns:
            The loss.

        Raises:
            EmptyDataError: If there are no solutions to learn from.
        """
        parameter, objective = batch['parameter'], self.hparams['objective']
        if objective == 'spectral':
            found = self.coefficients(parameter)
            loss: Tensor = self.criterion(self.equation.residual(parameter, found))
            return loss
        if objective == 'grid_residual':
            points = even_grid(self.equation, self.hparams['resolution'], parameter)
            values = solution_values(self.equation, self.model, parameter, points)
            left = grid_residual(self.equation, parameter, values, points)
            return left.square().mean()
        if 'solution' not in batch:
            raise EmptyDataError(
                "objective='data' learns from solutions, and there are none. Set "
                'train_solutions of EquationDataModule to their number.'
            )
        values, _ = self._compare(batch)
        return relative_l2(values, batch['solution']).mean()

    def _compare(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Solve on the grid of the numerical solution."""
        parameter, sizes = batch['parameter'], batch['solution'].shape[1:]
        points = even_grid(self.equation, list(sizes), parameter)
        values = solution_values(self.equation, self.model, parameter, points)
        return values, points

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the loss of a step.

        Args:
            batch: As for :meth:`loss`.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.
        """
        with full_precision(self.device):
            loss = self.loss(batch)
        self.log('train_loss', loss, batch_size=len(batch['parameter']))
        return loss

    def _evaluate(self, batch: Any, stage: Literal['val', 'test']) -> None:
        """Compare with the numerical solution, and log scores."""
        with full_precision(self.device):
            loss = self.loss(batch)
            values, points = self._compare(batch)
            left = grid_residual(self.equation, batch['parameter'], values, points)
        error: RelativeL2 = getattr(self, f'{stage}_relative_l2')
        residual: MeanMetric = getattr(self, f'{stage}_residual')
        error.update(values, batch['solution'])
        residual.update(left.abs().flatten(1).mean(1))
        count = len(values)
        self.log(f'{stage}_loss', loss, batch_size=count, sync_dist=True)
        for name, metric in (('relative_l2', error), ('residual', residual)):
            self.log(f'{stage}_{name}', metric, batch_size=count, on_epoch=True)

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Compare solutions with numerical ones.

        Args:
            batch: ``parameter``, and ``solution`` on an even grid.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        self._evaluate(batch, 'val')

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Compare solutions with numerical ones.

        Args:
            batch: As for :meth:`validation_step`.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        self._evaluate(batch, 'test')

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Solve for each function.

        Args:
            batch: ``parameter``; ``solution`` where it is known.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``parameter``, ``solution`` if it was given, and ``prediction``: values on an
            even grid of *predict_resolution*.
        """
        size = self.hparams['predict_resolution']
        if size is None and 'solution' in batch:
            size = list(batch['solution'].shape[1:])
        kept: dict[str, Tensor] = {
            key: batch[key] for key in ('parameter', 'solution') if key in batch
        }
        size = size or self.hparams['resolution']
        return kept | {'prediction': self.solve(batch['parameter'], size)}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build Adam, and a rate that falls by the same factor in each step.

        Returns:
            Optimizer and schedule.

        Raises:
            ValueError: If the training has no end.
        """
        return build_both(self, self.recipe)

    def plot(self, batch: Mapping[str, Tensor], rows: int = 3) -> Figure:
        """Draw given fields, numerical solutions, those of the network, and errors.

        Args:
            batch: ``parameter``; ``solution`` where it is known.
            rows: Most functions to draw.

        Returns:
            The figure. Close it with ``matplotlib.pyplot.close``.
        """
        parameter = batch['parameter'][:rows]
        solution = batch.get('solution')
        size = self.hparams['resolution'] if solution is None else solution.shape[1:]
        found = self.solve(parameter, size if isinstance(size, int) else list(size))
        reference = None if solution is None else solution[:rows].cpu()
        return draw_fields(self.equation, parameter.cpu(), found.cpu(), reference)
