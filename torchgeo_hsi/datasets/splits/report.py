# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a split lets through, and what it loses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..._json import json_text
from ..._typing import PathLike
from ...io._whole import write_whole


@dataclass(frozen=True)
class LeakReport:
    """How far training and evaluation are apart, and which classes can be evaluated.

    Made by :func:`~torchgeo_hsi.datasets.leak_report`.

    Args:
        names: Names of the splits, training first.
        kind: ``'pixels'`` or ``'patches'``.
        window: Rows and columns of a window around a pixel, or None for patches.
        sizes: Number of pixels or patches of each split.
        left_out: Number of pixels or patches in no split.
        touching: For each split but training, the share of its windows (or patches)
            that have at least one pixel in common with one of training.
        inside: For each split but training, the share of its pixels (of the area of
            its patches) that lie inside of a window (or patch) of training.
        counts: Pixels of each class in each split; empty without labels.
        totals: Pixels of each class in all, left out ones included.
        least: How many of a class a split needs.
        regions: Number of connected areas of each class; empty if not known.
        picture: What :meth:`plot` draws: codes of the pixels, or of the boxes.
        boxes: The boxes, if *kind* is ``'patches'``.
    """

    names: tuple[str, ...]
    kind: str
    window: int | None
    sizes: Mapping[str, int]
    left_out: int
    touching: Mapping[str, float]
    inside: Mapping[str, float]
    counts: Mapping[str, Mapping[int, int]]
    totals: Mapping[int, int]
    least: int
    regions: Mapping[int, int]
    picture: NDArray[np.int8] = field(repr=False)
    boxes: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def lost(self) -> dict[str, tuple[int, ...]]:
        """Classes that are too rare in a split, by split."""
        return {
            name: tuple(code for code in self.totals if found.get(code, 0) < self.least)
            for name, found in self.counts.items()
        }

    @property
    def untestable(self) -> tuple[int, ...]:
        """Classes that are too rare in training, or in the last split (the test)."""
        if not self.counts:
            return ()
        lost = self.lost
        both = {*lost[self.names[0]], *lost[self.names[-1]]}
        return tuple(code for code in self.totals if code in both)

    @property
    def single_region(self) -> tuple[int, ...]:
        """Classes that lie in one place only, so no split tests them at another."""
        return tuple(code for code, number in self.regions.items() if number == 1)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the picture.

        Returns:
            What JSON can hold; classes are text there.
        """

        def text(table: Mapping[int, int]) -> dict[str, int]:
            return {str(code): int(number) for code, number in table.items()}

        return {
            'kind': self.kind,
            'window': self.window,
            'splits': list(self.names),
            'sizes': {name: int(size) for name, size in self.sizes.items()},
            'left_out': int(self.left_out),
            'touching': {name: round(v, 6) for name, v in self.touching.items()},
            'inside': {name: round(v, 6) for name, v in self.inside.items()},
            'least': self.least,
            'counts': {name: text(found) for name, found in self.counts.items()},
            'totals': text(self.totals),
            'lost': {name: list(codes) for name, codes in self.lost.items()},
            'untestable': list(self.untestable),
            'regions': text(self.regions),
            'single_region': list(self.single_region),
        }

    def to_json(self, path: PathLike | None = None) -> str:
        """Write the report as JSON.

        Args:
            path: File to write, or None; folders are created, and an older file is
                replaced.

        Returns:
            The text.

        Raises:
            OutputError: If the file cannot be written.
        """
        text = json_text(self.to_dict())
        if path is not None:
            write_whole(path, lambda part: part.write_text(text, encoding='utf-8'))
        return text

    def __str__(self) -> str:
        """Describe the split in a few lines."""
        whole = max(sum(self.sizes.values()) + self.left_out, 1)
        unit = self.kind
        lines = [
            f'{name}: {size} {unit} ({size / whole:.1%})'
            for name, size in self.sizes.items()
        ]
        lines.append(f'left out: {self.left_out} {unit} ({self.left_out / whole:.1%})')
        thing = 'patches' if self.window is None else f'{self.window}-pixel windows'
        lines += [
            f'{name} against {self.names[0]}: {share:.1%} of {thing} touch, '
            f'{self.inside[name]:.1%} of the pixels lie inside'
            for name, share in self.touching.items()
        ]
        for name, codes in self.lost.items():
            if codes:
                lines.append(
                    f'{name} has fewer than {self.least} {unit} of class '
                    f'{", ".join(map(str, codes))}'
                )
        if self.single_region:
            lines.append(
                'in one region only, so never tested at another place: class '
                f'{", ".join(map(str, self.single_region))}'
            )
        return '\n'.join(lines)

    def plot(
        self,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        suptitle: str | None = None,
    ) -> Figure:
        """Draw a map of the split, and what each class has in it.

        Args:
            class_names: Name of each class, by its code.
            suptitle: Title of the whole figure.

        Returns:
            The figure. Close it with ``matplotlib.pyplot.close``.
        """
        from ._figure import draw_report

        return draw_report(self, class_names, suptitle)
