# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random functions of a partial differential equation, and solutions to compare with."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datamodules import BaseDataModule
from torchgeo.datasets import NonGeoDataset

from ..errors import MetadataError
from ..physics.equations import Equation, get_equation
from ._cube_module import check_counts
from ._equation_batches import (
    EquationFunctions,
    EquationSteps,
    FunctionBatch,
    StepLoader,
    make_generator,
)
from ._reference_solutions import load_or_solve, same_equation


class EquationDataModule(BaseDataModule):
    """Random sources, initial values or winds, whatever an equation is solved for.

    Each step of the training gets new functions, so there is no data set and nothing
    to overfit. They follow from the seed, the step and the process: a training that
    goes on from a checkpoint goes on with new ones. Validation and test have fixed
    functions, and solutions by the numerical solver of the equation.

    With *train_solutions* the training has that many fixed functions with solutions
    instead, which a network that learns from data needs.

    Batches have ``parameter``, coefficients of shape ``(B, P, *modes)``, and, but for new
    functions, ``solution``: values of shape ``(B, *sizes)`` on
    :meth:`~torchgeo_hsi.physics.equations.Equation.grid`.

    Example:
        >>> data = EquationDataModule('periodic_poisson', {'modes': [7, 7]}, batch_size=4)
        >>> data.setup('fit')
        >>> next(iter(data.train_dataloader()))['parameter'].shape
        torch.Size([4, 1, 7, 7])
    """

    def __init__(
        self,
        equation: str | Equation | None = None,
        equation_options: dict[str, Any] | None = None,
        batch_size: int = 16,
        steps_per_epoch: int = 1000,
        test_size: int = 128,
        val_size: int = 16,
        resolution: int | Sequence[int] = 64,
        train_solutions: int = 0,
        train_resolution: int | Sequence[int] | None = None,
        cache: str | None = None,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        """Initialize a new EquationDataModule instance.

        Args:
            equation: Name of the equation
                (:func:`~torchgeo_hsi.physics.equations.list_equations`) or the equation
                itself; that of the task by default.
            equation_options: Its options, such as ``modes``.
            batch_size: Functions of a step, for each process.
            steps_per_epoch: Steps of an epoch.
            test_size: Functions to test with.
            val_size: Functions to validate with; 0 for none.
            resolution: Points along each axis at which solutions are compared; one number
                for all, or one for each.
            train_solutions: Number of fixed training functions with solutions; 0 for
                new functions in each step, without solutions.
            train_resolution: Points along each axis of these; *resolution* by default.
            cache: Folder in which solutions are kept; they are solved for each time by
                default.
            num_workers: Processes that draw functions.
            seed: Seed of all functions.

        Raises:
            UnknownNameError: If there is no such equation.
            ValueError: If a number is out of its range, or options fit nothing.
        """
        super().__init__(NonGeoDataset, batch_size, num_workers)
        check_counts(
            batch_size=batch_size, steps_per_epoch=steps_per_epoch, test_size=test_size
        )
        _check_numbers(val_size, train_solutions, num_workers, seed)
        _check_resolution(resolution, train_resolution)
        if train_resolution is not None and not train_solutions:
            raise ValueError(
                'train_resolution is that of train_solutions, of which there are none. '
                'Set their number, or leave it out.'
            )
        if 0 < train_solutions < batch_size:
            raise ValueError(
                f'Expected at least {batch_size} train_solutions, one for each function '
                f'of a batch, got {train_solutions}.'
            )
        self._given = _make_equation(equation, equation_options)
        self.steps_per_epoch, self.seed = steps_per_epoch, seed
        self.test_size, self.val_size = test_size, val_size
        self.resolution = resolution
        self.train_solutions = train_solutions
        self.train_resolution = train_resolution or resolution
        self.cache = cache

    @property
    def equation(self) -> Equation:
        """The equation that was named, or else that of the task.

        Raises:
            MetadataError: If there is none, or if the task has another one.
        """
        task = getattr(self.trainer, 'lightning_module', None)
        known = getattr(task, 'equation', None)
        if self._given is None and not isinstance(known, Equation):
            raise MetadataError(
                'There is no equation. Name one as equation of EquationDataModule, or '
                'train a task that has one, such as NeuralSpectral.'
            )
        if self._given is None:
            assert isinstance(known, Equation)
            return known
        if isinstance(known, Equation) and not same_equation(self._given, known):
            raise MetadataError(
                f'The data are of the equation {self._given.name} with other options '
                f'than those of the task ({known.name}), or of another equation. Leave '
                'equation of EquationDataModule out: it takes that of the task.'
            )
        return self._given

    def setup(self, stage: str) -> None:
        """Draw the functions of a stage, and solve for them.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            MetadataError: If there is no equation, or if the task has another one.
            OutputError: If solutions cannot be kept.
        """
        if stage in ('fit', 'validate') and self.val_size:
            self.val_dataset = self._functions('val', self.val_size, self.resolution)
        if stage == 'fit':
            known = None
            if self.train_solutions:
                known = self._functions(
                    'solutions', self.train_solutions, self.train_resolution
                )
            rank = 0 if self.trainer is None else self.trainer.global_rank
            self.train_dataset = EquationSteps(
                self.equation,
                self.batch_size,
                self.steps_per_epoch,
                self.seed,
                rank,
                known,
            )
        if stage in ('test', 'predict'):
            found = self._functions('test', self.test_size, self.resolution)
            self.test_dataset = self.predict_dataset = found

    def _functions(
        self, purpose: str, count: int, size: int | Sequence[int]
    ) -> EquationFunctions:
        equation = self.equation
        parameter = equation.sample(count, make_generator(self.seed, purpose))
        solution = load_or_solve(equation, parameter, size, self.cache)
        return EquationFunctions(parameter.float(), solution)

    def train_dataloader(self) -> DataLoader[FunctionBatch]:
        """Return the loader of training: functions of each step."""
        steps = self.train_dataset
        assert isinstance(steps, EquationSteps)
        # loaders may be made again in each epoch, which shall not repeat the first one
        steps.first = 0 if self.trainer is None else self.trainer.current_epoch
        steps.drawn = 0
        return StepLoader(steps, num_workers=self.num_workers)

    def val_dataloader(self) -> Any:
        """Return the loader of validation; without one, there are no batches."""
        return [] if self.val_dataset is None else self._loader(self.val_dataset)

    def test_dataloader(self) -> DataLoader[FunctionBatch]:
        """Return the loader of the test."""
        return self._loader(self.test_dataset)

    def predict_dataloader(self) -> DataLoader[FunctionBatch]:
        """Return the loader of the functions of the test, to predict."""
        return self._loader(self.predict_dataset)

    def _loader(self, dataset: Any) -> DataLoader[FunctionBatch]:
        # functions are in memory: worker processes would only copy them
        return DataLoader(
            dataset, batch_size=self.batch_size, generator=torch.Generator()
        )

    def on_after_batch_transfer(
        self, batch: Mapping[str, Tensor], dataloader_idx: int
    ) -> Any:
        """Leave a batch as it is: functions have no augmentation.

        Args:
            batch: The batch.
            dataloader_idx: Number of the data loader.

        Returns:
            The same batch.
        """
        return batch


def _make_equation(
    equation: str | Equation | None, options: dict[str, Any] | None
) -> Equation | None:
    if isinstance(equation, str):
        return get_equation(equation, **(options or {}))
    if options:
        raise ValueError(
            'equation_options are those of an equation that is named. Name it, or leave '
            'them out.'
        )
    return equation


def _check_numbers(val_size: int, solutions: int, workers: int, seed: int) -> None:
    for name, value in (
        ('val_size', val_size),
        ('train_solutions', solutions),
        ('num_workers', workers),
        ('seed', seed),
    ):
        if value < 0:
            raise ValueError(f'Expected a {name} of 0 or more, got {value}.')


def _check_resolution(*sizes: int | Sequence[int] | None) -> None:
    for size in sizes:
        counts = () if size is None else (size,) if isinstance(size, int) else size
        if any(count < 4 for count in counts):
            raise ValueError(
                f'Expected a resolution of 4 points or more along each axis, got {size}.'
            )
