# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random functions for each step of a training, and fixed ones to test with."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from ..physics.equations import Equation

#: Given fields, and solutions where they are known.
type FunctionBatch = dict[str, Tensor]

#: What random numbers are for, so that no two uses share them.
PURPOSES = {'train': 0, 'val': 1, 'test': 2, 'solutions': 3}


def make_generator(seed: int, purpose: str, *numbers: int) -> torch.Generator:
    """Make a source of random numbers that depends on all that is given.

    Args:
        seed: The seed.
        purpose: One of ``PURPOSES``.
        *numbers: Epoch, step, process and the like, 0 or more.

    Returns:
        The generator.
    """
    entropy = (seed, PURPOSES[purpose], *numbers)
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))


class EquationFunctions(Dataset[FunctionBatch]):
    """Functions with their solutions.

    Args:
        parameter: Coefficients of shape ``(N, P, *modes)``.
        solution: Values of shape ``(N, *sizes)``.
    """

    def __init__(self, parameter: Tensor, solution: Tensor) -> None:
        """Initialize a new EquationFunctions instance; see the class."""
        self.parameter, self.solution = parameter, solution

    def __len__(self) -> int:
        """Return the number of functions."""
        return len(self.parameter)

    def __getitem__(self, index: int) -> FunctionBatch:
        """Return one of them.

        Args:
            index: Its number.

        Returns:
            ``parameter`` and ``solution``.
        """
        return {'parameter': self.parameter[index], 'solution': self.solution[index]}


class EquationSteps(Dataset[FunctionBatch]):
    """A batch of functions for each step, none of which comes twice.

    Args:
        equation: Where functions come from.
        batch_size: Functions of a step.
        length: Steps of an epoch.
        seed: Seed of all of them.
        rank: Number of the process.
        known: Functions with solutions to choose from; new functions by default.
    """

    #: Epoch in which the first step was, and steps since.
    first: int = 0
    drawn: int = 0

    def __init__(
        self,
        equation: Equation,
        batch_size: int,
        length: int,
        seed: int = 0,
        rank: int = 0,
        known: EquationFunctions | None = None,
    ) -> None:
        """Initialize a new EquationSteps instance; see the class for the arguments."""
        self.equation, self.batch_size, self.length = equation, batch_size, length
        self.seed, self.rank, self.known = seed, rank, known

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        return self.length

    def __getitem__(self, step: int) -> FunctionBatch:
        """Draw the functions of a step.

        Args:
            step: Its number since the first one of the training.

        Returns:
            ``parameter`` of shape ``(B, P, *modes)``, and ``solution`` if it is known.
        """
        generator = make_generator(self.seed, 'train', self.first, step, self.rank)
        if self.known is None:
            parameter = self.equation.sample(self.batch_size, generator)
            return {'parameter': parameter.float()}
        order = torch.randperm(len(self.known), generator=generator)
        chosen = order[: self.batch_size]
        return {
            'parameter': self.known.parameter[chosen],
            'solution': self.known.solution[chosen],
        }


class StepSampler(DistributedSampler[int]):
    """Number the steps of an epoch, from where the training is.

    Every process has the same steps, with functions of its own; Lightning exchanges no
    sampler that says it is distributed.

    Args:
        steps: The steps.
    """

    dataset: EquationSteps

    def __init__(self, steps: EquationSteps) -> None:
        """Initialize a new StepSampler instance; see the class for the arguments."""
        super().__init__(steps, num_replicas=1, rank=0, shuffle=False)

    def __len__(self) -> int:
        """Return the number of steps of an epoch."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        """Go through the steps of an epoch.

        Yields:
            Their numbers.
        """
        begin = self.dataset.drawn
        yield from range(begin, begin + len(self.dataset))


class StepLoader(DataLoader[FunctionBatch]):
    """Load the functions of each step; a checkpoint remembers where it was.

    Args:
        dataset: The steps.
        sampler: Numbers of steps; by default from where the training is.
        num_workers: Processes that draw functions.
        **kwargs: Other arguments of :class:`~torch.utils.data.DataLoader`.
    """

    dataset: EquationSteps

    def __init__(
        self,
        dataset: EquationSteps,
        sampler: Sampler[int] | None = None,
        num_workers: int = 0,
        **kwargs: Any,
    ) -> None:
        """Initialize a new StepLoader instance; see the class for the arguments."""
        options = {'batch_size': None, 'generator': torch.Generator()} | kwargs
        super().__init__(
            dataset,
            sampler=StepSampler(dataset) if sampler is None else sampler,
            num_workers=num_workers,
            **options,
        )

    def __iter__(self) -> Iterator[FunctionBatch]:  # type: ignore[override]
        """Go through the batches of an epoch.

        Yields:
            Batches.
        """
        # a generator: nothing is drawn before a checkpoint has been read
        for batch in super().__iter__():
            self.dataset.drawn += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return how far the training is.

        Returns:
            Epoch of the first step, and steps since.
        """
        return {'first': self.dataset.first, 'drawn': self.dataset.drawn}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where another loader was.

        Args:
            state_dict: What :meth:`state_dict` returned.
        """
        self.dataset.first = int(state_dict['first'])
        self.dataset.drawn = int(state_dict['drawn'])
