# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several views of the same images."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import EmptyDataError
from ._common import Source


class MultiView(nn.Module):
    """Make several views of the same images, of one or more dates of a place.

    The first two views see the first two dates, where there are two, so that what stays
    from season to season is learned; each further one sees a date by chance, the same
    for all images of a batch. Views may have different sizes, as in multi-crop.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.transforms import SpectralView
        >>> views = MultiView([SpectralView(32), SpectralView(32), SpectralView(16)])
        >>> found = views([{'image': torch.randn(2, 8, 40, 40)} for _ in range(2)])
        >>> [tuple(view['image'].shape) for view in found]
        [(2, 8, 32, 32), (2, 8, 32, 32), (2, 8, 16, 16)]
    """

    def __init__(
        self,
        views: Sequence[nn.Module],
        dates: Literal['cycle', 'random'] = 'cycle',
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new MultiView instance.

        Args:
            views: One module for each view, which takes and returns a batch, e.g.
                :class:`~torchgeo_hsi.transforms.SpectralView`. The same module may be
                there more than once.
            dates: ``'cycle'`` gives the first two views the first two dates, in turn;
                ``'random'`` gives each view a date by chance.
            generator: Source of randomness, on the CPU, of the dates; torch's own by
                default.

        Raises:
            EmptyDataError: If there is no view.
            ValueError: If *dates* is something else.
        """
        super().__init__()
        if not views:
            raise EmptyDataError('Expected at least one view, got none.')
        if dates not in ('cycle', 'random'):
            raise ValueError(f"Expected dates='cycle' or 'random', got {dates!r}.")
        self.views = nn.ModuleList(views)
        self.dates = dates
        self.generator: Source = generator

    def __len__(self) -> int:
        """Return the number of views."""
        return len(self.views)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Say by what images were normalized to all parts that have to know.

        Args:
            mean: Mean of each band, shape ``(C,)``.
            std: Standard deviation of each band, shape ``(C,)``.
        """
        for module in self.modules():
            setter = getattr(module, 'set_statistics', None)
            if module is not self and callable(setter):
                setter(mean, std)

    def forward(self, dates: Sequence[Sample] | Sample) -> list[Sample]:
        """Make the views.

        Args:
            dates: One batch for each date of the same places, or a single batch.

        Returns:
            One new batch for each view.

        Raises:
            EmptyDataError: If there is no date.
        """
        batches = [dates] if isinstance(dates, dict) else list(dates)
        if not batches:
            raise EmptyDataError('Expected the batch of at least one date, got none.')
        return [
            view(batches[self._date(number, len(batches))])
            for number, view in enumerate(self.views)
        ]

    def _date(self, view: int, count: int) -> int:
        """Choose the date of a view."""
        if count == 1:
            return 0
        if self.dates == 'cycle' and view < 2:
            return view % count
        return int(torch.randint(count, (), generator=self.generator))

    def extra_repr(self) -> str:
        """Show how dates are chosen."""
        return f'dates={self.dates!r}'
