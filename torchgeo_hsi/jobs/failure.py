# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""An item that could not be worked on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JobFailure:
    """One item that failed in every attempt.

    Args:
        index: Position of the item.
        name: Name of the item, e.g. its file.
        error: Class and message of the last error.
        attempts: How often it was tried.
        traceback: Where the last error was raised; empty if the worker process died.
    """

    index: int
    name: str
    error: str
    attempts: int
    traceback: str = ''

    def __str__(self) -> str:
        """Return the failure as one line."""
        times = 'once' if self.attempts == 1 else f'{self.attempts} times'
        return f'{self.name}: {self.error} (tried {times})'
