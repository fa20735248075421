# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scores of a classification, which never go without the split they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._json import json_text
from ..errors import BandMismatchError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: What scores of random pixels do not tell: also windows of one pixel, which never touch
#: each other, are as good as neighbours.
RANDOM_NOTE = (
    'random split: tested pixels lie beside training pixels, so these scores do not hold '
    'for other places'
)


@dataclass(frozen=True)
class ClassificationReport:
    """Overall accuracy, average accuracy, kappa and F1 scores of one or several runs.

    A score of pixels means nothing without the split that it comes from, so there is no
    report without one: with random pixels nearly all windows of the test touch
    training (https://doi.org/10.1109/LGRS.2019.2895697).

    Averages over classes leave out classes that the test does not have;
    torchmetrics counts them as 0 as soon as one pixel is taken for them.

    Args:
        matrices: Confusion matrix of each run, counts of shape ``(R, K, K)``, rows by
            truth.
        class_names: Name of each class.
        split: Kind of the split: ``'block'``, ``'random'``, ``'region'``,
            ``'official'`` or any other words.
        touching: Share of the test windows that touch training, of each run, or empty
            if that is not known.
        guard: Pixels left out on either side of a border between splits.
        window: Rows and columns of the windows of the classifier.
        mode: ``'inductive'``, or ``'transductive'`` if the pixels of the test were seen
            in training, without their labels.
        method: Name of the method.
        seeds: Seed of each run, or number of the fold.
        notes: More lines to print.

    Raises:
        BandMismatchError: If the matrices do not fit the names.
        ValueError: If the split has no name.

    Example:
        >>> report = ClassificationReport([[[3, 1], [0, 4]]], ('water', 'soil'), 'block')
        >>> report.overall_accuracy.tolist(), report.average_accuracy.tolist()
        ([0.875], [0.875])
    """

    matrices: ArrayLike = field(repr=False)
    class_names: Sequence[str]
    split: str
    touching: Sequence[float] = ()
    guard: int | None = None
    window: int | None = None
    mode: str = 'inductive'
    method: str = ''
    seeds: Sequence[int] = ()
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the matrices."""
        counts = np.asarray(self.matrices, dtype=np.int64)
        if counts.ndim == 2:
            counts = counts[np.newaxis]
        size = len(self.class_names)
        if counts.ndim != 3 or counts.shape[1:] != (size, size) or not len(counts):
            raise BandMismatchError(
                f'Expected confusion matrices of shape (runs, {size}, {size}), got '
                f'{counts.shape}.'
            )
        if not self.split.strip():
            raise ValueError(
                'Expected the kind of the split, which scores mean nothing without: '
                "'block', 'random' or any other words."
            )
        object.__setattr__(self, 'matrices', counts)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Confusion matrices of shape ``(R, K, K)``, rows by truth."""
        return np.asarray(self.matrices)

    @property
    def overall_accuracy(self) -> NDArray[np.float64]:
        """Share of the pixels that are right (OA), of each run, shape ``(R,)``."""
        return _ratio(self._hits.sum(1), self.counts.sum((1, 2)))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of each class that is found, shape ``(R, K)``; NaN if not tested."""
        return _ratio(self._hits, self.counts.sum(2))

    @property
    def average_accuracy(self) -> NDArray[np.float64]:
        """Mean recall over the classes of the test (AA), shape ``(R,)``."""
        return _mean(self.recall)

    @property
    def kappa(self) -> NDArray[np.float64]:
        """Agreement beyond chance (Cohen's kappa) of each run, shape ``(R,)``."""
        total = self.counts.sum((1, 2))
        chance = (self.counts.sum(1) * self.counts.sum(2)).sum(1)
        agreed = self._hits.sum(1)
        return _ratio(agreed * total - chance, total**2 - chance)

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 score of each class, shape ``(R, K)``; NaN if not tested."""
        tested = self.counts.sum(2)
        found = _ratio(2 * self._hits, tested + self.counts.sum(1))
        return np.where(tested > 0, found, np.nan)

    @property
    def macro_f1(self) -> NDArray[np.float64]:
        """Mean F1 score over the classes of the test, shape ``(R,)``."""
        return _mean(self.f1)

    @property
    def untested(self) -> tuple[str, ...]:
        """Classes that no run has in its test."""
        empty = self.counts.sum((0, 2)) == 0
        return tuple(np.asarray(self.class_names, dtype=object)[empty])

    @property
    def _hits(self) -> NDArray[np.int64]:
        return np.diagonal(self.counts, axis1=1, axis2=2)

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """Return the scores of the runs by their short names.

        Returns:
            ``OA``, ``AA``, ``kappa`` and ``F1``, each of shape ``(R,)``.
        """
        return {
            'OA': self.overall_accuracy,
            'AA': self.average_accuracy,
            'kappa': self.kappa,
            'F1': self.macro_f1,
        }

    def split_line(self) -> str:
        """Describe the split in one line, as it stands beside every score."""
        words = [f'{self.split} split']
        if self.guard is not None:
            words.append(f'guard of {self.guard} px')
        if len(self.touching):
            share = float(np.mean(self.touching))
            thing = (
                'test windows'
                if self.window is None
                else (f'{self.window}-pixel test windows')
            )
            words.append(f'{share:.0%} of the {thing} touch training')
        words.append(self.mode)
        return ', '.join(words)

    def __str__(self) -> str:
        """Describe scores and split in a few lines."""
        runs = len(self.counts)
        title = f'{self.method}: ' if self.method else ''
        lines = [f'{title}{self.split_line()}']
        suffix = f'  (mean ± standard deviation of {runs} runs)' if runs > 1 else ''
        lines.append(
            '  '.join(f'{name} {_spread(v)}' for name, v in self.scores().items())
            + suffix
        )
        width = max(len(name) for name in self.class_names)
        for k, name in enumerate(self.class_names):
            tested = int(self.counts[:, k].sum())
            recall, f1 = _spread(self.recall[:, k]), _spread(self.f1[:, k])
            shown = f'recall {recall}  F1 {f1}' if tested else 'not tested'
            lines.append(f'  {name:{width}}  {shown}  ({tested} px)')
        lines += list(self.notes)
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it.

        Returns:
            Scores of each run, their mean and standard deviation, the split, and the
            notes.
        """
        scores: Mapping[str, NDArray[np.float64]] = self.scores()
        return {
            'method': self.method,
            'split': self.split,
            'guard': self.guard,
            'window': self.window,
            'touching': [round(float(share), 6) for share in self.touching],
            'mode': self.mode,
            'seeds': [int(seed) for seed in self.seeds],
            'mean': {k: _number(_mean(v[np.newaxis])[0]) for k, v in scores.items()},
            'std': {k: _number(_deviation(v)) for k, v in scores.items()},
            'runs': {k: [_number(x) for x in v] for k, v in scores.items()},
            'classes': list(self.class_names),
            'untested': list(self.untested),
            'f1': [_number(x) for x in _column_means(self.f1)],
            'recall': [_number(x) for x in _column_means(self.recall)],
            'confusion': self.counts.sum(0).tolist(),
            'notes': list(self.notes),
        }

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return json_text(self.to_dict())

    def plot(
        self, class_colors: Sequence[str] | None = None, suptitle: str | None = None
    ) -> 'Figure':
        """Draw the confusion matrix, and the F1 score of each class.

        The split stands in the title, beside the scores.

        Args:
            class_colors: Color of each class, for the bars.
            suptitle: Title of the whole figure; the method by default.

        Returns:
            The figure. Close it with ``matplotlib.pyplot.close``.

        Raises:
            BandMismatchError: If there are colors for another number of classes.
        """
        from ._report_figure import draw_report

        if class_colors is not None and len(class_colors) != len(self.class_names):
            raise BandMismatchError(
                f'Expected a color for each of {len(self.class_names)} classes, got '
                f'{len(class_colors)}.'
            )
        return draw_report(self, class_colors, suptitle)


def _ratio(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Divide, with NaN where there is nothing to divide by."""
    out = np.full(np.broadcast(a, b).shape, np.nan)
    np.divide(a, b, out=out, where=b != 0)
    return out


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over classes, without those that are not tested."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0.0).sum(1), there.sum(1))


def _column_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over runs, without those that do not test a class."""
    return _mean(values.T)


def _spread(values: NDArray[np.float64]) -> str:
    """Write a mean, and a standard deviation if there are several numbers."""
    known = values[~np.isnan(values)]
    if not len(known):
        return '-'
    text = f'{known.mean():.3f}'
    return text if len(values) == 1 else f'{text} ± {known.std():.3f}'


def _deviation(values: NDArray[np.float64]) -> float:
    """Return the standard deviation of the runs that have a score."""
    known = values[~np.isnan(values)]
    return float(known.std()) if len(known) else np.nan


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
