# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pixels in groups of alike ground."""

from typing import Self

import torch
from torch import Tensor

from ...errors import BandMismatchError, EmptyDataError

#: Most steps of the search, and the change of centres at which it ends.
_STEPS, _STILL = 100, 1e-6

#: Pixels that are compared at once.
_CHUNK = 1 << 16


class SpectralClusters:
    """Groups of pixels with spectra of the same form, however bright they are.

    Spectra are divided by their length, then grouped by k-means that starts at random
    spectra far from each other. A matched filter with a background for each group (a
    cluster-tuned one) mistakes less ground for gas. Take bands that the gas does not
    touch, or the plume decides about the groups.

    * https://doi.org/10.1109/36.934073

    Args:
        centers: Spectra in the middle of the groups, of length 1, shape ``(G, K)``.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> soil, leaf = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 9.0, 4.0])
        >>> spectra = torch.cat([soil.expand(60, 3), 5 * leaf.expand(40, 3)])
        >>> clusters = SpectralClusters.fit(spectra, 2, rng)
        >>> sorted(clusters(spectra.T[:, None])[0].unique(return_counts=True)[1].tolist())
        [40, 60]
    """

    def __init__(self, centers: Tensor) -> None:
        """Initialize a new SpectralClusters instance."""
        self.centers = centers

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.centers)

    @classmethod
    def fit(
        cls, spectra: Tensor, count: int, generator: torch.Generator | None = None
    ) -> Self:
        """Find groups.

        Args:
            spectra: Spectra of shape ``(N, K)``; a sample of the scene is enough.
            count: Number of groups.
            generator: Random numbers of the start.

        Returns:
            The groups.

        Raises:
            EmptyDataError: If there are fewer different spectra than groups.
        """
        points = spectra[spectra.isfinite().all(1) & (spectra > 0).any(1)].double()
        points = points / points.norm(dim=1, keepdim=True)
        centers = _far_apart(points, count, generator)
        for _ in range(_STEPS):
            number = _nearest(points, centers)
            sizes = number.bincount(minlength=count).to(points)
            sums = torch.zeros_like(centers).index_add_(0, number, points)
            # a group without a pixel stays where it is
            moved = torch.where(
                sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], centers
            )
            change = (moved - centers).norm(dim=1).max()
            centers = moved
            if change < _STILL:
                break
        return cls(centers / centers.norm(dim=1, keepdim=True))

    def __call__(self, image: Tensor) -> Tensor:
        """Find the group of each pixel.

        Args:
            image: Image of shape ``(..., K, H, W)``.

        Returns:
            Groups from 0, shape ``(..., H, W)``; -1 where a number is missing or there
            is no light.

        Raises:
            BandMismatchError: If the bands are others.
        """
        if image.ndim < 3 or image.shape[-3] != self.centers.shape[1]:
            raise BandMismatchError(
                f'Expected an image of shape (..., {self.centers.shape[1]}, H, W), got '
                f'{tuple(image.shape)}.'
            )
        self.centers = self.centers.to(image.device)
        spectra = image.movedim(-3, -1)
        known = spectra.isfinite().all(-1) & (spectra > 0).any(-1)
        groups = torch.full(known.shape, -1, device=image.device)
        parts = torch.split(spectra[known], _CHUNK)
        found = [_nearest(part.double(), self.centers) for part in parts]
        groups[known] = torch.cat(found)
        return groups


def _far_apart(points: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Draw points, each with a chance that grows with its distance to the others."""
    if count < 1:
        raise ValueError(f'Expected at least 1 group, got {count}.')
    chances = torch.ones(len(points), dtype=torch.float64)
    nearest = torch.full_like(chances, torch.inf)
    chosen: list[int] = []
    for _ in range(count):
        if not (chances > 0).any():
            raise EmptyDataError(
                f'Expected at least {count} different spectra for as many groups, got '
                f'{len(chosen)} among {len(points)}. Ask for fewer groups.'
            )
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
        away = 1 - (points @ points[chosen[-1]]).cpu()
        nearest = torch.minimum(nearest, away.clamp_min(0))
        # what differs by rounding is the same
        chances = torch.where(nearest > 1e-12, nearest, 0.0)
    return points[chosen]


def _nearest(points: Tensor, centers: Tensor) -> Tensor:
    """Return the center with the smallest angle to each point."""
    found: Tensor = (points @ (centers / centers.norm(dim=1, keepdim=True)).mT).argmax(
        1
    )
    return found
