# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How far some work is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class JobProgress:
    """A moment in the course of :func:`run_jobs`.

    Args:
        done: Items with a result.
        failed: Items that failed for good.
        total: All items.
        workers: Worker processes that are alive; 0 if this process does the work.
        note: What is going on: the item that was finished last, or what is waited for.
    """

    done: int
    failed: int
    total: int
    workers: int = 0
    note: str = ''

    def __str__(self) -> str:
        """Return the moment as one line."""
        words = [f'{self.done + self.failed}/{self.total}']
        if self.failed:
            words.append(f'{self.failed} failed')
        if self.workers:
            words.append(f'{self.workers} worker{"s" if self.workers > 1 else ""}')
        return ', '.join(words) + (f': {self.note}' if self.note else '')
