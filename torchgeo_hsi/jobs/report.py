# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What came out of some work."""

from dataclasses import dataclass

from .failure import JobFailure


@dataclass(frozen=True)
class JobReport[T]:
    """Results and failures of :func:`run_jobs`.

    Args:
        results: Result of each item, in the order of the items; None where it failed.
        failures: Items without a result, in their order.
        seconds: Time that it took.
    """

    results: list[T | None]
    failures: tuple[JobFailure, ...]
    seconds: float

    @property
    def succeeded(self) -> list[T]:
        """Results of the items that did not fail, in their order."""
        failed = {failure.index for failure in self.failures}
        # a function may well return None, so the value does not tell
        return [
            result  # type: ignore[misc]
            for index, result in enumerate(self.results)
            if index not in failed
        ]

    def __str__(self) -> str:
        """Return a summary, one line for each failure."""
        total = len(self.results)
        lines = [
            f'{total - len(self.failures)} of {total} done in {self.seconds:.1f} s'
        ]
        return '\n'.join(lines + [f'failed: {failure}' for failure in self.failures])
